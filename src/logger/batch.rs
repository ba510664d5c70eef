//! What is on its way from a FIFO to a file, kept where the death of the log writer does not reach it.
//!
//! The supervisor makes it and holds it; each log writer inherits it. In the order in which things happen:
//!
//! 1. `channel` is stored; then one `splice(2)` moves bytes from the FIFO into the basin. From here on they are in the
//!    basin, or, as `length` − what the basin still holds, at the head of the buffer.
//! 2. `length` is stored, and the basin is emptied into the buffer.
//! 3. `start`, the size of the file, is stored, then `stage` says that writing has begun.
//! 4. The file has grown by what was written of the buffer. Then `stage` says that all is done.
//!
//! A log writer that finds a stage other than "done" goes on from there: no byte is lost, none is written twice.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use crate::sys::shared::{Basin, SharedMemory, store};

/// How much is moved at once, in bytes. Larger does not fit the second-level cache, and is slower.
pub const SIZE: usize = 256 << 10;

/// The numbers of the shared memory.
const CHANNEL: usize = 0;
const STAGE: usize = 1;
const LENGTH: usize = 2;
const START: usize = 3;

/// The stages.
const DONE: u64 = 0;
const FILLING: u64 = 1;
const READING: u64 = 2;
const WRITING: u64 = 3;

/// The batch that is under way.
pub struct Batch {
    memory: SharedMemory,
    basin: Basin,
}

/// What a log writer before this one has left.
pub struct Left {
    /// Whose it is: the program's number and 0 for standard output, 1 for standard error.
    pub channel: (u32, usize),
    /// Up to where it is in the buffer.
    pub length: usize,
    /// How large the file was before, where it was begun to be written.
    pub start: Option<u64>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> io::Result<Batch> {
        Ok(Batch {
            memory: SharedMemory::new(SIZE)?,
            basin: Basin::new(1 << 20)?,
        })
    }

    /// The descriptors that a log writer inherits.
    pub fn raw(&self) -> [i32; 2] {
        self.basin.raw()
    }

    /// Moves what waits in a FIFO, at most so many bytes, into the buffer; how many these are.
    pub fn take(&mut self, fifo: BorrowedFd, channel: (u32, usize), most: usize) -> usize {
        let word = u64::from(channel.0) << 1 | u64::from(channel.1 == 1);
        store(self.memory.word(CHANNEL), word);
        store(self.memory.word(STAGE), FILLING);
        // Nothing to move is the only failure that there is.
        let length = self.basin.fill(fifo, most.min(SIZE)).unwrap_or(0);
        self.read(length)
    }

    /// Empties the basin, of which so many bytes belong to the batch, behind those that are in the buffer already.
    fn read(&mut self, length: usize) -> usize {
        store(self.memory.word(LENGTH), length as u64);
        store(self.memory.word(STAGE), READING);
        let mut at = length.saturating_sub(self.basin.level());
        while let Some(room) = self
            .memory
            .bytes()
            .get_mut(at..length)
            .filter(|room| !room.is_empty())
        {
            match self.basin.empty(room) {
                Ok(n @ 1..) => at += n,
                _ => break,
            }
        }
        if length == 0 {
            self.done();
        }
        at
    }

    /// The first so many bytes of the buffer.
    pub fn bytes(&mut self, length: usize) -> &[u8] {
        self.memory.bytes().get(..length).unwrap_or_default()
    }

    /// The buffer is about to be written at the end of this file.
    pub fn writing(&mut self, file: &File) {
        let size = file.metadata().map_or(0, |meta| meta.len());
        store(self.memory.word(START), size);
        store(self.memory.word(STAGE), WRITING);
    }

    /// The buffer has been written, or cannot be.
    pub fn done(&self) {
        store(self.memory.word(STAGE), DONE);
    }

    /// What the last log writer has left, with all of it in the buffer.
    pub fn left(&mut self) -> Option<Left> {
        let number = |which| self.memory.word(which).load(Ordering::SeqCst);
        let (channel, stage, length, start) = (
            number(CHANNEL),
            number(STAGE),
            number(LENGTH),
            number(START),
        );
        let length = match stage {
            DONE => return None,
            // Nothing has left the basin yet.
            FILLING => self.basin.level(),
            _ => usize::try_from(length).unwrap_or(0).min(SIZE),
        };
        let length = match stage {
            WRITING => length,
            _ => self.read(length),
        };
        Some(Left {
            channel: (
                u32::try_from(channel >> 1).unwrap_or(0),
                usize::from(channel & 1 == 1),
            ),
            length,
            start: (stage == WRITING).then_some(start),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;
    use std::os::fd::AsFd;

    #[test]
    fn whatever_the_stage_at_which_it_was_left_all_of_it_is_found() {
        let (out, into) = fd::pipe().unwrap();
        let mut batch = Batch::new().unwrap();
        assert!(batch.left().is_none());
        fd::write(into.as_fd(), b"abcdef").unwrap();
        assert_eq!(batch.take(out.as_fd(), (7, 1), SIZE), 6);
        let left = batch.left().unwrap();
        assert_eq!((left.channel, left.length, left.start), ((7, 1), 6, None));
        assert_eq!(batch.bytes(6), b"abcdef");
        batch.done();
        assert!(batch.left().is_none());
        // Killed after the splice.
        fd::write(into.as_fd(), b"ghij").unwrap();
        store(batch.memory.word(STAGE), FILLING);
        batch.basin.fill(out.as_fd(), SIZE).unwrap();
        assert_eq!(batch.left().unwrap().length, 4);
        assert_eq!(batch.bytes(4), b"ghij");
        batch.done();
        // Killed in the middle of reading.
        fd::write(into.as_fd(), b"klmnop").unwrap();
        batch.basin.fill(out.as_fd(), SIZE).unwrap();
        store(batch.memory.word(LENGTH), 6);
        store(batch.memory.word(STAGE), READING);
        let mut two = [0; 2];
        batch.basin.empty(&mut two).unwrap();
        batch.memory.bytes()[..2].copy_from_slice(&two);
        assert_eq!(batch.left().unwrap().length, 6);
        assert_eq!(batch.bytes(6), b"klmnop");
    }
}
