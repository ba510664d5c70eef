//! `rpm logs`: the last lines of log files, then what is written to them.
//!
//! ```text
//! mod          the command
//! time         moments as people write them
//! programs     whose logs: what the daemon tells
//! streams      their files, each once
//! track        one file across rotation and truncation; generations, what it was before; watched, who tells of it
//! past         where its last lines begin; tail, the same where all lines count; history, several files
//! line         a line taken apart: date and time, message
//! view         which lines are shown, and how; stream, from a file's bytes to that; printer, to standard output
//! before       which files there were before programs that start later
//! follow       the loop; end, what ends it
//! ```

mod before;
mod end;
mod follow;
mod generations;
mod history;
mod line;
mod past;
mod printer;
mod programs;
mod stream;
mod streams;
mod tail;
mod time;
mod track;
mod view;
mod watched;

use std::cell::Cell;

use crate::client::cli::command::DAEMON_LOG as DAEMON;
use crate::client::daemon::connect;
use crate::client::daemon::session::{DONE, FAILED, Session, USAGE_ERROR};
use crate::client::daemon::targets;
use crate::client::display::output;
use crate::client::display::stdout_writer::{Flow, StdoutWriter};
use crate::error::{Context, Error, Result};
use crate::model::stamp::Form;
use crate::protocol::program_info::ProgramInfo;
use crate::protocol::request::Request;
use crate::sys::regex::Regex;
use crate::sys::signal::{self, SelfPipe, Signal};
use crate::sys::{clock, fd};
use before::Before;
use end::{End, SIGNALS, Stdout};
use follow::Follower;
use programs::{Programs, Target};
use stream::Kind;
use view::Shape;

pub use printer::Printer;
pub use stream::Now;
pub use streams::Streams;
pub use track::{News, Track};
pub use view::View;

/// How many lines of each file are printed unless another number is given, as pm2 does.
const LINES: usize = 15;
/// The form of date and time unless another one is given, as pm2 has it.
const FORM: &str = "YYYY-MM-DD-HH:mm:ss";

/// `rpm logs`
pub fn run(session: &mut Session) -> Result<u8> {
    let view = match view(session) {
        Ok(view) => view,
        Err(why) => {
            output::complain(format!("logs: {why}"));
            return Ok(USAGE_ERROR);
        }
    };
    let options = &session.invocation.options;
    let follows = !options.nostream;
    let neither = !options.out && !options.err;
    let mut streams = Streams::new(options.out || neither, options.err || neither);
    let lines = match (options.lines, view.since) {
        (None, Some(_)) => None,
        (lines, _) => Some(lines.unwrap_or(LINES)),
    };
    // Before it is asked which programs there are: the files of those that come later are among these, or new.
    let before = Before::of(&session.home()?.logs());
    let programs = add_streams(session, &mut streams, &view, follows)?;
    if programs.is_none() && streams.all.is_empty() {
        return Ok(DONE);
    }
    // A file of each program, and more while they are rotated.
    let _ = fd::raise_nofile();
    signal::ignore(Signal::PIPE);
    let signals = SelfPipe::install(&SIGNALS).doing(|| "preparing for signals")?;
    let flow = Cell::new(Flow::Open);
    let end = End {
        signals: &signals,
        flow: &flow,
        signal: Cell::new(None),
    };
    let outlet = StdoutWriter {
        flow: &flow,
        signals: &signals,
    };
    let mut stdout = Stdout { outlet, end: &end };
    let follower = Follower {
        streams,
        programs,
        before,
        lines,
        view: &view,
        printer: Printer::new(&mut stdout),
        end: &end,
        said: false,
        late: None,
    };
    let done = match follows {
        true => follower.run(),
        false => follower.print(),
    };
    match (end.signal.get(), done) {
        (Some(signal), _) => {
            // As the shell expects it of a program that a signal has ended.
            signal::act_by_default(signal, false);
            Ok(FAILED)
        }
        (None, Err(error)) if !end.has_come() => Err(error),
        (None, Ok(false)) => Ok(FAILED),
        _ if flow.get() == Flow::Failed => Ok(FAILED),
        _ => Ok(DONE),
    }
}

/// What was asked for. The error completes "logs: …".
fn view(session: &Session) -> std::result::Result<View, String> {
    let options = &session.invocation.options;
    let now = clock::wall_ms();
    let form = options.timestamp.as_deref().filter(|form| !form.is_empty());
    let dated = || Form::new(form.unwrap_or(FORM));
    let shape = match () {
        () if options.json => Shape::Json(form.map(Form::new)),
        () if options.format => Shape::Words(dated()),
        () if options.timestamp.is_some() => Shape::Dated(dated()),
        () => Shape::Stored,
    };
    let moment = |flag: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => time::parse(text, now)
            .map(Some)
            .map_err(|why| format!("{flag}: {why}")),
    };
    let grep = match &options.grep {
        None => None,
        Some(pattern) => Some(Regex::new(pattern).map_err(|why| {
            format!("--grep: '{pattern}' is no regular expression: {why}; see regex(7)")
        })?),
    };
    Ok(View {
        shape,
        highlight: options.highlight.clone().unwrap_or_default().into_bytes(),
        since: moment("--since", &options.since)?,
        until: moment("--until", &options.until)?,
        only: match (options.out, options.err) {
            (true, false) => Some(Kind::Out),
            (false, true) => Some(Kind::Err),
            _ => None,
        },
        grep,
        ..View::stored(options.raw, session.look)
    })
}

/// Adds the log files that are meant. What tells of their programs from now on; none where nothing is to come of them.
fn add_streams(
    session: &Session,
    streams: &mut Streams,
    view: &View,
    follows: bool,
) -> Result<Option<Programs>> {
    let home = session.home()?;
    let mut words = session.words()?;
    let of_daemon = words.iter().any(|word| word == DAEMON) && !is_program(session, DAEMON)?;
    if of_daemon {
        words.retain(|word| word != DAEMON);
        streams.add_daemon(&home, view);
        if words.is_empty() {
            return Ok(None);
        }
    }
    let mut daemon = session.daemon()?;
    let expanded = targets::expanded(words.clone(), &mut daemon)?;
    let records = daemon.describe(expanded)?;
    let mut targets = Vec::new();
    for word in &words {
        if targets::is_one(word) {
            targets.push(Target::of(word, &records)?);
            continue;
        }
        // A script stands for the ids of its programs.
        for word in targets::expanded(vec![word.clone()], &mut daemon)? {
            targets.push(Target::of(&word, &records)?);
        }
    }
    if records.is_empty() && words.is_empty() {
        if !follows {
            return Err(Error::new("no program is managed; there are no logs"));
        }
        output::complain("no program is managed; waiting for one to be started");
    }
    for record in &records {
        streams.add(record, view);
    }
    let is_one = |target: &Target| matches!(target, Target::Id(_) | Target::Name(_));
    if !words.is_empty() && !say_what_is_not_kept(streams, &records) && targets.iter().all(is_one) {
        return Ok(None);
    }
    Ok(Some(Programs::new(home, targets)))
}

/// Says of which programs there is nothing to be seen. Whether there is of any other.
fn say_what_is_not_kept(streams: &Streams, records: &[ProgramInfo]) -> bool {
    let (kept, not_kept): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| streams.has_files(record));
    let mut names: Vec<&str> = not_kept
        .iter()
        .map(|one| one.process.name.as_str())
        .collect();
    names.dedup();
    for name in names {
        output::complain(format!(
            "no file keeps what {} prints; there are no logs of it",
            output::harmless(name)
        ));
    }
    !kept.is_empty()
}

/// Whether a program is called so. No daemon is launched to find out.
fn is_program(session: &Session, name: &str) -> Result<bool> {
    let Some(mut daemon) = connect::connect(&session.home()?)? else {
        return Ok(false);
    };
    let targets = Vec::new();
    let programs = daemon.processes(&Request::List { targets })?;
    Ok(programs.iter().any(|program| program.name == name))
}
