//! The end of the daemons: what becomes of the programs first, and who is taken leave of.

use crate::model::life::{Event, State};
use crate::protocol::log_protocol::Order;
use crate::protocol::reply::{Code, Failure};
use crate::supervisor::control::connection::Connection;
use crate::supervisor::control::pending::{Pending, add_failure};
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::timers::Timer;

/// How long the end waits for clients to take their answers. ms
const FAREWELL: u64 = 1000;

/// Why and how far the daemon is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All programs are stopped and forgotten.
    Forget,
    /// Programs run on, for the next supervisor to adopt.
    Leave,
    /// All programs are stopped; the next supervisor starts those that were wanted up.
    Keep,
    /// Nothing runs any more: the log writer and the clients are taken leave of.
    Farewell,
}

impl Supervisor {
    /// Begins the end.
    pub(crate) fn end(&mut self, ending: Ending) {
        match self.ending {
            None | Some(Ending::Keep) => self.ending = Some(ending),
            Some(Ending::Forget | Ending::Leave | Ending::Farewell) => return,
        }
        self.changed = true;
        if ending == Ending::Leave {
            return;
        }
        self.tell_of_the_end();
        let ids: Vec<u32> = self.programs.keys().copied().collect();
        for id in ids {
            self.feed(
                id,
                if ending == Ending::Keep {
                    Event::Shutdown
                } else {
                    Event::Stop
                },
            );
        }
    }

    /// Answers whoever has asked for the end.
    pub(crate) fn settle_kill(&mut self, token: u64) -> Option<Pending> {
        if self.ending != Some(Ending::Farewell) {
            return Some(Pending::Kill);
        }
        // The connection ends with the process: so the client sees when the next daemon may come.
        match self.left_behind.is_empty() {
            true => self.reply_end(token),
            false => {
                let failure = Failure::new(Code::Timeout, self.left_behind.join("; "));
                self.reply(token, |c| c.refuse(&failure));
            }
        }
        None
    }

    /// Goes on with the end as far as it is possible now.
    pub(crate) fn settle_end(&mut self) {
        let come = match self.ending {
            // What cannot be ended is left behind, and named.
            Some(Ending::Forget | Ending::Keep) => {
                self.programs.keys().all(|id| self.is_settled(*id))
            }
            // A child that has not executed yet may still have something to say.
            Some(Ending::Leave) => {
                let mut all = self.programs.values();
                all.all(|p| p.life.state != State::Launching || p.report().is_none())
            }
            Some(Ending::Farewell) | None => false,
        };
        if !come {
            return;
        }
        let (token, until) = match self.last_drain {
            Some(asked) => asked,
            None => {
                let ids = self.programs.keys().copied().collect();
                let last = self.ending != Some(Ending::Leave);
                (self.log.drain(ids, last), self.patience())
            }
        };
        self.last_drain = Some((token, until));
        if !self.log.done(token) && self.now < until {
            return;
        }
        if !self.log.done(token) {
            self.journal.note(
                "not all output could be written in time: a disk hangs or a reader does not read",
            );
        }
        if self.ending != Some(Ending::Leave) {
            self.name_what_is_left();
        }
        if self.ending == Some(Ending::Forget) {
            let mut ids: Vec<u32> = self.programs.keys().copied().collect();
            // The others stay on record: the next daemon goes on ending them.
            ids.retain(|id| self.rests(*id));
            for id in ids {
                if let Err(e) = self.forget(id) {
                    self.note(id, e);
                }
            }
            if self.programs.is_empty() {
                // An empty list begins anew.
                self.next_id = 0;
            }
            self.note_state();
        }
        // The groups of those that run, or cannot be ended, are not empty: they stay, and the folder with them.
        self.cgroups.remove_others(|_| false);
        self.cgroups.remove_folder();
        let _ = std::fs::remove_file(self.home.socket());
        self.log.order(&Order::Bye);
        self.ending = Some(Ending::Farewell);
        self.timers.set(Timer::Farewell, Some(self.now + FAREWELL));
        self.changed = true;
    }

    /// Notes what has not ended, or may not have, though all programs were stopped.
    fn name_what_is_left(&mut self) {
        let ids: Vec<u32> = self.programs.keys().copied().collect();
        let mut failure = None;
        for id in &ids {
            if !self.rests(*id) {
                let sentence = self.cannot_be_ended(*id);
                add_failure(&mut failure, Failure::new(Code::Timeout, sentence));
            }
        }
        self.take_left(&ids, &mut failure);
        self.name_reported(&mut failure);
        if let Some(failure) = failure {
            self.journal
                .note(format_args!("ending, though {}", failure.message));
            self.left_behind.push(failure.message);
        }
    }

    /// Whether the end has come: nothing runs, and everybody has heard what was to be said.
    pub(crate) fn finished(&self) -> bool {
        self.ending == Some(Ending::Farewell)
            && (!self.timers.is_set(Timer::Farewell)
                || self.log.stream().is_none()
                    && self.connections.values().all(Connection::flushed))
    }
}
