//! The log files by path: streams that end in the same file share it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::log_file::LogFile;
use super::log_path;
use super::nonblocking::{NonblockingWriter, Room};
use crate::model::standard::{Named, Standard};
use crate::protocol::output::Output;
use crate::sys::shared_output::named;
use crate::sys::{clock, fd, rights};

/// The number of open files that are not closed however quiet they are: they cost little, and no timer wakes the log
/// writer for them.
const KEPT_OPEN: usize = 16;
/// Where more files are open, those are closed that nothing was written to for so long. ms
const QUIET_MS: u64 = 5000;
/// The number of spare descriptors: one for a folder, one for a file in it.
const SPARE: usize = 2;

/// Identifies a log file in [`LogFiles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(u32);

impl FileId {
    fn of(index: usize) -> FileId {
        FileId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// All log files.
#[derive(Debug, Default)]
pub struct LogFiles {
    /// By id; none where the id is free.
    all: Vec<Option<LogFile>>,
    /// The number of uses so far.
    uses: u64,
    /// The number of uses when quiet files were last closed.
    swept: u64,
    /// When quiet files are closed next. monotonic ms
    sweep_at: Option<u64>,
    /// Closed while a file is opened: root needs descriptors to check the owners of folders.
    spare: Vec<OwnedFd>,
    /// The daemon's standard output and standard error, where it has sent them.
    standard: [Option<OwnedFd>; 2],
}

impl LogFiles {
    /// Adds a user to the file at this path, and sets its limits.
    pub fn acquire(&mut self, path: PathBuf, output: &Output) -> FileId {
        let id = self.find(&path);
        let id = id.unwrap_or_else(|| self.add(path));
        if let Some(file) = self.get(id) {
            file.users += 1;
            file.merged = output.merged;
            file.max_size = output.max_size;
            file.max_files = output.max_files;
        }
        id
    }

    /// Finds a file by its name, else by the file that the name resolves to. A linear search: a thousand files take
    /// microseconds.
    fn find(&self, path: &Path) -> Option<FileId> {
        let same = |one: &Path, other: &Path| one.as_os_str() == other.as_os_str();
        let position = |matches: &dyn Fn(&LogFile) -> bool| {
            let mut all = self.all.iter();
            let at = all.position(|file| file.as_ref().is_some_and(matches));
            at.map(FileId::of)
        };
        let by_name = position(&|file| same(file.path(), path));
        by_name.or_else(|| match standard_of(path) {
            Some(standard) => position(&|file| file.standard() == Some(standard)),
            None => {
                let resolved = log_path::resolve(path);
                position(&|file| file.standard().is_none() && file.resolves_to(&resolved))
            }
        })
    }

    /// Sets the descriptor of the daemon's standard output or standard error.
    pub fn set_standard(&mut self, standard: Standard, fd: OwnedFd) {
        if let Some(place) = self.standard.get_mut(standard as usize) {
            *place = Some(fd);
        }
        if let Some(writer) = self.standard_writer(standard) {
            let mut all = self.all.iter_mut().flatten();
            if let Some(file) = all.find(|file| file.standard() == Some(standard)) {
                file.set_writer(writer);
            }
        }
    }

    fn standard_writer(&self, standard: Standard) -> Option<NonblockingWriter> {
        let fd = self.standard.get(standard as usize)?.as_ref()?;
        NonblockingWriter::new(fd.try_clone().ok()?).ok()
    }

    /// Whether the file has a reader that may be slow.
    pub fn has_reader(&self, id: FileId) -> bool {
        self.peek(id).is_some_and(LogFile::has_reader)
    }

    /// Whether more than one stream ends in the file.
    pub fn is_shared(&self, id: FileId) -> bool {
        self.peek(id).is_some_and(LogFile::is_shared)
    }

    /// The files that hold output back until there is room.
    pub fn with_unwritten(&mut self) -> Vec<FileId> {
        let all = self.all.iter_mut().enumerate();
        let waits = |file: &mut LogFile| file.writer().is_some_and(|writer| writer.waiting() > 0);
        all.filter_map(|(at, file)| waits(file.as_mut()?).then_some(FileId::of(at)))
            .collect()
    }

    /// Whether output for the file has to wait.
    pub fn is_full(&mut self, id: FileId) -> bool {
        self.get(id).is_some_and(|file| file.room() == Room::Full)
    }

    fn add(&mut self, path: PathBuf) -> FileId {
        let file = match standard_of(&path) {
            Some(standard) => LogFile::of_standard(standard, self.standard_writer(standard)),
            None => LogFile::new(path),
        };
        match self
            .all
            .iter_mut()
            .enumerate()
            .find(|(_, file)| file.is_none())
        {
            Some((at, free)) => {
                *free = Some(file);
                FileId::of(at)
            }
            None => {
                self.all.push(Some(file));
                FileId::of(self.all.len() - 1)
            }
        }
    }

    /// Counts a use and returns how many there were.
    pub fn count_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    /// Removes a user of a file, and the file with its last user.
    pub fn release(&mut self, id: FileId) {
        let Some(file) = self.get(id) else {
            return;
        };
        file.users = file.users.saturating_sub(1);
        if file.users == 0 {
            drop(self.all.get_mut(id.index()).and_then(Option::take));
        }
    }

    /// The file of this id.
    pub fn get(&mut self, id: FileId) -> Option<&mut LogFile> {
        self.all.get_mut(id.index())?.as_mut()
    }

    fn peek(&self, id: FileId) -> Option<&LogFile> {
        self.all.get(id.index())?.as_ref()
    }

    /// The file at this path.
    pub fn at(&mut self, path: &Path) -> Option<&mut LogFile> {
        let id = self.find(path)?;
        self.get(id)
    }

    /// The file, opened if it is closed or was removed; none while it cannot be written to.
    pub fn ready(&mut self, id: FileId) -> Option<&mut LogFile> {
        let uses = self.count_use();
        let file = self.get(id)?;
        file.used = uses;
        file.refresh();
        if file.may_open() {
            self.open(id);
        }
        let file = self.get(id).filter(|file| file.is_open())?;
        (file.room() != Room::Abandoned).then_some(file)
    }

    /// Checks whether a file that nothing is written to yet can be opened; notes why if it cannot.
    pub fn check(&mut self, id: FileId) {
        if self.get(id).is_some_and(|file| !file.is_open()) {
            self.with_spare(id, LogFile::check);
        }
    }

    /// Writes whole lines that are not output of a program, if the file can be written to.
    pub fn write_lines(&mut self, id: FileId, lines: &[u8]) {
        if let Some(file) = self.ready(id) {
            file.write_lines(lines);
        }
    }

    /// Opens the spare descriptors, if necessary in the place of a file that was not used for long.
    pub fn open_spare(&mut self) {
        while rights::is_root() && self.spare.len() < SPARE {
            match fd::open_null() {
                Ok(spare) => self.spare.push(spare),
                Err(_) if self.close_one(1) => {}
                Err(_) => return,
            }
        }
    }

    fn open(&mut self, id: FileId) {
        self.with_spare(id, |file| file.open());
        if self.sweep_at.is_none() && self.open_files() > KEPT_OPEN {
            self.sweep_at = Some(clock::monotonic_ms() + QUIET_MS);
        }
    }

    /// Opens a file in this way. Closes others where descriptors are short.
    fn with_spare(&mut self, id: FileId, open: fn(&mut LogFile) -> io::Result<()>) {
        self.spare.clear();
        let failed = loop {
            let done = self.get(id).map_or(Ok(()), open);
            match done {
                Err(e) if e.raw_os_error() == Some(libc::EMFILE) && self.close_one(0) => {}
                other => break other.err(),
            }
        };
        self.open_spare();
        if let (Some(e), Some(file)) = (failed, self.get(id)) {
            file.not_opened(&e);
        }
    }

    fn open_files(&self) -> usize {
        let all = self.all.iter().flatten();
        all.filter(|file| file.can_be_closed()).count()
    }

    /// When [`LogFiles::close_quiet`] is due. monotonic ms
    pub fn sweep_at(&self) -> Option<u64> {
        self.sweep_at
    }

    /// Closes the files that were not written to since the last time. They are opened again when they are.
    pub fn close_quiet(&mut self) {
        let now = clock::monotonic_ms();
        if self.sweep_at.is_none_or(|at| at > now) {
            return;
        }
        let since = std::mem::replace(&mut self.swept, self.uses);
        let mut used = false;
        for file in self.all.iter_mut().flatten() {
            if file.used > since {
                used = true;
            } else {
                file.close_quiet();
            }
        }
        let again = used && self.open_files() > KEPT_OPEN;
        self.sweep_at = again.then_some(now + QUIET_MS);
    }

    /// Closes the file that was not used for longest, if more than `keep` are open. `false`: there is none.
    pub fn close_one(&mut self, keep: usize) -> bool {
        let all = self.all.iter_mut().flatten();
        let open: Vec<&mut LogFile> = all.filter(|file| file.can_be_closed()).collect();
        if open.len() <= keep {
            return false;
        }
        let oldest = open.into_iter().min_by_key(|file| file.used);
        oldest.map(LogFile::close).is_some()
    }

    /// Removes and returns the notes for the daemon's log.
    pub fn take_notes(&mut self) -> Vec<String> {
        self.all
            .iter_mut()
            .flatten()
            .flat_map(|file| std::mem::take(&mut file.notes))
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
