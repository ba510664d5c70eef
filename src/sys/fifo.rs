//! Named pipes, which hold the output of a program until it is read. `fifo(7)`

use std::ffi::CString;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::{check, check_size};

/// Makes a FIFO that only this user may read. Every user may write to it, so that a program that has changed its user can
/// open `/dev/stdout`. `mkfifo(3)`
pub fn make(path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends in NUL and lives during the call.
    check(unsafe { libc::mkfifo(name.as_ptr(), 0o600) })?;
    // The file creation mask does not apply here, and is the whole process's to change.
    std::fs::set_permissions(path, Permissions::from_mode(0o622))
}

/// Opens a FIFO for reading and writing, with O_NONBLOCK: its readers never see an end of file.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let mut options = File::options();
    let options = options.read(true).write(true);
    let file = options
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        Ok(file.into())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "not a FIFO"))
    }
}

/// The number of bytes in a pipe. `ioctl(2)` FIONREAD
pub fn waiting(fd: BorrowedFd) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    let done = check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut count) });
    done.ok()
        .and_then(|_| usize::try_from(count).ok())
        .unwrap_or(0)
}

/// Passes the first `most` bytes of a pipe to `see` and leaves them there; returns their number. They pass through
/// `scratch`, an empty pipe: what does not fit into it is not seen. `tee(2)`
pub fn look(
    fd: BorrowedFd,
    scratch: &(OwnedFd, OwnedFd),
    most: usize,
    mut see: impl FnMut(&[u8]),
) -> usize {
    let (out, into) = scratch;
    let flags = libc::SPLICE_F_NONBLOCK;
    // SAFETY: takes descriptors and numbers.
    let copied = check_size(unsafe { libc::tee(fd.as_raw_fd(), into.as_raw_fd(), most, flags) });
    let copied = copied.unwrap_or(0);
    let mut buffer = [0; LOOK];
    let mut left = copied;
    while left > 0 {
        match super::fd::read(out.as_fd(), &mut buffer) {
            Ok(n @ 1..) => {
                see(buffer.get(..n).unwrap_or_default());
                left = left.saturating_sub(n);
            }
            _ => break,
        }
    }
    copied
}

/// Ends a partial line at the end of a pipe with LF. A pipe that holds more than can be seen is left alone.
pub fn end_line(fd: BorrowedFd) -> io::Result<()> {
    let waiting = waiting(fd);
    if waiting == 0 {
        return Ok(());
    }
    let scratch = super::fd::pipe()?;
    let mut last = None;
    if waiting > PIPE {
        grow(scratch.1.as_fd(), MOST)?;
    }
    let seen = look(fd, &scratch, waiting, |piece| last = piece.last().copied());
    match last {
        Some(b'\n') | None => Ok(()),
        Some(_) if seen < waiting => Ok(()),
        Some(_) => super::fd::write(fd, b"\n").map(drop),
    }
}

/// The default size of a pipe, in bytes, and the largest that an unprivileged user may have. `pipe(7)`
const PIPE: usize = 64 << 10;
const MOST: i32 = 1 << 20;
/// The size of the pieces that `look` passes on, in bytes.
const LOOK: usize = 16 << 10;

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
    fn a_pipe_keeps_its_bytes_for_the_next_reader() {
        let path = std::env::temp_dir().join(format!("rpm-fifo-{}", std::process::id()));
        make(&path).unwrap();
        let program = open(&path).unwrap();
        fd::write(program.as_fd(), b"abc").unwrap();
        let reader = open(&path).unwrap();
        let scratch = fd::pipe().unwrap();
        let mut seen = Vec::new();
        let n = look(reader.as_fd(), &scratch, 2, |bytes| seen.extend(bytes));
        assert_eq!((n, seen.as_slice()), (2, &b"ab"[..]));
        assert_eq!(waiting(reader.as_fd()), 3);
        assert!(grow(reader.as_fd(), 1 << 17).unwrap() >= 1 << 17);
        let mut buffer = [0; 8];
        assert_eq!(fd::read(reader.as_fd(), &mut buffer).unwrap(), 3);
        let empty = fd::read(reader.as_fd(), &mut buffer).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(look(reader.as_fd(), &scratch, 9, |_| ()), 0);
        end_line(reader.as_fd()).unwrap();
        assert_eq!(waiting(reader.as_fd()), 0);
        for (text, then) in [("a", 2), ("b", 4), ("c\n", 6)] {
            fd::write(program.as_fd(), text.as_bytes()).unwrap();
            end_line(reader.as_fd()).unwrap();
            assert_eq!(waiting(reader.as_fd()), then);
        }
        fd::write(program.as_fd(), &[b'x'; 100_000]).unwrap();
        end_line(reader.as_fd()).unwrap();
        assert_eq!(waiting(reader.as_fd()), 100_007);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "x").unwrap();
        assert_eq!(open(&path).unwrap_err().to_string(), "not a FIFO");
        std::fs::remove_file(&path).unwrap();
    }
}
