//! The deadline of launches: a child between fork and exec opens paths of users, and a file system may never answer.

use std::os::fd::AsFd;
use std::time::Duration;

use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::exec_failure::sentence;
use crate::supervisor::timers::Timer;
use crate::sys::fd;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::Signal;
use crate::sys::spawn::Stage;

/// How long a child may take until it executes the program: longer than an automounter or a slow disk needs. ms
const LAUNCH_TIME: u64 = 20_000;
/// How often a child that was late is killed again: it may wait where no signal reaches it. ms
const KILL_AGAIN: u64 = 5_000;

impl Supervisor {
    /// Sees that a launch has an end.
    pub(crate) fn watch_launch(&mut self, id: u32) {
        let at = self.now.saturating_add(LAUNCH_TIME);
        self.timers.set(Timer::Launch(id), Some(at));
    }

    /// A child has not executed its program in time: that is a launch that failed, and the child is ended.
    pub(crate) fn launch_is_late(&mut self, id: u32) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        if program.life.pid == 0 && program.fifos.is_none() {
            let why = format!(
                "making its pipes in {}: it took more than {} s; the file system may hang",
                self.home.run().display(),
                LAUNCH_TIME / 1000
            );
            self.pipes_failed(id, why);
            return;
        }
        let waits = program.life.pid == 0;
        if waits && self.give_up_binding(id) {
            let why = format!(
                "listening at a path: it took more than {} s; the file system may hang",
                LAUNCH_TIME / 1000
            );
            return self.pipes_failed(id, why);
        }
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        let late = program.report.take().is_some();
        if program.life.pid == 0 || !late && program.late != Some(program.run) {
            return;
        }
        if late {
            let name = fd::read_file(format!("/proc/{}/comm", program.life.pid).as_ref());
            let name = name.unwrap_or_default();
            let stage = Stage::of_name(name.trim_ascii_end()).unwrap_or(Stage::Session);
            let reason = std::io::Error::other(format!(
                "it took more than {} s; the file system may hang",
                LAUNCH_TIME / 1000
            ));
            let why = sentence(program, &self.home, stage, 0, &reason);
            program.late = Some(program.run);
            program.failure = Some(why.clone());
            self.changed = true;
            self.note(id, format_args!("cannot run: {why}"));
        }
        self.signal_all(id, Signal::KILL);
        let again = self.now.saturating_add(KILL_AGAIN);
        self.timers.set(Timer::Launch(id), Some(again));
    }

    /// The signal that ends a child before it executes its program: it has blocked all others, and has nothing to see
    /// to before its end. `None`: it executes the program.
    pub(crate) fn signal_before_it_runs(&self, id: u32) -> Option<Signal> {
        let program = self.programs.get(&id)?;
        if program.late == Some(program.run) {
            return Some(Signal::KILL);
        }
        let mut set = PollSet::default();
        set.push(program.report.as_ref()?.as_fd(), Interest::READ, ());
        // It has something to say when it executes, or has failed.
        let looked = set.wait(Some(Duration::ZERO));
        let waits = looked.is_ok() && set.ready().next().is_none();
        waits.then_some(Signal::KILL)
    }
}
