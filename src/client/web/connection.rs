//! One client of the web server: the bytes of its requests, and of what it is answered.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use super::http::{self, MAX_HEAD, Method, Refusal, Request};
use super::response::Response;
use super::routes::Route;
use crate::protocol::buffer::OutBuffer;
use crate::sys::clock;
use crate::sys::poll::Interest;

/// How much a client that was refused may still send before it is cut: closing at once would take the answer back.
const LINGER_BYTES: usize = 256 << 10;
/// How much may wait for a follower that does not read, besides the list that it gets when nothing waits.
const MAX_UNREAD: usize = 256 << 10;

/// What the server does not exceed. Times in ms.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at one time.
    pub connections: usize,
    /// How many of them may follow the events.
    pub followers: usize,
    /// From the first byte of a head to its end, and from the beginning of a connection to its first byte.
    pub head: u64,
    /// From an answer to the next request.
    pub idle: u64,
    /// From a request to its answer.
    pub answer: u64,
    /// How long an answer may take to go out, and how long a follower may take nothing of what is sent to it.
    pub send: u64,
    /// How long a client that was refused may take to hang up.
    pub linger: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 64,
            followers: 32,
            head: 10_000,
            idle: 15_000,
            answer: 5_000,
            send: 30_000,
            linger: 1_000,
        }
    }
}

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No byte of the next request has come.
    Idle,
    /// A part of its head has.
    Head,
    /// The request is looked at.
    Asked,
    /// The answer goes out.
    Sending,
    /// Events go out.
    Following,
    /// All has gone out, and the client is to hang up.
    Lingering(usize),
    /// It is over.
    Gone,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Its number, which no other one had or will have.
    pub token: u64,
    /// What it waits for that the daemon has been asked about.
    pub waits_for: Option<Route>,
    stream: TcpStream,
    phase: Phase,
    input: Vec<u8>,
    output: OutBuffer,
    /// When the phase has lasted too long.
    deadline: u64,
    /// The present answer is the last.
    close: bool,
    /// The present answer has a body.
    with_body: bool,
}

impl Connection {
    /// A new client.
    pub fn new(token: u64, stream: TcpStream, now: u64, limits: &Limits) -> Connection {
        Connection {
            token,
            waits_for: None,
            stream,
            phase: Phase::Idle,
            input: Vec::new(),
            output: OutBuffer::default(),
            deadline: now + limits.head,
            close: false,
            with_body: true,
        }
    }

    /// The stream, to poll.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What to poll for.
    pub fn interest(&self) -> Interest {
        let read = match self.phase {
            Phase::Idle | Phase::Head | Phase::Following | Phase::Lingering(_) => true,
            Phase::Asked | Phase::Sending | Phase::Gone => false,
        };
        let write = !self.output.pending().is_empty();
        Interest { read, write }
    }

    /// When it has to be looked at, whatever comes.
    pub fn deadline(&self) -> u64 {
        match self.phase {
            // One that has taken everything may be silent for ever.
            Phase::Following if self.output.pending().is_empty() => u64::MAX,
            _ => self.deadline,
        }
    }

    /// Whether it is over.
    pub fn is_gone(&self) -> bool {
        self.phase == Phase::Gone
    }

    /// Whether it only waits for a request.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Whether it follows the events.
    pub fn follows(&self) -> bool {
        self.phase == Phase::Following
    }

    /// Ends it at once.
    pub fn drop_now(&mut self) {
        self.phase = Phase::Gone;
    }

    /// Reads once what has come in.
    pub fn receive(&mut self, now: u64, limits: &Limits) {
        let mut chunk = [0; MAX_HEAD];
        let n = match self.stream.read(&mut chunk) {
            Ok(n) if n > 0 => n,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            // One that sends no more while its head is not complete wants nothing; it gets what is on its way.
            Ok(_) | Err(_) => return self.drop_now(),
        };
        match &mut self.phase {
            Phase::Idle | Phase::Head => {
                self.begin_head(now, limits);
                self.input
                    .extend_from_slice(chunk.get(..n).unwrap_or_default());
            }
            Phase::Lingering(left) => match left.checked_sub(n) {
                Some(rest) => *left = rest,
                None => self.drop_now(),
            },
            // What is said to a stream of events is not listened to.
            _ => {}
        }
    }

    fn begin_head(&mut self, now: u64, limits: &Limits) {
        if self.phase == Phase::Idle {
            self.phase = Phase::Head;
            self.deadline = now + limits.head;
        }
    }

    /// The next request, once it is complete. It is to be answered.
    pub fn next_request(&mut self, now: u64, limits: &Limits) -> Option<Result<Request, Refusal>> {
        if self.phase != Phase::Head {
            return None;
        }
        let read = match http::head_length(&self.input) {
            Ok(None) => return None,
            Ok(Some(length)) => {
                let rest = self.input.split_off(length);
                http::parse(&std::mem::replace(&mut self.input, rest))
            }
            Err(refusal) => Err(refusal),
        };
        self.phase = Phase::Asked;
        self.deadline = now + limits.answer;
        match &read {
            Ok(request) => {
                self.close = request.close;
                self.with_body = request.method != Method::Head;
            }
            // Where the next request begins is not known.
            Err(_) => self.close = true,
        }
        Some(read)
    }

    /// Answers the request.
    pub fn answer(&mut self, response: &Response, now: u64, limits: &Limits) {
        self.waits_for = None;
        self.close |= !matches!(response.status, 200 | 404);
        self.phase = Phase::Sending;
        self.deadline = now + limits.send;
        let wall = clock::wall_ms();
        response.write(self.output.tail(), wall, self.close, self.with_body);
    }

    /// Answers the request with events from now on.
    pub fn follow(&mut self, response: &Response, now: u64, limits: &Limits) {
        self.close = true;
        self.answer(response, now, limits);
        if self.with_body {
            self.phase = Phase::Following;
        }
    }

    /// Tells a follower how all programs fare. One that has not taken the last list yet waits for the next one.
    pub fn tell_list(&mut self, list: &str, now: u64, limits: &Limits) {
        if self.output.pending().is_empty() {
            self.tell("processes", list, now, limits);
        }
    }

    /// Tells a follower of an event; nobody else.
    pub fn tell(&mut self, event: &str, data: &str, now: u64, limits: &Limits) {
        if !self.follows() {
            return;
        }
        if self.output.pending().is_empty() {
            self.deadline = now + limits.send;
        } else if self.output.pending().len() > MAX_UNREAD {
            return self.drop_now();
        }
        let tail = self.output.tail();
        for part in ["event: ", event, "\ndata: ", data.trim_end(), "\n\n"] {
            tail.extend_from_slice(part.as_bytes());
        }
    }

    /// Sends what the client takes, and goes on to the next phase when all has gone out. Whether another request may
    /// have come already.
    pub fn flush(&mut self, now: u64, limits: &Limits) -> bool {
        while !self.output.pending().is_empty() {
            match self.stream.write(self.output.pending()) {
                Ok(n) => {
                    self.output.sent(n);
                    if self.follows() {
                        self.deadline = now + limits.send;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.drop_now();
                    return false;
                }
            }
        }
        if self.phase != Phase::Sending {
            return false;
        }
        if self.close {
            let _ = self.stream.shutdown(Shutdown::Write);
            self.phase = Phase::Lingering(LINGER_BYTES);
            self.deadline = now + limits.linger;
            return false;
        }
        self.phase = Phase::Idle;
        self.deadline = now + limits.idle;
        if !self.input.is_empty() {
            self.begin_head(now, limits);
        }
        !self.input.is_empty()
    }

    /// What is done when the deadline has passed: one that has begun to ask is told why it is not answered.
    pub fn expire(&mut self, now: u64, limits: &Limits) {
        let refusal = match self.phase {
            Phase::Head => Refusal::new(408, "the head of the request did not come in time"),
            Phase::Asked => Refusal::new(503, "the daemon does not answer; see rpm ping"),
            _ => return self.drop_now(),
        };
        self.close = true;
        self.answer(&Response::from(refusal), now, limits);
    }
}
