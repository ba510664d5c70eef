//! The daemon's own standard output and standard error as the output file of a program. They are passed as descriptors:
//! never opened by name, rotated or truncated, and their flags, which other processes share, do not change.
//!
//! Output that a full pipe or a stopped terminal does not accept waits in the program's own FIFO. Only a line that is
//! too long for one write waits here. A FIFO or a terminal that a program names is treated in the same way. When a
//! reader has read nothing for [`GIVES_UP`] while a program's FIFO is full, output is dropped and counted, as for a
//! full disk, until it reads again. So a reader that does not read never blocks its program for ever, and never another
//! program.

use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::sys::shared_output::{AT_ONCE, SharedOutput};
use crate::sys::{bytes, clock};

/// How long a reader that takes nothing is waited for, where a program waits. ms
pub const GIVES_UP: u64 = 30_000;

/// One of them.
#[derive(Debug)]
pub struct Outlet {
    output: SharedOutput,
    /// The rest of a line that has been begun, or has to be written next.
    rest: Vec<u8>,
    /// Since when nothing is taken. monotonic ms
    full_since: Option<u64>,
    /// It is not waited for any longer.
    given_up: bool,
}

/// What becomes of output now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It is written.
    Some,
    /// It waits.
    None,
    /// It is dropped.
    GivenUp,
}

impl Outlet {
    /// Writes to this descriptor.
    pub fn new(fd: OwnedFd) -> io::Result<Outlet> {
        Ok(Outlet {
            output: SharedOutput::new(fd)?,
            rest: Vec::new(),
            full_since: None,
            given_up: false,
        })
    }

    /// Writes to one that was opened by name, with O_NONBLOCK.
    pub fn of_own(fd: OwnedFd) -> Outlet {
        Outlet {
            output: SharedOutput::of_own(fd),
            rest: Vec::new(),
            full_since: None,
            given_up: false,
        }
    }

    /// Goes on where another one has stopped.
    pub fn go_on_from(&mut self, before: Outlet) {
        self.rest = before.rest;
    }

    /// What to poll for writing.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.output.fd()
    }

    /// How much waits here.
    pub fn waiting(&self) -> usize {
        self.rest.len()
    }

    /// Whether there is room for more. What waits here goes first; `Err`: so many bytes of it cannot be written.
    pub fn room(&mut self) -> Result<Room, (usize, io::Error)> {
        self.write_rest()?;
        if self.rest.is_empty() && self.output.is_writable() {
            self.full_since = None;
            self.given_up = false;
            return Ok(Room::Some);
        }
        self.full_since.get_or_insert_with(clock::monotonic_ms);
        Ok(match self.given_up {
            true => Room::GivenUp,
            false => Room::None,
        })
    }

    /// When it may be given up. monotonic ms
    pub fn gives_up_at(&self) -> Option<u64> {
        let since = self.full_since.filter(|_| !self.given_up)?;
        Some(since.saturating_add(GIVES_UP))
    }

    /// Does not wait for its reader any longer.
    pub fn give_up(&mut self) {
        self.given_up = true;
    }

    fn write_rest(&mut self) -> Result<(), (usize, io::Error)> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return Ok(());
        }
        match self.put(&rest) {
            Ok(()) => Ok(()),
            Err((done, e)) => Err((rest.len() - done, e)),
        }
    }

    /// Writes these bytes, or keeps those that do not fit. `Err`: how many were written before.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(bytes);
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
                    self.rest = left.to_vec();
                    return Ok(());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err((done, e)),
            }
        }
        Ok(())
    }
}

/// What is written next in one piece: whole lines, where one fits.
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
        let mut outlet = Outlet::new(into).unwrap();
        let long = [vec![b'x'; 70_000], b"\n".to_vec()].concat();
        assert_eq!(outlet.room().unwrap(), Room::Some);
        outlet.put(b"one\n").unwrap();
        outlet.put(&long).unwrap();
        assert!(outlet.waiting() > 0);
        assert_eq!(outlet.room().unwrap(), Room::None);
        assert!(outlet.gives_up_at().is_some());
        // What comes from somebody else is no part of the line.
        outlet.put(b"two\n").unwrap();
        let mut read = Vec::new();
        let mut buffer = [0; 4096];
        while read.len() < long.len() + 8 {
            let n = fd::read(out.as_fd(), &mut buffer).unwrap();
            read.extend_from_slice(&buffer[..n]);
            let _ = outlet.room().unwrap();
        }
        assert!(read == [b"one\n", long.as_slice(), b"two\n"].concat());
        assert_eq!(outlet.room().unwrap(), Room::Some);
        assert_eq!(outlet.gives_up_at(), None);
    }

    #[test]
    fn one_that_was_given_up_is_written_to_again_when_it_is_read() {
        let (out, into) = fd::pipe().unwrap();
        let mut outlet = Outlet::new(into).unwrap();
        outlet.put(&[b'x'; 70_000]).unwrap();
        outlet.give_up();
        assert_eq!(outlet.room().unwrap(), Room::GivenUp);
        assert_eq!(outlet.gives_up_at(), None);
        let mut buffer = vec![0; 70_000];
        fd::read(out.as_fd(), &mut buffer).unwrap();
        assert_eq!(outlet.room().unwrap(), Room::Some);
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
