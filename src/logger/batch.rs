//! What is on its way from a FIFO to a file, kept where no death reaches it: neither that of the log writer nor that
//! of both daemons.
//!
//! In the order in which things happen:
//!
//! 1. `channel`, `length` (what waits in the FIFO, or as much of it as fits) and `mark` are stored. The mark is a byte
//!    that differs from the first one that waits, and stands at the head of the buffer.
//! 2. One `read(2)` moves so many bytes into the buffer. It is whole or has not happened: there is one reader, so that
//!    many wait, and every page of the buffer is mapped. If it has happened, the mark is gone.
//! 3. `start`, the size of the file, is stored, then `stage` says that writing has begun.
//! 4. The file has grown by what was written of the buffer. Then `stage` says that all is done.
//!
//! A log writer that finds a stage other than "done" goes on from there: no byte is lost, none is written twice.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::protocol::line::Line;
use crate::sys::pid::Pid;
use crate::sys::shared::{self, SharedMemory, load, store};
use crate::sys::{clock, fd, fifo};

/// How much is moved at once, in bytes. Larger does not fit the second-level cache, and is slower.
pub const SIZE: usize = 256 << 10;

/// The numbers of the shared memory.
const SEAL: usize = 0;
const CHANNEL: usize = 1;
const STAGE: usize = 2;
const LENGTH: usize = 3;
const START: usize = 4;
const MARK: usize = 5;

/// The stages.
const DONE: u64 = 0;
const FILLING: u64 = 1;
const READ: u64 = 2;
const WRITING: u64 = 3;

/// The batch that is under way.
#[derive(Debug)]
pub struct Batch {
    memory: SharedMemory,
    /// What a byte is peeked at through, in a process that moves something.
    scratch: Option<(OwnedFd, OwnedFd)>,
}

/// What a log writer before this one has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Whose it is: the program's number and 0 for standard output, 1 for standard error.
    pub channel: (u32, usize),
    /// Up to where it is in the buffer.
    pub length: usize,
    /// How large the file was before, where it was begun to be written.
    pub start: Option<u64>,
}

impl Batch {
    /// The batch whose memory the record at `path` names, else an empty one that it names from now on.
    pub fn open(path: &Path) -> io::Result<Batch> {
        let memory = match recall(path) {
            Some(memory) => memory,
            None => {
                let memory = SharedMemory::new(SIZE)?;
                if let Some(id) = memory.id() {
                    record(path, id, &memory).inspect_err(|_| shared::remove(id))?;
                }
                memory
            }
        };
        Ok(Batch {
            memory,
            scratch: None,
        })
    }

    /// Gives the memory back, where nothing is left in it and nobody will look for it.
    pub fn remove(self, path: &Path) {
        // The memory first: whoever is killed in between leaves a record of nothing, not memory of no record.
        if let Some(id) = self.memory.id() {
            shared::remove(id);
        }
        let _ = std::fs::remove_file(path);
    }

    /// To be called once by each process that will move something.
    pub fn prepare(&mut self) -> io::Result<()> {
        self.memory.touch();
        self.scratch = Some(fd::pipe()?);
        Ok(())
    }

    /// Moves what waits in a FIFO, at most so many bytes, into the buffer; how many these are.
    pub fn take(&mut self, fifo: BorrowedFd, channel: (u32, usize), most: usize) -> usize {
        let length = fifo::waiting(fifo).min(most).min(SIZE);
        let scratch = self.scratch.as_ref().filter(|_| length > 0);
        let Some(first) = scratch.and_then(|scratch| fifo::peek(fifo, scratch)) else {
            return 0;
        };
        if let Some(head) = self.memory.bytes().first_mut() {
            *head = !first;
        }
        let word = u64::from(channel.0) << 1 | u64::from(channel.1 == 1);
        self.store(CHANNEL, word);
        self.store(LENGTH, length as u64);
        self.store(MARK, u64::from(!first));
        self.store(STAGE, FILLING);
        let room = self.memory.bytes().get_mut(..length).unwrap_or_default();
        let read = fd::read(fifo, room).unwrap_or(0);
        self.store(LENGTH, read as u64);
        self.store(STAGE, if read > 0 { READ } else { DONE });
        read
    }

    fn store(&self, which: usize, value: u64) {
        store(self.memory.word(which), value);
    }

    /// The first so many bytes of the buffer.
    pub fn bytes(&mut self, length: usize) -> &[u8] {
        self.memory.bytes().get(..length).unwrap_or_default()
    }

    /// The buffer is about to be written at the end of this file.
    pub fn writing(&mut self, file: &File) {
        let size = file.metadata().map_or(0, |meta| meta.len());
        self.store(START, size);
        self.store(STAGE, WRITING);
    }

    /// The buffer has been written, or cannot be.
    pub fn done(&self) {
        self.store(STAGE, DONE);
    }

    /// What the last log writer has left, with all of it in the buffer.
    pub fn left(&mut self) -> Option<Left> {
        let number = |which| load(self.memory.word(which));
        let (channel, stage, length, start, mark) = (
            number(CHANNEL),
            number(STAGE),
            number(LENGTH),
            number(START),
            number(MARK),
        );
        let head = self.memory.bytes().first().copied().map(u64::from);
        if stage == DONE || stage == FILLING && head == Some(mark) {
            return None;
        }
        Some(Left {
            channel: (
                u32::try_from(channel >> 1).unwrap_or(0),
                usize::from(channel & 1 == 1),
            ),
            length: usize::try_from(length).unwrap_or(0).min(SIZE),
            start: (stage == WRITING).then_some(start),
        })
    }
}

/// The memory that a record names, if it is still there.
fn recall(path: &Path) -> Option<SharedMemory> {
    let line = Line::decode(&fd::read_file(path).ok()?).ok()?;
    // The numbers of another boot mean something else.
    let boot = line.text("boot")? == clock::boot_id();
    let memory = SharedMemory::find(line.number("segment").filter(|_| boot)?, SIZE).ok()?;
    (load(memory.word(SEAL)) == line.number::<u64>("seal")?).then_some(memory)
}

/// Writes the record, sealed with a number that no other segment bears.
fn record(path: &Path, id: i32, memory: &SharedMemory) -> io::Result<()> {
    let seal = clock::wall_ms() << 22 | u64::from(Pid::own().unsigned_abs());
    store(memory.word(SEAL), seal);
    let line = Line::new("batch")
        .with("segment", id.to_string())
        .with("seal", seal.to_string())
        .with("boot", clock::boot_id());
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&line.to_bytes())?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// An empty batch that is removed with its record.
    pub struct Scratch(pub Option<Batch>, std::path::PathBuf);

    impl Scratch {
        pub fn new() -> Scratch {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("rpm-batch-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let mut batch = Batch::open(&path).unwrap();
            batch.prepare().unwrap();
            Scratch(Some(batch), path)
        }

        pub fn batch(&mut self) -> &mut Batch {
            self.0.as_mut().unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            self.0.take().unwrap().remove(&self.1);
        }
    }

    #[test]
    fn whatever_the_stage_at_which_it_was_left_all_of_it_is_found() {
        let (out, into) = fd::pipe().unwrap();
        let mut scratch = Scratch::new();
        let path = scratch.1.clone();
        let batch = scratch.batch();
        assert_eq!(
            (batch.left(), batch.take(out.as_fd(), (7, 1), 0)),
            (None, 0)
        );
        fd::write(into.as_fd(), b"abcdef").unwrap();
        assert_eq!(batch.take(out.as_fd(), (7, 1), SIZE), 6);
        let mut next = Batch::open(&path).unwrap();
        let left = next.left().unwrap();
        assert_eq!((left.channel, left.length, left.start), ((7, 1), 6, None));
        assert_eq!(next.bytes(6), b"abcdef");
        next.done();
        assert_eq!(batch.left(), None);
        // Killed before the read, and after it.
        for byte in [0u8, 0xff, b'x'] {
            batch.memory.bytes()[0] = !byte;
            batch.store(LENGTH, 1);
            batch.store(MARK, u64::from(!byte));
            batch.store(STAGE, FILLING);
            assert_eq!(batch.left(), None);
            batch.memory.bytes()[0] = byte;
            assert_eq!(batch.left().unwrap().length, 1);
        }
    }

    #[test]
    fn a_record_of_another_boot_or_segment_is_not_believed() {
        let scratch = Scratch::new();
        let line = std::fs::read_to_string(&scratch.1).unwrap();
        let other = scratch.1.with_extension("other");
        for (from, to) in [
            ("boot=", "boot=x"),
            ("seal=", "seal=9"),
            ("segment=", "segment=9"),
        ] {
            std::fs::write(&other, line.replace(from, to)).unwrap();
            assert!(recall(&other).is_none(), "{to}");
        }
        std::fs::write(&other, "nonsense").unwrap();
        assert!(recall(&other).is_none());
        std::fs::write(&other, &line).unwrap();
        assert!(recall(&other).is_some());
        std::fs::remove_file(&other).unwrap();
    }
}
