//! Starting a program: fork, and in the child everything that must be so before it executes.
//!
//! The child reports over a CLOEXEC pipe: end of file means that the program executes, a record names the step
//! that failed and its errno. The parent reads it when `poll(2)` says so: nothing here waits for the child.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

mod child;

use child::Child;

use super::check;
use super::fd;
use super::pid::Pid;
use super::reexec::pointers;
use super::rights;
use super::signal::AllBlocked;
use super::time_namespace;

/// All that the child needs, prepared before the fork: afterwards it must not allocate.
#[derive(Debug)]
pub struct Plan {
    /// The files to execute; the first that can be is, as `execvp(3)` looks along PATH.
    pub programs: Vec<CString>,
    /// The argument vector.
    pub argv: Vec<CString>,
    /// The environment, `NAME=value` each.
    pub env: Vec<CString>,
    /// The script, where it is an interpreter that is executed: it must be a file that can be read.
    pub script: Option<CString>,
    /// The working folder.
    pub cwd: CString,
    /// The file creation mask.
    pub umask: u32,
    /// The `cgroup.procs` of the group that it joins; that it cannot is reported and no obstacle.
    pub cgroup: Option<CString>,
    /// The FIFO for descriptor 1.
    pub stdout: CString,
    /// The FIFO for descriptor 2.
    pub stderr: CString,
    /// The number of the program, which the child records with its pid and start time, see [`Record`].
    pub id: u32,
    /// The number of the run, which is recorded too.
    pub run: u32,
    /// Log files that a user has named: none may be a folder.
    pub logs: Vec<CString>,
    /// The folders that the pid file is in and that are made where they are missing, the topmost first.
    pub pid_folders: Vec<CString>,
    /// Where the child writes its pid for people.
    pub pid_file: Option<CString>,
    /// The limits of open descriptors, soft then hard.
    pub nofile: (u64, u64),
    /// The nice value.
    pub nice: i32,
    /// Whether it is told its own number as LISTEN_PID, `sd_listen_fds(3)`.
    pub listen_pid: bool,
}

/// How many descriptors a program may be started with besides its standard ones.
pub const MOST_GIVEN: usize = 64;

/// A step of the child; the order is that in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Stage {
    Session,
    Cgroup,
    Stdin,
    Stdout,
    Stderr,
    Record,
    LogFile,
    PidFile,
    Given,
    Limits,
    Directory,
    Script,
    Program,
    /// The file to execute is there; what it needs to run, a `#!` interpreter or a loader, is not.
    Interpreter,
}

const STAGES: [Stage; 14] = [
    Stage::Session,
    Stage::Cgroup,
    Stage::Stdin,
    Stage::Stdout,
    Stage::Stderr,
    Stage::Record,
    Stage::LogFile,
    Stage::PidFile,
    Stage::Given,
    Stage::Limits,
    Stage::Directory,
    Stage::Script,
    Stage::Program,
    Stage::Interpreter,
];

/// The name that the child has during a step that may hang, at most 15 bytes.
const SHOWN: [(Stage, &CStr); 6] = [
    (Stage::Record, c"rpmd-record"),
    (Stage::LogFile, c"rpmd-log-file"),
    (Stage::PidFile, c"rpmd-pid-file"),
    (Stage::Directory, c"rpmd-cwd"),
    (Stage::Script, c"rpmd-script"),
    (Stage::Program, c"rpmd-exec"),
];

impl Stage {
    fn shown(self) -> Option<&'static CStr> {
        let row = SHOWN.iter().find(|(stage, _)| *stage == self);
        row.map(|(_, name)| *name)
    }

    /// The step of a child that has this name.
    pub fn of_name(name: &[u8]) -> Option<Stage> {
        let row = SHOWN.iter().find(|(_, shown)| shown.to_bytes() == name);
        row.map(|(stage, _)| *stage)
    }
}

/// A child that is about to execute.
#[derive(Debug)]
pub struct Spawned {
    /// Its number.
    pub pid: Pid,
    /// What it reports by; reading does not block.
    pub report: OwnedFd,
}

/// What a child has reported so far.
#[derive(Debug)]
pub enum Report {
    /// Nothing.
    Pending,
    /// It is not in its cgroup, and goes on without: there is more to read.
    NotJoined(io::Error),
    /// It executes the program, or was killed on the way there.
    Executed,
    /// It could not.
    Failed {
        /// The step.
        stage: Stage,
        /// Which of [`Plan::programs`], where the step is about one.
        program: usize,
        /// Why.
        reason: io::Error,
    },
}

/// The most bytes that the record of a pid has.
const RECORD_SIZE: usize = 160;

/// The descriptors of the supervisor that matter to a child before it executes.
#[derive(Debug, Clone, Copy)]
pub struct Inherited<'a> {
    /// What becomes its standard input.
    pub null: BorrowedFd<'a>,
    /// Closed first: nobody shall connect to a supervisor that has died and meet a child of it.
    pub listener: BorrowedFd<'a>,
    /// What it finds as descriptors 3 and up, at most [`MOST_GIVEN`].
    pub given: &'a [OwnedFd],
    /// The list in memory, where the child records itself.
    pub list: BorrowedFd<'a>,
    /// Closed when the child has recorded itself: whoever gets the lock afterwards finds every child on record.
    pub lock: BorrowedFd<'a>,
}

/// Forks a child that executes the plan. Fails when there can be no more processes or descriptors.
pub fn spawn(plan: &Plan, inherited: Inherited) -> io::Result<Spawned> {
    let argv = pointers(&plan.argv);
    let mut env = pointers(&plan.env);
    if plan.listen_pid {
        // The child puts its number here.
        env.insert(0, c"LISTEN_PID=0".as_ptr());
    }
    let mut given = [-1; MOST_GIVEN];
    for (slot, fd) in given.iter_mut().zip(inherited.given) {
        *slot = fd.as_raw_fd();
    }
    let given = given.get_mut(..inherited.given.len());
    let given = given.ok_or_else(|| io::Error::other("too many descriptors"))?;
    let (report, tell) = fd::pipe()?;
    fd::set_nonblocking(report.as_fd())?;
    // The child may not allocate.
    rights::prepare();
    let offset = time_namespace::boot_offset()?.ticks;
    let blocked = AllBlocked::new();
    // SAFETY: the child calls only async-signal-safe functions (signal-safety(7)) on memory that was prepared,
    // and leaves by execve or _exit.
    let pid = check(unsafe { libc::fork() })?;
    if pid == 0 {
        let child = Child {
            plan,
            argv: &argv,
            env: &mut env,
            given,
            null: inherited.null.as_raw_fd(),
            listener: inherited.listener.as_raw_fd(),
            list: inherited.list.as_raw_fd(),
            lock: inherited.lock.as_raw_fd(),
            tell: tell.as_raw_fd(),
            offset,
        };
        child.run();
    }
    drop(blocked);
    let pid = Pid::new(pid).ok_or_else(|| io::Error::other("the kernel gave no usable pid"))?;
    Ok(Spawned { pid, report })
}

/// Reads what a child has reported.
pub fn read_report(report: BorrowedFd) -> Report {
    let mut record = [0; 6];
    match fd::read(report, &mut record) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Report::Pending,
        Ok(6) => {
            let [stage, program, errno @ ..] = record;
            let reason = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
            let stage = STAGES.get(usize::from(stage)).copied();
            match stage.unwrap_or(Stage::Program) {
                Stage::Cgroup => Report::NotJoined(reason),
                stage => Report::Failed {
                    stage,
                    program: usize::from(program),
                    reason,
                },
            }
        }
        _ => Report::Executed,
    }
}

/// What a child has recorded of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub pid: Pid,
    /// When it started, in clock ticks since the boot of the machine: with the number, its identity.
    pub start: u64,
    /// Which run of the program it is.
    pub run: u32,
    /// Whether it is in the cgroup of the program.
    pub joined: bool,
}

impl Record {
    /// The line that a child records, without its checksum.
    pub fn line(&self, id: u32) -> String {
        let joined = if self.joined { " cgroup=1" } else { "" };
        let (pid, start, run) = (self.pid, self.start, self.run);
        format!("pid id={id} pid={pid} start={start} run={run}{joined}")
    }
}

#[cfg(test)]
mod tests;
