//! Line ends in a log file: the stream that its partial last line belongs to, and lines that are not output.

use super::{LogFile, Tail};
use crate::logger::channel::ChannelId;

impl LogFile {
    /// Prepares it for a line of a channel, or, if `continues`, for the rest of the channel's partial line.
    pub fn begin_line(&mut self, channel: ChannelId, continues: bool) {
        if self.tail == Tail::Unknown && !self.is_shared() {
            self.tail = Tail::Of(channel);
        }
        let same_line = continues && self.tail == Tail::Of(channel);
        if self.tail != Tail::None && !same_line {
            let _ = self.write_line(b"\n");
        }
    }

    /// Whether it ends with a whole line.
    pub fn is_at_line_end(&self) -> bool {
        self.tail == Tail::None
    }

    /// Whether it ends with a partial line of the channel.
    pub fn has_line_of(&self, channel: ChannelId) -> bool {
        self.tail == Tail::Of(channel)
    }

    /// Ends the partial line of the channel: it will not be finished.
    pub fn end_line_of(&mut self, channel: ChannelId) {
        if self.tail == Tail::Unknown && !self.is_shared() {
            self.tail = Tail::Of(channel);
        }
        if self.has_line_of(channel) {
            let _ = self.write_line(b"\n");
        }
    }

    /// Writes a line that is not output of a program, wholly or not at all.
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

    /// Writes lines that are not output of a program, each wholly or not at all.
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
