//! Answers that are given when they have become true. While one is pending, no other client waits for it.

use super::ending::Ending;
use super::server::Supervisor;
use super::timers::Timer;
use crate::app::life::{Event, State, Want};
use crate::app::spec::Spec;
use crate::protocol::line::Line;
use crate::protocol::link::Upkeep;
use crate::protocol::reply::{Code, Failure};
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
    /// Until when that is waited for: the disk may hang. ms
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
            patience: 0,
            failure: None,
        }
    }
}

/// A listing under way.
#[derive(Debug)]
pub struct Rows {
    /// What is listed.
    pub ids: Vec<u32>,
    /// How many of them have been.
    pub done: usize,
    /// With every field of each.
    pub full: bool,
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
    pub(super) fn settle_answers(&mut self) -> bool {
        self.take_failures();
        let mut more = false;
        let waiting = self.connections.iter().filter(|(_, c)| c.pending.is_some());
        let tokens: Vec<u64> = waiting.map(|(token, _)| *token).collect();
        for token in tokens {
            let connection = self.connections.get_mut(&token);
            let Some(pending) = connection.and_then(|c| c.pending.take()) else {
                continue;
            };
            let (left, busy) = match pending {
                Pending::Start(start) => self.settle_start(token, start),
                Pending::Restart(turn) => (self.settle_restart(token, turn), false),
                Pending::Stop(turn, then) => (self.settle_stop(token, turn, then), false),
                Pending::Upkeep(turn, what) => (self.settle_upkeep(token, turn, what), false),
                Pending::Rows(rows) => (self.settle_rows(token, rows), false),
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
            match self.add(&start.spec, &start.spec_text, instance, start.want) {
                Ok(id) => start.ids.push(id),
                Err(e) => start.failure = Some(Failure::new(Code::Internal, e.to_string())),
            }
        }
        if start.failure.is_none() {
            let failed = start
                .ids
                .iter()
                .find_map(|id| self.programs.get(id)?.failure.clone());
            start.failure = failed.map(|why| Failure::new(Code::ExecFailed, why));
        }
        if let Some(failure) = start.failure.take() {
            for id in &start.ids {
                self.feed(*id, Event::Stop);
            }
            if start.ids.iter().all(|id| self.rests(*id)) {
                for id in &start.ids {
                    if let Err(e) = self.forget(*id) {
                        self.note(*id, e);
                    }
                }
                self.take_ids_back(&start.ids);
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
            self.reply_rows(token, &start.ids);
            return (None, false);
        }
        let more = start.ids.len() < wanted;
        (Some(Pending::Start(start)), more)
    }

    /// Nobody has seen the numbers of programs that never ran: they are free, where no later one is taken.
    fn take_ids_back(&mut self, ids: &[u32]) {
        let (first, last) = (ids.iter().min(), ids.iter().max());
        if let (Some(first), Some(last)) = (first, last) {
            if last.saturating_add(1) == self.next_id {
                self.next_id = *first;
            }
        }
    }

    fn settle_restart(&mut self, token: u64, mut turn: Turn) -> Option<Pending> {
        let mut failure = turn.failure.take();
        turn.open.retain(|id| {
            let Some(program) = self.programs.get(id) else {
                return false;
            };
            if let Some(why) = &program.failure {
                let sentence = format!("{}: {why}", program.spec.name);
                failure.get_or_insert(Failure::new(Code::ExecFailed, sentence));
                return false;
            }
            matches!(program.life.state, State::Launching | State::Stopping)
        });
        turn.failure = failure;
        if !self.written(&mut turn, false) {
            return Some(Pending::Restart(turn));
        }
        match &turn.failure {
            Some(failure) => self.reply(token, |c| c.refuse(failure)),
            None => {
                self.reply_rows_before(token, &turn.ids);
                self.reply_done(token, &turn);
            }
        }
        None
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
        if !self.written(&mut turn, true) {
            return Some(Pending::Stop(turn, then));
        }
        self.reply_rows_before(token, &turn.ids);
        let mut failure = turn.failure.take();
        for id in &turn.ids {
            let name = self.programs.get(id).map(|p| p.spec.name.clone());
            let done = match then {
                Then::Forget => self.forget(*id),
                Then::Keep => self.is_recorded(*id),
            };
            if let (Err(why), Some(name)) = (done, name) {
                let message =
                    format!("{name} is stopped, but the next daemon will not know: {why}");
                failure.get_or_insert(Failure::new(Code::Internal, message));
            }
        }
        match failure {
            Some(failure) => self.reply(token, |c| c.refuse(&failure)),
            None => self.reply_done(token, &turn),
        }
        None
    }

    /// Whether what is wanted of a program is on record; tries it once more.
    fn is_recorded(&mut self, id: u32) -> std::result::Result<(), String> {
        let unrecorded = |s: &Supervisor| s.programs.get(&id).and_then(|p| p.unrecorded.clone());
        if unrecorded(self).is_some() {
            self.record(id);
        }
        match unrecorded(self) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    /// The last line about a turn.
    fn reply_done(&mut self, token: u64, turn: &Turn) {
        let mut last = ok_count(turn.ids.len());
        if turn.drain.is_some_and(|drain| !self.log.done(drain)) {
            last.push("unwritten", "true");
        }
        self.reply(token, |c| c.say(&last));
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
                turn.patience = self.patience();
                token
            }
        };
        self.log.done(token) || self.now >= turn.patience
    }

    /// Until when the log writer is waited for.
    pub(super) fn patience(&mut self) -> u64 {
        let until = self.now.saturating_add(PATIENCE);
        // An earlier one comes first, and sets the timer again.
        if !self.timers.is_set(Timer::Patience) {
            self.timers.set(Timer::Patience, Some(until));
        }
        until
    }

    /// Some answers are given without the log writer; others may still wait for it.
    pub(super) fn patience_is_over(&mut self) {
        self.changed = true;
        let waiting = self.connections.values().filter_map(|c| match &c.pending {
            Some(Pending::Restart(turn) | Pending::Stop(turn, _) | Pending::Upkeep(turn, _)) => {
                Some(turn.patience)
            }
            _ => None,
        });
        let next = waiting.filter(|until| *until > self.now).min();
        self.timers.set(Timer::Patience, next);
    }

    fn settle_rows(&mut self, token: u64, mut rows: Rows) -> Option<Pending> {
        while let Some(id) = rows.ids.get(rows.done) {
            let connection = self.connections.get_mut(&token)?;
            if !connection.comfortable() {
                return Some(Pending::Rows(rows));
            }
            if let Some(program) = self.programs.get_mut(id) {
                let process = program.measured(self.proc.as_ref());
                connection.say_with("process", |line| match rows.full {
                    true => program.describe(&process, &self.home, line),
                    false => process.write(line),
                });
            }
            rows.done += 1;
        }
        let mut last = ok_count(rows.ids.len());
        self.say_unlisted(&mut last);
        self.reply(token, |c| c.say(&last));
        None
    }

    fn settle_sync(&mut self, token: u64) -> Option<Pending> {
        if !self.is_synced() {
            return Some(Pending::Sync);
        }
        let ids: Vec<u32> = self.programs.keys().copied().collect();
        let unrecorded = ids.into_iter().find_map(|id| self.is_recorded(id).err());
        match unrecorded.or_else(|| self.sync_failure()) {
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

    fn settle_kill(&mut self, token: u64) -> Option<Pending> {
        if self.ending != Some(Ending::Farewell) {
            return Some(Pending::Kill);
        }
        // The connection ends with the process: so the client sees when the next daemon may come.
        self.reply_end(token);
        None
    }

    pub(super) fn reply(
        &mut self,
        token: u64,
        say: impl FnOnce(&mut super::connection::Connection),
    ) {
        if let Some(connection) = self.connections.get_mut(&token) {
            say(connection);
        }
    }

    /// A row for each program, without the last line.
    fn reply_rows_before(&mut self, token: u64, ids: &[u32]) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        for program in ids.iter().filter_map(|id| self.programs.get(id)) {
            connection.say_with("process", |line| program.process().write(line));
        }
    }

    pub(super) fn reply_rows(&mut self, token: u64, ids: &[u32]) {
        self.reply_rows_before(token, ids);
        self.reply(token, |c| c.say(&ok_count(ids.len())));
    }

    fn rests(&self, id: u32) -> bool {
        self.programs.get(&id).is_none_or(|p| p.life.at_rest())
    }

    /// The ids that targets mean. A target that means nothing fails them all.
    pub(super) fn select(&self, targets: &[String]) -> Result<Vec<u32>, Failure> {
        use crate::app::selector::{Selector, Subject};
        let mut ids = Vec::new();
        for target in targets {
            let subjects = self.programs.values().map(|p| Subject {
                id: p.id,
                name: &p.spec.name,
                namespace: &p.spec.namespace,
            });
            let found = Selector::parse(target).select(subjects);
            if found.is_empty() {
                return Err(self.nothing_matches(target));
            }
            ids.extend(found);
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}
