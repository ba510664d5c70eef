//! What the log writer waits for besides output: room in an output of the daemon's own, the end of a line, FIFOs that
//! could not be opened.

use std::time::Duration;

use super::outlet::GIVES_UP;
use super::{FIFO_AGAIN, Name, Token, Writer};
use crate::error::Reason;
use crate::protocol::log_protocol::Report;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::{clock, fifo};

use super::channel::Channel;

/// How often it is looked whether somebody waits for a reader who has taken nothing for long. ms
const LOOK_AGAIN: u64 = 5000;
/// How long the end waits for a reader who does not go on. ms
const END_WAITS: u64 = 3000;

/// Programs whose output is to be written before that is reported.
pub struct Draining {
    token: u64,
    ids: Vec<u32>,
    last: bool,
}

impl Writer<'_> {
    /// Has what these programs have printed written, and reports it when it is.
    pub(super) fn begin_draining(&mut self, ids: Vec<u32>, last: bool, token: u64) {
        self.draining.push(Draining { token, ids, last });
        self.see_to_drains();
    }

    /// Goes on with what is to be written and waited for room.
    pub(super) fn see_to_drains(&mut self) {
        for mut draining in std::mem::take(&mut self.draining) {
            draining.ids.retain(|id| {
                match draining.last {
                    true => self.drain(*id),
                    false => self.drain_lines(*id),
                }
                self.is_held_up(*id)
            });
            if draining.ids.is_empty() {
                let (token, failure) = (draining.token, None);
                self.report(&Report::Done { token, failure });
            } else {
                self.draining.push(draining);
            }
        }
    }

    /// A supervisor that comes asks again for what it has not heard of.
    pub(super) fn forget_drains(&mut self) {
        self.draining.clear();
    }

    /// Whether output of a program waits for room.
    pub(super) fn is_held_up(&mut self, id: u32) -> bool {
        let Some(program) = self.programs.get_mut(id) else {
            return false;
        };
        let mut channels = program.channels.iter_mut();
        channels.any(|channel| channel.is_held_up(&mut self.sinks))
    }

    /// Adds the outputs that streams wait for.
    pub(super) fn push_full(&mut self, set: &mut PollSet<Token>) {
        let mut numbers: Vec<usize> = self
            .programs
            .iter()
            .flat_map(|(_, program)| program.channels.iter())
            .filter_map(|channel| channel.waits_for)
            .collect();
        numbers.extend(self.sinks.with_rest());
        numbers.sort_unstable();
        numbers.dedup();
        let write = Interest {
            read: false,
            write: true,
        };
        for number in numbers {
            let outlet = self.sinks.get(number).and_then(|sink| sink.outlet());
            if let Some(outlet) = outlet {
                set.push(outlet.fd(), write, Token::Room(number));
            }
        }
    }

    /// The streams that have waited for this output, the one first that was served longest ago.
    pub(super) fn waiting_for(&mut self, number: usize) -> Vec<Name> {
        let mut found = Vec::new();
        for (id, program) in self.programs.iter_mut() {
            for (which, channel) in program.channels.iter_mut().enumerate() {
                if channel.waits_for == Some(number) {
                    channel.waits_for = None;
                    found.push((channel.served, (*id, which)));
                }
            }
        }
        found.sort_unstable();
        found.into_iter().map(|(_, name)| name).collect()
    }

    /// When something is to be done about what waits. monotonic ms
    pub(super) fn waits_until(&mut self) -> Option<u64> {
        let mut next: Option<u64> = None;
        for (_, program) in self.programs.iter() {
            for channel in &program.channels {
                let full = channel.waits_for.and_then(|number| {
                    let outlet = self.sinks.get(number)?.outlet()?;
                    Some(outlet.gives_up_at()?.max(self.looked_at_full + LOOK_AGAIN))
                });
                next = next.into_iter().chain(full).chain(channel.shown_at()).min();
            }
        }
        next
    }

    /// Shows what has been begun of lines that nothing more comes of, and gives up readers who hold up programs.
    pub(super) fn see_to_waits(&mut self) {
        let now = clock::monotonic_ms();
        let mut shown = Vec::new();
        let mut full = Vec::new();
        for (id, program) in self.programs.iter() {
            for (which, channel) in program.channels.iter().enumerate() {
                if channel.shown_at().is_some_and(|at| at <= now) {
                    shown.push((*id, which));
                }
                if let Some(number) = channel.waits_for {
                    full.push((number, channel.is_full()));
                }
            }
        }
        for name in shown {
            self.with(name, |channel, sinks, batch, bell| {
                channel.show_begun(sinks, batch, bell);
            });
        }
        for (number, is_full) in full {
            let sink = self.sinks.get(number);
            let Some(sink) = sink else {
                continue;
            };
            let at = sink.outlet().and_then(|outlet| outlet.gives_up_at());
            if at.is_some_and(|at| at <= now) {
                self.looked_at_full = now;
                if is_full {
                    sink.give_up(GIVES_UP);
                }
            }
        }
        // What waits for one that was given up does so no longer.
        for (_, program) in self.programs.iter_mut() {
            for channel in &mut program.channels {
                let waits = channel.waits_for.is_some_and(|n| self.sinks.is_full(n));
                channel.waits_for = channel.waits_for.filter(|_| waits);
            }
        }
    }

    /// A program has ended: a line that it has begun, where that is in its files, gets an end before its next run prints
    /// another. What is still in its FIFO has got one there.
    pub(super) fn end_begun_lines(&mut self, id: u32) {
        let Some(program) = self.programs.get_mut(id) else {
            return;
        };
        for channel in &mut program.channels {
            if channel.fifo().is_some_and(|fifo| fifo::waiting(fifo) == 0) {
                channel.end_line(&mut self.sinks);
            }
        }
    }

    /// Waits for readers who have not taken all, as long as they go on. For the end.
    pub(super) fn wait_for_readers(&mut self) {
        let mut waited_since = clock::monotonic_ms();
        let mut before = usize::MAX;
        loop {
            self.drain_all();
            let left: usize = self
                .programs
                .ids()
                .into_iter()
                .map(|id| self.held_up(id))
                .sum();
            let now = clock::monotonic_ms();
            if left < before {
                (before, waited_since) = (left, now);
            }
            let over = waited_since.saturating_add(END_WAITS);
            if left == 0 {
                return;
            }
            if now >= over {
                self.note(format_args!(
                    "{left} bytes of output were not written: the reader does not read"
                ));
                return;
            }
            let mut set = PollSet::default();
            self.push_full(&mut set);
            if set.wait(Some(Duration::from_millis(over - now))).is_err() {
                return;
            }
        }
    }

    /// How much output of a program waits for room.
    fn held_up(&mut self, id: u32) -> usize {
        if !self.is_held_up(id) {
            return 0;
        }
        let Some(program) = self.programs.get_mut(id) else {
            return 0;
        };
        let mut bytes = 0;
        for channel in &program.channels {
            bytes += channel.fifo().map_or(0, fifo::waiting);
            for number in channel.sinks() {
                let outlet = self.sinks.get(*number).and_then(|sink| sink.outlet());
                bytes += outlet.map_or(0, |outlet| outlet.waiting());
            }
        }
        bytes
    }

    /// A program is forgotten: says how much of its output has found no reader.
    pub(super) fn say_what_is_left(&mut self, id: u32) {
        let bytes = self.held_up(id);
        if bytes > 0 {
            self.note(format_args!(
                "{bytes} bytes of output of program {id} were lost: the reader does not read"
            ));
        }
    }

    /// Opens FIFOs that could not be opened.
    pub(super) fn see_to_fifos(&mut self) {
        if self
            .fifos_again
            .is_some_and(|at| at <= clock::monotonic_ms())
        {
            self.fifos_again = None;
            for id in self.programs.ids() {
                self.open_fifos(id, false);
            }
        }
    }

    pub(super) fn open_fifos(&mut self, id: u32, first: bool) {
        for which in 0..2 {
            let mut opened = self.channel((id, which)).map_or(Ok(()), Channel::open);
            while matches!(&opened, Err(e) if e.raw_os_error() == Some(libc::EMFILE)) {
                // What comes out of a FIFO needs a file to go to.
                if !self.sinks.close_one(1) {
                    break;
                }
                opened = self.channel((id, which)).map_or(Ok(()), Channel::open);
            }
            if let Err(e) = opened {
                let path = self.channel((id, which)).map(|c| c.path().to_owned());
                if let Some(path) = path.filter(|_| first) {
                    let why = Reason(&e);
                    self.note(format_args!("opening {}: {why}", path.display()));
                }
                self.fifos_again
                    .get_or_insert(clock::monotonic_ms() + FIFO_AGAIN);
            }
        }
    }
}
