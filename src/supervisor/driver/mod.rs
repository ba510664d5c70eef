//! What the supervisor's logic asks of the world: processes, signals, time, and the process that brings the list to the
//! disk. Nothing else in the logic calls the kernel for these, so the fake driver of the unit tests runs all of it.

#[cfg(test)]
pub mod fake;
pub mod system;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

use crate::model::life::Exit;
use crate::paths::Home;
use crate::supervisor::program::processes::{Member, Processes};
use crate::sys::cgroup::Cgroup;
use crate::sys::lookup::Lookup;
use crate::sys::memory_log::MemoryLog;
use crate::sys::pid::Pid;
use crate::sys::process::ProcessHandle;
use crate::sys::procfs::{ProcDir, Stat};
use crate::sys::signal::Signal;
use crate::sys::spawn::{Inherited, Plan, Record, Report, Spawned};

/// Who is signalled.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// A child that was not reaped: its number is nobody else's.
    Child(Pid),
    /// The process group that such a child leads.
    ChildGroup(Pid),
    /// A process that is held.
    Process(&'a ProcessHandle),
    /// The process group that it leads, while it has not ended.
    ProcessGroup(&'a ProcessHandle),
    /// A process that was found, if it is still that one.
    Member(&'a Member),
    /// Every process of a cgroup; SIGKILL only.
    Cgroup(&'a Cgroup),
}

/// What has to be known for a look at all processes.
#[derive(Debug)]
pub struct Scan<'a> {
    /// The home, which is the mark of its programs.
    pub home: &'a Home,
    /// The leaders of all programs.
    pub leaders: BTreeSet<Pid>,
    /// The leaders of adopted runs: their orphans go to their parents.
    pub adopted: Vec<Pid>,
    /// There are adopted runs: orphans may go to init.
    pub init_reaps: bool,
    /// A child that is no program.
    pub helper: Option<Pid>,
}

/// What is known of a child that has ended and is not reaped.
#[derive(Debug, Default)]
pub struct Zombie {
    /// When it started, in clock ticks since boot.
    pub start: Option<u64>,
    /// Its cgroup.
    pub cgroup: Option<String>,
}

/// A process that a record is of.
#[derive(Debug)]
pub enum FoundProcess {
    /// It is a child of this process: the supervisor has executed another release of itself.
    Child,
    /// It lives, and is held; perhaps it was stopped by a signal.
    Other(ProcessHandle, bool),
    /// It could not be looked at. It counts as alive, and is looked at again.
    Unseen(ProcessHandle, io::Error),
    /// It has ended, and its parent has not reaped it yet.
    Zombie(Exit),
}

/// The world.
pub trait Driver {
    /// The time of a clock that never steps, in ms.
    fn now(&self) -> u64;

    /// The time of day, in ms since the epoch.
    fn wall(&self) -> u64;

    /// How long ago a process started, in ms.
    fn age(&self, start: u64) -> u64;

    /// Forks a child that executes the plan.
    ///
    /// # Errors
    /// There can be no more processes or descriptors.
    fn spawn(&mut self, plan: &Plan, inherited: Inherited<'_>) -> io::Result<Spawned>;

    /// Starts a writer for this generation of the list.
    ///
    /// # Errors
    /// There can be no more processes or descriptors.
    fn start_writer(
        &mut self,
        home: &Home,
        generation: u64,
        list: &MemoryLog,
    ) -> io::Result<(Pid, UnixStream)>;

    /// Reads what a child has reported.
    fn read_report(&mut self, child: Option<Pid>, report: BorrowedFd<'_>) -> Report;

    /// Whether a child has nothing to report yet: it is between fork and exec.
    fn is_silent(&mut self, child: Option<Pid>, report: BorrowedFd<'_>) -> bool;

    /// A child that has ended and is not reaped.
    fn next_dead(&mut self) -> Option<Pid>;

    /// Looks at a child before it is reaped.
    fn inspect(&mut self, child: Pid) -> Zombie;

    /// Whether this process has children other than these leaders and the daemon's own helpers: orphans of programs become
    /// its children. `None`: the kernel does not tell.
    fn has_orphans(&mut self, leaders: &BTreeSet<Pid>) -> Option<bool>;

    /// A handle of a child that has ended, where there is room for one: its group is found by it.
    fn hold(&mut self, child: Pid) -> Option<ProcessHandle>;

    /// Reaps a child that has ended.
    fn reap(&mut self, child: Pid) -> Option<Exit>;

    /// Looks for the process of a record. `None`: it has gone.
    fn find(&mut self, record: Record) -> Option<FoundProcess>;

    /// Looks for the leader that carries all of these variables, and when it started.
    fn find_leader(&mut self, variables: &[Vec<u8>]) -> Lookup<(Pid, u64)>;

    /// Looks at a number.
    fn look(&mut self, pid: Pid) -> Lookup<Stat>;

    /// Looks at a process that may be held by its start time only.
    fn look_again(&mut self, handle: &mut ProcessHandle) -> Lookup<Stat>;

    /// Whether a process is known to have ended.
    fn has_ended(&mut self, handle: &ProcessHandle) -> bool;

    /// How a process has ended.
    fn exit(&mut self, handle: &ProcessHandle) -> Exit;

    /// Sends a signal.
    ///
    /// # Errors
    /// Nobody was signalled.
    fn signal(&mut self, target: Target<'_>, signal: Signal) -> io::Result<()>;

    /// Whether a group has a member.
    fn group_exists(&mut self, group: Pid) -> bool;

    /// Whether the group that a process has led has a member.
    ///
    /// # Errors
    /// The kernel cannot tell.
    fn led_group_exists(&mut self, leader: &ProcessHandle) -> io::Result<bool>;

    /// Whether processes can be looked at.
    fn can_scan(&mut self) -> bool;

    /// Looks at all processes.
    ///
    /// # Errors
    /// They could not be looked at.
    fn scan(&mut self, scan: &Scan<'_>) -> io::Result<Processes>;

    /// The living processes of a cgroup.
    ///
    /// # Errors
    /// They could not be looked at.
    fn cgroup_members(&mut self, group: &Cgroup) -> io::Result<Vec<Member>>;

    /// Whether a process ignores a signal.
    fn ignores(&mut self, pid: Pid, signal: Signal) -> bool;

    /// Whether a process is still the one that started then.
    fn is(&mut self, pid: Pid, start: u64) -> bool;

    /// The command line of a process.
    fn command(&mut self, pid: Pid) -> String;

    /// Why a process that was killed is still alive.
    fn why_it_lives(&mut self, member: &Member) -> String;

    /// `/proc`, for what processes use.
    fn proc(&self) -> Option<&ProcDir>;
}
