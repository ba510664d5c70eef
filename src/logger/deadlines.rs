//! What the log writer waits for besides output: room in files with a slow reader, the end of partial lines, FIFOs that
//! could not be opened.

use std::time::Duration;

use super::channel::{Channel, ChannelId};
use super::log_files::FileId;
use super::nonblocking::ABANDON_AFTER_MS;
use super::{Token, Writer};
use crate::error::Reason;
use crate::protocol::log_protocol::Report;
use crate::protocol::output::Stream;
use crate::sys::clock;
use crate::sys::poll::{Interest, PollSet};

/// How often it is checked whether a program waits for a reader that reads nothing. ms
const CHECK_READERS_MS: u64 = 5000;
/// How long the exit waits for a reader that reads nothing. ms
const EXIT_WAIT_MS: u64 = 3000;
/// How long until a FIFO that could not be opened is tried again. ms
const RETRY_FIFO_MS: u64 = 1000;

/// Programs whose output has to be written before the report.
pub struct PendingDrain {
    token: u64,
    ids: Vec<u32>,
    last: bool,
}

impl Writer<'_> {
    /// Writes what these programs have written so far, and reports when it is done.
    pub(super) fn start_drain(&mut self, ids: Vec<u32>, last: bool, token: u64) {
        self.drains.push(PendingDrain { token, ids, last });
        self.continue_drains();
    }

    /// Continues drains that waited for room.
    pub(super) fn continue_drains(&mut self) {
        for mut drain in std::mem::take(&mut self.drains) {
            drain.ids.retain(|id| {
                if drain.last {
                    self.drain(*id);
                } else {
                    self.drain_lines(*id);
                }
                self.is_blocked(*id)
            });
            if drain.ids.is_empty() {
                let (token, failure) = (drain.token, None);
                self.report(&Report::Done { token, failure });
            } else {
                self.drains.push(drain);
            }
        }
    }

    fn is_blocked(&mut self, id: u32) -> bool {
        let Some(program) = self.programs.get(id) else {
            return false;
        };
        let mut channels = program.channels.iter();
        channels.any(|channel| channel.is_blocked(&mut self.files))
    }

    /// Polls the files that channels wait for.
    pub(super) fn poll_blocked_files(&mut self, set: &mut PollSet<Token>) {
        let channels = self.programs.channels();
        let mut ids: Vec<FileId> = channels.filter_map(|channel| channel.blocked_on).collect();
        ids.extend(self.files.with_unwritten());
        ids.sort_unstable();
        ids.dedup();
        let write = Interest {
            read: false,
            write: true,
        };
        for id in ids {
            if let Some(writer) = self.files.get(id).and_then(|file| file.writer()) {
                set.push(writer.fd(), write, Token::Room(id));
            }
        }
    }

    /// Removes and returns the channels that wait for this file, the one first that was drained longest ago.
    pub(super) fn channels_blocked_on(&mut self, id: FileId) -> Vec<ChannelId> {
        let mut found = Vec::new();
        for channel in self.programs.channels_mut() {
            if channel.blocked_on == Some(id) {
                channel.blocked_on = None;
                found.push((channel.last_drained, channel.id()));
            }
        }
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// When [`Writer::handle_deadlines`] is due. monotonic ms
    pub(super) fn next_deadline(&mut self) -> Option<u64> {
        let mut next: Option<u64> = None;
        for channel in self.programs.channels() {
            let abandon = channel.blocked_on.and_then(|id| {
                let at = self.files.get(id)?.writer()?.abandon_at()?;
                Some(at.max(self.readers_checked + CHECK_READERS_MS))
            });
            next = next
                .into_iter()
                .chain(abandon)
                .chain(channel.show_at())
                .min();
        }
        next
    }

    /// Writes partial lines that nothing more has come of, and abandons readers that block programs.
    pub(super) fn handle_deadlines(&mut self) {
        let now = clock::monotonic_ms();
        let mut show = Vec::new();
        let mut blocked = Vec::new();
        for channel in self.programs.channels() {
            if channel.show_at().is_some_and(|at| at <= now) {
                show.push(channel.id());
            }
            if let Some(file) = channel.blocked_on {
                blocked.push((file, channel.pipe_is_full()));
            }
        }
        for id in show {
            self.with(id, Channel::show_partial);
        }
        for (id, pipe_is_full) in blocked {
            let Some(file) = self.files.get(id) else {
                continue;
            };
            let at = file.writer().and_then(|writer| writer.abandon_at());
            if at.is_some_and(|at| at <= now) {
                self.readers_checked = now;
                if pipe_is_full {
                    file.abandon_reader(ABANDON_AFTER_MS);
                }
            }
        }
        for channel in self.programs.channels_mut() {
            channel.blocked_on = channel.blocked_on.filter(|id| self.files.is_full(*id));
        }
    }

    /// A program has exited: ends the partial line that it left in its files, before its next run writes another. Where
    /// output waits in the FIFO, the line end is there.
    pub(super) fn end_partial_lines(&mut self, id: u32) {
        let Some(program) = self.programs.get_mut(id) else {
            return;
        };
        for channel in &mut program.channels {
            if channel.fifo().is_some() && channel.waiting() == 0 {
                channel.end_line(&mut self.files);
            }
        }
    }

    /// Before the exit, waits for readers that have not read all, as long as they read.
    pub(super) fn wait_for_readers(&mut self) {
        let mut since = clock::monotonic_ms();
        let mut before = usize::MAX;
        loop {
            for id in self.programs.ids() {
                self.drain_lines(id);
            }
            let ids = self.programs.ids().into_iter();
            let left: usize = ids.map(|id| self.blocked_bytes(id)).sum();
            let now = clock::monotonic_ms();
            if left < before {
                (before, since) = (left, now);
            }
            let over = since.saturating_add(EXIT_WAIT_MS);
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
            self.poll_blocked_files(&mut set);
            if set.wait(Some(Duration::from_millis(over - now))).is_err() {
                return;
            }
        }
    }

    /// The bytes of output of a program that wait for room.
    fn blocked_bytes(&mut self, id: u32) -> usize {
        if !self.is_blocked(id) {
            return 0;
        }
        let Some(program) = self.programs.get(id) else {
            return 0;
        };
        let mut bytes = 0;
        for channel in &program.channels {
            bytes += channel.waiting();
            for id in channel.files() {
                let writer = self.files.get(*id).and_then(|file| file.writer());
                bytes += writer.map_or(0, |writer| writer.waiting());
            }
        }
        bytes
    }

    /// Notes how much output of a program that is forgotten was not read.
    pub(super) fn note_unwritten(&mut self, id: u32) {
        let bytes = self.blocked_bytes(id);
        if bytes > 0 {
            self.note(format_args!(
                "{bytes} bytes of output of program {id} were lost: the reader does not read"
            ));
        }
    }

    /// Opens FIFOs that could not be opened before.
    pub(super) fn retry_fifos(&mut self) {
        if self
            .retry_fifos_at
            .is_some_and(|at| at <= clock::monotonic_ms())
        {
            self.retry_fifos_at = None;
            for id in self.programs.ids() {
                self.open_fifos(id, false);
            }
        }
    }

    /// Opens the FIFOs of a program. `first`: a failure is noted.
    pub(super) fn open_fifos(&mut self, program: u32, first: bool) {
        let records = self.home.records(program);
        for (stream, path) in Stream::BOTH.into_iter().zip([records.out(), records.err()]) {
            let id = ChannelId { program, stream };
            let opened = loop {
                let channel = self.programs.channel_mut(id);
                match channel.map_or(Ok(()), |channel| channel.open(&path)) {
                    // One file has to stay open for what comes out of a FIFO.
                    Err(e) if e.raw_os_error() == Some(libc::EMFILE) && self.files.close_one(1) => {
                    }
                    other => break other,
                }
            };
            if let Err(e) = opened {
                if first {
                    self.note(format_args!("opening {}: {}", path.display(), Reason(&e)));
                }
                self.retry_fifos_at
                    .get_or_insert(clock::monotonic_ms() + RETRY_FIFO_MS);
            }
        }
    }
}
