//! A private daemon, for as long as it is needed.

use crate::measure::{self, wait_until};
use crate::proc;
use crate::workshop::{Place, Workshop};
use rpm::error::{Context, Error, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// An `RPM_HOME` that no daemon knew before. When it is dropped its daemon is killed; its files stay to the
/// end of the run.
pub struct Home<'a> {
    workshop: &'a Workshop,
    folder: PathBuf,
}

impl<'a> Home<'a> {
    /// A new home, without a daemon as yet.
    pub fn new(workshop: &'a Workshop, place: Place) -> Home<'a> {
        Home {
            workshop,
            folder: workshop.fresh(place),
        }
    }

    /// The command `rpm ARGUMENTS` for this home. The first one launches the daemon.
    pub fn rpm(&self, arguments: &[&str]) -> Command {
        let mut command = self.workshop.command(self.workshop.program("rpm"));
        command.env("RPM_HOME", &self.folder).args(arguments);
        command
    }

    /// Runs `rpm ARGUMENTS` and gives the seconds that it took.
    pub fn run(&self, arguments: &[&str]) -> Result<f64> {
        measure::wall(&mut self.rpm(arguments))
    }

    /// Starts `count` programs that do nothing and gives the seconds that it took.
    pub fn start_pausers(&self, name: &str, count: usize) -> Result<f64> {
        let program = self.workshop.program("pauser");
        let program = program.to_string_lossy();
        self.run(&["start", &program, "--name", name, "-i", &count.to_string()])
    }

    /// The proportional share of memory of the supervisor and the log writer, in bytes.
    pub fn memory(&self) -> Result<u64> {
        Ok(proc::memory(self.supervisor()?)? + proc::memory(self.log_writer()?)?)
    }

    /// The pid of the log writer.
    pub fn log_writer(&self) -> Result<u32> {
        let supervisor = self.supervisor()?;
        let is_it = |p: &proc::Process| p.parent == supervisor && p.name == "rpmd-log";
        let log_writer = proc::all().into_iter().find(is_it);
        let none = || Error::new(format!("the supervisor {supervisor} has no rpmd-log"));
        Ok(log_writer.ok_or_else(none)?.pid)
    }

    /// The pid of the supervisor.
    pub fn supervisor(&self) -> Result<u32> {
        let path = self.folder.join("rpmd.pid");
        let text = fs::read_to_string(&path).doing(|| format!("reading {}", path.display()))?;
        let pid = text.trim().parse();
        pid.map_err(|_| Error::new(format!("{} holds no pid, but {text:?}", path.display())))
    }
}

impl Drop for Home<'_> {
    fn drop(&mut self) {
        let Ok(supervisor) = self.supervisor() else {
            return;
        };
        // Stopped, not forgotten: removing the records of hundreds of programs slows the making of files on this file
        // system for a minute or more, and the next rows would measure that.
        let _ = self.run(&["stop", "all"]);
        let _ = Command::new("kill").arg(supervisor.to_string()).status();
        // What is still there then is left to the sweeper, at the end.
        let pause = Duration::from_millis(10);
        let gone = wait_until("rpmd to end", Duration::from_secs(10), pause, || {
            !proc::runs(supervisor)
        });
        if let Err(error) = gone {
            eprintln!("{error}");
        }
    }
}
