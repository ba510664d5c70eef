//! A stream whose file has a reader that may be slow, such as the daemon's own output: lines are read from the FIFO a
//! piece at a time, only when the file has room for them.

use super::batch::Batch;
use super::channel::{Channel, MUCH};
use super::sinks::Sinks;
use crate::sys::pipe_notify::Bell;
use crate::sys::shared_output::AT_ONCE;
use crate::sys::{clock, fifo};

/// What is taken of a line that is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// Nothing, unless it is too long to be waited for.
    Waits,
    /// What there is of it: nothing more came for a while.
    Shown,
    /// All of it: there will be no more.
    Last,
}

/// What came of the next piece.
enum Piece {
    Moved(usize),
    /// So many bytes wait of a line that is not whole.
    Begun(usize),
    Nothing,
}

impl Channel {
    /// Whether one of its files has a reader who may be slow.
    pub(super) fn is_piecewise(&self, sinks: &Sinks) -> bool {
        self.sinks().iter().any(|number| sinks.has_reader(*number))
    }

    /// Whether all of its files take something now, else it waits for one of them.
    fn has_room(&mut self, sinks: &mut Sinks) -> bool {
        let full = self.sinks().iter().copied();
        self.waits_for = full.into_iter().find(|number| sinks.is_full(*number));
        self.waits_for.is_none()
    }

    /// Whether something of it waits for room in one of its files.
    pub(super) fn is_held_up(&mut self, sinks: &mut Sinks) -> bool {
        let waits = self.fifo().is_some_and(|fifo| fifo::waiting(fifo) > 0);
        let numbers = self.sinks().to_vec();
        numbers.into_iter().any(|number| {
            let full = sinks.is_full(number);
            let outlet = sinks.get(number).and_then(|sink| sink.outlet());
            full && (waits || outlet.is_some_and(|outlet| outlet.waiting() > 0))
        })
    }

    /// Moves what there is room for; how many bytes it was.
    pub(super) fn drain_pieces(
        &mut self,
        begun: Begun,
        sinks: &mut Sinks,
        batch: &mut Batch,
        bell: &Bell,
    ) -> usize {
        let mut moved = 0;
        while moved < MUCH && self.has_room(sinks) {
            match self.move_piece(begun, sinks, batch) {
                Piece::Moved(length) => moved += length,
                Piece::Begun(length) => {
                    self.hold(length, bell);
                    break;
                }
                Piece::Nothing => break,
            }
        }
        if moved > 0 {
            // What the last of it has left there waits for room.
            self.has_room(sinks);
        }
        moved
    }

    fn move_piece(&mut self, begun: Begun, sinks: &mut Sinks, batch: &mut Batch) -> Piece {
        let Some(fifo) = self.fifo() else {
            return Piece::Nothing;
        };
        if !self.in_lines(sinks) {
            // Bytes go as they come.
            return match self.move_batch(AT_ONCE, false, false, sinks, batch) {
                0 => Piece::Nothing,
                length => Piece::Moved(length),
            };
        }
        let head = batch.head(fifo, AT_ONCE);
        if head.is_empty() {
            return Piece::Nothing;
        }
        let fits = self
            .style()
            .fits(head.as_slice().into(), clock::wall_ms(), AT_ONCE);
        if fits > 0 {
            return self.moved(fits, false, sinks, batch);
        }
        let Some(fifo) = self.fifo() else {
            return Piece::Nothing;
        };
        let (lines, waiting) = (batch.lines_waiting(fifo), fifo::waiting(fifo));
        if lines.first > 0 {
            // Longer than a piece: the rest of it waits at the outlet, so that it stays one line.
            return self.moved(lines.first, false, sinks, batch);
        }
        match begun {
            Begun::Last if lines.seen >= waiting => self.moved(lines.seen, true, sinks, batch),
            Begun::Waits if !self.is_too_long(lines.seen) => Piece::Begun(lines.seen),
            _ => self.moved(lines.characters, false, sinks, batch),
        }
    }

    fn moved(&mut self, length: usize, last: bool, sinks: &mut Sinks, batch: &mut Batch) -> Piece {
        match self.move_batch(length, true, last, sinks, batch) {
            0 => Piece::Nothing,
            length => Piece::Moved(length),
        }
    }
}
