//! Decides which clients' requests are read, and how many per turn of the loop.

use crate::protocol::request::Request;
use crate::supervisor::control::connection::Connection;
use crate::supervisor::control::dispatch::Answer;
use crate::supervisor::event_loop::Supervisor;

/// How many requests of one client are looked at in one turn of the loop.
const REQUESTS_A_TURN: usize = 32;

/// What all clients together may ask in one turn of the loop: whoever is not served now is the first in the next one.
#[derive(Debug)]
pub(crate) struct Share {
    requests: usize,
    bytes: usize,
}

impl Default for Share {
    fn default() -> Share {
        Share {
            requests: 256,
            bytes: 1 << 20,
        }
    }
}

impl Share {
    /// Takes a request of this length; it may be longer than what is left, but for that it is the last.
    fn take(&mut self, bytes: usize) {
        self.requests = self.requests.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Whether nothing is left.
    pub(crate) fn is_spent(&self) -> bool {
        self.requests == 0 || self.bytes == 0
    }
}

impl Supervisor {
    /// Looks at what the clients have asked, each in turn. Returns whether there may be more to look at.
    pub(crate) fn serve_all(&mut self) -> bool {
        let mut share = Share::default();
        let mut more = false;
        let first = self.first_served;
        let later = self.connections.range(first..);
        let tokens = later.chain(self.connections.range(..first));
        let tokens: Vec<u64> = tokens.map(|(token, _)| *token).collect();
        for token in tokens {
            if share.is_spent() {
                self.first_served = token;
                return true;
            }
            more |= self.serve(token, &mut share);
        }
        more
    }

    /// Looks at what a client has asked. Returns whether there may be more to look at.
    fn serve(&mut self, token: u64, share: &mut Share) -> bool {
        for _ in 0..REQUESTS_A_TURN {
            if share.is_spent() {
                return true;
            }
            let connection = self.connections.get_mut(&token);
            let Some((request, length)) = connection.and_then(Connection::next_request) else {
                if self.receive_the_rest(token) {
                    continue;
                }
                return false;
            };
            share.take(length);
            let request = request.and_then(|line| Request::from_line(&line));
            let answer = request.and_then(|request| self.carry_out(token, request));
            let Some(connection) = self.connections.get_mut(&token) else {
                return false;
            };
            match answer {
                Ok(Answer::Now(line)) => connection.say(&line),
                Ok(Answer::Later(pending)) => {
                    connection.pending = Some(pending);
                    self.changed = true;
                }
                Err(failure) => connection.refuse(&failure),
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_takes_so_many_requests_and_so_many_bytes() {
        let mut share = Share::default();
        for _ in 0..255 {
            share.take(1);
        }
        assert!(!share.is_spent());
        share.take(1);
        assert!(share.is_spent());
        let mut share = Share::default();
        share.take(1 << 20);
        assert!(share.is_spent());
    }
}
