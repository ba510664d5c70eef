//! Descriptors of processes, which never refer to another process that reuses the pid. `pidfd_open(2)`

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::pid::Pid;
use super::poll::{Interest, PollSet};
use super::signal::Signal;
use super::wait;
use crate::model::life::Exit;

/// A descriptor of a process, which need not be our child. Readable in `poll(2)` once the process has exited.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

/// Signal the process group with this pid instead of the process. Linux 6.9, `linux/pidfd.h`
const SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;

fn group_result(result: io::Result<()>) -> io::Result<()> {
    result.map_err(|e| match e.raw_os_error() {
        Some(libc::ESRCH) => io::ErrorKind::NotFound.into(),
        _ => e,
    })
}

/// `struct pidfd_info` of `linux/pidfd.h`, the fields of PIDFD_INFO_SIZE_VER0.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// PIDFD_INFO_EXIT: requests `exit_code`; set in the answer if it is known. Linux 6.15
const INFO_EXIT: u64 = 1 << 3;
/// PIDFD_GET_INFO: `_IOWR(0xFF, 11, struct pidfd_info)` with a struct of 64 bytes.
const GET_INFO: libc::c_ulong = 0xC040_FF0B;

impl PidFd {
    /// Opens the process that has this pid now.
    ///
    /// # Errors
    /// As `pidfd_open(2)`; `ESRCH` if there is none.
    pub fn open(pid: Pid) -> io::Result<PidFd> {
        // SAFETY: takes only numbers; nothing else owns the new descriptor, which is CLOEXEC.
        unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid.get(), 0);
            let fd = i32::try_from(fd).map_err(io::Error::other)?;
            Ok(PidFd(OwnedFd::from_raw_fd(super::check(fd)?)))
        }
    }

    /// The process of an inherited descriptor.
    pub fn inherited(fd: OwnedFd) -> PidFd {
        PidFd(fd)
    }

    /// The descriptor to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Whether the process has exited; false if that cannot be found out.
    pub fn has_ended(&self) -> bool {
        self.look().unwrap_or(false)
    }

    /// Whether the process has exited, with all of its threads.
    ///
    /// # Errors
    /// As `ppoll(2)`.
    pub fn look(&self) -> io::Result<bool> {
        let mut set = PollSet::default();
        set.push(self.fd(), Interest::READ, ());
        set.wait(Some(Duration::ZERO))?;
        // An error condition of the descriptor says nothing about the process.
        Ok(set.ready().any(|(_, ready)| ready.readable))
    }

    /// Whether the process was reaped. Until then its pid is not reused.
    ///
    /// # Errors
    /// As `pidfd_send_signal(2)`, except `EPERM` and `ESRCH`.
    pub fn is_reaped(&self) -> io::Result<bool> {
        match self.send(0, 0) {
            Ok(()) => Ok(false),
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => Ok(false),
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// A duplicate of a descriptor of the process. Requires permission to trace it: root, or the same user unless
    /// restricted. `pidfd_getfd(2)`, Linux 5.6
    ///
    /// # Errors
    /// As `pidfd_getfd(2)`.
    pub fn copy_fd(&self, number: i32) -> io::Result<OwnedFd> {
        // SAFETY: takes only numbers; nothing else owns the new descriptor, which is CLOEXEC.
        unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_getfd, self.0.as_raw_fd(), number, 0);
            let fd = i32::try_from(fd).map_err(io::Error::other)?;
            Ok(OwnedFd::from_raw_fd(super::check(fd)?))
        }
    }

    /// Signals the process, never another that reuses its pid. `pidfd_send_signal(2)`
    ///
    /// # Errors
    /// As `pidfd_send_signal(2)`.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.send(signal.get(), 0)
    }

    /// Signals the process group that the process leads or led, never another group.
    ///
    /// # Errors
    /// `NotFound` if the group has no members; `InvalidInput` before Linux 6.9.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        group_result(self.send(signal.get(), SIGNAL_PROCESS_GROUP))
    }

    /// Whether that process group has a member.
    ///
    /// # Errors
    /// `InvalidInput` before Linux 6.9.
    pub fn group_exists(&self) -> io::Result<bool> {
        match group_result(self.send(0, SIGNAL_PROCESS_GROUP)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            // A member that may not be signalled.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(true),
            other => other.map(|()| true),
        }
    }

    fn send(&self, signal: libc::c_int, flags: libc::c_uint) -> io::Result<()> {
        let info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: a null siginfo is allowed, and means the same as kill(2).
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal,
                info,
                flags,
            )
        };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The exit status of the process, which the kernel reports to processes other than the parent since Linux 6.15, once
    /// the process was reaped. `pidfs_exit` of fs/pidfs.c
    pub fn exit(&self) -> Exit {
        let mut info = Info {
            mask: INFO_EXIT,
            ..Info::default()
        };
        // SAFETY: the struct has the size in the request number, 64 bytes.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), GET_INFO, &raw mut info) };
        if result == 0 && info.mask & INFO_EXIT != 0 {
            wait::exit_of(info.exit_code)
        } else {
            Exit::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_noticed_and_its_status_is_right_or_unknown() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let held = PidFd::open(Pid::new(child.id() as i32).unwrap()).unwrap();
        assert!(!held.has_ended());
        held.signal(Signal::TERM).unwrap();
        let mut set = PollSet::default();
        set.push(held.fd(), Interest::READ, ());
        set.wait(None).unwrap();
        assert!(set.ready().next().unwrap().1.readable);
        assert!(held.has_ended());
        child.wait().unwrap();
        assert!(matches!(
            held.exit(),
            Exit::Signal(libc::SIGTERM) | Exit::Unknown
        ));
        assert!(held.signal(Signal::TERM).is_err());
    }

    #[test]
    fn a_group_is_signalled_after_its_leader_was_reaped() {
        let mut script = std::process::Command::new("sh");
        script.args(["-c", "sleep 1000 & echo $!"]);
        script.stdout(std::process::Stdio::piped());
        let mut leader = std::os::unix::process::CommandExt::process_group(&mut script, 0)
            .spawn()
            .unwrap();
        let held = PidFd::open(Pid::new(leader.id() as i32).unwrap()).unwrap();
        let mut line = String::new();
        let mut stdout = std::io::BufReader::new(leader.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        leader.wait().unwrap();
        let other = PidFd::open(Pid::new(line.trim().parse().unwrap()).unwrap()).unwrap();
        match held.group_exists() {
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
                other.signal(Signal::KILL).unwrap()
            }
            exists => {
                assert!(exists.unwrap());
                held.signal_group(Signal::KILL).unwrap();
                while held.group_exists().unwrap() {
                    std::thread::yield_now();
                }
                let gone = held.signal_group(Signal::KILL).unwrap_err();
                assert_eq!(gone.kind(), io::ErrorKind::NotFound);
            }
        }
        assert!(std::iter::repeat_with(|| other.has_ended()).any(|ended| ended));
    }
}
