//! Signals programs. A reused pid is never signalled: a process is identified by a pidfd, as an unreaped child, or by
//! its start time.

use std::io;

use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::Program;
use crate::supervisor::program::members::Leader;
use crate::supervisor::program::processes::Member;
use crate::sys::pid::Pid;
use crate::sys::pidfd::PidFd;
use crate::sys::procfs::ProcDir;
use crate::sys::signal::{self, Signal};

impl Supervisor {
    /// Sends the kill signal to all members of a program.
    pub(crate) fn terminate(&mut self, id: u32) {
        let signal = self.programs.get(&id).map(|p| p.spec.kill_signal.0);
        let signal = signal.and_then(Signal::new).unwrap_or(Signal::TERM);
        self.signal_all(id, signal);
    }

    /// Sends a signal to all members of a program. Those that ignore it are sent SIGTERM: a shell has its background
    /// commands ignore SIGINT. `sh(1)`
    pub(crate) fn signal_all(&mut self, id: u32, signal: Signal) {
        let Some(program) = self.programs.get(&id) else {
            return;
        };
        let whole = program.spec.treekill;
        let leader = Pid::new(program.life.pid);
        if let (Signal::KILL, true, Some(group)) = (signal, whole, self.cgroup(id)) {
            // What has left the group is found below.
            let _ = group.kill();
        }
        let members = match whole {
            true => self.members(id, Leader::Lives).ok(),
            false => None,
        };
        let (Some(program), proc) = (self.programs.get(&id), self.proc.as_ref()) else {
            return;
        };
        let ends = ![Signal::KILL, Signal::STOP, Signal::CONT].contains(&signal);
        let chosen = |pid: Pid| match ends && proc.is_some_and(|proc| proc.ignores(pid, signal)) {
            true => Signal::TERM,
            false => signal,
        };
        // The group in one call, as long as its number is certainly its own: so no member is missed that is about to
        // be forked.
        let grouped = whole && signal_group(program, leader, signal);
        let group = leader.map_or(0, Pid::get);
        if members.is_none() {
            if let Some(pid) = leader.filter(|pid| !grouped || chosen(*pid) != signal) {
                signal_leader(program, Some(pid), chosen(pid));
            }
        }
        for member in members.iter().flatten() {
            let chosen = chosen(member.pid);
            if !grouped || member.stat.group != group || chosen != signal {
                signal_member(program, proc, member, chosen);
            }
        }
        // A stopped process does not see its signal before it goes on.
        if signal != Signal::STOP && signal != Signal::CONT {
            if grouped {
                signal_group(program, leader, Signal::CONT);
            } else if members.is_none() {
                signal_leader(program, leader, Signal::CONT);
            }
            for member in members.iter().flatten() {
                if !grouped || member.stat.group != group {
                    signal_member(program, proc, member, Signal::CONT);
                }
            }
        }
    }

    /// Sends a signal to the leader alone, as somebody has asked. Fails where there is none.
    pub(crate) fn signal_one(&self, id: u32, signal: Signal) -> io::Result<()> {
        let program = self.programs.get(&id);
        let program = program.filter(|program| program.life.pid != 0);
        let program = program.ok_or(io::ErrorKind::NotFound)?;
        match (program.handle(), Pid::new(program.life.pid)) {
            (Some(held), _) => held.signal(signal),
            (None, Some(pid)) => signal::kill(pid, signal),
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn signal_leader(program: &Program, leader: Option<Pid>, signal: Signal) {
    // A signal that finds nobody is no failure: the death will be heard of.
    let _ = match (program.handle(), leader) {
        (Some(held), _) => held.signal(signal),
        (None, Some(pid)) => signal::kill(pid, signal),
        (None, None) => Ok(()),
    };
}

/// Signals the group of a leader that has not ended. Whether that was possible, for one of it at least.
fn signal_group(program: &Program, leader: Option<Pid>, signal: Signal) -> bool {
    let Some(leader) = leader else {
        return false;
    };
    let done = match program.handle() {
        Some(held) if held.has_ended() => return false,
        Some(held) => match held.signal_group(signal) {
            // A kernel before 6.9.
            Err(e) if e.kind() != io::ErrorKind::NotFound => signal::kill_group(leader, signal),
            done => done,
        },
        // A child of ours, whose number is nobody else's before it is reaped. One that was just forked has no group.
        None => signal::kill_group(leader, signal),
    };
    done.is_ok()
}

/// Signals a process if it is still the one that was found.
fn signal_member(program: &Program, proc: Option<&ProcDir>, member: &Member, signal: Signal) {
    if member.pid.get() == program.life.pid {
        return signal_leader(program, Some(member.pid), signal);
    }
    let held = PidFd::open(member.pid);
    if proc.is_some_and(|proc| proc.is(member.pid, member.stat.start)) {
        let _ = match held {
            Ok(held) => held.signal(signal),
            Err(_) => signal::kill(member.pid, signal),
        };
    }
}
