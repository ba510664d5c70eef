//! The lines of one log file on their way to standard output.

use std::borrow::Cow;

use super::line::{Own, Reader, Stamp};
use super::printer::Printer;
use super::track::{News, Track};
use super::view::View;
use crate::client::display::output::{self, Look, Tint};
use crate::error::{Error, Result};

/// A line is held until it has its end, but not more than so much of it, in bytes.
pub const LONGEST: usize = 1 << 20;

/// What a file has of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Kind {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Out => "out",
            Kind::Err => "err",
        }
    }

    /// The one that a word means.
    pub fn of_word(word: &[u8]) -> Option<Kind> {
        let mut both = [Kind::Out, Kind::Err].into_iter();
        both.find(|kind| kind.word().as_bytes() == word)
    }
}

/// Whose lines they are.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The program's number; none of the daemons.
    pub id: Option<u32>,
    /// Its name, made harmless.
    pub name: String,
    /// Which of its outputs.
    pub kind: Kind,
    /// What stands before each line.
    pub prefix: Vec<u8>,
    /// To how many characters the label is padded in it.
    pub width: usize,
    /// The program is not in the list any more.
    pub has_gone: bool,
}

impl Origin {
    /// What the lines are known by.
    pub fn label(&self) -> String {
        match self.id {
            Some(id) => format!("{id}|{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Makes what stands before each line, the label padded to so many characters.
    pub fn align(&mut self, width: usize, look: Look) {
        self.width = width;
        let label = self.label();
        let (colour, plain) = (look.one_of_many(self.id.unwrap_or(0)), look.plain());
        let bar = match self.kind {
            Kind::Out => plain,
            Kind::Err => look.tint(Tint::Bad),
        };
        // First an end to what a program has left open.
        self.prefix = format!("{plain}{colour}{label:<width$} {bar}|{plain} ").into_bytes();
    }

    /// The same for a line that says of itself whose it is.
    pub fn of_line(&self, own: Option<&Own>, look: Look) -> Cow<'_, Origin> {
        let Some(own) = own else {
            return Cow::Borrowed(self);
        };
        let id = own.id.or(self.id);
        let name = own.name.as_ref().unwrap_or(&self.name);
        let kind = own.kind.unwrap_or(self.kind);
        if (id, name, kind) == (self.id, &self.name, self.kind) {
            return Cow::Borrowed(self);
        }
        let (width, name) = (self.width, name.clone());
        let mut other = Origin {
            id,
            name,
            kind,
            ..self.clone()
        };
        if !self.prefix.is_empty() {
            other.align(width, look);
        }
        Cow::Owned(other)
    }
}

/// A log file.
pub struct Stream {
    /// Where its bytes come from.
    pub track: Track,
    /// Whose they are.
    pub origin: Origin,
    reader: Reader,
    /// A line without its end, or what of it has not been shown.
    held: Vec<u8>,
    /// Since when, on a clock that never steps, in ms.
    held_since: u64,
    /// The time of the last line that told one, and how it stood there.
    last: Option<u64>,
    last_stamp: Vec<u8>,
    /// It could not be read at the last look.
    pub is_broken: bool,
}

impl Stream {
    /// The lines of a file.
    pub fn new(track: Track, origin: Origin, stamp: Stamp) -> Stream {
        Stream {
            track,
            origin,
            reader: Reader::new(stamp),
            held: Vec::new(),
            held_since: 0,
            last: None,
            last_stamp: Vec::new(),
            is_broken: false,
        }
    }

    /// What takes its lines apart.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Whether its lines tell when they were written.
    pub fn is_stamped(&self) -> bool {
        self.reader.stamp().tells()
    }

    /// It could not be read. That is said, where it is news.
    pub fn fail(&mut self, error: Error) {
        if !std::mem::replace(&mut self.is_broken, true) {
            output::complain(error);
        }
    }

    /// Whether not all of its lines may be shown.
    pub fn chooses(&self, view: &View) -> bool {
        let says = matches!(self.reader.stamp(), Stamp::Json(_));
        view.chooses() || (view.only.is_some() && says)
    }

    /// Whether nothing of its lines needs to be known.
    fn takes_all(&self, view: &View) -> bool {
        view.takes_all() && !self.chooses(view)
    }

    /// What comes next belongs to a line that was written then, unless it tells something else.
    pub fn go_on_from(&mut self, time: Option<u64>) {
        self.last = time;
        self.last_stamp.clear();
    }

    /// Its lines tell it so from now on.
    pub fn set_stamp(&mut self, stamp: Stamp) {
        if *self.reader.stamp() != stamp {
            self.reader = Reader::new(stamp);
        }
    }

    /// Prints what is new. It is stream number `of`; `now` is the time on the wall, in ms, and on a clock that never
    /// steps.
    pub fn catch_up(&mut self, of: usize, now: Now, to: &mut Printer, view: &View) -> Result<()> {
        // Apart from the rest of the stream, which takes what it reads.
        let mut track = std::mem::replace(&mut self.track, Track::new(Default::default()));
        let done = track.catch_up(&mut |news| match news {
            News::Bytes(bytes) => self.take(of, bytes, Some(now), to, view),
            News::Cut => self.end_line(of, Some(now), to, view),
            News::Lost => {
                to.flush()?;
                output::complain(format!(
                    "some lines of {} were rotated away before they could be printed",
                    self.origin.name
                ));
                Ok(())
            }
        });
        self.track = track;
        done
    }

    /// Prints the lines that end in these bytes. `now`: they have just been written, and tell themselves at most of
    /// that.
    pub fn take(
        &mut self,
        of: usize,
        bytes: &[u8],
        now: Option<Now>,
        to: &mut Printer,
        view: &View,
    ) -> Result<()> {
        let mut rest = bytes;
        if view.copies() && self.takes_all(view) && self.held.is_empty() {
            // Nothing is put before the lines: all that end are one piece.
            let ended = rest
                .iter()
                .rposition(|b| *b == b'\n')
                .map_or(0, |at| at + 1);
            let (lines, begun) = rest.split_at(ended);
            to.copy(of, lines);
            rest = begun;
        }
        while let Some(at) = rest.iter().position(|b| *b == b'\n') {
            let (line, behind) = rest.split_at(at);
            match self.held.is_empty() {
                true => self.line(of, line, now, to, view),
                false => {
                    let mut held = std::mem::take(&mut self.held);
                    held.extend_from_slice(line);
                    self.line(of, &held, now, to, view);
                    // The memory is kept, but that of a very long line.
                    if held.capacity() < LONGEST {
                        held.clear();
                        self.held = held;
                    }
                }
            }
            rest = behind.get(1..).unwrap_or_default();
            to.flush_when_full()?;
        }
        if !rest.is_empty() {
            if self.held.is_empty() {
                self.held_since = now.map_or(0, |now| now.monotonic);
            }
            self.held.extend_from_slice(rest);
            if self.held.len() >= LONGEST {
                if self.takes_all(view) {
                    self.show_begun(of, to, view);
                } else {
                    let held = std::mem::take(&mut self.held);
                    self.piece(of, &held, true, now, to, view);
                }
            }
        }
        to.flush()
    }

    /// Since when something is held that could be shown already.
    pub fn begun_since(&self, view: &View) -> Option<u64> {
        (self.takes_all(view) && !self.held.is_empty()).then_some(self.held_since)
    }

    /// Shows what there is of a line without end. What comes next goes on where this ends.
    pub fn show_begun(&mut self, of: usize, to: &mut Printer, view: &View) {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() && to.begin(of) {
            to.out.extend_from_slice(&self.origin.prefix);
        }
        view.write_text(&held, &mut to.out);
    }

    /// The line that was begun has its end here.
    pub fn end_line(
        &mut self,
        of: usize,
        now: Option<Now>,
        to: &mut Printer,
        view: &View,
    ) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() || to.is_in_line_of(of) {
            self.line(of, &held, now, to, view);
        }
        to.flush()
    }

    /// Prints one line, without its LF.
    fn line(&mut self, of: usize, line: &[u8], now: Option<Now>, to: &mut Printer, view: &View) {
        self.piece(of, line, false, now, to, view);
    }

    /// Prints a line, or where `is_partial` what of it has come.
    fn piece(
        &mut self,
        of: usize,
        line: &[u8],
        is_partial: bool,
        now: Option<Now>,
        to: &mut Printer,
        view: &View,
    ) {
        if self.takes_all(view) {
            if to.begin(of) {
                to.out.extend_from_slice(&self.origin.prefix);
            }
            view.write_text(line, &mut to.out);
            to.end_line();
            return;
        }
        let mut parts = self.reader.split(line);
        parts.is_partial = is_partial;
        let time = if !self.reader.stamp().tells() {
            parts.time.or(now.map(|now| now.wall))
        } else if parts.time.is_some() {
            self.last_stamp.clear();
            self.last_stamp.extend_from_slice(&parts.stamp);
            self.last = parts.time;
            self.last
        } else {
            // A line that does not tell belongs to the one before it.
            parts.stamp = self.last_stamp.as_slice().into();
            self.last
        };
        if view.wants(time, &parts) {
            to.begin(of);
            view.write(&self.origin, line, &parts, time, &mut to.out);
            to.is_at_begin();
        }
    }

    /// Prints one line of what was written before now; `line` is without its LF.
    pub fn print_past(
        &mut self,
        of: usize,
        line: &[u8],
        to: &mut Printer,
        view: &View,
    ) -> Result<()> {
        self.line(of, line, None, to, view);
        to.flush_when_full()
    }
}

/// This moment, in ms.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Since the epoch.
    pub wall: u64,
    /// On a clock that never steps.
    pub monotonic: u64,
}

impl Now {
    /// What the clocks say.
    pub fn read() -> Now {
        Now {
            wall: crate::sys::clock::wall_ms(),
            monotonic: crate::sys::clock::monotonic_ms(),
        }
    }
}

#[cfg(test)]
mod tests;
