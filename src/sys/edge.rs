//! Hearing once of each change of descriptors that stay readable all the while. `epoll(7)` EPOLLET

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;

/// A set of descriptors. It is polled itself: it is readable when something has come to one of them.
#[derive(Debug)]
pub struct EdgeSet(OwnedFd);

/// How many are told of at once.
const AT_ONCE: usize = 32;

impl EdgeSet {
    /// An empty set.
    pub fn new() -> io::Result<EdgeSet> {
        // SAFETY: takes flags; the new descriptor is ours alone.
        unsafe {
            let fd = check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?;
            Ok(EdgeSet(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Adds a descriptor, which is told of as `name` whenever something new can be read from it, and once now if there
    /// is something. It leaves the set when it is closed.
    pub fn add(&self, fd: BorrowedFd, name: u64) -> io::Result<()> {
        let events = (libc::EPOLLIN | libc::EPOLLET) as u32;
        let mut event = libc::epoll_event { events, u64: name };
        let (set, fd) = (self.0.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: the structure lives during the call.
        check(unsafe { libc::epoll_ctl(set, libc::EPOLL_CTL_ADD, fd, &raw mut event) }).map(drop)
    }

    /// What to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Those that something has come to since they were last told of; what does not fit is told of next time.
    pub fn changed(&self) -> Vec<u64> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; AT_ONCE];
        let room = AT_ONCE as libc::c_int;
        // SAFETY: the kernel fills in at most `room` structures of plain data.
        let n =
            check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), room, 0) });
        let n = n.ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        events.iter().take(n).map(|event| event.u64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;

    #[test]
    fn each_write_is_told_of_once_though_nobody_reads() {
        let (out, into) = fd::pipe().unwrap();
        let set = EdgeSet::new().unwrap();
        set.add(out.as_fd(), 7).unwrap();
        assert_eq!(set.changed(), []);
        for _ in 0..3 {
            fd::write(into.as_fd(), b"x").unwrap();
            assert_eq!(set.changed(), [7]);
            assert_eq!(set.changed(), []);
        }
        drop(out);
        assert_eq!(set.changed(), []);
    }
}
