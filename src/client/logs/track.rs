//! Following one log file: what is appended is handed over, whatever happens to the file meanwhile.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::before::Place;
use super::generations::{self, Generation, Identity, Mark};
use super::watched::{Of, Watched, watched};
use crate::error::{Context, Error, Result};
use crate::sys::inotify::{self, Change, Watcher};

/// How much is read at once.
pub const CHUNK: usize = 64 << 10;
/// How much of what was read last is remembered, in bytes.
const REMEMBERED: u64 = 256;
/// How often in one look another file is gone on with, and how often a file is looked for that is always being moved.
const TURNS: usize = 10_000;
const TRIES: usize = 100;

/// A log file, as a name by which one file after the other is found.
pub struct Track {
    path: PathBuf,
    /// The file, where there is one.
    open: Option<Open>,
    /// The one before. Who writes it may not have heard yet that it was moved away.
    previous: Option<Open>,
    /// Older files, whose content is of no interest any more.
    seen: Vec<Mark>,
    watches: Vec<Watched>,
    /// In the last look files were found to have been dropped that had not been read.
    is_outrun: bool,
    /// What is further from the end is passed over, in bytes.
    most: u64,
}

/// A file, and up to where it has been read.
struct Open {
    file: File,
    identity: Identity,
    at: u64,
    /// What stands before that place. Where something else does, the file was emptied and has grown again.
    before: Vec<u8>,
    /// When the file had been modified, as of the last look.
    modified: (i64, i64),
}

/// What is new.
pub enum News<'a> {
    /// These bytes come next.
    Bytes(&'a [u8]),
    /// What comes next is the beginning of another file, or of one that was emptied.
    Cut,
    /// Files were dropped that had not been read. Said once where it goes on.
    Lost,
}

/// Takes what is new.
pub type Take<'a> = dyn FnMut(News) -> Result<()> + 'a;

impl Track {
    /// The file at `path`, which need not be there yet. It is read from its beginning.
    pub fn new(path: PathBuf) -> Track {
        Track {
            path,
            open: None,
            previous: None,
            seen: Vec::new(),
            watches: Vec::new(),
            is_outrun: false,
            most: u64::MAX,
        }
    }

    /// The same, but where more than so many bytes are new only the last of them are handed over: a screen shows the
    /// end, and must not wait for the rest.
    pub fn reading_at_most(mut self, bytes: u64) -> Track {
        self.most = bytes;
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Goes on from here in one of these files, the newest when they were looked at; what is older has been seen.
    pub fn stand_at(&mut self, all: &[Generation], newest: Option<(File, u64)>) -> Result<()> {
        self.previous = None;
        self.seen = all.iter().map(|one| one.mark).collect();
        self.open = match newest {
            Some((file, at)) => Some(Open::new(file, at).doing(|| self.reading())?),
            None => None,
        };
        if let Some(open) = &self.open {
            self.seen = older(all, open.identity);
        }
        Ok(())
    }

    /// Goes on behind what was there before.
    pub fn go_on_behind(&mut self, place: Place) -> Result<()> {
        match place.from {
            Some(from) => self.stand_at(&place.all, Some(from)),
            None => Ok(()),
        }
    }

    /// Goes on from the end: what is there already is of no interest.
    pub fn stand_at_end(&mut self) -> Result<()> {
        let all = generations::all(&self.path).doing(|| self.reading())?;
        let mut newest = None;
        if let Some(first) = all.first() {
            if let Some(file) = generations::open(first).doing(|| self.reading())? {
                let size = file.metadata().doing(|| self.reading())?.len();
                newest = Some((file, size));
            }
        }
        self.stand_at(&all, newest)
    }

    /// Whether a file was found, now or before.
    pub fn is_begun(&self) -> bool {
        self.open.is_some()
    }

    /// What is being done, for sentences.
    pub fn reading(&self) -> String {
        format!("reading {}", self.path.display())
    }

    /// Hands over what is new, also when other files have taken the place of this one.
    pub fn catch_up(&mut self, take: &mut Take) -> Result<()> {
        let (path, most) = (self.path.clone(), self.most);
        let reading = || format!("reading {}", path.display());
        if let Some(previous) = &mut self.previous {
            previous.read_on(most, take, &reading)?;
            // Nobody else has it: its place on the disk is given back.
            if previous.is_dropped().doing(reading)? {
                self.previous = None;
            }
        }
        let was_outrun = std::mem::take(&mut self.is_outrun);
        for _ in 0..TURNS {
            if let Some(open) = &mut self.open {
                open.read_on(most, take, &reading)?;
                let there = path.metadata().map(|found| generations::identity(&found));
                if there.is_ok_and(|identity| identity == open.identity) {
                    return Ok(());
                }
            }
            let Some((all, file)) = self.next().doing(reading)? else {
                return Ok(());
            };
            let next = Open::new(file, 0).doing(reading)?;
            if let Some(mut old) = self.open.take() {
                // What came before it was moved away.
                old.read_on(most, take, &reading)?;
                let moved = all.iter().any(|one| one.mark.identity == old.identity);
                if !moved {
                    take(News::Cut)?;
                    if old.is_dropped().doing(reading)? && has_lost(&all, &self.seen) {
                        if !was_outrun && !self.is_outrun {
                            take(News::Lost)?;
                        }
                        self.is_outrun = true;
                    }
                }
                self.previous = Some(old);
            }
            self.seen = older(&all, next.identity);
            self.open = Some(next);
        }
        Ok(())
    }

    /// The file to go on with, and all that there are. None where it is the one that is open.
    fn next(&self) -> io::Result<Option<(Vec<Generation>, File)>> {
        let own = self.open.as_ref().map(|open| open.identity);
        for _ in 0..TRIES {
            let all = generations::all(&self.path)?;
            let place = generations::newer(&all, own, &self.seen);
            let Some(wanted) = place.and_then(|place| all.get(place)) else {
                return Ok(None);
            };
            let Some(file) = generations::open(wanted)? else {
                continue;
            };
            // They may have been moved while they were looked at, and another one have come in between.
            let again = generations::all(&self.path)?;
            let place = generations::newer(&again, own, &self.seen);
            let place = place.and_then(|place| again.get(place));
            if place.is_some_and(|place| place.mark.identity == wanted.mark.identity) {
                return Ok(Some((again, file)));
            }
        }
        // The next change brings the next look.
        Ok(None)
    }

    /// That changes to it are not heard of, as a sentence.
    pub fn not_watched(&self, why: &io::Error) -> Error {
        Error::io(format_args!("watching {}", self.path.display()), why)
    }

    /// Whether changes to it are heard of.
    pub fn is_watched(&self) -> bool {
        !self.watches.is_empty()
    }

    /// Watches the file, the folder that it is in, and where it is a link the folder of the file itself. Of a folder that
    /// is not there yet, the nearest one that is.
    pub fn watch(&mut self, watcher: &Watcher) -> io::Result<()> {
        let done = self.try_to_watch(watcher);
        if done.is_err() {
            // Some of the watches are as good as none.
            self.watches.clear();
        }
        done
    }

    fn try_to_watch(&mut self, watcher: &Watcher) -> io::Result<()> {
        let before = std::mem::take(&mut self.watches);
        let real = generations::real(&self.path);
        let real = Some(real).filter(|real| *real != self.path);
        for path in [self.path.clone()].into_iter().chain(real) {
            self.watches.extend(watched(&path, watcher)?);
        }
        // Behind the folder: the file may be replaced at any moment. Where it is not there the folder will tell; where
        // it cannot be read, that is said elsewhere.
        let own = match watcher.add_for_writing(&self.path) {
            Err(e) if inotify::limit(&e).is_some() => return Err(e),
            own => own.ok(),
        };
        let mut files = before.iter().filter(|one| matches!(one.of, Of::File));
        let previous = files.find(|one| Some(one.watch) != own);
        for watch in own.into_iter().chain(previous.map(|one| one.watch)) {
            let of = Of::File;
            self.watches.push(Watched { watch, of });
        }
        Ok(())
    }

    /// The watches that tell of it.
    pub fn watches(&self) -> impl Iterator<Item = i32> {
        self.watches.iter().map(|watched| watched.watch)
    }

    /// Whether a change may be one of this file, or of those that it was before.
    pub fn is_concerned(&self, change: &Change) -> bool {
        // It was moved or removed, or who may enter it has changed.
        let itself = change.name.is_empty();
        let name = change.name.as_bytes();
        let is_about = |of: &Of| match of {
            Of::File => true,
            Of::Above(own) => itself || change.name == *own,
            // FILE.1 or FILE-20261126 too.
            Of::Folder(own) => {
                let rest = name.strip_prefix(own.as_bytes());
                itself || rest.is_some_and(|rest| matches!(rest, [] | [b'.' | b'-', ..]))
            }
        };
        let told = |one: &Watched| one.watch == change.watch && is_about(&one.of);
        change.watch < 0 || self.watches.iter().any(told)
    }

    /// Takes note of a change that it is concerned by. The watches that it needs no longer, where it has others now.
    pub fn hear(&mut self, change: &Change, watcher: &Watcher) -> io::Result<Vec<i32>> {
        let of_file = |one: &Watched| one.watch == change.watch && matches!(one.of, Of::File);
        if self.watches.iter().any(of_file) {
            if change.is_last() {
                self.watches.retain(|one| one.watch != change.watch);
            }
            return Ok(Vec::new());
        }
        let mut before: Vec<i32> = self.watches().collect();
        self.watch(watcher)?;
        before.retain(|watch| self.watches().all(|own| own != *watch));
        Ok(before)
    }
}

/// Those behind a file.
fn older(all: &[Generation], own: Identity) -> Vec<Mark> {
    let behind = all.iter().skip_while(|one| one.mark.identity != own);
    behind.skip(1).map(|one| one.mark).collect()
}

/// Whether files may have been dropped between the one that was open, which has been dropped too, and these. A writer
/// drops the oldest first: where one that is older is there still, or only one has come, somebody else removed it.
fn has_lost(all: &[Generation], seen: &[Mark]) -> bool {
    all.len() > 1 && all.iter().all(|one| !seen.contains(&one.mark))
}

impl Open {
    fn new(file: File, at: u64) -> io::Result<Open> {
        let identity = generations::identity(&file.metadata()?);
        let mut open = Open {
            file,
            identity,
            at,
            before: Vec::new(),
            modified: (0, 0),
        };
        let from = at.saturating_sub(REMEMBERED);
        let mut before = vec![0; usize::try_from(at - from).unwrap_or(0)];
        let n = open.file.read_at(&mut before, from)?;
        open.remember(before.get(..n).unwrap_or_default());
        Ok(open)
    }

    /// Whether it has no name any more.
    fn is_dropped(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() == 0)
    }

    /// Hands over what has been appended. Not further than to where it ended when we looked: a busy program must not
    /// keep the others from being read.
    fn read_on(&mut self, most: u64, take: &mut Take, reading: &dyn Fn() -> String) -> Result<()> {
        let found = self.file.metadata().doing(reading)?;
        let (size, modified) = (found.len(), (found.mtime(), found.mtime_nsec()));
        let was_modified = std::mem::replace(&mut self.modified, modified) != modified;
        if size == self.at && !was_modified {
            return Ok(());
        }
        if size < self.at {
            self.begin_anew(take)?;
        }
        if self.at < size.saturating_sub(most) {
            self.at = size - most;
            self.before.clear();
        }
        let known = u64::try_from(self.before.len()).unwrap_or(0);
        let length = usize::try_from(known + size - self.at).unwrap_or(CHUNK);
        let mut chunk = vec![0; length.min(CHUNK)];
        loop {
            // What is known already is read once more.
            let known = self.before.len();
            let from = self.at - u64::try_from(known).unwrap_or(0);
            let n = self.file.read_at(&mut chunk, from).doing(reading)?;
            let read = chunk.get(..n).unwrap_or_default();
            let Some(new) = read.strip_prefix(self.before.as_slice()) else {
                self.begin_anew(take)?;
                continue;
            };
            self.at += u64::try_from(new.len()).unwrap_or(0);
            let is_end = new.is_empty() || self.at >= size;
            take(News::Bytes(new))?;
            self.remember(read);
            if is_end {
                return Ok(());
            }
        }
    }

    /// It was emptied.
    fn begin_anew(&mut self, take: &mut Take) -> Result<()> {
        self.at = 0;
        self.before.clear();
        take(News::Cut)
    }

    /// Keeps the end of what was read.
    fn remember(&mut self, read: &[u8]) {
        let most = usize::try_from(REMEMBERED).unwrap_or(0);
        let end = read.get(read.len().saturating_sub(most)..);
        self.before.clear();
        self.before.extend_from_slice(end.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests;
