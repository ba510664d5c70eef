//! The commands that change the state of programs that are managed already.

use super::list;
use super::process_files;
use crate::client::daemon::session::{DONE, Session};
use crate::client::display::actions::news;
use crate::error::{Error, Result};
use crate::model::value::{SignalNumber, Value};
use crate::protocol::log_protocol::Upkeep;
use crate::protocol::request::Request;
use crate::units;

/// `rpm stop`
pub fn stop(session: &mut Session) -> Result<u8> {
    carry_out(session, |targets| Request::Stop { targets }, "stopped")
}

/// `rpm delete`
pub fn delete(session: &mut Session) -> Result<u8> {
    carry_out(session, |targets| Request::Delete { targets }, "deleted")
}

/// `rpm pause`
pub fn pause(session: &mut Session) -> Result<u8> {
    carry_out(session, |targets| Request::Pause { targets }, "paused")
}

/// `rpm resume`
pub fn resume(session: &mut Session) -> Result<u8> {
    carry_out(session, |targets| Request::Resume { targets }, "resumed")
}

/// `rpm stopAll`
pub fn stop_all(session: &mut Session) -> Result<u8> {
    let targets = vec!["all".to_owned()];
    ask(session, &Request::Stop { targets }, "stopped")
}

/// `rpm restartAll`
pub fn restart_all(session: &mut Session) -> Result<u8> {
    let targets = vec!["all".to_owned()];
    let told = None;
    ask(session, &Request::Restart { targets, told }, "restarted")
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
    ask(session, &Request::Signal { signal, targets }, &done)
}

/// `rpm flush`
pub fn flush(session: &mut Session) -> Result<u8> {
    upkeep(session, Upkeep::Flush, "emptied the logs of")
}

/// `rpm logrotate`
pub fn rotate_logs(session: &mut Session) -> Result<u8> {
    upkeep(session, Upkeep::Rotate, "set aside the logs of")
}

/// `rpm reloadLogs`
pub fn reload_logs(session: &mut Session) -> Result<u8> {
    upkeep(session, Upkeep::Reopen, "reopened the logs of")
}

fn upkeep(session: &mut Session, what: Upkeep, done: &str) -> Result<u8> {
    let targets = session.targets()?;
    ask(session, &Request::Upkeep { what, targets }, done)
}

fn ask(session: &mut Session, request: &Request, done: &str) -> Result<u8> {
    let mut daemon = session.daemon()?;
    let processes = daemon.processes(request)?;
    session.say(&news(done, &processes))?;
    list::after_news(session, &mut daemon)?;
    Ok(DONE)
}

/// Does something with programs that are in the list.
fn carry_out(
    session: &mut Session,
    request: impl FnOnce(Vec<String>) -> Request,
    done: &str,
) -> Result<u8> {
    let words = match process_files::words(session, false) {
        Ok(words) => words,
        Err(code) => return Ok(code),
    };
    let mut daemon = session.daemon()?;
    let targets = process_files::targets(words, &mut daemon)?;
    let processes = daemon.processes(&request(targets))?;
    session.say(&news(done, &processes))?;
    list::after_news(session, &mut daemon)?;
    Ok(DONE)
}
