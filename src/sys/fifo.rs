//! Named pipes: what a program prints to, so that its output waits for whoever comes to read it. `fifo(7)`

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use super::{check, check_size};

/// Makes a FIFO, mode 0600. `mkfifo(3)`
pub fn make(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends in NUL and lives during the call.
    check(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }).map(drop)
}

/// Opens a FIFO for reading and writing, non-blocking: it never comes to its end, it is empty at times.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let mut options = File::options();
    let options = options.read(true).write(true);
    let file = options
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(path)?;
    match file.metadata()?.file_type().is_fifo() {
        true => Ok(file.into()),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "not a FIFO")),
    }
}

/// How many bytes wait in a pipe. `ioctl(2)` FIONREAD
pub fn waiting(fd: BorrowedFd) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    let done = check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut count) });
    done.ok()
        .and_then(|_| usize::try_from(count).ok())
        .unwrap_or(0)
}

/// The first byte that waits in a pipe, which stays there; none where nothing waits. It passes through `scratch`,
/// an empty pipe. `tee(2)`
pub fn peek(fd: BorrowedFd, scratch: &(OwnedFd, OwnedFd)) -> Option<u8> {
    let (out, into) = scratch;
    // SAFETY: takes descriptors and numbers.
    let copied = check_size(unsafe {
        libc::tee(fd.as_raw_fd(), into.as_raw_fd(), 1, libc::SPLICE_F_NONBLOCK)
    });
    let mut byte = [0];
    match copied {
        Ok(1) => super::fd::read(out.as_fd(), &mut byte).ok()?,
        _ => return None,
    };
    Some(u8::from_ne_bytes(byte))
}

/// Enlarges a pipe and returns its size; an unprivileged user may be refused. `fcntl(2)` F_SETPIPE_SZ
pub fn grow(fd: BorrowedFd, bytes: i32) -> io::Result<usize> {
    // SAFETY: the command takes a number.
    let size = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) })?;
    Ok(usize::try_from(size).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;

    #[test]
    fn what_was_written_waits_for_the_next_reader() {
        let path = std::env::temp_dir().join(format!("rpm-fifo-{}", std::process::id()));
        make(&path).unwrap();
        let program = open(&path).unwrap();
        fd::write(program.as_fd(), b"abc").unwrap();
        let reader = open(&path).unwrap();
        let scratch = fd::pipe().unwrap();
        assert_eq!(peek(reader.as_fd(), &scratch), Some(b'a'));
        assert_eq!(waiting(reader.as_fd()), 3);
        assert!(grow(reader.as_fd(), 1 << 17).unwrap() >= 1 << 17);
        let mut buffer = [0; 8];
        assert_eq!(fd::read(reader.as_fd(), &mut buffer).unwrap(), 3);
        let empty = fd::read(reader.as_fd(), &mut buffer).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(peek(reader.as_fd(), &scratch), None);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "x").unwrap();
        assert_eq!(open(&path).unwrap_err().to_string(), "not a FIFO");
        std::fs::remove_file(&path).unwrap();
    }
}
