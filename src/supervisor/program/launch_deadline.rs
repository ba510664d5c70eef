//! The deadline of launches: pipes and sockets are made in the home or at the path of a user, and a child between fork
//! and exec opens paths of users. A file system may never answer.

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
    /// What a launch needs was not made in time, or its child has not executed the program: the launch has failed.
    pub(crate) fn launch_is_late(&mut self, id: u32) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        if program.life.pid == 0 {
            let doing = if program.fifos.is_none() {
                format!("making its pipes in {}", self.home.run().display())
            } else {
                self.give_up_binding(id);
                "listening at a path".to_owned()
            };
            let why = format!("{doing}: {}", late());
            self.launches.retain(|(launch, _)| *launch != id);
            return self.has_failed(id, why);
        }
        if let Some(run) = &mut program.run {
            run.report = None;
        }
        let name = fd::read_file(format!("/proc/{}/comm", program.life.pid).as_ref());
        let name = name.unwrap_or_default();
        let stage = Stage::of_name(name.trim_ascii_end()).unwrap_or(Stage::Session);
        let reason = std::io::Error::other(late());
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

/// What is said of a launch that has had its time.
fn late() -> String {
    format!(
        "it took more than {} s; the file system may hang",
        START_TIMEOUT / 1000
    )
}
