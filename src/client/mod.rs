//! `rpm`, the client. It speaks the line protocol to `rpmd`, and launches it if none runs.
//!
//! Dependencies point down only, and no files depend on each other in a circle:
//!
//! ```text
//! commands                                  → all below   one file per family; which function carries out which command
//! logs, monit, web, dev, startup            → all below   the larger commands
//! daemon                                    → display, cli    connecting, launching, requests, the session, the feed
//! display                                                 tables, details, JSON, colours, standard output
//! cli                                                     tables of commands and flags, parsing, help, man, completion
//! ```
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod daemon;
mod dev;
mod display;
mod logs;
mod monit;
mod startup;
mod web;

use std::io::Write;
use std::process::ExitCode;

use cli::arguments::{self, Invocation, UsageError};
use cli::help;
use daemon::session::{self, Session};
use display::output;

/// The program `rpm`.
pub fn main() -> ExitCode {
    // A closed standard output ends the client quietly, as it does other tools of a shell.
    crate::sys::signal::set_default(crate::sys::signal::Signal::PIPE);
    let code = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(invocation) => run(invocation),
        Err(UsageError(sentence)) => {
            output::complain(sentence);
            session::USAGE_ERROR
        }
    };
    ExitCode::from(code)
}

fn run(invocation: Invocation) -> u8 {
    let options = &invocation.options;
    let done = match invocation.command {
        _ if options.version => output::print(help::version().as_bytes()).map(|()| session::DONE),
        Some(command) if options.help => {
            output::print(help::command(command).as_bytes()).map(|()| session::DONE)
        }
        None if options.help => output::print(help::overview().as_bytes()).map(|()| session::DONE),
        Some(command) => commands::run(command, &mut Session::new(invocation)),
        None => {
            let _ = std::io::stderr().write_all(help::overview().as_bytes());
            Ok(session::USAGE_ERROR)
        }
    };
    done.unwrap_or_else(|error| {
        output::complain(error);
        session::FAILED
    })
}
