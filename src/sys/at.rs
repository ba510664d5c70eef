//! Files named relative to an open directory: `openat(2)` and related calls.
//!
//! Nothing here allocates, so a child may call it between fork and exec.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::{check, check_size};

/// The directory that a name is relative to.
#[derive(Debug, Clone, Copy)]
pub enum Base<'a> {
    /// An open directory.
    Folder(BorrowedFd<'a>),
    /// The working directory; for a name that is an absolute path.
    Working,
}

impl Base<'_> {
    fn raw(self) -> RawFd {
        match self {
            Base::Folder(folder) => folder.as_raw_fd(),
            Base::Working => libc::AT_FDCWD,
        }
    }
}

/// Checks whether files may be created in a folder. `faccessat(2)`
pub fn check_write(base: Base, folder: &CStr) -> io::Result<()> {
    let mode = libc::W_OK | libc::X_OK;
    // SAFETY: the path ends in NUL and lives during the call.
    check(unsafe { libc::faccessat(base.raw(), folder.as_ptr(), mode, libc::AT_EACCESS) }).map(drop)
}

/// The status of a file. `stat(2)`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Stat {
    pub uid: u32,
    pub gid: u32,
    /// Type and permissions.
    pub mode: u32,
    /// The number of hard links.
    pub links: u64,
    pub device: u64,
    pub inode: u64,
}

impl Stat {
    fn of(raw: &libc::stat) -> Stat {
        Stat {
            uid: raw.st_uid,
            gid: raw.st_gid,
            mode: raw.st_mode,
            #[allow(clippy::unnecessary_cast)] // 32 bits on some architectures.
            links: raw.st_nlink as u64,
            device: raw.st_dev,
            inode: raw.st_ino,
        }
    }

    fn is(&self, kind: libc::mode_t) -> bool {
        self.mode & libc::S_IFMT == kind
    }

    /// Whether it is a directory.
    pub fn is_folder(&self) -> bool {
        self.is(libc::S_IFDIR)
    }

    /// Whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.is(libc::S_IFLNK)
    }

    /// Whether it is a regular file.
    pub fn is_regular(&self) -> bool {
        self.is(libc::S_IFREG)
    }
}

/// Opens a file, CLOEXEC. `mode` applies if it is created.
///
/// # Errors
/// As `openat(2)`.
pub fn open(base: Base, name: &CStr, flags: libc::c_int, mode: u32) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: the name ends in NUL; nothing else owns the new descriptor.
    unsafe {
        let fd = check(libc::openat(base.raw(), name.as_ptr(), flags, mode))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// The status of an open file, which may be opened with O_PATH.
///
/// # Errors
/// As `fstat(2)`.
pub fn stat(file: BorrowedFd) -> io::Result<Stat> {
    // SAFETY: a stat is plain data that the kernel fills in.
    unsafe {
        let mut raw: libc::stat = std::mem::zeroed();
        check(libc::fstat(file.as_raw_fd(), &raw mut raw))?;
        Ok(Stat::of(&raw))
    }
}

/// The status of the file of this name. A symbolic link is not followed.
///
/// # Errors
/// As `fstatat(2)`.
pub fn stat_at(base: Base, name: &CStr) -> io::Result<Stat> {
    // SAFETY: the name ends in NUL; a stat is plain data that the kernel fills in.
    unsafe {
        let mut raw: libc::stat = std::mem::zeroed();
        let flags = libc::AT_SYMLINK_NOFOLLOW;
        check(libc::fstatat(
            base.raw(),
            name.as_ptr(),
            &raw mut raw,
            flags,
        ))?;
        Ok(Stat::of(&raw))
    }
}

/// Reads the target of a symbolic link, opened with O_PATH and O_NOFOLLOW, into a buffer, and returns its length in bytes.
/// `readlinkat(2)`
///
/// # Errors
/// As `readlinkat(2)`.
pub fn read_link(link: BorrowedFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the empty name ends in NUL and means the descriptor; the kernel writes at most the buffer's length.
    let length = unsafe {
        libc::readlinkat(
            link.as_raw_fd(),
            c"".as_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
        )
    };
    check_size(length)
}

/// Makes a directory.
///
/// # Errors
/// As `mkdirat(2)`.
pub fn make_folder(base: Base, name: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: the name ends in NUL.
    check(unsafe { libc::mkdirat(base.raw(), name.as_ptr(), mode) }).map(drop)
}

/// Renames a file within its directory.
///
/// # Errors
/// As `renameat(2)`.
pub fn rename(base: Base, from: &CStr, to: &CStr) -> io::Result<()> {
    let folder = base.raw();
    // SAFETY: both names end in NUL.
    check(unsafe { libc::renameat(folder, from.as_ptr(), folder, to.as_ptr()) }).map(drop)
}

/// Removes a file that is not a directory.
///
/// # Errors
/// As `unlinkat(2)`.
pub fn remove(base: Base, name: &CStr) -> io::Result<()> {
    // SAFETY: the name ends in NUL.
    check(unsafe { libc::unlinkat(base.raw(), name.as_ptr(), 0) }).map(drop)
}
