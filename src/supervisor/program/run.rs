//! One execution of a program, and everything that belongs to it. Dropping a run releases all of it, so nothing of an
//! execution can reach the next one.

use std::os::fd::OwnedFd;

use crate::model::life::RunId;
use crate::supervisor::node::channel::Channel;
use crate::sys::pid::Pid;
use crate::sys::process::ProcessHandle;
use crate::sys::procfs::{Gauge, ProcDir};

/// Where the members of a run are, as far as cgroups tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Placement {
    /// In no cgroup of their own: they are found through `/proc`.
    #[default]
    NoCgroup,
    /// All of them are in the cgroup of the program.
    Cgroup,
    /// They began in the cgroup, but the leader was seen in another: they are looked for in both ways.
    LeftCgroup,
}

/// One execution.
#[derive(Debug, Default)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// The process group, which has the number of the leader. `None`: that number is another's by now.
    pub group: Option<Pid>,
    /// When it began, ms since the epoch.
    pub since: u64,
    /// When its leader started, in clock ticks since boot; 0 where nobody has looked yet.
    pub start_ticks: u64,
    /// The pipe by which the child between fork and exec reports.
    pub report: Option<OwnedFd>,
    /// Where its members are.
    pub placement: Placement,
    /// Members other than the leader, as they were last found outside of a cgroup; with their start times.
    pub escaped: Vec<(Pid, u64)>,
    /// It was found, not started: its members are reaped by another process.
    pub adopted: bool,
    /// The leader, where it is not our child.
    pub handle: Option<ProcessHandle>,
    /// The leader after its end: it identifies the group, whose number may be reused.
    pub group_pidfd: Option<ProcessHandle>,
    /// The channel of a Node worker.
    pub channel: Option<Channel>,
    /// Why the leader could not be looked at: it counts as running, and is looked at again.
    pub unseen: Option<String>,
    /// How often it could not be told whether a member is left.
    pub doubts: u32,
    /// The open record of the leader's memory.
    pub memory: Option<Gauge>,
}

impl Run {
    /// Whether it began in the cgroup of its program.
    pub fn joined(&self) -> bool {
        self.placement != Placement::NoCgroup
    }

    /// Whether the cgroup has all of its members.
    pub fn is_whole_in_cgroup(&self) -> bool {
        self.placement == Placement::Cgroup
    }

    /// Notes that its leader was seen outside of the cgroup in which it began.
    pub fn has_left_cgroup(&mut self) {
        if self.joined() {
            self.placement = Placement::LeftCgroup;
        }
    }

    /// The resident memory of the leader in bytes, 0 if it cannot be read. The first call opens the record, later ones
    /// are one read each: `list` asks it of hundreds.
    pub fn rss_bytes(&mut self, pid: Pid, proc: Option<&ProcDir>) -> u64 {
        if self.memory.is_none() {
            self.memory = proc.and_then(|proc| proc.gauge(pid).ok());
        }
        let memory = self.memory.as_ref();
        let bytes = memory.and_then(|memory| memory.rss_bytes().ok());
        // At the limit of descriptors it is opened each time.
        self.memory.take_if(|memory| !memory.may_stay());
        bytes.unwrap_or(0)
    }
}
