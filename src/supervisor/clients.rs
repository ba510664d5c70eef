//! Clients come, ask and go; those who may not, or are too many, are told so.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use super::connection::Connection;
use super::program::Program;
use super::server::Supervisor;
use super::timers::Timer;
use crate::error::Reason;
use crate::protocol::reply::{Code, Failure};
use crate::sys::poll::Ready;
use crate::sys::room::{self, Holder};
use crate::sys::{fd, socket, user};

/// How many clients may be connected at a time.
const MAX_CONNECTIONS: usize = 256;
/// How many connections are accepted in one turn.
const ACCEPTS_A_TURN: usize = 16;
/// How long nothing is accepted after descriptors ran out. ms
const ACCEPT_AGAIN: u64 = 1000;
/// Why nobody more is served at the limit.
const NO_DESCRIPTORS: &str = "the daemon has no descriptors left";

impl Supervisor {
    pub(super) fn hear_client(&mut self, token: u64, ready: Ready) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        if ready.readable {
            let mut buffer = [0; 64 << 10];
            connection.receive(&mut buffer);
        } else if ready.hangup || ready.error {
            connection.hang_up();
        }
    }

    pub(super) fn accept(&mut self) {
        self.connections
            .retain(|_, connection| !connection.finished());
        for _ in 0..ACCEPTS_A_TURN {
            match socket::accept(&self.listener) {
                Ok(stream) => {
                    let refusal = self.admit(&stream);
                    self.take_in(stream, refusal);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                // The client has given up meanwhile.
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) => return self.refuse_for_now(&e),
            }
        }
    }

    /// Serves a client, or tells it why not.
    fn take_in(&mut self, stream: UnixStream, refusal: Option<Failure>) {
        let mut connection = Connection::new(stream);
        match refusal {
            None => self.connect(connection),
            Some(failure) => {
                connection.refuse(&failure);
                connection.flush();
            }
        }
    }

    /// Adds a client.
    pub(super) fn connect(&mut self, connection: Connection) {
        self.next_connection += 1;
        self.connections.insert(self.next_connection, connection);
    }

    /// Why a client is not served, where it is not.
    fn admit(&self, stream: &UnixStream) -> Option<Failure> {
        let uid = socket::peer_uid(stream).unwrap_or(u32::MAX);
        if uid != 0 && uid != user::effective_uid() {
            return Some(Failure::new(
                Code::Denied,
                "this supervisor serves its own user and root",
            ));
        }
        let full = self.connections.len() >= MAX_CONNECTIONS;
        if !full && !room::leaves_room(stream.as_fd(), Holder::Client) {
            return Some(Failure::new(Code::Busy, NO_DESCRIPTORS));
        }
        full.then(|| {
            Failure::new(
                Code::Busy,
                format!("{MAX_CONNECTIONS} clients are connected already"),
            )
        })
    }

    /// Nobody can be accepted. It may stay so: it is tried again after a while, and said once a minute.
    fn refuse_for_now(&mut self, why: &io::Error) {
        if self.accept_failed.may_be_said(self.now) {
            let why = Reason(why);
            self.journal.note(format_args!("accepting a client: {why}"));
        }
        self.spare = None;
        let accepted = socket::accept(&self.listener).ok();
        self.spare = fd::open_null().ok();
        if let Some(stream) = accepted {
            let failure = match self.spare {
                Some(_) => self.admit(&stream),
                None => Some(Failure::new(Code::Busy, NO_DESCRIPTORS)),
            };
            self.take_in(stream, failure);
        }
        self.timers
            .set(Timer::Accept, Some(self.now + ACCEPT_AGAIN));
    }

    /// Tells everybody who follows the events.
    pub(super) fn tell_followers(&mut self, what: &str, program: &Program) {
        for connection in self.connections.values_mut().filter(|c| c.follows) {
            connection.say_with("event", |line| {
                line.field("what", what.as_bytes());
                program.process().write(line);
            });
        }
    }
}
