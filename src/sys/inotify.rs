//! Watching files and directories. `inotify(7)`

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{check, fd};
use crate::error::{Error, Reason, Result};

/// A non-blocking inotify instance.
#[derive(Debug)]
pub struct Watcher(OwnedFd);

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The watch descriptor from [`Watcher::add`]; -1 if the event queue overflowed and events were lost.
    pub watch: i32,
    /// The name of the file in the watched directory; empty for the watched file or directory itself.
    pub name: OsString,
    mask: u32,
}

impl Change {
    /// Whether its subject is a directory.
    pub fn of_folder(&self) -> bool {
        self.mask & libc::IN_ISDIR != 0
    }

    /// Whether the file was created. Writing and closing it are further events.
    pub fn was_made(&self) -> bool {
        self.mask & libc::IN_CREATE != 0
    }

    /// Whether the file was moved into the watched directory.
    pub fn came(&self) -> bool {
        self.mask & libc::IN_MOVED_TO != 0
    }

    /// Whether the file was moved out of the watched directory.
    pub fn left(&self) -> bool {
        self.mask & libc::IN_MOVED_FROM != 0
    }

    /// Whether the watch was removed, explicitly or because its file is gone.
    pub fn is_last(&self) -> bool {
        self.mask & libc::IN_IGNORED != 0
    }
}

/// Events for following log files: files written, created, moved, removed.
const CHANGES: u32 = libc::IN_MODIFY
    | libc::IN_CREATE
    | libc::IN_MOVED_TO
    | libc::IN_MOVED_FROM
    | libc::IN_DELETE
    | libc::IN_ATTRIB;

/// Events for the names in a directory: files created, moved, removed, their permissions changed, and the directory
/// itself moved.
const NAMES: u32 = libc::IN_CREATE
    | libc::IN_MOVED_TO
    | libc::IN_MOVED_FROM
    | libc::IN_DELETE
    | libc::IN_ATTRIB
    | libc::IN_MOVE_SELF;

/// Events for changed source files: closed after writing, not each write. Nothing of unlinked files that are still
/// open.
const CLOSED: u32 = libc::IN_CLOSE_WRITE
    | libc::IN_CREATE
    | libc::IN_MOVED_TO
    | libc::IN_MOVED_FROM
    | libc::IN_DELETE
    | libc::IN_EXCL_UNLINK
    | libc::IN_ONLYDIR;

/// Events for removal: files in a directory, or the directory itself, removed or moved.
const REMOVAL: u32 = libc::IN_DELETE
    | libc::IN_MOVED_FROM
    | libc::IN_DELETE_SELF
    | libc::IN_MOVE_SELF
    | libc::IN_ONLYDIR;

/// The file in `/proc` of the limit that an error reports; `None` for other errors. `inotify(7)`
pub fn limit(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error()? {
        libc::EMFILE => Some("/proc/sys/fs/inotify/max_user_instances"),
        libc::ENOSPC => Some("/proc/sys/fs/inotify/max_user_watches"),
        _ => None,
    }
}

/// A new instance, with an error for users.
///
/// # Errors
/// As [`explained`].
pub fn watcher(doing: &str) -> Result<Watcher> {
    Watcher::new().map_err(|error| explained(doing, &error))
}

/// The error of creating an instance or a watch. Names the limit if one was reached, and what to do.
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
    ///
    /// # Errors
    /// As `inotify_init1(2)`.
    pub fn new() -> io::Result<Watcher> {
        // SAFETY: takes only flags; nothing else owns the new descriptor.
        unsafe {
            let fd = check(libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK))?;
            Ok(Watcher(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Watches a file, or the files of a directory, for following log files.
    ///
    /// # Errors
    /// As `inotify_add_watch(2)`; [`limit`] names the limit that was reached.
    pub fn add(&self, path: &Path) -> io::Result<i32> {
        self.add_for(path, CHANGES)
    }

    /// Watches a directory for changes of the names in it, not for writes.
    ///
    /// # Errors
    /// As [`Watcher::add`].
    pub fn add_for_names(&self, folder: &Path) -> io::Result<i32> {
        self.add_for(folder, NAMES)
    }

    /// Watches a file for writes and truncation, even after it is renamed.
    ///
    /// # Errors
    /// As [`Watcher::add`].
    pub fn add_for_writing(&self, file: &Path) -> io::Result<i32> {
        self.add_for(file, libc::IN_MODIFY)
    }

    /// Watches a directory for files in it that are closed after writing, created, moved or removed.
    ///
    /// # Errors
    /// As [`Watcher::add`].
    pub fn add_for_work(&self, folder: &Path) -> io::Result<i32> {
        self.add_for(folder, CLOSED)
    }

    /// Watches a directory for files removed from it or moved away, and for its own removal.
    ///
    /// # Errors
    /// As [`Watcher::add`].
    pub fn add_for_removal(&self, folder: &Path) -> io::Result<i32> {
        self.add_for(folder, REMOVAL)
    }

    fn add_for(&self, path: &Path, mask: u32) -> io::Result<i32> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: the path ends in NUL and lives during the call.
        check(unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), mask) })
    }

    /// Removes a watch.
    pub fn remove(&self, watch: i32) {
        // SAFETY: takes only numbers. It fails without effect if the watch is already gone.
        unsafe { libc::inotify_rm_watch(self.0.as_raw_fd(), watch) };
    }

    /// The descriptor to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The pending events, possibly none; the next call returns what does not fit into 4096 bytes.
    ///
    /// # Errors
    /// As `read(2)`.
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
    fn a_new_file_in_a_directory_is_reported() {
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
    fn a_written_file_is_reported_when_it_is_closed() {
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
