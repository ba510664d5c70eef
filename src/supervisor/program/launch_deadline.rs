//! The deadline of launches: a child between fork and exec opens paths of users, and a file system may never answer.

use std::os::fd::AsFd;

use crate::model::life::START_TIMEOUT;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::LaunchFailure;
use crate::supervisor::program::exec_failure::sentence;
use crate::sys::fd;
use crate::sys::pid::Pid;
use crate::sys::signal::Signal;
use crate::sys::spawn::Stage;

impl Supervisor {
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
