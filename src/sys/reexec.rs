//! Executing another program in this process or in a child.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use super::daemonize::{Fork, exit_now, fork};
use super::pid::Pid;
use super::{check, fd, signal};

/// An anonymous file in memory. `memfd_create(2)`
///
/// # Errors
/// As `memfd_create(2)`.
pub fn memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: the name ends in NUL; nothing else owns the new descriptor.
    unsafe {
        let fd = check(libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC))?;
        Ok(File::from_raw_fd(fd))
    }
}

/// The environment of this process, with this variable set.
pub fn environment_with(name: &str, value: &[u8]) -> Vec<CString> {
    let others = std::env::vars_os().filter(|(other, _)| other != name);
    let others = others.map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='));
    let own = [name.as_bytes(), value].join(&b'=');
    let all = others.chain(std::iter::once(own));
    all.filter_map(|text| CString::new(text).ok()).collect()
}

/// Executes a program in this process, with these descriptors kept open. Pid, children and signal mask stay the same.
/// Returns only if it fails; then nothing has changed. `execve(2)`
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
    // SAFETY: the arrays end with null; their strings end in NUL and live during the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// A null-terminated array of pointers to the strings, for `execve(2)`.
pub(super) fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    let pointers = strings.iter().map(|s| s.as_ptr());
    pointers.chain(std::iter::once(std::ptr::null())).collect()
}

fn set_cloexec(fd: BorrowedFd, on: bool) -> io::Result<()> {
    let flags = if on { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: the command takes only numbers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, flags) }).map(drop)
}

/// Takes ownership of an inherited descriptor; `None` if the number is not an inherited descriptor or was taken before.
///
/// A descriptor that this process opened itself is CLOEXEC, and an inherited one is not. Taking one makes it CLOEXEC, so
/// it is taken only once.
pub fn inherited(number: i32) -> Option<OwnedFd> {
    if !fd::is_inherited(number) {
        return None;
    }
    // SAFETY: it is open and nothing in this process owns it, see above.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    set_cloexec(fd.as_fd(), true).ok()?;
    Some(fd)
}

/// Starts a child that executes the first of these command lines that can be executed. It exits with status 127 if none
/// can.
///
/// # Errors
/// As `fork(2)`.
pub fn start(commands: &[Vec<CString>], env: &[CString]) -> io::Result<Pid> {
    match fork()? {
        Fork::Parent(pid) => Ok(pid),
        Fork::Child => {
            signal::unblock_all();
            for argv in commands {
                execve(argv, env);
            }
            exit_now(127)
        }
    }
}

/// Starts a child that executes a program, and returns its pid and a non-blocking descriptor from which its output on
/// stdout and stderr is read. If it cannot be executed, the output is the reason and the status 127.
///
/// # Errors
/// As `pipe2(2)`, `open(2)` and `fork(2)`.
pub fn ask(argv: &[CString], env: &[CString]) -> io::Result<(Pid, OwnedFd)> {
    let (out, into) = fd::pipe()?;
    fd::set_nonblocking(out.as_fd())?;
    let null = fd::open_null()?;
    match fork()? {
        Fork::Parent(pid) => Ok((pid, out)),
        Fork::Child => {
            // A process group of its own, so that all of it can be killed.
            super::daemonize::new_session();
            signal::reset_all();
            signal::unblock_all();
            let (from, to) = (null.as_raw_fd(), into.as_raw_fd());
            for (from, target) in [(from, 0), (to, 1), (to, 2)] {
                // SAFETY: takes only numbers; nothing in the child owns 0, 1 and 2.
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
    fn the_output_of_a_program_is_read_or_why_it_cannot_be_executed() {
        let script = "echo $HOME; echo two >&2";
        assert_eq!(answer(&["/bin/sh", "-c", script]), "/here\ntwo\n");
        assert!(answer(&["/proc/none"]).contains("No such file"));
    }

    #[test]
    fn the_first_executable_command_is_started() {
        let command = |words: &[&str]| words.iter().map(|w| CString::new(*w).unwrap()).collect();
        let commands: [Vec<CString>; 2] = [
            command(&["/proc/none"]),
            command(&["/bin/sh", "-c", "exit 3"]),
        ];
        let env = environment_with("HOME", b"/");
        let pid = start(&commands, &env).unwrap();
        assert_eq!(wait::wait_for(pid), Some(Exit::Code(3)));
        let pid = start(&commands[..1], &env).unwrap();
        assert_eq!(wait::wait_for(pid), Some(Exit::Code(127)));
    }

    #[test]
    fn an_inherited_descriptor_is_taken_once() {
        let file = memory_file(c"test").unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(file);
        // SAFETY: nothing owns the descriptor any more, as after an execve(2).
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
        let taken = inherited(number).unwrap();
        assert!(inherited(number).is_none());
        drop(taken);
    }

    #[test]
    fn a_failed_exec_changes_nothing() {
        let file = memory_file(c"test").unwrap();
        let error = execute(&[c"/proc/none".to_owned()], &[], &[file.as_fd()]);
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        // SAFETY: F_GETFD reads a flag.
        let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags, libc::FD_CLOEXEC);
        assert!(inherited(-1).is_none() && inherited(1_000_000).is_none());
        // A descriptor that this process owns is not inherited.
        assert!(inherited(file.as_raw_fd()).is_none());
    }
}
