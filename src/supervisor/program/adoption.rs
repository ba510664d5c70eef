//! Finding programs again: what the records know is taken over by the next supervisor.

use std::collections::BTreeSet;
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
use crate::supervisor::store::list::Entry;
use crate::supervisor::store::records::{self, Found};
use crate::supervisor::store::recovery;
use crate::supervisor::store::state::{Boot, State, VERSION};
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
    /// Takes over the programs of the list: those that live are adopted, those that have ended meanwhile are treated by
    /// their restart policy. In a new boot those are started that were wanted up.
    /// What another release has handed over counts for more than the list.
    pub(crate) fn take_over(
        &mut self,
        state: State,
        programs: Vec<(u32, Entry)>,
        handed: &[(u32, Line)],
    ) -> Result<()> {
        let boot = state.boot;
        if boot == Boot::Another && !programs.is_empty() {
            self.journal.note("the machine has rebooted");
        }
        if let Some(doubt) = state.doubt {
            self.journal.note(doubt);
        }
        self.next_id = self.next_id.max(state.next_id);
        self.read_noted_sockets();
        self.start_store();
        // Behind the list: from then on that counts, and not the records of the release before.
        self.record_state();
        let contents = recovery::contents(&self.home)?;
        self.damaged = contents.damaged;
        if state.version == VERSION {
            for id in contents.former {
                self.store.remove_former(id);
            }
        }
        let with_pid_file: BTreeSet<u32> = contents.pid_files.iter().map(|(id, _)| *id).collect();
        // A supervisor that was killed may not have come to remove them, nor to write them.
        for (id, path) in contents.pipes.into_iter().chain(contents.pid_files) {
            if !programs.iter().any(|(of, _)| *of == id) {
                self.store.unlink(&path);
            }
        }
        for (id, entry) in programs {
            self.next_id = self.next_id.max(id.saturating_add(1));
            let line = handed.iter().find(|(of, _)| *of == id);
            self.take_over_entry(id, entry, boot, line.map(|(_, line)| line));
        }
        let running = self
            .programs
            .values()
            .filter_map(|p| Some((p.id, Pid::new(p.life.pid)?)));
        let running: Vec<(u32, Pid)> = running.collect();
        for (id, pid) in running
            .into_iter()
            .filter(|(id, _)| !with_pid_file.contains(id))
        {
            self.write_pid_file(id, pid);
        }
        self.cgroups
            .remove_others(|id| self.programs.contains_key(&id));
        // Last, as it can be done without: what programs cannot be without is held by now.
        self.look_at_unheld();
        self.look_again_at_remains();
        Ok(())
    }

    pub(crate) fn take_over_entry(
        &mut self,
        id: u32,
        entry: Entry,
        boot: Boot,
        handed: Option<&Line>,
    ) {
        // What is damaged was set aside before.
        let Ok(mut found) = records::found(id, &entry) else {
            return;
        };
        let pipes = records::make_pipes(&self.home.records(id)).and_then(|pipes| {
            records::check_room(&pipes)?;
            Ok(pipes)
        });
        match pipes {
            Ok(pipes) => found.program.fifos = Some(pipes),
            Err(e) => return self.read_later(id, entry, boot, e.to_string()),
        }
        match handed {
            Some(line) => self.carry_on(found, line, entry),
            None => self.take_over_one(found, boot, entry),
        }
    }

    /// Goes on with a program where another release has left it.
    fn carry_on(&mut self, found: Found, line: &Line, entry: Entry) {
        let mut program = found.program;
        let id = program.id;
        let spec = Rc::make_mut(&mut program.spec);
        spec.env = self.share_environment(Rc::clone(&spec.env));
        if handover::restore(&mut program, line).is_none() {
            return self.take_over_one(Found { program, ..found }, Boot::Same, entry);
        }
        // Alive or dead, it is ours to reap.
        let child = Pid::new(program.life.pid).filter(|_| program.handle().is_none());
        self.by_pid.extend(child.map(|pid| (pid, id)));
        self.programs.insert(id, program);
        self.feed(id, Event::HandedOver);
    }

    fn take_over_one(&mut self, found: Found, boot: Boot, entry: Entry) {
        let mut program = found.program;
        let id = program.id;
        // Whatever its FIFOs hold is to be saved.
        program.logged = true;
        let spec = Rc::make_mut(&mut program.spec);
        spec.env = self.share_environment(Rc::clone(&spec.env));
        // A process that should be there, and whose record is lost, bears its number and home in its environment.
        let doubtful = found.doubtful;
        let found = found.last.filter(|_| boot == Boot::Same);
        let unknown = found.is_none_or(|last| last.run <= program.ended) && boot == Boot::Same;
        let launching = program.life.state == life::State::Launching;
        let last = match unknown && launching || doubtful {
            true => match self.find_unrecorded(id, program.ended.saturating_add(1)) {
                Lookup::There(last) => {
                    self.record_process(id, &last);
                    Some(last)
                }
                Lookup::Gone => found,
                Lookup::Failed(e) => {
                    let doing = "looking for its process in /proc";
                    return self.read_later(id, entry, boot, Error::io(doing, &e).to_string());
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
