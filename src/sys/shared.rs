//! Memory and a pipe that several generations of a forked process share: what one has begun, the next can finish.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{check_size, fd, fifo};

/// How many numbers stand before the bytes.
const WORDS: usize = 4;
/// Where the bytes begin: a cache line behind the numbers.
const HEAD: usize = 64;

/// A few numbers and a run of bytes in memory that forked children share with their parent. `mmap(2)`
pub struct SharedMemory {
    start: NonNull<u8>,
    length: usize,
}

impl SharedMemory {
    /// Room for `length` bytes; all is zero. It is never given back: its users are forked, and outlive each other.
    pub fn new(length: usize) -> io::Result<SharedMemory> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                HEAD + length,
                protection,
                flags,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(SharedMemory { start, length })
    }

    /// One of the numbers; which are more than there are, all mean the last.
    pub fn word(&self, which: usize) -> &AtomicU64 {
        // SAFETY: the mapping is page-aligned, begins with WORDS zeroed u64, and lives for ever.
        unsafe {
            self.start
                .cast::<AtomicU64>()
                .add(which.min(WORDS - 1))
                .as_ref()
        }
    }

    /// The bytes. Only one process at a time may use them.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the range lies in the mapping, behind the numbers, and is borrowed as long as `self`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(HEAD), self.length) }
    }
}

/// Stores a number so that whoever looks at the memory after this process was killed finds it.
pub fn store(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::SeqCst);
}

/// A pipe between two pipes: what was moved into it is in neither, and safe as long as somebody holds it.
pub struct Basin {
    out: OwnedFd,
    into: OwnedFd,
}

impl Basin {
    /// A basin for up to `bytes`, where the kernel grants them.
    pub fn new(bytes: i32) -> io::Result<Basin> {
        let (out, into) = fd::pipe()?;
        fd::set_nonblocking(out.as_fd())?;
        fd::set_nonblocking(into.as_fd())?;
        let _ = fifo::grow(out.as_fd(), bytes);
        Ok(Basin { out, into })
    }

    /// The descriptors, for a fork that closes others.
    pub fn raw(&self) -> [i32; 2] {
        [self.out.as_raw_fd(), self.into.as_raw_fd()]
    }

    /// Moves up to `most` bytes from a pipe into the basin in one step. `splice(2)`
    pub fn fill(&self, from: BorrowedFd, most: usize) -> io::Result<usize> {
        let none = std::ptr::null_mut();
        let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
        // SAFETY: both are pipes, so no offsets are given; the call takes no other pointer.
        check_size(unsafe {
            libc::splice(
                from.as_raw_fd(),
                none,
                self.into.as_raw_fd(),
                none,
                most,
                flags,
            )
        })
    }

    /// How much is in it.
    pub fn level(&self) -> usize {
        fifo::waiting(self.out.as_fd())
    }

    /// Takes what is in it.
    pub fn empty(&self, buffer: &mut [u8]) -> io::Result<usize> {
        fd::read(self.out.as_fd(), buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_and_its_parent_see_the_same_memory() {
        let mut memory = SharedMemory::new(16).unwrap();
        if let super::super::daemonize::Fork::Child = super::super::daemonize::fork().unwrap() {
            memory.bytes().fill(7);
            store(memory.word(3), 9);
            super::super::daemonize::exit_now(0);
        }
        while memory.word(3).load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(memory.bytes(), [7; 16]);
    }

    #[test]
    fn a_basin_takes_what_a_pipe_holds() {
        let (out, into) = fd::pipe().unwrap();
        let basin = Basin::new(1 << 16).unwrap();
        fd::write(into.as_fd(), b"abcdef").unwrap();
        assert_eq!(basin.fill(out.as_fd(), 4).unwrap(), 4);
        assert_eq!((basin.level(), fifo::waiting(out.as_fd())), (4, 2));
        let mut buffer = [0; 8];
        assert_eq!(basin.empty(&mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"abcd");
    }
}
