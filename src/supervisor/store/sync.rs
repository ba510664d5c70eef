//! The list on the disk: what was written is brought there by a forked child, because `fsync(2)` waits for the disk
//! and the loop must not. Soon after a change, all changes of that time in one go.
//!
//! The kernel reports a failed write to the disk once, and counts the pages as clean from then on: another `fsync(2)`
//! of the same file would succeed, and what was lost would stay lost. So what a failed attempt was about is written
//! anew before the next one, and until that has succeeded nobody is told that the list is on the disk.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Reason;
use crate::model::life::Exit;
use crate::paths::Home;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::store::records;
use crate::supervisor::store::state::State;
use crate::supervisor::timers::Timer;
use crate::sys::apart;
use crate::sys::daemonize::{self, Fork};
use crate::sys::open;
use crate::sys::pid::Pid;

/// How long changes are collected. ms
const COLLECT: u64 = 1000;
/// How long until the next attempt after one that failed, doubled each time up to `AGAIN_MAX`. ms
const AGAIN: u64 = 1000;
const AGAIN_MAX: u64 = 60_000;

/// Some records.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Changes {
    /// Programs that have changed.
    ids: BTreeSet<u32>,
    /// Programs have come or gone.
    list: bool,
}

impl Changes {
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

    fn add(&mut self, other: Changes) {
        self.ids.extend(other.ids);
        self.list |= other.list;
    }
}

/// What is not on the disk yet.
#[derive(Debug, Default)]
pub struct Unsynced {
    /// What was written since the last attempt began.
    changes: Changes,
    /// What the attempt under way is about, and the child that makes it.
    under_way: Option<(Pid, Changes)>,
    /// What failed attempts were about: it has to be written anew, as the kernel may have dropped it.
    failed: Changes,
    /// How many attempts in a row have failed.
    failures: u32,
    /// Why there was no process for the last attempt.
    unmade: Option<String>,
}

impl Unsynced {
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.failed.is_empty() && self.under_way.is_none()
    }

    /// An attempt begins that is about everything.
    fn begin(&mut self, child: Pid) {
        let mut all = std::mem::take(&mut self.changes);
        all.add(std::mem::take(&mut self.failed));
        self.under_way = Some((child, all));
        self.unmade = None;
    }

    /// The attempt of a child has come to its end. Returns whether this was its child.
    fn ended(&mut self, child: Pid, succeeded: bool) -> bool {
        let Some((_, about)) = self.under_way.take_if(|(pid, _)| *pid == child) else {
            return false;
        };
        if succeeded {
            self.failures = 0;
        } else {
            self.failed.add(about);
            self.failures = self.failures.saturating_add(1);
        }
        true
    }

    /// How long until the next attempt. ms
    fn delay(&self) -> u64 {
        match self.failures {
            0 => COLLECT,
            failures => (AGAIN << (failures - 1).min(16)).min(AGAIN_MAX),
        }
    }
}

impl Supervisor {
    /// A program's records have changed in a way that must not be lost.
    pub(crate) fn unsynced(&mut self, id: u32, came_or_went: bool) {
        self.unsynced.changes.ids.insert(id);
        self.unsynced.changes.list |= came_or_went;
        if !self.timers.is_set(Timer::Sync) {
            self.timers.set(Timer::Sync, Some(self.now + COLLECT));
        }
    }

    /// Whether all that was recorded is on the disk, as far as this process has written it.
    pub(crate) fn is_synced(&self) -> bool {
        self.unsynced.is_empty()
    }

    /// Why the last changes are not on the disk, where an attempt has failed and none is under way.
    pub(crate) fn sync_failure(&self) -> Option<String> {
        if let Some(why) = &self.unsynced.unmade {
            return Some(why.clone());
        }
        let tried = self.unsynced.under_way.is_none() && !self.unsynced.failed.is_empty();
        let folder = self.home.run();
        let why = || {
            format!(
                "syncing {} to disk failed; free space or repair the disk; rpmd tries again",
                folder.display()
            )
        };
        tried.then(why)
    }

    /// Has a child bring the changes to the disk; while one is at work the next waits for its end.
    pub(crate) fn sync_now(&mut self) {
        self.timers.set(Timer::Sync, None);
        if self.unsynced.is_empty() || self.unsynced.under_way.is_some() {
            return;
        }
        if let Err(why) = self.write_anew() {
            self.journal
                .note(format_args!("syncing the list to disk: {why}"));
            self.unsynced.failures = self.unsynced.failures.saturating_add(1);
            self.unsynced.unmade = None;
            self.changed = true;
            self.sync_later();
            return;
        }
        match daemonize::fork() {
            Ok(Fork::Child) => {
                let mut all = self.unsynced.changes.clone();
                all.add(self.unsynced.failed.clone());
                let paths = all.paths(&self.home);
                apart::go_on_apart(None, paths, |_, paths| {
                    daemonize::set_process_name(c"rpmd-sync");
                    let done = paths.iter().try_for_each(|path| sync(path));
                    daemonize::exit_now(i32::from(done.is_err()))
                })
            }
            Ok(Fork::Parent(pid)) => self.unsynced.begin(pid),
            Err(e) => {
                let why = format!(
                    "syncing the list to disk: forking a process for it: {}; trying again",
                    Reason(&e)
                );
                if self.unsynced.unmade.is_none() {
                    self.journal.note(&why);
                }
                self.unsynced.unmade = Some(why);
                self.unsynced.failures = self.unsynced.failures.saturating_add(1);
                self.changed = true;
                self.sync_later();
            }
        }
    }

    fn sync_later(&mut self) {
        let at = self.now + self.unsynced.delay();
        self.timers.set(Timer::Sync, Some(at));
    }

    /// Writes the records anew that a failed attempt was about.
    fn write_anew(&mut self) -> Result<(), String> {
        for id in self.unsynced.failed.ids.clone() {
            if let Some(program) = self.programs.get_mut(&id) {
                let written = records::rewrite(&self.home, program);
                written.map_err(|e| {
                    let folder = self.home.records(id).folder().display().to_string();
                    format!("writing {folder}: {}", Reason(&e))
                })?;
                program.unrecorded = None;
            }
        }
        if self.unsynced.failed.list {
            let written = State::rewrite(&self.home, self.next_id, self.cgroups.folder());
            written.map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// A child has ended that is no program.
    pub(crate) fn sync_child_ended(&mut self, pid: Pid, exit: Option<Exit>) {
        let succeeded = exit == Some(Exit::Code(0));
        if !self.unsynced.ended(pid, succeeded) {
            return;
        }
        self.changed = true;
        if !succeeded {
            self.journal
                .note("syncing the list to disk failed; writing it again");
            self.sync_later();
        } else if !self.unsynced.is_empty() {
            self.sync_now();
        }
    }
}

/// Brings a file or folder to the disk.
fn sync(path: &Path) -> io::Result<()> {
    let opened = match open::regular(path, open::Access::Read) {
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => open::folder(path),
        other => other,
    };
    match opened {
        Ok(file) => file.sync_all(),
        // What is gone needs no more than the folder above it.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(number: i32) -> Pid {
        Pid::new(number).unwrap()
    }

    #[test]
    fn what_an_attempt_could_not_bring_to_the_disk_stays_to_be_brought_there() {
        let mut unsynced = Unsynced::default();
        unsynced.changes.ids.insert(1);
        unsynced.changes.list = true;
        unsynced.begin(child(10));
        unsynced.changes.ids.insert(2);
        assert!(!unsynced.ended(child(11), true));
        assert!(unsynced.ended(child(10), false));
        let failed = |unsynced: &Unsynced| unsynced.failed.ids.iter().copied().collect::<Vec<_>>();
        assert_eq!((failed(&unsynced), unsynced.failed.list), (vec![1], true));
        // Only an attempt that was about it, and succeeded, makes an end of it.
        unsynced.begin(child(12));
        assert!(unsynced.ended(child(12), false));
        assert_eq!(failed(&unsynced), [1, 2]);
        unsynced.begin(child(13));
        assert!(!unsynced.is_empty());
        assert!(unsynced.ended(child(13), true));
        assert!(unsynced.is_empty());
    }

    #[test]
    fn attempts_grow_further_apart() {
        let mut unsynced = Unsynced::default();
        let delays: Vec<u64> = (0..9)
            .map(|_| {
                unsynced.failures += 1;
                unsynced.delay()
            })
            .collect();
        assert_eq!(delays[..3], [1000, 2000, 4000]);
        assert_eq!(delays[8], AGAIN_MAX);
    }
}
