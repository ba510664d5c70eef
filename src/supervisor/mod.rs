//! `rpmd`, the supervisor: control socket, a life for each program, the reaping of the dead.

mod adoption;
mod answer;
mod cgroups;
mod channel;
mod clients;
mod cluster;
mod connection;
mod ending;
mod events;
mod exec_failure;
mod files;
mod handover;
mod home_watch;
mod init;
mod journal;
mod keeping;
mod launches;
mod leftovers;
mod lifecycle;
mod limits;
mod log_link;
mod log_writer;
mod members;
mod own_output;
mod pause;
mod pid_file;
mod processes;
mod program;
mod records;
mod requests;
mod rows;
mod select;
mod server;
mod serving;
mod setup;
mod signalling;
mod sockets;
mod state;
mod sync;
mod timers;
mod unread;
mod update;
mod upkeep;

use std::process::ExitCode;

use limits::Limits;

use crate::error::{Error, Result};
use crate::paths::Home;
use crate::protocol::{DAEMON_OPTIONS, RELEASE};

enum Task {
    Serve(setup::Mode, Option<Limits>),
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
            Home::from_environment().and_then(|home| setup::run(home, mode, limits))
        }
        Task::Check => Home::from_environment()
            .and_then(|home| update::self_check(&home))
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
    let mut mode = setup::Mode::Daemon;
    let mut limits = None;
    while let Some(arg) = parser.next().map_err(|e| Error::new(e.to_string()))? {
        match arg {
            Long("foreground") if mode == setup::Mode::Standby => {}
            Long("foreground") => mode = setup::Mode::Foreground,
            Long("standby") => mode = setup::Mode::Standby,
            Long("launched") => mode = setup::Mode::Launched,
            Long("resume") => mode = setup::Mode::Resumed,
            Long("updated") => {
                let fd = parser.value().ok().and_then(|fd| fd.to_str()?.parse().ok());
                let fd =
                    fd.ok_or_else(|| Error::new("--updated needs the number of a descriptor"))?;
                mode = setup::Mode::Updated(fd);
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
