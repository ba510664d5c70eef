//! Waiting for events on descriptors. `poll(2)`

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// The requested events of a descriptor. Hang-up and errors are always reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interest {
    /// Data to read.
    pub read: bool,
    /// Space to write.
    pub write: bool,
}

impl Interest {
    /// Reading only.
    pub const READ: Interest = Interest {
        read: true,
        write: false,
    };
}

/// The events of a descriptor. End of file on a pipe is a hang-up without `readable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready {
    /// Reading will not block.
    pub readable: bool,
    /// Writing will not block.
    pub writable: bool,
    /// The other end was closed.
    pub hangup: bool,
    /// An error condition, or the descriptor is not open.
    pub error: bool,
}

/// The descriptors of one iteration of an event loop, each with a token that identifies its events. It is rebuilt for each
/// iteration, so no entry outlives its descriptor.
#[derive(Debug)]
pub struct PollSet<T> {
    fds: Vec<libc::pollfd>,
    tokens: Vec<T>,
}

impl<T: Copy> Default for PollSet<T> {
    fn default() -> Self {
        PollSet {
            fds: Vec::new(),
            tokens: Vec::new(),
        }
    }
}

impl<T: Copy> PollSet<T> {
    /// Empties the set, and keeps its memory.
    pub fn clear(&mut self) {
        self.fds.clear();
        self.tokens.clear();
    }

    /// Adds a descriptor, which must stay open until [`PollSet::wait`] returns.
    pub fn push(&mut self, fd: BorrowedFd, interest: Interest, token: T) {
        let mut events = 0;
        if interest.read {
            events |= libc::POLLIN;
        }
        if interest.write {
            events |= libc::POLLOUT;
        }
        self.fds.push(libc::pollfd {
            fd: fd.as_raw_fd(),
            events,
            revents: 0,
        });
        self.tokens.push(token);
    }

    /// Waits for an event until the timeout expires; `None` waits without limit. Returns whether a signal interrupted it,
    /// with no events. `ppoll(2)`
    ///
    /// # Errors
    /// As `ppoll(2)`, except `EINTR`.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let limit = timeout.map(|t| libc::timespec {
            tv_sec: libc::time_t::try_from(t.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(t.subsec_nanos()),
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let count = libc::nfds_t::try_from(self.fds.len()).unwrap_or(0);
        // SAFETY: the array has `count` entries; the timespec is null or outlives the call; the mask is null. A descriptor
        // that was closed meanwhile only yields POLLNVAL.
        let ready = unsafe { libc::ppoll(self.fds.as_mut_ptr(), count, limit, std::ptr::null()) };
        if ready >= 0 {
            return Ok(false);
        }
        for fd in &mut self.fds {
            fd.revents = 0;
        }
        match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::Interrupted => Ok(true),
            e => Err(e),
        }
    }

    /// All descriptors as if they were readable, for an iteration in which [`PollSet::wait`] failed. Reading shows which
    /// are.
    pub fn presumed_ready(&self) -> impl Iterator<Item = (T, Ready)> {
        let ready = Ready {
            readable: true,
            ..Ready::default()
        };
        self.tokens.iter().map(move |token| (*token, ready))
    }

    /// The descriptors with events.
    pub fn ready(&self) -> impl Iterator<Item = (T, Ready)> {
        let pairs = self.fds.iter().zip(&self.tokens);
        pairs.filter(|(fd, _)| fd.revents != 0).map(|(fd, token)| {
            let has = |bits| fd.revents & bits != 0;
            let ready = Ready {
                readable: has(libc::POLLIN),
                writable: has(libc::POLLOUT),
                hangup: has(libc::POLLHUP),
                error: has(libc::POLLERR | libc::POLLNVAL),
            };
            (*token, ready)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn data_end_of_file_and_no_event_are_told_apart() {
        let (out, into) = crate::sys::fd::pipe().unwrap();
        let mut set = PollSet::default();
        let mut look = |limit| {
            set.clear();
            set.push(out.as_fd(), Interest::READ, 7);
            set.wait(limit).unwrap();
            set.ready().next()
        };
        assert_eq!(look(Some(Duration::ZERO)), None);
        crate::sys::fd::write(into.as_fd(), b"x").unwrap();
        assert_eq!(
            look(None).unwrap(),
            (
                7,
                Ready {
                    readable: true,
                    ..Ready::default()
                }
            )
        );
        crate::sys::fd::read(out.as_fd(), &mut [0; 4]).unwrap();
        drop(into);
        // A forked child of a concurrent test may hold the other end a moment longer.
        let ended = std::iter::repeat_with(|| look(None)).flatten().next();
        assert_eq!(
            ended.unwrap().1,
            Ready {
                hangup: true,
                ..Ready::default()
            }
        );
    }
}
