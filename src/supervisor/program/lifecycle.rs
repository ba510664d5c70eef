//! Carrying out what the life of a program asks for: processes, signals, deaths. Only [`Supervisor::feed`] changes
//! the state of a program, and only what is here declares one dead.

use std::os::fd::{AsFd, AsRawFd};

use crate::error::Reason;
use crate::model::life::{
    Effect, Event, Exit, Members, Note, Purpose, RunId, Save, State, Trouble,
};
use crate::protocol::log_protocol::Order;
use crate::protocol::output::Output;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::exec_failure::sentence;
use crate::supervisor::program::files::Stream;
use crate::supervisor::program::run::{Placement, Run};
use crate::supervisor::program::{LaunchFailure, Program};
use crate::supervisor::store::records;
use crate::supervisor::timers::Timer;
use crate::sys::pid::Pid;
use crate::sys::room::{self, Holder};
use crate::sys::signal::Signal;
use crate::sys::spawn::{Inherited, Report};
use crate::sys::{fifo, lookup};
use crate::units;
use std::os::unix::ffi::OsStringExt;

/// How many processes are made in one turn of the loop.
const LAUNCHES_A_TURN: usize = 16;

impl Supervisor {
    /// Gives an event to a program and carries out the effects.
    pub(crate) fn feed(&mut self, id: u32, event: Event) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        let policy = program.policy();
        let mut effects = Vec::new();
        program.life.step(event, &policy, self.now, &mut effects);
        // A pending answer may have become true.
        self.changed |= !effects.is_empty();
        let mut closed = "";
        for effect in effects {
            match effect {
                Effect::Publish => self.state_changed(id),
                Effect::Save(Save::Desired) => {
                    self.record(id);
                    self.unsynced(id, false);
                }
                Effect::Save(Save::Counts) => self.unrecorded.push(id),
                Effect::Drop(run) => self.drop_run(id, run),
                Effect::Spawn(run) => self.launches.push_back((id, run)),
                Effect::Signal(_, purpose) => self.signal_for(id, purpose),
                Effect::Arm(deadline, at) => {
                    self.timers.set(Timer::Program(id, deadline), Some(at));
                }
                Effect::Cancel(deadline) => self.timers.set(Timer::Program(id, deadline), None),
                Effect::Fail(_, Trouble::Late) => self.launch_is_late(id),
                Effect::Fail(_, Trouble::Background) => self.has_gone_to_background(id),
                Effect::RemovePidFile => self.remove_pid_file(id),
                Effect::ReleasePorts => {
                    let name = self.programs.get(&id).map(|p| p.spec.name.clone());
                    if self.release_sockets(&name.unwrap_or_default()) {
                        closed = "; its sockets are closed until it is started again";
                    }
                }
                Effect::Note(Note::Exited(exit)) => self.note(id, describe_exit(exit)),
                Effect::Note(Note::Killing) => self.note(id, "did not end in time: killing it"),
                Effect::Note(Note::Resists) => self.note_resistance(id),
                Effect::Note(Note::EndedAtLast) => self.note(id, "has now ended"),
                Effect::Note(Note::GivesUp(count)) => {
                    let text = format_args!("failed {count} times in a row: giving up{closed}");
                    self.note(id, text);
                }
            }
        }
    }

    fn drop_run(&mut self, id: u32, run: RunId) {
        if let Some(program) = self.programs.get_mut(&id) {
            program.run.take_if(|present| present.id == run);
        }
    }

    fn signal_for(&mut self, id: u32, purpose: Purpose) {
        let signal = match purpose {
            Purpose::Terminate => self.signal_before_it_runs(id),
            Purpose::Kill => Some(Signal::KILL),
            Purpose::Suspend => Some(Signal::STOP),
            Purpose::Continue => Some(Signal::CONT),
        };
        match signal {
            Some(signal) => self.signal_all(id, signal),
            None => self.terminate(id),
        }
    }

    /// Records what can wait until the processes that are due have been made.
    pub(crate) fn record_changes(&mut self) {
        for id in std::mem::take(&mut self.unrecorded) {
            self.record(id);
        }
    }

    pub(crate) fn record(&mut self, id: u32) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        program.unrecorded = match records::rewrite_status(&self.home, program) {
            Ok(()) => None,
            Err(e) => {
                let path = self.home.records(id).status();
                Some(format!("writing {}: {}", path.display(), Reason(&e)))
            }
        };
        if let Some(why) = program.unrecorded.clone() {
            self.note(id, format_args!("cannot be recorded: {why}"));
        }
    }

    /// Makes some of the processes that are due. Returns whether there are more.
    pub(crate) fn launch_some(&mut self) -> bool {
        for _ in 0..LAUNCHES_A_TURN {
            if self.launches_crowd() {
                return false;
            }
            let mut queue = self.launches.iter();
            let next = queue.position(|(id, _)| self.may_launch(*id));
            let Some((id, run)) = next.and_then(|at| self.launches.remove(at)) else {
                return false;
            };
            self.launch(id, run);
            if self.launches.front() == Some(&(id, run)) {
                // Put back: it waits for others.
                return false;
            }
        }
        let mut queue = self.launches.iter();
        queue.any(|(id, _)| self.may_launch(*id))
    }

    /// Whether the launches under way leave no room for another: the end of each is an event.
    fn launches_crowd(&self) -> bool {
        let reports = self.programs.values().filter_map(Program::report);
        let highest = reports.max_by_key(|report| report.as_raw_fd());
        highest.is_some_and(|report| !room::leaves_room(report.as_fd(), Holder::Program))
    }

    fn launch(&mut self, id: u32, run: RunId) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        let life = &program.life;
        if life.state != State::Launching || life.pid != 0 || life.run != run {
            return;
        }
        program.failure = None;
        if std::mem::take(&mut program.new_fifos) {
            // All that was printed to those of before, then those that are there now.
            program.logged = false;
            program.fifos = records::open_fifos(&self.home.records(id)).ok();
            self.log.drain(vec![id], true);
        }
        if run > RunId(1) && !program.logged {
            // Its files may be others now. Until it runs, what it prints waits in its pipes: the log writer would have
            // it in the old ones.
            self.log.order(&Order::Close { id });
            self.log.flush();
        }
        let mut given = match self.give(id) {
            Ok(given) => given,
            Err(e) => return self.not_launched(id, run, e.to_string()),
        };
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        let cgroup = match program.spec.treekill {
            true => self.cgroups.make(id),
            false => None,
        };
        let plan = program.plan(&self.home, &self.limits, &given, cgroup.as_ref());
        let inherited = Inherited {
            null: self.null.as_fd(),
            listener: self.listener.as_fd(),
            given: &given.fds,
            lock: self.lock.fd(),
        };
        let spawned = match &plan {
            Ok(plan) => self.driver.spawn(plan, inherited),
            Err(nul) => Err(std::io::Error::other(nul.to_string())),
        };
        match spawned {
            Ok(spawned) => {
                program.last_pid = Some(spawned.pid);
                program.run = Some(Run {
                    id: run,
                    group: Some(spawned.pid),
                    since: self.driver.wall(),
                    report: Some(spawned.report),
                    // Until it reports that it has not joined.
                    placement: if cgroup.is_some() {
                        Placement::Cgroup
                    } else {
                        Placement::NoCgroup
                    },
                    channel: given.channel.take(),
                    ..Run::default()
                });
                self.by_pid.insert(spawned.pid, id);
                self.feed(id, Event::Spawned(run, spawned.pid.get()));
            }
            // Those that are being made give their descriptors back in a moment.
            Err(e) if lookup::lacks_room(&e) && self.is_launching() => {
                self.drop_channel(given.channel.take());
                self.launches.push_front((id, run));
            }
            Err(e) => {
                self.drop_channel(given.channel.take());
                self.not_launched(id, run, format!("creating a process: {}", Reason(&e)));
            }
        }
    }

    /// Whether a child is on its way to its program.
    fn is_launching(&self) -> bool {
        self.programs.values().any(|p| p.report().is_some())
    }

    fn not_launched(&mut self, id: u32, run: RunId, why: String) {
        self.note(id, &why);
        program_failed(self.programs.get_mut(&id), why);
        self.feed(id, Event::NotSpawned(run));
    }

    /// Reads what the child between fork and exec has to say.
    pub(crate) fn hear_report(&mut self, id: u32) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        let Some(run) = program.run.as_mut() else {
            return;
        };
        let Some(report) = &run.report else {
            return;
        };
        let number = run.id;
        let child = Pid::new(program.life.pid);
        match self.driver.read_report(child, report.as_fd()) {
            Report::Pending => {}
            Report::NotJoined(reason) => {
                run.placement = Placement::NoCgroup;
                let first = !std::mem::replace(&mut self.cgroup_refused, true);
                if first {
                    let why = format!("cannot join its cgroup: {}", Reason(&reason));
                    self.note(
                        id,
                        format_args!("{why}; finding its processes through /proc instead"),
                    );
                }
                self.hear_report(id);
            }
            Report::Executed => {
                run.report = None;
                // The same is heard of one that was ended on its way to the program: that has printed nothing.
                let fifos = program.fifos.as_ref();
                let printed = fifos.is_some_and(|(out, err)| {
                    fifo::waiting(out.as_fd()) + fifo::waiting(err.as_fd()) > 0
                });
                if program.life.state == State::Launching || printed {
                    self.open_logs(id);
                }
                self.feed(id, Event::Executed(number));
            }
            Report::Failed {
                stage,
                program: which,
                reason,
            } => {
                run.report = None;
                let why = sentence(program, &self.home, stage, which, &reason);
                self.note(id, format_args!("cannot run: {why}"));
                program_failed(self.programs.get_mut(&id), why);
                self.feed(id, Event::NotExecuted(number));
            }
        }
    }

    /// Takes every death that there is. All are reaped before any is acted upon: so whoever remains of a program
    /// lives.
    pub(crate) fn reap(&mut self) {
        let mut dead: Vec<(u32, Exit)> = Vec::new();
        let mut orphans = false;
        while let Some(pid) = self.driver.next_dead() {
            if let Some(id) = self.by_pid.get(&pid).copied() {
                // After a death the pipe is decisive: what it says comes first.
                self.hear_report(id);
                self.by_pid.remove(&pid);
                self.before_reaping(id, pid);
                dead.push((id, self.driver.reap(pid).unwrap_or(Exit::Unknown)));
            } else {
                // The log writer is missed by the end of its connection; orphans of programs are nobody's.
                let exit = self.driver.reap(pid);
                self.other_ended(pid, exit);
                orphans = true;
            }
        }
        for (id, exit) in dead {
            self.ended(id, exit);
        }
        // What is left of a program is ours to reap in the end.
        if orphans {
            self.orphan_ended();
        }
    }

    /// A child has ended that is no program.
    fn other_ended(&mut self, pid: Pid, exit: Option<Exit>) {
        self.sync_child_ended(pid, exit);
        self.pid_file_removed(pid);
        if let Some(update) = self.update.as_mut().filter(|u| u.prover == Some(pid)) {
            update.prover = None;
        }
    }

    /// An adopted process has ended.
    pub(crate) fn adopted_ended(&mut self, id: u32) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        // That something is said to be ready is not enough to declare it dead.
        let Some(run) = &mut program.run else {
            return;
        };
        if let Some(held) = run.handle.take_if(|held| self.driver.has_ended(held)) {
            let exit = self.driver.exit(&held);
            run.group_pidfd = Some(held);
            self.ended(id, exit);
        }
    }

    pub(crate) fn ended(&mut self, id: u32, exit: Exit) {
        let members = if self.remains(id) {
            Members::Remain
        } else {
            self.name_unrecognizable(id);
            Members::Gone
        };
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        let run = program.life.run;
        program.ended = run.0;
        if let Some(run) = &mut program.run {
            run.memory = None;
        }
        self.close_channel(id);
        if self.end_lines(id) {
            // At once: what its next run prints comes behind it.
            self.log.order(&Order::Ended { id });
            self.log.flush();
        }
        self.feed(id, Event::Exited(run, exit, members));
        if members == Members::Remain {
            self.look_again_at_remains();
        }
    }

    /// Has the log writer drain a program that has begun to run: one that never could leaves no files.
    fn open_logs(&mut self, id: u32) {
        if let Some(program) = self.programs.get_mut(&id).filter(|p| !p.logged) {
            program.logged = true;
            self.order_logs(id);
        }
    }

    /// Tells the log writer of a program.
    pub(crate) fn order_logs(&mut self, id: u32) {
        if let Some(order) = self.programs.get(&id).map(|p| self.open_order(p)) {
            self.log.order(&order);
        }
    }

    /// What the log writer is told of a program.
    pub(crate) fn open_order(&self, program: &Program) -> Order {
        Order::Open {
            id: program.id,
            output: self.output(program),
            lost: program.lost,
        }
    }

    /// Where the output of a program goes, and how.
    pub(crate) fn output(&self, program: &Program) -> Output {
        let path = |stream| {
            let path = program.log_file(&self.home, stream);
            path.into_os_string().into_vec()
        };
        let spec = &program.spec;
        Output {
            out: path(Stream::Out),
            err: path(Stream::Err),
            both: path(Stream::Both),
            name: spec.name.clone(),
            date_format: spec.date_format().to_owned(),
            log_type: spec.log_type,
            merged: spec.merge_logs && spec.instances > 1,
            max_size: spec.log_max_size.0,
            max_files: spec.log_max_files,
        }
    }
}

fn program_failed(program: Option<&mut Program>, why: String) {
    if let Some(program) = program {
        program.failure = Some(LaunchFailure::NotExecuted(why));
    }
}

fn describe_exit(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(number) => format!("was ended by {}", units::signal_name(number)),
        Exit::Unknown => "has ended".to_owned(),
    }
}
