//! Finding programs again: what the records know is taken over by the next supervisor.

use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use super::handover;
use super::records::{self, Found};
use super::server::Supervisor;
use super::state::{Boot, State};
use super::timers::Timer;
use crate::app::life::{self, Event, Exit, Life, Want};
use crate::error::Result;
use crate::protocol::line::Line;
use crate::sys::clock;
use crate::sys::pid::Pid;
use crate::sys::pidfd::PidFd;
use crate::sys::spawn::Record;

/// A process that was found.
enum Process {
    /// It is a child of this process: the supervisor has executed another release of itself.
    Child,
    /// It lives, and is held; perhaps it was stopped by a signal.
    Other(PidFd, bool),
}

impl Supervisor {
    /// Takes over the programs that the records know: those that live are adopted, those that have ended meanwhile are
    /// treated by their restart policy. In a new boot those are started that were wanted up.
    /// What another release has handed over counts for more than the records.
    pub(super) fn take_over(&mut self, state: State, handed: &[(u32, Line)]) -> Result<()> {
        let boot = state.boot;
        let ids = records::ids(&self.home)?;
        if boot == Boot::Another {
            for id in &ids {
                // Before the records are claimed for this boot: its number may be another's soon.
                let _ = std::fs::remove_file(self.home.records(*id).pid());
            }
            if !ids.is_empty() {
                self.journal.note("the machine has been started anew");
            }
        }
        self.next_id = state.next_id;
        self.note_state();
        self.damaged = records::damaged(&self.home);
        for id in ids {
            self.next_id = self.next_id.max(id.saturating_add(1));
            match records::load(&self.home, id) {
                Ok(Some(found)) => match handed.iter().find(|(of, _)| *of == id) {
                    Some((_, line)) => self.carry_on(found, line),
                    None => self.take_over_one(found, boot),
                },
                Ok(None) => {
                    let _ = std::fs::remove_dir_all(self.home.records(id).folder());
                }
                Err(e) => self.set_aside(id, &e),
            }
        }
        self.cgroups
            .remove_others(|id| self.programs.contains_key(&id));
        self.look_again_at_remains();
        Ok(())
    }

    /// Notes what concerns all records.
    pub(super) fn note_state(&mut self) {
        if let Err(e) = State::write(&self.home, self.next_id, self.cgroups.folder()) {
            self.journal.note(e);
        }
    }

    fn set_aside(&mut self, id: u32, why: &crate::error::Error) {
        let aside = match records::set_aside(&self.home, id) {
            Ok(path) => {
                let shown = path.display().to_string();
                self.damaged.push(path);
                shown
            }
            Err(e) => e.to_string(),
        };
        self.journal.note(format_args!(
            "program {id} is left out: {why}; set aside: {aside}"
        ));
    }

    /// Goes on with a program where another release has left it.
    fn carry_on(&mut self, found: Found, line: &Line) {
        let mut program = found.program;
        let id = program.id;
        let spec = Rc::make_mut(&mut program.spec);
        spec.env = self.share_environment(Rc::clone(&spec.env));
        if handover::restore(&mut program, line).is_none() {
            return self.take_over_one(Found { program, ..found }, Boot::Same);
        }
        self.timers.set(Timer::Program(id), program.life.deadline);
        match Pid::new(program.life.pid) {
            // Alive or dead, it is ours to reap.
            Some(pid) if program.adopted.is_none() => {
                self.by_pid.insert(pid, id);
            }
            None if program.life.state == life::State::Launching => self.launches.push_back(id),
            _ => {}
        }
        self.programs.insert(id, program);
    }

    fn take_over_one(&mut self, found: Found, boot: Boot) {
        let mut program = found.program;
        let id = program.id;
        // Whatever its FIFOs hold is to be saved.
        program.logged = true;
        let spec = Rc::make_mut(&mut program.spec);
        spec.env = self.share_environment(Rc::clone(&spec.env));
        // A process that should be there, and whose record is lost, bears its number and home in its environment.
        let lost = found.last.is_none() && boot == Boot::Same;
        let last = match lost && program.life.state == life::State::Launching {
            true => self.find_unrecorded(id, program.ended.saturating_add(1)),
            false => found.last,
        };
        program.run = last.map_or(0, |last| last.run).max(program.ended);
        // A supervisor that was killed in a storm may not have come to write down the last restarts.
        let unwritten = program.run.saturating_sub(program.ended.saturating_add(1));
        program.life.restarts = program.life.restarts.saturating_add(unwritten);
        let was = program.life.state;
        let want = program.life.want;
        let process = last.and_then(|last| self.find(last));
        let unheard = last.filter(|last| last.run > program.ended);
        if let Some(last) = last.filter(|_| process.is_some() || unheard.is_some()) {
            let since = started(last.start);
            let age = clock::boottime_ms().saturating_sub(since);
            program.since = clock::wall_ms().saturating_sub(age);
            let life = std::mem::take(&mut program.life);
            program.life = Life::adopted(life, last.pid.get(), self.now.saturating_sub(age));
            program.group = Some(last.pid);
            let group = self.cgroups.of(id).filter(|_| last.joined);
            (program.born, program.joined) = (last.start, group.is_some_and(|g| g.exists()));
            program.foreign = !matches!(process, Some(Process::Child));
        }
        let policy = program.policy();
        let delay = policy.delay(program.life.unstable);
        self.programs.insert(id, program);
        match (process, unheard) {
            (Some(process), _) => {
                self.hold(id, process);
                if want == Want::Down {
                    self.feed(id, Event::Stop);
                }
            }
            (None, Some(last)) => self.ended_unseen(id, last),
            // Where it was ended last, there may not have been time for it.
            (None, None) if want == Want::Down => self.remove_pid_file(id),
            (None, None) if boot == Boot::Another => self.start_anew(id),
            (None, None) => self.go_on(id, was, delay),
        }
    }

    /// The leader of a program, found by what it was told about itself.
    fn find_unrecorded(&self, id: u32, run: u32) -> Option<Record> {
        let home = self.home.root().as_os_str().as_bytes();
        let told = [
            format!("RPM_ID={id}").into_bytes(),
            [b"RPM_HOME=", home].concat(),
        ];
        let (pid, start) = self.proc.as_ref()?.find_leader(&told)?;
        let joined = false;
        Some(Record {
            pid,
            start,
            run,
            joined,
        })
    }

    /// The process that a record is of, if it lives.
    fn find(&self, last: Record) -> Option<Process> {
        let proc = self.proc.as_ref()?;
        let held = PidFd::open(last.pid);
        // Looked at after it is held: the number cannot be another's any more.
        let stat = proc.stat(last.pid).ok()?;
        if stat.start != last.start {
            return None;
        }
        if stat.parent == Pid::own() {
            // Dead or alive: it is ours to reap.
            return Some(Process::Child);
        }
        let held = held.ok().filter(|_| stat.lives())?;
        Some(Process::Other(held, stat.state == b'T'))
    }

    fn hold(&mut self, id: u32, process: Process) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        match process {
            Process::Other(held, stopped) => {
                program.adopted = Some(held);
                if stopped {
                    program.life.state = life::State::Paused;
                }
            }
            Process::Child => {
                if let Some(pid) = Pid::new(program.life.pid) {
                    self.by_pid.insert(pid, id);
                }
            }
        }
    }

    /// The last run has come to its end and nobody has seen it.
    fn ended_unseen(&mut self, id: u32, last: Record) {
        let now = self.proc.as_ref().map(|proc| proc.stat(last.pid));
        if now.is_some_and(|now| now.is_ok_and(|stat| stat.start != last.start)) {
            // The number is another's by now: a group that bears it is too.
            if let Some(program) = self.programs.get_mut(&id) {
                program.group = None;
            }
        }
        self.ended(id, Exit::Unknown);
    }

    /// Starts a program that was wanted up when the machine went down, whatever had become of it.
    fn start_anew(&mut self, id: u32) {
        if let Some(program) = self.programs.get_mut(&id) {
            program.life.state = life::State::Stopped;
        }
        self.feed(id, Event::Start);
    }

    /// Goes on with a program that was between two runs.
    fn go_on(&mut self, id: u32, was: life::State, delay: u64) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        match was {
            life::State::Waiting => {
                let at = self.now.saturating_add(delay);
                program.life.deadline = Some(at);
                self.timers.set(Timer::Program(id), Some(at));
            }
            life::State::Launching => self.launches.push_back(id),
            // Wanted up and stopped: the first release did not record that it was about to be launched.
            life::State::Stopped => self.feed(id, Event::Start),
            _ => self.remove_pid_file(id),
        }
    }
}

/// When a process started, in ms since boot, from clock ticks.
fn started(ticks: u64) -> u64 {
    ticks.saturating_mul(1000) / clock::ticks_per_second()
}
