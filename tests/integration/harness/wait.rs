//! Waiting with a time limit.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rpm::sys::inotify::Watcher;
use rpm::sys::pid::Pid;
use rpm::sys::pidfd::PidFd;
use rpm::sys::poll::{Interest, PollSet};

/// The time limit of every wait; long, as the machine may be busy.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The polling interval for conditions without an event.
const AGAIN: Duration = Duration::from_millis(5);

/// Waits until one of the descriptors is readable; whether one is.
pub fn readable(fds: &[BorrowedFd], timeout: Duration) -> bool {
    let mut set = PollSet::default();
    for fd in fds {
        set.push(*fd, Interest::READ, ());
    }
    set.wait(Some(timeout)).unwrap();
    set.ready().next().is_some()
}

/// Polls until a condition is true.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < end, "timed out: {what}");
        readable(&[], AGAIN);
    }
}

/// Waits until a condition on the files of an existing directory is true.
#[track_caller]
pub fn wait_for_files(folder: &Path, what: &str, mut is_so: impl FnMut() -> bool) {
    let watcher = Watcher::new().unwrap();
    watcher.add(folder).unwrap();
    let end = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < end, "timed out: {what}");
        readable(&[watcher.fd()], Duration::from_secs(1));
        let _ = watcher.read();
    }
}

/// Waits until a process exits; whether it did in time.
pub fn ended_within(pid: i32, limit: Duration) -> bool {
    match Pid::new(pid).map(PidFd::open) {
        Some(Ok(held)) => readable(&[held.fd()], limit),
        _ => true,
    }
}

/// Waits until a process exits.
#[track_caller]
pub fn wait_for_end(pid: i32) {
    assert!(ended_within(pid, LIMIT), "process {pid} does not end");
}
