//! A reserve of descriptors. Long-lived descriptors may not use the last ones below the limit, so that signals, records,
//! `/proc`, the shutdown, and the client that requests it still work.
//!
//! A new descriptor has the lowest free number (`open(2)`), so at least that many are in use.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::fd;

/// The purpose of a long-lived descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Kept open for speed; could be opened each time.
    Cache,
    /// Reports the exit of a process; could be polled on a timer instead.
    Watch,
    /// A program.
    Program,
    /// A client, which may be needed to stop programs.
    Client,
}

/// The reserve: 1/PART of the limit, but at least LEAST and at most MOST.
const PART: u64 = 8;
const LEAST: u64 = 4;
const MOST: u64 = 32;
/// The descriptors that one launch needs: both ends of a pipe, and a file in the child.
const ONE_LAUNCH: u64 = 3;

impl Holder {
    /// How many descriptors below `limit` it must leave free.
    fn leaves(self, limit: u64) -> u64 {
        let kept = (limit / PART).clamp(LEAST, MOST);
        match self {
            Holder::Cache => limit - limit / 4,
            Holder::Watch => limit / 2,
            Holder::Program => kept,
            Holder::Client => (kept / 2).max(ONE_LAUNCH),
        }
    }
}

/// Whether a new descriptor leaves as many free as its holder must.
pub fn leaves_room(new: BorrowedFd, holder: Holder) -> bool {
    let Ok((limit, _)) = fd::nofile_limit() else {
        return true;
    };
    let number = u64::try_from(new.as_raw_fd()).unwrap_or(0);
    number < limit.saturating_sub(holder.leaves(limit))
}

/// The same as a result.
///
/// # Errors
/// `EMFILE`, as the kernel at the limit.
pub fn check(new: BorrowedFd, holder: Holder) -> std::io::Result<()> {
    if leaves_room(new, holder) {
        Ok(())
    } else {
        Err(std::io::Error::from_raw_os_error(libc::EMFILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn more_important_holders_leave_fewer_free() {
        for limit in [16, 20, 64, 1024, 1 << 20] {
            let holders = [
                Holder::Cache,
                Holder::Watch,
                Holder::Program,
                Holder::Client,
            ];
            let left = holders.map(|holder| holder.leaves(limit));
            assert!(left.is_sorted_by(|a, b| a > b) && left[3] > 0, "{left:?}");
        }
        let null = fd::open_null().unwrap();
        assert!(leaves_room(null.as_fd(), Holder::Client));
    }
}
