//! The list on the disk: what was written is brought there by a forked child, because `fsync(2)` waits for the disk
//! and the loop must not. Soon after a change, all changes of that time in one go.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::server::Supervisor;
use super::timers::Timer;
use crate::app::life::Exit;
use crate::paths::Home;
use crate::sys::apart;
use crate::sys::daemonize::{self, Fork};
use crate::sys::pid::Pid;

/// How long changes are collected. ms
const COLLECT: u64 = 1000;

/// What is not on the disk yet.
#[derive(Debug, Default)]
pub struct Unsynced {
    /// Programs that have changed.
    ids: BTreeSet<u32>,
    /// Programs have come or gone.
    list: bool,
    /// The child at work.
    child: Option<Pid>,
    /// The last one has failed.
    failed: bool,
}

impl Unsynced {
    fn is_empty(&self) -> bool {
        self.ids.is_empty() && !self.list
    }

    /// What has to be brought there, in this order.
    fn paths(&self, home: &Home) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for id in &self.ids {
            let records = home.records(*id);
            paths.extend([
                records.spec(),
                records.status(),
                records.folder().to_owned(),
            ]);
        }
        if self.list {
            paths.extend([home.state(), home.run(), home.root().to_owned()]);
        }
        paths
    }
}

impl Supervisor {
    /// A program's records have changed in a way that must not be lost.
    pub(super) fn unsynced(&mut self, id: u32, came_or_went: bool) {
        self.unsynced.ids.insert(id);
        self.unsynced.list |= came_or_went;
        if !self.timers.is_set(Timer::Sync) {
            self.timers.set(Timer::Sync, Some(self.now + COLLECT));
        }
    }

    /// Whether all that was recorded is on the disk, as far as this process has written it.
    pub(super) fn is_synced(&self) -> bool {
        self.unsynced.is_empty() && self.unsynced.child.is_none()
    }

    /// Why the last changes are not on the disk.
    pub(super) fn sync_failure(&self) -> Option<String> {
        let folder = self.home.run();
        let why = || format!("the disk of {} refuses what was written", folder.display());
        self.unsynced.failed.then(why)
    }

    /// Has a child bring the changes to the disk; while one is at work the next waits for its end.
    pub(super) fn sync_now(&mut self) {
        self.timers.set(Timer::Sync, None);
        if self.unsynced.is_empty() || self.unsynced.child.is_some() {
            return;
        }
        match daemonize::fork() {
            Ok(Fork::Child) => {
                let paths = self.unsynced.paths(&self.home);
                apart::go_on_apart(None, paths, |_, paths| {
                    daemonize::set_process_name(c"rpmd-sync");
                    let done = paths.iter().try_for_each(|path| sync(path));
                    daemonize::exit_now(i32::from(done.is_err()))
                })
            }
            Ok(Fork::Parent(pid)) => {
                self.unsynced = Unsynced {
                    child: Some(pid),
                    ..Unsynced::default()
                };
            }
            Err(e) => {
                self.journal.note(format_args!(
                    "bringing the list to the disk: {e}; trying again"
                ));
                self.timers.set(Timer::Sync, Some(self.now + COLLECT));
            }
        }
    }

    /// A child has ended that is no program.
    pub(super) fn sync_child_ended(&mut self, pid: Pid, exit: Option<Exit>) {
        if self.unsynced.child == Some(pid) {
            self.unsynced.child = None;
            self.unsynced.failed = exit != Some(Exit::Code(0));
            if self.unsynced.failed {
                self.journal
                    .note("bringing the list to the disk has failed");
            }
            self.changed = true;
            self.sync_now();
        }
    }
}

/// Brings a file or folder to the disk.
fn sync(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        // What is gone needs no more than the folder above it.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}
