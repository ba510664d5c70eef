//! The file that decides who is the supervisor.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::check;

/// A file that is locked for as long as this, or a copy of its descriptor in another process, lives. `flock(2)`,
/// because an `fcntl(2)` lock vanishes when any descriptor of the file is closed.
#[derive(Debug)]
pub struct LockFile(File);

impl LockFile {
    /// Locks the file, mode 0600, making it where it is missing. `None`: another process holds it.
    pub fn acquire(path: &Path) -> io::Result<Option<LockFile>> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let options = options.mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(path)?;
        // SAFETY: flock takes numbers; the descriptor is open.
        match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
            Ok(_) => Ok(Some(LockFile(file))),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The lock of a descriptor that was inherited locked.
    pub fn inherited(fd: OwnedFd) -> LockFile {
        LockFile(File::from(fd))
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Makes `text` the whole content. Nobody finds the file empty meanwhile: it is cut to length, not emptied before.
    pub fn write(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all_at(text.as_bytes(), 0)?;
        self.0.set_len(text.len() as u64)
    }

    /// The first line of what the holder of the lock at `path` wrote.
    pub fn read(path: &Path) -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(64).read_to_string(&mut text)?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_holder() {
        let path = std::env::temp_dir().join(format!("rpm-lock-{}", std::process::id()));
        let mut held = LockFile::acquire(&path).unwrap().unwrap();
        held.write("123456\n").unwrap();
        held.write("4711\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"4711\n");
        assert!(LockFile::acquire(&path).unwrap().is_none());
        assert_eq!(LockFile::read(&path).unwrap(), "4711");
        drop(held);
        assert!(LockFile::acquire(&path).unwrap().is_some());
        std::fs::remove_file(&path).unwrap();
    }
}
