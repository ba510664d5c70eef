//! `rpm restart`: restarts programs by name, with changed settings, or the programs of a process file.

use super::list;
use super::process_files::{self, Word};
use crate::client::cli::arguments;
use crate::client::cli::flag::kebab;
use crate::client::cli::spec::updated_environment;
use crate::client::daemon::exchange::{Daemon, RequestError};
use crate::client::daemon::session::{DONE, Session, USAGE_ERROR};
use crate::client::daemon::targets::{self, target};
use crate::client::display::actions::news;
use crate::client::display::output;
use crate::error::{Error, Result};
use crate::model::command::{base_name, is_node};
use crate::model::field::FIELDS;
use crate::model::spec::{ExecMode, Spec};
use crate::protocol::process::Process;
use crate::protocol::request::Request;

/// What a restart cannot change: by these programs are found.
const FIXED: [&str; 3] = ["name", "namespace", "instances"];

/// `rpm restart`: of a process file, what is missing is started.
pub fn run(session: &mut Session) -> Result<u8> {
    let words = match process_files::words(session, true) {
        Ok(words) => words,
        Err(code) => return Ok(code),
    };
    let mut daemon = session.daemon()?;
    let (mut named, mut files) = (Vec::new(), Vec::new());
    for word in words {
        match word {
            Word::Plain(word) => named.push(target(&word)?),
            Word::File(file) => files.push(file),
        }
    }
    if let Some(why) = fixed(session).filter(|_| !named.is_empty()) {
        output::complain(why);
        return Ok(USAGE_ERROR);
    }
    let targets = targets::expanded(named, &mut daemon)?;
    if !targets.is_empty() {
        let processes = restarted(session, &mut daemon, targets)?;
        session.say(&news("restarted", &processes))?;
    }
    let mut code = DONE;
    for file in files {
        code = code.max(process_files::apply(session, &mut daemon, file, false)?);
    }
    list::after_news(session, &mut daemon)?;
    Ok(code)
}

/// Why the settings that were given cannot be those of a program that is managed already.
pub fn fixed(session: &Session) -> Option<String> {
    let given = &session.invocation.given;
    let field = given.iter().find(|field| FIXED.contains(field))?;
    let flag = kebab(field);
    Some(format!(
        "a restart does not change --{flag}: delete the program and start it again, or set it in a process file"
    ))
}

/// Restarts programs, with the settings, arguments and environment that were given.
///
/// # Errors
/// The daemon refuses, or does not answer.
pub fn restarted(
    session: &Session,
    daemon: &mut Daemon,
    targets: Vec<String>,
) -> std::result::Result<Vec<Process>, RequestError> {
    let invocation = &session.invocation;
    let told = updated_environment(&invocation.options);
    if invocation.given.is_empty() && invocation.rest.is_empty() {
        return daemon.processes(&Request::Restart { targets, told });
    }
    // Instances have the same settings, and are restarted together.
    let mut groups: Vec<(Spec, Vec<String>)> = Vec::new();
    for record in daemon.describe(targets).map_err(RequestError::Broken)? {
        let id = record.process.id.to_string();
        let mut spec = changed(session, record.spec).map_err(RequestError::Broken)?;
        if let Some(told) = &told {
            spec.env = told.env.clone();
        }
        match groups.iter_mut().find(|(known, _)| *known == spec) {
            Some((_, ids)) => ids.push(id),
            None => groups.push((spec, vec![id])),
        }
    }
    let mut processes = Vec::new();
    for (spec, targets) in groups {
        let told = Some(Box::new(spec));
        processes.append(&mut daemon.processes(&Request::Restart { targets, told })?);
    }
    Ok(processes)
}

/// A program with the settings and arguments that were given.
fn changed(session: &Session, mut spec: Spec) -> Result<Spec> {
    let invocation = &session.invocation;
    for field in FIELDS
        .iter()
        .filter(|field| invocation.given.contains(&field.name))
    {
        (field.clear)(&mut spec);
        for value in (field.write)(&invocation.spec) {
            (field.read)(&mut spec, &value).map_err(Error::new)?;
        }
    }
    if !invocation.rest.is_empty() {
        let mut args = arguments::bytes(&invocation.rest);
        if let [flag, command, ..] = spec.args.as_slice() {
            let shell = base_name(&spec.script);
            if flag == b"-c" && matches!(shell, b"sh" | b"bash") && spec.interpreter == "none" {
                // What follows a shell command are its $1 and so on.
                let command = [flag.clone(), command.clone(), shell.to_vec()];
                args.splice(0..0, command);
            }
        }
        spec.args = args;
    }
    if spec.exec_mode == ExecMode::Cluster && !is_node(&spec) {
        return Err(Error::new(format!(
            "{}: cluster mode is for Node scripts; add --exec-mode fork",
            output::harmless(&spec.name)
        )));
    }
    Ok(spec)
}
