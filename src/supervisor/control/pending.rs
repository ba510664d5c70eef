//! Answers that are given when they have become true. While one is pending, no other client waits for it.

use crate::model::life::{Event, State, Want};
use crate::model::spec::Spec;
use crate::protocol::line::Line;
use crate::protocol::log_protocol::Upkeep;
use crate::protocol::reply::{Code, Failure};
use crate::supervisor::control::rows;
pub use crate::supervisor::control::rows::Rows;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::store::client::Mark;
use crate::supervisor::timers::Timer;
use std::rc::Rc;

/// What a client waits for.
#[derive(Debug)]
pub enum Pending {
    /// A start, until every instance executes, or none is left because one could not.
    Start(Start),
    /// A restart, until every program runs anew.
    Restart(Turn),
    /// A stop, until nothing of any program is left; then perhaps they are forgotten.
    Stop(Turn, Then),
    /// A pause, until nothing of any program runs.
    Pause(Turn),
    /// Something that is done to log files, until it is.
    Upkeep(Turn, Upkeep),
    /// A listing that goes out as the client reads it.
    Rows(Rows),
    /// The list on the disk.
    Sync,
    /// Another release in the place of this one.
    Update,
    /// The end of the daemons.
    Kill,
}

/// What follows a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The programs stay in the list.
    Keep,
    /// They leave it.
    Forget,
}

/// A start under way.
#[derive(Debug)]
pub struct Start {
    /// What is started.
    pub spec: Rc<Spec>,
    /// Whether it shall run.
    pub want: Want,
    /// That as it is recorded.
    pub spec_text: Vec<u8>,
    /// The instances that were made.
    pub ids: Vec<u32>,
    /// Why it is being undone.
    pub failure: Option<Failure>,
    /// What is waited for of the writer of the list, once all of them run, and until when. ms
    pub mark: Option<(Mark, u64)>,
    /// It was recorded that they are deleted, as one of them could not be executed.
    pub undone: bool,
}

/// Some programs on their way to where they were asked to be.
#[derive(Debug)]
pub struct Turn {
    /// All of them.
    pub ids: Vec<u32>,
    /// Those that are not there yet.
    pub open: Vec<u32>,
    /// The log writer's token, once it was asked to write all that they have printed, or to see to their files.
    pub drain: Option<u64>,
    /// What is waited for of the writer of the list.
    pub mark: Option<Mark>,
    /// Until when both are waited for: the disk may hang. ms
    pub patience: u64,
    /// The first that failed.
    pub failure: Option<Failure>,
}

/// How long an answer waits for the log writer, whose disk may hang. ms
const PATIENCE: u64 = 2000;

impl Turn {
    /// A turn that has just begun.
    pub fn of(ids: Vec<u32>) -> Turn {
        Turn {
            open: ids.clone(),
            ids,
            drain: None,
            mark: None,
            patience: 0,
            failure: None,
        }
    }
}

/// Adds to why something failed.
pub fn add_failure(failure: &mut Option<Failure>, more: Failure) {
    match failure {
        Some(failure) => failure.message = format!("{}; {}", failure.message, more.message),
        none => *none = Some(more),
    }
}

/// How many instances one start makes in one turn of the loop.
const INSTANCES_A_TURN: usize = 8;

/// The last line of an answer about `count` programs.
pub fn ok_count(count: usize) -> Line {
    Line::new("ok").with("count", count.to_string())
}

impl Supervisor {
    /// Looks at every pending answer and gives those that have become true. Returns whether there is more to do at
    /// once.
    pub(crate) fn settle_answers(&mut self) -> bool {
        self.take_failures();
        let mut more = false;
        let tokens = self.waiting();
        let mut share = rows::A_TURN;
        for token in tokens {
            let connection = self.connections.get_mut(&token);
            let Some(pending) = connection.and_then(|c| c.pending.take()) else {
                continue;
            };
            let (left, busy) = match pending {
                Pending::Start(start) => self.settle_start(token, start),
                Pending::Restart(turn) => (self.settle_restart(token, turn), false),
                Pending::Stop(turn, then) => (self.settle_stop(token, turn, then), false),
                Pending::Pause(turn) => (self.settle_pause(token, turn), false),
                Pending::Upkeep(turn, what) => (self.settle_upkeep(token, turn, what), false),
                Pending::Rows(rows) => (self.settle_rows(token, rows, &mut share), false),
                Pending::Sync => (self.settle_sync(token), false),
                Pending::Update => (self.settle_update(token), false),
                Pending::Kill => (self.settle_kill(token), false),
            };
            more |= busy;
            if let Some(connection) = self.connections.get_mut(&token) {
                connection.pending = left;
            }
        }
        // What is not done yet has to be looked at again, though nothing else happens.
        self.changed |= more;
        more
    }

    fn settle_start(&mut self, token: u64, mut start: Start) -> (Option<Pending>, bool) {
        let wanted = usize::try_from(start.spec.instances).unwrap_or(1).max(1);
        let mut made = 0;
        while start.failure.is_none() && start.ids.len() < wanted && made < INSTANCES_A_TURN {
            made += 1;
            let instance = u32::try_from(start.ids.len()).unwrap_or(0);
            let id = self.add(&start.spec, &start.spec_text, instance, start.want);
            start.ids.push(id);
        }
        if let Some(failure) = self
            .in_background(&start.ids)
            .filter(|_| start.failure.is_none())
        {
            self.reply(token, |c| c.refuse(&failure));
            return (None, false);
        }
        if start.failure.is_none() {
            let failed = start
                .ids
                .iter()
                .find_map(|id| self.programs.get(id)?.failure.as_ref());
            start.failure = failed.map(|f| Failure::new(Code::ExecFailed, f.why()));
        }
        if let Some(failure) = start.failure.take() {
            for id in &start.ids {
                // Once: a program that resists would be tried again each time, and never be settled.
                let program = self.programs.get(id);
                if program.is_some_and(|p| p.life.want == Want::Up) {
                    self.feed(*id, Event::Stop);
                }
            }
            if start.ids.iter().all(|id| self.is_settled(*id)) {
                let (resting, resisting): (Vec<u32>, Vec<u32>) =
                    start.ids.iter().partition(|id| self.rests(**id));
                if !std::mem::replace(&mut start.undone, true) {
                    resting.iter().for_each(|id| self.record_gone(*id));
                    start.mark = Some((self.store.mark(), self.patience()));
                }
                if self.waits_for_store(start.mark) {
                    start.failure = Some(failure);
                    return (Some(Pending::Start(start)), false);
                }
                resting.iter().for_each(|id| self.forget(*id));
                resisting.iter().for_each(|id| self.record_again(*id));
                if resisting.is_empty() {
                    self.take_ids_back(&start.ids);
                }
                self.reply(token, |c| c.refuse(&failure));
                return (None, false);
            }
            start.failure = Some(failure);
            return (Some(Pending::Start(start)), false);
        }
        let runs = |id: &u32| {
            self.programs.get(id).is_none_or(|p| {
                // One that has run and ended already is the restart policy's business.
                p.life.state != State::Launching || p.life.exit.is_some()
            })
        };
        if start.ids.len() == wanted && start.ids.iter().all(runs) {
            let (mark, until) = match start.mark {
                Some(mark) => mark,
                None => {
                    self.retry_store();
                    (self.store.mark(), self.patience())
                }
            };
            start.mark = Some((mark, until));
            if self.waits_for_store(start.mark) {
                return (Some(Pending::Start(start)), false);
            }
            let recorded = self.store.has_reached(mark);
            let unsaved = ok_count(start.ids.len()).with("unsaved", "true");
            return (
                Some(answer(start.ids, Some(unsaved).filter(|_| !recorded))),
                true,
            );
        }
        let more = start.ids.len() < wanted;
        (Some(Pending::Start(start)), more)
    }

    fn settle_restart(&mut self, token: u64, mut turn: Turn) -> Option<Pending> {
        let mut failure = turn.failure.take();
        self.give_up_on(&mut turn.open, &mut failure);
        self.take_left(&turn.ids, &mut failure);
        turn.open.retain(|id| {
            let Some(program) = self.programs.get(id) else {
                return false;
            };
            if let Some(launch) = &program.failure {
                let sentence = format!("{}: {}", program.spec.name, launch.why());
                failure.get_or_insert(Failure::new(Code::ExecFailed, sentence));
                return false;
            }
            matches!(program.life.state, State::Launching | State::Stopping)
        });
        turn.failure = failure;
        if !self.written(&mut turn, false) {
            return Some(Pending::Restart(turn));
        }
        if let Some(failure) = &turn.failure {
            self.reply(token, |c| c.refuse(failure));
            return None;
        }
        let last = self.last_line(&turn);
        Some(answer(turn.ids, Some(last)))
    }

    fn settle_stop(&mut self, token: u64, mut turn: Turn, then: Then) -> Option<Pending> {
        if then == Then::Forget {
            // Somebody else may have started one meanwhile: it was to be deleted all the same.
            for id in &turn.open {
                if self
                    .programs
                    .get(id)
                    .is_some_and(|p| p.life.want == Want::Up)
                {
                    self.feed(*id, Event::Stop);
                }
            }
        }
        self.give_up_on(&mut turn.open, &mut turn.failure);
        let mut overtaken = None;
        turn.open.retain(|id| {
            let Some(program) = self.programs.get(id) else {
                return false;
            };
            if program.life.want == Want::Up {
                overtaken.get_or_insert(program.spec.name.clone());
            }
            program.life.want == Want::Down && !program.life.at_rest()
        });
        if let Some(name) = overtaken {
            let message = format!("{name} is wanted up again: another client has started it");
            turn.failure
                .get_or_insert(Failure::new(Code::Busy, message));
        }
        if then == Then::Forget && turn.open.is_empty() && turn.drain.is_none() {
            // Recorded first: what cannot be recorded stays in the list.
            for id in turn
                .ids
                .iter()
                .filter(|id| self.rests(**id))
                .copied()
                .collect::<Vec<_>>()
            {
                self.record_gone(id);
            }
        }
        if !self.written(&mut turn, true) {
            return Some(Pending::Stop(turn, then));
        }
        let mut rows = Rows::new(turn.ids.clone(), false);
        let mut failure = turn.failure.take();
        if then == Then::Forget && self.is_heard(token) {
            let programs = turn.ids.iter().filter_map(|id| self.programs.get(id));
            rows.forgotten = programs.map(|program| program.process()).collect();
        }
        self.take_left(&turn.ids, &mut failure);
        for id in &turn.ids {
            let name = self.programs.get(id).map(|p| p.spec.name.clone());
            let done = match then {
                // What could not be ended stays in the list, where it is ended later.
                Then::Forget if !self.rests(*id) => {
                    self.record_again(*id);
                    Ok(())
                }
                Then::Forget => match self.is_recorded() {
                    Ok(()) => {
                        self.forget(*id);
                        Ok(())
                    }
                    Err(why) => {
                        self.record_again(*id);
                        Err(why)
                    }
                },
                Then::Keep => self.is_recorded(),
            };
            if let (Err(why), Some(name)) = (done, name) {
                let message =
                    format!("{name} is stopped, but the next daemon will not know: {why}");
                failure.get_or_insert(Failure::new(Code::Internal, message));
            }
        }
        rows.last = Some(match failure {
            Some(failure) => failure.to_line(),
            None => self.last_line(&turn),
        });
        Some(Pending::Rows(rows))
    }

    /// The last line about a turn.
    fn last_line(&self, turn: &Turn) -> Line {
        let mut last = ok_count(turn.ids.len());
        if turn.drain.is_some_and(|drain| !self.log.done(drain)) {
            last.push("unwritten", "true");
        }
        if turn.mark.is_some_and(|mark| !self.store.has_reached(mark)) {
            last.push("unsaved", "true");
        }
        last
    }

    /// Once all programs of a turn are where they should be: whether all that they have printed is in their files.
    /// `ended`: they print no more.
    fn written(&mut self, turn: &mut Turn, ended: bool) -> bool {
        if !turn.open.is_empty() {
            return false;
        }
        let token = match turn.drain {
            Some(token) => token,
            None => {
                let token = self.log.drain(turn.ids.clone(), ended);
                turn.drain = Some(token);
                self.retry_store();
                turn.mark = Some(self.store.mark());
                turn.patience = self.patience();
                token
            }
        };
        let recorded = turn.mark.is_none_or(|mark| self.store.has_reached(mark));
        self.log.done(token)
            && self.pid_files_are_gone(&turn.ids)
            && (recorded || self.store.failure().is_some())
            || self.now >= turn.patience
    }

    /// Until when the log writer is waited for.
    pub(crate) fn patience(&mut self) -> u64 {
        let until = self.now.saturating_add(PATIENCE);
        // An earlier one comes first, and sets the timer again.
        if !self.timers.is_set(Timer::Patience) {
            self.timers.set(Timer::Patience, Some(until));
        }
        until
    }

    /// Some answers are given without the log writer; others may still wait for it.
    pub(crate) fn patience_is_over(&mut self) {
        self.changed = true;
        self.set_patience();
    }

    /// Sets the deadline of the answers that wait for a disk, if there are any: nothing wakes an idle daemon.
    pub(crate) fn set_patience(&mut self) {
        let waiting = self.connections.values().filter_map(|c| match &c.pending {
            Some(Pending::Restart(turn) | Pending::Stop(turn, _) | Pending::Upkeep(turn, _)) => {
                Some(turn.patience)
            }
            Some(Pending::Start(start)) => start.mark.map(|(_, until)| until),
            Some(Pending::Sync) => self.sync_until,
            _ => None,
        });
        let next = waiting.filter(|until| *until > self.now).min();
        self.timers.set(Timer::Patience, next);
    }

    fn settle_sync(&mut self, token: u64) -> Option<Pending> {
        if !self.is_synced() && self.sync_failure().is_none() {
            return Some(Pending::Sync);
        }
        let failure = self.sync_failure().filter(|_| !self.is_synced());
        self.sync_until = None;
        self.patience_is_over();
        match failure {
            Some(why) => self.reply(token, |c| c.refuse(&Failure::new(Code::Internal, why))),
            None => self.reply(token, |c| c.say(&Line::new("ok"))),
        }
        None
    }

    fn settle_update(&mut self, token: u64) -> Option<Pending> {
        if self.update.is_some() {
            return Some(Pending::Update);
        }
        // This is the other release.
        let about = self.about();
        self.reply(token, |c| c.say(&about));
        None
    }

    pub(crate) fn reply(
        &mut self,
        token: u64,
        say: impl FnOnce(&mut crate::supervisor::control::connection::Connection),
    ) {
        if let Some(connection) = self.connections.get_mut(&token) {
            say(connection);
        }
    }
}

/// The rows of programs and the last line, which go out as the client takes them.
pub(crate) fn answer(ids: Vec<u32>, last: Option<Line>) -> Pending {
    let mut rows = Rows::new(ids, false);
    rows.last = last;
    Pending::Rows(rows)
}
