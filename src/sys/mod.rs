//! Safe wrappers around system calls, one subject per file. The only `unsafe` of the crate.
//!
//! Every descriptor is created CLOEXEC, so a program inherits one only where that is asked for.
#![allow(unsafe_code)]

pub mod apart;
pub mod at;
pub mod bytes;
pub mod cgroup;
pub mod clock;
pub mod daemonize;
pub mod fd;
pub mod fifo;
pub mod host;
pub mod inotify;
pub mod interfaces;
pub mod lock;
pub mod lookup;
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
pub mod raw_bytes;
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

/// The result of a system call that returns a negative number on failure.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// The result of a system call that returns a number of bytes, negative on failure.
fn check_size(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
