//! Process files among the words of a command.

use std::ffi::OsString;
use std::path::Path;

use crate::client::cli::arguments;
use crate::client::cli::spec::filtered_environment;
use crate::client::daemon::exchange::{Daemon, RequestError};
use crate::client::daemon::group;
use crate::client::daemon::session::{DONE, FAILED, Session, USAGE_ERROR};
use crate::client::daemon::targets as words_to_ids;
use crate::client::display::actions::news;
use crate::client::display::output::{self, harmless};
use crate::config::apps::{App, Wishes};
use crate::config::process_file::{self, Kind, ProcessFile};
use crate::config::restore::Group;
use crate::error::{Error, Result};
use crate::model::life::Want;
use crate::model::spec::Spec;
use crate::model::value::Octal;
use crate::protocol::process::Process;
use crate::protocol::request::Request;
use crate::sys::user;

/// A word of a command.
pub enum Word {
    /// One that names no process file.
    Plain(OsString),
    /// A process file, and nothing is wrong with it.
    File(ProcessFile),
}

/// The words of a command; `starts` where the programs of a file are to be started, so that all they need is looked for.
/// `Err`: the exit status, when what is wrong has been said.
pub fn words(session: &Session, starts: bool) -> std::result::Result<Vec<Word>, u8> {
    let invocation = &session.invocation;
    let base = Spec {
        umask: Octal(user::umask()),
        env: filtered_environment(&invocation.options.filter_env).into(),
        ..Spec::default()
    };
    let mut over = invocation.spec.clone();
    let mut given = invocation.given.clone();
    if !invocation.rest.is_empty() {
        over.args = arguments::bytes(&invocation.rest);
        given.push("args");
    }
    let wishes = Wishes {
        base: &base,
        over: &over,
        given: &given,
        env: invocation.options.env.as_deref(),
        only: &invocation.options.only.0,
        starts,
    };
    // To other commands than start, a word without a file may be the name of a program.
    let always = invocation
        .command
        .is_some_and(|command| command.name == "start");
    let mut words = Vec::new();
    let mut wrong = false;
    for word in &invocation.words {
        let kind = process_file::kind(word);
        let kind =
            kind.filter(|kind| always || *kind == Kind::Standard || Path::new(word).is_file());
        let Some(kind) = kind else {
            words.push(Word::Plain(word.clone()));
            continue;
        };
        match process_file::read(word, kind, &wishes) {
            Ok(file) => words.push(Word::File(file)),
            Err(errors) => {
                wrong = true;
                errors.iter().for_each(output::complain);
            }
        }
    }
    if wrong {
        return Err(FAILED);
    }
    let files = words.iter().filter_map(|word| match word {
        Word::File(file) => Some(file),
        Word::Plain(_) => None,
    });
    let files: Vec<_> = files.collect();
    if files.is_empty() && !wishes.only.is_empty() {
        output::complain(
            "--only chooses programs of a process file, and there is none; see rpm help start",
        );
        return Err(USAGE_ERROR);
    }
    if let Some(env) = wishes.env.filter(|_| files.is_empty()) {
        let env = harmless(env);
        output::complain(format!(
            "--env {env} has no effect: only a process file has an env_{env}"
        ));
    }
    if invocation.options.write && !files.is_empty() {
        output::complain("--write: what a process file says is not written once more");
    }
    if starts {
        let warnings = files.iter().flat_map(|file| &file.warnings);
        warnings.for_each(output::complain);
    }
    Ok(words)
}

/// Starts what of a file is missing and restarts what is there as the file has it now; with `force`, starts all anew.
/// Gives the exit status: what cannot be done with one program keeps no other from it.
pub fn apply(session: &Session, daemon: &mut Daemon, file: ProcessFile, force: bool) -> Result<u8> {
    let all = Request::List {
        targets: Vec::new(),
    };
    let present = daemon.processes(&all)?;
    let mut code = DONE;
    for mut app in file.apps {
        if session.invocation.options.no_autostart {
            app.want = Want::Down;
        }
        let name = app.spec.name.clone();
        let mut text = String::new();
        let done = match force {
            true => start(daemon, app, true, &mut text),
            false => bring(daemon, app, &present, &mut text),
        };
        session.say(&text)?;
        match done {
            Ok(()) => {}
            Err(RequestError::Refused(failure)) => {
                let name = harmless(&name);
                output::complain(format!("cannot start {name}: {}", failure.message));
                code = FAILED;
            }
            Err(RequestError::Gone(error) | RequestError::Broken(error)) => return Err(error),
        }
    }
    Ok(code)
}

fn start(
    daemon: &mut Daemon,
    app: App,
    force: bool,
    text: &mut String,
) -> std::result::Result<(), RequestError> {
    let App { spec, want, .. } = app;
    let request = Request::Start {
        spec: Box::new(spec),
        force: force || app.force,
        want,
    };
    let done = if want == Want::Up { "started" } else { "added" };
    text.push_str(&news(done, &daemon.processes(&request)?));
    Ok(())
}

/// Starts a program, or makes what is there of it what it shall be.
fn bring(
    daemon: &mut Daemon,
    app: App,
    present: &[Process],
    text: &mut String,
) -> std::result::Result<(), RequestError> {
    let same = |process: &&Process| {
        process.name == app.spec.name && process.namespace == app.spec.namespace
    };
    let (mut numbers, mut kept, mut surplus) = (Vec::new(), Vec::new(), Vec::new());
    for process in present.iter().filter(same) {
        let wanted = process.instance < app.spec.instances && !numbers.contains(&process.instance);
        let ids = if wanted { &mut kept } else { &mut surplus };
        ids.push(process.id.to_string());
        if wanted {
            numbers.push(process.instance);
        }
    }
    if kept.is_empty() && surplus.is_empty() {
        return start(daemon, app, false, text);
    }
    let mut done = |what: &str, processes: &[Process]| text.push_str(&news(what, processes));
    if !surplus.is_empty() {
        done(
            "deleted",
            &daemon.processes(&Request::Delete { targets: surplus })?,
        );
    }
    if !kept.is_empty() {
        let request = Request::Restart {
            targets: kept,
            told: Some(Box::new(app.spec.clone())),
        };
        done("restarted", &daemon.processes(&request)?);
    }
    let missing = (0..app.spec.instances).filter(|number| !numbers.contains(number));
    let members: Vec<_> = missing.map(|number| (number, Want::Up)).collect();
    if !members.is_empty() {
        let group = Group {
            spec: app.spec.into(),
            members,
        };
        done("started", &group::start(daemon, &group)?);
    }
    Ok(())
}

/// What the words of a command name among the programs that are there: a file stands for the ids of its own.
pub fn targets(words: Vec<Word>, daemon: &mut Daemon) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    let mut present: Option<Vec<Process>> = None;
    for word in words {
        let file = match word {
            Word::Plain(word) => {
                targets.push(words_to_ids::target(&word)?);
                continue;
            }
            Word::File(file) => file,
        };
        let present = match &mut present {
            Some(present) => present,
            none => none.insert(daemon.processes(&Request::List {
                targets: Vec::new(),
            })?),
        };
        let before = targets.len();
        for process in present.iter() {
            let same = |app: &App| {
                process.name == app.spec.name && process.namespace == app.spec.namespace
            };
            if file.apps.iter().any(same) {
                targets.push(process.id.to_string());
            }
        }
        if targets.len() == before {
            let name = &file.name;
            return Err(Error::new(format!(
                "none of the programs of {name} is in the list"
            )));
        }
    }
    words_to_ids::expanded(targets, daemon)
}
