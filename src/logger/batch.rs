//! Output on its way from a FIFO to files, in memory that survives a crash of the log writer, and of both daemons.
//!
//! The steps:
//!
//! 1. Store what it takes to write the batch again in the same way (`channel`, `time`, `flags`), the `length` to read, and
//!    a `mark`: bytes at the head of the buffer that differ from the first bytes in the FIFO. Then set `stage` to filling.
//! 2. Read so many bytes into the buffer with one `read(2)`. It happens as a whole or not at all: this process is the only
//!    reader, so many bytes wait, and every page of the buffer is mapped. If it has happened, the mark is overwritten.
//! 3. For each file, and again after each rotation, store what was written so far, the inode number and the size of the
//!    file (`Progress`), in the one of two places that is not in use. Then set `stage` to that place.
//! 4. Append to the file: its growth tells what was written since. When all is written, set `stage` to done.
//!
//! A log writer that finds another stage than done continues from there: no byte is lost, none is written twice.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

mod record;

use record::{recall, record};

use super::channel::ChannelId;
use super::line_scan::LineScan;
use crate::protocol::output::Stream;
use crate::sys::lookup::Lookup;
use crate::sys::pid::Pid;
use crate::sys::raw_bytes::RawBytes;
use crate::sys::shared::{self, SharedMemory, load, store};
use crate::sys::{clock, fd, fifo};

/// The size of the buffer, in bytes: what the pipe of a busy program holds. Large writes cost the file system less per
/// byte.
pub const SIZE: usize = 1 << 20;

/// The words of the shared memory.
const SEAL: usize = 0;
const CHANNEL: usize = 1;
const STAGE: usize = 2;
const LENGTH: usize = 3;
const MARK: usize = 4;
const TIME: usize = 5;
const FLAGS: usize = 6;
/// The two places for a [`Progress`].
const FIRST: usize = 8;
const SECOND: usize = 12;

/// The stages.
const DONE: u64 = 0;
const FILLING: u64 = 1;
const READ: u64 = 2;
/// Being written, with the progress in the first place.
const WRITING_FIRST: u64 = 3;
/// The same in the second.
const WRITING_SECOND: u64 = 4;

/// The flags.
const LAST: u64 = 1;
const IN_LINES: u64 = 2;

/// The bytes of the mark. Where fewer are read, its first byte differs from the first that waits.
const MARKED: usize = 8;

/// The buffer and the state of the batch in it.
#[derive(Debug)]
pub struct Batch {
    memory: SharedMemory,
    /// A pipe to peek into FIFOs with; only in a log writer.
    scratch: Option<(OwnedFd, OwnedFd)>,
    /// The next mark.
    mark: u64,
    /// The bytes of the buffer that are mapped in this process.
    mapped: usize,
}

/// All that it takes to write a batch, except its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Its channel.
    pub channel: ChannelId,
    /// Its length in bytes.
    pub length: usize,
    /// When it was read, ms since the epoch.
    pub time: u64,
    /// No more will come: a partial line gets an end.
    pub last: bool,
    /// It is written line by line.
    pub in_lines: bool,
}

/// How much of a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The file that is being written, of the files of the channel.
    pub file_index: usize,
    /// The batch begins with the rest of a line that is in this file.
    pub continues: bool,
    /// The bytes that are in files that had its name and were rotated.
    pub before: u64,
    /// The inode number of the file.
    pub inode: u64,
    /// Its size before.
    pub start: u64,
}

impl Progress {
    fn words(&self) -> [u64; 3] {
        let head = self.before << 2 | u64::from(self.continues) << 1 | self.file_index as u64 & 1;
        [head, self.inode, self.start]
    }

    fn of([head, inode, start]: [u64; 3]) -> Progress {
        Progress {
            file_index: usize::from(head & 1 == 1),
            continues: head & 2 != 0,
            before: head >> 2,
            inode,
            start,
        }
    }
}

impl Batch {
    /// The batch in the memory that the record at `path` names, else an empty one with a new record.
    pub fn open(path: &Path) -> io::Result<Batch> {
        let memory = match recall(path) {
            Lookup::There(memory) => memory,
            Lookup::Failed(e) => return Err(e),
            Lookup::Gone => {
                let memory = SharedMemory::new(SIZE)?;
                if let Some(id) = memory.id() {
                    record(path, id, &memory).inspect_err(|_| shared::remove(id))?;
                }
                memory
            }
        };
        Ok(Batch::from_memory(memory))
    }

    /// The batch in this memory.
    pub fn from_memory(memory: SharedMemory) -> Batch {
        Batch {
            memory,
            scratch: None,
            mark: 0,
            mapped: 0,
        }
    }

    /// Its memory.
    pub fn into_memory(self) -> SharedMemory {
        self.memory
    }

    /// Writes the record again if it was removed.
    pub fn record_again(&self, path: &Path) -> io::Result<()> {
        match (path.try_exists(), self.memory.id()) {
            (Ok(false), Some(id)) => record(path, id, &self.memory),
            _ => Ok(()),
        }
    }

    /// Removes the memory and its record.
    pub fn remove(self, path: &Path) {
        // The memory first: a crash in between leaves a record without memory, which does no harm.
        if let Some(id) = self.memory.id() {
            shared::remove(id);
        }
        let _ = std::fs::remove_file(path);
    }

    /// Prepares this process to read batches.
    pub fn prepare(&mut self) -> io::Result<()> {
        self.mapped = 0;
        let scratch = fd::pipe()?;
        // As large as the pipe of a busy program, where that is allowed.
        let _ = fifo::grow(scratch.1.as_fd(), 1 << 20);
        self.scratch = Some(scratch);
        self.mark = clock::wall_ms() << 22 | u64::from(Pid::own().unsigned_abs());
        Ok(())
    }

    /// Scans the lines that wait in a FIFO.
    pub fn scan_lines(&self, fifo: BorrowedFd) -> LineScan {
        let scratch = self.scratch.as_ref();
        scratch.map_or_else(LineScan::default, |scratch| {
            LineScan::of(fifo, scratch, SIZE)
        })
    }

    /// A copy of the first bytes in a FIFO, at most `most`. They stay there.
    pub fn peek(&self, fifo: BorrowedFd, most: usize) -> Vec<u8> {
        let mut head = Vec::new();
        if let Some(scratch) = &self.scratch {
            fifo::look(fifo, scratch, most, |piece| head.extend_from_slice(piece));
        }
        head
    }

    /// Reads what waits in a FIFO into the buffer, at most `wanted.length` bytes.
    pub fn read(&mut self, fifo: BorrowedFd, wanted: BatchHeader) -> Option<BatchHeader> {
        let length = fifo::waiting(fifo).min(wanted.length).min(SIZE);
        if length == 0 {
            return None;
        }
        if length > self.mapped {
            // Only as much as is needed: most programs write little.
            self.memory.touch(self.mapped..length);
            self.mapped = length;
        }
        self.set_mark(fifo, length)?;
        let channel = wanted.channel;
        let last = if wanted.last { LAST } else { 0 };
        let lines = if wanted.in_lines { IN_LINES } else { 0 };
        self.store(
            CHANNEL,
            u64::from(channel.program) << 1 | channel.stream.index() as u64,
        );
        self.store(TIME, wanted.time);
        self.store(FLAGS, last | lines);
        self.store(LENGTH, length as u64);
        self.store(STAGE, FILLING);
        let length = self.memory.read_from(fifo, length).unwrap_or(0);
        self.store(LENGTH, length as u64);
        self.store(STAGE, if length > 0 { READ } else { DONE });
        (length > 0).then_some(BatchHeader { length, ..wanted })
    }

    /// Puts a mark at the head of the buffer. No program writes the eight bytes of a mark, which it cannot know. Where fewer
    /// are read, the mark is one byte that differs from the first that waits.
    fn set_mark(&mut self, fifo: BorrowedFd, length: usize) -> Option<()> {
        // The multiplier and the increment of Knuth's MMIX.
        self.mark = self
            .mark
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        if length < MARKED {
            let mut first = None;
            fifo::look(fifo, self.scratch.as_ref()?, 1, |piece| {
                first = piece.first().copied();
            });
            self.mark = self.mark & !0xff | u64::from(!first?);
        }
        self.memory.put(&self.mark.to_le_bytes());
        self.store(MARK, self.mark);
        Some(())
    }

    fn store(&self, which: usize, value: u64) {
        store(self.memory.word(which), value);
    }

    fn number(&self, which: usize) -> u64 {
        load(self.memory.word(which))
    }

    /// The first so many bytes of the buffer, which other processes have mapped too.
    pub fn bytes(&self, length: usize) -> RawBytes<'_> {
        self.memory.bytes(length)
    }

    /// Stores how much of the batch is written.
    pub fn record_progress(&self, progress: &Progress) {
        let (place, stage) = match self.number(STAGE) {
            WRITING_FIRST => (SECOND, WRITING_SECOND),
            _ => (FIRST, WRITING_FIRST),
        };
        for (word, value) in (place..).zip(progress.words()) {
            self.store(word, value);
        }
        self.store(STAGE, stage);
    }

    /// Stores that nothing of the buffer is left to write.
    pub fn finish(&self) {
        self.store(STAGE, DONE);
    }

    /// The batch that the previous log writer did not finish, and how much of it is written.
    pub fn unfinished(&self) -> Option<(BatchHeader, Option<Progress>)> {
        let (stage, length, mark) = (self.number(STAGE), self.number(LENGTH), self.number(MARK));
        let length = usize::try_from(length).unwrap_or(0).min(SIZE);
        let mark = mark.to_le_bytes();
        let marked = if length < MARKED { 1 } else { MARKED };
        let unread = self.bytes(marked).to_vec() == mark.get(..marked).unwrap_or_default();
        if stage == DONE || stage == FILLING && unread {
            return None;
        }
        let (channel, flags) = (self.number(CHANNEL), self.number(FLAGS));
        let header = BatchHeader {
            channel: ChannelId {
                program: u32::try_from(channel >> 1).unwrap_or(0),
                stream: Stream::from_index(channel & 1),
            },
            length,
            time: self.number(TIME),
            last: flags & LAST != 0,
            in_lines: flags & IN_LINES != 0,
        };
        let place = match stage {
            WRITING_FIRST => Some(FIRST),
            WRITING_SECOND => Some(SECOND),
            _ => None,
        };
        let progress =
            place.map(|at| Progress::of([at, at + 1, at + 2].map(|word| self.number(word))));
        Some((header, progress))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
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

    fn wanted(program: u32, stream: Stream, length: usize) -> BatchHeader {
        BatchHeader {
            channel: ChannelId { program, stream },
            length,
            time: 5,
            last: false,
            in_lines: true,
        }
    }

    #[test]
    fn an_unfinished_batch_is_found_at_every_stage() {
        let (out, into) = fd::pipe().unwrap();
        let mut scratch = Scratch::new();
        let path = scratch.1.clone();
        let batch = scratch.batch();
        assert_eq!(batch.unfinished(), None);
        assert_eq!(batch.read(out.as_fd(), wanted(7, Stream::Err, SIZE)), None);
        for text in [&b"abcdefgh"[..], b"abc"] {
            fd::write(into.as_fd(), text).unwrap();
            let header = batch
                .read(out.as_fd(), wanted(7, Stream::Err, SIZE))
                .unwrap();
            assert_eq!(header, wanted(7, Stream::Err, text.len()));
            let next = Batch::open(&path).unwrap();
            assert_eq!(next.unfinished(), Some((header, None)));
            assert_eq!(next.bytes(text.len()).to_vec(), text);
            for at in 0..3 {
                let progress = Progress {
                    file_index: 1,
                    continues: at == 1,
                    before: at,
                    inode: 9 + at,
                    start: at << 40,
                };
                batch.record_progress(&progress);
                assert_eq!(next.unfinished(), Some((header, Some(progress))));
            }
            next.finish();
            assert_eq!(batch.unfinished(), None);
        }
    }

    #[test]
    fn the_mark_tells_that_nothing_was_read() {
        let (out, into) = fd::pipe().unwrap();
        let mut scratch = Scratch::new();
        let batch = scratch.batch();
        for text in [&b"\0"[..], b"\xff", b"abcdefgh", b"abcdefghi"] {
            fd::write(into.as_fd(), text).unwrap();
            batch.set_mark(out.as_fd(), text.len()).unwrap();
            batch.store(LENGTH, text.len() as u64);
            batch.store(STAGE, FILLING);
            assert_eq!(batch.unfinished(), None);
            let header = batch
                .read(out.as_fd(), wanted(1, Stream::Out, SIZE))
                .unwrap();
            batch.store(STAGE, FILLING);
            assert_eq!(batch.unfinished(), Some((header, None)));
        }
    }

    #[test]
    fn a_record_of_another_boot_or_segment_is_ignored() {
        let scratch = Scratch::new();
        let line = std::fs::read_to_string(&scratch.1).unwrap();
        let other = scratch.1.with_extension("other");
        for (from, to) in [
            ("boot=", "boot=x"),
            ("seal=", "seal=9"),
            ("segment=", "segment=9"),
        ] {
            std::fs::write(&other, line.replace(from, to)).unwrap();
            assert!(matches!(recall(&other), Lookup::Gone), "{to}");
        }
        std::fs::write(&other, "nonsense").unwrap();
        assert!(matches!(recall(&other), Lookup::Gone));
        std::fs::write(&other, &line).unwrap();
        assert!(matches!(recall(&other), Lookup::There(_)));
        std::fs::remove_file(&other).unwrap();
    }
}
