//! The deadlines of launches: pipes and sockets are made in the home or at a path of a user, a child between fork and exec opens paths of users, and a file system may never answer.

use std::os::fd::AsFd;

use crate::model::life::START_TIMEOUT;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::LaunchFailure;
use crate::supervisor::program::exec_failure::sentence;
use crate::supervisor::timers::Timer;
use crate::sys::fd;
use crate::sys::pid::Pid;
use crate::sys::signal::Signal;
use crate::sys::spawn::Stage;

/// How long the pipes and sockets of a program may take to be made. ms
const PREPARATION_TIME: u64 = 20_000;

impl Supervisor {
    /// Sees that the preparation of a launch has an end.
    pub(crate) fn watch_preparation(&mut self, id: u32) {
        let at = self.now.saturating_add(PREPARATION_TIME);
        self.timers.set(Timer::Preparation(id), Some(at));
    }

    /// What a launch needs has not been made in time.
    pub(crate) fn preparation_is_late(&mut self, id: u32) {
        let Some(program) = self.programs.get(&id).filter(|p| p.life.pid == 0) else {
            return;
        };
        let seconds = PREPARATION_TIME / 1000;
        if program.fifos.is_none() {
            let run = self.home.run().display().to_string();
            let why = format!(
                "making its pipes in {run}: it took more than {seconds} s; the file system may hang"
            );
            self.pipes_failed(id, why);
        } else if self.give_up_binding(id) {
            let why = format!(
                "listening at a path: it took more than {seconds} s; the file system may hang"
            );
            self.pipes_failed(id, why);
        }
    }

    /// A child has not executed its program in time: the launch has failed.
    pub(crate) fn launch_is_late(&mut self, id: u32) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        if let Some(run) = &mut program.run {
            run.report = None;
        }
        let name = fd::read_file(format!("/proc/{}/comm", program.life.pid).as_ref());
        let name = name.unwrap_or_default();
        let stage = Stage::of_name(name.trim_ascii_end()).unwrap_or(Stage::Session);
        let reason = std::io::Error::other(format!(
            "it took more than {} s; the file system may hang",
            START_TIMEOUT / 1000
        ));
        let why = sentence(program, &self.home, stage, 0, &reason);
        program.failure = Some(LaunchFailure::NotExecuted(why.clone()));
        self.note(id, format_args!("cannot run: {why}"));
    }

    /// The signal that ends a child before it executes its program: it has blocked all others, and has nothing to see
    /// to before its end. `None`: it executes the program.
    pub(crate) fn signal_before_it_runs(&mut self, id: u32) -> Option<Signal> {
        let program = self.programs.get(&id)?;
        let (child, report) = (Pid::new(program.life.pid), program.report()?);
        let waits = self.driver.is_silent(child, report.as_fd());
        waits.then_some(Signal::KILL)
    }
}
