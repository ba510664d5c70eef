//! The log files by their paths: streams that end in the same one share it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::file;
use super::outlet::{Outlet, Room};
use super::sink::Sink;
use crate::model::standard::{Named, Standard};
use crate::protocol::output::Output;
use crate::sys::shared_output::named;
use crate::sys::{clock, fd, rights};

/// All log files that something is written to.
#[derive(Debug, Default)]
pub struct Sinks {
    /// Each at the place of its number; none where that is free.
    all: Vec<Option<Sink>>,
    uses: u64,
    /// The last use before files were last closed that were quiet, and when that is done again. monotonic ms
    swept: u64,
    sweep_at: Option<u64>,
    /// Given up while a file is opened: root needs descriptors to look whose the folders are.
    spare: Vec<OwnedFd>,
    /// The daemon's standard output and standard error, as far as it has handed them over.
    standard: [Option<OwnedFd>; 2],
}

/// As many files stay open however quiet they are: fewer cost nothing, and nobody has to be woken to close them.
const KEPT_OPEN: usize = 16;
/// A file that was not written to for so long is closed where more than that are open. ms
const QUIET: u64 = 5000;
/// How many are kept: of a folder, and of what is in it.
const SPARE: usize = 2;

impl Sinks {
    /// The number of the file at this path, for one more stream, with what it may become.
    pub fn acquire(&mut self, path: PathBuf, output: &Output) -> usize {
        let number = self.number_of(&path);
        let number = number.unwrap_or_else(|| self.add(path));
        if let Some(sink) = self.get(number) {
            sink.users += 1;
            sink.merged = output.merged;
            sink.max_size = output.max_size;
            sink.max_files = output.max_files;
        }
        number
    }

    /// By its name, else by what the name stands for. One after the other: a thousand are looked through in
    /// microseconds.
    fn number_of(&self, path: &Path) -> Option<usize> {
        let same = |one: &Path, other: &Path| one.as_os_str() == other.as_os_str();
        let is = |is_it: &dyn Fn(&Sink) -> bool| {
            let mut all = self.all.iter();
            all.position(|sink| sink.as_ref().is_some_and(is_it))
        };
        let by_name = is(&|sink| same(sink.path(), path));
        by_name.or_else(|| match standard_of(path) {
            Some(standard) => is(&|sink| sink.standard() == Some(standard)),
            None => {
                let meaning = file::meaning(path);
                is(&|sink| sink.standard().is_none() && *sink.meaning() == meaning)
            }
        })
    }

    /// The daemon's own output from now on.
    pub fn set_standard(&mut self, standard: Standard, fd: OwnedFd) {
        let place = standard as usize;
        if let Some(place) = self.standard.get_mut(place) {
            *place = Some(fd);
        }
        if let Some(outlet) = self.new_outlet(standard) {
            let mut all = self.all.iter_mut().flatten();
            if let Some(sink) = all.find(|sink| sink.standard() == Some(standard)) {
                sink.set_outlet(outlet);
            }
        }
    }

    fn new_outlet(&self, standard: Standard) -> Option<Outlet> {
        let fd = self.standard.get(standard as usize)?.as_ref()?;
        Outlet::new(fd.try_clone().ok()?).ok()
    }

    fn new_sink(&self, path: PathBuf) -> Sink {
        match standard_of(&path) {
            Some(standard) => Sink::of_standard(standard, self.new_outlet(standard)),
            None => Sink::new(path),
        }
    }

    /// Whether somebody reads it who may be slow.
    pub fn has_reader(&self, number: usize) -> bool {
        let sink = self.all.get(number).and_then(Option::as_ref);
        sink.is_some_and(Sink::has_reader)
    }

    /// Those in which something waits.
    pub fn with_rest(&mut self) -> Vec<usize> {
        let all = self.all.iter_mut().enumerate();
        let waits = |sink: &mut Sink| sink.outlet().is_some_and(|outlet| outlet.waiting() > 0);
        all.filter_map(|(number, sink)| waits(sink.as_mut()?).then_some(number))
            .collect()
    }

    /// Whether output for it has to wait.
    pub fn is_full(&mut self, number: usize) -> bool {
        self.get(number)
            .is_some_and(|sink| sink.room() == Room::None)
    }

    fn add(&mut self, path: PathBuf) -> usize {
        let sink = self.new_sink(path);
        let free = self.all.iter().position(Option::is_none);
        let number = free.unwrap_or(self.all.len());
        if number == self.all.len() {
            self.all.push(None);
        }
        if let Some(place) = self.all.get_mut(number) {
            *place = Some(sink);
        }
        number
    }

    /// Counts one more use; how many there were.
    pub fn count_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    /// A stream ends here no longer.
    pub fn release(&mut self, number: usize) {
        let Some(sink) = self.get(number) else {
            return;
        };
        sink.users = sink.users.saturating_sub(1);
        if sink.users == 0 {
            drop(self.all.get_mut(number).and_then(Option::take));
        }
    }

    /// The file of this number.
    pub fn get(&mut self, number: usize) -> Option<&mut Sink> {
        self.all.get_mut(number)?.as_mut()
    }

    /// The file at this path.
    pub fn at(&mut self, path: &Path) -> Option<&mut Sink> {
        let number = self.number_of(path)?;
        self.get(number)
    }

    /// Whether more than one stream ends here.
    pub fn is_shared(&self, number: usize) -> bool {
        let sink = self.all.get(number).and_then(Option::as_ref);
        sink.is_some_and(Sink::is_shared)
    }

    /// The file, opened where it was not or has gone; none where it cannot be.
    pub fn ready(&mut self, number: usize) -> Option<&mut Sink> {
        self.uses += 1;
        let uses = self.uses;
        let sink = self.get(number)?;
        sink.used = uses;
        sink.look();
        if sink.is_due() {
            if let Err(e) = self.open(number) {
                self.get(number)?.not_opened(&e);
            }
        }
        let sink = self.get(number).filter(|sink| sink.is_open())?;
        (sink.room() != Room::GivenUp).then_some(sink)
    }

    /// Checks whether a file that nothing is written to yet can be opened, and notes why it cannot.
    pub fn check(&mut self, number: usize) {
        let is_open = |sink: &mut Sink| sink.is_open();
        if self.get(number).is_none_or(is_open) {
            return;
        }
        self.spare.clear();
        let done = self.open_now(number, Sink::check);
        self.keep_spare();
        if let (Err(e), Some(sink)) = (done, self.get(number)) {
            sink.not_opened(&e);
        }
    }

    /// Writes whole lines that are no output of a program, where the file takes them.
    pub fn write_lines(&mut self, number: usize, lines: &[u8]) {
        if let Some(sink) = self.ready(number) {
            sink.write_lines(lines);
        }
    }

    /// Keeps descriptors for the next opening, in the place of a file that was not needed for long where there are no
    /// others.
    pub fn keep_spare(&mut self) {
        while rights::is_root() && self.spare.len() < SPARE {
            match fd::open_null() {
                Ok(spare) => self.spare.push(spare),
                Err(_) if self.close_one(1) => {}
                Err(_) => return,
            }
        }
    }

    fn open(&mut self, number: usize) -> io::Result<()> {
        self.spare.clear();
        let done = self.open_now(number, Sink::open);
        self.keep_spare();
        if self.sweep_at.is_none() && self.open_files() > KEPT_OPEN {
            self.sweep_at = Some(clock::monotonic_ms() + QUIET);
        }
        done
    }

    fn open_now(&mut self, number: usize, open: fn(&mut Sink) -> io::Result<()>) -> io::Result<()> {
        loop {
            let Some(sink) = self.get(number) else {
                return Ok(());
            };
            match open(sink) {
                Err(e) if e.raw_os_error() == Some(libc::EMFILE) && self.close_one(0) => {}
                other => return other,
            }
        }
    }

    fn open_files(&self) -> usize {
        let open = self.all.iter().flatten();
        open.filter(|sink| sink.can_be_closed()).count()
    }

    /// When [`LogFiles::close_quiet`] is due. monotonic ms
    pub fn sweep_at(&self) -> Option<u64> {
        self.sweep_at
    }

    /// Closes the files that were not written to since this was last done: they are opened again when they are needed.
    pub fn close_quiet(&mut self) {
        let now = clock::monotonic_ms();
        if self.sweep_at.is_none_or(|at| at > now) {
            return;
        }
        let since = std::mem::replace(&mut self.swept, self.uses);
        let mut used = false;
        for sink in self.all.iter_mut().flatten() {
            sink.close_quiet(since);
            used |= sink.used > since;
        }
        let again = used && self.open_files() > KEPT_OPEN;
        self.sweep_at = again.then_some(now + QUIET);
    }

    /// Closes the file that was not needed for longest, where more than `but` are open: it is opened again when it is.
    /// `false`: there are no more.
    pub fn close_one(&mut self, but: usize) -> bool {
        let open = self
            .all
            .iter_mut()
            .flatten()
            .filter(|sink| sink.can_be_closed());
        let open: Vec<&mut Sink> = open.collect();
        if open.len() <= but {
            return false;
        }
        let oldest = open.into_iter().min_by_key(|sink| sink.used);
        oldest.map(Sink::close).is_some()
    }

    /// What belongs into the daemons' log.
    pub fn take_notes(&mut self) -> Vec<String> {
        self.all
            .iter_mut()
            .flatten()
            .flat_map(|sink| std::mem::take(&mut sink.notes))
            .collect()
    }
}

/// The output of the daemon's own that a path names.
pub fn standard_of(path: &Path) -> Option<Standard> {
    match named(path)? {
        Named::Standard(standard) => Some(standard),
        Named::Other => None,
    }
}
