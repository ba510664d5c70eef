//! `rpmd-log`, the log writer: drains every program's output into its log files, so that neither a disk nor a flood
//! ever holds up the supervisor.
//!
//! It is a plain fork of the supervisor, joined to it by one pair. When the pair ends it writes what waits and leaves:
//! what programs print afterwards waits in their FIFOs for the next one.

mod batch;
mod channel;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

pub use batch::Batch;
use channel::Channel;

use crate::app::value::Bytes;
use crate::paths::Home;
use crate::protocol::buffer::{LineBuffer, OutBuffer};
use crate::protocol::line::Line;
use crate::protocol::link::{Order, Report};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::{self, Signal};
use crate::sys::{daemonize, fd, socket};

/// The log writer's state.
struct Writer<'a> {
    home: Home,
    link: UnixStream,
    input: LineBuffer,
    output: OutBuffer,
    /// Standard output and standard error of each program.
    channels: BTreeMap<u32, [Channel; 2]>,
    /// What is moved goes through here, whoever wrote it.
    batch: &'a mut Batch,
    /// What the last log writer had begun. Its program is the first that is opened.
    inherited: Option<batch::Left>,
    ending: bool,
}

/// What a poll entry stands for.
#[derive(Clone, Copy)]
enum Token {
    Link,
    Channel(u32, usize),
}

/// Serves at the end `link` of the pair; for a process that has just been forked by the supervisor.
pub fn run(link: UnixStream, home: Home, batch: &mut Batch) -> ! {
    signal::set_default(Signal::CHLD);
    // The end of the programs is the supervisor's to bring about: until then there is output to save.
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::PIPE] {
        signal::ignore(signal);
    }
    let [out, into] = batch.raw();
    fd::close_all_except(&[link.as_raw_fd(), out, into]);
    daemonize::set_process_name(c"rpmd-log");
    let inherited = batch.left();
    let mut writer = Writer {
        inherited,
        home,
        link,
        input: LineBuffer::default(),
        output: OutBuffer::default(),
        channels: BTreeMap::new(),
        batch,
        ending: false,
    };
    let mut set = PollSet::default();
    while !writer.ending {
        writer.turn(&mut set);
    }
    writer.drain_all();
    writer.flush();
    daemonize::exit_now(0)
}

impl Writer<'_> {
    fn turn(&mut self, set: &mut PollSet<Token>) {
        set.clear();
        let write = !self.output.pending().is_empty();
        set.push(
            self.link.as_fd(),
            Interest { read: true, write },
            Token::Link,
        );
        for (id, pair) in &self.channels {
            for (which, channel) in pair.iter().enumerate() {
                if let Some(fifo) = channel.fifo() {
                    set.push(fifo, Interest::READ, Token::Channel(*id, which));
                }
            }
        }
        if set.wait(None).is_err() {
            return;
        }
        for (token, ready) in set.ready() {
            match token {
                Token::Link if ready.readable || ready.hangup || ready.error => self.receive(),
                Token::Link => {}
                Token::Channel(id, which) => self.drain_some(id, which),
            }
        }
        self.flush();
    }

    fn drain_some(&mut self, id: u32, which: usize) {
        let channel = self
            .channels
            .get_mut(&id)
            .and_then(|pair| pair.get_mut(which));
        if let Some(note) = channel.and_then(|c| c.drain_some((id, which), self.batch)) {
            self.report(&Report::Note { text: note });
        }
    }

    fn drain(&mut self, id: u32) {
        for which in 0..2 {
            let channel = self
                .channels
                .get_mut(&id)
                .and_then(|pair| pair.get_mut(which));
            if let Some(note) = channel.and_then(|c| c.drain_waiting((id, which), self.batch)) {
                self.report(&Report::Note { text: note });
            }
        }
    }

    fn drain_all(&mut self) {
        let ids: Vec<u32> = self.channels.keys().copied().collect();
        for id in ids {
            self.drain(id);
        }
    }

    fn receive(&mut self) {
        let mut buffer = [0; 16 << 10];
        match self.link.read(&mut buffer) {
            Ok(0) => self.ending = true,
            Ok(n) => self.input.push(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.ending = true,
        }
        let mut orders = Vec::new();
        while let Ok(Some(line)) = self.input.next_line() {
            orders.extend(Line::decode(line).ok().as_ref().and_then(Order::from_line));
        }
        for order in orders {
            self.carry_out(order);
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Open { id, out, err } => self.open(id, &out, &err),
            Order::Close { id } => {
                self.channels.remove(&id);
            }
            Order::Drain { ids, token } => {
                for id in ids {
                    self.drain(id);
                }
                self.report(&Report::Drained { token });
            }
            Order::Bye => self.ending = true,
        }
    }

    fn open(&mut self, id: u32, out: &Bytes, err: &Bytes) {
        let records = self.home.records(id);
        let pairs = [(records.out(), out), (records.err(), err)];
        let opened = pairs.map(|(fifo, file)| Channel::open(&fifo, file));
        let mut notes = Vec::new();
        let channels = opened.map(|(channel, note)| {
            notes.extend(note);
            channel
        });
        self.channels.insert(id, channels);
        self.finish(id);
        for text in notes {
            self.report(&Report::Note { text });
        }
    }

    /// Finishes what a log writer before this one had begun for a program, before anything else of it is written.
    fn finish(&mut self, id: u32) {
        let Some(left) = self.inherited.take() else {
            return;
        };
        if left.channel.0 != id {
            // Its program has been forgotten meanwhile.
            self.batch.done();
            return;
        }
        let channel = self
            .channels
            .get_mut(&id)
            .and_then(|pair| pair.get_mut(left.channel.1));
        if let Some(note) = channel.and_then(|c| c.finish(self.batch, &left)) {
            self.report(&Report::Note { text: note });
        }
    }

    fn report(&mut self, report: &Report) {
        report.to_line().encode(self.output.tail());
    }

    fn flush(&mut self) {
        while !self.output.pending().is_empty() {
            match socket::send(&self.link, self.output.pending()) {
                Ok(n) => self.output.sent(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Room comes, or the end of the pair does.
                Err(_) => break,
            }
        }
    }
}
