//! The supervisor's side of the log writer: starts it, sends it the programs, and reads its reports.

use std::os::unix::ffi::OsStrExt;

use crate::model::value::Bytes;
use crate::protocol::log_protocol::Order;
use crate::supervisor::daemon::shutdown::Ending;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::Program;
use crate::supervisor::timers::Timer;

/// A log writer that did not live so long is not replaced at once. ms
pub(crate) const LOGGER_AGAIN: u64 = 500;
/// When the log writer is asked again for what it keeps, where there were no descriptors left to take it. ms
const RECALL: u64 = 500;

impl Supervisor {
    /// Connects to the log writer, forks one if there is none, and sends it every program.
    pub(crate) fn start_logger(&mut self) {
        self.log_started = self.now;
        let program = match self.way.foreground {
            true => Bytes::new(),
            false => self.way.program.as_os_str().as_bytes().to_vec(),
        };
        let started = self
            .log
            .start(&self.home, &program, &self.limits.to_string());
        self.begin_keeping();
        match started {
            Ok(()) => {
                self.hand_over_own_output();
                // Some may have ended when nobody saw it.
                let mut ended: Vec<u32> = self.programs.keys().copied().collect();
                ended.retain(|id| {
                    let ended = self.programs.get(id).is_some_and(|p| p.life.pid == 0);
                    ended && self.end_lines(*id)
                });
                // First the one whose output the last log writer had begun to move.
                let unfinished = self.log.unfinished();
                let mut logged: Vec<&Program> =
                    self.programs.values().filter(|p| p.logged).collect();
                logged.sort_by_key(|p| Some(p.id) != unfinished);
                let orders: Vec<Order> = logged.into_iter().map(|p| self.open_order(p)).collect();
                for order in orders {
                    self.log.order(&order);
                }
                for id in ended {
                    self.log.order(&Order::Ended { id });
                }
                self.log.order(&Order::Complete);
                self.log.ask_again();
            }
            Err(e) => {
                if self.logger_failed.may_be_said(self.now) {
                    self.journal
                        .note(format_args!("starting the log writer: {e}; trying again"));
                }
                // Whoever looks for the reason finds it there, and there may never be a log writer.
                self.journal.write();
                self.timers
                    .set(Timer::Logger, Some(self.now + LOGGER_AGAIN));
            }
        }
    }

    pub(crate) fn hear_logger(&mut self) {
        match self.log.receive() {
            Ok(notes) => {
                for note in notes {
                    self.journal.note(note);
                }
                for (id, which, loss) in self.log.take_losses() {
                    if let Some(program) = self.programs.get_mut(&id) {
                        program.has_lost(which, loss);
                        self.unrecorded.push(id);
                    }
                }
                if let Some(kept) = self.log.take_kept() {
                    self.take_back(kept);
                }
                if self.log.is_incomplete() && !self.timers.is_set(Timer::Recall) {
                    self.timers.set(Timer::Recall, Some(self.now + RECALL));
                }
                self.settle_closing();
                self.changed = true;
            }
            Err(()) => self.logger_lost(),
        }
    }

    pub(crate) fn logger_lost(&mut self) {
        let leaving = self.log.was_leaving();
        self.log.lost();
        if self.ending == Some(Ending::Farewell) {
            self.log.forget(&self.home);
            self.changed = true;
            return;
        }
        let soon = self.now.saturating_sub(self.log_started) < LOGGER_AGAIN;
        if !leaving {
            self.journal
                .note("the log writer has ended; starting another");
        }
        match soon && !leaving {
            true => self
                .timers
                .set(Timer::Logger, Some(self.now + LOGGER_AGAIN)),
            false => self.start_logger(),
        }
    }
}
