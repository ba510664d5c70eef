//! Hearing of changes to files. `inotify(7)`

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{check, fd};
use crate::error::{Error, Reason, Result};

/// An inotify instance that does not block.
#[derive(Debug)]
pub struct Watcher(OwnedFd);

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The watch, as [`Watcher::add`] returned it; -1 when changes were lost because nobody read them in time.
    pub watch: i32,
    /// The file in the watched folder; empty when the watched thing itself changed.
    pub name: OsString,
    mask: u32,
}

impl Change {
    /// Whether it is about a folder in the watched folder.
    pub fn of_folder(&self) -> bool {
        self.mask & libc::IN_ISDIR != 0
    }

    /// Whether it was made here. A file is most often opened, written and closed then, which is another change.
    pub fn was_made(&self) -> bool {
        self.mask & libc::IN_CREATE != 0
    }

    /// Whether it was moved to here.
    pub fn came(&self) -> bool {
        self.mask & libc::IN_MOVED_TO != 0
    }

    /// Whether it was moved away.
    pub fn left(&self) -> bool {
        self.mask & libc::IN_MOVED_FROM != 0
    }

    /// Whether it is the last change of its watch: the watched thing has gone.
    pub fn is_last(&self) -> bool {
        self.mask & libc::IN_IGNORED != 0
    }
}

/// Writing, making, moving and removing of files: what a follower of log files wants to hear of.
const CHANGES: u32 = libc::IN_MODIFY
    | libc::IN_CREATE
    | libc::IN_MOVED_TO
    | libc::IN_MOVED_FROM
    | libc::IN_DELETE
    | libc::IN_ATTRIB;

/// Making, moving and removing of files, changes of who may read them, and moving of the folder itself.
const NAMES: u32 = libc::IN_CREATE
    | libc::IN_MOVED_TO
    | libc::IN_MOVED_FROM
    | libc::IN_DELETE
    | libc::IN_ATTRIB
    | libc::IN_MOVE_SELF;

/// What whoever waits for finished work wants to hear of: a file that was written and closed, not each write to it; and
/// nothing of what only those see who have it open still.
const WORK: u32 = libc::IN_CLOSE_WRITE
    | libc::IN_CREATE
    | libc::IN_MOVED_TO
    | libc::IN_MOVED_FROM
    | libc::IN_DELETE
    | libc::IN_EXCL_UNLINK
    | libc::IN_ONLYDIR;

/// Removing and moving of what a folder has, and of itself.
const REMOVAL: u32 = libc::IN_DELETE
    | libc::IN_MOVED_FROM
    | libc::IN_DELETE_SELF
    | libc::IN_MOVE_SELF
    | libc::IN_ONLYDIR;

/// The file of the kernel's limit that keeps something from being watched, where it is one. `inotify(7)`
pub fn limit(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error()? {
        libc::EMFILE => Some("/proc/sys/fs/inotify/max_user_instances"),
        libc::ENOSPC => Some("/proc/sys/fs/inotify/max_user_watches"),
        _ => None,
    }
}

/// A new instance, for whoever cannot do without it.
///
/// # Errors
/// There is none: a sentence that names the limit where one is reached.
pub fn watcher(doing: &str) -> Result<Watcher> {
    Watcher::new().map_err(|error| explained(doing, &error))
}

/// The error of a watch, with the limit of the kernel that was reached, and what to do.
pub fn explained(doing: &str, error: &io::Error) -> Error {
    match limit(error) {
        None => Error::io(doing, error),
        Some(limit) => Error::new(format!(
            "{doing}: {}; the limit is in {limit}: raise it with sysctl(8), or end programs that watch files",
            Reason(error)
        )),
    }
}

impl Watcher {
    /// A new instance.
    pub fn new() -> io::Result<Watcher> {
        // SAFETY: takes flags; the new descriptor is ours alone.
        unsafe {
            let fd = check(libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK))?;
            Ok(Watcher(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Watches a file or the files of a folder.
    pub fn add(&self, path: &Path) -> io::Result<i32> {
        self.add_for(path, CHANGES)
    }

    /// Watches a folder for what is called how in it, not for what is written.
    pub fn add_for_names(&self, folder: &Path) -> io::Result<i32> {
        self.add_for(folder, NAMES)
    }

    /// Watches a file for what is written to it, and for being truncated, whatever it is called later.
    pub fn add_for_writing(&self, file: &Path) -> io::Result<i32> {
        self.add_for(file, libc::IN_MODIFY)
    }

    /// Watches a folder for files that are written and closed, made, moved or removed in it.
    pub fn add_for_work(&self, folder: &Path) -> io::Result<i32> {
        self.add_for(folder, WORK)
    }

    /// Watches a folder for what is removed from it or moved away, and for that of the folder itself.
    pub fn add_for_removal(&self, folder: &Path) -> io::Result<i32> {
        self.add_for(folder, REMOVAL)
    }

    fn add_for(&self, path: &Path, mask: u32) -> io::Result<i32> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: the path ends in NUL and lives during the call.
        check(unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), mask) })
    }

    /// Watches it no longer.
    pub fn remove(&self, watch: i32) {
        // SAFETY: takes numbers only. A watch that has gone by itself is an error that changes nothing.
        unsafe { libc::inotify_rm_watch(self.0.as_raw_fd(), watch) };
    }

    /// What to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The changes since the last call; none when there are none.
    pub fn read(&self) -> io::Result<Vec<Change>> {
        let mut buffer = [0u8; 4096];
        let n = match fd::read(self.0.as_fd(), &mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            Err(e) => return Err(e),
        };
        let mut rest = buffer.get(..n).unwrap_or_default();
        let mut changes = Vec::new();
        // struct inotify_event: int wd, u32 mask, u32 cookie, u32 len, then len bytes of name padded with NUL.
        while let Some((head, tail)) = rest.split_at_checked(16) {
            let word = |at: usize| {
                let bytes = head.get(at..at + 4).and_then(|b| b.try_into().ok());
                bytes.map_or(0, i32::from_ne_bytes)
            };
            let length = usize::try_from(word(12)).unwrap_or(0).min(tail.len());
            let (name, next) = tail.split_at(length);
            let name = name.split(|b| *b == 0).next().unwrap_or_default();
            changes.push(Change {
                watch: word(0),
                name: OsStr::from_bytes(name).to_owned(),
                mask: u32::from_ne_bytes(word(4).to_ne_bytes()),
            });
            rest = next;
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_in_a_folder_is_heard_of() {
        let folder = std::env::temp_dir().join(format!("rpm-inotify-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let watcher = Watcher::new().unwrap();
        let watch = watcher.add(&folder).unwrap();
        assert_eq!(watcher.read().unwrap(), []);
        std::fs::write(folder.join("file"), "x").unwrap();
        let changes = watcher.read().unwrap();
        let made = changes.iter().find(|change| change.was_made()).unwrap();
        assert_eq!((made.watch, made.name.to_str()), (watch, Some("file")));
        assert!(!made.of_folder() && !made.is_last());
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(watcher.read().unwrap().iter().any(Change::is_last));
    }

    #[test]
    fn a_file_that_is_being_written_is_work_when_it_is_closed() {
        use std::io::Write;
        let folder = std::env::temp_dir().join(format!("rpm-work-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("file"), "x").unwrap();
        let watcher = Watcher::new().unwrap();
        let watch = watcher.add_for_work(&folder).unwrap();
        let mut options = std::fs::File::options();
        let mut file = options.append(true).open(folder.join("file")).unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(watcher.read().unwrap(), []);
        drop(file);
        assert_eq!(watcher.read().unwrap().len(), 1);
        watcher.remove(watch);
        assert!(watcher.read().unwrap().iter().all(Change::is_last));
        std::fs::write(folder.join("file"), "x").unwrap();
        assert_eq!(watcher.read().unwrap(), []);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
