//! A log file: appends, rotates when it is full, opens it again when it was removed. What cannot be written is dropped
//! and counted: log failures never stop a program.

mod line_ends;
mod opening;
mod reader;

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::batch::{Batch, Progress};
use super::channel::ChannelId;
use super::dropped::DropCounter;
use super::log_path::{self, Resolved};
use super::nonblocking::NonblockingWriter;
use super::rotation;
use crate::error::{Reason, Result};
use crate::model::standard::Standard;
use crate::sys::clock;
use crate::sys::place::Opened;
use crate::sys::raw_bytes::RawBytes;

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
    /// The file that `path` resolves to, where that is another path.
    resolved: Option<Box<Resolved>>,
    file: Option<File>,
    /// The output of the daemon that it is.
    standard: Option<Standard>,
    /// Where it is open and has a reader: an output of the daemon, a FIFO or a terminal.
    writer: Option<Box<NonblockingWriter>>,
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
            resolved: log_path::resolve(&path).unless_is(&path),
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

    /// Whether its path resolves to this file.
    pub fn resolves_to(&self, other: &Resolved) -> bool {
        match &self.resolved {
            Some(resolved) => **resolved == *other,
            None => other.is(&self.path),
        }
    }

    /// Its path without links.
    fn real_path(&self) -> &Path {
        self.resolved
            .as_ref()
            .map_or(&self.path, |resolved| &resolved.path)
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
        let size = rotation::size_of(self.real_path(), progress.inode);
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
