//! The commands that concern the daemon itself.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::client::daemon::connect::{self, no_daemon};
use crate::client::daemon::exchange::RequestError;
use crate::client::daemon::session::{DONE, Session};
use crate::client::display::output;
use crate::error::{Error, Result};
use crate::paths::Home;
use crate::protocol::reply::Code;
use crate::protocol::request::Request;

/// `rpm ping`
pub fn ping(session: &mut Session) -> Result<u8> {
    session.daemon()?.request(&Request::Ping, &mut |_| Ok(()))?;
    output::print(b"pong\n")?;
    Ok(DONE)
}

/// `rpm kill`
pub fn kill(session: &mut Session) -> Result<u8> {
    let home = session.home()?;
    let daemon = match connect::connect(&home)? {
        // The programs of a killed daemon are stopped by a daemon that adopts them.
        None if holds_programs(&home) && !session.invocation.options.keep => Some(
            connect::connect_or_launch(home.clone(), session.announce())?,
        ),
        found => found,
    };
    let Some(mut daemon) = daemon else {
        output::complain(no_daemon(&home));
        return Ok(DONE);
    };
    let keep = session.invocation.options.keep;
    let done = daemon.request(&Request::Kill { keep }, &mut |_| Ok(()));
    let ends = match &done {
        Ok(_) => true,
        // It ends, although some processes did not.
        Err(RequestError::Refused(failure)) => failure.code == Code::Timeout,
        Err(_) => false,
    };
    if ends {
        // The next command must not meet a daemon that is about to end.
        daemon.follow(&mut |_| Ok(()))?;
    }
    done?;
    session.say(if keep {
        "rpm: the daemon has ended; its programs run on\n"
    } else {
        "rpm: the daemon has ended\n"
    })?;
    Ok(DONE)
}

fn holds_programs(home: &Home) -> bool {
    let entries = std::fs::read_dir(home.run());
    // Its pipes, or the folder that the release before this one had.
    let is_program =
        |path: PathBuf| path.extension().is_some_and(|end| end == "out") || path.is_dir();
    entries.is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|e| is_program(e.path()))))
}

/// `rpm sync`
pub fn sync(session: &mut Session) -> Result<u8> {
    session.daemon()?.request(&Request::Sync, &mut |_| Ok(()))?;
    Ok(DONE)
}

/// `rpm update`
pub fn update(session: &mut Session) -> Result<u8> {
    let home = session.home()?;
    // Without hello: a daemon with another protocol must be replaceable.
    let Some(mut daemon) = connect::connect_without_hello(&home)? else {
        return Err(Error::new(format!(
            "{}; the next command starts this release",
            no_daemon(&home)
        )));
    };
    let program = connect::daemon_program()
        .map_err(|e| Error::new(format!("{e}; the running daemon keeps running")))?;
    let program = Some(program.into_os_string().into_vec());
    let about = daemon.request(&Request::Update { program }, &mut |_| Ok(()))?;
    let release = about.text("version").unwrap_or("of an unknown version");
    session.say(&format!("rpm: the daemon is rpmd {release} now\n"))?;
    Ok(DONE)
}

/// `rpm events`
pub fn events(session: &mut Session) -> Result<u8> {
    let mut daemon = session.daemon()?;
    daemon.request(&Request::Events, &mut |_| Ok(()))?;
    daemon.follow(&mut |line| output::print(line))?;
    let home = daemon.home().root().display();
    Err(Error::new(format!("the daemon in {home} has ended")))
}
