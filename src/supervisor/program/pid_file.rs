//! Removes pid files. The path of a user may be on a file system that hangs, or may be another file by now: a forked
//! child checks it, and removes only a file that holds the pid of the program.

use std::fs;
use std::path::{Path, PathBuf};

use crate::supervisor::event_loop::Supervisor;
use crate::sys::daemonize::{self, Fork};
use crate::sys::pid::Pid;
use crate::sys::place::Place;
use crate::sys::{apart, open};

/// The longest pid file that is ours, in bytes.
const LONGEST: u64 = 24;

impl Supervisor {
    /// Removes the pid file of a program that has ended.
    pub(crate) fn remove_pid_file(&mut self, id: u32) {
        if let Some(program) = self.programs.get(&id) {
            let path = program.pid_file(&self.home);
            self.remove_pid_file_at(id, path);
        }
    }

    /// Removes a pid file that a program has had.
    pub(crate) fn remove_pid_file_at(&mut self, id: u32, path: PathBuf) {
        if path.parent() == Some(&self.home.pids()) {
            // The home is ours, and hangs for everybody if it does.
            let _ = fs::remove_file(path);
            return;
        }
        let pid = self.programs.get(&id).and_then(|program| program.last_pid);
        match daemonize::fork() {
            Ok(Fork::Child) => apart::go_on_apart(None, (path, pid), |_, (path, pid)| {
                daemonize::set_process_name(c"rpmd-unlink");
                remove(&path, pid);
                daemonize::exit_now(0)
            }),
            Ok(Fork::Parent(child)) => self.removers.push((child, id)),
            Err(e) => {
                let path = path.display();
                self.note(id, format_args!("leaves {path}: creating a process: {e}"));
            }
        }
    }

    /// A child has ended that is no program.
    pub(crate) fn pid_file_removed(&mut self, child: Pid) {
        let before = self.removers.len();
        self.removers.retain(|(pid, _)| *pid != child);
        self.changed |= self.removers.len() != before;
    }

    /// Whether no pid file of these programs is about to be removed.
    pub(crate) fn pid_files_are_gone(&self, ids: &[u32]) -> bool {
        !self.removers.iter().any(|(_, id)| ids.contains(id))
    }
}

/// Removes the file where it holds this pid, or a pid where it is not known which.
fn remove(path: &Path, pid: Option<Pid>) {
    let Ok(place) = Place::find(path) else {
        return;
    };
    let text = open::read_place(&place, LONGEST).unwrap_or_default();
    let text = text.trim_ascii();
    let number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if number && pid.is_none_or(|pid| text == pid.to_string().as_bytes()) {
        let _ = place.remove();
    }
}
