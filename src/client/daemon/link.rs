//! A conversation with the daemon that never waits.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use super::connect;
use super::exchange::{decoded, is_last, too_long};
use crate::error::{Error, Result};
use crate::paths::Home;
use crate::protocol::VERSION;
use crate::protocol::buffer::{LineBuffer, OutBuffer, TooLong};
use crate::protocol::reply::{Failure, Reply};
use crate::protocol::request::Request;
use crate::sys::poll::Interest;
use crate::sys::socket;

/// One connection.
pub struct Link {
    stream: UnixStream,
    input: LineBuffer,
    output: OutBuffer,
    greeted: bool,
}

/// What the daemon says.
pub enum Heard {
    /// A line before the last.
    Row(Vec<u8>),
    /// The last line: it was done.
    Done,
    /// The last line: it was not done, for this reason.
    Refused(Failure),
}

/// How much is read at once, and how often in a turn of the event loop.
const CHUNK: usize = 64 << 10;
const CHUNKS_A_TURN: usize = 4;

impl Link {
    /// Connects to the daemon of a home; none where none runs. One that is busy is an error: nothing here waits.
    pub fn connect(home: &Home) -> Result<Option<Link>> {
        // No request that goes this way carries an environment.
        let Some(reached) = connect::reach(home, socket::connect_now)? else {
            return Ok(None);
        };
        let stream = reached.stream;
        let mut link = Link {
            stream,
            input: LineBuffer::default(),
            output: OutBuffer::default(),
            greeted: false,
        };
        link.ask(&Request::Hello { protocol: VERSION });
        Ok(Some(link))
    }

    /// Asks for something. It goes out in [`Link::turn`].
    pub fn ask(&mut self, request: &Request) {
        debug_assert!(!request.has_environment());
        request.to_line().encode(self.output.tail());
    }

    /// What to poll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// And for what.
    pub fn interest(&self) -> Interest {
        Interest {
            read: true,
            write: !self.output.pending().is_empty(),
        }
    }

    /// Sends and reads what can be at once. Whether the daemon is still there.
    pub fn turn(&mut self) -> bool {
        while !self.output.pending().is_empty() {
            match socket::send(&self.stream, self.output.pending()) {
                Ok(n) => self.output.sent(n),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                // It may have said why before it left.
                Err(_) => self.output = OutBuffer::default(),
            }
        }
        let mut chunk = vec![0; CHUNK];
        for _ in 0..CHUNKS_A_TURN {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(n) => self.input.push(chunk.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return e.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }

    /// The next line of what was read. An error is the end of the conversation.
    pub fn next(&mut self) -> Result<Option<Heard>> {
        loop {
            let line = self.input.next_line().map_err(|TooLong| too_long())?;
            let Some(line) = line else {
                return Ok(None);
            };
            if !is_last(line) {
                return Ok(Some(Heard::Row(line.to_vec())));
            }
            let reply = Reply::from_line(decoded(line)?);
            let greeted = std::mem::replace(&mut self.greeted, true);
            match reply {
                Reply::Failed(failure) if !greeted => return Err(Error::new(failure.message)),
                Reply::Failed(failure) => return Ok(Some(Heard::Refused(failure))),
                _ if !greeted => {}
                _ => return Ok(Some(Heard::Done)),
            }
        }
    }
}
