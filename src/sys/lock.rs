//! Locks by `flock(2)`. An `fcntl(2)` lock would be lost when any descriptor of the file is closed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{check, open};

/// The lock of a directory, held until this and all copies of its descriptor in other processes are closed.
///
/// A lock file could be removed by mistake and created again; then two processes would each hold the lock.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Locks a directory without waiting. `None` if another process holds the lock.
    ///
    /// # Errors
    /// The directory cannot be opened or locked.
    pub fn acquire(folder: &Path) -> io::Result<Option<Lock>> {
        let file = open::folder(folder)?;
        // SAFETY: flock takes only numbers.
        match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
            Ok(_) => Ok(Some(Lock(file))),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Waits until the lock of a directory is free, without keeping it. Another process may take it at once.
    ///
    /// # Errors
    /// The directory cannot be opened or locked.
    pub fn wait_until_free(folder: &Path) -> io::Result<()> {
        let file = open::folder(folder)?;
        // SAFETY: flock takes only numbers.
        check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }).map(drop)
    }

    /// The lock of an inherited descriptor that is locked.
    pub fn inherited(fd: OwnedFd) -> Lock {
        Lock(File::from(fd))
    }

    /// The device and inode of the directory, which identify it when its path is reused.
    ///
    /// # Errors
    /// As `fstat(2)`.
    pub fn number(&self) -> io::Result<(u64, u64)> {
        let meta = self.0.metadata()?;
        Ok((meta.dev(), meta.ino()))
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits for the lock of an open file or directory and takes it, until the file is closed.
///
/// # Errors
/// As `flock(2)`.
pub fn wait_for(file: &File) -> io::Result<()> {
    loop {
        // SAFETY: flock takes only numbers.
        match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holder_at_a_time() {
        let folder = std::env::temp_dir().join(format!("rpm-lock-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let held = Lock::acquire(&folder).unwrap().unwrap();
        assert!(Lock::acquire(&folder).unwrap().is_none());
        drop(held);
        assert!(Lock::acquire(&folder).unwrap().is_some());
        std::fs::remove_dir(&folder).unwrap();
        assert!(Lock::acquire(&folder).is_err());
    }
}
