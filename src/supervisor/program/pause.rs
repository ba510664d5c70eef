//! `pause`: answered when all processes of the programs have stopped.

use crate::error::Reason;
use crate::model::life::{Event, State};
use crate::protocol::reply::{Code, Failure};
use crate::supervisor::control::pending::{Pending, Turn, answer, ok_count};
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::members::Leader;
use crate::supervisor::program::processes::Member;
use crate::supervisor::timers::Timer;
use crate::sys::pid::Pid;
use crate::sys::signal::Signal;

/// The time that processes have to stop. ms
const PAUSE_TIME: u64 = 2000;
/// The interval between checks in that time. ms
const PAUSE_AGAIN: u64 = 2;

impl Supervisor {
    /// Gives the answer when all that was asked for has stopped, or has had its time.
    pub(crate) fn settle_pause(&mut self, token: u64, mut turn: Turn) -> Option<Pending> {
        if turn.patience == 0 {
            turn.patience = self.now.saturating_add(PAUSE_TIME);
        }
        let late = self.now >= turn.patience;
        // What was seen before was perhaps seen before the signal.
        self.processes = None;
        let mut failure = turn.failure.take();
        let mut open = Vec::new();
        for id in std::mem::take(&mut turn.open) {
            match self.still_runs(id) {
                Ok(None) => {}
                Ok(Some(_)) if !late => open.push(id),
                Ok(Some(why)) => {
                    failure.get_or_insert(self.not_paused(id, Code::Timeout, &why));
                }
                Err((code, why)) => {
                    failure.get_or_insert(self.not_paused(id, code, &why));
                }
            }
        }
        (turn.open, turn.failure) = (open, failure);
        if !turn.open.is_empty() {
            self.timers.set(Timer::Pause, Some(self.now + PAUSE_AGAIN));
            return Some(Pending::Pause(turn));
        }
        if let Some(failure) = &turn.failure {
            self.reply(token, |c| c.refuse(failure));
            return None;
        }
        let last = ok_count(turn.ids.len());
        Some(answer(turn.ids, Some(last)))
    }

    fn not_paused(&self, id: u32, code: Code, why: &str) -> Failure {
        let name = self.programs.get(&id).map_or("", |p| p.spec.name.as_str());
        Failure::new(code, format!("pausing {name}: {why}"))
    }

    /// What of a program is not stopped, for people, if anything is; what was forked meanwhile is stopped now.
    fn still_runs(&mut self, id: u32) -> Result<Option<String>, (Code, String)> {
        let not_running = |why: &str| Err((Code::NotRunning, why.to_owned()));
        let Some(program) = self.programs.get(&id) else {
            return not_running("it has been deleted");
        };
        match program.life.state {
            State::Paused => {}
            // It can be stopped when it is the program.
            State::Launching => return Ok(Some("it is being launched".to_owned())),
            State::Online => {
                self.feed(id, Event::Pause);
                return Ok(Some("it runs".to_owned()));
            }
            state => return not_running(&format!("it is {}", state.word())),
        }
        let leader = Pid::new(program.life.pid);
        let whole = program.spec.treekill;
        let members = self
            .members(id, Leader::Lives)
            .map_err(|e| (Code::Internal, Reason(&e).to_string()))?;
        let meant = members.into_iter();
        let meant = meant.filter(|m| whole || Some(m.pid) == leader);
        let running: Vec<Member> = meant.filter(|m| !m.stat.is_stopped()).collect();
        if running.is_empty() {
            return Ok(None);
        }
        self.signal_all(id, Signal::STOP);
        Ok(Some(self.named(&running)))
    }
}
