//! A reserve of descriptors. Long-lived descriptors may not use the last numbers, so that signals, records, `/proc`,
//! the shutdown, and the client that asks for it still find some at the limit.
//!
//! A new descriptor has the lowest number that is free (`open(2)`): so many at least are in use as its number says.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::fd;

/// What holds descriptors for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// What is quicker when it is held, and can be opened each time.
    Cache,
    /// What tells of an end, and can be looked at time and again instead.
    Watch,
    /// A program.
    Program,
    /// A client, who may have come to end programs.
    Client,
}

/// The part of the limit that is kept free, and the least and the most of that.
const PART: u64 = 8;
const LEAST: u64 = 4;
const MOST: u64 = 32;
/// What one launch takes: both ends of a pipe, and a file in the child.
const ONE_LAUNCH: u64 = 3;

impl Holder {
    /// How many of `limit` it leaves free.
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

/// Whether this new descriptor leaves the room free that its holder must.
pub fn leaves_room(new: BorrowedFd, holder: Holder) -> bool {
    let Ok((limit, _)) = fd::nofile_limit() else {
        return true;
    };
    let number = u64::try_from(new.as_raw_fd()).unwrap_or(0);
    number < limit.saturating_sub(holder.leaves(limit))
}

/// The same as a result: it fails as the kernel does at the limit.
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
    fn clients_may_have_what_programs_may_not() {
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
