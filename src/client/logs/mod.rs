//! `rpm logs`: the last lines of log files, then new ones as they are written.
//!
//! ```text
//! mod          the command; time, moments as people write them; targets, the programs that are meant
//! follow       the event loop; end, what ends it
//! streams      the files, each once; stream, one file's lines; source, their program and label
//! tail         follows one file by inode; generations, FILE, FILE.1, …; watch, reports changes
//! baseline     the files before programs that start later
//! backward     lines from the end of a file; past, where the last ones begin; merge, several files by time
//! line         splits a line into time and message; view, selects and formats it; printer, writes it
//! ```

mod backward;
mod baseline;
mod end;
mod follow;
mod generations;
mod line;
mod merge;
mod past;
mod printer;
mod source;
mod stream;
mod streams;
mod tail;
mod targets;
mod time;
mod view;
mod watch;

use std::cell::Cell;

use crate::client::cli::command::DAEMON_LOG as DAEMON;
use crate::client::daemon::connect;
use crate::client::daemon::session::{DONE, FAILED, Session, USAGE_ERROR};
use crate::client::daemon::{self, feed::Feed};
use crate::client::display::output;
use crate::client::display::stdout_writer::{Flow, StdoutWriter};
use crate::error::{Context, Error, Result};
use crate::model::stamp::Form;
use crate::protocol::program_info::ProgramInfo;
use crate::protocol::request::Request;
use crate::sys::regex::Regex;
use crate::sys::signal::{self, SelfPipe, Signal};
use crate::sys::{clock, fd};
use baseline::Baseline;
use end::{End, SIGNALS, Stdout};
use follow::{Follower, Programs};
use line::Output;
use targets::Target;
use view::Format;

pub use printer::Printer;
pub use stream::Now;
pub use streams::Streams;
pub use tail::{Piece, Tail};
pub use view::View;
pub use watch::Watches;

/// How many lines of each file are printed by default, as pm2 does.
const LINES: usize = 15;
/// The default form of date and time, as pm2 has it.
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
    // Before the daemon is asked: a file of a later program is either one of these or new.
    let baseline = Baseline::of(&session.home()?.logs());
    let programs = add_streams(session, &mut streams, &view, follows)?;
    if programs.is_none() && streams.all.is_empty() {
        return Ok(DONE);
    }
    // One file of each output, and more during a rotation.
    let _ = fd::raise_nofile();
    signal::ignore(Signal::PIPE);
    let signals = SelfPipe::install(&SIGNALS).doing(|| "preparing for signals")?;
    let flow = Cell::new(Flow::Open);
    let end = End {
        signals: &signals,
        flow: &flow,
        signal: Cell::new(None),
    };
    let writer = StdoutWriter {
        flow: &flow,
        signals: &signals,
    };
    let mut stdout = Stdout { writer };
    let printer = Printer::new(&mut stdout);
    let follower = Follower::new(streams, programs, baseline, lines, &view, printer, &end);
    let done = if follows {
        follower.run()
    } else {
        follower.print()
    };
    match (end.signal.get(), done) {
        (Some(signal), _) => {
            // A shell expects the signal itself as the cause of death.
            signal::act_by_default(signal, false);
            Ok(FAILED)
        }
        (None, Err(error)) if !end.has_come() => Err(error),
        (None, Ok(false)) => Ok(FAILED),
        _ if flow.get() == Flow::Failed => Ok(FAILED),
        _ => Ok(DONE),
    }
}

/// Selection and format, by the flags. The error completes "logs: …".
fn view(session: &Session) -> std::result::Result<View, String> {
    let options = &session.invocation.options;
    let now = clock::wall_ms();
    let form = options.timestamp.as_deref().filter(|form| !form.is_empty());
    let form_or_default = || Form::new(form.unwrap_or(FORM));
    let format = if options.json {
        Format::Json(form.map(Form::new))
    } else if options.format {
        Format::KeyValue(form_or_default())
    } else if options.timestamp.is_some() {
        Format::Dated(form_or_default())
    } else {
        Format::Stored
    };
    let moment = |flag: &str, text: &Option<String>| {
        let time = text.as_ref().map(|text| time::parse(text, now)).transpose();
        time.map_err(|why| format!("{flag}: {why}"))
    };
    let regex = |pattern: &String| {
        Regex::new(pattern).map_err(|why| {
            format!("--grep: '{pattern}' is not a regular expression: {why}; see regex(7)")
        })
    };
    Ok(View {
        format,
        highlight: options.highlight.clone().unwrap_or_default().into_bytes(),
        since: moment("--since", &options.since)?,
        until: moment("--until", &options.until)?,
        only: match (options.out, options.err) {
            (true, false) => Some(Output::Out),
            (false, true) => Some(Output::Err),
            _ => None,
        },
        grep: options.grep.as_ref().map(regex).transpose()?,
        ..View::stored(options.raw, session.look)
    })
}

/// Adds the log files that are meant. Gives the programs to follow; none where no file can come of any.
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
    let expanded = daemon::targets::expanded(words.clone(), &mut daemon)?;
    let records = daemon.describe(expanded)?;
    let mut targets = Vec::new();
    for word in &words {
        // A pattern stays one: programs that start later may match it.
        let expanded = if daemon::targets::is_one(word) {
            vec![word.clone()]
        } else {
            daemon::targets::expanded(vec![word.clone()], &mut daemon)?
        };
        for word in expanded {
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
    let is_single = |target: &Target| matches!(target, Target::Id(_) | Target::Name(_));
    if !words.is_empty() && !any_has_files(streams, &records) && targets.iter().all(is_single) {
        return Ok(None);
    }
    let processes = records.iter().map(|record| &record.process);
    Ok(Some(Programs {
        feed: Feed::new(home, Vec::new()),
        targets,
        known: processes.map(|one| (one.id, one.pid)).collect(),
    }))
}

/// Whether any of these programs has log files. Complains of the others.
fn any_has_files(streams: &Streams, records: &[ProgramInfo]) -> bool {
    let (with, without): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| streams.has_files(record));
    let names = without.iter().map(|record| record.process.name.as_str());
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    for name in names {
        output::complain(format!(
            "no file keeps what {} prints; there are no logs of it",
            output::harmless(name)
        ));
    }
    !with.is_empty()
}

/// Whether a program has this name. Launches no daemon.
fn is_program(session: &Session, name: &str) -> Result<bool> {
    let Some(mut daemon) = connect::connect(&session.home()?)? else {
        return Ok(false);
    };
    let targets = Vec::new();
    let programs = daemon.processes(&Request::List { targets })?;
    Ok(programs.iter().any(|program| program.name == name))
}
