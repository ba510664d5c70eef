//! Buffers for reading lines from a stream and writing to it.

use super::line::MAX_LINE;

/// Received bytes, until they are whole lines.
#[derive(Debug, Default)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// The offset of the first line that was not returned yet.
    start: usize,
    /// The offset up to which there is no LF after `start`.
    searched: usize,
}

/// A line is longer than [`MAX_LINE`].
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl LineBuffer {
    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start.min(self.bytes.len()));
        self.searched = self.searched.saturating_sub(self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, with its LF; `None` if there is none yet.
    ///
    /// # Errors
    /// The line is longer than [`MAX_LINE`].
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let from = self.searched.max(self.start);
        let unseen = self.bytes.get(from..).unwrap_or_default();
        match unseen.iter().position(|b| *b == b'\n') {
            Some(at) => {
                let end = from + at + 1;
                let start = std::mem::replace(&mut self.start, end);
                self.searched = end;
                if end - start > MAX_LINE {
                    return Err(TooLong);
                }
                Ok(self.bytes.get(start..end))
            }
            None => {
                self.searched = self.bytes.len();
                if self.bytes.len() - self.start >= MAX_LINE {
                    return Err(TooLong);
                }
                if self.start == self.bytes.len() {
                    self.forget();
                }
                Ok(None)
            }
        }
    }

    /// The bytes that were not returned yet.
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Whether a whole line is buffered.
    pub fn has_line(&self) -> bool {
        let from = self.searched.max(self.start);
        self.bytes.get(from..).unwrap_or_default().contains(&b'\n')
    }

    /// Removes and returns the bytes that were not returned yet: at the end of the stream, a last line without a LF.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.bytes.split_off(self.start.min(self.bytes.len()));
        self.forget();
        rest
    }

    /// Whether nothing is buffered.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Empties the buffer and frees its memory.
    fn forget(&mut self) {
        *self = LineBuffer::default();
    }
}

/// Bytes to send.
#[derive(Debug, Default)]
pub struct OutBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl OutBuffer {
    /// The end of the buffer, to append to.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The bytes that were not sent yet.
    pub fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Removes `n` sent bytes.
    pub fn sent(&mut self, n: usize) {
        self.start = self.start.saturating_add(n);
        if self.start >= self.bytes.len() {
            *self = OutBuffer::default();
        } else if self.start > (64 << 10) {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_whatever_pieces_arrive() {
        for step in 1..12 {
            let mut buffer = LineBuffer::default();
            let mut lines = Vec::new();
            for piece in b"one\ntwo\r\n\nthree".chunks(step) {
                buffer.push(piece);
                while let Some(line) = buffer.next_line().unwrap() {
                    lines.push(line.to_vec());
                }
            }
            assert_eq!(lines, [&b"one\n"[..], b"two\r\n", b"\n"]);
            assert_eq!(buffer.take_rest(), b"three");
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn no_byte_is_searched_twice() {
        let mut buffer = LineBuffer::default();
        for count in 1..10_000 {
            buffer.push(b"x");
            assert_eq!(buffer.next_line(), Ok(None));
            // The search continues where it ended, and nothing is moved.
            assert_eq!((buffer.searched, buffer.start), (count, 0));
            assert!(!buffer.has_line());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_an_error() {
        let mut buffer = LineBuffer::default();
        for _ in 0..MAX_LINE / 1024 - 1 {
            buffer.push(&[b'x'; 1024]);
            assert_eq!(buffer.next_line(), Ok(None));
        }
        buffer.push(&[b'x'; 1024]);
        assert_eq!(buffer.next_line(), Err(TooLong));
    }

    #[test]
    fn output_is_sent_in_pieces() {
        let mut out = OutBuffer::default();
        out.tail().extend_from_slice(b"hello");
        out.sent(2);
        assert_eq!(out.pending(), b"llo");
        out.tail().push(b'!');
        out.sent(4);
        assert_eq!(out.pending(), b"");
    }
}
