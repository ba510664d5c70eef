//! The tree of a program: its leader, the group of that, and descendants that have left it. Signalling all of it, and
//! seeing what remains of it when the leader has ended.

use super::program::Program;
use super::server::{REMAINS_AGAIN, Supervisor};
use super::timers::Timer;
use crate::app::life::{Event, State};
use crate::sys::pid::Pid;
use crate::sys::pidfd::PidFd;
use crate::sys::process::ProcessHandle;
use crate::sys::procfs::ProcDir;
use crate::sys::signal::{self, Signal};

impl Supervisor {
    /// Whether anything of the last run lives, its leader apart.
    pub(super) fn remains(&self, id: u32) -> bool {
        let Some(program) = self.programs.get(&id).filter(|p| p.spec.treekill) else {
            return false;
        };
        let proc = self.proc.as_ref();
        let exists = |group: &Pid| match program.led.as_ref().map(ProcessHandle::group_exists) {
            Some(Ok(exists)) => exists,
            _ => signal::group_exists(*group),
        };
        let group = own_group(program, proc, false).filter(exists);
        let grouped = match (group, proc) {
            (Some(group), Some(proc)) if program.foreign => proc.group_lives(group),
            (group, _) => group.is_some(),
        };
        let mut strays = program.strays.iter();
        grouped || proc.is_some_and(|proc| strays.any(|(pid, start)| proc.is(*pid, *start)))
    }

    /// Looks whether programs that their leader has left have come to their end.
    pub(super) fn look_at_remains(&mut self) {
        for id in self.leaderless() {
            if !self.remains(id) {
                self.feed(id, Event::Gone);
            }
        }
        self.look_again_at_remains();
    }

    pub(super) fn look_again_at_remains(&mut self) {
        let again = (!self.leaderless().is_empty()).then(|| self.now + REMAINS_AGAIN);
        self.timers.set(Timer::Remains, again);
    }

    fn leaderless(&self) -> Vec<u32> {
        let all = self.programs.values();
        all.filter(|p| p.life.state == State::Stopping && p.life.pid == 0)
            .map(|p| p.id)
            .collect()
    }

    /// Sends a signal, the program's kill signal by default, to all of it.
    pub(super) fn signal_with(&mut self, id: u32, signal: Option<Signal>) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        let signal = signal
            .or(Signal::new(program.spec.kill_signal.0))
            .unwrap_or(Signal::TERM);
        let leader = Pid::new(program.life.pid);
        let send = |signal| match program.spec.treekill {
            false => signal_leader(program, leader, signal),
            true => signal_tree(program, self.proc.as_ref(), leader, signal),
        };
        if let (true, Some(proc)) = (program.spec.treekill, &self.proc) {
            let strays = leader.map(|pid| strays_of(proc, pid)).unwrap_or_default();
            for stray in &strays {
                signal_stray(proc, *stray, signal);
            }
            send(signal);
            for stray in program.strays.iter().filter(|s| !strays.contains(s)) {
                signal_stray(proc, *stray, signal);
            }
            // A stopped program does not see its signal before it goes on.
            if signal != Signal::STOP {
                send(Signal::CONT);
            }
            for stray in strays {
                if !program.strays.contains(&stray) {
                    program.strays.push(stray);
                }
            }
        } else {
            send(signal);
            if signal != Signal::STOP {
                send(Signal::CONT);
            }
        }
    }

    /// Sends a signal to the leader alone, as somebody has asked. Fails where there is none.
    pub(super) fn signal_one(&self, id: u32, signal: Signal) -> std::io::Result<()> {
        let program = self.programs.get(&id);
        let program = program.filter(|program| program.life.pid != 0);
        let program = program.ok_or(std::io::ErrorKind::NotFound)?;
        match (&program.adopted, Pid::new(program.life.pid)) {
            (Some(held), _) => held.signal(signal),
            (None, Some(pid)) => signal::kill(pid, signal),
            (None, None) => Err(std::io::ErrorKind::NotFound.into()),
        }
    }
}

fn signal_leader(program: &Program, leader: Option<Pid>, signal: Signal) {
    // A signal that finds nobody is no failure: the death will be heard of.
    let _ = match (&program.adopted, leader) {
        (Some(held), _) => held.signal(signal),
        (None, Some(pid)) => signal::kill(pid, signal),
        (None, None) => Ok(()),
    };
}

/// The group of the last run, unless its number is another's by now: nobody is given the number of a group that has
/// members, so whoever bears it when its leader leads no more came after the last of them.
fn own_group(program: &Program, proc: Option<&ProcDir>, leads: bool) -> Option<Pid> {
    let bears = |group| proc.is_some_and(|p| p.stat(group).is_ok_and(|stat| stat.lives()));
    program.group.filter(|group| leads || !bears(*group))
}

fn signal_tree(program: &Program, proc: Option<&ProcDir>, leader: Option<Pid>, signal: Signal) {
    let held = program.adopted.as_ref().or(program.led.as_ref());
    let leads = leader.is_some()
        && !program
            .adopted
            .as_ref()
            .is_some_and(ProcessHandle::has_ended);
    let group = own_group(program, proc, leads);
    let done = match (held.map(|held| held.signal_group(signal)), group) {
        // A kernel before 6.9, or a child of ours, whose number is nobody else's before it is reaped.
        (Some(Err(e)), Some(group)) if e.kind() != std::io::ErrorKind::NotFound => {
            signal::kill_group(group, signal)
        }
        (Some(done), _) => done,
        (None, Some(group)) => signal::kill_group(group, signal),
        (None, None) => Err(std::io::ErrorKind::NotFound.into()),
    };
    if done.is_err() {
        // A child that was just forked has no group yet.
        signal_leader(program, leader, signal);
    }
}

/// Signals a process if it is still the one that started then.
fn signal_stray(proc: &ProcDir, (pid, start): (Pid, u64), signal: Signal) {
    let held = PidFd::open(pid);
    if proc.is(pid, start) {
        let _ = match held {
            Ok(held) => held.signal(signal),
            Err(_) => signal::kill(pid, signal),
        };
    }
}

/// Those below a process that have left its group, with their start times.
fn strays_of(proc: &ProcDir, leader: Pid) -> Vec<(Pid, u64)> {
    let below = proc.descendants(leader).into_iter();
    let known = below.filter_map(|pid| Some((pid, proc.stat(pid).ok()?)));
    let outside = known.filter(|(_, stat)| stat.group != leader.get());
    outside.map(|(pid, stat)| (pid, stat.start)).collect()
}
