//! The daemon's own standard output and standard error as the output file of a program. They are passed as descriptors:
//! never opened by name, rotated or truncated, and their flags, which other processes share, do not change.
//!
//! Output that a full pipe or a stopped terminal does not accept waits in the program's own FIFO. Only a line that is
//! too long for one write waits here. A FIFO or a terminal that a program names is treated in the same way. When a
//! reader has read nothing for [`ABANDON_AFTER_MS`] while a program's FIFO is full, output is dropped and counted, as for a
//! full disk, until it reads again. So a reader that does not read never blocks its program for ever, and never another
//! program.

use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::sys::shared_output::{AT_ONCE, SharedOutput};
use crate::sys::{bytes, clock};

/// How long a program waits for a reader that reads nothing. ms
pub const ABANDON_AFTER_MS: u64 = 30_000;

/// Writes to such a descriptor.
#[derive(Debug)]
pub struct NonblockingWriter {
    output: SharedOutput,
    /// The rest of a line that was written in part, and what follows it.
    unwritten: Vec<u8>,
    /// Since when there is no room. monotonic ms
    full_since: Option<u64>,
    /// Its reader is not waited for any longer.
    abandoned: bool,
}

/// Whether output can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It can.
    Ready,
    /// It has to wait.
    Full,
    /// It is dropped.
    Abandoned,
}

impl NonblockingWriter {
    /// Writes to this descriptor.
    pub fn new(fd: OwnedFd) -> io::Result<NonblockingWriter> {
        Ok(NonblockingWriter {
            output: SharedOutput::new(fd)?,
            unwritten: Vec::new(),
            full_since: None,
            abandoned: false,
        })
    }

    /// Writes to a descriptor that was opened by name, with O_NONBLOCK.
    pub fn of_own(fd: OwnedFd) -> NonblockingWriter {
        NonblockingWriter {
            output: SharedOutput::of_own(fd),
            unwritten: Vec::new(),
            full_since: None,
            abandoned: false,
        }
    }

    /// Takes what another writer has not written.
    pub fn take_over(&mut self, before: NonblockingWriter) {
        self.unwritten = before.unwritten;
    }

    /// What to poll for writing.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.output.fd()
    }

    /// The number of bytes that wait.
    pub fn waiting(&self) -> usize {
        self.unwritten.len()
    }

    /// Whether there is room, once what waits is written. `Err`: so many bytes of that could not be written.
    pub fn room(&mut self) -> Result<Room, (usize, io::Error)> {
        self.write_unwritten()?;
        if self.unwritten.is_empty() && self.output.is_writable() {
            self.full_since = None;
            self.abandoned = false;
            return Ok(Room::Ready);
        }
        self.full_since.get_or_insert_with(clock::monotonic_ms);
        Ok(if self.abandoned {
            Room::Abandoned
        } else {
            Room::Full
        })
    }

    /// When its reader may be abandoned. monotonic ms
    pub fn abandon_at(&self) -> Option<u64> {
        let since = self.full_since.filter(|_| !self.abandoned)?;
        Some(since.saturating_add(ABANDON_AFTER_MS))
    }

    /// Drops output until the reader reads again.
    pub fn abandon(&mut self) {
        self.abandoned = true;
    }

    fn write_unwritten(&mut self) -> Result<(), (usize, io::Error)> {
        let unwritten = std::mem::take(&mut self.unwritten);
        if unwritten.is_empty() {
            return Ok(());
        }
        match self.put(&unwritten) {
            Ok(()) => Ok(()),
            Err((done, e)) => Err((unwritten.len() - done, e)),
        }
    }

    /// Writes bytes, and holds back what does not fit. `Err`: how many were written before.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        if !self.unwritten.is_empty() {
            self.unwritten.extend_from_slice(bytes);
            return Ok(());
        }
        let mut done = 0;
        while let Some(left) = bytes.get(done..).filter(|left| !left.is_empty()) {
            match self.output.write(piece(left)) {
                Ok(0) => return Err((done, io::Error::from_raw_os_error(libc::EIO))),
                Ok(n) => {
                    done += n;
                    self.full_since = None;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.full_since.get_or_insert_with(clock::monotonic_ms);
                    self.unwritten = left.to_vec();
                    return Ok(());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err((done, e)),
            }
        }
        Ok(())
    }
}

/// What is written next: whole lines where one fits.
fn piece(bytes: &[u8]) -> &[u8] {
    let most = bytes.get(..AT_ONCE).unwrap_or(bytes);
    let end = bytes::find_last(b'\n', most).map_or(most.len(), |at| at + 1);
    bytes.get(..end).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;
    use std::os::fd::AsFd;

    #[test]
    fn lines_are_written_whole_and_a_long_one_waits_until_there_is_room() {
        let (out, into) = fd::pipe().unwrap();
        let mut writer = NonblockingWriter::new(into).unwrap();
        let long = [vec![b'x'; 70_000], b"\n".to_vec()].concat();
        assert_eq!(writer.room().unwrap(), Room::Ready);
        writer.put(b"one\n").unwrap();
        writer.put(&long).unwrap();
        assert!(writer.waiting() > 0);
        assert_eq!(writer.room().unwrap(), Room::Full);
        assert!(writer.abandon_at().is_some());
        // Output of another stream follows the line.
        writer.put(b"two\n").unwrap();
        let mut read = Vec::new();
        let mut buffer = [0; 4096];
        while read.len() < long.len() + 8 {
            let n = fd::read(out.as_fd(), &mut buffer).unwrap();
            read.extend_from_slice(&buffer[..n]);
            let _ = writer.room().unwrap();
        }
        assert!(read == [b"one\n", long.as_slice(), b"two\n"].concat());
        assert_eq!(writer.room().unwrap(), Room::Ready);
        assert_eq!(writer.abandon_at(), None);
    }

    #[test]
    fn an_abandoned_reader_gets_output_again_once_it_reads() {
        let (out, into) = fd::pipe().unwrap();
        let mut writer = NonblockingWriter::new(into).unwrap();
        writer.put(&[b'x'; 70_000]).unwrap();
        writer.abandon();
        assert_eq!(writer.room().unwrap(), Room::Abandoned);
        assert_eq!(writer.abandon_at(), None);
        let mut buffer = vec![0; 70_000];
        fd::read(out.as_fd(), &mut buffer).unwrap();
        assert_eq!(writer.room().unwrap(), Room::Ready);
    }

    #[test]
    fn pieces_end_with_a_line_where_they_can() {
        let text = [vec![b'a'; 3000], b"\n".to_vec(), vec![b'b'; 3000]].concat();
        assert_eq!(piece(&text).len(), 3001);
        assert_eq!(piece(&text[3001..]).len(), 3000);
        assert_eq!(piece(&[b'x'; 5000]).len(), AT_ONCE);
        assert_eq!(piece(b"a\nb").len(), 2);
    }
}
