//! The event loop of `rpm logs`: changes of files and of the list of programs, and the end.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use super::baseline::Baseline;
use super::end::End;
use super::merge;
use super::printer::Printer;
use super::stream::{Now, Stream};
use super::streams::{self, Streams};
use super::targets::Target;
use super::view::View;
use super::watch::Watches;
use crate::client::daemon::feed::{Feed, Update};
use crate::client::display::output;
use crate::client::display::stdout_writer::Flow;
use crate::error::{Context, Error, Result};
use crate::protocol::process::Process;
use crate::protocol::program_info::ProgramInfo;
use crate::protocol::request::Request;
use crate::sys::inotify;
use crate::sys::poll::{Interest, PollSet};

/// After so long the beginning of a line is shown without its end, in ms.
const BEGUN: u64 = 100;
/// A file of a deleted program that changes is read after so long, in ms: it may be that of a new program, of which the
/// daemon has not told yet.
const LATE: u64 = 100;
/// How often files that cannot be watched are read, in ms.
const UNWATCHED: u64 = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Signals,
    Files,
    Daemon,
    Stdout,
}

/// The programs that are followed.
pub struct Programs {
    /// The daemon's list of programs.
    pub feed: Feed<()>,
    /// Which programs are followed; all where there are none.
    pub targets: Vec<Target>,
    /// The programs whose settings were asked for, and the pids that they had then.
    pub known: BTreeMap<u32, i32>,
}

impl Programs {
    fn are_meant(&self, process: &Process) -> bool {
        self.targets.is_empty() || self.targets.iter().any(|target| target.matches(process))
    }

    /// Asks for the settings of programs that are new or run anew. Gives the ids of those that were deleted.
    fn compare(&mut self, now: u64) -> Vec<u32> {
        if !self.feed.is_listed() {
            return Vec::new();
        }
        let table = self.feed.table();
        let is_deleted = |id: &u32| table.get(*id).is_none();
        let deleted: Vec<u32> = self.known.keys().copied().filter(is_deleted).collect();
        let processes = table.programs().iter().map(|program| &program.process);
        let is_new = |process: &&Process| match self.known.get(&process.id) {
            None => self.are_meant(process),
            Some(pid) => process.pid > 0 && process.pid != *pid,
        };
        let new: Vec<(u32, i32)> = processes
            .filter(is_new)
            .map(|one| (one.id, one.pid))
            .collect();
        self.known.retain(|id, _| !deleted.contains(id));
        for (id, pid) in new {
            self.known.insert(id, pid);
            let targets = vec![id.to_string()];
            self.feed.ask((), &Request::Describe { targets }, now);
        }
        deleted
    }
}

/// The state of the loop.
pub struct Follower<'a, 'b> {
    /// The files.
    pub streams: Streams,
    /// Whose they are; none where only the daemon's log is followed.
    pub programs: Option<Programs>,
    /// The log files as they were before programs that start later.
    pub baseline: Baseline,
    /// How many past lines are shown.
    pub lines: Option<usize>,
    /// Selection and format.
    pub view: &'a View,
    /// Standard output.
    pub printer: Printer<'b>,
    /// The end.
    pub end: &'a End<'a>,
    watches: Option<Watches>,
    /// That files cannot be watched was reported.
    has_complained: bool,
    /// When files of deleted programs are read, in ms of the monotonic clock.
    late: Option<u64>,
}

impl<'a, 'b> Follower<'a, 'b> {
    /// A follower of these streams.
    pub fn new(
        streams: Streams,
        programs: Option<Programs>,
        baseline: Baseline,
        lines: Option<usize>,
        view: &'a View,
        printer: Printer<'b>,
        end: &'a End<'a>,
    ) -> Follower<'a, 'b> {
        Follower {
            streams,
            programs,
            baseline,
            lines,
            view,
            printer,
            end,
            watches: None,
            has_complained: false,
            late: None,
        }
    }

    /// Prints the past lines and nothing else. Whether all files could be read.
    pub fn print(mut self) -> Result<bool> {
        self.print_past(&self.numbers())?;
        self.finish()
    }

    /// Prints the past lines, then new ones until the end. Whether all files could be read.
    pub fn run(mut self) -> Result<bool> {
        match Watches::new() {
            Ok(watches) => self.watches = Some(watches),
            Err(why) => self.complain_of_watches(&why),
        }
        let all = self.numbers();
        // Watched before they are read, so that no change in between is missed.
        self.watch(&all);
        self.print_past(&all)?;
        let mut set = PollSet::default();
        loop {
            let now = Now::read();
            if self.view.until.is_some_and(|until| until < now.wall) {
                return self.finish();
            }
            self.show_begun(now.monotonic)?;
            self.wait(&mut set, now)?;
            if let Err(end) = self.end.check() {
                // The end is the reason, whatever fails after it.
                let _ = self.finish();
                return Err(end);
            }
            let now = Now::read();
            let ready: Vec<Token> = set.ready().map(|(token, _)| token).collect();
            if ready.contains(&Token::Files) {
                self.files_changed(now)?;
            }
            let programs = self.programs.as_ref();
            let due = programs.and_then(|programs| programs.feed.due());
            if ready.contains(&Token::Daemon) || due.is_some_and(|due| due <= now.monotonic) {
                self.programs_changed(now)?;
            }
            let is_closed = |(token, ready): (Token, crate::sys::poll::Ready)| {
                token == Token::Stdout && (ready.error || ready.hangup)
            };
            if set.ready().any(is_closed) {
                self.end.flow.set(Flow::Closed);
                self.end.check()?;
            }
            self.read_late_and_unwatched(now)?;
        }
    }

    fn numbers(&self) -> Vec<usize> {
        (0..self.streams.all.len()).collect()
    }

    fn wait(&mut self, set: &mut PollSet<Token>, now: Now) -> Result<()> {
        let stdout = io::stdout();
        set.clear();
        set.push(self.end.signals.fd(), Interest::READ, Token::Signals);
        set.push(stdout.as_fd(), Interest::default(), Token::Stdout);
        if let Some(watches) = &self.watches {
            set.push(watches.fd(), Interest::READ, Token::Files);
        }
        let mut feed_due = None;
        if let Some(programs) = &self.programs {
            programs.feed.push(set, Token::Daemon);
            feed_due = programs.feed.due();
        }
        let streams = self.streams.all.iter();
        let begun = streams
            .filter_map(|stream| stream.begun_since(self.view))
            .min();
        let has_unwatched = !self.streams.unwatched(self.watches.as_ref()).is_empty();
        let until = self.view.until;
        let dues = [
            feed_due,
            begun.map(|since| since + BEGUN),
            has_unwatched.then_some(now.monotonic + UNWATCHED),
            // The last millisecond is wanted too.
            until.map(|until| now.monotonic + until.saturating_sub(now.wall) + 1),
            self.late,
        ];
        let next = dues.into_iter().flatten().min();
        let timeout = next.map(|due| Duration::from_millis(due.saturating_sub(now.monotonic)));
        let waited = self.end.signals.listening(|| set.wait(timeout));
        waited.map(drop).doing(|| "waiting for log files to change")
    }

    /// Prints what is new in the files that have changed, in the order of the changes.
    fn files_changed(&mut self, now: Now) -> Result<()> {
        let Some(watches) = &mut self.watches else {
            return Ok(());
        };
        let changed = watches
            .changed()
            .doing(|| "waiting for log files to change")?;
        let unwatched = self.streams.unwatched(self.watches.as_ref());
        self.watch(&unwatched);
        for number in changed {
            let stream = self.streams.all.get(number);
            if stream.is_some_and(|stream| stream.source.is_deleted) {
                self.late.get_or_insert(now.monotonic + LATE);
            } else {
                self.read_new(number, now)?;
            }
        }
        Ok(())
    }

    fn read_new(&mut self, number: usize, now: Now) -> Result<()> {
        let Some(stream) = self.streams.all.get_mut(number) else {
            return Ok(());
        };
        if stream.is_broken && !stream.tail.is_open() {
            // Nothing of it was printed yet.
            return self.print_past(&[number]);
        }
        match stream.read_new(number, now, &mut self.printer, self.view) {
            Ok(()) => stream.is_broken = false,
            Err(error) => {
                self.end.check()?;
                stream.fail(error);
            }
        }
        Ok(())
    }

    fn read_late_and_unwatched(&mut self, now: Now) -> Result<()> {
        let mut numbers = self.streams.unwatched(self.watches.as_ref());
        // The folder may be one that can be entered now.
        self.watch_quietly(&numbers);
        if self.late.is_some_and(|late| late <= now.monotonic) {
            self.late = None;
            numbers = self.numbers();
        }
        numbers
            .into_iter()
            .try_for_each(|number| self.read_new(number, now))
    }

    /// Shows the beginnings of lines whose ends have not come for a while.
    fn show_begun(&mut self, now: u64) -> Result<()> {
        for (number, stream) in self.streams.all.iter_mut().enumerate() {
            let since = stream.begun_since(self.view);
            if since.is_some_and(|since| since + BEGUN <= now) {
                stream.show_begun(number, &mut self.printer, self.view);
            }
        }
        self.printer.flush()
    }

    fn programs_changed(&mut self, now: Now) -> Result<()> {
        let Some(programs) = &mut self.programs else {
            return Ok(());
        };
        let mut records = Vec::new();
        programs.feed.turn(now.monotonic);
        while let Some(update) = programs.feed.next(now.monotonic) {
            match update {
                // A program that was deleted before it could be described is not in the table any more.
                Update::Answered((), answer) => records.extend(answer.unwrap_or_default()),
                // What was asked for may not have been answered: it is asked for again.
                Update::Lost(_) => programs.known.values_mut().for_each(|pid| *pid = -1),
                Update::Listed | Update::NotListed(_) | Update::Changed(..) => {}
            }
        }
        for id in programs.compare(now.monotonic) {
            self.streams.mark_deleted(id);
        }
        records.iter().try_for_each(|record| self.add(record, now))
    }

    /// Adds the files of a program that are not followed yet, and prints all that it has printed. Where it cannot be told
    /// which lines of an older file those are, prints the last ones.
    fn add(&mut self, record: &ProgramInfo, now: Now) -> Result<()> {
        let added = self.streams.add(record, self.view);
        self.watch(&added);
        for number in added {
            let Some(stream) = self.streams.all.get_mut(number) else {
                continue;
            };
            let path = stream.tail.path();
            if self.baseline.covers(path) {
                if let Err(error) = self.baseline.skip(&mut stream.tail) {
                    stream.fail(error);
                }
            } else if streams::is_older(path, record) {
                self.print_past(&[number])?;
                continue;
            }
            self.read_new(number, now)?;
        }
        Ok(())
    }

    fn watch(&mut self, numbers: &[usize]) {
        for why in self.watch_quietly(numbers) {
            match why {
                (_, why) if inotify::limit(&why).is_some() => self.complain_of_watches(&why),
                // Reading the file reports the same.
                (_, why) if why.kind() == io::ErrorKind::PermissionDenied => {}
                (doing, why) => output::complain(Error::io(doing, &why)),
            }
        }
    }

    /// Watches these files. Gives the errors, and what was being done.
    fn watch_quietly(&mut self, numbers: &[usize]) -> Vec<(String, io::Error)> {
        let Some(watches) = &mut self.watches else {
            return Vec::new();
        };
        let watch = |(number, stream): (usize, &mut Stream)| {
            let path = stream.tail.path();
            let error = watches.add(number, path).err()?;
            Some((format!("watching {}", path.display()), error))
        };
        self.streams
            .at(numbers)
            .into_iter()
            .filter_map(watch)
            .collect()
    }

    /// Says once that not all files can be watched.
    fn complain_of_watches(&mut self, why: &io::Error) {
        if !std::mem::replace(&mut self.has_complained, true) {
            let limit = inotify::limit(why).map(|limit| format!("; see {limit}"));
            let why = Error::io("watching log files", why);
            output::complain(format!(
                "{why}; changes are looked for twice a second{}",
                limit.unwrap_or_default()
            ));
        }
    }

    fn print_past(&mut self, numbers: &[usize]) -> Result<()> {
        let check = || self.end.check();
        let (to, view) = (&mut self.printer, self.view);
        merge::print(self.streams.at(numbers), self.lines, to, view, &check)
    }

    /// Prints what is held, and ends the last line. Whether all files could be read.
    fn finish(mut self) -> Result<bool> {
        for (number, stream) in self.streams.all.iter_mut().enumerate() {
            stream.end_line(number, None, &mut self.printer, self.view)?;
        }
        self.printer.finish()?;
        // Ends a colour that a program has left on.
        self.printer.out.extend(self.view.look.plain().bytes());
        self.printer.flush()?;
        Ok(self.streams.all.iter().all(|stream| !stream.is_broken))
    }
}
