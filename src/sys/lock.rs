//! Locks by `flock(2)`, because an `fcntl(2)` lock vanishes when any descriptor of the file is closed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{check, open};

/// A folder that is locked for as long as this, or a copy of its descriptor in another process, lives. A folder, because
/// a file can be removed by mistake and made anew: then two would hold the lock of one name.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Locks a folder. `None`: another process holds it.
    pub fn acquire(folder: &Path) -> io::Result<Option<Lock>> {
        let file = open::folder(folder)?;
        // SAFETY: flock takes numbers; the descriptor is open.
        match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
            Ok(_) => Ok(Some(Lock(file))),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Waits, as long as it takes, until nobody holds the lock. Another may have it the next moment.
    pub fn wait_until_free(folder: &Path) -> io::Result<()> {
        let file = open::folder(folder)?;
        // SAFETY: flock takes numbers; the descriptor is open.
        check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }).map(drop)
    }

    /// The lock of a descriptor that was inherited locked.
    pub fn inherited(fd: OwnedFd) -> Lock {
        Lock(File::from(fd))
    }

    /// What tells the folder from others that had its path before and after: its device and inode.
    pub fn number(&self) -> io::Result<(u64, u64)> {
        let meta = self.0.metadata()?;
        Ok((meta.dev(), meta.ino()))
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits for the lock of an open file or folder, which lasts until it is closed.
pub fn wait_for(file: &File) -> io::Result<()> {
    loop {
        // SAFETY: flock takes numbers; the descriptor is open.
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
    fn there_is_one_holder() {
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
