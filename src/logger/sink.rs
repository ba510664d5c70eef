//! A log file: written to, set aside when it is full, opened again when it has gone. What it does not take is dropped and
//! counted: nothing that happens to a file stops a program.

mod line_ends;
mod standard;

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::batch::{Batch, Progress};
use super::dropped::Dropped;
use super::file::{self, Meaning};
use super::outlet::Outlet;
use super::rotation;
use crate::error::{Reason, Result};
use crate::model::standard::{Named, Standard};
use crate::sys::place::{self, Opened};
use crate::sys::raw_bytes::RawBytes;
use crate::sys::shared_output::{self, is_of_proc};
use crate::sys::{clock, terminal};

/// How long until a file that could not be opened, or set aside, is tried again. ms
const TRY_AGAIN: u64 = 1000;

/// Whose the line is that a file ends with, where that has no end yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// The file ends with a whole line.
    None,
    /// Of a channel.
    Of((u32, usize)),
    /// It was there before.
    Unknown,
}

/// A log file.
#[derive(Debug)]
pub struct Sink {
    path: PathBuf,
    /// Which file that is: `path` may be a link to it.
    meaning: Meaning,
    file: Option<File>,
    /// It is one of the daemon's own.
    standard: Option<Standard>,
    /// The same where it is open and no file: such an output, a FIFO or a terminal.
    outlet: Option<Outlet>,
    /// It can be set aside and emptied.
    regular: bool,
    inode: u64,
    size: u64,
    tail: Tail,
    /// How large it may become, in bytes; 0: as large as it likes.
    pub max_size: u64,
    /// How many older ones are kept.
    pub max_files: u32,
    /// How many streams end here.
    pub users: u32,
    /// More will.
    pub merged: bool,
    /// What was dropped and is not said in the file yet.
    pub missing: Dropped,
    /// What waited here and was dropped, and is not counted for a stream yet.
    pub uncounted: u64,
    /// When to try again to open it; to set it aside. monotonic ms
    open_again: u64,
    rotate_again: u64,
    /// It is to be set aside at the next end of a line.
    pub due: bool,
    /// When it was last needed: the larger, the later.
    pub used: u64,
    /// What belongs into the daemons' log.
    pub notes: Vec<String>,
}

impl Sink {
    /// The file at this path, not opened yet.
    pub fn new(path: PathBuf) -> Sink {
        Sink {
            meaning: file::meaning(&path),
            path,
            file: None,
            standard: None,
            outlet: None,
            regular: false,
            inode: 0,
            size: 0,
            tail: Tail::None,
            max_size: 0,
            max_files: 0,
            users: 0,
            merged: false,
            missing: Dropped::default(),
            uncounted: 0,
            open_again: 0,
            rotate_again: 0,
            due: false,
            used: 0,
            notes: Vec::new(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which file its path means.
    pub fn meaning(&self) -> &Meaning {
        &self.meaning
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.file.is_some() || self.outlet.is_some()
    }

    /// Whether it can be closed until it is needed again.
    pub fn can_be_closed(&self) -> bool {
        self.file.is_some()
    }

    /// Closes it until it is needed again: descriptors are short.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// Opens it anew by its name. Where that fails it is the one before that is written to.
    pub fn open(&mut self) -> io::Result<()> {
        match (self.standard, &self.outlet) {
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
        let (opened, meaning) = file::open(&self.path)?;
        // Where a link leads is there now, or is another file than before.
        self.meaning = meaning;
        self.begin(opened.file)
    }

    /// Checks whether it can be opened. A missing file is not created before there is something to write, and a regular
    /// file is closed until then.
    pub fn check(&mut self) -> io::Result<()> {
        if self.standard.is_some() || self.path.exists() {
            self.open()?;
            self.close_quiet(u64::MAX);
        } else {
            self.check_name()?;
            self.meaning = file::check(&self.path)?;
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

    /// Closes a file that was not used since `used` and ends with a whole line.
    pub fn close_quiet(&mut self, used: u64) {
        if self.used <= used && self.tail == Tail::None && !self.due {
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
            // Its reader is waited for as that of the daemon's own output is.
            self.regular = false;
            self.set_outlet(Outlet::of_own(file.into()));
            self.file = None;
            return Ok(());
        }
        self.outlet = None;
        self.regular = meta.is_file() && !is_of_proc(&self.path);
        self.inode = meta.ino();
        self.size = meta.len();
        self.tail = self.tail_of_file();
        self.file = Some(file);
        Ok(())
    }

    /// Whether it is time to open it, where it is not open.
    pub fn is_due(&self) -> bool {
        !self.is_open() && clock::monotonic_ms() >= self.open_again
    }

    /// It could not be opened.
    pub fn not_opened(&mut self, why: &io::Error) {
        self.open_again = clock::monotonic_ms() + TRY_AGAIN;
        let opening = format!("opening {}", self.path.display());
        self.fails(file::explained(&opening, why));
    }

    /// The last byte says whether the file ends within a line.
    fn tail_of_file(&self) -> Tail {
        let mut byte = [b'\n'];
        if self.regular && self.size > 0 {
            // Opened for writing only, it cannot be read; one who may not read it sees no line.
            let file = place::read(&self.path);
            let is_same = |file: &File| file.metadata().is_ok_and(|meta| meta.ino() == self.inode);
            if let Some(file) = file.ok().filter(is_same) {
                let _ = file.read_exact_at(&mut byte, self.size - 1);
            }
        }
        match byte {
            [b'\n'] => Tail::None,
            _ => Tail::Unknown,
        }
    }

    /// Looks at the file: that somebody has emptied, changed or removed it meanwhile is heard of here.
    pub fn look(&mut self) {
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

    /// Where it stands, as a batch records it.
    pub fn progress(&self, which: usize, continues: bool, before: u64) -> Progress {
        Progress {
            which,
            continues,
            before,
            inode: self.inode,
            start: self.size,
        }
    }

    /// How much of a batch is in this file, or in those that have had its name.
    pub fn written(&self, progress: &Progress) -> u64 {
        if self.outlet.is_some() {
            return progress.before;
        }
        let size = rotation::size_of(&self.meaning.path, progress.inode);
        let size = size.unwrap_or(progress.start);
        progress.before + size.saturating_sub(progress.start)
    }

    /// Writes some of a batch; how many bytes of it were dropped.
    pub fn put(
        &mut self,
        channel: (u32, usize),
        bytes: RawBytes,
        progress: &mut Progress,
        batch: &Batch,
    ) -> u64 {
        let mut rest = bytes;
        while !rest.is_empty() {
            let cut = self.cut(rest);
            let (now, next) = rest.split_at(cut.at);
            let done = self.append(now);
            let taken = match done {
                Ok(taken) => taken,
                Err((taken, _)) => self.take_back(now.split_at(taken).0),
            };
            if let Some(last) = now.split_at(taken).0.last() {
                self.tail = match last {
                    b'\n' => Tail::None,
                    _ => Tail::Of(channel),
                };
            }
            let full = match done {
                Ok(_) => {
                    rest = next;
                    if self.outlet.is_some() {
                        // Nothing else tells how much is written. Whoever is killed in between writes a piece twice.
                        progress.before += taken as u64;
                        batch.writing(progress);
                    }
                    cut.rotate
                }
                Err((_, errno)) => {
                    rest = rest.split_at(taken).1;
                    // The file is as large as this process may have one.
                    errno == libc::EFBIG && self.may_rotate() && self.size > 0
                }
            };
            // With what other pieces of the batch have brought into this file.
            let here = self.size.saturating_sub(progress.start);
            if full && self.rotate().is_ok() {
                progress.before += here;
                progress.inode = self.inode;
                progress.start = self.size;
                batch.writing(progress);
            } else if let Err((_, errno)) = done {
                let why = io::Error::from_raw_os_error(errno);
                self.fails(format!("writing {}: {}", self.path.display(), Reason(&why)));
                return self.missing.dropped(rest.len() as u64);
            }
        }
        0
    }

    /// Takes the line back that was written in part, unless it has begun before; how much of what was written stays.
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
        let max = match self.due {
            true => self.size,
            false => self.max_size,
        };
        if self.size.saturating_add(bytes.len() as u64) <= max || !self.may_rotate() {
            return rotation::Cut {
                at: bytes.len(),
                rotate: false,
            };
        }
        rotation::cut(bytes, self.size, max, self.tail == Tail::None)
    }

    /// Writes to the end of the file. What is wrong comes with how much was written before.
    fn append(&mut self, bytes: RawBytes) -> std::result::Result<usize, (usize, i32)> {
        if let Some(outlet) = &mut self.outlet {
            let done = outlet.put(&bytes.to_vec()).map(|()| bytes.len());
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

    /// Sets the file aside and begins another. Where somebody has moved it already, another is begun all the same.
    pub fn rotate(&mut self) -> io::Result<()> {
        self.due = false;
        let old = self.file.as_ref().map(File::metadata).transpose()?;
        let done = self.begin_another(old.as_ref());
        if let Err(e) = &done {
            let first = self.rotate_again == 0;
            self.rotate_again = clock::monotonic_ms() + TRY_AGAIN;
            if first {
                let doing = format!("setting {} aside", self.path.display());
                let why = file::explained(&doing, e);
                self.notes.push(format!("{why}; it keeps growing"));
            }
        } else {
            self.rotate_again = 0;
        }
        done
    }

    fn begin_another(&mut self, old: Option<&Metadata>) -> io::Result<()> {
        // Between these steps nobody can make it another folder.
        let place = file::place(&self.path)?;
        let there = place.stat(0);
        if there.is_ok_and(|stat| old.is_none_or(|old| old.ino() == stat.inode)) {
            rotation::set_aside(&place, self.max_files)?;
        }
        let Opened { file, made } = file::append(&place)?;
        self.begin(file)?;
        if let (Some(file), Some(old), true) = (&self.file, old, made) {
            // As whoever reads it was allowed to. Only a file that nobody else has had a hand in is given away.
            if place.is_own() {
                let _ = file.set_permissions(Permissions::from_mode(old.mode() & 0o7777));
                let _ = fchown(file, Some(old.uid()), Some(old.gid()));
            } else {
                let _ = place.permit(file, old.mode());
            }
        }
        Ok(())
    }

    /// Sets the file aside because somebody wants it, unless it is empty.
    pub fn rotate_now(&mut self) -> Result<()> {
        if self.standard.is_some() || self.outlet.is_some() {
            return Ok(());
        }
        let doing = format!("setting {} aside", self.path.display());
        // A missing file is empty. What is no file cannot be set aside.
        if self.file.is_none() && !self.path.is_file() {
            return Ok(());
        }
        if self.file.is_none() {
            self.open().map_err(|e| file::failed(&doing, &e))?;
        }
        self.due = false;
        self.look();
        match self.regular && self.size > 0 {
            true => self.rotate().map_err(|e| file::failed(&doing, &e)),
            false => Ok(()),
        }
    }

    /// It has been emptied.
    pub fn emptied(&mut self) {
        self.size = 0;
        self.tail = Tail::None;
        self.due = false;
    }

    /// What is missing is said in the file.
    pub fn has_said(&mut self) {
        let (path, bytes) = (self.path.display(), self.missing.loss().bytes);
        self.notes
            .push(format!("writing {path} again; {bytes} bytes were dropped"));
        self.missing = Dropped::default();
    }

    /// Says once why output is dropped.
    fn fails(&mut self, why: String) {
        if self.missing.because(&why) {
            self.notes.push(format!("{why}; output is being dropped"));
        }
    }
}
