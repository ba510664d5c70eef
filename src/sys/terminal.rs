//! Terminals.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// Whether the descriptor is a terminal. `isatty(3)`
pub fn is_terminal(fd: BorrowedFd) -> bool {
    std::io::IsTerminal::is_terminal(&fd)
}

/// How many columns the terminal has. `ioctl_tty(2)` TIOCGWINSZ
pub fn columns(fd: BorrowedFd) -> Option<usize> {
    // SAFETY: a winsize is plain data that the kernel fills in.
    let (result, size) = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        let result = libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size);
        (check(result), size)
    };
    result.ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
