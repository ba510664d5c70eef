//! One stream of one program: from its FIFO to its log file.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::Reason;
use crate::sys::{fd, fifo};

/// How much is read at once, in bytes. Larger does not fit the second-level cache, and is slower.
pub const READ_SIZE: usize = 256 << 10;
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
            path: std::ffi::OsStr::from_bytes(file).into(),
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

    /// What to poll for reading.
    pub fn fifo(&self) -> Option<BorrowedFd<'_>> {
        self.fifo.as_ref().map(AsFd::as_fd)
    }

    /// Moves what waits, but not so much that others would wait long.
    pub fn drain_some(&mut self, buffer: &mut [u8]) -> Option<String> {
        let mut note = None;
        for _ in 0..READS_A_TURN {
            let n = self.read(buffer);
            note = self.write(buffer.get(..n).unwrap_or_default()).or(note);
            if n < buffer.len() {
                break;
            }
        }
        note
    }

    /// Moves all that waits now; what is printed meanwhile may stay behind.
    pub fn drain_waiting(&mut self, buffer: &mut [u8]) -> Option<String> {
        let mut note = None;
        let mut left = self.fifo().map_or(0, fifo::waiting);
        while left > 0 {
            let n = self.read(buffer);
            if n == 0 {
                break;
            }
            note = self.write(buffer.get(..n).unwrap_or_default()).or(note);
            left = left.saturating_sub(n);
        }
        note
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let Some(fifo) = &self.fifo else {
            return 0;
        };
        // Nothing to read is the only failure that there is.
        let n = fd::read(fifo.as_fd(), buffer).unwrap_or(0);
        if n >= BUSY_READ && !self.enlarged {
            self.enlarged = true;
            let _ = fifo::grow(fifo.as_fd(), BUSY_PIPE);
        }
        n
    }

    /// Writes to the file. What it does not take is dropped and counted: a full disk must not stop a program.
    fn write(&mut self, bytes: &[u8]) -> Option<String> {
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
        let mut buffer = vec![0; 16];
        for text in ["one\n", "two\n", "a line that is longer than the buffer\n"] {
            fd::write(program.as_fd(), text.as_bytes()).unwrap();
        }
        assert_eq!(channel.drain_waiting(&mut buffer), None);
        fd::write(program.as_fd(), b"three").unwrap();
        assert_eq!(channel.drain_some(&mut buffer), None);
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
        let mut buffer = vec![0; 64];
        let mut print = || {
            fd::write(program.as_fd(), b"x").unwrap();
            channel.drain_waiting(&mut buffer)
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
    fn a_stream_without_a_file_is_drained_all_the_same() {
        let folder = scene("none");
        let (mut channel, note) = Channel::open(&folder.join("out"), b"");
        assert_eq!(note, None);
        let program = fifo::open(&folder.join("out")).unwrap();
        fd::write(program.as_fd(), b"x").unwrap();
        assert_eq!(channel.drain_waiting(&mut [0; 8]), None);
        assert_eq!(fifo::waiting(program.as_fd()), 0);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
