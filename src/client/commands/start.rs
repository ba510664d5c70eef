//! `rpm start`: what a word on the command line means, and starting it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::generate;
use super::list;
use super::process_files::{self, Word};
use super::restart;
use crate::client::cli::arguments::Invocation;
use crate::client::cli::spec::base;
use crate::client::daemon::exchange::{Daemon, RequestError};
use crate::client::daemon::session::{DONE, FAILED, Session, USAGE_ERROR};
use crate::client::display::actions::news;
use crate::client::display::output;
use crate::config::{process_file, script};
use crate::error::{Error, Result};
use crate::model::command;
use crate::model::life::{State, Want};
use crate::model::spec::Spec;
use crate::protocol::process::Process;
use crate::protocol::program_info::ProgramInfo;
use crate::protocol::reply::Code;
use crate::protocol::request::Request;

/// `rpm start`
pub fn run(session: &mut Session) -> Result<u8> {
    if session.invocation.words.is_empty() {
        let Some(file) = process_file::default() else {
            output::complain(
                "start needs a script, a command, a name or a process file: there is no ecosystem.config.js, \
                 ecosystem.json, processes.json or package.json with apps here; see rpm help start",
            );
            return Ok(USAGE_ERROR);
        };
        session.invocation.words.push(file.into());
    }
    let words = match process_files::words(session, true) {
        Ok(words) => words,
        Err(code) => return Ok(code),
    };
    let force = session.invocation.options.force;
    let mut daemon = session.daemon()?;
    let mut code = DONE;
    for word in words {
        let word = match word {
            Word::Plain(word) => word,
            Word::File(file) => {
                code = code.max(process_files::apply(session, &mut daemon, file, force)?);
                continue;
            }
        };
        match one(session, &mut daemon, &word) {
            Ok(text) => session.say(&text)?,
            Err(Failed::Here(sentence)) => {
                output::complain(sentence);
                code = FAILED;
            }
            Err(Failed::Altogether(error)) => return Err(error),
        }
    }
    list::after_news(session, &mut daemon)?;
    Ok(code)
}

/// Why a program was not started.
enum Failed {
    /// A sentence about this one; the others may do better.
    Here(String),
    /// The daemon does not answer.
    Altogether(Error),
}

/// Starts what one word means and gives the news.
fn one(
    session: &Session,
    daemon: &mut Daemon,
    word: &OsStr,
) -> std::result::Result<String, Failed> {
    let invocation = &session.invocation;
    if may_be_managed(invocation, word) {
        if let Some(text) = start_again(session, daemon, word)? {
            return Ok(text);
        }
    }
    let refused = |why: String| cannot(&word.to_string_lossy(), &why);
    let base = base(invocation).map_err(|why| refused(why.to_string()))?;
    // As pm2 has it, in the present folder or in the one that the program runs in.
    let cwd = base.cwd.clone();
    let folders = [Path::new(""), Path::new(OsStr::from_bytes(&cwd))];
    let mut spec = script::meaning(base, word, &folders).map_err(refused)?;
    script::check_ending(&spec).map_err(|why| cannot(&spec.name, &why))?;
    command::choose_mode(&mut spec, |field| invocation.given.contains(&field));
    let written = invocation.options.write.then(|| generate::path_for(&spec));
    if let Some(path) = written.as_deref().filter(|path| path.exists()) {
        let why = format!(
            "{} is there already; move it away, or leave --write out",
            path.display()
        );
        return Err(cannot(&spec.name, &why));
    }
    let (want, done) = match invocation.options.no_autostart {
        true => (Want::Down, "added"),
        false => (Want::Up, "started"),
    };
    let request = Request::Start {
        spec: Box::new(spec.clone()),
        force: invocation.options.force,
        want,
    };
    let started = daemon.processes(&request);
    if let Err(RequestError::Refused(refused)) = &started {
        let again = refused.code == Code::Exists && written.is_none() && want == Want::Up;
        if let Some(text) = again
            .then(|| stopped(session, daemon, &spec))
            .transpose()?
            .flatten()
        {
            return Ok(text);
        }
    }
    let mut text = news(done, &started.map_err(|why| failed(&spec.name, why))?);
    if let Some(path) = written {
        generate::write(&path, &spec, &invocation.given).map_err(Failed::Altogether)?;
        text.push_str(&format!("rpm: wrote {}\n", path.display()));
    }
    Ok(text)
}

/// Starts the programs of this name and script again where all of them are stopped, as pm2 has it; none otherwise.
fn stopped(
    session: &Session,
    daemon: &mut Daemon,
    spec: &Spec,
) -> std::result::Result<Option<String>, Failed> {
    let records = daemon
        .describe(vec![spec.name.clone()])
        .map_err(Failed::Altogether)?;
    let given = &session.invocation.given;
    let same = |record: &ProgramInfo| {
        let rests = matches!(record.process.state, State::Stopped | State::Errored);
        let namespace = &record.process.namespace;
        let named = !given.contains(&"namespace") || *namespace == spec.namespace;
        rests && named && record.spec.script == spec.script && record.process.name == spec.name
    };
    let other_number = |record: &ProgramInfo| record.spec.instances != spec.instances;
    let scaled = given.contains(&"instances") && records.iter().any(other_number);
    if scaled || !records.iter().all(same) {
        return Ok(None);
    }
    let ids = records.iter().map(|record| record.process.id.to_string());
    match restart::restarted(session, daemon, ids.collect()) {
        Ok(processes) => Ok(Some(news("started", &processes))),
        Err(why) => Err(failed(&spec.name, why)),
    }
}

fn cannot(name: &str, why: &str) -> Failed {
    Failed::Here(format!("cannot start {}: {why}", output::harmless(name)))
}

fn failed(name: &str, trouble: RequestError) -> Failed {
    match trouble {
        RequestError::Refused(failure) => cannot(name, &failure.message),
        RequestError::Gone(error) | RequestError::Broken(error) => Failed::Altogether(error),
    }
}

/// Whether the word may be the name or id of a managed program. One who gives a name or arguments wants a new one.
fn may_be_managed(invocation: &Invocation, word: &OsStr) -> bool {
    !invocation.options.force
        && !invocation.given.contains(&"name")
        && invocation.rest.is_empty()
        && !word.as_bytes().contains(&b'/')
        && word.to_str().is_some()
}

/// Starts or restarts the managed programs of this name or id; none where there are none.
fn start_again(
    session: &Session,
    daemon: &mut Daemon,
    word: &OsStr,
) -> std::result::Result<Option<String>, Failed> {
    let invocation = &session.invocation;
    let word = word.to_string_lossy().into_owned();
    let targets = vec![word.clone()];
    let known = match daemon.processes(&Request::List {
        targets: targets.clone(),
    }) {
        Ok(known) => known,
        Err(RequestError::Refused(failure)) if failure.code == Code::NotFound => Vec::new(),
        Err(trouble) => return Err(failed(&word, trouble)),
    };
    // A namespace is a target too, but no program.
    let meant =
        |process: &Process| word == "all" || process.name == word || process.id.to_string() == word;
    if known.is_empty() && word == "all" {
        return Err(cannot(&word, "there are no programs"));
    }
    if !known.iter().any(meant) {
        return Ok(None);
    }
    if invocation.options.write {
        let why = "it is managed already, and --write is for a new one; rpm save keeps the list";
        return Err(cannot(&word, why));
    }
    if let Some(why) = restart::fixed(session) {
        return Err(cannot(&word, &why));
    }
    let running = known.iter().any(|process| process.pid > 0);
    match restart::restarted(session, daemon, targets) {
        Ok(processes) => {
            let done = if running { "restarted" } else { "started" };
            Ok(Some(news(done, &processes)))
        }
        Err(trouble) => Err(failed(&word, trouble)),
    }
}
