//! Notification of every write to a pipe that stays readable. `fcntl(2)` O_ASYNC, `signalfd(2)`
//!
//! Unlike epoll(7), it also notifies when a writer fills a pipe that was not empty and blocks within a long write.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{check, fd};

/// Becomes readable when a process writes to one of the watched pipes.
#[derive(Debug)]
pub struct PipeNotify(OwnedFd);

/// struct f_owner_ex of <fcntl.h>, its command, and its type for a thread.
#[repr(C)]
struct Owner {
    kind: libc::c_int,
    pid: libc::pid_t,
}
const F_SETOWN_EX: libc::c_int = 15;
const F_OWNER_TID: libc::c_int = 0;

impl PipeNotify {
    /// Watches no pipe yet. Blocks SIGIO for this thread.
    pub fn new() -> io::Result<PipeNotify> {
        // SAFETY: the sets are plain bits on this stack; the new descriptor is ours alone.
        unsafe {
            let mut only: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut only);
            libc::sigaddset(&raw mut only, libc::SIGIO);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const only, std::ptr::null_mut());
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            let fd = check(libc::signalfd(-1, &raw const only, flags))?;
            Ok(PipeNotify(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Notifies of each write to a pipe from now on.
    pub fn watch(&self, pipe: BorrowedFd) -> io::Result<()> {
        let owner = Owner {
            kind: F_OWNER_TID,
            // SAFETY: only returns a number.
            pid: unsafe { libc::gettid() },
        };
        // SAFETY: the kernel reads a structure that lives during the call.
        check(unsafe { libc::fcntl(pipe.as_raw_fd(), F_SETOWN_EX, &raw const owner) })?;
        set_flags(pipe, |flags| flags | libc::O_ASYNC)
    }

    /// Stops to notify of writes to a pipe.
    pub fn unwatch(&self, pipe: BorrowedFd) -> io::Result<()> {
        set_flags(pipe, |flags| flags & !libc::O_ASYNC)
    }

    /// The descriptor to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Makes the descriptor unreadable until the next write.
    pub fn clear(&self) {
        // struct signalfd_siginfo; pending signals of one number are one.
        let mut info = [0; 128];
        let _ = fd::read(self.0.as_fd(), &mut info);
    }
}

/// Changes the flags of an open file description. `fcntl(2)`
fn set_flags(fd: BorrowedFd, change: impl Fn(libc::c_int) -> libc::c_int) -> io::Result<()> {
    // SAFETY: takes and returns numbers.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: takes numbers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, change(flags)) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Interest, PollSet};
    use crate::sys::{fifo, wait};
    use std::time::Duration;

    fn notifies(notify: &PipeNotify, time: Duration) -> bool {
        let mut set = PollSet::default();
        set.push(notify.fd(), Interest::READ, ());
        set.wait(Some(time)).unwrap();
        let notified = set.ready().next().is_some();
        notify.clear();
        notified
    }

    #[test]
    fn each_write_notifies_though_nothing_is_read() {
        let (out, into) = fd::pipe().unwrap();
        let notify = PipeNotify::new().unwrap();
        notify.watch(out.as_fd()).unwrap();
        for _ in 0..3 {
            assert!(!notifies(&notify, Duration::ZERO));
            fd::write(into.as_fd(), b"x").unwrap();
            assert!(notifies(&notify, Duration::ZERO));
        }
        notify.unwatch(out.as_fd()).unwrap();
        fd::write(into.as_fd(), b"x").unwrap();
        assert!(!notifies(&notify, Duration::ZERO));
    }

    #[test]
    fn a_writer_that_blocks_within_a_write_notifies_too() {
        use crate::sys::daemonize::{Fork, exit_now, fork};
        let (out, into) = fd::pipe().unwrap();
        fd::write(into.as_fd(), b"x").unwrap();
        let notify = PipeNotify::new().unwrap();
        notify.watch(out.as_fd()).unwrap();
        let writer = match fork().unwrap() {
            Fork::Child => {
                let _ = fd::write(into.as_fd(), &[b'y'; 100_000]);
                exit_now(0)
            }
            Fork::Parent(pid) => pid,
        };
        assert!(notifies(&notify, Duration::from_secs(30)));
        assert!(fifo::waiting(out.as_fd()) > 60_000);
        let mut buffer = vec![0; 1 << 17];
        let mut left = 100_001;
        while left > 0 {
            left -= fd::read(out.as_fd(), &mut buffer).unwrap();
        }
        wait::wait_for(writer);
    }
}
