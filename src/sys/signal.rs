//! Signals: sending them, and hearing of them through a pipe that `poll(2)` can wait for.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::check;
use super::fd;
use super::pid::Pid;

/// A signal number, `signal(7)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(i32);

#[allow(missing_docs)]
impl Signal {
    pub const HUP: Signal = Signal(libc::SIGHUP);
    pub const INT: Signal = Signal(libc::SIGINT);
    pub const QUIT: Signal = Signal(libc::SIGQUIT);
    pub const KILL: Signal = Signal(libc::SIGKILL);
    pub const USR1: Signal = Signal(libc::SIGUSR1);
    pub const USR2: Signal = Signal(libc::SIGUSR2);
    pub const PIPE: Signal = Signal(libc::SIGPIPE);
    pub const TERM: Signal = Signal(libc::SIGTERM);
    pub const CHLD: Signal = Signal(libc::SIGCHLD);
    pub const CONT: Signal = Signal(libc::SIGCONT);
    pub const STOP: Signal = Signal(libc::SIGSTOP);
    pub const TSTP: Signal = Signal(libc::SIGTSTP);
    pub const TTOU: Signal = Signal(libc::SIGTTOU);
    pub const XFSZ: Signal = Signal(libc::SIGXFSZ);
    pub const WINCH: Signal = Signal(libc::SIGWINCH);
    pub const PWR: Signal = Signal(libc::SIGPWR);
    /// Sent to end pid 1 of a container that has an init, as systemd understands it: SIGRTMIN+3 of the C library.
    pub const HALT: Signal = Signal(37);
}

/// The signals that ask a daemon to end. Besides SIGTERM and SIGINT these are what containers are ended with: SIGQUIT by
/// images of nginx and php-fpm (STOPSIGNAL), SIGPWR by `lxc-stop`, SIGRTMIN+3 where pid 1 is an init.
pub const ENDING: [Signal; 5] = [
    Signal::TERM,
    Signal::INT,
    Signal::QUIT,
    Signal::PWR,
    Signal::HALT,
];

/// The signals that a daemon ignores, as their default action would end it or stop it: a terminal that closes, a reader
/// that has gone, a file at its limit, the habits of those who rotate logs (SIGUSR1, SIGUSR2), and output to a terminal
/// from the background, which SIGTTOU would stop it for.
pub const IGNORED: [Signal; 6] = [
    Signal::HUP,
    Signal::PIPE,
    Signal::XFSZ,
    Signal::USR1,
    Signal::USR2,
    Signal::TTOU,
];

/// One more than the highest signal number of Linux.
const COUNT: usize = 65;

impl Signal {
    /// The signal of this number.
    pub fn new(number: i32) -> Option<Signal> {
        (1..65).contains(&number).then_some(Signal(number))
    }

    /// The number.
    pub fn get(self) -> i32 {
        self.0
    }
}

/// Signals one process. `kill(2)`
pub fn kill(pid: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: kill takes numbers only; a Pid is never 0, 1 or negative.
    check(unsafe { libc::kill(pid.get(), signal.0) }).map(drop)
}

/// Signals every process of a group. `kill(2)`
pub fn kill_group(leader: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: as above; the negative number names the group, and is below -1.
    check(unsafe { libc::kill(-leader.get(), signal.0) }).map(drop)
}

/// Whether this process may signal that one, which must be there. `kill(2)`
///
/// # Errors
/// `PermissionDenied` where it may not.
pub fn try_signal(pid: Pid) -> io::Result<()> {
    // SAFETY: signal 0 is delivered to nobody.
    check(unsafe { libc::kill(pid.get(), 0) }).map(drop)
}

/// Whether a process group has a member. The number of a group is not given to another process as long as it has.
pub fn group_exists(leader: Pid) -> bool {
    // SAFETY: signal 0 is delivered to nobody.
    let found = check(unsafe { libc::kill(-leader.get(), 0) });
    !found.is_err_and(|e| e.raw_os_error() == Some(libc::ESRCH))
}

/// Restores the default action. `signal(2)`
pub fn set_default(signal: Signal) {
    // SAFETY: SIG_DFL is a valid disposition; no handler code of ours is involved.
    unsafe { libc::signal(signal.0, libc::SIG_DFL) };
}

/// Lets a signal do to this process what it does to one that does not care: end it, or stop it until it is
/// continued. To the whole process group where the terminal would have signalled all of it. Afterwards the signal
/// is caught as before. `signal(7)`
pub fn act_by_default(signal: Signal, whole_group: bool) {
    let target = if whole_group { 0 } else { Pid::own() };
    // SAFETY: sets and actions are plain data that live on this stack during the calls; the default action is
    // restored to what it was. The signal stays pending until it is let in, and is let in by the mask alone.
    unsafe {
        let mut only: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut only);
        libc::sigaddset(&raw mut only, signal.0);
        let mut mask: libc::sigset_t = std::mem::zeroed();
        let mut caught: libc::sigaction = std::mem::zeroed();
        let mut default: libc::sigaction = std::mem::zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(signal.0, &raw const default, &raw mut caught);
        libc::kill(target, signal.0);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const only, &raw mut mask);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
        libc::sigaction(signal.0, &raw const caught, std::ptr::null_mut());
    }
}

/// Ignores a signal from now on. `signal(2)`
pub fn ignore(signal: Signal) {
    // SAFETY: SIG_IGN is a valid disposition.
    unsafe { libc::signal(signal.0, libc::SIG_IGN) };
}

/// The signals whose action the daemons change: what a program must get back as it was.
pub(super) const CHANGED: [Signal; 12] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::PIPE,
    Signal::TERM,
    Signal::CHLD,
    Signal::XFSZ,
    Signal::USR1,
    Signal::USR2,
    Signal::TTOU,
    Signal::PWR,
    Signal::HALT,
];

/// Ends this process with status 0 at the signals of [`ENDING`], until they are given another action: for one that
/// serves nobody yet and has nothing to put away. As pid 1 of a container it would not hear of them otherwise, see
/// `pid_namespaces(7)`.
pub fn end_quietly() {
    for signal in ENDING {
        // SAFETY: the action is zeroed plain data; the handler has the right signature and calls nothing but _exit,
        // which is async-signal-safe, see signal-safety(7).
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let handler: extern "C" fn(libc::c_int) = on_end;
            action.sa_sigaction = handler as usize;
            libc::sigaction(signal.0, &raw const action, std::ptr::null_mut());
        }
    }
}

extern "C" fn on_end(_: libc::c_int) {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(0) }
}

/// Gives every signal its default action: whoever started the daemon may have had some ignored, and a program
/// inherits that. Asked of the kernel itself, as the C library refuses to touch 32 and 33, which it keeps for its
/// threads. `sigaction(2)`
pub fn reset_all() {
    // Large enough for the kernel's structure on every architecture; all zero is the default action.
    let default = [0u64; 4];
    for signal in 1..COUNT {
        // SAFETY: the kernel reads one structure; 8 is the size of its signal set.
        unsafe {
            let none = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, 8);
        }
    }
}

/// Lets all signals in, for a program that is about to be executed. `sigprocmask(2)`
pub(super) fn unblock_all() {
    // SAFETY: a sigset_t is plain bits on this stack.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// All signals blocked for as long as this lives; then the mask is as before. Around a fork, so that no handler
/// runs in a child that still has the parent's.
pub(super) struct AllBlocked(libc::sigset_t);

impl AllBlocked {
    pub(super) fn new() -> AllBlocked {
        // SAFETY: a sigset_t is plain bits; both sets live on this stack during the calls.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            AllBlocked(before)
        }
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        // SAFETY: the set was filled in by the kernel.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

static PIPE: AtomicI32 = AtomicI32::new(-1);
static CAUGHT: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

extern "C" fn on_signal(number: libc::c_int) {
    // SAFETY: only async-signal-safe calls (signal-safety(7)): errno is saved and put back, write on a
    // non-blocking pipe; the atomics are lock-free.
    unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        if let Some(flag) = usize::try_from(number).ok().and_then(|n| CAUGHT.get(n)) {
            flag.store(true, Ordering::SeqCst);
        }
        let fd = PIPE.load(Ordering::SeqCst);
        libc::write(fd, (&raw const number).cast(), 1);
        *errno = saved;
    }
}

/// Caught signals are written nowhere from now on: in a process that has the pipe's number from its parent, and may
/// open something else by it.
pub(super) fn forget_pipe() {
    PIPE.store(-1, Ordering::SeqCst);
}

/// The pipe that signals arrive by. There is one in a process.
pub struct SelfPipe {
    out: OwnedFd,
    into: OwnedFd,
    caught: libc::sigset_t,
}

impl Drop for SelfPipe {
    fn drop(&mut self) {
        // Its number may be another file's soon: the handler must not write there.
        let own = self.into.as_raw_fd();
        let _ = PIPE.compare_exchange(own, -1, Ordering::SeqCst, Ordering::SeqCst);
    }
}

impl SelfPipe {
    /// Catches these signals from now on, while [`SelfPipe::listening`]: so that a hundred deaths in one turn of a
    /// loop are one interruption. `sigaction(2)`
    pub fn install(signals: &[Signal]) -> io::Result<SelfPipe> {
        let (out, into) = fd::pipe()?;
        fd::set_nonblocking(out.as_fd())?;
        fd::set_nonblocking(into.as_fd())?;
        PIPE.store(into.as_raw_fd(), Ordering::SeqCst);
        // SAFETY: set and action are zeroed plain data, the handler has the right signature.
        let set = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in signals {
                libc::sigaddset(&raw mut set, signal.0);
                let mut action: libc::sigaction = std::mem::zeroed();
                let handler: extern "C" fn(libc::c_int) = on_signal;
                action.sa_sigaction = handler as usize;
                action.sa_flags = libc::SA_RESTART | libc::SA_NOCLDSTOP;
                check(libc::sigaction(
                    signal.0,
                    &raw const action,
                    std::ptr::null_mut(),
                ))?;
            }
            check(libc::sigprocmask(
                libc::SIG_BLOCK,
                &raw const set,
                std::ptr::null_mut(),
            ))?;
            set
        };
        Ok(SelfPipe {
            out,
            into,
            caught: set,
        })
    }

    /// Lets the caught signals in for as long as `wait` runs. One that comes just before it waits for the pipe is
    /// seen by its byte there.
    pub fn listening<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.change(libc::SIG_UNBLOCK);
        let result = wait();
        self.change(libc::SIG_BLOCK);
        result
    }

    fn change(&self, how: libc::c_int) {
        // SAFETY: the set was filled in by `install`.
        unsafe { libc::sigprocmask(how, &raw const self.caught, std::ptr::null_mut()) };
    }

    /// What to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.out.as_fd()
    }

    /// Empties the pipe. Afterwards take the flags, then act: a signal that comes later writes again.
    pub fn drain(&self) {
        let mut buffer = [0; 256];
        while fd::read(self.out.as_fd(), &mut buffer).is_ok_and(|n| n == buffer.len()) {}
    }

    /// Whether the signal has come since it was last taken.
    pub fn take(&self, signal: Signal) -> bool {
        let flag = usize::try_from(signal.0).ok().and_then(|n| CAUGHT.get(n));
        flag.is_some_and(|flag| flag.swap(false, Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_back_every_signal_that_a_daemon_changes() {
        for signal in ENDING.iter().chain(&IGNORED) {
            assert!(CHANGED.contains(signal), "{signal:?}");
            assert!(!(ENDING.contains(signal) && IGNORED.contains(signal)));
        }
    }

    #[test]
    fn a_signal_arrives_by_the_pipe_once() {
        let pipe = SelfPipe::install(&[Signal::USR2]).unwrap();
        kill(Pid::new(Pid::own()).unwrap(), Signal::USR2).unwrap();
        let mut set = crate::sys::poll::PollSet::default();
        while !pipe.take(Signal::USR2) {
            set.clear();
            set.push(pipe.fd(), crate::sys::poll::Interest::READ, ());
            pipe.listening(|| set.wait(None)).unwrap();
        }
        pipe.drain();
        assert!(!pipe.take(Signal::USR2));
    }
}
