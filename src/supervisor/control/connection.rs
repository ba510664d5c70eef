//! One client.

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use crate::protocol::buffer::{LineBuffer, OutBuffer};
use crate::protocol::line::{Line, LineWriter};
use crate::protocol::reply::{Code, Failure};
use crate::supervisor::control::events::Behind;
use crate::supervisor::control::pending::Pending;
use crate::sys::poll::Interest;
use crate::sys::{clock, reexec, socket};

/// How much output may wait for a client that does not read, in bytes. Nothing comes to it: answers and events are
/// written up to `COMFORTABLE`, and one line more.
const MAX_UNREAD: usize = 4 << 20;

/// Up to this much waiting output, an answer of many lines goes on growing.
const COMFORTABLE: usize = 64 << 10;

/// A client that has taken nothing of its answer for so long may be dropped for another one. ms
const STALLED: u64 = 1000;

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
    /// What it has yet to be told of them.
    pub behind: Behind,
    /// Nothing more can be read: the client has sent all that it will.
    ended: bool,
    /// Nobody is there to read an answer. The requests that were sent before are carried out all the same.
    gone: bool,
    /// Nothing more is read; the connection ends when the output has gone out.
    closing: bool,
    /// When the client last sent or took something, in ms of the monotonic clock.
    active: u64,
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
            behind: Behind::default(),
            ended: false,
            gone: false,
            closing: false,
            active: clock::monotonic_ms(),
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

    /// What to poll for; `None` when the client has gone: what it has sent is read without waiting then.
    pub fn interest(&self) -> Option<Interest> {
        let read = self.takes_input();
        let write = !self.output.pending().is_empty();
        (!self.gone).then_some(Interest { read, write })
    }

    /// Whether more is read: one request at a time, so that no more than a line and a piece is held for a client.
    fn takes_input(&self) -> bool {
        let open = !self.ended && !self.closing;
        open && self.pending.is_none() && self.comfortable() && !self.input.has_line()
    }

    /// Whether the client has gone, and may have sent requests that were not read yet.
    pub fn left_something(&self) -> bool {
        self.gone && self.takes_input()
    }

    /// Whether nothing is left to do for it.
    pub fn finished(&self) -> bool {
        let nothing_to_come = self.ended && !self.input.has_line() && !self.follows;
        self.pending.is_none() && self.flushed() && (self.closing || nothing_to_come)
    }

    /// Whether all that was said has gone out, or nobody is there to hear it.
    pub fn flushed(&self) -> bool {
        self.gone || self.output.pending().is_empty()
    }

    /// Whether an answer of many lines may go on growing.
    pub fn comfortable(&self) -> bool {
        self.gone || self.output.pending().len() < COMFORTABLE
    }

    /// Whether it takes events as they come.
    pub fn keeps_up(&self) -> bool {
        self.behind.is_empty() && self.comfortable()
    }

    /// Whether nobody is there to read an answer.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// When the client last sent or took something, where it may be dropped for another one: it has nothing under way
    /// that would be lost. One that does not take its answer is in the second group.
    pub fn may_be_dropped(&self, now: u64) -> Option<(bool, u64)> {
        let harmless = matches!(self.pending, None | Some(Pending::Rows(_)));
        let unread = !self.output.pending().is_empty();
        let stalled = unread && now.saturating_sub(self.active) >= STALLED;
        let idle = !unread && self.pending.is_none() && !self.follows && !self.input.has_line();
        let may = !self.gone && !self.closing && harmless && (idle || stalled);
        may.then_some((unread, self.active))
    }

    /// Whether it may be dropped still after what it has sent was read.
    pub fn is_idle_after_a_look(&mut self, now: u64) -> bool {
        if self.takes_input() {
            let before = self.active;
            self.receive(&mut [0; 4096]);
            return self.active == before && self.may_be_dropped(now).is_some();
        }
        self.may_be_dropped(now).is_some()
    }

    /// The client has hung up: nothing can be said to it any more. What it has sent before is carried out.
    pub fn hang_up(&mut self) {
        self.gone = true;
        self.follows = false;
        self.behind = Behind::default();
        self.output = OutBuffer::default();
    }

    /// Ends the service of a client at once; the requests that were read whole are carried out.
    pub fn cut(&mut self) {
        self.hang_up();
        self.ended = true;
    }

    /// Reads once what has come in.
    pub fn receive(&mut self, buffer: &mut [u8]) {
        match (&self.stream).read(buffer) {
            Ok(0) => {
                self.ended = true;
                // A last line without LF is a line, but not of one who has gone: it may have been killed halfway, and
                // half a request can mean another program.
                let rest = self.input.take_rest();
                if !rest.is_empty() && !self.gone {
                    self.input.push(&rest);
                    self.input.push(b"\n");
                }
            }
            Ok(n) => {
                self.active = clock::monotonic_ms();
                self.input.push(buffer.get(..n).unwrap_or_default());
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.ended |= self.gone,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.cut(),
        }
    }

    /// Whether a whole request waits to be looked at.
    pub fn holds_request(&self) -> bool {
        self.pending.is_none() && !self.closing && self.comfortable() && self.input.has_line()
    }

    /// Whether a request waits to be looked at, or to be read of one who has gone.
    pub fn is_to_be_served(&self) -> bool {
        self.holds_request() || self.left_something()
    }

    /// The next request line and its length, unless an answer is pending.
    pub fn next_request(&mut self) -> Option<(Result<Line, Failure>, usize)> {
        if self.pending.is_some() || self.closing || !self.comfortable() {
            return None;
        }
        loop {
            match self.input.next_line() {
                Ok(None) => return None,
                Ok(Some(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(Some(line)) => {
                    let length = line.len();
                    return Some((Line::decode(line).map_err(Failure::from), length));
                }
                Err(_) => {
                    self.close();
                    let message = "a line is at most 1 MiB long";
                    return Some((Err(Failure::new(Code::TooLong, message)), 0));
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

    /// Sends what the client takes. A follower that does not keep up is cut: nobody else is hurt. Answers never come to
    /// that: their rows are written as the client takes them.
    pub fn flush(&mut self) {
        while !self.output.pending().is_empty() && !self.gone {
            match socket::send(&self.stream, self.output.pending()) {
                Ok(n) => {
                    self.active = clock::monotonic_ms();
                    self.output.sent(n);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.hang_up(),
            }
        }
        if self.output.pending().len() > MAX_UNREAD {
            self.cut();
        }
    }
}
