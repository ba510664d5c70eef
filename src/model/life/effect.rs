//! What the driver must do, as data.

use std::fmt;

use super::Exit;

/// The number of a run: the first of a program is 1. It is no pid, and is never used again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(pub u32);

impl RunId {
    /// The run after this one.
    #[must_use]
    pub fn next(self) -> RunId {
        RunId(self.0.saturating_add(1))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The deadlines of a program, by name. Each is armed at most once at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    /// The child must have executed the program.
    StartTimeout(RunId),
    /// The run must have ended after its kill signal.
    StopTimeout(RunId),
    /// SIGKILL is sent again.
    KillAgain(RunId),
    /// The program is launched again.
    RestartDelay,
}

/// A signal, by its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The kill signal of the program, or SIGKILL where the child has not executed it yet.
    Terminate,
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Suspend,
    /// SIGCONT.
    Continue,
}

/// What must be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Save {
    /// What is wanted, or that the program rests: soon on the disk, and before anything else is done about it.
    Desired,
    /// Counters only: when there is time.
    Counts,
}

/// Why a launch has failed though there was a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The child has not executed the program in time.
    Late,
    /// The leader exited 0 at once and left members: the program has put itself in the background.
    Background,
}

/// A line for the daemon's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A program that ran has ended.
    Exited(Exit),
    /// It did not end in time and is killed.
    Killing,
    /// It survives SIGKILL.
    Resists,
    /// What survived SIGKILL has ended.
    EndedAtLast,
    /// It is not started again after so many short runs in a row.
    GivesUp(u32),
}

/// One thing that the driver must do. They are carried out in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Tell the followers of events that the state has changed.
    Publish,
    /// Write the record.
    Save(Save),
    /// Release all that belongs to the run: nothing of it is left.
    Drop(RunId),
    /// Make the process of a run, and report `Spawned` or `NotSpawned`.
    Spawn(RunId),
    /// Signal all members of a run.
    Signal(RunId, Purpose),
    /// Report `Deadline` at this time, in ms; replaces an earlier time of the same deadline.
    Arm(Deadline, u64),
    /// Forget a deadline.
    Cancel(Deadline),
    /// Keep, for whoever asks, that the launch has failed, and log it.
    Fail(RunId, Trouble),
    /// Remove the pid file: the program rests.
    RemovePidFile,
    /// Close the ports that only this program needed.
    ReleasePorts,
    /// Log it.
    Note(Note),
}
