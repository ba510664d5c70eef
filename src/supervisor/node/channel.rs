//! The channel of one Node worker: the pair over which a program and the process that forked it send each other
//! messages. The daemon is the primary of the cluster.
//!
//! The worker holds both ends, so the channel has no end while it lives, whatever becomes of the daemon; a worker that
//! saw the end would exit.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use crate::protocol::buffer::LineBuffer;
use crate::protocol::node::{HANDLE_ANSWER, Message};
use crate::sys::fd;
use crate::sys::passing::{self, Outbox};
use crate::sys::poll::Interest;

/// How many bytes may wait for a worker that does not read; then nothing more is said to it.
const MAX_UNREAD: usize = 1 << 20;
/// How many descriptors may wait for a worker that does not read.
const MOST_DESCRIPTORS: usize = 64;
/// How much is read of one worker in one turn.
const READS_A_TURN: usize = 16;

/// The daemon's end.
#[derive(Debug)]
pub struct Channel {
    end: Rc<OwnedFd>,
    /// The slot in which the log writer keeps it.
    pub slot: Option<u64>,
    input: LineBuffer,
    /// The rest of a message that is too long to be for us is passed over.
    skipping: bool,
    output: Outbox,
    /// A descriptor is on its way: Node takes the next message only when it has said that it has it.
    awaiting: bool,
    held_back: VecDeque<(Vec<u8>, Option<Rc<OwnedFd>>)>,
}

impl Channel {
    /// The channel at an end of a pair.
    pub fn new(end: OwnedFd) -> Channel {
        let _ = fd::set_nonblocking(end.as_fd());
        Channel {
            end: Rc::new(end),
            slot: None,
            input: LineBuffer::default(),
            skipping: false,
            output: Outbox::default(),
            awaiting: false,
            held_back: VecDeque::new(),
        }
    }

    /// What to poll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// Our end.
    pub fn end(&self) -> &Rc<OwnedFd> {
        &self.end
    }

    /// What to poll for.
    pub fn interest(&self) -> Interest {
        Interest {
            read: true,
            write: !self.output.is_empty(),
        }
    }

    /// Whether nothing is under way, so that it can be handed over as it is.
    pub fn rests(&self) -> bool {
        self.output.is_empty() && !self.awaiting && self.input.is_empty() && !self.skipping
    }

    /// Says a message, with a descriptor perhaps.
    pub fn say(&mut self, message: Vec<u8>, fd: Option<Rc<OwnedFd>>) {
        if self.awaiting {
            let descriptors = self.held_back.iter().filter(|(_, fd)| fd.is_some());
            let room = fd.is_none() || descriptors.count() < MOST_DESCRIPTORS;
            if self.held_back.len() < MAX_UNREAD / 64 && room {
                self.held_back.push_back((message, fd));
            }
            return;
        }
        if self.output.len() < MAX_UNREAD {
            self.awaiting = fd.is_some();
            self.output.push(message, fd);
        }
    }

    /// The descriptor that was sent has arrived.
    pub fn arrived(&mut self) {
        self.awaiting = false;
        while !self.awaiting {
            let Some((message, fd)) = self.held_back.pop_front() else {
                return;
            };
            self.say(message, fd);
        }
    }

    /// Sends what the worker takes. One that has closed its end will hear nothing more.
    pub fn flush(&mut self) {
        if self.output.flush(&self.end).is_err() {
            self.output = Outbox::default();
            self.held_back.clear();
        }
    }

    /// Reads what the worker has said.
    pub fn receive(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut buffer = [0; 16 << 10];
        for _ in 0..READS_A_TURN {
            // Descriptors that a program sends to its primary are nobody's here: they are closed.
            let mut fds = VecDeque::new();
            match passing::receive(&self.end, &mut buffer, &mut fds) {
                Ok(n @ 1..) => self.take(buffer.get(..n).unwrap_or_default(), &mut messages),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        messages
    }

    fn take(&mut self, mut bytes: &[u8], messages: &mut Vec<Message>) {
        if self.skipping {
            let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
                return;
            };
            self.skipping = false;
            bytes = bytes.get(end + 1..).unwrap_or_default();
        }
        self.input.push(bytes);
        loop {
            match self.input.next_line() {
                Ok(Some(line)) => match Message::read(line) {
                    Message::Own => {}
                    message => messages.push(message),
                },
                Ok(None) => return,
                Err(_) => {
                    self.skipping = !self.input.rest().ends_with(b"\n");
                    self.input = LineBuffer::default();
                }
            }
        }
    }

    /// Tells the worker that its descriptor has arrived.
    pub fn acknowledge(&mut self) {
        self.say(HANDLE_ANSWER.to_vec(), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn pair() -> (Channel, UnixStream) {
        let (one, other) = UnixStream::pair().unwrap();
        other.set_nonblocking(true).unwrap();
        (Channel::new(one.into()), other)
    }

    fn said(stream: &mut UnixStream) -> String {
        let mut text = vec![0; 4096];
        let n = stream.read(&mut text).unwrap_or(0);
        String::from_utf8(text[..n].to_vec()).unwrap()
    }

    #[test]
    fn the_next_message_waits_until_a_descriptor_has_arrived() {
        let (mut channel, mut worker) = pair();
        let null = || Rc::new(fd::open_null().unwrap());
        channel.say(b"one\n".to_vec(), Some(null()));
        channel.say(b"two\n".to_vec(), Some(null()));
        channel.say(b"three\n".to_vec(), None);
        channel.flush();
        assert_eq!(said(&mut worker), "one\n");
        for rest in ["two\n", "three\n"] {
            channel.arrived();
            channel.flush();
            assert_eq!(said(&mut worker), rest);
        }
        assert!(channel.rests());
    }

    #[test]
    fn a_message_of_the_program_is_passed_over_however_long_it_is() {
        let (mut channel, mut worker) = pair();
        worker.set_nonblocking(false).unwrap();
        let ours = "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}\n";
        let text = format!(
            "{{\"x\":\"{}\"}}\n{ours}\"own\"\n{ours}",
            "y".repeat(3 << 20)
        );
        let writer = std::thread::spawn(move || worker.write_all(text.as_bytes()).map(|()| worker));
        let mut messages = Vec::new();
        while messages.len() < 2 {
            messages.extend(channel.receive());
            std::thread::yield_now();
        }
        assert_eq!(
            messages,
            [Message::Other { seq: 0 }, Message::Other { seq: 0 }]
        );
        writer.join().unwrap().unwrap();
    }
}
