//! The commands: a file per family, and the table that says which function carries out which command.

mod control;
mod daemon;
mod describe;
mod generate;
mod help;
mod jlist;
mod list;
mod process_files;
mod restart;
mod resurrect;
mod save;
mod start;

use super::cli::command::Command;
use super::daemon::session::Session;
use super::{dev, logs, monit, startup, web};
use crate::error::{Error, Result};

/// Carries out a command and returns the exit status.
type Handler = fn(&mut Session) -> Result<u8>;

/// The function of each row of [`super::cli::command::COMMANDS`].
const HANDLERS: &[(&str, Handler)] = &[
    ("start", start::run),
    ("dev", dev::run),
    ("stop", control::stop),
    ("restart", restart::run),
    ("delete", control::delete),
    ("stopAll", control::stop_all),
    ("restartAll", control::restart_all),
    ("pause", control::pause),
    ("resume", control::resume),
    ("sendSignal", control::send_signal),
    ("list", list::run),
    ("jlist", jlist::compact),
    ("prettylist", jlist::indented),
    ("describe", describe::run),
    ("pid", list::pid),
    ("id", list::id),
    ("env", describe::environment),
    ("logs", logs::run),
    ("flush", control::flush),
    ("logrotate", control::rotate_logs),
    ("reloadLogs", control::reload_logs),
    ("monit", monit::run),
    ("events", daemon::events),
    ("save", save::run),
    ("resurrect", resurrect::run),
    ("cleardump", save::clear),
    ("web", web::run),
    ("metrics", web::metrics),
    ("ping", daemon::ping),
    ("sync", daemon::sync),
    ("update", daemon::update),
    ("kill", daemon::kill),
    ("generate", generate::run),
    ("startup", startup::startup),
    ("unstartup", startup::unstartup),
    ("completion", help::completion),
    ("help", help::run),
    ("version", help::version),
];

/// Carries out a command of the table and returns the exit status.
pub fn run(command: &Command, session: &mut Session) -> Result<u8> {
    match HANDLERS.iter().find(|(name, _)| *name == command.name) {
        Some((_, handler)) => handler(session),
        None => Err(Error::new(format!("rpm {} does nothing", command.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::cli::command::COMMANDS;

    #[test]
    fn each_command_has_one_handler_and_each_handler_a_command() {
        let commands: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
        let handlers: Vec<&str> = HANDLERS.iter().map(|(name, _)| *name).collect();
        assert_eq!(commands, handlers, "in the order of the table");
    }
}
