//! The kernel behind small safe types, a file a subject: the only `unsafe` of the crate.
//!
//! Every descriptor that is made here is CLOEXEC from birth: a program gets one only by an explicit act.
#![allow(unsafe_code)]

pub mod apart;
pub mod at;
pub mod bytes;
pub mod cgroup;
pub mod checksum;
pub mod clock;
pub mod daemonize;
pub mod fd;
pub mod fifo;
pub mod host;
pub mod inotify;
pub mod interfaces;
pub mod lock;
pub mod lookup;
pub mod memory_log;
pub mod net;
pub mod notify;
pub mod open;
pub mod passing;
pub mod pid;
pub mod pidfd;
pub mod pipe_notify;
pub mod place;
pub mod poll;
pub mod priority;
pub mod private;
pub mod proc_search;
pub mod process;
pub mod procfs;
pub mod reexec;
pub mod regex;
pub mod rights;
pub mod room;
pub mod shared;
pub mod shared_output;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod terminal;
pub mod time_namespace;
pub mod user;
pub mod wait;

use std::io;

/// The result of a system call that says "failed" by a negative number.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    match result {
        failed if failed < 0 => Err(io::Error::last_os_error()),
        done => Ok(done),
    }
}

/// The same for a call that counts bytes.
fn check_size(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
