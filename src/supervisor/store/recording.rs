//! What the supervisor records, and what becomes of it: appended to the list in memory at once, brought to the disk by
//! the writer of the list. Clients that were promised a record wait for the writer; the loop does not.

use std::os::fd::OwnedFd;

use crate::error::{Error, Reason, Result};
use crate::protocol::line::Line;
use crate::supervisor::daemon::shutdown::Ending;
use crate::supervisor::driver::Driver;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::Program;
use crate::supervisor::program::run::Run;
use crate::supervisor::store::client::{Mark, Report};
use crate::supervisor::store::list;
use crate::supervisor::store::records;
use crate::supervisor::store::state::State;
use crate::supervisor::timers::Timer;
use crate::sys::lookup::Lookup;
use crate::sys::pid::Pid;
use crate::sys::spawn::Record;

/// How long `sync` waits for a disk that does not answer. ms
const SYNC_TIME: u64 = 2000;

impl Supervisor {
    /// Records a new program.
    pub(crate) fn record_new(&mut self, id: u32, spec_text: &[u8]) {
        if let Some(program) = self.programs.get(&id) {
            let mut lines = records::spec_line(id, spec_text);
            lines.extend(records::status_line(program));
            self.append(&lines);
        }
    }

    /// Records what is wanted of a program, and what is counted.
    pub(crate) fn record(&mut self, id: u32) {
        if let Some(program) = self.programs.get(&id).filter(|p| !p.gone) {
            let line = records::status_line(program);
            self.append(&line);
        }
    }

    /// Records what a program is from now on.
    pub(crate) fn record_spec(&mut self, id: u32) {
        if let Some(program) = self.programs.get(&id).filter(|p| !p.gone) {
            let line = records::spec_line(id, &records::spec_text(&program.spec));
            self.append(&line);
        }
    }

    /// Records the process of a program that was found without a record of it.
    pub(crate) fn record_process(&mut self, id: u32, record: &Record) {
        let line = records::pid_line(id, record);
        self.append(&line);
    }

    /// Records that a program is in the list though it was recorded that it is not. Its next run has new pipes.
    pub(crate) fn record_again(&mut self, id: u32) {
        let program = self.programs.get_mut(&id);
        let driver = &mut *self.driver;
        let lines = program.map(|program| {
            program.new_fifos = true;
            program.gone = false;
            lines_of(program, driver)
        });
        if let Some(Lookup::There(lines)) = lines {
            self.append(&lines);
        }
    }

    /// Records that a program is deleted, and has its pipes removed then.
    pub(crate) fn record_gone(&mut self, id: u32) {
        if let Some(program) = self.programs.get_mut(&id) {
            program.gone = true;
        }
        let mut lines = Vec::new();
        list::push(&mut lines, &Line::new("gone").with("id", id.to_string()));
        self.append(&lines);
        self.store.remove_pipes(id);
    }

    /// Records the lowest number that no program has had.
    pub(crate) fn record_next_id(&mut self) {
        let mut lines = Vec::new();
        let id = self.next_id.to_string();
        list::push(&mut lines, &Line::new("next").with("id", id));
        self.append(&lines);
    }

    /// Whether an answer has to wait until a mark is reached.
    pub(crate) fn waits_for_store(&self, mark: Option<(Mark, u64)>) -> bool {
        mark.is_some_and(|(mark, until)| {
            let over = self.store.failure().is_some() || self.now >= until;
            !self.store.has_reached(mark) && !over
        })
    }

    /// Nobody has seen the numbers of programs that never ran: they are free, where no later one is taken.
    pub(crate) fn take_ids_back(&mut self, ids: &[u32]) {
        let (first, last) = (ids.iter().min(), ids.iter().max());
        if let (Some(first), Some(last)) = (first, last) {
            if last.saturating_add(1) == self.next_id {
                self.next_id = *first;
                self.record_next_id();
            }
        }
    }

    /// Has it recorded which boot and version the list is of.
    pub(crate) fn record_state(&mut self) {
        let text = State::text(self.cgroups.folder());
        self.store.replace(&self.home.state(), &text);
    }

    fn append(&mut self, lines: &[u8]) {
        if let Err(e) = self.store.append(lines) {
            self.store_failed(format!("recording in memory: {}", Reason(&e)));
        }
    }

    /// Starts the writer of the list.
    pub(crate) fn start_store(&mut self) {
        self.timers.set(Timer::Sync, None);
        if let Err(e) = self.store.start(&self.home, &mut *self.driver) {
            let why = format!(
                "syncing the list to disk: forking a process for it: {}; trying again",
                Reason(&e)
            );
            self.store_failed(why);
        }
    }

    /// The list cannot be written now. It is tried again, each time with a new list: what the kernel has dropped after a
    /// failure stays lost, though a later `fsync(2)` succeeds.
    fn store_failed(&mut self, why: String) {
        if self.store_noted.as_ref() != Some(&why) {
            self.journal.note(&why);
            self.store_noted = Some(why.clone());
        }
        let wait = self.store.has_failed(why);
        self.timers.set(Timer::Sync, Some(self.now + wait));
        self.changed = true;
    }

    /// Tries again at once where the list could not be written: somebody waits for it.
    pub(crate) fn retry_store(&mut self) {
        if self.store.failure().is_some() {
            self.renew_store();
        }
    }

    /// Goes on with a new list and another writer.
    pub(crate) fn renew_store(&mut self) {
        let done = self.lines_of_all().and_then(|lines| {
            let number = self
                .lock
                .number()
                .map_err(|e| Error::io("looking at the home", &e))?;
            let renewed = self.store.renew(number, self.next_id, lines);
            renewed.map_err(|e| Error::io("recording in memory", &e))
        });
        match done {
            Ok(()) => self.start_store(),
            Err(e) => self.store_failed(e.to_string()),
        }
    }

    fn lines_of_all(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut all = self.unread.lines();
        // One that is on record as deleted would come back with a new list.
        for program in self.programs.values().filter(|p| !p.gone) {
            match lines_of(program, &mut *self.driver) {
                Lookup::There(lines) => all.push(lines),
                Lookup::Gone => {}
                Lookup::Failed(e) => {
                    let doing = format!("looking at the process of {}", program.spec.name);
                    return Err(Error::io(doing, &e));
                }
            }
        }
        Ok(all)
    }

    /// What is done about the list at the end of a turn.
    pub(crate) fn settle_store(&mut self) {
        if self.store.is_outdated() && self.store.failure().is_none() {
            self.renew_store();
        }
        self.store.flush();
    }

    /// Reads what the writer of the list reports.
    pub(crate) fn hear_store(&mut self) {
        self.changed = true;
        let Ok(reports) = self.store.receive() else {
            if self.ending == Some(Ending::Farewell) {
                return;
            }
            // It was killed. What it has written may be torn.
            let why = "the process that writes the list has ended".to_owned();
            return self.store_failed(why);
        };
        for report in reports {
            match report {
                Report::Progress => {}
                Report::Synced => self.store_noted = None,
                Report::Failed => {
                    let why = self.store.failure().unwrap_or_default().to_owned();
                    self.store_failed(why);
                }
                Report::Done {
                    request,
                    pipes,
                    why,
                } => self.store_has_done(&request, pipes, why),
            }
        }
    }

    fn store_has_done(
        &mut self,
        request: &Line,
        pipes: Option<(OwnedFd, OwnedFd)>,
        why: Option<String>,
    ) {
        let path = request.text("path").unwrap_or_default();
        match (request.tag.as_str(), request.number("id")) {
            ("fifos", Some(id)) => self.take_pipes(id, pipes, why),
            // Why a program could not be deleted is said to the client.
            ("gone", _) => {}
            ("unlink", _) => {
                if let Some(why) = why {
                    self.journal.note(format_args!("removing {path}: {why}"));
                }
            }
            _ => {
                if let Some(why) = why {
                    self.journal.note(format_args!("writing {path}: {why}"));
                }
            }
        }
    }

    /// The pipes of a program have been made, or could not be.
    fn take_pipes(&mut self, id: u32, pipes: Option<(OwnedFd, OwnedFd)>, why: Option<String>) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        let checked = pipes
            .ok_or_else(|| why.unwrap_or_default())
            .and_then(|pipes| {
                records::check_room(&pipes).map_err(|e| e.to_string())?;
                Ok(pipes)
            });
        match checked {
            Ok(pipes) => program.fifos = Some(pipes),
            Err(why) => {
                self.pipes_failed(id, why);
            }
        }
    }

    /// Whether all that clients have asked for is on the disk.
    pub(crate) fn is_synced(&self) -> bool {
        self.store.is_synced()
    }

    /// Why the list is not on the disk, where an attempt has failed or takes long.
    pub(crate) fn sync_failure(&self) -> Option<String> {
        let late = self.sync_until.filter(|until| self.now >= *until);
        let late = late.map(|_| {
            format!(
                "the disk does not answer: {} is not on it after {} s; rpmd goes on trying",
                self.home.list().display(),
                SYNC_TIME / 1000
            )
        });
        self.store.failure().map(str::to_owned).or(late)
    }

    /// Asks for the list to be brought to the disk now.
    pub(crate) fn sync_now(&mut self) {
        self.retry_store();
        self.store.sync();
        let until = self.now.saturating_add(SYNC_TIME);
        self.sync_until = Some(until);
        self.patience();
    }

    /// Whether what is wanted of a program is on record. `Err`: why it is not.
    pub(crate) fn is_recorded(&self) -> std::result::Result<(), String> {
        self.store
            .failure()
            .map_or(Ok(()), |why| Err(why.to_owned()))
    }

    /// A child has ended that is no program.
    pub(crate) fn store_ended(&mut self, pid: Pid) {
        if self.store.is_writer(pid) {
            self.hear_store();
        }
    }
}

/// All lines of a program. `Failed`: its process could not be looked at.
fn lines_of(program: &Program, driver: &mut dyn Driver) -> Lookup<Vec<u8>> {
    let id = program.id;
    let mut lines = records::spec_line(id, &records::spec_text(&program.spec));
    lines.extend(records::status_line(program));
    let Some(pid) = Pid::new(program.life.pid) else {
        return Lookup::There(lines);
    };
    let born = program.run.as_ref().map_or(0, |run| run.start_ticks);
    let start = match driver.look(pid) {
        Lookup::There(stat) => stat.start,
        Lookup::Gone => return Lookup::There(lines),
        Lookup::Failed(_) if born > 0 => born,
        Lookup::Failed(e) => return Lookup::Failed(e),
    };
    let record = Record {
        pid,
        start,
        run: program.life.run.0,
        joined: program.run.as_ref().is_some_and(Run::joined),
    };
    lines.extend(records::pid_line(id, &record));
    Lookup::There(lines)
}
