//! One client.

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::answer::Pending;
use crate::protocol::buffer::{LineBuffer, OutBuffer};
use crate::protocol::line::{Line, LineWriter};
use crate::protocol::reply::{Code, Failure};
use crate::sys::poll::Interest;
use crate::sys::{reexec, socket};

/// How much output may wait for a client that does not read, in bytes.
pub const MAX_UNREAD: usize = 4 << 20;

/// Up to this much waiting output, an answer of many lines goes on growing.
const COMFORTABLE: usize = 64 << 10;

/// A client's connection, and what it waits for.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    input: LineBuffer,
    output: OutBuffer,
    /// The request that is being carried out: the next one is not looked at before it is answered.
    pub pending: Option<Pending>,
    /// It follows the events.
    pub follows: bool,
    /// The client has sent all that it will: it still wants its answers.
    ended: bool,
    /// The client has gone, or is not served any more; what it asked for is carried out all the same.
    gone: bool,
    /// Nothing more is read; the connection ends when the output has gone out.
    closing: bool,
}

impl Connection {
    /// A new client.
    pub fn new(stream: UnixStream) -> Connection {
        Connection {
            stream,
            input: LineBuffer::default(),
            output: OutBuffer::default(),
            pending: None,
            follows: false,
            ended: false,
            gone: false,
            closing: false,
        }
    }

    /// The connection as a line, for another release that is executed in the place of this one.
    pub fn hand_over(&self) -> Line {
        let mut line = Line::new("connection");
        line.push_number("stream", self.stream.as_raw_fd());
        for (key, flag) in [
            ("follows", self.follows),
            ("ended", self.ended),
            ("gone", self.gone),
            ("closing", self.closing),
        ] {
            line.push(key, flag.to_string());
        }
        line.with("input", self.input.rest())
            .with("output", self.output.pending())
    }

    /// The connection of a line; what it waits for is another.
    pub fn handed_over(line: &Line) -> Option<Connection> {
        let stream = reexec::inherited(line.number("stream")?)?;
        let mut connection = Connection::new(UnixStream::from(stream));
        connection.follows = line.flag("follows").ok()?;
        connection.ended = line.flag("ended").ok()?;
        connection.gone = line.flag("gone").ok()?;
        connection.closing = line.flag("closing").ok()?;
        connection.input.push(line.get("input")?);
        connection
            .output
            .tail()
            .extend_from_slice(line.get("output")?);
        Some(connection)
    }

    /// The stream, to poll.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// What to poll for; `None` when the client has gone.
    pub fn interest(&self) -> Option<Interest> {
        let room = self.output.pending().len() < COMFORTABLE;
        let read = self.pending.is_none() && !self.ended && !self.closing && room;
        let write = !self.output.pending().is_empty();
        (!self.gone).then_some(Interest { read, write })
    }

    /// Whether nothing is left to do for it.
    pub fn finished(&self) -> bool {
        let flushed = self.gone || self.output.pending().is_empty();
        self.pending.is_none() && flushed && (self.gone || self.closing || self.done())
    }

    fn done(&self) -> bool {
        self.ended && self.input.is_empty() && !self.follows
    }

    /// Whether all that was said has gone out, or nobody is there to hear it.
    pub fn flushed(&self) -> bool {
        self.gone || self.output.pending().is_empty()
    }

    /// Whether an answer of many lines may go on growing.
    pub fn comfortable(&self) -> bool {
        self.gone || self.output.pending().len() < COMFORTABLE
    }

    /// The client has hung up.
    pub fn hang_up(&mut self) {
        self.gone = true;
        self.follows = false;
        self.input = LineBuffer::default();
        self.output = OutBuffer::default();
    }

    /// Reads once what has come in.
    pub fn receive(&mut self, buffer: &mut [u8]) {
        match (&self.stream).read(buffer) {
            Ok(0) => {
                self.ended = true;
                // A last line without LF is a line.
                let rest = self.input.take_rest();
                if !rest.is_empty() {
                    self.input.push(&rest);
                    self.input.push(b"\n");
                }
            }
            Ok(n) => self.input.push(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.hang_up(),
        }
    }

    /// Whether a whole request waits to be looked at.
    pub fn holds_request(&self) -> bool {
        self.pending.is_none() && !self.closing && self.comfortable() && self.input.has_line()
    }

    /// The next request line, unless an answer is pending.
    pub fn next_request(&mut self) -> Option<Result<Line, Failure>> {
        if self.pending.is_some() || self.closing || self.gone || !self.comfortable() {
            return None;
        }
        loop {
            match self.input.next_line() {
                Ok(None) => return None,
                Ok(Some(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(Some(line)) => return Some(Line::decode(line).map_err(Failure::from)),
                Err(_) => {
                    self.close();
                    let message = "a line is at most 1 MiB long";
                    return Some(Err(Failure::new(Code::TooLong, message)));
                }
            }
        }
    }

    /// Says a line.
    pub fn say(&mut self, line: &Line) {
        if !self.gone {
            line.encode(self.output.tail());
        }
    }

    /// Says that the request has failed.
    pub fn refuse(&mut self, failure: &Failure) {
        self.say(&failure.to_line());
    }

    /// Says a line that is written field by field.
    pub fn say_with(&mut self, tag: &str, write: impl FnOnce(&mut LineWriter)) {
        if !self.gone {
            let mut line = LineWriter::begin(self.output.tail(), tag);
            write(&mut line);
            line.end();
        }
    }

    /// Says nothing more after what has been said.
    pub fn close(&mut self) {
        self.closing = true;
        self.follows = false;
    }

    /// Sends what the client takes. A follower that does not keep up is cut: nobody else is hurt.
    pub fn flush(&mut self) {
        while !self.output.pending().is_empty() && !self.gone {
            match socket::send(&self.stream, self.output.pending()) {
                Ok(n) => self.output.sent(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.hang_up(),
            }
        }
        if self.output.pending().len() > MAX_UNREAD {
            self.hang_up();
        }
    }
}
