//! Memory that outlives the processes that use it: what one has begun, the next can finish. `svipc(7)`
//!
//! A System V segment, because it is in no file system: it cannot be full, no write-back ever makes a page of it
//! fault again, and it stays when its last user is killed.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{check, user};

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

    /// The bytes. Only one process at a time may use them.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the range lies in the mapping, behind the numbers, and is borrowed as long as `self`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(HEAD), self.length) }
    }

    /// The bytes, to look at.
    pub fn view(&self) -> &[u8] {
        // SAFETY: as above; a shared borrow of `self` excludes the other one.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(HEAD), self.length) }
    }

    /// Has every page of these bytes mapped in this process: afterwards a system call that writes there is never
    /// interrupted by a page fault.
    pub fn touch(&mut self, range: Range<usize>) {
        let touch = |byte: &mut u8| {
            // SAFETY: a byte that is ours; volatile, or the compiler would leave the write out.
            unsafe { std::ptr::write_volatile(byte, *byte) };
        };
        let bytes = self.bytes().get_mut(range).unwrap_or_default();
        for page in bytes.chunks_mut(PAGE) {
            // The first byte and the last: pages begin anywhere in the range.
            page.first_mut().map(touch);
            page.last_mut().map(touch);
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

    #[test]
    fn without_a_number_it_is_memory_all_the_same() {
        let mut memory = SharedMemory::nameless(16).unwrap();
        assert_eq!((memory.id(), memory.bytes()), (None, &mut [0; 16][..]));
    }

    #[test]
    fn what_one_process_leaves_the_next_finds_by_its_number() {
        let mut memory = SharedMemory::new(16).unwrap();
        let id = memory.id().unwrap();
        if let Fork::Child = fork().unwrap() {
            memory.touch(0..16);
            memory.bytes().fill(7);
            store(memory.word(3), 9);
            exit_now(0);
        }
        while load(memory.word(3)) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(SharedMemory::find(id, 16).unwrap().bytes(), [7; 16]);
        assert!(SharedMemory::find(id, 17).is_err());
        remove(id);
        assert!(SharedMemory::find(id, 16).is_err());
    }
}
