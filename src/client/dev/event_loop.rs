//! The event loop of `rpm dev`: file changes, output, signals, the daemon.

use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use super::SIGNALS;
use super::debounce::Debounce;
use super::program::{Event, Program};
use super::rules::Rules;
use super::tree::Tree;
use crate::client::daemon::exchange::Daemon;
use crate::client::daemon::session::Session;
use crate::client::display::actions;
use crate::client::display::details::exit_text;
use crate::client::display::output::{self, Look, Tint, harmless};
use crate::client::display::shell::quoted;
use crate::client::display::stdout_writer::{Flow, StdoutWriter};
use crate::client::logs::{Now, Printer, Streams, View, Watches};
use crate::config::place;
use crate::error::{Context, Error, Result};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::{SelfPipe, Signal};
use crate::sys::{clock, inotify};

/// How long to wait for the last lines of a program that has ended, in ms.
const LAST_LINES: u64 = 50;
/// A change so soon after each restart may be made by the program itself, in ms.
const SOON: u64 = 1_000;
/// After so many of them a hint is printed.
const OWN_CHANGES: u32 = 4;

const FOLLOWING: &str = "following log files";

fn watches() -> Result<Watches> {
    Watches::new().map_err(|why| inotify::explained(FOLLOWING, &why))
}

/// Why the loop has ended.
pub enum Left {
    /// By ^C.
    Interrupted,
    /// By another signal.
    Signalled(Signal),
    /// The reader of standard output is gone.
    Closed,
    /// Another client has deleted the program.
    Deleted,
    /// The program could not be started: a sentence.
    Failed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Signals,
    Tree,
    Logs,
    Daemon,
    Stdout,
}

/// The state of the loop.
pub struct EventLoop<'a> {
    name: String,
    look: Look,
    silent: bool,
    /// The present folder.
    folder: PathBuf,
    printer: Printer<'a>,
    signals: &'a SelfPipe,
    flow: &'a Cell<Flow>,
    program: &'a mut Program,
    watches: Watches,
    streams: Streams,
    view: View,
    changed: Debounce,
    /// The program was started once.
    started: bool,
    /// A message to print, and when.
    later: Option<(String, u64)>,
    cause: Cause,
    left: Option<Left>,
}

/// Why it was restarted last.
#[derive(Default)]
struct Cause {
    /// When it ran again, in ms.
    at: u64,
    /// The file that changed.
    file: PathBuf,
    /// How often in turn that was so soon after a restart for the same file.
    times: u32,
}

impl EventLoop<'_> {
    /// A loop for a program, called `name`, that has not been started yet.
    pub fn new<'a>(
        session: &Session,
        name: &str,
        program: &'a mut Program,
        writer: &'a mut StdoutWriter,
    ) -> Result<EventLoop<'a>> {
        let (signals, flow) = (writer.signals, writer.flow);
        Ok(EventLoop {
            name: name.to_owned(),
            look: session.look,
            silent: session.invocation.options.silent,
            folder: place::working_directory().map_err(Error::new)?,
            printer: Printer::new(writer),
            signals,
            flow,
            program,
            watches: watches()?,
            streams: Streams::new(true, true),
            view: View::stored(session.invocation.options.raw, session.look),
            changed: Debounce::default(),
            started: false,
            later: None,
            cause: Cause::default(),
            left: None,
        })
    }

    /// Runs until the program is deleted.
    pub fn run(
        mut self,
        daemon: &mut Daemon,
        roots: Vec<PathBuf>,
        mut rules: Rules,
    ) -> Result<Left> {
        self.open_logs(daemon, &mut rules)?;
        // Last, for it may use up all watches.
        let mut tree = Tree::new(roots, rules)?;
        let mut set = PollSet::default();
        loop {
            if self.handle_signals() {
                return Ok(self.finish());
            }
            if self.flow.get().is_over() {
                self.leave(Left::Closed);
            }
            self.program.connect()?;
            let now = clock::monotonic_ms();
            self.say_what_is_due(now)?;
            self.restart_where_due(now)?;
            self.wait(&mut set, &tree, now)?;
            for (token, ready) in set.ready() {
                match token {
                    Token::Logs => self.print_changed()?,
                    Token::Tree => self.changed.add(tree.batch()?, clock::monotonic_ms()),
                    Token::Stdout if ready.error || ready.hangup => self.flow.set(Flow::Closed),
                    Token::Daemon => {
                        for event in self.program.turn()? {
                            if matches!(event, Event::Deleted) {
                                return Ok(self.finish());
                            }
                            self.take(event, &tree)?;
                        }
                    }
                    Token::Stdout | Token::Signals => {}
                }
            }
        }
    }

    /// Opens the log files at their ends: earlier output is not shown.
    fn open_logs(&mut self, daemon: &mut Daemon, rules: &mut Rules) -> Result<()> {
        let records = daemon.describe(self.program.targets())?;
        for record in &records {
            for file in [
                &record.out_path,
                &record.error_path,
                &record.log_path,
                &record.pid_path,
            ] {
                let file = OsString::from_vec(file.clone());
                rules.leave_out(file.into());
            }
        }
        for record in &records {
            self.streams.add(record, &self.view);
        }
        for (number, stream) in self.streams.all.iter_mut().enumerate() {
            // Where its folder does not exist yet, it will when the program runs.
            let _ = self.watches.add(number, stream.tail.path());
            stream.tail.start_at_end()?;
        }
        Ok(())
    }

    /// Handles pending signals. Whether the user does not want to wait for the end.
    fn handle_signals(&mut self) -> bool {
        self.signals.drain();
        let mut again = false;
        for signal in SIGNALS {
            if self.signals.take(signal) {
                again |= self.left.is_some();
                self.leave(match signal {
                    Signal::INT => Left::Interrupted,
                    other => Left::Signalled(other),
                });
            }
        }
        again && self.program.is_given_up()
    }

    /// Deletes the program; the loop ends when that is done.
    fn leave(&mut self, left: Left) {
        if self.left.is_none() {
            self.left = Some(left);
            self.later = None;
            if self.flow.get() == Flow::Open {
                self.flow.set(Flow::Ending);
            }
            self.program.delete();
        }
    }

    /// The program is deleted: prints its last output.
    fn finish(&mut self) -> Left {
        self.catch_up(None);
        let left = self.left.take().unwrap_or(Left::Deleted);
        if !matches!(left, Left::Deleted | Left::Failed(_)) {
            let sentence = format!("{} is stopped and removed", self.name);
            // Where it cannot be printed, nobody reads it.
            let _ = self.say(Tint::Heading, &sentence);
        }
        let _ = self.printer.finish();
        left
    }

    fn wait(&mut self, set: &mut PollSet<Token>, tree: &Tree, now: u64) -> Result<()> {
        let stdout = io::stdout();
        set.clear();
        set.push(self.signals.fd(), Interest::READ, Token::Signals);
        set.push(tree.fd(), Interest::READ, Token::Tree);
        set.push(self.watches.fd(), Interest::READ, Token::Logs);
        self.program.push(set, Token::Daemon);
        if !self.flow.get().is_over() {
            set.push(stdout.as_fd(), Interest::default(), Token::Stdout);
        }
        let restart = self.changed.due().filter(|_| self.program.is_settled());
        let later = self.later.as_ref().map(|(_, due)| *due);
        let next = restart.into_iter().chain(later).min();
        let timeout = next.map(|due| Duration::from_millis(due.saturating_sub(now)));
        let waited = self.signals.listening(|| set.wait(timeout));
        waited.map(drop).doing(|| "waiting for what happens")
    }

    /// Prints what is new in the log files that have changed.
    fn print_changed(&mut self) -> Result<()> {
        let changed = self.watches.changed().doing(|| FOLLOWING)?;
        // The message that it was started comes first.
        if self.started {
            self.catch_up(Some(&changed));
        }
        Ok(())
    }

    /// Prints what is new in these log files, in all where none are named.
    fn catch_up(&mut self, which: Option<&[usize]>) {
        let (now, to, view) = (Now::read(), &mut self.printer, &self.view);
        for (at, stream) in self.streams.all.iter_mut().enumerate() {
            if which.is_none_or(|which| which.contains(&at)) {
                let done = stream.read_new(at, now, to, view);
                stream.show_begun(at, to, view);
                if let Err(why) = done.and_then(|()| to.flush()) {
                    output::complain(why);
                }
            }
        }
    }

    fn take(&mut self, event: Event, tree: &Tree) -> Result<()> {
        match event {
            Event::Started(processes) => {
                self.cause.at = clock::monotonic_ms();
                if !std::mem::replace(&mut self.started, true) {
                    let text = actions::action_lines("started", &processes);
                    text.lines()
                        .try_for_each(|line| self.print_line(Tint::Heading, line))?;
                    let watched = format!("watching {}; ^C ends it", tree.shown());
                    self.say(Tint::Heading, &watched)?;
                }
                self.watch_logs();
            }
            Event::Failed(why) if !self.started => self.leave(Left::Failed(why)),
            Event::Failed(why) => {
                self.printer.finish()?;
                output::complain(format!("{why}; the next change tries again"));
            }
            Event::Ended(process) => {
                let exit = process.exit.map(exit_text).unwrap_or_default();
                let sentence = format!(
                    "{} has ended: {exit}; the next change starts it again",
                    self.name
                );
                self.later = Some((sentence, clock::monotonic_ms() + LAST_LINES));
            }
            Event::Deleted => {}
        }
        Ok(())
    }

    /// Watches log files that did not exist before.
    fn watch_logs(&mut self) {
        for number in self.streams.unwatched(Some(&self.watches)) {
            for (_, stream) in self.streams.at(&[number]) {
                let path = stream.tail.path();
                if let Err(why) = self.watches.add(number, path) {
                    output::complain(Error::io(format_args!("watching {}", path.display()), &why));
                }
            }
        }
        self.catch_up(None);
    }

    fn say_what_is_due(&mut self, now: u64) -> Result<()> {
        match self.later.take() {
            Some((sentence, due)) if due <= now => self.say(Tint::Bad, &sentence),
            other => {
                self.later = other;
                Ok(())
            }
        }
    }

    fn restart_where_due(&mut self, now: u64) -> Result<()> {
        let due = self.changed.due().is_some_and(|due| due <= now);
        if !due || !self.program.is_settled() || self.left.is_some() {
            return Ok(());
        }
        let Some(changed) = self.changed.take(|path| path.symlink_metadata().is_ok()) else {
            return Ok(());
        };
        self.later = None;
        let sentence = changed.sentence(&self.folder);
        self.say(Tint::Changing, &format!("{sentence}; restarting"))?;
        if let Some(file) = changed.first {
            let soon = now.saturating_sub(self.cause.at) < SOON && file == self.cause.file;
            self.cause.times = if soon { self.cause.times + 1 } else { 1 };
            self.cause.file = file;
            if self.cause.times == OWN_CHANGES {
                self.hint()?;
            }
        }
        self.program.restart();
        Ok(())
    }

    fn hint(&mut self) -> Result<()> {
        let file = &self.cause.file;
        let file = file.strip_prefix(&self.folder).unwrap_or(file);
        let file = quoted(&file.to_string_lossy());
        let sentence = format!(
            "it changes soon after each start; if the program writes it, leave it out with --ignore-watch {file}"
        );
        self.say(Tint::Changing, &sentence)
    }

    fn say(&mut self, tint: Tint, sentence: &str) -> Result<()> {
        self.print_line(tint, &format!("rpm: {}", harmless(sentence)))
    }

    fn print_line(&mut self, tint: Tint, line: &str) -> Result<()> {
        if self.silent {
            return Ok(());
        }
        let (start, end) = (self.look.tint(tint), self.look.plain());
        self.printer.print_line(&format!("{start}{line}{end}\n"))
    }
}
