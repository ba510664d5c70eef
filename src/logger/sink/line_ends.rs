//! Whose line it is that a log file ends with, where that has no end yet.

use super::{Sink, Tail};

impl Sink {
    /// Makes it ready for a line of a channel, or, where that may be, for the rest of one that the channel has begun here.
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
}
