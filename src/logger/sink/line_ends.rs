//! Line ends in a log file: which stream its unfinished last line belongs to, and lines that are not output.

use super::{Sink, Tail};

impl Sink {
    /// Makes it ready for a line of a channel, or, where that may be, for the rest of one that the channel has begun
    /// here.
    pub fn begin_line(&mut self, channel: (u32, usize), continues: bool) {
        if self.tail == Tail::Unknown && !self.is_shared() {
            self.tail = Tail::Of(channel);
        }
        let goes_on = continues && self.tail == Tail::Of(channel);
        if self.tail != Tail::None && !goes_on {
            let _ = self.write_line(b"\n");
        }
    }

    /// Whether it does not end within a line.
    pub fn is_at_line_end(&self) -> bool {
        self.tail == Tail::None
    }

    /// Whether the channel has begun a line here that has no end yet.
    pub fn has_line_of(&self, channel: (u32, usize)) -> bool {
        self.tail == Tail::Of(channel)
    }

    /// A line that the channel has begun here will not be finished.
    pub fn end_line_of(&mut self, channel: (u32, usize)) {
        if self.tail == Tail::Unknown && !self.is_shared() {
            self.tail = Tail::Of(channel);
        }
        if self.has_line_of(channel) {
            let _ = self.write_line(b"\n");
        }
    }

    /// Writes a line that is no output of a program, wholly or not at all.
    pub fn write_line(&mut self, line: &[u8]) -> bool {
        let before = self.size;
        let done = self.append(line.into());
        if done.is_err() {
            if let Some(file) = self.file.as_ref().filter(|_| self.regular) {
                let _ = file.set_len(before);
            }
            self.size = before;
            return false;
        }
        self.tail = Tail::None;
        true
    }

    /// Writes lines that are no output of a program, each wholly or not at all.
    pub fn write_lines(&mut self, lines: &[u8]) {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let full = self.size + line.len() as u64 > self.max_size && self.size > 0;
            if full && self.may_rotate() {
                let _ = self.rotate();
            }
            self.write_line(line);
        }
    }
}
