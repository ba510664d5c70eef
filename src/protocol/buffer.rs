//! Buffers between a stream and whole lines.

use super::line::MAX_LINE;

/// Bytes that came in, until they are lines.
#[derive(Debug, Default)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Where the first line that has not been taken begins.
    start: usize,
    /// Up to where no LF was found yet.
    searched: usize,
}

/// A line is longer than [`MAX_LINE`].
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl LineBuffer {
    /// Adds bytes that came in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start.min(self.bytes.len()));
        self.searched = self.searched.saturating_sub(self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, its LF included.
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

    /// What has come in and was not taken.
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Whether a whole line is there.
    pub fn has_line(&self) -> bool {
        let from = self.searched.max(self.start);
        self.bytes.get(from..).unwrap_or_default().contains(&b'\n')
    }

    /// What is left without a LF when the stream has ended: a last line, if it is not empty.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.bytes.split_off(self.start.min(self.bytes.len()));
        self.forget();
        rest
    }

    /// Whether nothing is buffered.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Gives the memory of a long line back as well.
    fn forget(&mut self) {
        *self = LineBuffer::default();
    }
}

/// Bytes that wait to go out.
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

    /// What has not gone out yet.
    pub fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Notes that `n` bytes went out.
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
    fn lines_come_out_whole_however_they_came_in() {
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
    fn no_byte_is_looked_at_twice_however_slowly_a_line_comes() {
        let mut buffer = LineBuffer::default();
        for count in 1..10_000 {
            buffer.push(b"x");
            assert_eq!(buffer.next_line(), Ok(None));
            // What is searched is behind what has been, and nothing is moved.
            assert_eq!((buffer.searched, buffer.start), (count, 0));
            assert!(!buffer.has_line());
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut buffer = LineBuffer::default();
        for _ in 0..MAX_LINE / 1024 - 1 {
            buffer.push(&[b'x'; 1024]);
            assert_eq!(buffer.next_line(), Ok(None));
        }
        buffer.push(&[b'x'; 1024]);
        assert_eq!(buffer.next_line(), Err(TooLong));
    }

    #[test]
    fn output_goes_out_in_pieces() {
        let mut out = OutBuffer::default();
        out.tail().extend_from_slice(b"hello");
        out.sent(2);
        assert_eq!(out.pending(), b"llo");
        out.tail().push(b'!');
        out.sent(4);
        assert_eq!(out.pending(), b"");
    }
}
