//! Scans the lines that wait in a FIFO, without reading them.

use std::os::fd::{BorrowedFd, OwnedFd};

use crate::sys::{bytes, fifo};

/// How much of what waits is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineScan {
    /// The bytes of the first line, if it is whole.
    pub first: usize,
    /// The bytes of whole lines.
    pub whole: usize,
    /// The bytes of whole characters.
    pub characters: usize,
    /// The bytes that were scanned.
    pub seen: usize,
}

impl LineScan {
    /// Scans the first `most` bytes in a FIFO. They pass through `scratch`, an empty pipe.
    pub fn of(fifo: BorrowedFd, scratch: &(OwnedFd, OwnedFd), most: usize) -> LineScan {
        let mut lines = LineScan::default();
        let mut end = Vec::new();
        fifo::look(fifo, scratch, most, |piece| {
            if let Some(at) = bytes::find_last(b'\n', piece) {
                if lines.first == 0 {
                    lines.first = lines.seen + bytes::find(b'\n', piece).unwrap_or(at) + 1;
                }
                lines.whole = lines.seen + at + 1;
            }
            lines.seen += piece.len();
            end.extend_from_slice(piece.get(piece.len().saturating_sub(3)..).unwrap_or(piece));
        });
        let partial = partial_character(&end);
        // A lone partial character is not waited for.
        lines.characters = if lines.seen > partial {
            lines.seen - partial
        } else {
            lines.seen
        };
        lines
    }
}

/// The bytes of a partial character at the end. Its first byte tells how many follow. RFC 3629, section 3
fn partial_character(end: &[u8]) -> usize {
    for (back, byte) in (1..4).zip(end.iter().rev()) {
        let length = match byte {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return 0,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;
    use std::os::fd::AsFd;

    #[test]
    fn no_character_is_split() {
        for (text, partial) in [
            (&b"abc"[..], 0),
            ("aé".as_bytes(), 0),
            (b"a\xc3", 1),
            (b"a\xe2\x82", 2),
            (b"\xf0\x9f\x98", 3),
            (b"\x82\x82\x82", 0),
            (b"a\xff", 0),
            (b"", 0),
        ] {
            assert_eq!(partial_character(text), partial, "{text:?}");
        }
    }

    #[test]
    fn whole_lines_are_counted_and_stay() {
        let (out, into) = fd::pipe().unwrap();
        let scratch = fd::pipe().unwrap();
        let waiting = || LineScan::of(out.as_fd(), &scratch, 1 << 18);
        for (text, whole) in [("ab", 0), ("c\nd", 4), ("e\n\n", 8), ("f", 8)] {
            fd::write(into.as_fd(), text.as_bytes()).unwrap();
            assert_eq!(waiting().whole, whole);
        }
        assert_eq!(waiting().first, 4);
        let long = vec![b'x'; 40_000];
        fd::write(into.as_fd(), &long).unwrap();
        assert_eq!((waiting().whole, waiting().seen), (8, 9 + long.len()));
    }
}
