//! Children that have ended.

use std::io;

use super::check;
use super::pid::Pid;
use crate::model::life::Exit;

/// A child that has ended and was not reaped yet, which this leaves as it is: its number cannot be taken
/// meanwhile. `waitid(2)` with WNOWAIT
pub fn next_dead() -> Option<Pid> {
    loop {
        // SAFETY: siginfo_t is plain data that the kernel fills in; si_pid stays 0 when nobody has ended.
        let (result, pid) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            let result = check(libc::waitid(libc::P_ALL, 0, &raw mut info, flags));
            (result, info.si_pid())
        };
        match result {
            Ok(_) => return Pid::new(pid),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// Reaps a child if it has ended. `waitpid(2)`
pub fn reap(pid: Pid) -> Option<Exit> {
    wait(pid, libc::WNOHANG)
}

/// Waits until a child has ended; not for a loop that must not wait.
pub fn wait_for(pid: Pid) -> Option<Exit> {
    wait(pid, 0)
}

fn wait(pid: Pid, flags: libc::c_int) -> Option<Exit> {
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes one int.
        match check(unsafe { libc::waitpid(pid.get(), &raw mut status, flags) }) {
            Ok(0) => return None,
            Ok(_) => return Some(exit_of(status)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// What a wait status says.
pub(super) fn exit_of(status: libc::c_int) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }
}

/// Makes this process the parent of orphans below it, so that it hears of their end. `prctl(2)`
pub fn become_subreaper() {
    // SAFETY: the option takes one number.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}
