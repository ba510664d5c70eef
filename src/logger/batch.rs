//! What is on its way from a FIFO to files, kept where no death reaches it: neither that of the log writer nor that of
//! both daemons.
//!
//! In the order in which things happen:
//!
//! 1. What it takes to write the batch in the same way once more is stored (`channel`, `time`, `flags`), and `length`,
//!    how much is taken of what waits in the FIFO, and `mark`: bytes that stand at the head of the buffer and that the
//!    first ones that wait are not. Then `stage` says that the buffer is being filled.
//! 2. One `read(2)` moves so many bytes into the buffer. It is whole or has not happened: there is one reader, so that
//!    many wait, and every page of the buffer is mapped. If it has happened, the mark is gone.
//! 3. For each file, and again whenever another one has taken its place: what was written so far, which file it is and
//!    how large (`Progress`) is stored, in the one of two places that is not in use. Then `stage` says which place counts.
//! 4. The file has grown by what was written since. When all is done, `stage` says so.
//!
//! A log writer that finds a stage other than "done" goes on from there: no byte is lost, none is written twice.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

mod record;

use record::{recall, record};

use super::line_scan::Lines;
use crate::sys::lookup::Lookup;
use crate::sys::pid::Pid;
use crate::sys::raw_bytes::RawBytes;
use crate::sys::shared::{self, SharedMemory, load, store};
use crate::sys::{clock, fd, fifo};

/// How much is moved at once, in bytes: what the pipe of a busy program holds. The larger the writes are, the less the
/// file system has to do about each byte.
pub const SIZE: usize = 1 << 20;

/// The numbers of the shared memory.
const SEAL: usize = 0;
const CHANNEL: usize = 1;
const STAGE: usize = 2;
const LENGTH: usize = 3;
const MARK: usize = 4;
const TIME: usize = 5;
const FLAGS: usize = 6;
/// Where the two places for a progress begin.
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

/// How many bytes the mark has; where less is taken, it is one that differs.
const MARKED: usize = 8;

/// The batch that is under way.
#[derive(Debug)]
pub struct Batch {
    memory: SharedMemory,
    /// What is looked at through, in a process that moves something.
    scratch: Option<(OwnedFd, OwnedFd)>,
    /// The next mark.
    mark: u64,
    /// So much of the memory is mapped in this process.
    mapped: usize,
}

/// A batch: with its bytes, all that it takes to write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whose it is: the program's number and 0 for standard output, 1 for standard error.
    pub channel: (u32, usize),
    /// Up to where it is in the buffer.
    pub length: usize,
    /// When it was read, ms since the epoch.
    pub time: u64,
    /// Nothing more comes: a line that has no end gets one.
    pub last: bool,
    /// It is written line by line, not byte by byte.
    pub in_lines: bool,
}

/// How far the writing of a batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which of the files of the channel is written.
    pub which: usize,
    /// What begins is the rest of a line that is in this file already.
    pub continues: bool,
    /// How much of what is written to this file is in others that have had its name.
    pub before: u64,
    /// The number of the file.
    pub inode: u64,
    /// How large it was.
    pub start: u64,
}

impl Progress {
    fn words(&self) -> [u64; 3] {
        let head = self.before << 2 | u64::from(self.continues) << 1 | self.which as u64 & 1;
        [head, self.inode, self.start]
    }

    fn of([head, inode, start]: [u64; 3]) -> Progress {
        Progress {
            which: usize::from(head & 1 == 1),
            continues: head & 2 != 0,
            before: head >> 2,
            inode,
            start,
        }
    }
}

impl Batch {
    /// The batch whose memory the record at `path` names, else an empty one that it names from now on.
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
        Ok(Batch::of(memory))
    }

    /// The batch in this memory.
    pub fn of(memory: SharedMemory) -> Batch {
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

    /// Writes the record again, where there is none.
    pub fn record_again(&self, path: &Path) -> io::Result<()> {
        match (path.try_exists(), self.memory.id()) {
            (Ok(false), Some(id)) => record(path, id, &self.memory),
            _ => Ok(()),
        }
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
        self.mapped = 0;
        let scratch = fd::pipe()?;
        // As large as the pipe of a busy program, where that is allowed.
        let _ = fifo::grow(scratch.1.as_fd(), 1 << 20);
        self.scratch = Some(scratch);
        self.mark = clock::wall_ms() << 22 | u64::from(Pid::own().unsigned_abs());
        Ok(())
    }

    /// What there is to see of the lines that wait in a FIFO.
    pub fn lines_waiting(&self, fifo: BorrowedFd) -> Lines {
        let scratch = self.scratch.as_ref();
        scratch.map_or_else(Lines::default, |scratch| {
            Lines::waiting(fifo, scratch, SIZE)
        })
    }

    /// The first bytes that wait in a FIFO, at most so many, which stay there.
    pub fn head(&self, fifo: BorrowedFd, most: usize) -> Vec<u8> {
        let mut head = Vec::new();
        if let Some(scratch) = &self.scratch {
            fifo::look(fifo, scratch, most, |piece| head.extend_from_slice(piece));
        }
        head
    }

    /// Moves what waits in a FIFO into the buffer, at most so many bytes as `wanted` has as its length.
    pub fn take(&mut self, fifo: BorrowedFd, wanted: Taken) -> Option<Taken> {
        let length = fifo::waiting(fifo).min(wanted.length).min(SIZE);
        if length == 0 {
            return None;
        }
        if length > self.mapped {
            // Only as much as is needed: most programs print little.
            self.memory.touch(self.mapped..length);
            self.mapped = length;
        }
        self.set_mark(fifo, length)?;
        let channel = wanted.channel;
        let last = if wanted.last { LAST } else { 0 };
        let lines = if wanted.in_lines { IN_LINES } else { 0 };
        self.store(
            CHANNEL,
            u64::from(channel.0) << 1 | u64::from(channel.1 == 1),
        );
        self.store(TIME, wanted.time);
        self.store(FLAGS, last | lines);
        self.store(LENGTH, length as u64);
        self.store(STAGE, FILLING);
        let length = self.memory.read_from(fifo, length).unwrap_or(0);
        self.store(LENGTH, length as u64);
        self.store(STAGE, if length > 0 { READ } else { DONE });
        (length > 0).then_some(Taken { length, ..wanted })
    }

    /// Puts a mark at the head of the buffer. One of eight bytes that nobody can know is never what a program prints;
    /// where fewer are taken, it is a byte that differs from the first that waits.
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

    /// The first so many bytes of the buffer. Other processes have it too.
    pub fn bytes(&self, length: usize) -> RawBytes<'_> {
        self.memory.bytes(length)
    }

    /// How far the writing of the batch has come.
    pub fn writing(&self, progress: &Progress) {
        let (place, stage) = match self.number(STAGE) {
            WRITING_FIRST => (SECOND, WRITING_SECOND),
            _ => (FIRST, WRITING_FIRST),
        };
        for (word, value) in (place..).zip(progress.words()) {
            self.store(word, value);
        }
        self.store(STAGE, stage);
    }

    /// The buffer has been written, or cannot be.
    pub fn done(&self) {
        self.store(STAGE, DONE);
    }

    /// What the last log writer has left, with all of it in the buffer, and how far that is written.
    pub fn left(&self) -> Option<(Taken, Option<Progress>)> {
        let (stage, length, mark) = (self.number(STAGE), self.number(LENGTH), self.number(MARK));
        let length = usize::try_from(length).unwrap_or(0).min(SIZE);
        let mark = mark.to_le_bytes();
        let marked = if length < MARKED { 1 } else { MARKED };
        let unread = self.bytes(marked).to_vec() == mark.get(..marked).unwrap_or_default();
        if stage == DONE || stage == FILLING && unread {
            return None;
        }
        let (channel, flags) = (self.number(CHANNEL), self.number(FLAGS));
        let taken = Taken {
            channel: (
                u32::try_from(channel >> 1).unwrap_or(0),
                usize::from(channel & 1 == 1),
            ),
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
        Some((taken, progress))
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

    fn wanted(channel: (u32, usize), length: usize) -> Taken {
        Taken {
            channel,
            length,
            time: 5,
            last: false,
            in_lines: true,
        }
    }

    #[test]
    fn whatever_the_stage_at_which_it_was_left_all_of_it_is_found() {
        let (out, into) = fd::pipe().unwrap();
        let mut scratch = Scratch::new();
        let path = scratch.1.clone();
        let batch = scratch.batch();
        assert_eq!(batch.left(), None);
        assert_eq!(batch.take(out.as_fd(), wanted((7, 1), SIZE)), None);
        for text in [&b"abcdefgh"[..], b"abc"] {
            fd::write(into.as_fd(), text).unwrap();
            let taken = batch.take(out.as_fd(), wanted((7, 1), SIZE)).unwrap();
            assert_eq!(taken, wanted((7, 1), text.len()));
            let next = Batch::open(&path).unwrap();
            assert_eq!(next.left(), Some((taken, None)));
            assert_eq!(next.bytes(text.len()).to_vec(), text);
            for at in 0..3 {
                let progress = Progress {
                    which: 1,
                    continues: at == 1,
                    before: at,
                    inode: 9 + at,
                    start: at << 40,
                };
                batch.writing(&progress);
                assert_eq!(next.left(), Some((taken, Some(progress))));
            }
            next.done();
            assert_eq!(batch.left(), None);
        }
    }

    #[test]
    fn what_was_not_read_yet_is_told_by_the_mark() {
        let (out, into) = fd::pipe().unwrap();
        let mut scratch = Scratch::new();
        let batch = scratch.batch();
        for text in [&b"\0"[..], b"\xff", b"abcdefgh", b"abcdefghi"] {
            fd::write(into.as_fd(), text).unwrap();
            batch.set_mark(out.as_fd(), text.len()).unwrap();
            batch.store(LENGTH, text.len() as u64);
            batch.store(STAGE, FILLING);
            assert_eq!(batch.left(), None);
            let taken = batch.take(out.as_fd(), wanted((1, 0), SIZE)).unwrap();
            batch.store(STAGE, FILLING);
            assert_eq!(batch.left(), Some((taken, None)));
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
            assert!(matches!(recall(&other), Lookup::Gone), "{to}");
        }
        std::fs::write(&other, "nonsense").unwrap();
        assert!(matches!(recall(&other), Lookup::Gone));
        std::fs::write(&other, &line).unwrap();
        assert!(matches!(recall(&other), Lookup::There(_)));
        std::fs::remove_file(&other).unwrap();
    }
}
