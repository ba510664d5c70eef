//! The commands that change the state of programs that are managed already.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt;

use super::list;
use super::output::harmless;
use super::session::{DONE, Session};
use crate::app::spec::{Environment, Spec};
use crate::app::value::{SignalNumber, Value};
use crate::error::{Error, Result};
use crate::protocol::process::Process;
use crate::protocol::request::Request;
use crate::units;

/// `rpm stop`
pub fn stop(session: &mut Session) -> Result<u8> {
    let targets = session.targets()?;
    carry_out(session, &Request::Stop { targets }, "stopped")
}

/// `rpm restart`
pub fn restart(session: &mut Session) -> Result<u8> {
    let targets = session.targets()?;
    let env = session.invocation.options.update_env.then(|| {
        Box::new(Spec {
            env: present_environment().into(),
            ..Spec::default()
        })
    });
    carry_out(session, &Request::Restart { targets, env }, "restarted")
}

/// `rpm delete`
pub fn delete(session: &mut Session) -> Result<u8> {
    let targets = session.targets()?;
    carry_out(session, &Request::Delete { targets }, "deleted")
}

/// `rpm stopAll`
pub fn stop_all(session: &mut Session) -> Result<u8> {
    let targets = vec!["all".to_owned()];
    carry_out(session, &Request::Stop { targets }, "stopped")
}

/// `rpm restartAll`
pub fn restart_all(session: &mut Session) -> Result<u8> {
    let targets = vec!["all".to_owned()];
    carry_out(
        session,
        &Request::Restart { targets, env: None },
        "restarted",
    )
}

/// `rpm pause`
pub fn pause(session: &mut Session) -> Result<u8> {
    let targets = session.targets()?;
    carry_out(session, &Request::Pause { targets }, "paused")
}

/// `rpm resume`
pub fn resume(session: &mut Session) -> Result<u8> {
    let targets = session.targets()?;
    carry_out(session, &Request::Resume { targets }, "resumed")
}

/// `rpm sendSignal`
pub fn send_signal(session: &mut Session) -> Result<u8> {
    let mut targets = session.targets()?;
    let word = targets.remove(0);
    let mut signal = SignalNumber(0);
    signal
        .read(word.as_bytes())
        .map_err(|why| Error::new(format!("sendSignal: {why}")))?;
    let done = format!("sent {} to", units::signal_name(signal.0));
    carry_out(session, &Request::Signal { signal, targets }, &done)
}

fn carry_out(session: &mut Session, request: &Request, done: &str) -> Result<u8> {
    let mut daemon = session.daemon()?;
    let processes = daemon.processes(request)?;
    session.say(&news(done, &processes))?;
    list::after_news(session, &mut daemon)?;
    Ok(DONE)
}

/// A line for each program that something was done to.
pub fn news(done: &str, processes: &[Process]) -> String {
    let mut text = String::new();
    for process in processes {
        let Process { id, pid, .. } = process;
        let name = harmless(&process.name);
        let _ = match pid {
            0 => writeln!(text, "rpm: {done} {name} (id {id})"),
            pid => writeln!(text, "rpm: {done} {name} (id {id}, pid {pid})"),
        };
    }
    text
}

/// The environment of this process.
pub fn present_environment() -> Environment {
    let assignments: Vec<Vec<u8>> = std::env::vars_os()
        .map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='))
        .collect();
    Environment::from_assignments(assignments.iter().map(Vec::as_slice))
}
