//! Memory that outlives the processes that use it: what one has begun, the next can finish. `svipc(7)`
//!
//! A System V segment, because it is in no file system: it cannot be full, no write-back ever makes a page of it
//! fault again, and it stays when its last user is killed.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::raw_bytes::RawBytes;
use super::{check, check_size, user};

/// How many numbers stand before the bytes.
pub const WORDS: usize = 16;
/// Where the bytes begin: on a cache line behind the numbers.
const HEAD: usize = 128;
/// SHM_DEST of <linux/shm.h>: the segment goes when its last user has ended.
const REMOVED: u32 = 0o1000;
/// The smallest page that there is.
const PAGE: usize = 4096;

/// A few numbers and a run of bytes.
#[derive(Debug)]
pub struct SharedMemory {
    start: NonNull<u8>,
    length: usize,
    id: Option<i32>,
}

impl SharedMemory {
    /// New memory for `length` bytes that only this user may open; all is zero. It stays until [`remove`].
    /// `shmget(2)` A kernel without System V memory gives what only forked children find, and no number. `mmap(2)`
    pub fn new(length: usize) -> io::Result<SharedMemory> {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600;
        // SAFETY: takes numbers.
        match check(unsafe { libc::shmget(libc::IPC_PRIVATE, HEAD + length, flags) }) {
            Ok(id) => SharedMemory::attach(id, length).inspect_err(|_| remove(id)),
            Err(_) => SharedMemory::nameless(length),
        }
    }

    fn nameless(length: usize) -> io::Result<SharedMemory> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let place = std::ptr::null_mut();
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
        let start = unsafe { libc::mmap(place, HEAD + length, protection, flags, -1, 0) };
        SharedMemory::mapped(start, length, None)
    }

    fn mapped(
        start: *mut libc::c_void,
        length: usize,
        id: Option<i32>,
    ) -> io::Result<SharedMemory> {
        // Both calls say "failed" by -1, MAP_FAILED.
        match NonNull::new(start.cast()).filter(|_| start != libc::MAP_FAILED) {
            Some(start) => Ok(SharedMemory { start, length, id }),
            None => Err(io::Error::last_os_error()),
        }
    }

    /// The memory of this number, where it has this length and belongs to this user. `shmctl(2)` IPC_STAT
    pub fn find(id: i32, length: usize) -> io::Result<SharedMemory> {
        // SAFETY: the kernel fills in a structure of plain data.
        let stat = unsafe {
            let mut stat: libc::shmid_ds = std::mem::zeroed();
            check(libc::shmctl(id, libc::IPC_STAT, &raw mut stat))?;
            stat
        };
        let own = user::effective_uid();
        let perm = stat.shm_perm;
        let removed = u32::from(perm.mode) & REMOVED != 0;
        if perm.uid != own || perm.cuid != own || stat.shm_segsz != HEAD + length || removed {
            return Err(io::Error::other("the segment is another one"));
        }
        SharedMemory::attach(id, length)
    }

    /// Maps the memory. It stays mapped as long as the process lives: forked children use it too. `shmat(2)`
    fn attach(id: i32, length: usize) -> io::Result<SharedMemory> {
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
        let start = unsafe { libc::shmat(id, std::ptr::null(), 0) };
        SharedMemory::mapped(start, length, Some(id))
    }

    /// The number that the memory is found by; none where it cannot be.
    pub fn id(&self) -> Option<i32> {
        self.id
    }

    /// One of the numbers; which are more than there are, all mean the last.
    pub fn word(&self, which: usize) -> &AtomicU64 {
        // SAFETY: the mapping is page-aligned, begins with WORDS zeroed u64, and lives as long as the process.
        unsafe {
            self.start
                .cast::<AtomicU64>()
                .add(which.min(WORDS - 1))
                .as_ref()
        }
    }

    /// Where the bytes are. Other processes may change them at any time: they are never borrowed, only copied.
    fn place(&self, at: usize) -> *mut u8 {
        self.start.as_ptr().wrapping_add(HEAD + at.min(self.length))
    }

    /// Reads once from a descriptor into the first bytes, at most so many: what a process that is killed had read is
    /// there. `read(2)`
    pub fn read_from(&mut self, fd: BorrowedFd, length: usize) -> io::Result<usize> {
        let length = length.min(self.length);
        loop {
            // SAFETY: so many bytes from there on lie in the mapping, and no reference to them exists.
            let n = unsafe { libc::read(fd.as_raw_fd(), self.place(0).cast(), length) };
            match check_size(n) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Puts bytes in the place of the first ones; those that do not fit are left out.
    pub fn put(&mut self, bytes: &[u8]) {
        for (at, byte) in bytes.iter().take(self.length).enumerate() {
            // SAFETY: the byte lies in the mapping, no reference to it exists but as an atomic.
            let cell = unsafe { AtomicU8::from_ptr(self.place(at)) };
            cell.store(*byte, Ordering::Relaxed);
        }
    }

    /// The first so many bytes.
    pub fn bytes(&self, length: usize) -> RawBytes<'_> {
        // SAFETY: so many bytes from there on lie in the mapping, which stays for the life of the process. This process
        // writes to them only in methods that borrow the memory exclusively.
        unsafe { RawBytes::new(self.place(0), length.min(self.length)) }
    }

    /// Has every page of these bytes mapped in this process: afterwards a system call that writes there is never
    /// interrupted by a page fault.
    pub fn touch(&mut self, range: Range<usize>) {
        let last = range.end.min(self.length).saturating_sub(1);
        // Pages begin anywhere in the range: the last byte is touched too.
        let places = (range.start..last).step_by(PAGE);
        for at in places
            .chain(std::iter::once(last))
            .filter(|_| self.length > 0)
        {
            // SAFETY: as in `put`; adding 0 writes what is there.
            let cell = unsafe { AtomicU8::from_ptr(self.place(at)) };
            cell.fetch_add(0, Ordering::Relaxed);
        }
    }
}

/// Removes the memory of this number when its last user has ended. `shmctl(2)` IPC_RMID
pub fn remove(id: i32) {
    // SAFETY: the command takes no structure.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}

/// Stores a number so that whoever looks at the memory after this process was killed finds it.
pub fn store(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::SeqCst);
}

/// The number that was last stored.
pub fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::SeqCst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::daemonize::{Fork, exit_now, fork};
    use std::os::fd::AsFd;

    #[test]
    fn without_a_number_it_is_memory_all_the_same() {
        let mut memory = SharedMemory::nameless(16).unwrap();
        assert_eq!(
            (memory.id(), memory.bytes(16).to_vec()),
            (None, vec![0; 16])
        );
        memory.put(b"0123456789abcdefg");
        memory.touch(3..99);
        for length in [0, 1, 7, 8, 9, 16, 99] {
            let whole = &b"0123456789abcdef"[..length.min(16)];
            assert_eq!(memory.bytes(length).to_vec(), whole);
        }
        let (out, into) = crate::sys::fd::pipe().unwrap();
        crate::sys::fd::write(into.as_fd(), b"xyz and more than there is room for").unwrap();
        assert_eq!(memory.read_from(out.as_fd(), 3).unwrap(), 3);
        assert_eq!(memory.bytes(5).to_vec(), b"xyz34");
        assert_eq!(memory.read_from(out.as_fd(), 99).unwrap(), 16);
    }

    #[test]
    fn what_one_process_leaves_the_next_finds_by_its_number() {
        let mut memory = SharedMemory::new(16).unwrap();
        let id = memory.id().unwrap();
        if let Fork::Child = fork().unwrap() {
            memory.touch(0..16);
            memory.put(&[7; 16]);
            store(memory.word(3), 9);
            exit_now(0);
        }
        while load(memory.word(3)) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(
            SharedMemory::find(id, 16).unwrap().bytes(16).to_vec(),
            [7; 16]
        );
        assert!(SharedMemory::find(id, 17).is_err());
        remove(id);
        assert!(SharedMemory::find(id, 16).is_err());
    }
}
