//! File descriptors: pipes, reading, writing, inheritance and limits.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use super::{check, check_size};

/// Makes the open file description non-blocking. `fcntl(2)` F_SETFL
///
/// # Errors
/// As `fcntl(2)`.
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

/// A new pipe, blocking, read end first. `pipe2(2)`
///
/// # Errors
/// As `pipe2(2)`.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors into an array of two; nothing else owns them.
    unsafe {
        check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
        let [read, write] = ends;
        Ok((OwnedFd::from_raw_fd(read), OwnedFd::from_raw_fd(write)))
    }
}

/// The longest file that [`read_file`] reads, in bytes. A record is at most as long as a request, 1 MiB.
const LONGEST_RECORD: u64 = 16 << 20;

/// The contents of a record or of another small regular file. Never blocks.
///
/// # Errors
/// As [`super::open::read`].
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    super::open::read(path, LONGEST_RECORD)
}

/// Reads once, and again if a signal interrupts it. `read(2)`
///
/// # Errors
/// As `read(2)`.
pub fn read(fd: BorrowedFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the pointer and length describe a writable buffer.
        let n = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        match check_size(n) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Reads once from an offset in the file. `pread(2)`
///
/// # Errors
/// As `pread(2)`.
pub fn read_at(fd: BorrowedFd, buffer: &mut [u8], offset: i64) -> io::Result<usize> {
    // SAFETY: the pointer and length describe a writable buffer.
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

/// Writes once, possibly a part, and again if a signal interrupts it. `write(2)`
///
/// # Errors
/// As `write(2)`.
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

/// Opens `/dev/null` for reading and writing.
///
/// # Errors
/// As `open(2)`.
pub fn open_null() -> io::Result<OwnedFd> {
    let file = File::options().read(true).write(true).open("/dev/null")?;
    Ok(file.into())
}

/// Replaces descriptors 0, 1 and 2. `dup2(2)`
///
/// # Errors
/// As `dup2(2)`.
pub fn replace_stdio(null: BorrowedFd) -> io::Result<()> {
    for standard in 0..=2 {
        // SAFETY: dup2 takes no pointer; nothing in this crate owns 0, 1 and 2.
        check(unsafe { libc::dup2(null.as_raw_fd(), standard) })?;
    }
    Ok(())
}

/// Marks every descriptor from 3 up CLOEXEC. The parent may have left some open, and a terminal or ssh session does not
/// end while a program holds one. `close_range(2)`
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

/// Whether a descriptor above 2 was inherited over `execve(2)`: it is open and not CLOEXEC. Descriptors that this process
/// opened itself are CLOEXEC.
pub(super) fn is_inherited(number: RawFd) -> bool {
    // SAFETY: the command takes no pointer; it fails on a number that is not open.
    number > 2 && unsafe { libc::fcntl(number, libc::F_GETFD) & libc::FD_CLOEXEC } == 0
}

/// Closes the inherited descriptors that the parent left open, except the standard ones and those that
/// [`super::reexec::inherited`] took.
pub fn close_inherited() {
    for number in open_descriptors().into_iter().filter(|n| is_inherited(*n)) {
        // SAFETY: nothing in this process owns it, see `is_inherited`.
        unsafe { libc::close(number) };
    }
}

/// Closes every descriptor from 3 up except those of `keep`.
///
/// # Safety
///
/// The caller must neither use nor drop a value that owns another descriptor afterwards.
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
            // SAFETY: the caller does not use them any more.
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
/// Without CLOSE_RANGE_CLOEXEC in `flags`, nothing may use the closed descriptors afterwards.
unsafe fn close_range(
    first: libc::c_uint,
    last: libc::c_uint,
    flags: libc::c_uint,
) -> io::Result<()> {
    // SAFETY: the call takes only numbers; the caller does not use what it closes.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The open descriptors from 3 up, for kernels before Linux 5.9 without close_range.
fn open_descriptors() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    names.filter(|fd| *fd >= 3).collect()
}

/// The soft and the hard limit of open descriptors. `getrlimit(2)` RLIMIT_NOFILE
///
/// # Errors
/// As `getrlimit(2)`.
pub fn nofile_limit() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one rlimit into one rlimit.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Raises the soft limit to the hard limit, and returns the old limits, which programs get back.
///
/// # Errors
/// As `setrlimit(2)`.
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
    fn a_pipe_is_cloexec_and_can_be_made_non_blocking() {
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
