//! Finding bytes at the speed of the machine's own string functions. `memchr(3)`

/// The position of the first such byte.
pub fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    // SAFETY: the range is that of a slice, and only read.
    let found = unsafe { libc::memchr(bytes.as_ptr().cast(), i32::from(byte), bytes.len()) };
    offset(found, bytes)
}

/// The position of the last such byte.
pub fn find_last(byte: u8, bytes: &[u8]) -> Option<usize> {
    // SAFETY: the range is that of a slice, and only read.
    let found = unsafe { libc::memrchr(bytes.as_ptr().cast(), i32::from(byte), bytes.len()) };
    offset(found, bytes)
}

fn offset(found: *const libc::c_void, bytes: &[u8]) -> Option<usize> {
    let at = found.addr().checked_sub(bytes.as_ptr().addr())?;
    (!found.is_null()).then_some(at)
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
