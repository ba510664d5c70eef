//! Executing another program in the place of this process, or asking one something first.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use super::daemonize::{Fork, exit_now, fork};
use super::pid::Pid;
use super::{check, fd, signal};

/// A file in memory, without a name in any file system. `memfd_create(2)`
pub fn memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: the name ends in NUL; the new descriptor is ours alone.
    unsafe {
        let fd = check(libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC))?;
        Ok(File::from_raw_fd(fd))
    }
}

/// The environment of this process, but with this variable.
pub fn environment_with(name: &str, value: &[u8]) -> Vec<CString> {
    let others = std::env::vars_os().filter(|(other, _)| other != name);
    let others = others.map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='));
    let own = [name.as_bytes(), value].join(&b'=');
    let all = others.chain(std::iter::once(own));
    all.filter_map(|text| CString::new(text).ok()).collect()
}

/// Executes a program in the place of this process, which keeps its number, its children, what of signals is blocked,
/// and these descriptors. Returns only when it could not; then all is as before. `execve(2)`
pub fn execute(argv: &[CString], env: &[CString], keep: &[BorrowedFd]) -> io::Error {
    let done = keep.iter().try_for_each(|fd| set_cloexec(*fd, false));
    let error = match done {
        Ok(()) => execve(argv, env),
        Err(e) => e,
    };
    for fd in keep {
        let _ = set_cloexec(*fd, true);
    }
    error
}

fn execve(argv: &[CString], env: &[CString]) -> io::Error {
    let Some(program) = argv.first() else {
        return io::ErrorKind::InvalidInput.into();
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: the arrays end in null and point to strings that end in NUL and live during the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// The strings as `execve(2)` wants them.
pub(super) fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    let pointers = strings.iter().map(|s| s.as_ptr());
    pointers.chain(std::iter::once(std::ptr::null())).collect()
}

fn set_cloexec(fd: BorrowedFd, on: bool) -> io::Result<()> {
    let flags = if on { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: the command takes a number.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, flags) }).map(drop)
}

/// The descriptor of this number, where this process was executed with it and nobody has taken it yet.
///
/// Whatever this process has opened itself is CLOEXEC from birth, and what has passed an `execve(2)` is not: that tells
/// them apart. Taking it makes it so, so that a number is taken once.
pub fn inherited(number: i32) -> Option<OwnedFd> {
    if !fd::is_inherited(number) {
        return None;
    }
    // SAFETY: it is open, and owned by nobody in this process: see above.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    set_cloexec(fd.as_fd(), true).ok()?;
    Some(fd)
}

/// Starts the first of these command lines that can be executed, in a process that is heard of only by its end: with
/// status 127 where none can.
pub fn start(ways: &[Vec<CString>], env: &[CString]) -> io::Result<Pid> {
    match fork()? {
        Fork::Parent(pid) => Ok(pid),
        Fork::Child => {
            signal::unblock_all();
            for argv in ways {
                execve(argv, env);
            }
            exit_now(127)
        }
    }
}

/// Starts a program whose answer, what it prints to either stream, can be read without blocking from the descriptor.
/// A program that cannot be executed answers nothing but the reason.
pub fn ask(argv: &[CString], env: &[CString]) -> io::Result<(Pid, OwnedFd)> {
    let (out, into) = fd::pipe()?;
    fd::set_nonblocking(out.as_fd())?;
    let null = fd::open_null()?;
    match fork()? {
        Fork::Parent(pid) => Ok((pid, out)),
        Fork::Child => {
            // A group of its own, so that all of it can be ended.
            super::daemonize::new_session();
            signal::reset_all();
            signal::unblock_all();
            let (from, to) = (null.as_raw_fd(), into.as_raw_fd());
            for (from, target) in [(from, 0), (to, 1), (to, 2)] {
                // SAFETY: takes numbers; 0, 1 and 2 are the child's to replace.
                unsafe { libc::dup2(from, target) };
            }
            let reason = execve(argv, env).to_string();
            let _ = fd::write(into.as_fd(), reason.as_bytes());
            exit_now(127)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::life::Exit;
    use crate::sys::poll::{Interest, PollSet};
    use crate::sys::wait;

    fn answer(words: &[&str]) -> String {
        let argv: Vec<CString> = words.iter().map(|w| CString::new(*w).unwrap()).collect();
        let env = environment_with("HOME", b"/here");
        let (pid, out) = ask(&argv, &env).unwrap();
        let mut text = Vec::new();
        loop {
            let mut set = PollSet::default();
            set.push(out.as_fd(), Interest::READ, ());
            set.wait(None).unwrap();
            let mut buffer = [0; 64];
            match fd::read(out.as_fd(), &mut buffer) {
                Ok(0) => break,
                Ok(n) => text.extend_from_slice(&buffer[..n]),
                Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
            }
        }
        wait::wait_for(pid);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_program_answers_or_the_reason_why_it_cannot() {
        let script = "echo $HOME; echo two >&2";
        assert_eq!(answer(&["/bin/sh", "-c", script]), "/here\ntwo\n");
        assert!(answer(&["/proc/none"]).contains("No such file"));
    }

    #[test]
    fn the_first_way_that_there_is_is_gone() {
        let way = |words: &[&str]| words.iter().map(|w| CString::new(*w).unwrap()).collect();
        let ways: [Vec<CString>; 2] = [way(&["/proc/none"]), way(&["/bin/sh", "-c", "exit 3"])];
        let env = environment_with("HOME", b"/");
        let pid = start(&ways, &env).unwrap();
        assert_eq!(wait::wait_for(pid), Some(Exit::Code(3)));
        let pid = start(&ways[..1], &env).unwrap();
        assert_eq!(wait::wait_for(pid), Some(Exit::Code(127)));
    }

    #[test]
    fn what_was_inherited_is_taken_once() {
        let file = memory_file(c"test").unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(file);
        // SAFETY: nobody owns the descriptor any more: it is as one that has passed an execve(2).
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
        let taken = inherited(number).unwrap();
        assert!(inherited(number).is_none());
        drop(taken);
    }

    #[test]
    fn when_nothing_can_be_executed_all_is_as_before() {
        let file = memory_file(c"test").unwrap();
        let error = execute(&[c"/proc/none".to_owned()], &[], &[file.as_fd()]);
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        // SAFETY: F_GETFD reads a flag.
        let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags, libc::FD_CLOEXEC);
        assert!(inherited(-1).is_none() && inherited(1_000_000).is_none());
        // What is owned already is nobody else's to take.
        assert!(inherited(file.as_raw_fd()).is_none());
    }
}
