//! `rpmd`, the supervisor: control socket, a life for each program, the reaping of the dead.

mod control;
mod daemon;
mod driver;
mod event_loop;
mod log;
mod node;
mod program;
#[cfg(test)]
mod scenes;
mod sockets;
mod store;
mod timers;

use std::process::ExitCode;

use daemon::{startup, upgrade};
use program::limits::Limits;

use crate::error::{Error, Result};
use crate::paths::Home;
use crate::protocol::{DAEMON_OPTIONS, RELEASE};

enum Task {
    Serve(startup::Mode, Option<Limits>),
    Check,
    Say(String),
}

/// The program `rpmd`.
pub fn main() -> ExitCode {
    let task = match parse() {
        Ok(task) => task,
        Err(e) => {
            eprintln!("rpmd: {e}; see rpmd --help");
            return ExitCode::from(2);
        }
    };
    let done = match task {
        Task::Say(text) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Task::Serve(mode, limits) => {
            Home::from_environment().and_then(|home| startup::run(home, mode, limits))
        }
        Task::Check => Home::from_environment()
            .and_then(|home| upgrade::self_check(&home))
            .map(|line| println!("{line}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("rpmd: {e}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Task> {
    use lexopt::Arg::{Long, Short};
    let mut parser = lexopt::Parser::from_env();
    let mut mode = startup::Mode::Daemon;
    let mut limits = None;
    while let Some(arg) = parser.next().map_err(|e| Error::new(e.to_string()))? {
        match arg {
            Long("foreground") if mode == startup::Mode::Standby => {}
            Long("foreground") => mode = startup::Mode::Foreground,
            Long("standby") => mode = startup::Mode::Standby,
            Long("launched") => mode = startup::Mode::Launched,
            Long("resume") => mode = startup::Mode::Resumed,
            Long("updated") => {
                let fd = parser.value().ok().and_then(|fd| fd.to_str()?.parse().ok());
                let fd =
                    fd.ok_or_else(|| Error::new("--updated needs the number of a descriptor"))?;
                mode = startup::Mode::Updated(fd);
            }
            Long("limits") => {
                let text = parser.value().ok();
                limits = text.and_then(|text| Limits::parse(text.to_str()?));
            }
            Long("self-check") => return Ok(Task::Check),
            Long("help") | Short('h') => return Ok(Task::Say(help())),
            Long("version") | Short('V') => return Ok(Task::Say(format!("rpmd {RELEASE}"))),
            other => return Err(Error::new(other.unexpected().to_string())),
        }
    }
    Ok(Task::Serve(mode, limits))
}

fn help() -> String {
    let mut text =
        "usage: rpmd [--foreground]\n\nKeeps programs running; rpm tells it what to do. \
                    It serves the folder RPM_HOME, by default ~/.rpm.\n"
            .to_owned();
    for (option, meaning) in DAEMON_OPTIONS {
        text.push_str(&format!("\n  {option:<15}{meaning}"));
    }
    text
}
