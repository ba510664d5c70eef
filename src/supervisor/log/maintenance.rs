//! Requests of clients that empty, rotate or reopen log files. The log writer carries them out.

use std::collections::VecDeque;

use crate::protocol::log_protocol::{Order, Upkeep};
use crate::protocol::reply::{Code, Failure};
use crate::supervisor::control::pending::{Pending, Rows, Turn};
use crate::supervisor::event_loop::Supervisor;

impl Supervisor {
    pub(crate) fn settle_upkeep(
        &mut self,
        token: u64,
        mut turn: Turn,
        what: Upkeep,
    ) -> Option<Pending> {
        let asked = match turn.drain {
            Some(asked) => asked,
            None => {
                turn.patience = self.patience();
                self.ask_for_upkeep(&turn.ids, what)
            }
        };
        turn.drain = Some(asked);
        if !self.log.done(asked) {
            if self.now < turn.patience {
                return Some(Pending::Upkeep(turn, what));
            }
            turn.failure.get_or_insert(Failure::new(
                Code::Timeout,
                "the log writer does not answer, the disk may hang; it does this as soon as it can",
            ));
        }
        if let Some(failure) = &turn.failure {
            self.reply(token, |c| c.refuse(failure));
            return None;
        }
        if what == Upkeep::Flush {
            self.forget_losses(&turn.ids);
        }
        Some(Pending::Rows(Rows::new(turn.ids, false)))
    }

    /// A flush also resets the counts of dropped output.
    fn forget_losses(&mut self, ids: &[u32]) {
        for id in ids {
            if let Some(program) = self.programs.get_mut(id).filter(|p| p.lost_in_all > 0) {
                program.lost_in_all = program.lost.iter().map(|loss| loss.bytes).sum();
                self.unrecorded.push(*id);
            }
        }
    }

    fn ask_for_upkeep(&mut self, ids: &[u32], what: Upkeep) -> u64 {
        let token = self.log.next_token();
        let programs = ids.iter().filter_map(|id| self.programs.get(id));
        let orders = programs.map(|program| Order::Upkeep {
            what,
            id: program.id,
            output: self.output(program),
            token,
        });
        let orders: VecDeque<Order> = orders.collect();
        self.log.ask(orders)
    }

    /// Passes failures of the log writer on to the clients that wait.
    pub(crate) fn take_failures(&mut self) {
        for (token, why) in self.log.take_failures() {
            for connection in self.connections.values_mut() {
                match &mut connection.pending {
                    Some(Pending::Upkeep(turn, _)) if turn.drain == Some(token) => {
                        let failure = Failure::new(Code::Internal, &why);
                        turn.failure.get_or_insert(failure);
                    }
                    _ => {}
                }
            }
        }
    }
}
