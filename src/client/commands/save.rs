//! `rpm save` and `rpm cleardump`: the list as a file.

use crate::client::daemon::session::{DONE, Session};
use crate::client::display::json::write_status;
use crate::client::display::output;
use crate::client::display::users::Users;
use crate::config::dump::{self, MARK};
use crate::config::json::Json;
use crate::config::settings;
use crate::error::{Error, Result};
use crate::protocol::RELEASE;
use crate::protocol::process::want_word;
use crate::protocol::program_info::ProgramInfo;

/// `rpm save`
pub fn run(session: &mut Session) -> Result<u8> {
    let mut daemon = session.daemon()?;
    let records = daemon.describe(Vec::new())?;
    if records.is_empty() && !session.invocation.options.force {
        return Err(Error::new(
            "there are no programs, and the saved list stays as it is; rpm save --force saves the empty list",
        ));
    }
    let home = daemon.home();
    if let Some(why) = dump::write(home, &text(&records))? {
        output::complain(why);
    }
    let path = home.dump();
    let programs = match records.len() {
        1 => "1 program".to_owned(),
        count => format!("{count} programs"),
    };
    session.say(&format!("rpm: saved {programs} in {}\n", path.display()))?;
    Ok(DONE)
}

/// `rpm cleardump`
pub fn clear(session: &mut Session) -> Result<u8> {
    let home = session.home()?;
    let news = match dump::clear(&home)? {
        true => "removed the saved list in",
        false => "there is no saved list in",
    };
    session.say(&format!("rpm: {news} {}\n", home.root().display()))?;
    Ok(DONE)
}

fn text(records: &[ProgramInfo]) -> String {
    let mut json = Json::new(true).exact();
    let mut users = Users::default();
    json.array(|json| {
        for record in records {
            json.object(|json| program(json, record, &mut users));
        }
    });
    json.finish()
}

fn program(json: &mut Json, record: &ProgramInfo, users: &mut Users) {
    json.key(MARK.as_bytes()).string(RELEASE.as_bytes());
    json.key(b"want")
        .string(want_word(record.process.want).as_bytes());
    write_status(json, record, users);
    settings::write_all(json, record, &record.spec.env);
}
