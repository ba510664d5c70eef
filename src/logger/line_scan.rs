//! Lines that wait in a FIFO: how much of them is whole.

use std::os::fd::{BorrowedFd, OwnedFd};

use crate::sys::{bytes, fifo};

/// What there is to see of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lines {
    /// How many bytes are the first whole line.
    pub first: usize,
    /// How many bytes are whole lines.
    pub whole: usize,
    /// How many end with a character.
    pub characters: usize,
    /// How many could be seen at all.
    pub seen: usize,
}

impl Lines {
    /// Those that wait, as far as they are within the first so many bytes. They pass through `scratch`, an empty pipe.
    pub fn waiting(fifo: BorrowedFd, scratch: &(OwnedFd, OwnedFd), most: usize) -> Lines {
        let mut lines = Lines::default();
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
        lines.characters = match lines.seen - begun_character(&end) {
            0 => lines.seen,
            characters => characters,
        };
        lines
    }

    /// So many bytes, whatever they are.
    pub fn of(bytes: usize) -> Lines {
        Lines {
            first: bytes,
            whole: bytes,
            characters: bytes,
            seen: bytes,
        }
    }
}

/// How many bytes at the end are the beginning of a character. Its first byte says how many follow. RFC 3629, section 3
fn begun_character(end: &[u8]) -> usize {
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
    fn no_character_is_cut_that_is_one() {
        for (text, begun) in [
            (&b"abc"[..], 0),
            ("aé".as_bytes(), 0),
            (b"a\xc3", 1),
            (b"a\xe2\x82", 2),
            (b"\xf0\x9f\x98", 3),
            (b"\x82\x82\x82", 0),
            (b"a\xff", 0),
            (b"", 0),
        ] {
            assert_eq!(begun_character(text), begun, "{text:?}");
        }
    }

    #[test]
    fn whole_lines_are_counted_without_being_taken() {
        let (out, into) = fd::pipe().unwrap();
        let scratch = fd::pipe().unwrap();
        let waiting = || Lines::waiting(out.as_fd(), &scratch, 1 << 18);
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
