//! The list as JSON: `jlist` and `prettylist`.

use crate::client::daemon::session::{DONE, Session};
use crate::client::display::{json, output};
use crate::error::Result;

/// `rpm jlist`
pub fn compact(session: &mut Session) -> Result<u8> {
    print(session, false)
}

/// `rpm prettylist`
pub fn indented(session: &mut Session) -> Result<u8> {
    print(session, true)
}

fn print(session: &mut Session, indented: bool) -> Result<u8> {
    let targets = session.targets()?;
    let records = session.daemon()?.describe(targets)?;
    output::print(json::text(&records, indented).as_bytes())?;
    Ok(DONE)
}
