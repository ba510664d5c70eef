//! The loop: changes of files, programs that come and go, signals, each as it comes.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use super::before::Before;
use super::end::End;
use super::history;
use super::printer::Printer;
use super::programs::{News, Programs};
use super::stream::{Now, Stream};
use super::streams::{self, Streams};
use super::view::View;
use crate::client::display::output;
use crate::error::{Context, Error, Result};
use crate::protocol::program_info::ProgramInfo;
use crate::sys::clock;
use crate::sys::inotify::{self, Watcher};
use crate::sys::poll::{Interest, PollSet};

/// How long a line without its end waits for it before it is shown, in ms.
const BEGUN: u64 = 100;
/// How long what changes in the files of a program that has gone waits for news of the next one, in ms.
const LATE: u64 = 100;
/// How often what cannot be watched is looked at, in ms.
pub const EVERY: u64 = 500;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Signals,
    Files,
    Daemon,
    Home,
    Stdout,
}

/// What is followed, and how it is shown.
pub struct Follower<'a, 'b> {
    /// The files.
    pub streams: Streams,
    /// Whose they are; none where only the daemons' own log is followed.
    pub programs: Option<Programs>,
    /// The log files that there were before programs that start later.
    pub before: Before,
    /// How many lines of what is there already are shown.
    pub lines: Option<usize>,
    /// How.
    pub view: &'a View,
    /// Where to.
    pub printer: Printer<'b>,
    /// What ends it.
    pub end: &'a End<'a>,
    /// That some files cannot be watched has been said.
    pub said: bool,
    /// When the files of programs that have gone are looked at, on a clock that never steps, in ms.
    pub late: Option<u64>,
}

impl Follower<'_, '_> {
    /// Prints the last lines, then what is new, until something ends it. Whether all files could be read.
    pub fn run(mut self) -> Result<bool> {
        let watcher = Watcher::new();
        if let Err(why) = &watcher {
            self.say_not_watched(why);
        }
        let watcher = watcher.ok();
        let watcher = watcher.as_ref();
        let all: Vec<usize> = (0..self.streams.all.len()).collect();
        // Watched before it is read, so that nothing is missed in between.
        self.watch(&all, watcher);
        self.print_past(&all)?;
        if let Some(programs) = &mut self.programs {
            programs.connect(clock::monotonic_ms());
        }
        let mut set = PollSet::default();
        loop {
            let now = Now::read();
            if self.view.until.is_some_and(|until| until < now.wall) {
                return self.finish();
            }
            self.show_begun(now.monotonic)?;
            self.wait(&mut set, watcher, now)?;
            if let Err(end) = self.end.check() {
                // The reason is the end, whatever else goes wrong.
                let _ = self.finish();
                return Err(end);
            }
            let now = Now::read();
            for (token, ready) in set.ready() {
                match token {
                    Token::Stdout if ready.error || ready.hangup => self.end.close()?,
                    Token::Files => self.hear_files(watcher, now)?,
                    Token::Home => {
                        if let Some(programs) = &mut self.programs {
                            programs.hear_home(now.monotonic);
                        }
                    }
                    Token::Daemon => self.hear_daemon(watcher, now)?,
                    Token::Stdout | Token::Signals => {}
                }
            }
            self.do_what_is_due(watcher, now)?;
        }
    }

    /// Prints the last lines and nothing else. Whether all files could be read.
    pub fn print(mut self) -> Result<bool> {
        let all: Vec<usize> = (0..self.streams.all.len()).collect();
        self.print_past(&all)?;
        self.finish()
    }

    fn wait(
        &mut self,
        set: &mut PollSet<Token>,
        watcher: Option<&Watcher>,
        now: Now,
    ) -> Result<()> {
        let stdout = io::stdout();
        set.clear();
        set.push(self.end.signals.fd(), Interest::READ, Token::Signals);
        if let Some(watcher) = watcher {
            set.push(watcher.fd(), Interest::READ, Token::Files);
        }
        set.push(stdout.as_fd(), Interest::default(), Token::Stdout);
        let mut due = None;
        if let Some(programs) = &self.programs {
            programs.push(set, Token::Daemon, Token::Home);
            due = programs.due();
        }
        let begun = self
            .streams
            .all
            .iter()
            .filter_map(|s| s.begun_since(self.view));
        let begun = begun.min().map(|since| since + BEGUN);
        let unwatched = self.has_unwatched().then_some(now.monotonic + EVERY);
        let until = self.view.until.map(|until| {
            // One more, for the last millisecond is wanted too.
            now.monotonic + until.saturating_sub(now.wall) + 1
        });
        let next = [due, begun, unwatched, until, self.late]
            .into_iter()
            .flatten()
            .min();
        let timeout = next.map(|due| Duration::from_millis(due.saturating_sub(now.monotonic)));
        let waited = self.end.signals.listening(|| set.wait(timeout));
        waited.map(drop).doing(|| "waiting for log files to change")
    }

    fn has_unwatched(&self) -> bool {
        let unwatched = |stream: &Stream| !stream.track.is_watched();
        self.streams.all.iter().any(unwatched)
    }

    /// Prints what is new in the files that something was heard of, in that order.
    fn hear_files(&mut self, watcher: Option<&Watcher>, now: Now) -> Result<()> {
        let Some(files) = watcher else {
            return Ok(());
        };
        let mut changed = self.streams.changed(files)?;
        let is_unwatched = |at: &usize| {
            let stream = self.streams.all.get(*at);
            stream.is_some_and(|stream| !stream.track.is_watched())
        };
        let unwatched: Vec<usize> = changed.iter().copied().filter(is_unwatched).collect();
        self.watch(&unwatched, watcher);
        // They may be those of another program already, of which the daemon has not told yet.
        let has_gone = |at: &usize| {
            let stream = self.streams.all.get(*at);
            stream.is_some_and(|stream| stream.origin.has_gone)
        };
        if self.late.is_none() && changed.iter().any(has_gone) {
            self.late = Some(now.monotonic + LATE);
        }
        changed.retain(|at| !has_gone(at));
        changed
            .into_iter()
            .try_for_each(|at| self.catch_up(at, now))
    }

    fn catch_up(&mut self, at: usize, now: Now) -> Result<()> {
        let Some(stream) = self.streams.all.get_mut(at) else {
            return Ok(());
        };
        if stream.is_broken && !stream.track.is_begun() {
            // Perhaps it can be read by now.
            return self.print_past(&[at]);
        }
        match stream.catch_up(at, now, &mut self.printer, self.view) {
            Ok(()) => stream.is_broken = false,
            Err(error) => {
                self.end.check()?;
                stream.fail(error);
            }
        }
        Ok(())
    }

    fn catch_up_with_all(&mut self, now: Now) -> Result<()> {
        (0..self.streams.all.len()).try_for_each(|at| self.catch_up(at, now))
    }

    /// Shows lines that have waited long enough for their ends.
    fn show_begun(&mut self, now: u64) -> Result<()> {
        for (at, stream) in self.streams.all.iter_mut().enumerate() {
            let since = stream.begun_since(self.view);
            if since.is_some_and(|since| since + BEGUN <= now) {
                stream.show_begun(at, &mut self.printer, self.view);
            }
        }
        self.printer.flush()
    }

    fn hear_daemon(&mut self, watcher: Option<&Watcher>, now: Now) -> Result<()> {
        let Some(programs) = &mut self.programs else {
            return Ok(());
        };
        for news in programs.turn(now.monotonic) {
            match news {
                News::Gone(id) => self.streams.has_gone(id),
                News::Is(record) => self.add(&record, watcher, now)?,
            }
        }
        Ok(())
    }

    /// Adds the files of a program that were not followed yet. What it has printed is all of interest, but a file may
    /// be older than the program: where it cannot be told which lines are, the last ones are printed.
    fn add(&mut self, record: &ProgramInfo, watcher: Option<&Watcher>, now: Now) -> Result<()> {
        let added = self.streams.add(record, self.view);
        self.watch(&added, watcher);
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for (at, stream) in self.streams.at(&added) {
            let path = stream.track.path();
            if self.before.covers(path) {
                let place = self.before.end_of(path);
                if let Err(error) = place.and_then(|place| stream.track.go_on_behind(place)) {
                    stream.fail(error);
                }
                new.push(at);
            } else if streams::is_older(path, record) {
                old.push(at);
            } else {
                new.push(at);
            }
        }
        self.print_past(&old)?;
        new.into_iter().try_for_each(|at| self.catch_up(at, now))
    }

    fn watch(&mut self, places: &[usize], watcher: Option<&Watcher>) {
        let Some(watcher) = watcher else {
            return;
        };
        let mut limited = None;
        for (_, stream) in self.streams.at(places) {
            match stream.track.watch(watcher) {
                Err(why) if inotify::limit(&why).is_some() => limited = Some(why),
                // The same is said of the reading.
                Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {}
                Err(why) => output::complain(stream.track.not_watched(&why)),
                Ok(()) => {}
            }
        }
        if let Some(why) = limited {
            self.say_not_watched(&why);
        }
    }

    /// Says once that changes are not heard of.
    fn say_not_watched(&mut self, why: &io::Error) {
        if !std::mem::replace(&mut self.said, true) {
            let limit = inotify::limit(why).map(|limit| format!("; see {limit}"));
            let why = Error::io("watching log files", why);
            output::complain(format!(
                "{why}; changes are looked for twice a second{}",
                limit.unwrap_or_default()
            ));
        }
    }

    fn print_past(&mut self, places: &[usize]) -> Result<()> {
        let stop = || self.end.check();
        let (to, view) = (&mut self.printer, self.view);
        history::print(&mut self.streams.at(places), self.lines, to, view, &stop)
    }

    fn do_what_is_due(&mut self, watcher: Option<&Watcher>, now: Now) -> Result<()> {
        if let Some(programs) = &mut self.programs {
            if programs.due().is_some_and(|due| due <= now.monotonic) {
                programs.connect(now.monotonic);
            }
        }
        if self.late.is_some_and(|late| late <= now.monotonic) {
            self.late = None;
            self.catch_up_with_all(now)?;
        }
        if self.has_unwatched() {
            for at in 0..self.streams.all.len() {
                let stream = self.streams.all.get_mut(at);
                if let Some(stream) = stream.filter(|stream| !stream.track.is_watched()) {
                    // The folder may be one that can be entered by now.
                    let _ = watcher.map(|watcher| stream.track.watch(watcher));
                    self.catch_up(at, now)?;
                }
            }
        }
        Ok(())
    }

    /// Prints what is held, the last line with an end. Whether all files could be read.
    fn finish(mut self) -> Result<bool> {
        for (at, stream) in self.streams.all.iter_mut().enumerate() {
            stream.end_line(at, None, &mut self.printer, self.view)?;
        }
        self.printer.finish()?;
        // What a program has left open ends here too.
        self.printer.out.extend(self.view.look.plain().bytes());
        self.printer.flush()?;
        Ok(self.streams.all.iter().all(|stream| !stream.is_broken))
    }
}
