//! A log file: appends, rotates when it is full, opens it again when it was removed. What cannot be written is dropped
//! and counted: log failures never stop a program.

mod line_ends;
mod reader;

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::batch::{Batch, Progress};
use super::channel::ChannelId;
use super::dropped::DropCounter;
use super::log_path::{self, Resolved};
use super::nonblocking::NonblockingWriter;
use super::rotation;
use crate::error::{Reason, Result};
use crate::model::standard::{Named, Standard};
use crate::sys::place::{self, Opened};
use crate::sys::raw_bytes::RawBytes;
use crate::sys::shared_output::{self, is_of_proc};
use crate::sys::{clock, terminal};

/// How long until opening or rotating a file is tried again. ms
const RETRY_MS: u64 = 1000;

/// The stream that wrote the partial line at the end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// The file ends with a whole line.
    None,
    /// This one.
    Of(ChannelId),
    /// The line was there when the file was opened.
    Unknown,
}

/// A log file.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    /// The file that `path` resolves to.
    resolved: Resolved,
    file: Option<File>,
    /// The output of the daemon that it is.
    standard: Option<Standard>,
    /// Where it is open and has a reader: an output of the daemon, a FIFO or a terminal.
    writer: Option<NonblockingWriter>,
    /// It can be rotated and emptied.
    regular: bool,
    inode: u64,
    size: u64,
    tail: Tail,
    /// The maximum size, in bytes; 0: no limit.
    pub max_size: u64,
    /// The number of rotated files that are kept.
    pub max_files: u32,
    /// The number of streams that end here.
    pub users: u32,
    /// More streams will end here.
    pub merged: bool,
    /// What was dropped without a notice in the file so far.
    pub dropped: DropCounter,
    /// Dropped bytes that are not counted for a stream yet.
    pub uncounted: u64,
    /// When opening and rotating it may be tried again. monotonic ms
    open_again: u64,
    rotate_again: u64,
    /// Rotate it at the next end of a line.
    pub due: bool,
    /// When it was last used, in uses of all files.
    pub used: u64,
    /// Lines for the daemon's log.
    pub notes: Vec<String>,
}

impl LogFile {
    /// The file at this path, not opened yet.
    pub fn new(path: PathBuf) -> LogFile {
        LogFile {
            resolved: log_path::resolve(&path),
            path,
            file: None,
            standard: None,
            writer: None,
            regular: false,
            inode: 0,
            size: 0,
            tail: Tail::None,
            max_size: 0,
            max_files: 0,
            users: 0,
            merged: false,
            dropped: DropCounter::default(),
            uncounted: 0,
            open_again: 0,
            rotate_again: 0,
            due: false,
            used: 0,
            notes: Vec::new(),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that its path resolves to.
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.file.is_some() || self.writer.is_some()
    }

    /// Whether it can be closed until it is needed again.
    pub fn can_be_closed(&self) -> bool {
        self.file.is_some()
    }

    /// Closes it until it is used again.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// Opens it by name. If that fails, a file that is open stays so.
    pub fn open(&mut self) -> io::Result<()> {
        match (self.standard, &self.writer) {
            (None, _) => {}
            (Some(_), Some(_)) => return Ok(()),
            (Some(which), None) => {
                return Err(io::Error::other(format!(
                    "the daemon has no {}",
                    which.word()
                )));
            }
        }
        self.check_name()?;
        let (opened, resolved) = log_path::open(&self.path)?;
        // The file of a link exists now, or is another than before.
        self.resolved = resolved;
        self.begin(opened.file)
    }

    /// Checks whether it can be opened. A missing file is not created before there is something to write, and a regular
    /// file is closed until then.
    pub fn check(&mut self) -> io::Result<()> {
        if self.standard.is_some() || self.path.exists() {
            self.open()?;
            self.close_quiet();
        } else {
            self.check_name()?;
            self.resolved = log_path::check(&self.path)?;
        }
        Ok(())
    }

    /// Opens it again by its name where it is open, else checks whether it can be opened.
    pub fn reopen(&mut self) -> io::Result<()> {
        if self.is_open() {
            self.open()
        } else {
            self.check()
        }
    }

    /// Closes it if that forgets nothing.
    pub fn close_quiet(&mut self) {
        if self.tail == Tail::None && !self.due {
            self.close();
        }
    }

    fn check_name(&self) -> io::Result<()> {
        if shared_output::named(&self.path) == Some(Named::Other) {
            // It would be a descriptor of this process.
            return Err(io::Error::other(
                "programs can use only /dev/stdout and /dev/stderr of the daemon's descriptors",
            ));
        }
        Ok(())
    }

    fn begin(&mut self, file: File) -> io::Result<()> {
        let meta = file.metadata()?;
        if meta.file_type().is_fifo() || terminal::is_terminal(file.as_fd()) {
            // As for the daemon's own output, its reader may be slow.
            self.regular = false;
            self.set_writer(NonblockingWriter::of_own(file.into()));
            self.file = None;
            return Ok(());
        }
        self.writer = None;
        self.regular = meta.is_file() && !is_of_proc(&self.path);
        self.inode = meta.ino();
        self.size = meta.len();
        self.tail = self.tail_of_file();
        self.file = Some(file);
        Ok(())
    }

    /// Whether it is closed and may be opened now.
    pub fn may_open(&self) -> bool {
        !self.is_open() && clock::monotonic_ms() >= self.open_again
    }

    /// Notes that it could not be opened.
    pub fn not_opened(&mut self, why: &io::Error) {
        self.open_again = clock::monotonic_ms() + RETRY_MS;
        let opening = format!("opening {}", self.path.display());
        self.fails(log_path::explained(&opening, why));
    }

    /// Reads the last byte: whether the file ends with a partial line.
    fn tail_of_file(&self) -> Tail {
        let mut byte = [b'\n'];
        if self.regular && self.size > 0 {
            // It is opened for reading here. Where that is not permitted, no partial line is seen.
            let file = place::read(&self.path);
            let is_same = |file: &File| file.metadata().is_ok_and(|meta| meta.ino() == self.inode);
            if let Some(file) = file.ok().filter(is_same) {
                let _ = file.read_exact_at(&mut byte, self.size - 1);
            }
        }
        if byte == *b"\n" {
            Tail::None
        } else {
            Tail::Unknown
        }
    }

    /// Notices that another process has emptied, changed or removed the file.
    pub fn refresh(&mut self) {
        let meta = self.file.as_ref().and_then(|file| file.metadata().ok());
        let Some(meta) = meta.filter(|_| self.regular) else {
            return;
        };
        if meta.len() != self.size {
            self.size = meta.len();
            self.tail = self.tail_of_file();
        }
        if meta.nlink() == 0 {
            self.file = None;
        }
    }

    /// Whether more than one stream ends here, or will.
    pub fn is_shared(&self) -> bool {
        self.users > 1 || self.merged || self.standard.is_some()
    }

    /// The progress of a batch that is written to it from here.
    pub fn progress(&self, file_index: usize, continues: bool, before: u64) -> Progress {
        Progress {
            file_index,
            continues,
            before,
            inode: self.inode,
            start: self.size,
        }
    }

    /// How much of a batch is in this file or in those that it was rotated to.
    pub fn written(&self, progress: &Progress) -> u64 {
        if self.writer.is_some() {
            return progress.before;
        }
        let size = rotation::size_of(&self.resolved.path, progress.inode);
        let size = size.unwrap_or(progress.start);
        progress.before + size.saturating_sub(progress.start)
    }

    /// Writes part of a batch, and returns the number of bytes that were dropped.
    pub fn put(
        &mut self,
        channel: ChannelId,
        bytes: RawBytes,
        progress: &mut Progress,
        batch: &Batch,
    ) -> u64 {
        let mut rest = bytes;
        while !rest.is_empty() {
            let cut = self.cut(rest);
            let (now, next) = rest.split_at(cut.at);
            let done = self.append(now);
            let written = match done {
                Ok(written) => written,
                Err((written, _)) => self.take_back(now.split_at(written).0),
            };
            if let Some(last) = now.split_at(written).0.last() {
                self.tail = if last == b'\n' {
                    Tail::None
                } else {
                    Tail::Of(channel)
                };
            }
            let full = match done {
                Ok(_) => {
                    rest = next;
                    if self.writer.is_some() {
                        // Nothing else tells how much is written: after a crash right here a piece is written twice.
                        progress.before += written as u64;
                        batch.record_progress(progress);
                    }
                    cut.rotate
                }
                Err((_, errno)) => {
                    rest = rest.split_at(written).1;
                    // The file has the maximum size of this process. setrlimit(2) RLIMIT_FSIZE
                    errno == libc::EFBIG && self.may_rotate() && self.size > 0
                }
            };
            // Includes other parts of the batch.
            let here = self.size.saturating_sub(progress.start);
            if full && self.rotate().is_ok() {
                progress.before += here;
                progress.inode = self.inode;
                progress.start = self.size;
                batch.record_progress(progress);
            } else if let Err((_, errno)) = done {
                let why = io::Error::from_raw_os_error(errno);
                self.fails(format!("writing {}: {}", self.path.display(), Reason(&why)));
                return self.dropped.count(rest.len() as u64);
            }
        }
        0
    }

    /// Takes back a line that was written in part, unless it began before. Returns how much of `written` stays.
    fn take_back(&mut self, written: RawBytes) -> usize {
        let lines = written.find_last(b'\n').map_or(0, |at| at + 1);
        let before = self.size.saturating_sub(written.len() as u64);
        let begun = lines == 0 && (self.tail != Tail::None || before == 0);
        let size = before + lines as u64;
        let file = self.file.as_ref().filter(|_| self.regular && !begun);
        match file.map(|file| file.set_len(size)) {
            Some(Ok(())) => {
                self.size = size;
                lines
            }
            _ => written.len(),
        }
    }

    fn may_rotate(&self) -> bool {
        (self.max_size > 0 || self.due)
            && self.regular
            && clock::monotonic_ms() >= self.rotate_again
    }

    fn cut(&self, bytes: RawBytes) -> rotation::Cut {
        let max = if self.due { self.size } else { self.max_size };
        if self.size.saturating_add(bytes.len() as u64) <= max || !self.may_rotate() {
            return rotation::Cut {
                at: bytes.len(),
                rotate: false,
            };
        }
        rotation::cut(bytes, self.size, max, self.tail == Tail::None)
    }

    /// Appends to the file. An error, as errno, comes with how much was written before.
    fn append(&mut self, bytes: RawBytes) -> std::result::Result<usize, (usize, i32)> {
        if let Some(writer) = &mut self.writer {
            let done = writer.put(&bytes.to_vec()).map(|()| bytes.len());
            return done.map_err(|(done, e)| (done, e.raw_os_error().unwrap_or(libc::EIO)));
        }
        let Some(file) = &self.file else {
            return Err((0, libc::EBADF));
        };
        let mut done = 0;
        while done < bytes.len() {
            match bytes.split_at(done).1.write_to(file.as_fd()) {
                Ok(0) => return Err((done, libc::EIO)),
                Ok(n) => {
                    done += n;
                    self.size += n as u64;
                }
                Err(e) => return Err((done, e.raw_os_error().unwrap_or(libc::EIO))),
            }
        }
        Ok(done)
    }

    /// Rotates the file: renames it, unless that was done already, and creates another.
    pub fn rotate(&mut self) -> io::Result<()> {
        self.due = false;
        let old = self.file.as_ref().map(File::metadata).transpose()?;
        let done = self.begin_another(old.as_ref());
        if let Err(e) = &done {
            let first = self.rotate_again == 0;
            self.rotate_again = clock::monotonic_ms() + RETRY_MS;
            if first {
                let doing = format!("rotating {}", self.path.display());
                let why = log_path::explained(&doing, e);
                self.notes.push(format!("{why}; it keeps growing"));
            }
        } else {
            self.rotate_again = 0;
        }
        done
    }

    fn begin_another(&mut self, old: Option<&Metadata>) -> io::Result<()> {
        // An open folder: nobody can replace it between these steps.
        let place = log_path::place(&self.path)?;
        let there = place.stat(0);
        if there.is_ok_and(|stat| old.is_none_or(|old| old.ino() == stat.inode)) {
            rotation::rotate(&place, self.max_files)?;
        }
        let Opened { file, made } = log_path::append(&place)?;
        self.begin(file)?;
        if let (Some(file), Some(old), true) = (&self.file, old, made) {
            // Its readers keep their access. The owner is changed only where nobody else can have put the file there.
            if place.is_own() {
                let _ = file.set_permissions(Permissions::from_mode(old.mode() & 0o7777));
                let _ = fchown(file, Some(old.uid()), Some(old.gid()));
            } else {
                let _ = place.permit(file, old.mode());
            }
        }
        Ok(())
    }

    /// Rotates the file by command, unless it is empty.
    pub fn rotate_now(&mut self) -> Result<()> {
        if self.standard.is_some() || self.writer.is_some() {
            return Ok(());
        }
        let doing = format!("rotating {}", self.path.display());
        // A missing file is empty. Only a regular file can be rotated.
        if self.file.is_none() && !self.path.is_file() {
            return Ok(());
        }
        if self.file.is_none() {
            self.open().map_err(|e| log_path::failed(&doing, &e))?;
        }
        self.due = false;
        self.refresh();
        if self.regular && self.size > 0 {
            self.rotate().map_err(|e| log_path::failed(&doing, &e))?;
        }
        Ok(())
    }

    /// Notes that it was emptied.
    pub fn emptied(&mut self) {
        self.size = 0;
        self.tail = Tail::None;
        self.due = false;
    }

    /// Notes that a notice of what was dropped is in the file.
    pub fn notice_written(&mut self) {
        let (path, bytes) = (self.path.display(), self.dropped.total().bytes);
        self.notes
            .push(format!("writing {path} again; {bytes} bytes were dropped"));
        self.dropped.clear();
    }

    /// Notes once why output is dropped.
    fn fails(&mut self, why: String) {
        if self.dropped.set_reason(&why) {
            self.notes.push(format!("{why}; output is being dropped"));
        }
    }
}
