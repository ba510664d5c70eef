//! The supervisor's side of the log writer: starts it, sends it the programs, and reads its reports.

use std::os::unix::ffi::OsStrExt;

use crate::model::value::Bytes;
use crate::protocol::log_protocol::Order;
use crate::supervisor::daemon::shutdown::Ending;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::log::client::Event;
use crate::supervisor::program::Program;
use crate::supervisor::timers::Timer;

/// A log writer that ran for less than this is replaced after this delay. ms
pub(crate) const LOGGER_AGAIN: u64 = 500;
/// How long until kept descriptors that could not be received are requested again. ms
const RECALL: u64 = 500;

impl Supervisor {
    /// Connects to the log writer, forks one if there is none, and sends it every program.
    pub(crate) fn start_logger(&mut self) {
        self.log_started = self.now;
        let program = if self.way.foreground {
            Bytes::new()
        } else {
            self.way.program.as_os_str().as_bytes().to_vec()
        };
        let started = self
            .log
            .start(&self.home, &program, &self.limits.to_string());
        self.begin_keeping();
        match started {
            Ok(()) => {
                self.hand_over_own_outputs();
                // Some may have exited while no supervisor ran.
                let mut ended: Vec<u32> = self.programs.keys().copied().collect();
                ended.retain(|id| {
                    let ended = self.programs.get(id).is_some_and(|p| p.life.pid == 0);
                    ended && self.end_lines(*id)
                });
                // First the program whose batch the previous log writer did not finish.
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
                // Written directly, as there may never be a log writer.
                self.journal.write();
                self.timers
                    .set(Timer::Logger, Some(self.now + LOGGER_AGAIN));
            }
        }
    }

    pub(crate) fn hear_logger(&mut self) {
        match self.log.receive() {
            Ok(events) => {
                for event in events {
                    match event {
                        Event::Note(text) => self.journal.note(text),
                        Event::Dropped(row) => {
                            if let Some(program) = self.programs.get_mut(&row.id) {
                                program.has_lost(row.stream.index(), row.dropped);
                                self.unrecorded.push(row.id);
                            }
                        }
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
        if soon && !leaving {
            self.timers
                .set(Timer::Logger, Some(self.now + LOGGER_AGAIN));
        } else {
            self.start_logger();
        }
    }
}
