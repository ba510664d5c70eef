//! Finding bytes at the speed of the machine's own string functions. `memchr(3)`

use super::raw_bytes::RawBytes;

/// The position of the first such byte.
pub fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    RawBytes::from(bytes).find(byte)
}

/// The position of the last such byte.
pub fn find_last(byte: u8, bytes: &[u8]) -> Option<usize> {
    RawBytes::from(bytes).find_last(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_are_found() {
        assert_eq!(
            (find(b'b', b"abcb"), find_last(b'b', b"abcb")),
            (Some(1), Some(3))
        );
        assert_eq!((find(b'x', b"abc"), find_last(b'x', b"")), (None, None));
    }
}
