//! The lines of one log file on their way to standard output.

use super::line::{Reader, Stamp};
use super::printer::Printer;
use super::source::Source;
use super::tail::{Piece, Tail};
use super::view::View;
use crate::client::display::output;
use crate::error::{Error, Result};
use crate::sys::clock;

/// A line is held until its LF comes, but no more of it than this, in bytes.
pub const LONGEST: usize = 1 << 20;

/// A log file and its lines.
pub struct Stream {
    /// Its bytes.
    pub tail: Tail,
    /// Where they come from.
    pub source: Source,
    reader: Reader,
    /// The part of a line without LF that was not shown.
    held: Vec<u8>,
    /// Since when, on the monotonic clock, in ms.
    held_since: u64,
    /// The time of the last line that has one, and the same as text.
    last: Option<u64>,
    last_stamp: Vec<u8>,
    /// It could not be read at the last attempt.
    pub is_broken: bool,
}

/// The present, in ms.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Since the epoch.
    pub wall: u64,
    /// On the monotonic clock.
    pub monotonic: u64,
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Now {
        Now {
            wall: clock::wall_ms(),
            monotonic: clock::monotonic_ms(),
        }
    }
}

impl Stream {
    /// The lines of a file.
    pub fn new(tail: Tail, source: Source, stamp: Stamp) -> Stream {
        Stream {
            tail,
            source,
            reader: Reader::new(stamp),
            held: Vec::new(),
            held_since: 0,
            last: None,
            last_stamp: Vec::new(),
            is_broken: false,
        }
    }

    /// Splits its lines.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Whether its lines have times.
    pub fn has_times(&self) -> bool {
        self.reader.stamp().has_times()
    }

    /// Changes how its lines carry their times.
    pub fn set_stamp(&mut self, stamp: Stamp) {
        if *self.reader.stamp() != stamp {
            self.reader = Reader::new(stamp);
        }
    }

    /// The next lines belong to a line of this time, until one has a time of its own.
    pub fn set_last_time(&mut self, time: Option<u64>) {
        self.last = time;
        self.last_stamp.clear();
    }

    /// It could not be read. Complains, unless that was so before.
    pub fn fail(&mut self, error: Error) {
        if !std::mem::replace(&mut self.is_broken, true) {
            output::complain(error);
        }
    }

    /// Whether not all of its lines are shown.
    pub fn selects(&self, view: &View) -> bool {
        let names_output = matches!(self.reader.stamp(), Stamp::Json(_));
        view.selects() || (view.only.is_some() && names_output)
    }

    /// Whether its lines are shown unseen: all of them, as they are in the file.
    fn is_unseen(&self, view: &View) -> bool {
        view.is_stored() && !self.selects(view)
    }

    /// Prints what is new of the file, which has this number.
    pub fn read_new(
        &mut self,
        number: usize,
        now: Now,
        to: &mut Printer,
        view: &View,
    ) -> Result<()> {
        // Apart from the rest, which takes what it reads.
        let mut tail = std::mem::replace(&mut self.tail, Tail::new(Default::default()));
        let done = tail.read_new(&mut |piece| match piece {
            Piece::Bytes(bytes) => self.take(number, bytes, Some(now), to, view),
            Piece::Break => self.end_line(number, Some(now), to, view),
            Piece::Dropped => {
                to.flush()?;
                output::complain(format!(
                    "some lines of {} were rotated away before they could be printed",
                    self.source.name
                ));
                Ok(())
            }
        });
        self.tail = tail;
        done
    }

    /// Prints the lines that end in these bytes. With `now` they were written just now, which is the time of lines in a
    /// file without times.
    pub fn take(
        &mut self,
        number: usize,
        bytes: &[u8],
        now: Option<Now>,
        to: &mut Printer,
        view: &View,
    ) -> Result<()> {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|b| *b == b'\n') {
            let (line, behind) = rest.split_at(at);
            if self.held.is_empty() {
                self.print_line(number, line, now, to, view);
            } else {
                self.held.extend_from_slice(line);
                let held = std::mem::take(&mut self.held);
                self.print_line(number, &held, now, to, view);
            }
            rest = behind.get(1..).unwrap_or_default();
            to.flush_when_full()?;
        }
        if self.held.is_empty() {
            self.held_since = now.map_or(0, |now| now.monotonic);
        }
        self.held.extend_from_slice(rest);
        if self.held.len() >= LONGEST {
            if self.is_unseen(view) {
                self.show_begun(number, to, view);
            } else {
                let held = std::mem::take(&mut self.held);
                self.print_part(number, &held, true, now, to, view);
            }
        }
        to.flush()
    }

    /// Since when a part of a line is held that could be shown.
    pub fn begun_since(&self, view: &View) -> Option<u64> {
        (self.is_unseen(view) && !self.held.is_empty()).then_some(self.held_since)
    }

    /// Shows the part of a line that is held. What comes next continues the line.
    pub fn show_begun(&mut self, number: usize, to: &mut Printer, view: &View) {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            self.write_stored(number, &held, to, view);
        }
    }

    /// Ends the line that is held or was begun.
    pub fn end_line(
        &mut self,
        number: usize,
        now: Option<Now>,
        to: &mut Printer,
        view: &View,
    ) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() || to.is_in_line_of(number) {
            self.print_line(number, &held, now, to, view);
        }
        to.flush()
    }

    /// Prints a line, without its LF.
    pub fn print_line(
        &mut self,
        number: usize,
        line: &[u8],
        now: Option<Now>,
        to: &mut Printer,
        view: &View,
    ) {
        if self.is_unseen(view) {
            self.write_stored(number, line, to, view);
            to.end_line();
        } else {
            self.print_part(number, line, false, now, to, view);
        }
    }

    fn write_stored(&self, number: usize, text: &[u8], to: &mut Printer, view: &View) {
        if to.begin(number) {
            to.out.extend_from_slice(&self.source.prefix);
        }
        view.write_text(text, &mut to.out);
    }

    /// Prints a line, or where it `is_partial` its first part, as the view has it.
    fn print_part(
        &mut self,
        number: usize,
        line: &[u8],
        is_partial: bool,
        now: Option<Now>,
        to: &mut Printer,
        view: &View,
    ) {
        let mut parts = self.reader.split(line);
        parts.is_partial = is_partial;
        if !self.reader.stamp().has_times() {
            parts.time = parts.time.or(now.map(|now| now.wall));
        } else if parts.time.is_some() {
            self.last_stamp.clear();
            self.last_stamp.extend_from_slice(&parts.stamp);
            self.last = parts.time;
        } else {
            // A line without a time belongs to the one before it.
            parts.stamp = self.last_stamp.as_slice().into();
            parts.time = self.last;
        }
        if view.is_in_time(parts.time) && view.matches(&parts) {
            to.begin(number);
            view.write(&self.source, line, &parts, &mut to.out);
            to.end_line();
        }
    }
}

#[cfg(test)]
mod tests;
