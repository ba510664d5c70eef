//! Sending signals, and receiving them through a pipe for `poll(2)`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::check;
use super::fd;
use super::pid::Pid;

/// A signal number. `signal(7)`
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
    /// SIGRTMIN+3, which container runtimes send to stop a container whose pid 1 is systemd.
    pub const HALT: Signal = Signal(37);
}

/// The signals that request termination. Containers are stopped with SIGQUIT by the images of nginx and php-fpm
/// (STOPSIGNAL), SIGPWR by `lxc-stop`, and SIGRTMIN+3 if pid 1 is systemd.
pub const ENDING: [Signal; 5] = [
    Signal::TERM,
    Signal::INT,
    Signal::QUIT,
    Signal::PWR,
    Signal::HALT,
];

/// The signals that the daemons ignore, as their default action would terminate or stop them: a closed terminal, a closed
/// pipe, a file at its size limit, SIGUSR1 and SIGUSR2, which log rotation scripts send, and SIGTTOU for output to a
/// terminal from the background.
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
    /// The signal of this number; `None` if there is none.
    pub fn new(number: i32) -> Option<Signal> {
        (1..65).contains(&number).then_some(Signal(number))
    }

    /// The number.
    pub fn get(self) -> i32 {
        self.0
    }
}

/// Sends a signal to a process.
///
/// # Errors
/// As `kill(2)`.
pub fn kill(pid: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: takes only numbers; a Pid is never 0, 1 or negative.
    check(unsafe { libc::kill(pid.get(), signal.0) }).map(drop)
}

/// Sends a signal to every process of a group.
///
/// # Errors
/// As `kill(2)`.
pub fn kill_group(leader: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: as above; the negative number names the group, and is below -1.
    check(unsafe { libc::kill(-leader.get(), signal.0) }).map(drop)
}

/// Checks that this process may signal another. `kill(2)` with signal 0
///
/// # Errors
/// `PermissionDenied` if it may not; `ESRCH` if there is no such process.
pub fn try_signal(pid: Pid) -> io::Result<()> {
    // SAFETY: signal 0 is not delivered.
    check(unsafe { libc::kill(pid.get(), 0) }).map(drop)
}

/// Whether a process group has a member. While it has, its id is not reused as a pid.
pub fn group_exists(leader: Pid) -> bool {
    // SAFETY: signal 0 is not delivered.
    let found = check(unsafe { libc::kill(-leader.get(), 0) });
    !found.is_err_and(|e| e.raw_os_error() == Some(libc::ESRCH))
}

/// Restores the default action. `signal(2)`
pub fn set_default(signal: Signal) {
    // SAFETY: SIG_DFL is a valid disposition.
    unsafe { libc::signal(signal.0, libc::SIG_DFL) };
}

/// Raises a signal with its default action, which terminates this process, or stops it until it is continued. With
/// `whole_group` it is sent to the whole process group, as the terminal would. Afterwards the signal is caught again.
/// `signal(7)`
pub fn act_by_default(signal: Signal, whole_group: bool) {
    let target = if whole_group { 0 } else { Pid::own() };
    // SAFETY: sets and actions are plain data on this stack. The signal stays pending until it is unblocked; then the
    // previous action is restored.
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

/// The signals whose disposition the daemons change, and which are reset for a program.
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

/// Makes the signals of [`ENDING`] exit this process with status 0, for a daemon that does not serve yet. As pid 1 of a
/// container it would not receive them without a handler, see `pid_namespaces(7)`.
pub fn end_quietly() {
    for signal in ENDING {
        // SAFETY: the action is zeroed plain data; the handler has the right signature and only calls _exit, which is
        // async-signal-safe, see signal-safety(7).
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

/// Resets every signal to its default action, as a program inherits the signals that the parent of the daemon ignored. By
/// system call, as the C library refuses 32 and 33, which it uses for threads. `sigaction(2)`
pub fn reset_all() {
    // At least the size of the kernel's structure on every architecture; all zero is SIG_DFL.
    let default = [0u64; 4];
    for signal in 1..COUNT {
        // SAFETY: the kernel reads one structure; 8 is the size of its signal mask.
        unsafe {
            let none = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, 8);
        }
    }
}

/// Unblocks all signals, before a program is executed. `sigprocmask(2)`
pub(super) fn unblock_all() {
    // SAFETY: a sigset_t is plain bits on this stack.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Blocks all signals until it is dropped. Around a fork it keeps the parent's handlers from running in the child.
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
    // SAFETY: async-signal-safe, see signal-safety(7): it only uses lock-free atomics and write(2) on a non-blocking pipe,
    // and restores errno.
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

/// Stops writing caught signals to the pipe. For a forked child that closes the pipe and may reuse its descriptor.
pub(super) fn forget_pipe() {
    PIPE.store(-1, Ordering::SeqCst);
}

/// The pipe through which caught signals wake `poll(2)`. At most one per process.
pub struct SelfPipe {
    out: OwnedFd,
    into: OwnedFd,
    caught: libc::sigset_t,
}

impl Drop for SelfPipe {
    fn drop(&mut self) {
        // The descriptor may be reused; the handler must not write to it.
        let own = self.into.as_raw_fd();
        let _ = PIPE.compare_exchange(own, -1, Ordering::SeqCst, Ordering::SeqCst);
    }
}

impl SelfPipe {
    /// Catches these signals, but only during [`SelfPipe::listening`], so that a hundred exits in one iteration of an event
    /// loop are one interruption. `sigaction(2)`
    ///
    /// # Errors
    /// As `pipe2(2)`, `sigaction(2)` and `sigprocmask(2)`.
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

    /// Unblocks the caught signals while `wait` runs. A signal that arrives just before `wait` polls the pipe leaves a byte
    /// in it.
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

    /// The descriptor to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.out.as_fd()
    }

    /// Empties the pipe. Call [`SelfPipe::take`] afterwards, then act: a later signal writes to the pipe again.
    pub fn drain(&self) {
        let mut buffer = [0; 256];
        while fd::read(self.out.as_fd(), &mut buffer).is_ok_and(|n| n == buffer.len()) {}
    }

    /// Whether the signal arrived since the last call.
    pub fn take(&self, signal: Signal) -> bool {
        let flag = usize::try_from(signal.0).ok().and_then(|n| CAUGHT.get(n));
        flag.is_some_and(|flag| flag.swap(false, Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_signal_is_reset_for_programs() {
        for signal in ENDING.iter().chain(&IGNORED) {
            assert!(CHANGED.contains(signal), "{signal:?}");
            assert!(!(ENDING.contains(signal) && IGNORED.contains(signal)));
        }
    }

    #[test]
    fn a_signal_arrives_through_the_pipe_once() {
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
