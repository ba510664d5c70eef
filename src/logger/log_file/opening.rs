//! Opens, checks and closes a log file, and notices what other processes do to it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};

use super::{LogFile, RETRY_MS, Tail};
use crate::logger::log_path;
use crate::logger::nonblocking::NonblockingWriter;
use crate::model::standard::Named;
use crate::sys::place;
use crate::sys::shared_output::{self, is_of_proc};
use crate::sys::{clock, terminal};

impl LogFile {
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
        self.resolved = resolved.unless_is(&self.path);
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
            self.resolved = log_path::check(&self.path)?.unless_is(&self.path);
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

    /// Writes to this file from now on.
    pub(super) fn begin(&mut self, file: File) -> io::Result<()> {
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
}
