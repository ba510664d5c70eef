//! What concerns all records in `run` together: their version, the boot that they are of, and the next number.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::paths::Home;
use crate::protocol::line::Line;
use crate::sys::lookup::Lookup;
use crate::sys::open::{self, Access};
use crate::sys::pid::Pid;
use crate::sys::{clock, fd, procfs};

/// The version of the records. A supervisor that finds a higher one does not touch them. 1: a folder for each program.
pub const VERSION: u32 = 2;

/// What is known of the records before they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boot {
    /// They were written since the machine, or the container, was started: their processes may live.
    Same,
    /// It has been started since: the numbers of processes mean nothing any more.
    Another,
}

/// What is known of the records before they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Which boot they are of.
    pub boot: Boot,
    /// Their version; 0 where there is none.
    pub version: u32,
    /// The lowest number that no program has had, where the release before this one wrote it.
    pub next_id: u32,
    /// What could not be found out, and what was taken for true.
    pub doubt: Option<String>,
    /// Where the cgroups of programs are, of this boot.
    pub cgroups: Option<PathBuf>,
}

impl State {
    /// Reads it. Fails where the records are of a version that this program does not know.
    pub fn read(home: &Home) -> Result<State> {
        let path = home.state();
        let bytes = match fd::read_file(&path) {
            Ok(bytes) => bytes,
            // The first release wrote none, and neither has a new home one.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(State {
                    boot: Boot::Same,
                    version: 0,
                    next_id: 0,
                    doubt: None,
                    cgroups: None,
                });
            }
            Err(e) if open::is_unfit(&e) => Vec::new(),
            Err(e) => return Err(Error::io(format!("reading {}", path.display()), &e)),
        };
        let line = Line::decode(&bytes).unwrap_or_default();
        let version = line.number::<u32>("version").unwrap_or(0);
        if version > VERSION {
            return Err(Error::new(format!(
                "the records in {} were written by a newer rpmd, and this one knows versions up to {VERSION}; start \
                 the newer one",
                home.run().display()
            )));
        }
        // A file that is damaged says nothing: a process that has the number and the start time of a record is the
        // one that it is of, and that it is not may come at the cost of a second one.
        let recorded = line.get("boot").filter(|id| !id.is_empty());
        let recorded = recorded.map(<[u8]>::to_vec);
        let machine = differs(recorded, clock::boot_id().map(String::into_bytes));
        // Releases before this did not record it, and where it is hidden it means nothing.
        let recorded = line.number::<u64>("init").filter(|start| *start != 0);
        let init = differs(recorded, procfs::init_start());
        let another = matches!(machine, Ok(true)) || matches!(init, Ok(true));
        let doubt = machine.err().or(init.err()).map(|e| {
            let doing = "checking whether the machine has rebooted";
            format!(
                "{}; looking for programs that still run",
                Error::io(doing, &e)
            )
        });
        Ok(State {
            boot: match another {
                true => Boot::Another,
                false => Boot::Same,
            },
            version,
            next_id: line.number("next-id").unwrap_or(0),
            doubt: doubt.filter(|_| !another),
            cgroups: line
                .get("cgroups")
                .map(|path| PathBuf::from(OsStr::from_bytes(path))),
        })
    }

    /// Where the cgroups are, if they are of this boot.
    pub fn recorded_cgroups(&self) -> Option<&Path> {
        self.cgroups.as_deref().filter(|_| self.boot == Boot::Same)
    }

    /// The text that says that the records are of this boot and version.
    pub fn text(cgroups: Option<&Path>) -> Vec<u8> {
        let mut line = Line::new("state").with("version", VERSION.to_string());
        // What cannot be found out is left out: it is compared with nothing then.
        if let Lookup::There(boot) = clock::boot_id() {
            line.push("boot", boot);
        }
        if let Lookup::There(init) = procfs::init_start() {
            line.push("init", init.to_string());
        }
        if let Some(path) = cgroups {
            line.push("cgroups", path.as_os_str().as_bytes());
        }
        line.to_bytes()
    }
}

/// Whether what was recorded is something else now. What was not recorded, or is not to be seen now, differs from
/// nothing; that it could not be looked at proves nothing.
fn differs<T: PartialEq>(recorded: Option<T>, now: Lookup<T>) -> io::Result<bool> {
    match (recorded, now) {
        (Some(recorded), Lookup::There(now)) => Ok(recorded != now),
        (Some(_), Lookup::Failed(e)) => Err(e),
        (_, _) => Ok(false),
    }
}

/// Writes the pid file. A full disk keeps nobody from serving: there is room where the pid of the last one stands.
pub fn note_pid(path: &Path) -> io::Result<()> {
    let text = format!("{}\n", Pid::own());
    match open::replace(path, text.as_bytes()) {
        Err(e) if e.kind() == io::ErrorKind::StorageFull => {
            let file = open::regular(path, Access::Write);
            let _ = file.and_then(|file| {
                file.write_all_at(text.as_bytes(), 0)?;
                file.set_len(text.len() as u64)
            });
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn another_boot_is_noticed_and_a_newer_version_refused() {
        let root = std::env::temp_dir().join(format!("rpm-state-{}", std::process::id()));
        let home = Home::new(root.clone());
        fs::create_dir_all(home.run()).unwrap();
        let boot = || State::read(&home).unwrap().boot;
        assert_eq!(boot(), Boot::Same);
        let text = State::text(Some(Path::new("/c g/rpmd.1-2")));
        open::replace(&home.state(), &text).unwrap();
        let own = State::read(&home).unwrap();
        assert_eq!((own.boot, own.version), (Boot::Same, VERSION));
        assert_eq!(own.cgroups.as_deref(), Some(Path::new("/c g/rpmd.1-2")));
        let text = fs::read_to_string(home.state()).unwrap();
        fs::write(home.state(), text.replace("boot=", "boot=x")).unwrap();
        assert_eq!(boot(), Boot::Another);
        fs::write(home.state(), text.replace("init=", "init=1")).unwrap();
        assert_eq!(boot(), Boot::Another);
        for unknown in ["", "init=0"] {
            let words = text.split(' ').map(|word| match word.starts_with("init=") {
                true => unknown,
                false => word,
            });
            let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
            fs::write(home.state(), words.join(" ")).unwrap();
            assert_eq!(boot(), Boot::Same, "{unknown}");
        }
        for damaged in ["", "nonsense", "state version=1\n"] {
            fs::write(home.state(), damaged).unwrap();
            assert_eq!(boot(), Boot::Same);
        }
        fs::write(home.state(), text.replace("version=2", "version=3")).unwrap();
        let refused = State::read(&home).unwrap_err().to_string();
        assert!(refused.contains("newer rpmd"), "{refused}");
        fs::remove_dir_all(&root).unwrap();
    }
}
