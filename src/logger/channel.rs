//! One stream of one program, from its FIFO to its log files.
//!
//! A stream with a file of its own is copied byte by byte. Where lines are changed, or a file is shared, only whole lines
//! are taken out of the FIFO. A partial line stays there, where it survives every crash, until it is whole, the program
//! has exited, or it is too long.

mod drops;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use super::batch::{self, Batch, BatchHeader, Progress};
use super::line_format::{Chunk, LineFormat};
use super::log_file::LogFile;
use super::log_files::{FileId, LogFiles};
use super::piecewise::PartialLine;
use crate::protocol::output::{Dropped, Stream};
use crate::sys::pipe_notify::PipeNotify;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::{clock, fifo};

/// The size of the pipe of a busy program, in bytes: the most that an unprivileged user may have (pipe(7)).
const BUSY_PIPE: i32 = 1 << 20;
/// The size of the reads of a stream without lines, in bytes: pipe, buffer and file compete for the processor's cache.
const READ_SIZE: usize = batch::SIZE / 2;
/// A read of so many bytes makes a program busy: half of what a pipe holds at first.
const BUSY_READ: usize = 32 << 10;
/// A batch of at least so many bytes, but less than [`MUCH`], comes from a program that writes much in small writes.
const MANY: usize = 4 << 10;
/// A program with a batch of so many bytes may soon fill its pipe.
pub const MUCH: usize = batch::SIZE / 4;
/// How long a program that writes much in small writes is not read, so that the next batch is larger. ms
const PAUSE_MS: u64 = 2;
/// A partial line is written when no more of it comes for so long. ms
const SHOW_AFTER_MS: u64 = 1000;
/// A partial line of so many bytes is written at once where the pipe is large.
const LONG_LINE: usize = batch::SIZE / 4 * 3;

/// Identifies a stream of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelId {
    /// The program.
    pub program: u32,
    /// Its stream.
    pub stream: Stream,
}

/// What a channel needs to move output.
pub struct Mover<'a> {
    /// The log files.
    pub files: &'a mut LogFiles,
    /// The buffer.
    pub batch: &'a mut Batch,
    /// Wakes the log writer when more of a partial line comes.
    pub notify: &'a PipeNotify,
}

/// A stream.
#[derive(Debug)]
pub struct Channel {
    id: ChannelId,
    fifo: Option<OwnedFd>,
    format: LineFormat,
    /// The file of this stream, and that of both streams.
    files: Vec<FileId>,
    enlarged: bool,
    /// The bytes of a partial line that wait in the FIFO until more comes.
    partial: Option<usize>,
    /// The bytes of a partial line, and when it is written if no more of it comes. monotonic ms
    show: Option<(usize, u64)>,
    /// The file without room that this channel waits for.
    pub blocked_on: Option<FileId>,
    /// When it was last drained, in uses of files.
    pub last_drained: u64,
    /// Until when it is not read. monotonic ms
    pause_until: u64,
    /// Output that was dropped without a notice in the files so far.
    pub dropped: Dropped,
    /// The last counts of dropped output that has its notice in the files, until they are reported.
    pub noticed: Vec<Dropped>,
}

impl Channel {
    /// A channel whose FIFO is not open yet.
    pub fn new(id: ChannelId, format: LineFormat, files: Vec<FileId>) -> Channel {
        Channel {
            id,
            fifo: None,
            format,
            files,
            enlarged: false,
            partial: None,
            show: None,
            blocked_on: None,
            last_drained: 0,
            pause_until: 0,
            dropped: Dropped::default(),
            noticed: Vec::new(),
        }
    }

    /// Its id.
    pub fn id(&self) -> ChannelId {
        self.id
    }

    /// Opens the FIFO at `path` unless it is open.
    pub fn open(&mut self, path: &Path) -> io::Result<()> {
        if self.fifo.is_none() {
            self.fifo = Some(fifo::open(path)?);
            self.partial = None;
        }
        Ok(())
    }

    /// The files that it ends in.
    pub fn files(&self) -> &[FileId] {
        &self.files
    }

    /// The FIFO, if it is open.
    pub fn fifo(&self) -> Option<BorrowedFd<'_>> {
        self.fifo.as_ref().map(AsFd::as_fd)
    }

    /// The bytes that wait in the FIFO.
    pub fn waiting(&self) -> usize {
        self.fifo().map_or(0, fifo::waiting)
    }

    /// The descriptor to poll for reading; none while the channel waits for something else.
    pub fn to_poll(&self, now: u64) -> Option<BorrowedFd<'_>> {
        let blocked = self.blocked_on.is_some() || self.partial.is_some();
        self.fifo()
            .filter(|_| !blocked && self.paused_until(now).is_none())
    }

    /// Until when it is not polled, so that the next batch is larger: a writer that finds its pipe empty has to wake its
    /// reader each time. monotonic ms
    pub fn paused_until(&self, now: u64) -> Option<u64> {
        (self.pause_until > now).then_some(self.pause_until)
    }

    /// How its lines are written.
    pub fn format(&self) -> &LineFormat {
        &self.format
    }

    pub(super) fn in_lines(&self, files: &LogFiles) -> bool {
        self.format.changes_lines() || self.files.iter().any(|id| files.is_shared(*id))
    }

    /// Moves one batch, and returns its size in bytes.
    pub fn drain_some(&mut self, mover: &mut Mover) -> usize {
        let moved = self.drain_batch(PartialLine::Wait, mover);
        self.last_drained = mover.files.count_use();
        self.pause_until = match moved {
            MANY..MUCH => clock::monotonic_ms() + PAUSE_MS,
            _ => 0,
        };
        moved
    }

    /// Writes a partial line that nothing more of has come for a while.
    pub fn show_partial(&mut self, mover: &mut Mover) {
        self.drain_batch(PartialLine::Show, mover);
    }

    fn drain_batch(&mut self, partial: PartialLine, mover: &mut Mover) -> usize {
        self.resume_polling(mover.notify);
        if self.is_piecewise(mover.files) {
            return self.drain_pieces(partial, mover);
        }
        if !self.in_lines(mover.files) {
            return self.move_bytes(READ_SIZE, mover);
        }
        let Some(fifo) = self.fifo() else {
            return 0;
        };
        let scan = mover.batch.scan_lines(fifo);
        let moved = match scan.whole {
            0 if partial == PartialLine::Show || self.is_too_long(scan.seen) => {
                self.move_lines(scan.characters, mover)
            }
            0 => 0,
            whole => self.move_lines(whole, mover),
        };
        if moved < scan.seen {
            self.wait_for_line_end(scan.seen - moved, mover.notify);
        }
        moved
    }

    /// Whether a partial line is too long to wait for: the program may not be able to finish it.
    pub(super) fn is_too_long(&mut self, waiting: usize) -> bool {
        if waiting >= BUSY_READ && !self.enlarged {
            self.enlarge();
        }
        let limit = if self.enlarged { LONG_LINE } else { BUSY_READ };
        waiting >= limit || waiting > 0 && self.pipe_is_full()
    }

    fn enlarge(&mut self) {
        let grown = self.fifo().map(|fifo| fifo::grow(fifo, BUSY_PIPE));
        self.enlarged = matches!(grown, Some(Ok(_)));
    }

    /// Whether a program that writes has to wait.
    pub fn pipe_is_full(&self) -> bool {
        let mut set = PollSet::default();
        let write = Interest {
            read: false,
            write: true,
        };
        if let Some(fifo) = self.fifo() {
            set.push(fifo, write, ());
        }
        let polled = set.wait(Some(Duration::ZERO));
        polled.is_ok() && !set.ready().any(|(_, ready)| ready.writable)
    }

    /// Waits for more than these bytes of a line, without polling the FIFO that holds them.
    pub(super) fn wait_for_line_end(&mut self, bytes: usize, notify: &PipeNotify) {
        if self.show.is_none_or(|(before, _)| before != bytes) {
            self.show = Some((bytes, clock::monotonic_ms() + SHOW_AFTER_MS));
        }
        let watched = self.fifo().is_some_and(|fifo| notify.watch(fifo).is_ok());
        self.partial = watched.then_some(bytes);
        // More may have come before the pipe was watched.
        if self.has_more() {
            self.resume_polling(notify);
        }
    }

    /// When the partial line is written if no more of it comes. monotonic ms
    pub fn show_at(&self) -> Option<u64> {
        self.partial.and(self.show).map(|(_, at)| at)
    }

    /// Whether more of the partial line has come, or cannot come.
    pub fn has_more(&self) -> bool {
        let waiting = self.fifo().map(fifo::waiting);
        self.partial
            .is_some_and(|bytes| waiting != Some(bytes) || self.pipe_is_full())
    }

    /// Polls the FIFO again.
    pub fn resume_polling(&mut self, notify: &PipeNotify) {
        if self.partial.take().is_some() {
            let _ = self.fifo().map(|fifo| notify.unwatch(fifo));
        }
    }

    /// Moves all that waits now, but not a partial line where lines are kept whole.
    pub fn drain_lines(&mut self, mover: &mut Mover) {
        let mut left = self.waiting();
        while left > 0 {
            let moved = self.drain_some(mover);
            if moved == 0 {
                break;
            }
            left = left.saturating_sub(moved);
        }
    }

    /// Moves all that waits now, with the partial line that the program left. What is written meanwhile may stay.
    pub fn drain(&mut self, mover: &mut Mover) {
        self.resume_polling(mover.notify);
        let mut left = self.waiting();
        let piecewise = self.is_piecewise(mover.files);
        let in_lines = self.in_lines(mover.files);
        while left > 0 {
            let moved = if piecewise {
                self.drain_pieces(PartialLine::Final, mover)
            } else if in_lines {
                self.drain_final_lines(mover)
            } else {
                self.move_bytes(READ_SIZE, mover)
            };
            if moved == 0 {
                break;
            }
            left = left.saturating_sub(moved);
        }
        // What waits for a slow reader still belongs to the line.
        if left == 0 || !piecewise {
            self.end_line(mover.files);
        }
    }

    fn drain_final_lines(&mut self, mover: &mut Mover) -> usize {
        let Some(fifo) = self.fifo() else {
            return 0;
        };
        let scan = mover.batch.scan_lines(fifo);
        let all = scan.seen >= fifo::waiting(fifo);
        match scan.whole {
            0 if all => self.move_final_line(scan.seen, mover),
            0 => self.move_lines(scan.characters, mover),
            whole => self.move_lines(whole, mover),
        }
    }

    /// Ends a partial line of this stream that is in the files: it will not be finished.
    pub fn end_line(&mut self, files: &mut LogFiles) {
        for id in &self.files {
            let ends = self.format.changes_lines() || files.is_shared(*id);
            if let Some(file) = files.get(*id).filter(|_| ends) {
                file.end_line_of(self.id);
            }
        }
    }

    /// Moves at most so many bytes, and returns how many.
    pub(super) fn move_bytes(&mut self, length: usize, mover: &mut Mover) -> usize {
        let header = self.header(length);
        self.move_batch(header, mover)
    }

    /// Moves so many bytes that are written line by line.
    pub(super) fn move_lines(&mut self, length: usize, mover: &mut Mover) -> usize {
        let mut header = self.header(length);
        header.in_lines = true;
        self.move_batch(header, mover)
    }

    /// Moves so many bytes of a last line that has no end.
    pub(super) fn move_final_line(&mut self, length: usize, mover: &mut Mover) -> usize {
        let mut header = self.header(length);
        (header.in_lines, header.last) = (true, true);
        self.move_batch(header, mover)
    }

    fn header(&self, length: usize) -> BatchHeader {
        BatchHeader {
            channel: self.id,
            length,
            time: clock::wall_ms(),
            last: false,
            in_lines: false,
        }
    }

    fn move_batch(&mut self, wanted: BatchHeader, mover: &mut Mover) -> usize {
        let read = self.fifo().and_then(|fifo| mover.batch.read(fifo, wanted));
        let Some(header) = read else {
            return 0;
        };
        self.show = None;
        if header.length >= BUSY_READ && !self.enlarged {
            self.enlarge();
        }
        self.write(&header, None, mover.files, mover.batch);
        header.length
    }

    /// Writes a batch to the files, from where a previous log writer was interrupted if there is `progress`.
    pub fn write(
        &mut self,
        header: &BatchHeader,
        progress: Option<Progress>,
        files: &mut LogFiles,
        batch: &Batch,
    ) {
        let whole = Chunk {
            bytes: batch.bytes(header.length),
            time: header.time,
            last: header.last,
            continues: false,
        };
        let mut dropped = 0;
        for id in &self.files {
            dropped += files
                .get(*id)
                .map_or(0, |file| std::mem::take(&mut file.uncounted));
        }
        for (index, id) in self.files.iter().enumerate() {
            let here = progress.filter(|progress| progress.file_index == index);
            if progress.is_some_and(|progress| progress.file_index > index) {
                continue;
            }
            // The notice of what was dropped before the batch is in this file already.
            if let Some(file) = files.get(*id).filter(|_| here.is_some()) {
                file.dropped.clear();
            }
            let Some(file) = ready(&self.format, &whole, *id, files) else {
                let mut length = 0;
                self.format
                    .write(&whole, 0, &mut |bytes| length += bytes.len() as u64);
                if let Some(file) = files.get(*id) {
                    dropped += file.dropped.count(length);
                }
                continue;
            };
            if header.in_lines && here.is_none() {
                file.begin_line(self.id, self.format.continues_lines());
            }
            let from = here.map_or(0, |progress| file.written(&progress));
            let continues = here.map_or(file.has_line_of(self.id), |progress| progress.continues);
            let mut progress = file.progress(index, continues, from);
            batch.record_progress(&progress);
            let chunk = Chunk { continues, ..whole };
            let mut dropped_here = 0;
            self.format.write(&chunk, from, &mut |bytes| {
                // After the first dropped byte the rest is dropped too, so that one notice stands for all.
                dropped_here += if dropped_here == 0 {
                    file.put(self.id, bytes, &mut progress, batch)
                } else {
                    file.dropped.count(bytes.len() as u64)
                };
            });
            dropped += dropped_here;
        }
        batch.finish();
        self.count_dropped(dropped, files);
    }
}

/// The file, open and with a notice of what was dropped before; none while it cannot be written to.
fn ready<'s>(
    format: &LineFormat,
    chunk: &Chunk,
    id: FileId,
    files: &'s mut LogFiles,
) -> Option<&'s mut LogFile> {
    let file = files.ready(id)?;
    if file.dropped.total().bytes > 0 {
        let text = file.dropped.notice();
        let notice = Chunk {
            bytes: text.as_bytes().into(),
            continues: false,
            ..*chunk
        };
        let mut line = Vec::new();
        if !file.is_at_line_end() {
            line.push(b'\n');
        }
        format.write(&notice, 0, &mut |bytes| bytes.append_to(&mut line));
        if !file.write_line(&line) {
            return None;
        }
        file.notice_written();
    }
    Some(file)
}
