//! Clients come, ask and go; those who may not, or are too many, are told so.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use crate::error::Reason;
use crate::protocol::reply::{Code, Failure};
use crate::supervisor::control::connection::Connection;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::timers::Timer;
use crate::sys::poll::Ready;
use crate::sys::room::{self, Holder};
use crate::sys::{fd, socket, user};

/// How many clients may be connected at a time.
pub(crate) const MAX_CONNECTIONS: usize = 256;
/// How many more where the owner of the daemon comes: a place to stop what holds all the others.
const RESERVED: usize = 1;
/// How many connections there may be, with those whose clients have gone and whose requests are being carried out.
const MOST_WITH_GONE: usize = 4 * MAX_CONNECTIONS;
/// How much is read of a client at once, in bytes.
const PIECE: usize = 64 << 10;
/// How many connections are accepted in one turn.
const ACCEPTS_A_TURN: usize = 16;
/// How long nothing is accepted after descriptors ran out. ms
const ACCEPT_AGAIN: u64 = 1000;
/// Why nobody more is served at the limit.
const NO_DESCRIPTORS: &str = "the daemon has no descriptors left";

impl Supervisor {
    pub(crate) fn hear_client(&mut self, token: u64, ready: Ready) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        if ready.hangup || ready.error {
            connection.hang_up();
        }
        if ready.readable {
            connection.receive(&mut [0; PIECE]);
        }
    }

    /// Reads on for a client that has gone, where it may have sent more. Returns whether there was something.
    pub(crate) fn receive_the_rest(&mut self, token: u64) -> bool {
        let connection = self.connections.get_mut(&token);
        let connection = connection.filter(|c| c.left_something());
        connection.is_some_and(|connection| {
            connection.receive(&mut [0; PIECE]);
            connection.holds_request()
        })
    }

    pub(crate) fn accept(&mut self) {
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
    pub(crate) fn connect(&mut self, connection: Connection) {
        self.next_connection += 1;
        self.connections.insert(self.next_connection, connection);
    }

    /// Why a client is not served, where it is not.
    fn admit(&mut self, stream: &UnixStream) -> Option<Failure> {
        let uid = socket::peer_uid(stream).unwrap_or(u32::MAX);
        let owner = uid == user::effective_uid();
        if uid != 0 && !owner {
            return Some(Failure::new(
                Code::Denied,
                "this supervisor serves its own user and root",
            ));
        }
        if self.clients() >= MAX_CONNECTIONS {
            self.drop_one();
        }
        let places = match owner {
            true => MAX_CONNECTIONS + RESERVED,
            false => MAX_CONNECTIONS,
        };
        let full = self.clients() >= places || self.connections.len() >= MOST_WITH_GONE;
        if !full && !room::leaves_room(stream.as_fd(), Holder::Client) {
            return Some(Failure::new(Code::Busy, NO_DESCRIPTORS));
        }
        full.then(too_many)
    }

    /// How many clients are connected: not those that have gone, whose requests are still being carried out.
    pub(crate) fn clients(&self) -> usize {
        self.connections.values().filter(|c| !c.is_gone()).count()
    }

    /// Drops the connection that has been idle for the longest time, else the one that has not taken its answer for the
    /// longest time, where there is one.
    fn drop_one(&mut self) {
        let now = self.now;
        for _ in 0..MAX_CONNECTIONS {
            let candidates = self.connections.iter();
            let candidates =
                candidates.filter_map(|(token, c)| Some((c.may_be_dropped(now)?, *token)));
            let Some((_, token)) = candidates.min() else {
                return;
            };
            let connection = self.connections.get_mut(&token);
            // Its request may have come and not been read yet.
            if connection.is_some_and(|c| c.is_idle_after_a_look(now)) {
                return self.drop_client(token);
            }
        }
    }

    fn drop_client(&mut self, token: u64) {
        if let Some(mut connection) = self.connections.remove(&token) {
            connection.refuse(&Failure::new(
                Code::Busy,
                format!(
                    "this connection was idle while all {MAX_CONNECTIONS} were in use, and was closed to make room"
                ),
            ));
            connection.flush();
        }
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
}

/// The answer to a client, or a follower, too many.
pub(crate) fn too_many() -> Failure {
    Failure::new(
        Code::Busy,
        format!("{MAX_CONNECTIONS} clients are connected already"),
    )
}
