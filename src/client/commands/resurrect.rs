//! `rpm resurrect`: starts the programs of a saved list.

use std::path::Path;

use super::list;
use crate::client::cli::spec::inherited;
use crate::client::daemon::group;
use crate::client::daemon::session::{DONE, FAILED, Session};
use crate::client::display::actions::action_lines;
use crate::client::display::output::{self, harmless};
use crate::config::dump::{self, Dump};
use crate::config::restore;
use crate::error::{Error, Result};
use crate::model::spec::Spec;
use crate::paths::Home;

/// `rpm resurrect`
pub fn run(session: &mut Session) -> Result<u8> {
    let base = inherited(&session.invocation.options);
    let Dump {
        mut programs,
        left_out,
        refused,
    } = match session.invocation.words.first() {
        Some(file) => dump::read(Path::new(file), &base)?,
        None => last_saved(&session.home()?, &base)?,
    };
    left_out.iter().chain(&refused).for_each(output::complain);
    let mut daemon = session.daemon()?;
    // Two at once would both find no programs.
    let _held = dump::hold(daemon.home())?;
    let alone = restore::remove_present(&mut programs, &daemon.list()?);
    session.say(&action_lines("left alone", &alone))?;
    let mut code = if refused.is_empty() { DONE } else { FAILED };
    for group in restore::groups(programs) {
        match group::start(&mut daemon, &group) {
            Ok(processes) => session.say(&action_lines("restored", &processes))?,
            Err(error) => {
                let failure = error.refusal()?;
                let name = harmless(&group.spec.name);
                output::complain(format!("cannot restore {name}: {}", failure.message));
                code = FAILED;
            }
        }
    }
    list::table_after_message(session, &mut daemon)?;
    Ok(code)
}

/// The list that `rpm save` wrote last or, if that cannot be read, the one before.
fn last_saved(home: &Home, base: &Spec) -> Result<Dump> {
    let (last, before) = (home.dump(), home.dump_backup());
    if !last.exists() && !before.exists() {
        let root = home.root().display();
        return Err(Error::new(format!(
            "there is no saved list in {root}; rpm save writes one"
        )));
    }
    let why = match dump::read(&last, base) {
        Ok(dump) => return Ok(dump),
        Err(why) => why,
    };
    let dump = match dump::read(&before, base) {
        Ok(dump) => dump,
        Err(also) => {
            output::complain(why);
            return Err(also);
        }
    };
    output::complain(format!(
        "{why}; restoring the list before, {}",
        before.display()
    ));
    Ok(dump)
}
