//! The list of programs on the disk, to be damaged and changed by tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use rpm::sys::checksum::{fnv1a, hex};
use rpm::sys::signal::Signal;

use super::wait::wait_for_end;
use super::{Home, proc, wait_until};

/// A line with its checksum.
pub fn sealed(line: &str) -> String {
    let sum = hex(fnv1a(line.as_bytes()));
    format!("{line} sum={}\n", String::from_utf8_lossy(&sum))
}

/// Whether a line is of this kind and about this program.
pub fn is_of(line: &str, tag: &str, id: u32) -> bool {
    line.starts_with(&format!("{tag} id={id} "))
}

impl Home {
    /// The list, wherever it stands.
    pub fn list_path(&self) -> PathBuf {
        let [list, new] = ["run/list", "run/list.new"].map(|name| self.root.join(name));
        if list.exists() { list } else { new }
    }

    /// The numbers of all programs that have pipes. Nothing else stands beside them but the list.
    pub fn with_pipes(&self) -> BTreeSet<String> {
        let entries = self.entries("run").into_iter();
        let others = entries.filter(|name| !name.starts_with("list"));
        others
            .map(|name| {
                let id = name.strip_suffix(".out").or(name.strip_suffix(".err"));
                id.unwrap_or(&name).to_owned()
            })
            .collect()
    }

    /// The process that brings the list to the disk.
    pub fn list_writers(&self) -> Vec<i32> {
        proc::named(&self.root, "rpmd-store")
    }

    /// Has the list on the disk, and kills the supervisor and the writer of the list: what stands on the disk counts.
    pub fn kill_with_list_writer(&self) {
        self.rpm(&["sync"]).ok();
        let supervisor = self.supervisor();
        // The log writer does not start another one meanwhile.
        let log_writer = self.log_writer().unwrap();
        proc::stop(log_writer);
        proc::stop(supervisor);
        for pid in self.list_writers() {
            proc::kill(pid, Signal::KILL);
        }
        proc::kill(supervisor, Signal::KILL);
        wait_for_end(supervisor);
        wait_until("no writer of the list", || self.list_writers().is_empty());
    }

    /// Lets the log writer go on that `kill_with_list_writer` has stopped.
    pub fn log_writer_goes_on(&self) {
        proc::go_on(self.log_writer().unwrap());
    }

    /// Changes the lines of the list while neither a supervisor nor a writer of it runs.
    pub fn edit_list(&self, change: impl Fn(&str) -> String) {
        let path = self.list_path();
        let text = fs::read_to_string(&path).unwrap();
        let lines: String = text.split_inclusive('\n').map(change).collect();
        assert_ne!(text, lines, "nothing was changed");
        fs::write(path, lines).unwrap();
    }

    /// Kills what writes the list, changes its lines, and has another supervisor.
    pub fn with_list(&self, change: impl Fn(&str) -> String) {
        self.kill_with_list_writer();
        self.edit_list(change);
        self.log_writer_goes_on();
        self.rpm(&["ping"]).ok();
    }
}
