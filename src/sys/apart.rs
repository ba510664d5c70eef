//! Runs a function in a forked child with none of the parent's descriptors. A child inherits copies of all of them
//! (clients, programs, the lock); they are closed although values in its memory own them.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use super::pid::Pid;
use super::shared::SharedMemory;
use super::{fd, signal};

/// Types that may be passed on: they own no descriptor.
pub trait Given: sealed::Sealed {}

mod sealed {
    use super::{PathBuf, Pid, SharedMemory};

    pub trait Sealed {}
    impl Sealed for Vec<PathBuf> {}
    impl Sealed for (PathBuf, SharedMemory) {}
    impl Sealed for (PathBuf, Option<Pid>) {}
}

impl Given for Vec<PathBuf> {}
impl Given for (PathBuf, SharedMemory) {}
impl Given for (PathBuf, Option<Pid>) {}

/// Closes all descriptors from 3 up but the listener's, and goes on with `body` alone, which has nothing of what owned
/// them: a plain function captures nothing. It never returns, so that what the callers own is never used or dropped; a
/// panic aborts.
pub fn go_on_apart<T: Given>(
    listener: Option<UnixListener>,
    given: T,
    body: fn(Option<UnixListener>, T) -> !,
) -> ! {
    let keep: Vec<i32> = listener.iter().map(AsRawFd::as_raw_fd).collect();
    let abort = AbortOnUnwind;
    signal::forget_pipe();
    // SAFETY: nobody uses or drops anything that owns another descriptor: what calls this is never returned to, not
    // even by a panic, and the body has only what it is given.
    unsafe { fd::close_all_except(&keep) };
    let _abort = abort;
    body(listener, given)
}

/// Ends the process where a panic would drop the values of the callers.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}
