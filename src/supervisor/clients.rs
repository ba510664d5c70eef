//! Clients come, ask and go; those who may not, or are too many, are told so.

use std::io;

use super::connection::Connection;
use super::program::Program;
use super::server::Supervisor;
use super::timers::Timer;
use crate::protocol::reply::{Code, Failure};
use crate::sys::poll::Ready;
use crate::sys::{fd, socket, user};

/// How many clients may be connected at a time.
const MAX_CONNECTIONS: usize = 256;
/// How many connections are accepted in one turn.
const ACCEPTS_A_TURN: usize = 16;
/// How long nothing is accepted after descriptors ran out. ms
const ACCEPT_AGAIN: u64 = 1000;

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
                    let mut connection = Connection::new(stream);
                    if let Some(failure) = refusal {
                        connection.refuse(&failure);
                        connection.flush();
                        continue;
                    }
                    self.connect(connection);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if out_of_descriptors(&e) => {
                    self.refuse_for_want_of_descriptors(&e);
                    return;
                }
                // The client has given up meanwhile.
                Err(_) => {}
            }
        }
    }

    /// Adds a client.
    pub(super) fn connect(&mut self, connection: Connection) {
        self.next_connection += 1;
        self.connections.insert(self.next_connection, connection);
    }

    /// Why a client is not served, where it is not.
    fn admit(&self, stream: &std::os::unix::net::UnixStream) -> Option<Failure> {
        let uid = socket::peer_uid(stream).unwrap_or(u32::MAX);
        if uid != 0 && uid != user::effective_uid() {
            return Some(Failure::new(
                Code::Denied,
                "this supervisor serves its own user and root",
            ));
        }
        let full = self.connections.len() >= MAX_CONNECTIONS;
        full.then(|| {
            Failure::new(
                Code::Busy,
                format!("{MAX_CONNECTIONS} clients are connected already"),
            )
        })
    }

    fn refuse_for_want_of_descriptors(&mut self, why: &io::Error) {
        self.journal.note(format_args!("accepting a client: {why}"));
        self.spare = None;
        if let Ok(stream) = socket::accept(&self.listener) {
            let mut connection = Connection::new(stream);
            connection.refuse(&Failure::new(
                Code::Busy,
                "the daemon has no descriptors left",
            ));
            connection.flush();
        }
        self.spare = fd::open_null().ok();
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

pub fn out_of_descriptors(e: &io::Error) -> bool {
    matches!(
        e.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}
