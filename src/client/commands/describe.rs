//! The commands that print what is known of a program: `describe` and `env`.

use std::os::fd::AsFd;

use crate::client::daemon::session::{DONE, Session};
use crate::client::display::details;
use crate::client::display::output;
use crate::client::display::usage::Meter;
use crate::error::{Error, Result};
use crate::sys::terminal;

/// `rpm describe`
pub fn run(session: &mut Session) -> Result<u8> {
    let targets = session.targets()?;
    let records = session.daemon()?.describe(targets)?;
    let mut meter = Meter::new();
    let blocks = records
        .iter()
        .map(|record| details::block(record, &mut meter, session.look));
    output::print(blocks.collect::<Vec<_>>().join("\n").as_bytes())?;
    Ok(DONE)
}

/// `rpm env`
pub fn environment(session: &mut Session) -> Result<u8> {
    let targets = session.targets()?;
    let word = targets.join(" ");
    let records = session.daemon()?.describe(targets)?;
    let [record] = records.as_slice() else {
        let count = records.len();
        return Err(Error::new(format!(
            "{word} means {count} programs; name one by its id"
        )));
    };
    let mut lines: Vec<&[u8]> = record.environment.assignments().collect();
    lines.sort_unstable();
    let mut out = lines.join(&b'\n');
    if terminal::is_terminal(std::io::stdout().as_fd()) {
        // As it is for programs, and harmless for people.
        let text = String::from_utf8_lossy(&out).into_owned();
        let lines: Vec<_> = text.split('\n').map(output::harmless).collect();
        out = lines.join("\n").into_bytes();
    }
    if !out.is_empty() {
        out.push(b'\n');
    }
    output::print(&out)?;
    Ok(DONE)
}
