//! Signals programs. A reused pid is never signalled: a process is identified by a pidfd, as an unreaped child, or by
//! its start time.

use std::io;

use crate::supervisor::driver::{Driver, Target};
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::Program;
use crate::supervisor::program::members::Leader;
use crate::supervisor::program::processes::Member;
use crate::sys::pid::Pid;
use crate::sys::signal::Signal;

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
            let _ = self.driver.signal(Target::Cgroup(&group), signal);
        }
        let members = match whole {
            true => self.members(id, Leader::Lives).ok(),
            false => None,
        };
        let Some(program) = self.programs.get(&id) else {
            return;
        };
        let driver = &mut *self.driver;
        let ends = ![Signal::KILL, Signal::STOP, Signal::CONT].contains(&signal);
        let chosen = |driver: &mut dyn Driver, pid: Pid| {
            if ends && driver.ignores(pid, signal) {
                Signal::TERM
            } else {
                signal
            }
        };
        // The group in one call, as long as its number is certainly its own: so no member is missed that is about to
        // be forked.
        let grouped = whole && signal_group(driver, program, leader, signal);
        let group = leader.map_or(0, Pid::get);
        if members.is_none() {
            let chosen = leader.map(|pid| chosen(driver, pid));
            if let Some(chosen) = chosen.filter(|chosen| !grouped || *chosen != signal) {
                signal_leader(driver, program, leader, chosen);
            }
        }
        for member in members.iter().flatten() {
            let chosen = chosen(driver, member.pid);
            if !grouped || member.stat.group != group || chosen != signal {
                signal_member(driver, program, member, chosen);
            }
        }
        // A stopped process does not see its signal before it goes on.
        if signal != Signal::STOP && signal != Signal::CONT {
            if grouped {
                signal_group(driver, program, leader, Signal::CONT);
            } else if members.is_none() {
                signal_leader(driver, program, leader, Signal::CONT);
            }
            for member in members.iter().flatten() {
                if !grouped || member.stat.group != group {
                    signal_member(driver, program, member, Signal::CONT);
                }
            }
        }
    }

    /// Sends a signal to the leader alone, as somebody has asked.
    ///
    /// # Errors
    /// There is none, or it cannot be signalled.
    pub(crate) fn signal_one(&mut self, id: u32, signal: Signal) -> io::Result<()> {
        let program = self.programs.get(&id);
        let program = program.filter(|program| program.life.pid != 0);
        let program = program.ok_or(io::ErrorKind::NotFound)?;
        let leader = Pid::new(program.life.pid);
        let target = leader_target(program, leader).ok_or(io::ErrorKind::NotFound)?;
        self.driver.signal(target, signal)
    }
}

fn leader_target(program: &Program, leader: Option<Pid>) -> Option<Target<'_>> {
    match program.handle() {
        Some(held) => Some(Target::Process(held)),
        None => leader.map(Target::Child),
    }
}

fn signal_leader(driver: &mut dyn Driver, program: &Program, leader: Option<Pid>, signal: Signal) {
    if let Some(target) = leader_target(program, leader) {
        // A signal that finds nobody is no failure: the death is reported.
        let _ = driver.signal(target, signal);
    }
}

/// Signals the group of a leader that has not ended. Returns whether one member at least was signalled.
fn signal_group(
    driver: &mut dyn Driver,
    program: &Program,
    leader: Option<Pid>,
    signal: Signal,
) -> bool {
    let Some(leader) = leader else {
        return false;
    };
    let target = match program.handle() {
        Some(held) => Target::ProcessGroup(held),
        // A child of ours, whose number is nobody else's before it is reaped. One that was just forked has no group.
        None => Target::ChildGroup(leader),
    };
    driver.signal(target, signal).is_ok()
}

/// Signals a process if it is still the one that was found.
fn signal_member(driver: &mut dyn Driver, program: &Program, member: &Member, signal: Signal) {
    if member.pid.get() == program.life.pid {
        return signal_leader(driver, program, Some(member.pid), signal);
    }
    let _ = driver.signal(Target::Member(member), signal);
}
