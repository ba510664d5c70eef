//! Hearing of each write to a pipe that is readable all the while. `fcntl(2)` O_ASYNC, `signalfd(2)`
//!
//! It is the one thing that also tells of a writer who has filled the pipe and waits within a long write: epoll(7) does
//! not, unless the pipe was empty before.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{check, fd};

/// What rings when somebody writes to one of the pipes.
#[derive(Debug)]
pub struct Bell(OwnedFd);

/// A structure of <fcntl.h>, its command, and the kind of owner that is one thread.
#[repr(C)]
struct Owner {
    kind: libc::c_int,
    pid: libc::pid_t,
}
const F_SETOWN_EX: libc::c_int = 15;
const F_OWNER_TID: libc::c_int = 0;

impl Bell {
    /// One for this thread, which does not get SIGIO in another way any more.
    pub fn new() -> io::Result<Bell> {
        // SAFETY: the sets are plain bits on this stack; the new descriptor is ours alone.
        unsafe {
            let mut only: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut only);
            libc::sigaddset(&raw mut only, libc::SIGIO);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const only, std::ptr::null_mut());
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            let fd = check(libc::signalfd(-1, &raw const only, flags))?;
            Ok(Bell(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Rings at each write to a pipe from now on, or no longer.
    pub fn ring_at(&self, pipe: BorrowedFd, on: bool) -> io::Result<()> {
        let fd = pipe.as_raw_fd();
        // SAFETY: takes numbers, and a structure that lives during the call.
        unsafe {
            if on {
                let owner = Owner {
                    kind: F_OWNER_TID,
                    pid: libc::gettid(),
                };
                check(libc::fcntl(fd, F_SETOWN_EX, &raw const owner))?;
            }
            let flags = check(libc::fcntl(fd, libc::F_GETFL))?;
            let flags = match on {
                true => flags | libc::O_ASYNC,
                false => flags & !libc::O_ASYNC,
            };
            check(libc::fcntl(fd, libc::F_SETFL, flags)).map(drop)
        }
    }

    /// What to poll for reading: it is so once it has rung.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Has it silent again.
    pub fn silence(&self) {
        // struct signalfd_siginfo; however often it rang, there is one.
        let mut told = [0; 128];
        let _ = fd::read(self.0.as_fd(), &mut told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Interest, PollSet};
    use crate::sys::{fifo, wait};
    use std::time::Duration;

    fn rings(bell: &Bell, time: Duration) -> bool {
        let mut set = PollSet::default();
        set.push(bell.fd(), Interest::READ, ());
        set.wait(Some(time)).unwrap();
        let rang = set.ready().next().is_some();
        bell.silence();
        rang
    }

    #[test]
    fn each_write_rings_though_nobody_reads() {
        let (out, into) = fd::pipe().unwrap();
        let bell = Bell::new().unwrap();
        bell.ring_at(out.as_fd(), true).unwrap();
        for _ in 0..3 {
            assert!(!rings(&bell, Duration::ZERO));
            fd::write(into.as_fd(), b"x").unwrap();
            assert!(rings(&bell, Duration::ZERO));
        }
        bell.ring_at(out.as_fd(), false).unwrap();
        fd::write(into.as_fd(), b"x").unwrap();
        assert!(!rings(&bell, Duration::ZERO));
    }

    #[test]
    fn a_writer_that_waits_within_a_write_rings_too() {
        use crate::sys::daemonize::{Fork, exit_now, fork};
        let (out, into) = fd::pipe().unwrap();
        fd::write(into.as_fd(), b"x").unwrap();
        let bell = Bell::new().unwrap();
        bell.ring_at(out.as_fd(), true).unwrap();
        let writer = match fork().unwrap() {
            Fork::Child => {
                let _ = fd::write(into.as_fd(), &[b'y'; 100_000]);
                exit_now(0)
            }
            Fork::Parent(pid) => pid,
        };
        assert!(rings(&bell, Duration::from_secs(30)));
        assert!(fifo::waiting(out.as_fd()) > 60_000);
        let mut buffer = vec![0; 1 << 17];
        let mut left = 100_001;
        while left > 0 {
            left -= fd::read(out.as_fd(), &mut buffer).unwrap();
        }
        wait::wait_for(writer);
    }
}
