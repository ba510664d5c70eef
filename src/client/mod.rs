//! `rpm`, the client: commands, help, tables. It speaks the line protocol to `rpmd`, and launches it where none runs.
#![forbid(unsafe_code)]

mod arguments;
mod command;
mod completion;
mod connect;
mod control;
mod daemon;
mod describe;
mod dev;
mod exchange;
mod feed;
mod file;
mod flag;
mod generate;
mod group;
mod help;
mod jlist;
mod link;
mod list;
mod logs;
mod man;
mod monit;
mod output;
mod own_output;
mod pattern;
mod record;
mod restart;
mod resurrect;
mod roff;
mod save;
mod session;
mod shell;
mod sort;
mod start;
mod startup;
mod stdout_writer;
mod table;
mod usage;
mod web;

use std::io::Write;
use std::process::ExitCode;

use arguments::{Invocation, Misuse};
use session::Session;

/// The program `rpm`.
pub fn main() -> ExitCode {
    // A closed standard output ends the client quietly, as it does other tools of a shell.
    crate::sys::signal::set_default(crate::sys::signal::Signal::PIPE);
    let code = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(invocation) => run(invocation),
        Err(Misuse(sentence)) => {
            output::complain(sentence);
            session::MISUSED
        }
    };
    ExitCode::from(code)
}

fn run(invocation: Invocation) -> u8 {
    let done = match invocation.command {
        _ if invocation.options.version => daemon::version(&mut Session::new(invocation)),
        Some(command) if invocation.options.help => {
            output::print(help::command(command).as_bytes()).map(|()| session::DONE)
        }
        None if invocation.options.help => {
            output::print(help::overview().as_bytes()).map(|()| session::DONE)
        }
        Some(command) => (command.run)(&mut Session::new(invocation)),
        None => {
            let _ = std::io::stderr().write_all(help::overview().as_bytes());
            Ok(session::MISUSED)
        }
    };
    done.unwrap_or_else(|error| {
        output::complain(error);
        session::FAILED
    })
}
