//! Files by name in an open folder: `openat(2)` and related calls.
//!
//! Nothing here allocates, so that a child between fork and exec may use it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::{check, check_size};

/// What a name is relative to.
#[derive(Debug, Clone, Copy)]
pub enum Base<'a> {
    /// An open folder.
    Folder(BorrowedFd<'a>),
    /// The working folder, for a name that is a whole path.
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

/// What is known of a file. `stat(2)`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Stat {
    pub uid: u32,
    pub gid: u32,
    /// Type and permissions.
    pub mode: u32,
    /// How many names it has.
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

    /// Whether it is a folder.
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

/// Opens a file, CLOEXEC. `mode` counts where it is created.
pub fn open(base: Base, name: &CStr, flags: libc::c_int, mode: u32) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: the name ends in NUL; the new descriptor is ours alone.
    unsafe {
        let fd = check(libc::openat(base.raw(), name.as_ptr(), flags, mode))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// What an open file is; it may be opened by O_PATH.
pub fn stat(file: BorrowedFd) -> io::Result<Stat> {
    // SAFETY: a stat is plain data that the kernel fills in.
    unsafe {
        let mut raw: libc::stat = std::mem::zeroed();
        check(libc::fstat(file.as_raw_fd(), &raw mut raw))?;
        Ok(Stat::of(&raw))
    }
}

/// What has this name; of a link, the link itself.
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

/// Where a symbolic link leads that was opened by O_PATH and O_NOFOLLOW: how many bytes of the buffer that fills.
pub fn read_link(link: BorrowedFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the empty name stands for the descriptor; the buffer is ours to write, its length is given.
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

/// Makes a folder. `mkdirat(2)`
pub fn make_folder(base: Base, name: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: the name ends in NUL.
    check(unsafe { libc::mkdirat(base.raw(), name.as_ptr(), mode) }).map(drop)
}

/// Gives a file another name in the same folder. `renameat(2)`
pub fn rename(base: Base, from: &CStr, to: &CStr) -> io::Result<()> {
    let folder = base.raw();
    // SAFETY: both names end in NUL.
    check(unsafe { libc::renameat(folder, from.as_ptr(), folder, to.as_ptr()) }).map(drop)
}

/// Removes a name that is no folder's. `unlinkat(2)`
pub fn remove(base: Base, name: &CStr) -> io::Result<()> {
    // SAFETY: the name ends in NUL.
    check(unsafe { libc::unlinkat(base.raw(), name.as_ptr(), 0) }).map(drop)
}
