//! Finding programs again: what the records know is taken over by the next supervisor.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use crate::error::{Error, Result};
use crate::model::life::{self, Event, Exit, RunId, Want};
use crate::protocol::line::Line;
use crate::supervisor::daemon::handover;
use crate::supervisor::driver::FoundProcess;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::run::{Placement, Run};
use crate::supervisor::store::records::{self, Found, Unusable};
use crate::supervisor::store::state::{Boot, State};
use crate::supervisor::timers::Timer;
use crate::sys::lookup::Lookup;
use crate::sys::pid::Pid;
use crate::sys::spawn::Record;
use crate::sys::time_namespace;

/// How often a process is looked at that no descriptor could be had of. ms
const LOOK_AGAIN: u64 = 1000;
/// How often while its end was asked for. ms
const LOOK_SOON: u64 = 50;

impl Supervisor {
    /// Takes over the programs that the records know: those that live are adopted, those that have ended meanwhile are
    /// treated by their restart policy. In a new boot those are started that were wanted up.
    /// What another release has handed over counts for more than the records.
    pub(crate) fn take_over(&mut self, state: State, handed: &[(u32, Line)]) -> Result<()> {
        let boot = state.boot;
        let ids = records::ids(&self.home)?;
        if boot == Boot::Another {
            for id in &ids {
                // Before the records are claimed for this boot: its number may be another's soon.
                let _ = std::fs::remove_file(self.home.records(*id).pid());
            }
            if !ids.is_empty() {
                self.journal.note("the machine has rebooted");
            }
        }
        if let Some(doubt) = state.doubt {
            self.journal.note(doubt);
        }
        self.next_id = state.next_id;
        self.note_state();
        self.damaged = records::damaged(&self.home);
        for id in ids {
            self.next_id = self.next_id.max(id.saturating_add(1));
            let line = handed.iter().find(|(of, _)| *of == id);
            self.take_over_records(id, boot, line.map(|(_, line)| line));
        }
        self.cgroups
            .remove_others(|id| self.programs.contains_key(&id));
        // Last, as it can be done without: what programs cannot be without is held by now.
        self.look_at_unheld();
        self.look_again_at_remains();
        Ok(())
    }

    pub(crate) fn take_over_records(&mut self, id: u32, boot: Boot, handed: Option<&Line>) {
        let found = match records::load(&self.home, id) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let _ = std::fs::remove_dir_all(self.home.records(id).folder());
                return;
            }
            Err(Unusable::Damaged(e)) => return self.set_aside(id, &e),
            Err(Unusable::Unread(e)) => return self.read_later(id, boot, e.to_string()),
        };
        match handed {
            Some(line) => self.carry_on(found, line),
            None => self.take_over_one(found, boot),
        }
    }

    /// Notes what concerns all records.
    pub(crate) fn note_state(&mut self) {
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
        // Alive or dead, it is ours to reap.
        let child = Pid::new(program.life.pid).filter(|_| program.handle().is_none());
        self.by_pid.extend(child.map(|pid| (pid, id)));
        self.programs.insert(id, program);
        self.feed(id, Event::HandedOver);
    }

    fn take_over_one(&mut self, found: Found, boot: Boot) {
        let mut program = found.program;
        let id = program.id;
        // Whatever its FIFOs hold is to be saved.
        program.logged = true;
        let spec = Rc::make_mut(&mut program.spec);
        spec.env = self.share_environment(Rc::clone(&spec.env));
        // A process that should be there, and whose record is lost, bears its number and home in its environment.
        let found = found.last.filter(|_| boot == Boot::Same);
        let lost = found.is_none() && boot == Boot::Same;
        let last = match lost && program.life.state == life::State::Launching {
            true => match self.find_unrecorded(id, program.ended.saturating_add(1)) {
                Lookup::There(last) => Some(last),
                Lookup::Gone => None,
                Lookup::Failed(e) => {
                    let doing = "looking for its process in /proc";
                    return self.read_later(id, boot, Error::io(doing, &e).to_string());
                }
            },
            false => found,
        };
        program.life.run = RunId(last.map_or(0, |last| last.run).max(program.ended));
        // A supervisor that was killed in a storm may not have come to write down the last restarts.
        let run = program.life.run.0;
        let unwritten = run.saturating_sub(program.ended.saturating_add(1));
        program.life.restarts = program.life.restarts.saturating_add(unwritten);
        let want = program.life.want;
        let unheard = last.filter(|last| last.run > program.ended);
        let process = last.and_then(|last| self.driver.find(last));
        // The end of that run was dealt with already.
        let process =
            process.filter(|p| unheard.is_some() || !matches!(p, FoundProcess::Zombie(_)));
        if let Some(last) = last.filter(|_| process.is_some() || unheard.is_some()) {
            let age = self.driver.age(last.start);
            let life = std::mem::take(&mut program.life);
            let is_paused = matches!(process, Some(FoundProcess::Other(_, true)));
            let state = if is_paused {
                life::State::Paused
            } else {
                life::State::Online
            };
            let since = self.now.saturating_sub(age);
            program.life = life.adopted(RunId(last.run), last.pid.get(), since, state);
            program.last_pid = Some(last.pid);
            let group = self.cgroups.of(id).filter(|_| last.joined);
            let joined = group.is_some_and(|group| group.exists());
            program.run = Some(Run {
                id: RunId(last.run),
                group: Some(last.pid),
                since: self.driver.wall().saturating_sub(age),
                start_ticks: last.start,
                placement: if joined {
                    Placement::Cgroup
                } else {
                    Placement::NoCgroup
                },
                adopted: !matches!(process, Some(FoundProcess::Child)),
                ..Run::default()
            });
            program.new_fifos = program.prints_elsewhere(last.pid);
        }
        self.programs.insert(id, program);
        match (process, unheard) {
            (Some(FoundProcess::Zombie(exit)), _) => self.ended(id, exit),
            (Some(process), _) => {
                self.hold(id, process);
                if want == Want::Down {
                    self.feed(id, Event::Stop);
                }
            }
            (None, Some(last)) => self.ended_unseen(id, last),
            (None, None) => self.feed(
                id,
                match boot {
                    Boot::Same => Event::Recalled,
                    Boot::Another => Event::Rebooted,
                },
            ),
        }
    }

    /// The leader of a program, found by what it was told about itself.
    fn find_unrecorded(&mut self, id: u32, run: u32) -> Lookup<Record> {
        let home = self.home.root().as_os_str().as_bytes();
        let told = [
            format!("RPM_ID={id}").into_bytes(),
            [b"RPM_HOME=", home].concat(),
        ];
        self.driver.find_leader(&told).map(|(pid, start)| Record {
            pid,
            start,
            run,
            joined: false,
        })
    }

    fn hold(&mut self, id: u32, process: FoundProcess) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        match process {
            FoundProcess::Other(held, _) => {
                if let Some(run) = &mut program.run {
                    run.handle = Some(held);
                }
            }
            FoundProcess::Child => {
                if let Some(pid) = Pid::new(program.life.pid) {
                    self.by_pid.insert(pid, id);
                }
            }
            FoundProcess::Unseen(held, e) => {
                let why = unseen(held.pid(), &e);
                if let Some(run) = &mut program.run {
                    run.handle = Some(held);
                    run.unseen = Some(why.clone());
                }
                self.note(id, why);
            }
            FoundProcess::Zombie(_) => {}
        }
    }

    /// Looks at the processes that no descriptor is held of: `poll(2)` tells nothing of their end.
    pub(crate) fn look_at_unheld(&mut self) {
        self.looked = self.now;
        for id in self.unheld() {
            let program = self.programs.get_mut(&id);
            let Some(run) = program.and_then(|p| p.run.as_mut()) else {
                continue;
            };
            let Some(held) = run.handle.as_mut() else {
                continue;
            };
            let pid = held.pid();
            match self.driver.look_again(held) {
                // Found late, after another release of the supervisor was executed.
                Lookup::There(stat) if stat.parent == Pid::own() => {
                    run.handle = None;
                    run.adopted = false;
                    run.unseen = None;
                    self.by_pid.insert(pid, id);
                }
                Lookup::There(_) => run.unseen = None,
                Lookup::Gone => {
                    run.unseen = None;
                    self.adopted_ended(id);
                }
                Lookup::Failed(e) if run.unseen.is_none() => {
                    let why = unseen(pid, &e);
                    run.unseen = Some(why.clone());
                    self.note(id, why);
                }
                Lookup::Failed(_) => {}
            }
        }
    }

    fn unheld(&self) -> Vec<u32> {
        let all = self.programs.values();
        let unheld = all.filter(|p| p.handle().is_some_and(|held| held.fd().is_none()));
        unheld.map(|p| p.id).collect()
    }

    /// When processes without a descriptor are looked at next; never where there are none.
    pub(crate) fn set_look(&mut self) {
        let all = self.programs.values();
        let unheld = all.filter(|p| p.handle().is_some_and(|held| held.fd().is_none()));
        let soon = unheld.map(|p| match p.life.state {
            life::State::Stopping => LOOK_SOON,
            _ => LOOK_AGAIN,
        });
        let at = soon.min().map(|wait| self.looked.saturating_add(wait));
        self.timers.set(Timer::Look, at);
    }

    /// The last run has come to its end and nobody has seen it.
    fn ended_unseen(&mut self, id: u32, last: Record) {
        let now = self.driver.look(last.pid);
        if matches!(now, Lookup::There(stat) if !time_namespace::same_start(stat.start, last.start))
        {
            // The number is another's by now: a group that bears it is too.
            let program = self.programs.get_mut(&id);
            if let Some(run) = program.and_then(|p| p.run.as_mut()) {
                run.group = None;
            }
        }
        self.ended(id, Exit::Unknown);
    }
}

/// That a process could not be looked at.
fn unseen(pid: Pid, e: &io::Error) -> String {
    let doing = format!("looking at its process (pid {pid})");
    format!("{}; treating it as running", Error::io(doing, e))
}
