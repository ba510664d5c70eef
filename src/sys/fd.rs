//! Descriptors: reading, writing, and what is passed on.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use super::{check, check_size};

/// Makes the open file description non-blocking, `fcntl(2)` F_SETFL.
pub fn set_nonblocking(fd: BorrowedFd) -> io::Result<()> {
    // SAFETY: F_GETFL and F_SETFL take no pointer; the descriptor is open, as it is borrowed.
    unsafe {
        let flags = check(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL))?;
        check(libc::fcntl(
            fd.as_raw_fd(),
            libc::F_SETFL,
            flags | libc::O_NONBLOCK,
        ))?;
    }
    Ok(())
}

/// A pipe, read end first, both blocking. `pipe2(2)`
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors into an array of two, and nobody else owns them.
    unsafe {
        check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
        let [read, write] = ends;
        Ok((OwnedFd::from_raw_fd(read), OwnedFd::from_raw_fd(write)))
    }
}

/// The longest record, in bytes: a request has at most 1 MiB, and so has what is recorded of it.
const LONGEST_RECORD: u64 = 16 << 20;

/// All that is in a record, or in another small file. Something else in its place is an error, and holds nobody up.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    super::open::read(path, LONGEST_RECORD)
}

/// Reads once; a signal in between is no failure. `read(2)`
pub fn read(fd: BorrowedFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the pointer and length describe a buffer that is ours to write.
        let n = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        match check_size(n) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Reads once from a place in the file. `pread(2)`
pub fn read_at(fd: BorrowedFd, buffer: &mut [u8], offset: i64) -> io::Result<usize> {
    // SAFETY: the pointer and length describe a buffer that is ours to write.
    let n = unsafe {
        libc::pread(
            fd.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            offset,
        )
    };
    check_size(n)
}

/// Writes once, perhaps not all; a signal in between is no failure. `write(2)`
pub fn write(fd: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the pointer and length describe bytes that live during the call.
        let n = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
        match check_size(n) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// `/dev/null`, for reading and writing.
pub fn open_null() -> io::Result<OwnedFd> {
    let file = File::options().read(true).write(true).open("/dev/null")?;
    Ok(file.into())
}

/// Puts `/dev/null` in the place of descriptors 0, 1 and 2.
pub fn replace_stdio(null: BorrowedFd) -> io::Result<()> {
    for standard in 0..=2 {
        // SAFETY: dup2 takes no pointer; 0, 1 and 2 are owned by nobody in this crate.
        check(unsafe { libc::dup2(null.as_raw_fd(), standard) })?;
    }
    Ok(())
}

/// Marks every descriptor from 3 up CLOEXEC: whoever started us may have left some open, and a
/// terminal or ssh session hangs on them as long as a program holds one. `close_range(2)`
pub fn sweep_cloexec() {
    let flags = libc::CLOSE_RANGE_CLOEXEC as libc::c_uint;
    // SAFETY: nothing is closed.
    let done = unsafe { close_range(3, libc::c_uint::MAX, flags) };
    if done.is_err() {
        for fd in open_descriptors() {
            // SAFETY: FD_CLOEXEC changes what exec does with the descriptor and nothing else.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Whether this number is open, above the standard ones, and has passed an `execve(2)`: what this process has opened
/// itself is CLOEXEC from birth.
pub(super) fn is_inherited(number: RawFd) -> bool {
    // SAFETY: the command takes no pointer; a number that is not open is refused by it.
    number > 2 && unsafe { libc::fcntl(number, libc::F_GETFD) & libc::FD_CLOEXEC } == 0
}

/// Closes what this process was executed with, but for the standard descriptors and what was taken: whoever started it
/// may have left some open.
pub fn close_inherited() {
    for number in open_descriptors().into_iter().filter(|n| is_inherited(*n)) {
        // SAFETY: nobody in this process owns it, see `is_inherited`.
        unsafe { libc::close(number) };
    }
}

/// Closes every descriptor from 3 up but those of `keep`: what a forked daemon inherited is not its own.
///
/// # Safety
///
/// No value that owns another descriptor may be used or dropped afterwards.
pub(super) unsafe fn close_all_except(keep: &[RawFd]) {
    let mut kept: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd >= 3).collect();
    kept.sort_unstable();
    let mut from: libc::c_uint = 3;
    let mut failed = false;
    for fd in kept
        .iter()
        .filter_map(|fd| libc::c_uint::try_from(*fd).ok())
    {
        if fd > from {
            // SAFETY: the caller has given them up.
            failed |= unsafe { close_range(from, fd - 1, 0) }.is_err();
        }
        from = fd.saturating_add(1);
    }
    // SAFETY: as above.
    failed |= unsafe { close_range(from, libc::c_uint::MAX, 0) }.is_err();
    if failed {
        for fd in open_descriptors()
            .into_iter()
            .filter(|fd| !keep.contains(fd))
        {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }
    }
}

/// # Safety
///
/// Without CLOSE_RANGE_CLOEXEC in `flags`, what is closed must be used by nobody any more.
unsafe fn close_range(
    first: libc::c_uint,
    last: libc::c_uint,
    flags: libc::c_uint,
) -> io::Result<()> {
    // SAFETY: the call takes numbers only; what it closes the caller has given up.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The descriptors from 3 up that are open, for kernels before 5.9 (close_range).
fn open_descriptors() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    names.filter(|fd| *fd >= 3).collect()
}

/// The limits of open descriptors, soft then hard. `getrlimit(2)` RLIMIT_NOFILE
pub fn nofile_limit() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one rlimit into one rlimit.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Raises the soft limit to the hard one and returns what both were, so that programs get them back.
pub fn raise_nofile() -> io::Result<(u64, u64)> {
    let (soft, hard) = nofile_limit()?;
    let limit = libc::rlimit {
        rlim_cur: hard,
        rlim_max: hard,
    };
    // SAFETY: the kernel reads one rlimit.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok((soft, hard))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_pipe_carries_bytes_and_is_not_inherited() {
        let (out, into) = pipe().unwrap();
        assert_eq!(write(into.as_fd(), b"abc").unwrap(), 3);
        let mut buffer = [0; 8];
        assert_eq!(read(out.as_fd(), &mut buffer).unwrap(), 3);
        // SAFETY: F_GETFD reads a flag.
        let flags = unsafe { libc::fcntl(out.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags, libc::FD_CLOEXEC);
        set_nonblocking(out.as_fd()).unwrap();
        let empty = read(out.as_fd(), &mut buffer).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }
}
