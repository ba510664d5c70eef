//! Forking and becoming a daemon.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use super::pid::Pid;
use super::signal::AllBlocked;
use super::{check, fd, user, wait};

/// The result of [`fork`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// In the parent: the child's pid.
    Parent(Pid),
    /// In the child.
    Child,
}

/// Forks this process. `fork(2)`
///
/// Sound because `rpm` and `rpmd` have one thread: no lock is held by a thread that does not exist in the child.
///
/// # Errors
/// As `fork(2)`.
pub fn fork() -> io::Result<Fork> {
    let _blocked = AllBlocked::new();
    // SAFETY: this process has one thread, see above, so the child may call anything.
    match check(unsafe { libc::fork() })? {
        0 => Ok(Fork::Child),
        pid => Pid::new(pid)
            .map(Fork::Parent)
            .ok_or_else(|| io::Error::other("no pid")),
    }
}

/// Exits at once, without running exit handlers. `_exit(2)`
pub fn exit_now(code: i32) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Starts a new session, without a controlling terminal. No effect on a process group leader. `setsid(2)`
pub fn new_session() {
    // SAFETY: takes nothing.
    unsafe { libc::setsid() };
}

/// Sets the name that `ps` shows for this process, at most 15 bytes. `prctl(2)` PR_SET_NAME
pub fn set_process_name(name: &std::ffi::CStr) {
    // SAFETY: the kernel reads up to 16 bytes of a string that ends in NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// Reports to the waiting parent of [`daemonize`] whether the daemon is ready. `daemon(7)`
#[derive(Debug)]
pub struct Readiness(Option<File>);

impl Readiness {
    /// For a daemon in the foreground: no parent waits.
    pub fn nobody() -> Readiness {
        Readiness(None)
    }

    /// Reports that the daemon is ready.
    pub fn ready(self) {
        self.send("ok");
    }

    /// Reports that the daemon failed to start, and why.
    pub fn failed(self, sentence: &str) {
        self.send(sentence);
    }

    fn send(self, report: &str) {
        if let Some(mut pipe) = self.0 {
            // Fails if the parent was killed; the daemon serves anyway.
            let _ = pipe.write_all(report.as_bytes());
        }
    }
}

/// Forks a daemon and returns in it. The calling process waits until the daemon is ready, then exits with status 0, or
/// with a message and status 1 if it failed. `daemon(7)`
///
/// The daemon has no controlling terminal and cannot acquire one. Its working directory is `/`, its umask 077, and its
/// standard descriptors are `/dev/null`.
///
/// # Errors
/// A system call failed, in the caller or in the daemon.
pub fn daemonize() -> io::Result<Readiness> {
    let (out, into) = fd::pipe()?;
    if let Fork::Parent(middle) = fork()? {
        drop(into);
        // It exits at once, see below; reaped here.
        wait::wait_for(middle);
        exit_with_report(File::from(out));
    }
    drop(out);
    // SAFETY: takes no argument. A new child leads no process group, so it cannot fail.
    check(unsafe { libc::setsid() })?;
    // Only a session leader can acquire a controlling terminal.
    if let Fork::Parent(_) = fork()? {
        exit_now(0);
    }
    std::env::set_current_dir("/")?;
    user::set_umask(0o077);
    fd::replace_stdio(fd::open_null()?.as_fd())?;
    Ok(Readiness(Some(File::from(into))))
}

/// Waits for the report of the daemon and exits.
fn exit_with_report(mut out: File) -> ! {
    let mut report = String::new();
    let read = out.read_to_string(&mut report);
    match (read, report.as_str()) {
        (Ok(_), "ok") => exit_now(0),
        (Ok(_), "") => {
            eprintln!("rpmd: the daemon exited before it was ready; see rpmd.log")
        }
        (Ok(_), sentence) => eprintln!("rpmd: {sentence}"),
        (Err(e), _) => eprintln!("rpmd: reading the report of the daemon: {e}"),
    }
    exit_now(1)
}
