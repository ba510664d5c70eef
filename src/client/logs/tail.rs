//! `tail -F` of one log file: every byte that is appended is handed over once, through rotation, removal and truncation.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::generations::{self, Generation, Identity, Mark};
use crate::error::{Context, Result};

/// How much is read at once, in bytes.
const CHUNK: usize = 64 << 10;
/// How many of the bytes read last are kept, to tell a file that was truncated and has grown again.
const KEPT: u64 = 256;
/// The most files that are passed in one call, and the most attempts to open one that keeps being moved.
const FILES: usize = 10_000;
const ATTEMPTS: usize = 100;

/// A log file by its name, under which one file after the other is found.
pub struct Tail {
    path: PathBuf,
    /// The file that is read, where there is one.
    open: Option<Open>,
    /// The file before it. Its writer may not know yet that it was moved.
    previous: Option<Open>,
    /// Generations older than the open file.
    seen: Vec<Mark>,
    /// Files were dropped unread at the last call.
    is_behind: bool,
    /// Only the last so many new bytes of a file are handed over.
    most: u64,
}

struct Open {
    file: File,
    identity: Identity,
    /// Up to where it has been read.
    at: u64,
    /// The bytes before that. Where the file has others there, it was truncated and has grown again.
    kept: Vec<u8>,
    /// The modification time at the last call.
    modified: (i64, i64),
}

/// What comes next of a log file.
pub enum Piece<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// The beginning of another file, or of one that was truncated.
    Break,
    /// Files that were dropped before they were read. Comes once as long as that goes on.
    Dropped,
}

/// Receives what comes next.
pub type Sink<'a> = dyn FnMut(Piece) -> Result<()> + 'a;

impl Tail {
    /// The file at `path`, which need not exist yet, from its beginning.
    pub fn new(path: PathBuf) -> Tail {
        Tail {
            path,
            open: None,
            previous: None,
            seen: Vec::new(),
            is_behind: false,
            most: u64::MAX,
        }
    }

    /// The same, with at most so many bytes of each file at each call: a screen needs only the last lines.
    pub fn at_most(mut self, bytes: u64) -> Tail {
        self.most = bytes;
        self
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a file was opened, now or before.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// What is being done, for errors.
    pub fn reading(&self) -> String {
        format!("reading {}", self.path.display())
    }

    /// Goes on at this place of a file that is one of `all`. All older ones count as read.
    pub fn start_at(&mut self, all: &[Generation], place: Option<(File, u64)>) -> Result<()> {
        self.previous = None;
        self.open = match place {
            Some((file, at)) => Some(Open::new(file, at).doing(|| self.reading())?),
            None => None,
        };
        self.seen = match &self.open {
            Some(open) => marks_behind(all, open.identity),
            None => all.iter().map(|one| one.mark).collect(),
        };
        Ok(())
    }

    /// Goes on at the end: what is there already counts as read.
    pub fn start_at_end(&mut self) -> Result<()> {
        let reading = self.reading();
        let all = generations::all(&self.path).doing(|| &reading)?;
        let newest = all.first().map(generations::open).transpose();
        let place = newest.doing(|| &reading)?.flatten().map(|file| {
            let size = file.metadata().map(|found| found.len());
            size.map(|size| (file, size))
        });
        self.start_at(&all, place.transpose().doing(|| &reading)?)
    }

    /// Hands over what is new, through all files that have taken the place of the open one.
    pub fn read_new(&mut self, sink: &mut Sink) -> Result<()> {
        let (most, name) = (self.most, self.reading());
        let reading = || &name;
        if let Some(previous) = &mut self.previous {
            previous.read_new(most, &name, sink)?;
            // Without a name nobody else has it, and its space on the disk is given back.
            if previous.is_removed().doing(reading)? {
                self.previous = None;
            }
        }
        let was_behind = std::mem::take(&mut self.is_behind);
        for _ in 0..FILES {
            if let Some(open) = &mut self.open {
                open.read_new(most, &name, sink)?;
                let there = self.path.metadata();
                if there.is_ok_and(|found| generations::identity(&found) == open.identity) {
                    return Ok(());
                }
            }
            let Some((all, file)) = self.next().doing(reading)? else {
                return Ok(());
            };
            let next = Open::new(file, 0).doing(reading)?;
            if let Some(mut old) = self.open.take() {
                // What was written before it was moved.
                old.read_new(most, &name, sink)?;
                if !all.iter().any(|one| one.mark.identity == old.identity) {
                    sink(Piece::Break)?;
                    if old.is_removed().doing(reading)? && self.was_outrun(&all) {
                        if !was_behind && !self.is_behind {
                            sink(Piece::Dropped)?;
                        }
                        self.is_behind = true;
                    }
                }
                self.previous = Some(old);
            }
            self.seen = marks_behind(&all, next.identity);
            self.open = Some(next);
        }
        Ok(())
    }

    /// The file to go on with, and all generations; none where it is the open one.
    fn next(&self) -> io::Result<Option<(Vec<Generation>, File)>> {
        let own = self.open.as_ref().map(|open| open.identity);
        let next = |all: &[Generation]| {
            let place = generations::newer(all, own, &self.seen)?;
            all.get(place).cloned()
        };
        for _ in 0..ATTEMPTS {
            let Some(wanted) = next(&generations::all(&self.path)?) else {
                return Ok(None);
            };
            let Some(file) = generations::open(&wanted)? else {
                continue;
            };
            // A rotation meanwhile may have put another one in between.
            let all = generations::all(&self.path)?;
            if next(&all).is_some_and(|next| next.mark.identity == wanted.mark.identity) {
                return Ok(Some((all, file)));
            }
        }
        // The next change brings the next call.
        Ok(None)
    }

    /// Whether files may have been dropped between the open one, which was dropped, and these. A writer drops the oldest
    /// first: where an older one is left, or only one file is there, somebody else has removed the open one.
    fn was_outrun(&self, all: &[Generation]) -> bool {
        all.len() > 1 && all.iter().all(|one| !self.seen.contains(&one.mark))
    }
}

fn marks_behind(all: &[Generation], own: Identity) -> Vec<Mark> {
    let behind = all.iter().skip_while(|one| one.mark.identity != own);
    behind.skip(1).map(|one| one.mark).collect()
}

impl Open {
    fn new(file: File, at: u64) -> io::Result<Open> {
        let from = at.saturating_sub(KEPT);
        let mut kept = vec![0; usize::try_from(at - from).unwrap_or(0)];
        let n = file.read_at(&mut kept, from)?;
        kept.truncate(n);
        Ok(Open {
            identity: generations::identity(&file.metadata()?),
            file,
            at,
            kept,
            modified: (0, 0),
        })
    }

    fn is_removed(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() == 0)
    }

    /// Hands over what was appended, up to the present end: a busy writer must not keep other files from being read.
    fn read_new(&mut self, most: u64, reading: &str, sink: &mut Sink) -> Result<()> {
        let found = self.file.metadata().doing(|| reading)?;
        let (size, modified) = (found.len(), (found.mtime(), found.mtime_nsec()));
        let was_modified = std::mem::replace(&mut self.modified, modified) != modified;
        if size == self.at && !was_modified {
            return Ok(());
        }
        if size < self.at {
            self.restart(sink)?;
        }
        if self.at < size.saturating_sub(most) {
            self.at = size - most;
            self.kept.clear();
        }
        let length = size - self.at + u64::try_from(self.kept.len()).unwrap_or(0);
        let mut chunk = vec![0; usize::try_from(length).unwrap_or(CHUNK).min(CHUNK)];
        loop {
            // The kept bytes are read once more.
            let from = self.at - u64::try_from(self.kept.len()).unwrap_or(0);
            let n = self.file.read_at(&mut chunk, from).doing(|| reading)?;
            let read = chunk.get(..n).unwrap_or_default();
            let Some(new) = read.strip_prefix(self.kept.as_slice()) else {
                self.restart(sink)?;
                continue;
            };
            self.at += u64::try_from(new.len()).unwrap_or(0);
            let is_end = new.is_empty() || self.at >= size;
            sink(Piece::Bytes(new))?;
            self.keep(read);
            if is_end {
                return Ok(());
            }
        }
    }

    /// It was truncated.
    fn restart(&mut self, sink: &mut Sink) -> Result<()> {
        self.at = 0;
        self.kept.clear();
        sink(Piece::Break)
    }

    fn keep(&mut self, read: &[u8]) {
        let most = usize::try_from(KEPT).unwrap_or(0);
        let end = read.get(read.len().saturating_sub(most)..);
        self.kept.clear();
        self.kept.extend_from_slice(end.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests;
