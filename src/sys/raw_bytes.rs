//! Bytes that another process may change at any time. No reference to them is ever made: they are passed to system
//! calls by their address, searched and copied.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check_size;

/// A run of bytes in memory that is mapped at least as long as `'a`.
#[derive(Debug, Clone, Copy)]
pub struct RawBytes<'a> {
    start: *const u8,
    length: usize,
    memory: PhantomData<&'a ()>,
}

impl<'a> From<&'a [u8]> for RawBytes<'a> {
    fn from(bytes: &'a [u8]) -> RawBytes<'a> {
        RawBytes {
            start: bytes.as_ptr(),
            length: bytes.len(),
            memory: PhantomData,
        }
    }
}

impl<'a> RawBytes<'a> {
    /// The `length` bytes at `start`.
    ///
    /// # Safety
    ///
    /// They are mapped for reading during `'a`, and this process writes to none of them during `'a`.
    pub unsafe fn new(start: *const u8, length: usize) -> RawBytes<'a> {
        RawBytes {
            start,
            length,
            memory: PhantomData,
        }
    }

    /// The number of bytes.
    pub fn len(self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.length == 0
    }

    /// The first `at` bytes, and the rest; all of them and none where there are fewer.
    pub fn split_at(self, at: usize) -> (RawBytes<'a>, RawBytes<'a>) {
        let at = at.min(self.length);
        let part = |start, length| RawBytes {
            start,
            length,
            ..self
        };
        let rest = self.start.wrapping_add(at);
        (part(self.start, at), part(rest, self.length - at))
    }

    /// The position of the first `byte`. `memchr(3)`
    pub fn find(self, byte: u8) -> Option<usize> {
        // SAFETY: so many bytes are mapped for reading; C code reads them.
        let found = unsafe { libc::memchr(self.start.cast(), i32::from(byte), self.length) };
        self.offset(found)
    }

    /// The position of the last `byte`. `memrchr(3)`
    pub fn find_last(self, byte: u8) -> Option<usize> {
        // SAFETY: as in `find`.
        let found = unsafe { libc::memrchr(self.start.cast(), i32::from(byte), self.length) };
        self.offset(found)
    }

    fn offset(self, found: *const libc::c_void) -> Option<usize> {
        let at = found.addr().checked_sub(self.start.addr())?;
        (!found.is_null()).then_some(at)
    }

    /// The last byte.
    pub fn last(self) -> Option<u8> {
        let last = self.length.checked_sub(1)?;
        // SAFETY: the byte is mapped for reading. The read is volatile as another process may write to it.
        Some(unsafe { self.start.add(last).read_volatile() })
    }

    /// Appends a copy to a buffer.
    pub fn append_to(self, buffer: &mut Vec<u8>) {
        let before = buffer.len();
        buffer.reserve(self.length);
        // SAFETY: so many bytes are mapped for reading, and so many were reserved in the buffer, which is other memory.
        // C code copies them; if another process writes meanwhile, the copy holds some mixture of bytes.
        unsafe {
            let end = buffer.as_mut_ptr().add(before);
            libc::memcpy(end.cast(), self.start.cast(), self.length);
            buffer.set_len(before + self.length);
        }
    }

    /// A copy.
    pub fn to_vec(self) -> Vec<u8> {
        let mut copy = Vec::new();
        self.append_to(&mut copy);
        copy
    }

    /// Writes them once to a descriptor; returns how many were written. `write(2)`
    pub fn write_to(self, fd: BorrowedFd) -> io::Result<usize> {
        loop {
            // SAFETY: so many bytes are mapped for reading, and the kernel only reads them.
            let n = unsafe { libc::write(fd.as_raw_fd(), self.start.cast(), self.length) };
            match check_size(n) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;
    use std::os::fd::AsFd;

    #[test]
    fn parts_are_found_copied_and_written() {
        let bytes = RawBytes::from(&b"a\nbc\nd"[..]);
        assert_eq!((bytes.len(), bytes.last()), (6, Some(b'd')));
        let found = (bytes.find(b'\n'), bytes.find_last(b'\n'), bytes.find(b'x'));
        assert_eq!(found, (Some(1), Some(4), None));
        let (line, rest) = bytes.split_at(2);
        assert_eq!(
            (line.to_vec(), rest.to_vec()),
            (b"a\n".into(), b"bc\nd".into())
        );
        let (all, none) = bytes.split_at(99);
        assert_eq!((all.len(), none.len(), none.is_empty()), (6, 0, true));
        assert_eq!(
            (none.last(), none.find(b'a'), none.find_last(b'a')),
            (None, None, None)
        );
        let mut copy = b"> ".to_vec();
        rest.append_to(&mut copy);
        none.append_to(&mut copy);
        assert_eq!(copy, b"> bc\nd");
        let (out, into) = fd::pipe().unwrap();
        assert_eq!(rest.write_to(into.as_fd()).unwrap(), 4);
        let mut buffer = [0; 8];
        assert_eq!(fd::read(out.as_fd(), &mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"bc\nd");
        drop(out);
        assert!(rest.write_to(into.as_fd()).is_err());
    }
}
