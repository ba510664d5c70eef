//! A log file with a reader that may be slow: an output of the daemon's own, a FIFO, a terminal.

use super::LogFile;
use crate::error::Reason;
use crate::logger::nonblocking::{NonblockingWriter, Room};
use crate::model::standard::Standard;

impl LogFile {
    /// An output of the daemon's own; `writer`: if the daemon has it.
    pub fn of_standard(standard: Standard, writer: Option<NonblockingWriter>) -> LogFile {
        LogFile {
            standard: Some(standard),
            writer: writer.map(Box::new),
            ..LogFile::new(standard.path().into())
        }
    }

    /// The output of the daemon that it is.
    pub fn standard(&self) -> Option<Standard> {
        self.standard
    }

    /// Whether it has a reader that may be slow.
    pub fn has_reader(&self) -> bool {
        self.standard.is_some() || self.writer.is_some()
    }

    /// Writes to the reader.
    pub fn writer(&mut self) -> Option<&mut NonblockingWriter> {
        self.writer.as_deref_mut()
    }

    /// Replaces the writer.
    pub fn set_writer(&mut self, mut writer: NonblockingWriter) {
        if let Some(before) = self.writer.take() {
            writer.take_over(*before);
        }
        self.writer = Some(Box::new(writer));
        self.open_again = 0;
    }

    /// Whether it has room. What waited for room and cannot be written is dropped.
    pub fn room(&mut self) -> Room {
        match self.writer.as_mut().map(|writer| writer.room()) {
            None => Room::Ready,
            Some(Ok(room)) => room,
            Some(Err((bytes, e))) => {
                self.fails(format!("writing {}: {}", self.path.display(), Reason(&e)));
                self.uncounted += self.dropped.count(bytes as u64);
                Room::Ready
            }
        }
    }

    /// Drops output until the reader reads again.
    pub fn abandon_reader(&mut self, after_ms: u64) {
        if let Some(writer) = &mut self.writer {
            writer.abandon();
            let path = self.path.display();
            let after = after_ms / 1000;
            self.fails(format!(
                "writing {path}: its reader has read nothing for {after} s"
            ));
        }
    }
}
