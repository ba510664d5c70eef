//! One stream of one program: from its FIFO to its log files.
//!
//! Bytes go as they come where they have a file for themselves. Where lines are changed, or a file is shared, only whole
//! lines are taken out of the FIFO: the beginning of one waits there until it is whole, the program has ended, or it
//! has become too long. It is in no memory that a death could reach.

mod losses;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use super::batch::{self, Batch, Progress, Taken};
use super::dropped::Dropped;
use super::line_scan::Lines;
use super::lines::{Piece, Style};
use super::piecewise::Begun;
use super::sink::Sink;
use super::sinks::Sinks;
use crate::protocol::output::Loss;
use crate::sys::pipe_notify::Bell;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::{clock, fifo};

/// The pipe of a busy program is enlarged to this, in bytes: the most that an unprivileged user may have (pipe(7)).
const BUSY_PIPE: i32 = 1 << 20;
/// A read of so many bytes makes a program busy: half of what a pipe holds at first.
const BUSY_READ: usize = 32 << 10;
/// A batch of so many bytes, but less than much, is of a program that writes a lot in little pieces.
const MANY: usize = 4 << 10;
/// A batch of so many bytes is of a program that can fill its pipe before long.
pub const MUCH: usize = batch::SIZE / 4;
/// How long the first kind is left to gather more: the clock is that coarse. ms
const REST: u64 = 2;
/// The beginning of a line is shown when no more of it has come for so long. ms
const SHOWN_AFTER: u64 = 1000;
/// A line of so many bytes is not waited for any longer where the pipe is large.
const LONG_LINE: usize = batch::SIZE / 4 * 3;

/// Which stream of which program: 0 is standard output, 1 standard error.
pub type Name = (u32, usize);

/// A stream on its way to its files.
#[derive(Debug)]
pub struct Channel {
    name: Name,
    path: PathBuf,
    fifo: Option<OwnedFd>,
    style: Style,
    /// Its own file, and that of both streams.
    sinks: Vec<usize>,
    enlarged: bool,
    /// The beginning of a line waits in the FIFO, so many bytes: more has to come.
    held: Option<usize>,
    /// When the beginning of a line, of so many bytes, is shown if no more of it comes. monotonic ms
    shown: Option<(usize, u64)>,
    /// One of its files has no room, and it waits until that has.
    pub waits_for: Option<usize>,
    /// When it was last drained: the larger, the later.
    pub served: u64,
    /// Until when more is left to gather. monotonic ms
    rests_until: u64,
    /// What was dropped and is not said in the files yet.
    pub lost: Loss,
    /// What was dropped and is said in the files since this was last looked at.
    pub said: Vec<Loss>,
}

impl Channel {
    /// The stream that is drained from the FIFO at `path`, which is not open yet.
    pub fn new(name: Name, path: PathBuf, style: Style, sinks: Vec<usize>) -> Channel {
        Channel {
            name,
            path,
            fifo: None,
            style,
            sinks,
            enlarged: false,
            held: None,
            shown: None,
            waits_for: None,
            served: 0,
            rests_until: 0,
            lost: Loss::default(),
            said: Vec::new(),
        }
    }

    /// Opens the FIFO.
    pub fn open(&mut self) -> io::Result<()> {
        if self.fifo.is_none() {
            self.fifo = Some(fifo::open(&self.path)?);
            self.held = None;
        }
        Ok(())
    }

    /// Where the FIFO is.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The files that it ends in.
    pub fn sinks(&self) -> &[usize] {
        &self.sinks
    }

    /// The FIFO, where it is open.
    pub fn fifo(&self) -> Option<BorrowedFd<'_>> {
        self.fifo.as_ref().map(AsFd::as_fd)
    }

    /// What to poll for reading; none while more of a line has to come, or much comes in little pieces.
    pub fn to_poll(&self, now: u64) -> Option<BorrowedFd<'_>> {
        let full = self.waits_for.is_some();
        let waits = full || self.held.is_some() || self.rests(now).is_some();
        self.fifo().filter(|_| !waits)
    }

    /// Until when it is not polled, so that the next batch is larger: a writer who finds his pipe empty has to wake its
    /// reader each time. ms
    pub fn rests(&self, now: u64) -> Option<u64> {
        (self.rests_until > now).then_some(self.rests_until)
    }

    /// How its lines are written.
    pub fn style(&self) -> &Style {
        &self.style
    }

    pub(super) fn in_lines(&self, sinks: &Sinks) -> bool {
        self.style.changes_lines() || self.sinks.iter().any(|number| sinks.is_shared(*number))
    }

    /// Moves one batch of what waits; how many bytes it was.
    pub fn drain_some(&mut self, sinks: &mut Sinks, batch: &mut Batch, bell: &Bell) -> usize {
        let moved = self.drain_batch(Begun::Waits, sinks, batch, bell);
        self.served = sinks.count_use();
        self.rests_until = match moved {
            MANY..MUCH => clock::monotonic_ms() + REST,
            _ => 0,
        };
        moved
    }

    /// Shows what there is of a line that nothing more has come of for a while.
    pub fn show_begun(&mut self, sinks: &mut Sinks, batch: &mut Batch, bell: &Bell) {
        self.drain_batch(Begun::Shown, sinks, batch, bell);
    }

    fn drain_batch(
        &mut self,
        begun: Begun,
        sinks: &mut Sinks,
        batch: &mut Batch,
        bell: &Bell,
    ) -> usize {
        self.go_on(bell);
        if self.is_piecewise(sinks) {
            return self.drain_pieces(begun, sinks, batch, bell);
        }
        if !self.in_lines(sinks) {
            return self.move_batch(batch::SIZE, false, false, sinks, batch);
        }
        let Some(fifo) = self.fifo.as_ref() else {
            return 0;
        };
        let lines = batch.lines_waiting(fifo.as_fd());
        let moved = match lines.whole {
            0 if begun == Begun::Shown || self.is_too_long(lines.seen) => {
                self.move_batch(lines.characters, true, false, sinks, batch)
            }
            0 => 0,
            whole => self.move_batch(whole, true, false, sinks, batch),
        };
        if moved < lines.seen {
            self.hold(lines.seen - moved, bell);
        }
        moved
    }

    /// Whether the line that has been begun cannot be waited for: the program may not be able to finish it.
    pub(super) fn is_too_long(&mut self, waiting: usize) -> bool {
        if waiting >= BUSY_READ && !self.enlarged {
            self.enlarge();
        }
        let limit = match self.enlarged {
            true => LONG_LINE,
            false => BUSY_READ,
        };
        waiting >= limit || waiting > 0 && self.is_full()
    }

    fn enlarge(&mut self) {
        let grown = self.fifo().map(|fifo| fifo::grow(fifo, BUSY_PIPE));
        self.enlarged = matches!(grown, Some(Ok(_)));
    }

    /// Whether whoever prints has to wait.
    pub fn is_full(&self) -> bool {
        let mut set = PollSet::default();
        let write = Interest {
            read: false,
            write: true,
        };
        if let Some(fifo) = self.fifo() {
            set.push(fifo, write, ());
        }
        let looked = set.wait(Some(Duration::ZERO));
        looked.is_ok() && !set.ready().any(|(_, ready)| ready.writable)
    }

    /// Waits for more than these bytes of a line, without looking at them again and again.
    pub(super) fn hold(&mut self, bytes: usize, bell: &Bell) {
        if self.shown.is_none_or(|(before, _)| before != bytes) {
            self.shown = Some((bytes, clock::monotonic_ms() + SHOWN_AFTER));
        }
        let rings = self
            .fifo()
            .is_some_and(|fifo| bell.ring_at(fifo, true).is_ok());
        self.held = rings.then_some(bytes);
        // It may have come before the bell could ring.
        if self.has_more() {
            self.go_on(bell);
        }
    }

    /// When the beginning of the line that is waited for is shown. monotonic ms
    pub fn shown_at(&self) -> Option<u64> {
        self.held.and(self.shown).map(|(_, at)| at)
    }

    /// Whether more has come of a line that is waited for, or cannot come.
    pub fn has_more(&self) -> bool {
        let waiting = self.fifo().map(fifo::waiting);
        self.held
            .is_some_and(|held| waiting != Some(held) || self.is_full())
    }

    /// What waits is polled for again.
    pub fn go_on(&mut self, bell: &Bell) {
        if self.held.take().is_some() {
            let _ = self.fifo().map(|fifo| bell.ring_at(fifo, false));
        }
    }

    /// Moves all that waits now, but not the beginning of a line where lines are kept together.
    pub fn drain_lines(&mut self, sinks: &mut Sinks, batch: &mut Batch, bell: &Bell) {
        let mut left = self.fifo().map_or(0, fifo::waiting);
        while left > 0 {
            let moved = self.drain_some(sinks, batch, bell);
            if moved == 0 {
                break;
            }
            left = left.saturating_sub(moved);
        }
    }

    /// Moves all that waits now, the beginning of a line too: it is all that there will be of it. What is printed meanwhile
    /// may stay behind.
    pub fn drain(&mut self, sinks: &mut Sinks, batch: &mut Batch, bell: &Bell) {
        self.go_on(bell);
        let in_lines = self.in_lines(sinks);
        let mut left = self.fifo().map_or(0, fifo::waiting);
        if self.is_piecewise(sinks) {
            while left > 0 {
                match self.drain_pieces(Begun::Last, sinks, batch, bell) {
                    0 => break,
                    moved => left = left.saturating_sub(moved),
                }
            }
            if left == 0 {
                self.end_line(sinks);
            }
            return;
        }
        while left > 0 {
            let Some(fifo) = self.fifo.as_ref() else {
                break;
            };
            let lines = match in_lines {
                true => batch.lines_waiting(fifo.as_fd()),
                false => Lines::of(batch::SIZE),
            };
            let all = lines.seen >= fifo::waiting(fifo.as_fd());
            let moved = match lines.whole {
                0 if all => self.move_batch(lines.seen, in_lines, true, sinks, batch),
                0 => self.move_batch(lines.characters, in_lines, false, sinks, batch),
                whole => self.move_batch(whole, in_lines, false, sinks, batch),
            };
            if moved == 0 {
                break;
            }
            left = left.saturating_sub(moved);
        }
        self.end_line(sinks);
    }

    /// A line that is in the files and was begun by this stream will not be finished.
    pub fn end_line(&mut self, sinks: &mut Sinks) {
        for number in &self.sinks {
            let ends = self.style.changes_lines() || sinks.is_shared(*number);
            if let Some(sink) = sinks.get(*number).filter(|_| ends) {
                sink.end_line_of(self.name);
            }
        }
    }

    pub(super) fn move_batch(
        &mut self,
        length: usize,
        in_lines: bool,
        last: bool,
        sinks: &mut Sinks,
        batch: &mut Batch,
    ) -> usize {
        let Some(fifo) = &self.fifo else {
            return 0;
        };
        let wanted = Taken {
            channel: self.name,
            length,
            time: clock::wall_ms(),
            last,
            in_lines,
        };
        let Some(taken) = batch.take(fifo.as_fd(), wanted) else {
            return 0;
        };
        self.shown = None;
        if taken.length >= BUSY_READ && !self.enlarged {
            self.enlarge();
        }
        self.write(&taken, None, sinks, batch);
        taken.length
    }

    /// Writes a batch to the files, or the rest of one that another log writer has begun.
    pub fn write(
        &mut self,
        taken: &Taken,
        begun: Option<Progress>,
        sinks: &mut Sinks,
        batch: &Batch,
    ) {
        let whole = Piece {
            bytes: batch.bytes(taken.length),
            time: taken.time,
            last: taken.last,
            continues: false,
        };
        let name = self.name;
        let mut dropped = 0;
        for number in &self.sinks {
            let sink = sinks.get(*number);
            dropped += sink.map_or(0, |sink| std::mem::take(&mut sink.uncounted));
        }
        for (which, number) in self.sinks.iter().enumerate() {
            let here = begun.filter(|begun| begun.which == which);
            if begun.is_some_and(|begun| begun.which > which) {
                continue;
            }
            // What it had lost before it began with this file stands there already.
            if let Some(sink) = sinks.get(*number).filter(|_| here.is_some()) {
                sink.missing = Dropped::default();
            }
            let Some(sink) = ready(&self.style, &whole, *number, sinks) else {
                let mut length = 0;
                self.style
                    .write(&whole, 0, &mut |bytes| length += bytes.len() as u64);
                if let Some(sink) = sinks.get(*number) {
                    dropped += sink.missing.dropped(length);
                }
                continue;
            };
            if taken.in_lines && here.is_none() {
                sink.begin_line(name, self.style.continues_lines());
            }
            let from = here.map_or(0, |begun| sink.written(&begun));
            let continues = here.map_or(sink.has_line_of(name), |begun| begun.continues);
            let mut progress = sink.progress(which, continues, from);
            batch.writing(&progress);
            let piece = Piece { continues, ..whole };
            let mut lost = 0;
            self.style.write(&piece, from, &mut |bytes| {
                // What is missing is missing in one place.
                lost += match lost {
                    0 => sink.put(name, bytes, &mut progress, batch),
                    _ => sink.missing.dropped(bytes.len() as u64),
                };
            });
            dropped += lost;
        }
        batch.done();
        self.count(dropped, sinks);
    }
}

/// The file, once it is open and says what is missing in it; none where it takes nothing.
fn ready<'s>(
    style: &Style,
    piece: &Piece,
    number: usize,
    sinks: &'s mut Sinks,
) -> Option<&'s mut Sink> {
    let sink = sinks.ready(number)?;
    if sink.missing.loss().bytes > 0 {
        let text = sink.missing.notice();
        let said = Piece {
            bytes: text.as_bytes().into(),
            continues: false,
            ..*piece
        };
        let mut line = Vec::new();
        if !sink.is_at_line_end() {
            line.push(b'\n');
        }
        style.write(&said, 0, &mut |bytes| bytes.append_to(&mut line));
        if !sink.write_line(&line) {
            return None;
        }
        sink.has_said();
    }
    Some(sink)
}
