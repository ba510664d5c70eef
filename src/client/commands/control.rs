//! The commands that change the state of managed programs.

use super::list;
use super::process_files::{self, Use};
use crate::client::daemon::exchange::Daemon;
use crate::client::daemon::session::{DONE, Session};
use crate::client::display::actions::action_lines;
use crate::error::{Error, Result};
use crate::model::value::{SignalNumber, Value};
use crate::protocol::log_protocol::Upkeep;
use crate::protocol::request::Request;
use crate::units;

/// `rpm stop`
pub fn stop(session: &mut Session) -> Result<u8> {
    for_targets(session, |targets| Request::Stop { targets }, "stopped")
}

/// `rpm delete`
pub fn delete(session: &mut Session) -> Result<u8> {
    for_targets(session, |targets| Request::Delete { targets }, "deleted")
}

/// `rpm pause`
pub fn pause(session: &mut Session) -> Result<u8> {
    for_targets(session, |targets| Request::Pause { targets }, "paused")
}

/// `rpm resume`
pub fn resume(session: &mut Session) -> Result<u8> {
    for_targets(session, |targets| Request::Resume { targets }, "resumed")
}

/// `rpm stopAll`
pub fn stop_all(session: &mut Session) -> Result<u8> {
    let targets = vec!["all".to_owned()];
    request(session, &Request::Stop { targets }, "stopped")
}

/// `rpm restartAll`
pub fn restart_all(session: &mut Session) -> Result<u8> {
    let targets = vec!["all".to_owned()];
    let told = None;
    request(session, &Request::Restart { targets, told }, "restarted")
}

/// `rpm sendSignal`
pub fn send_signal(session: &mut Session) -> Result<u8> {
    let mut words = session.words()?;
    let word = words.remove(0);
    let mut signal = SignalNumber(0);
    signal
        .read(word.as_bytes())
        .map_err(|why| Error::new(format!("sendSignal: {why}")))?;
    let targets = session.expanded(words)?;
    let done = format!("sent {} to", units::signal_name(signal.0));
    request(session, &Request::Signal { signal, targets }, &done)
}

/// `rpm flush`
pub fn flush(session: &mut Session) -> Result<u8> {
    maintain_logs(session, Upkeep::Flush, "emptied the logs of")
}

/// `rpm logrotate`
pub fn rotate_logs(session: &mut Session) -> Result<u8> {
    maintain_logs(session, Upkeep::Rotate, "rotated the logs of")
}

/// `rpm reloadLogs`
pub fn reload_logs(session: &mut Session) -> Result<u8> {
    maintain_logs(session, Upkeep::Reopen, "reopened the logs of")
}

fn maintain_logs(session: &mut Session, what: Upkeep, done: &str) -> Result<u8> {
    let targets = session.targets()?;
    request(session, &Request::Upkeep { what, targets }, done)
}

fn request(session: &mut Session, request: &Request, done: &str) -> Result<u8> {
    let mut daemon = session.daemon()?;
    send(session, &mut daemon, request, done)
}

/// Sends a request for the operands, which may be process files.
fn for_targets(
    session: &mut Session,
    request: impl FnOnce(Vec<String>) -> Request,
    done: &str,
) -> Result<u8> {
    let words = match process_files::words(session, Use::Select) {
        Ok(words) => words,
        Err(code) => return Ok(code),
    };
    let mut daemon = session.daemon()?;
    let targets = process_files::targets(words, &mut daemon)?;
    send(session, &mut daemon, &request(targets), done)
}

/// Sends a request and prints what was done to which programs.
fn send(session: &Session, daemon: &mut Daemon, request: &Request, done: &str) -> Result<u8> {
    let processes = daemon.processes(request)?;
    session.say(&action_lines(done, &processes))?;
    list::table_after_message(session, daemon)?;
    Ok(DONE)
}
