//! A process that is not our child, identified so that a reused pid is never mistaken for it.
//!
//! It is held by a pidfd if possible. Otherwise (before Linux 5.3, seccomp, no descriptors, no memory) it is identified by
//! pid and start time, and checked on a timer. A missing pidfd is never taken for an exit.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::lookup::Lookup;
use super::pid::Pid;
use super::pidfd::PidFd;
use super::procfs::{self, Stat};
use super::room::{self, Holder};
use super::signal::{self, Signal};
use super::time_namespace;
use crate::model::life::Exit;

/// A process, which need not be our child.
#[derive(Debug)]
pub struct ProcessHandle {
    pid: Pid,
    held: Held,
}

/// How a process is identified.
#[derive(Debug)]
enum Held {
    /// By a descriptor, readable in `poll(2)` once the process has exited.
    Descriptor(PidFd),
    /// By its start time, in clock ticks. `again`: opening a descriptor may succeed later.
    Start { start: u64, again: bool },
}

impl ProcessHandle {
    /// The process with this pid and start time, which may be a zombie, and its `stat`. Near the limit of descriptors it is
    /// identified by its start time.
    pub fn find(pid: Pid, start: u64) -> Lookup<(ProcessHandle, Stat)> {
        let held = match PidFd::open(pid) {
            Ok(fd) if room::leaves_room(fd.fd(), Holder::Watch) => Held::Descriptor(fd),
            Ok(_) => Held::Start { start, again: true },
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Lookup::Gone,
            Err(e) => Held::Start {
                start,
                again: !refused(&e),
            },
        };
        // Read after the descriptor was opened, so the pid cannot be reused in between.
        match procfs::look(pid) {
            Lookup::There(stat) if time_namespace::same_start(stat.start, start) => {
                Lookup::There((ProcessHandle { pid, held }, stat))
            }
            Lookup::There(_) | Lookup::Gone => Lookup::Gone,
            Lookup::Failed(e) => Lookup::Failed(e),
        }
    }

    /// The same without a descriptor for now; [`ProcessHandle::look_again`] opens it.
    pub fn find_unheld(pid: Pid, start: u64) -> Lookup<(ProcessHandle, Stat)> {
        let handle = ProcessHandle::from_start(pid, start);
        match procfs::look(pid) {
            Lookup::There(stat) if handle.is_of(&stat) => Lookup::There((handle, stat)),
            Lookup::There(_) | Lookup::Gone => Lookup::Gone,
            Lookup::Failed(e) => Lookup::Failed(e),
        }
    }

    /// A child that has exited and was not reaped yet. `None` if no descriptor of it can be opened or kept.
    pub fn of_child(pid: Pid) -> Option<ProcessHandle> {
        let fd = PidFd::open(pid).ok();
        let fd = fd.filter(|fd| room::leaves_room(fd.fd(), Holder::Watch));
        fd.map(|fd| ProcessHandle::from_fd(pid, fd))
    }

    /// The process with this pid, by a descriptor of it.
    pub fn from_fd(pid: Pid, fd: PidFd) -> ProcessHandle {
        ProcessHandle {
            pid,
            held: Held::Descriptor(fd),
        }
    }

    /// The process with this pid and start time, without checking that it exists.
    pub fn from_start(pid: Pid, start: u64) -> ProcessHandle {
        let held = Held::Start { start, again: true };
        ProcessHandle { pid, held }
    }

    /// Its pid.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The descriptor to poll for reading; `None` if it must be checked on a timer.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor().map(PidFd::fd)
    }

    /// Its start time in clock ticks, if it is identified by that.
    pub fn start(&self) -> Option<u64> {
        match self.held {
            Held::Descriptor(_) => None,
            Held::Start { start, .. } => Some(start),
        }
    }

    /// Its `stat`; `Gone` once it is a zombie. Also opens a descriptor if that failed temporarily before.
    pub fn look_again(&mut self) -> Lookup<Stat> {
        let looked = match self.held {
            Held::Start { start, again: true } => match ProcessHandle::find(self.pid, start) {
                Lookup::There((handle, stat)) => {
                    *self = handle;
                    Lookup::There(stat)
                }
                Lookup::Gone => Lookup::Gone,
                Lookup::Failed(e) => Lookup::Failed(e),
            },
            _ => procfs::look(self.pid),
        };
        match looked {
            Lookup::There(stat) if !self.is_of(&stat) || !stat.lives() => Lookup::Gone,
            looked => looked,
        }
    }

    fn is_of(&self, stat: &Stat) -> bool {
        self.start()
            .is_none_or(|start| time_namespace::same_start(stat.start, start))
    }

    fn descriptor(&self) -> Option<&PidFd> {
        match &self.held {
            Held::Descriptor(fd) => Some(fd),
            Held::Start { .. } => None,
        }
    }

    /// Whether it is alive. `Gone` once it is a zombie; then [`ProcessHandle::exit`] may return its exit status.
    pub fn look(&self) -> Lookup<()> {
        match &self.held {
            Held::Descriptor(fd) => match fd.look() {
                Ok(false) => Lookup::There(()),
                Ok(true) => Lookup::Gone,
                // poll(2) failed; use /proc.
                Err(_) => match (procfs::look(self.pid), fd.is_reaped()) {
                    (_, Ok(true)) => Lookup::Gone,
                    (Lookup::There(stat), Ok(false)) if !stat.lives() => Lookup::Gone,
                    (Lookup::Failed(e), _) | (_, Err(e)) => Lookup::Failed(e),
                    (_, Ok(false)) => Lookup::There(()),
                },
            },
            Held::Start { .. } => match procfs::look(self.pid) {
                Lookup::There(stat) if self.is_of(&stat) && stat.lives() => Lookup::There(()),
                Lookup::There(_) | Lookup::Gone => Lookup::Gone,
                Lookup::Failed(e) => Lookup::Failed(e),
            },
        }
    }

    /// Whether it has exited; false if that cannot be found out.
    pub fn has_ended(&self) -> bool {
        matches!(self.look(), Lookup::Gone)
    }

    /// A duplicate of a descriptor of the process.
    ///
    /// # Errors
    /// As [`PidFd::copy_fd`]; `Unsupported` without a descriptor of the process.
    pub fn copy_fd(&self, number: i32) -> io::Result<OwnedFd> {
        match self.descriptor() {
            Some(fd) => fd.copy_fd(number),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Signals the process. If no descriptor can be opened even for this, the pid could in theory be reused between the
    /// check and the signal.
    ///
    /// # Errors
    /// `ESRCH` if it has exited; or as `kill(2)`.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.descriptor() {
            Some(fd) => fd.signal(signal),
            None => match (PidFd::open(self.pid), self.look()) {
                // Checked after the descriptor was opened.
                (Ok(fd), Lookup::There(())) => fd.signal(signal),
                (Err(_), Lookup::There(())) => signal::kill(self.pid, signal),
                (_, Lookup::Gone) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
                (_, Lookup::Failed(e)) => Err(e),
            },
        }
    }

    /// Signals the process group that the process leads or led.
    ///
    /// # Errors
    /// As [`PidFd::signal_group`]; `InvalidInput` without a descriptor of the process.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        match self.descriptor() {
            Some(fd) => fd.signal_group(signal),
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Whether that process group has a member.
    ///
    /// # Errors
    /// `InvalidInput` before Linux 6.9, or without a descriptor of the process.
    pub fn group_exists(&self) -> io::Result<bool> {
        match self.descriptor() {
            Some(fd) => fd.group_exists(),
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The exit status: from `stat` until the process is reaped, then from the descriptor (Linux 6.15).
    pub fn exit(&self) -> Exit {
        match self.zombie_exit() {
            Some(exit) => exit,
            None => self.descriptor().map_or(Exit::Unknown, PidFd::exit),
        }
    }

    /// The exit status of the zombie; `None` if it is alive or reaped.
    fn zombie_exit(&self) -> Option<Exit> {
        let Lookup::There(stat) = procfs::look(self.pid) else {
            return None;
        };
        let exit = procfs::zombie_exit(self.pid, &stat);
        // Checked afterwards: if it is not reaped now, its pid was not reused before.
        let own = match &self.held {
            Held::Descriptor(fd) => fd.is_reaped().is_ok_and(|reaped| !reaped),
            Held::Start { .. } => self.is_of(&stat),
        };
        exit.filter(|_| own)
    }
}

/// Whether a pidfd can never be opened: the system call does not exist, or a filter forbids it.
fn refused(e: &io::Error) -> bool {
    matches!(
        e.raw_os_error(),
        Some(libc::ENOSYS | libc::EPERM | libc::EACCES | libc::EINVAL)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Interest, PollSet};
    use std::process::{Child, Command};

    fn sleeper() -> (Child, Pid, u64) {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::new(child.id() as i32).unwrap();
        let start = match procfs::look(pid) {
            Lookup::There(stat) => stat.start,
            other => panic!("{other:?}"),
        };
        (child, pid, start)
    }

    fn both(pid: Pid, start: u64) -> [ProcessHandle; 2] {
        let Lookup::There((found, stat)) = ProcessHandle::find(pid, start) else {
            panic!("the process exists");
        };
        assert!(stat.lives());
        [found, ProcessHandle::from_start(pid, start)]
    }

    #[test]
    fn a_process_is_signalled_and_its_status_read_with_and_without_a_descriptor() {
        let (mut child, pid, start) = sleeper();
        assert!(matches!(
            ProcessHandle::find(pid, start + 100),
            Lookup::Gone
        ));
        let handles = both(pid, start);
        for handle in &handles {
            assert!(!handle.has_ended());
            assert_eq!(handle.exit(), Exit::Unknown);
        }
        handles[1].signal(Signal::TERM).unwrap();
        let held = handles[0].fd().unwrap();
        let mut set = PollSet::default();
        set.push(held, Interest::READ, ());
        set.wait(None).unwrap();
        // It is a zombie; field 52 of stat is its status.
        for handle in &handles {
            assert!(handle.has_ended());
            assert_eq!(handle.exit(), Exit::Signal(libc::SIGTERM));
        }
        child.wait().unwrap();
        for handle in &handles {
            assert!(handle.has_ended());
            assert!(handle.signal(Signal::TERM).is_err());
        }
        // Only the descriptor can still return the status, since Linux 6.15.
        assert!(matches!(
            handles[0].exit(),
            Exit::Signal(libc::SIGTERM) | Exit::Unknown
        ));
        assert_eq!(handles[1].exit(), Exit::Unknown);
        assert!(matches!(ProcessHandle::find(pid, start), Lookup::Gone));
    }

    #[test]
    fn a_descriptor_that_failed_temporarily_is_opened_later() {
        let (mut child, pid, start) = sleeper();
        let mut handle = ProcessHandle::from_start(pid, start);
        assert!(handle.fd().is_none() && handle.start() == Some(start));
        assert!(matches!(handle.look_again(), Lookup::There(_)));
        assert!(handle.fd().is_some() && handle.start().is_none());
        let mut never = ProcessHandle {
            pid,
            held: Held::Start {
                start,
                again: false,
            },
        };
        assert!(matches!(never.look_again(), Lookup::There(_)));
        assert!(never.fd().is_none() && !never.has_ended());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(never.has_ended());
    }

    #[test]
    fn exit_0_is_told_apart_from_a_hidden_status() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = Pid::new(child.id() as i32).unwrap();
        let handle = ProcessHandle::of_child(pid).unwrap();
        let mut set = PollSet::default();
        set.push(handle.fd().unwrap(), Interest::READ, ());
        set.wait(None).unwrap();
        assert_eq!(handle.exit(), Exit::Code(0));
        child.wait().unwrap();
        assert!(matches!(handle.exit(), Exit::Code(0) | Exit::Unknown));
    }
}
