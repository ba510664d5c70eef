//! `rpm dev`: runs a program during development. Prints its output, restarts it when files change, deletes it at the end.
//!
//! ```text
//! mod         the command
//! event_loop  file changes, output, signals, the daemon
//! tree        watches folders; rules, what is ignored in them; debounce, joins changes close together
//! program     the program as the daemon has it
//! ```

mod debounce;
mod event_loop;
mod program;
mod rules;
mod tree;

use std::cell::Cell;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::client::cli::spec::base;
use crate::client::daemon::exchange::{Daemon, RequestError};
use crate::client::daemon::session::{DONE, FAILED, Session, USAGE_ERROR};
use crate::client::display::output::{self, harmless};
use crate::client::display::stdout_writer::{Flow, StdoutWriter};
use crate::config::{place, process_file, script};
use crate::error::{Context, Error, Result};
use crate::model::command::{self, Command};
use crate::model::life::Want;
use crate::model::spec::Spec;
use crate::protocol::process::Process;
use crate::protocol::reply::Code;
use crate::protocol::request::Request;
use crate::sys::signal::{self, SelfPipe, Signal};
use event_loop::{EventLoop, Left};
use program::Program;
use rules::Rules;

/// The signals that end it and delete the program.
const SIGNALS: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

/// `rpm dev`
pub fn run(session: &mut Session) -> Result<u8> {
    let folder = place::working_directory().map_err(Error::new)?;
    let patterns = &session.invocation.options.ignore_watch;
    let rules = match Rules::new(session.home()?, folder, patterns) {
        Ok(rules) => rules,
        Err(wrong) => {
            output::complain(format!("dev: --ignore-watch: '{wrong}' is no pattern"));
            return Ok(USAGE_ERROR);
        }
    };
    let spec = spec(session)?;
    let name = harmless(&spec.name).into_owned();
    let roots = roots(session, &spec)?;
    let mut daemon = session.daemon()?;
    // From here on every end must delete the program.
    signal::ignore(Signal::PIPE);
    let signals = SelfPipe::install(&SIGNALS).doing(|| "preparing for signals")?;
    let flow = Cell::new(Flow::Open);
    let mut writer = StdoutWriter {
        flow: &flow,
        signals: &signals,
    };
    let processes = add(&mut daemon, spec)?;
    let mut program = Program::new(daemon.home().clone(), session.announce(), &processes);
    let event_loop = EventLoop::new(session, &name, &mut program, &mut writer);
    let left = event_loop.and_then(|event_loop| event_loop.run(&mut daemon, roots, rules));
    if left.is_err() {
        // The first error is reported, not one that follows from it.
        let daemon = session.daemon();
        let _ = daemon.and_then(|mut daemon| program.remove(&mut daemon));
    }
    Ok(match left? {
        Left::Interrupted | Left::Closed => DONE,
        Left::Signalled(signal) => {
            // A shell expects the signal itself as the cause of death.
            signal::act_by_default(signal, false);
            FAILED
        }
        Left::Deleted => {
            output::complain(format!("{name} is not in the list any more"));
            FAILED
        }
        Left::Failed(why) => {
            output::complain(why);
            FAILED
        }
    })
}

/// The settings of the program.
fn spec(session: &Session) -> Result<Spec> {
    let invocation = &session.invocation;
    let given = |field: &str| invocation.given.contains(&field);
    let word = invocation.words.first().map_or(OsStr::new(""), |word| word);
    let shown = harmless(&word.to_string_lossy()).into_owned();
    if process_file::kind(word).is_some() {
        return Err(Error::new(format!(
            "dev runs one script or command, and {shown} is a process file; start takes those"
        )));
    }
    let base = base(invocation)?;
    let cwd = base.cwd.clone();
    let folders = [Path::new(""), Path::new(OsStr::from_bytes(&cwd))];
    let mut spec = script::meaning(base, word, &folders)
        .map_err(|why| Error::new(format!("cannot start {shown}: {why}")))?;
    script::check_ending(&spec)
        .map_err(|why| Error::new(format!("cannot start {shown}: {why}")))?;
    command::choose_mode(&mut spec, given);
    if !given("name") {
        spec.name.insert_str(0, "dev-");
    }
    if !given("autorestart") {
        // It would fail again for the same reason.
        spec.autorestart = false;
    }
    if session.look.colour && spec.env.get(b"FORCE_COLOR").is_none() {
        // Its output is a pipe that ends at this terminal.
        let _ = spec.set("env.FORCE_COLOR", b"1");
    }
    Ok(spec)
}

/// The paths to watch: those given, else the working directory of the program, or the folder of a script that is
/// elsewhere.
fn roots(session: &Session, spec: &Spec) -> Result<Vec<PathBuf>> {
    let named = &session.invocation.options.watch;
    let absolute = |path: &String| {
        let doing = || format!("watching '{path}'");
        let absolute = place::absolute(Path::new(path));
        let absolute = absolute.map_err(|why| Error::new(why).while_doing(doing()))?;
        let absolute = PathBuf::from(std::ffi::OsString::from_vec(absolute));
        absolute.metadata().doing(doing)?;
        Ok(absolute)
    };
    if !named.is_empty() {
        return named.iter().map(absolute).collect();
    }
    let cwd = PathBuf::from(std::ffi::OsString::from_vec(spec.cwd.clone()));
    let script = Path::new(OsStr::from_bytes(&spec.script));
    let elsewhere = Command::of(spec).interpreted && !script.starts_with(&cwd);
    let folder = script.parent().filter(|_| elsewhere);
    Ok(vec![folder.map_or(cwd.clone(), Path::to_owned)])
}

/// Adds the program to the list. It is started when its output can be followed.
fn add(daemon: &mut Daemon, spec: Spec) -> Result<Vec<Process>> {
    let name = harmless(&spec.name).into_owned();
    let request = Request::Start {
        spec: Box::new(spec),
        force: false,
        want: Want::Down,
    };
    daemon.processes(&request).map_err(|trouble| match trouble {
        RequestError::Refused(failure) if failure.code == Code::Exists => Error::new(format!(
            "{name} is in the list already: rpm delete {name} removes it, --name gives this one another name"
        )),
        other => other.into(),
    })
}
