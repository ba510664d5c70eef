//! Process files among the operands of a command.

use std::ffi::OsString;
use std::path::Path;

use crate::client::cli::arguments;
use crate::client::cli::spec::inherited;
use crate::client::daemon::exchange::{Daemon, RequestError};
use crate::client::daemon::group;
use crate::client::daemon::session::{DONE, FAILED, Session, USAGE_ERROR};
use crate::client::daemon::targets::{expanded, target};
use crate::client::display::actions::action_lines;
use crate::client::display::output::{self, harmless};
use crate::config::apps::{App, Options};
use crate::config::process_file::{self, Kind, ProcessFile};
use crate::config::restore::Group;
use crate::error::{Error, Result};
use crate::model::life::Want;
use crate::protocol::process::Process;
use crate::protocol::request::Request;

/// An operand of a command.
pub enum Word {
    /// A word that is not a process file.
    Plain(OsString),
    /// A valid process file.
    File(ProcessFile),
}

/// What a command does with the programs of a process file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It starts them. Scripts and interpreters must exist.
    Start,
    /// It selects them in the list.
    Select,
}

/// Reads the operands of a command. Returns the exit status if one is invalid, after printing why.
pub fn words(session: &Session, what_for: Use) -> std::result::Result<Vec<Word>, u8> {
    let invocation = &session.invocation;
    let starts = what_for == Use::Start;
    let base = inherited(&invocation.options);
    let mut over = invocation.spec.clone();
    let mut given = invocation.given.clone();
    if !invocation.rest.is_empty() {
        over.args = arguments::bytes(&invocation.rest);
        given.push("args");
    }
    let options = Options {
        base: &base,
        overrides: &over,
        given: &given,
        env: invocation.options.env.as_deref(),
        only: &invocation.options.only.0,
        starts,
    };
    // Only start requires the file: elsewhere the word may be the name of a program.
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
        match process_file::read(word, kind, &options) {
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
    if files.is_empty() && !options.only.is_empty() {
        output::complain(
            "--only selects programs of a process file, and none is given; see rpm help start",
        );
        return Err(USAGE_ERROR);
    }
    if let Some(env) = options.env.filter(|_| files.is_empty()) {
        let env = harmless(env);
        output::complain(format!(
            "--env {env} has no effect: only a process file has an env_{env}"
        ));
    }
    if invocation.options.write && !files.is_empty() {
        output::complain("--write cannot be used with a process file");
    }
    if starts {
        let warnings = files.iter().flat_map(|file| &file.warnings);
        warnings.for_each(output::complain);
    }
    Ok(words)
}

/// How the programs of a file are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Programs that exist are restarted with the settings of the file.
    Restart,
    /// All are started, even if they exist.
    StartAgain,
}

/// Starts the programs of a file. Returns the exit status: after a failure the others are still started.
pub fn apply(
    session: &Session,
    daemon: &mut Daemon,
    file: ProcessFile,
    existing: Existing,
) -> Result<u8> {
    let present = daemon.list()?;
    let mut code = DONE;
    for mut app in file.apps {
        if session.invocation.options.no_autostart {
            app.want = Want::Down;
        }
        let name = app.spec.name.clone();
        let mut text = String::new();
        let done = match existing {
            Existing::StartAgain => {
                let force = true;
                start(daemon, App { force, ..app }, &mut text)
            }
            Existing::Restart => start_or_restart(daemon, app, &present, &mut text),
        };
        session.say(&text)?;
        match done {
            Ok(()) => {}
            Err(error) => {
                let failure = error.refusal()?;
                let name = harmless(&name);
                output::complain(format!("cannot start {name}: {}", failure.message));
                code = FAILED;
            }
        }
    }
    Ok(code)
}

fn start(
    daemon: &mut Daemon,
    app: App,
    text: &mut String,
) -> std::result::Result<(), RequestError> {
    let App {
        spec, want, force, ..
    } = app;
    let request = Request::Start {
        spec: Box::new(spec),
        force,
        want,
    };
    let done = if want == Want::Up { "started" } else { "added" };
    text.push_str(&action_lines(done, &daemon.processes(&request)?));
    Ok(())
}

/// Starts a program, or changes its instances to the settings and the number of the file.
fn start_or_restart(
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
        return start(daemon, app, text);
    }
    let mut done =
        |what: &str, processes: &[Process]| text.push_str(&action_lines(what, processes));
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

/// The programs that the operands select; for a file, the ids of its programs.
pub fn targets(words: Vec<Word>, daemon: &mut Daemon) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    let mut present: Option<Vec<Process>> = None;
    for word in words {
        let file = match word {
            Word::Plain(word) => {
                targets.push(target(&word)?);
                continue;
            }
            Word::File(file) => file,
        };
        let present = match &mut present {
            Some(present) => present,
            none => none.insert(daemon.list()?),
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
    expanded(targets, daemon)
}
