//! Runs a function in a forked child with none of the parent's descriptors. A child inherits copies of all of them
//! (clients, programs, the lock); they are closed although values in its memory own them.

use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use super::memory_log::MemoryLog;
use super::pid::Pid;
use super::shared::SharedMemory;
use super::{fd, signal};

/// Types that may be passed on: they own no descriptor.
pub trait Given: sealed::Sealed {}

/// Types whose descriptors are kept.
pub trait Kept: sealed::Kept {}

mod sealed {
    use super::{AsRawFd, MemoryLog, PathBuf, Pid, SharedMemory, UnixListener, UnixStream};

    pub trait Sealed {}
    impl Sealed for (PathBuf, u64) {}
    impl Sealed for (PathBuf, SharedMemory) {}
    impl Sealed for (PathBuf, Option<Pid>) {}
    impl Sealed for (PathBuf, u32, Option<Pid>) {}

    pub trait Kept {
        /// All descriptors that it owns.
        fn numbers(&self) -> Vec<i32>;
    }
    impl Kept for Option<UnixListener> {
        fn numbers(&self) -> Vec<i32> {
            self.iter().map(AsRawFd::as_raw_fd).collect()
        }
    }
    impl Kept for UnixStream {
        fn numbers(&self) -> Vec<i32> {
            vec![self.as_raw_fd()]
        }
    }
    impl Kept for (MemoryLog, UnixStream) {
        fn numbers(&self) -> Vec<i32> {
            vec![self.0.fd().as_raw_fd(), self.1.as_raw_fd()]
        }
    }
}

impl Given for (PathBuf, u64) {}
impl Given for (PathBuf, SharedMemory) {}
impl Given for (PathBuf, Option<Pid>) {}
impl Given for (PathBuf, u32, Option<Pid>) {}
impl Kept for Option<UnixListener> {}
impl Kept for UnixStream {}
impl Kept for (MemoryLog, UnixStream) {}

/// Closes all descriptors from 3 up but those kept, and goes on with `body` alone, which has nothing of what owned
/// them: a plain function captures nothing. It never returns, so that what the callers own is never used or dropped; a
/// panic aborts.
pub fn go_on_apart<K: Kept, T: Given>(kept: K, given: T, body: fn(K, T) -> !) -> ! {
    let keep = kept.numbers();
    let abort = AbortOnUnwind;
    signal::forget_pipe();
    // SAFETY: nobody uses or drops anything that owns another descriptor: what calls this is never returned to, not
    // even by a panic, and the body has only what it is given.
    unsafe { fd::close_all_except(&keep) };
    let _abort = abort;
    body(kept, given)
}

/// Ends the process where a panic would drop the values of the callers.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}
