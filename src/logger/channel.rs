//! One stream of one program: from its FIFO to its log file.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::batch::{self, Batch, Left};
use crate::error::{Context, Reason, Result};
use crate::sys::fifo;

/// How often one channel is read before the others have their turn.
const READS_A_TURN: usize = 4;
/// The pipe of a busy program is enlarged to this, in bytes: the most that an unprivileged user may have (pipe(7)).
const BUSY_PIPE: i32 = 1 << 20;
/// A read of so many bytes makes a program busy: half of what a pipe holds at first.
const BUSY_READ: usize = 32 << 10;

/// A stream on its way to a file.
#[derive(Debug)]
pub struct Channel {
    fifo: Option<OwnedFd>,
    path: PathBuf,
    file: Option<File>,
    enlarged: bool,
    /// Bytes that could not be written.
    lost: u64,
}

impl Channel {
    /// Opens a FIFO and the file that it is drained into, and says what went wrong. An empty path means no file.
    pub fn open(fifo: &Path, file: &[u8]) -> (Channel, Option<String>) {
        let mut channel = Channel {
            fifo: None,
            path: OsStr::from_bytes(file).into(),
            file: None,
            enlarged: false,
            lost: 0,
        };
        let mut note = None;
        match fifo::open(fifo) {
            Ok(opened) => channel.fifo = Some(opened),
            Err(e) => note = Some(format!("opening {}: {}", fifo.display(), Reason(&e))),
        }
        if !file.is_empty() {
            match open_log(&channel.path) {
                Ok(opened) => channel.file = Some(opened),
                Err(e) => {
                    let path = channel.path.display();
                    note = Some(format!(
                        "opening {path}: {}; its output is dropped",
                        Reason(&e)
                    ));
                }
            }
        }
        (channel, note)
    }

    /// Whether it is open and its file is this one; an empty path means no file.
    pub fn goes_to(&self, file: &[u8]) -> bool {
        let open = self.fifo.is_some() && (file.is_empty() || self.file.is_some());
        open && self.path.as_os_str().as_bytes() == file
    }

    /// What to poll for reading.
    pub fn fifo(&self) -> Option<BorrowedFd<'_>> {
        self.fifo.as_ref().map(AsFd::as_fd)
    }

    /// Moves what waits, but not so much that others would wait long.
    pub fn drain_some(&mut self, name: (u32, usize), batch: &mut Batch) -> Option<String> {
        let mut note = None;
        for _ in 0..READS_A_TURN {
            let n = self.take(name, batch, batch::SIZE);
            if n == 0 {
                break;
            }
            note = self.write(batch, n, 0).or(note);
            if n < BUSY_READ {
                break;
            }
        }
        note
    }

    /// Moves all that waits now; what is printed meanwhile may stay behind.
    pub fn drain_waiting(&mut self, name: (u32, usize), batch: &mut Batch) -> Option<String> {
        let mut note = None;
        let mut left = self.fifo().map_or(0, fifo::waiting);
        while left > 0 {
            let n = self.take(name, batch, batch::SIZE);
            if n == 0 {
                break;
            }
            note = self.write(batch, n, 0).or(note);
            left = left.saturating_sub(n);
        }
        note
    }

    /// Writes what a log writer that was killed had taken, but for what it had written.
    pub fn finish(&mut self, batch: &mut Batch, left: &Left) -> Option<String> {
        let size = self
            .file
            .as_ref()
            .and_then(|file| file.metadata().ok())
            .map_or(0, |m| m.len());
        let written = left.start.map_or(0, |start| size.saturating_sub(start));
        let written = usize::try_from(written)
            .unwrap_or(usize::MAX)
            .min(left.length);
        self.write(batch, left.length, written)
    }

    /// Opens the file anew, under its name. Where that fails it is the one before that is written to.
    pub fn reopen(&mut self) -> Result<()> {
        if !self.path.as_os_str().is_empty() {
            let opened = open_log(&self.path);
            self.file = Some(opened.doing(|| format!("opening {}", self.path.display()))?);
        }
        Ok(())
    }

    fn take(&mut self, name: (u32, usize), batch: &mut Batch, most: usize) -> usize {
        let Some(fifo) = &self.fifo else {
            return 0;
        };
        let n = batch.take(fifo.as_fd(), name, most);
        if n >= BUSY_READ && !self.enlarged {
            self.enlarged = true;
            let _ = fifo::grow(fifo.as_fd(), BUSY_PIPE);
        }
        n
    }

    /// Writes the batch, from a place in it, to the file.
    fn write(&mut self, batch: &mut Batch, length: usize, from: usize) -> Option<String> {
        let mut note = None;
        if let Some(file) = &self.file {
            if from == 0 {
                batch.writing(file);
            }
            let bytes = batch.bytes(length).get(from..).unwrap_or_default();
            note = self.append(bytes);
        }
        batch.done();
        note
    }

    /// Writes to the file. What it does not take is dropped and counted: a full disk must not stop a program.
    fn append(&mut self, bytes: &[u8]) -> Option<String> {
        let Some(file) = &mut self.file else {
            return None;
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let before = self.lost;
                    self.lost = before.saturating_add(rest.len() as u64);
                    let path = self.path.display();
                    let first = format!("writing {path}: {}; output is being dropped", Reason(&e));
                    return (before == 0).then_some(first);
                }
            }
        }
        let lost = std::mem::take(&mut self.lost);
        let path = self.path.display();
        (lost > 0).then(|| format!("writing {path} again; {lost} bytes were dropped"))
    }
}

/// Empties the log file of this name, where there is one. A FIFO or a device has nothing that could be taken back.
pub fn empty(file: &[u8]) -> Result<()> {
    let path = Path::new(OsStr::from_bytes(file));
    if !path.is_file() {
        return Ok(());
    }
    let mut options = File::options();
    options.write(true).custom_flags(libc::O_NONBLOCK);
    let emptied = options.open(path).and_then(|file| file.set_len(0));
    emptied.doing(|| format!("emptying {}", path.display()))
}

/// Opens a log file for appending, mode 0600, making missing folders; a FIFO in its place must not block.
fn open_log(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
            options.open(path)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logger::batch::tests::Scratch;
    use crate::sys::fd;

    const NAME: (u32, usize) = (1, 0);

    fn scene(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("rpm-channel-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        fifo::make(&folder.join("out")).unwrap();
        folder
    }

    #[test]
    fn what_is_printed_is_in_the_file() {
        let folder = scene("file");
        let log = folder.join("new/folder/out.log");
        let (mut channel, note) = Channel::open(&folder.join("out"), log.as_os_str().as_bytes());
        assert_eq!(note, None);
        let program = fifo::open(&folder.join("out")).unwrap();
        let mut scratch = Scratch::new();
        let batch = scratch.batch();
        for text in ["one\n", "two\n", "a line that is longer than the buffer\n"] {
            fd::write(program.as_fd(), text.as_bytes()).unwrap();
        }
        assert_eq!(channel.drain_waiting(NAME, batch), None);
        fd::write(program.as_fd(), b"three").unwrap();
        assert_eq!(channel.drain_some(NAME, batch), None);
        let text = std::fs::read_to_string(&log).unwrap();
        assert_eq!(
            text,
            "one\ntwo\na line that is longer than the buffer\nthree"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_dropped_and_said_once() {
        let folder = scene("full");
        let (mut channel, note) = Channel::open(&folder.join("out"), b"/dev/full");
        assert_eq!(note, None);
        let program = fifo::open(&folder.join("out")).unwrap();
        let mut scratch = Scratch::new();
        let batch = scratch.batch();
        let mut print = || {
            fd::write(program.as_fd(), b"x").unwrap();
            channel.drain_waiting(NAME, batch)
        };
        assert!(
            print()
                .unwrap()
                .contains("No space left on device; output is being dropped")
        );
        assert_eq!(print(), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_was_begun_to_be_written_is_finished() {
        let folder = scene("finish");
        let log = folder.join("out.log");
        let (mut channel, _) = Channel::open(&folder.join("out"), log.as_os_str().as_bytes());
        let program = fifo::open(&folder.join("out")).unwrap();
        let mut scratch = Scratch::new();
        let batch = scratch.batch();
        fd::write(program.as_fd(), b"abcdef").unwrap();
        std::fs::write(&log, "before ").unwrap();
        let n = channel.take(NAME, batch, batch::SIZE);
        batch.writing(channel.file.as_ref().unwrap());
        channel.append(&batch.bytes(n)[..2]);
        let left = batch.left().unwrap();
        assert_eq!(channel.finish(batch, &left), None);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "before abcdef");
        assert!(batch.left().is_none());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_stream_without_a_file_is_drained_all_the_same() {
        let folder = scene("none");
        let (mut channel, note) = Channel::open(&folder.join("out"), b"");
        assert_eq!(note, None);
        let program = fifo::open(&folder.join("out")).unwrap();
        fd::write(program.as_fd(), b"x").unwrap();
        assert_eq!(channel.drain_waiting(NAME, Scratch::new().batch()), None);
        assert_eq!(fifo::waiting(program.as_fd()), 0);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
