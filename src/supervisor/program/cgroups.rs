//! The cgroups of programs: one folder of the daemon below the cgroup that it may use, and in it one for each program.
//!
//! The folder is recorded for this boot, as the next supervisor may be started in another cgroup. Its name says which
//! home it is of, and nothing in it is ever killed but the processes of a program that joined its group itself.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::paths::Home;
use crate::supervisor::event_loop::Supervisor;
use crate::sys::cgroup::{self, Cgroup};

/// The folder of the programs' cgroups; none where cgroups cannot be created.
#[derive(Debug, Default)]
pub struct Cgroups(Option<PathBuf>);

impl Cgroups {
    /// Finds the folder, the recorded one before any other, or makes one. `leaves`: this process is nobody's program,
    /// and leaves the cgroup of one that it was started in.
    pub fn find(home: &Home, recorded: Option<&Path>, leaves: bool) -> Cgroups {
        let Some(name) = name_of(home) else {
            return Cgroups(None);
        };
        let own = cgroup::own_folder();
        let outside = own
            .as_deref()
            .and_then(cgroup::outside_of)
            .filter(|_| leaves);
        let own = match outside.map(|folder| Cgroup::at(folder.to_owned())) {
            Some(outside) if outside.join().is_ok() => Some(outside.folder().to_owned()),
            _ => own,
        };
        let is_named = |path: &&Path| path.file_name().is_some_and(|n| n == name.as_str());
        let recorded = recorded.filter(is_named).map(Path::to_owned);
        let recorded = recorded.filter(|path| Cgroup::at(path.clone()).exists());
        let made = || {
            let group = Cgroup::at(own.as_ref()?.join(&name));
            (group.make().is_ok() || group.exists()).then(|| group.folder().to_owned())
        };
        // A daemon that is in the group of a program of its own would be killed with it.
        let apart = |path: &PathBuf| own.as_ref().is_none_or(|own| !own.starts_with(path));
        Cgroups(recorded.or_else(made).filter(apart))
    }

    /// The folder.
    pub fn folder(&self) -> Option<&Path> {
        self.0.as_deref()
    }

    /// The group of a program.
    pub fn of(&self, id: u32) -> Option<Cgroup> {
        Some(Cgroup::at(self.0.as_ref()?.join(id.to_string())))
    }

    /// The group of a program that is about to be launched, made where it is not there. None where that cannot be, or
    /// somebody lives there: a process that an earlier daemon could not end.
    pub fn make(&self, id: u32) -> Option<Cgroup> {
        let group = self.of(id)?;
        let usable = match group.make() {
            Ok(()) => true,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                group.is_populated().is_ok_and(|populated| !populated)
            }
            Err(_) => false,
        };
        usable.then_some(group)
    }

    /// Removes the empty groups of programs that no longer exist.
    pub fn remove_others(&self, is_known: impl Fn(u32) -> bool) {
        let entries = self
            .0
            .iter()
            .filter_map(|path| std::fs::read_dir(path).ok());
        for entry in entries.flatten().flatten() {
            let id = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(id) = id.filter(|id| !is_known(*id)) {
                self.remove(id);
            }
        }
    }

    /// Removes the group of a program that has no members.
    pub fn remove(&self, id: u32) {
        if let Some(group) = self.of(id) {
            group.remove();
        }
    }

    /// Removes the folder, unless something is in it.
    pub fn remove_folder(&self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// The name of the folder: no other home has these two numbers while this one is there.
fn name_of(home: &Home) -> Option<String> {
    let meta = std::fs::metadata(home.root()).ok()?;
    let (device, inode) = (meta.dev(), meta.ino());
    Some(format!("{}{device:x}-{inode:x}", cgroup::PREFIX))
}

impl Supervisor {
    /// Whether the last run of a program is in the program's cgroup, and that can be looked at: the group then.
    pub(crate) fn cgroup(&self, id: u32) -> Option<Cgroup> {
        let run = self.programs.get(&id)?.run.as_ref()?;
        self.cgroups.of(id).filter(|_| run.joined())
    }
}
