//! `rpm resurrect`: the programs of a saved list, started again.

use std::path::Path;

use super::list;
use crate::client::cli::spec::present_environment;
use crate::client::daemon::exchange::RequestError;
use crate::client::daemon::group;
use crate::client::daemon::session::{DONE, FAILED, Session};
use crate::client::display::actions::news;
use crate::client::display::output::{self, harmless};
use crate::config::dump::{self, Dump};
use crate::config::restore;
use crate::error::{Error, Result};
use crate::model::spec::Spec;
use crate::model::value::Octal;
use crate::paths::Home;
use crate::protocol::request::Request;
use crate::sys::user;

/// `rpm resurrect`
pub fn run(session: &mut Session) -> Result<u8> {
    let base = Spec {
        umask: Octal(user::umask()),
        env: present_environment().into(),
        ..Spec::default()
    };
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
    // Two at once would both find that nothing is there.
    let _held = dump::hold(daemon.home())?;
    let all = Request::List {
        targets: Vec::new(),
    };
    let alone = restore::leave_alone(&mut programs, &daemon.processes(&all)?);
    session.say(&news("left alone", &alone))?;
    let mut code = if refused.is_empty() { DONE } else { FAILED };
    for group in restore::groups(programs) {
        match group::start(&mut daemon, &group) {
            Ok(processes) => session.say(&news("restored", &processes))?,
            Err(RequestError::Refused(failure)) => {
                let name = harmless(&group.spec.name);
                output::complain(format!("cannot restore {name}: {}", failure.message));
                code = FAILED;
            }
            Err(RequestError::Gone(error) | RequestError::Broken(error)) => return Err(error),
        }
    }
    list::after_news(session, &mut daemon)?;
    Ok(code)
}

/// What `rpm save` wrote last, or where that cannot be read, what it wrote before.
fn last_saved(home: &Home, base: &Spec) -> Result<Dump> {
    let (last, before) = (home.dump(), home.dump_backup());
    if !last.exists() && !before.exists() {
        let root = home.root().display();
        return Err(Error::new(format!(
            "no list is saved in {root}; rpm save does that"
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
