//! Becoming a daemon, and the fork of its helper.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use super::pid::Pid;
use super::signal::AllBlocked;
use super::{check, fd, user, wait};

/// Which side of a fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// The parent, and its new child.
    Parent(Pid),
    /// The child.
    Child,
}

/// A second process that goes on with this one's memory. `fork(2)`
///
/// Sound because both programs have one thread: no lock is held by a thread that the child lacks.
pub fn fork() -> io::Result<Fork> {
    let _blocked = AllBlocked::new();
    // SAFETY: single-threaded, see above; the child may use all of its memory.
    match check(unsafe { libc::fork() })? {
        0 => Ok(Fork::Child),
        pid => Pid::new(pid)
            .map(Fork::Parent)
            .ok_or_else(|| io::Error::other("no pid")),
    }
}

/// Ends this process at once, without running what was registered for its exit. `_exit(2)`
pub fn exit_now(code: i32) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Leaves the session, and with it the terminal, of whoever started this process. One that leads a session already
/// stays there. `setsid(2)`
pub fn new_session() {
    // SAFETY: takes nothing.
    unsafe { libc::setsid() };
}

/// The name that `ps` shows for this process, at most 15 bytes. `prctl(2)` PR_SET_NAME
pub fn set_process_name(name: &std::ffi::CStr) {
    // SAFETY: the kernel reads up to 16 bytes of a string that ends in NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// What the process that was started waits to hear.
#[derive(Debug)]
pub struct Readiness(Option<File>);

impl Readiness {
    /// For a daemon that stays in the foreground: nobody waits.
    pub fn nobody() -> Readiness {
        Readiness(None)
    }

    /// The daemon serves.
    pub fn ready(self) {
        self.tell("ok");
    }

    /// It does not, and this sentence says why.
    pub fn failed(self, sentence: &str) {
        self.tell(sentence);
    }

    fn tell(self, word: &str) {
        if let Some(mut pipe) = self.0 {
            // Whoever waited may have been killed: then nobody misses the word.
            let _ = pipe.write_all(word.as_bytes());
        }
    }
}

/// The classic routine: the calling process stays only to hear whether the daemon serves, and exits with that,
/// 0 or, after a sentence on stderr, 1. The daemon has no terminal and can get none, works in `/`, makes private
/// files, and has `/dev/null` for 0, 1 and 2. `daemon(7)`
pub fn daemonize() -> io::Result<Readiness> {
    let (out, into) = fd::pipe()?;
    if let Fork::Parent(middle) = fork()? {
        drop(into);
        // Ends at once: see below. Waited for, so that nobody else has to.
        wait::wait_for(middle);
        report(File::from(out));
    }
    drop(out);
    // SAFETY: takes nothing; a child that was just forked leads no group, so it cannot fail.
    check(unsafe { libc::setsid() })?;
    // Not a session leader any more, the daemon can never acquire a terminal.
    if let Fork::Parent(_) = fork()? {
        exit_now(0);
    }
    std::env::set_current_dir("/")?;
    user::set_umask(0o077);
    fd::replace_stdio(fd::open_null()?.as_fd())?;
    Ok(Readiness(Some(File::from(into))))
}

/// Waits for the daemon's word and exits with it.
fn report(mut out: File) -> ! {
    let mut word = String::new();
    let heard = out.read_to_string(&mut word);
    match (heard, word.as_str()) {
        (Ok(_), "ok") => exit_now(0),
        (Ok(_), "") => {
            eprintln!("rpmd: the daemon ended before it was ready; rpmd.log may say why")
        }
        (Ok(_), sentence) => eprintln!("rpmd: {sentence}"),
        (Err(e), _) => eprintln!("rpmd: hearing from the daemon: {e}"),
    }
    exit_now(1)
}
