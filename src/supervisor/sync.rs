//! The list on the disk: what was written is brought there by a forked child, because `fsync(2)` waits for the disk
//! and the loop must not. Soon after a change, all changes of that time in one go.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use super::server::Supervisor;
use super::timers::Timer;
use crate::paths::Home;
use crate::sys::daemonize::{self, Fork};
use crate::sys::fd;
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
}

impl Unsynced {
    fn is_empty(&self) -> bool {
        self.ids.is_empty() && !self.list
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

    /// Has a child bring the changes to the disk; while one is at work the next waits for its end.
    pub(super) fn sync_now(&mut self) {
        self.timers.set(Timer::Sync, None);
        if self.unsynced.is_empty() || self.unsynced.child.is_some() {
            return;
        }
        match daemonize::fork() {
            Ok(Fork::Child) => {
                fd::close_all_except(&[]);
                daemonize::set_process_name(c"rpmd-sync");
                sync(&self.home, &self.unsynced);
                daemonize::exit_now(0)
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
    pub(super) fn sync_child_ended(&mut self, pid: Pid) {
        if self.unsynced.child == Some(pid) {
            self.unsynced.child = None;
            self.changed = true;
            self.sync_now();
        }
    }
}

fn sync(home: &Home, unsynced: &Unsynced) {
    // What is gone needs no more than the folder above it.
    let flush = |path: &Path| File::open(path).and_then(|file| file.sync_all());
    for id in &unsynced.ids {
        let records = home.records(*id);
        for path in [&records.spec(), &records.status(), records.folder()] {
            let _ = flush(path);
        }
    }
    if unsynced.list {
        let _ = flush(&home.state());
        let _ = flush(&home.run());
        let _ = flush(home.root());
    }
}
