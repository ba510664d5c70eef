//! The end of the daemons: what becomes of the programs first, and who is taken leave of.

use super::connection::Connection;
use super::server::Supervisor;
use super::timers::Timer;
use crate::app::life::Event;
use crate::protocol::link::Order;

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
    pub(super) fn end(&mut self, ending: Ending) {
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
            if let Some(program) = self
                .programs
                .get_mut(&id)
                .filter(|_| ending == Ending::Keep)
            {
                program.wanted = Some(program.life.want);
            }
            self.feed(id, Event::Stop);
        }
    }

    /// Goes on with the end as far as it is possible now.
    pub(super) fn settle_end(&mut self) {
        let come = match self.ending {
            Some(Ending::Forget | Ending::Keep) => self.programs.values().all(|p| p.life.at_rest()),
            // A child that has not executed yet may still have something to say.
            Some(Ending::Leave) => self.programs.values().all(|p| p.report.is_none()),
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
                "not all output could be written in time: a disk hangs, or a reader does not read",
            );
        }
        if self.ending == Some(Ending::Forget) {
            let ids: Vec<u32> = self.programs.keys().copied().collect();
            for id in ids {
                if let Err(e) = self.forget(id) {
                    self.note(id, e);
                }
            }
            // An empty list begins anew.
            self.next_id = 0;
            self.note_state();
        }
        let _ = std::fs::remove_file(self.home.socket());
        self.log.order(&Order::Bye);
        self.ending = Some(Ending::Farewell);
        self.timers.set(Timer::Farewell, Some(self.now + FAREWELL));
        self.changed = true;
    }

    /// Whether the end has come: nothing runs, and everybody has heard what was to be said.
    pub(super) fn finished(&self) -> bool {
        self.ending == Some(Ending::Farewell)
            && (!self.timers.is_set(Timer::Farewell)
                || self.log.stream().is_none()
                    && self.connections.values().all(Connection::flushed))
    }
}
