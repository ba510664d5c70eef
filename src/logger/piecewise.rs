//! A stream whose file has a reader that may be slow, such as the daemon's own output: lines are read from the FIFO a
//! piece at a time, only when the file has room for them.

use super::channel::{Channel, MUCH, Mover};
use super::log_files::LogFiles;
use crate::sys::shared_output::AT_ONCE;
use crate::sys::{clock, fifo};

/// What is read of a partial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartialLine {
    /// Nothing, unless it is too long.
    Wait,
    /// What there is of it: nothing more came for a while.
    Show,
    /// All of it: no more will come.
    Final,
}

/// The result of a step.
enum Step {
    /// So many bytes were moved.
    Moved(usize),
    /// So many bytes of a partial line wait.
    Partial(usize),
    Nothing,
}

impl Channel {
    /// Whether one of its files has a reader that may be slow.
    pub(super) fn is_piecewise(&self, files: &LogFiles) -> bool {
        self.files().iter().any(|id| files.has_reader(*id))
    }

    /// Whether all of its files have room; else it waits for one of them.
    fn has_room(&mut self, files: &mut LogFiles) -> bool {
        let mut all = self.files().iter().copied();
        self.blocked_on = all.find(|id| files.is_full(*id));
        self.blocked_on.is_none()
    }

    /// Whether output of it waits for room in one of its files.
    pub(super) fn is_blocked(&self, files: &mut LogFiles) -> bool {
        let waits = self.waiting() > 0;
        self.files().iter().any(|id| {
            let full = files.is_full(*id);
            let writer = files.get(*id).and_then(|file| file.writer());
            full && (waits || writer.is_some_and(|writer| writer.waiting() > 0))
        })
    }

    /// Moves what there is room for, and returns the number of bytes.
    pub(super) fn drain_pieces(&mut self, partial: PartialLine, mover: &mut Mover) -> usize {
        let mut moved = 0;
        while moved < MUCH && self.has_room(mover.files) {
            match self.move_piece(partial, mover) {
                Step::Moved(length) => moved += length,
                Step::Partial(length) => {
                    self.wait_for_line_end(length, mover.notify);
                    break;
                }
                Step::Nothing => break,
            }
        }
        if moved > 0 {
            // The end of the last piece may have found no room.
            self.has_room(mover.files);
        }
        moved
    }

    fn move_piece(&mut self, partial: PartialLine, mover: &mut Mover) -> Step {
        let Some(fifo) = self.fifo() else {
            return Step::Nothing;
        };
        if !self.in_lines(mover.files) {
            return step(self.move_bytes(AT_ONCE, mover));
        }
        let head = mover.batch.peek(fifo, AT_ONCE);
        if head.is_empty() {
            return Step::Nothing;
        }
        let fits = self
            .format()
            .fits(head.as_slice().into(), clock::wall_ms(), AT_ONCE);
        if fits > 0 {
            return step(self.move_lines(fits, mover));
        }
        let (scan, waiting) = (mover.batch.scan_lines(fifo), fifo::waiting(fifo));
        if scan.first > 0 {
            // Longer than a piece: the writer holds the rest of it back, so that it stays one line.
            return step(self.move_lines(scan.first, mover));
        }
        match partial {
            PartialLine::Final if scan.seen >= waiting => {
                step(self.move_final_line(scan.seen, mover))
            }
            PartialLine::Wait if !self.is_too_long(scan.seen) => Step::Partial(scan.seen),
            _ => step(self.move_lines(scan.characters, mover)),
        }
    }
}

fn step(moved: usize) -> Step {
    match moved {
        0 => Step::Nothing,
        length => Step::Moved(length),
    }
}
