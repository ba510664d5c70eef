//! Finds the members of a program, which are its leader and all of its descendants, and detects when none is left.
//!
//! If the program has a cgroup, its members are the processes in it. Otherwise they are the processes of its group and
//! session, their descendants, and orphans that carry its mark: `RPM_ID` and `RPM_HOME` in their environment,
//! or one of its pipes as their output.

use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use crate::model::life::{Event, State};
use crate::supervisor::driver::{Driver, Scan};
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::processes::{Member, Processes, Search};
use crate::supervisor::program::run::Run;
use crate::supervisor::timers::Timer;
use crate::sys::pid::Pid;
use crate::sys::procfs::Stat;
use crate::sys::signal::Signal;
use crate::sys::time_namespace::same_start;

/// The first wait before programs that were left by their leader are looked at again; it doubles. ms
const LOOK_AGAIN: u64 = 10;
/// The longest of these waits. ms
const LOOK_AGAIN_MAX: u64 = 1000;
/// The longest of them where all that remains resists. ms
const RESISTS_AGAIN_MAX: u64 = 60_000;
/// The number of looks after which a process without a mark counts as unmarked.
const DOUBTS: u32 = 3;

/// Whether the leader of a run may be among its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leader {
    /// As its life has it.
    Lives,
    /// It has ended.
    Ended,
}

impl Supervisor {
    /// Every process, looked at once in a turn of the loop.
    pub(crate) fn processes(&mut self) -> io::Result<Rc<Processes>> {
        if let Some(processes) = &self.processes {
            return Ok(Rc::clone(processes));
        }
        let runs = self.programs.values().filter_map(|p| p.run.as_ref());
        let adopted = runs.filter(|run| run.adopted);
        let held = adopted.clone().filter(|run| run.handle.is_some());
        let scan = Scan {
            home: &self.home,
            leaders: self.leaders(),
            adopted: held.filter_map(|run| run.group).collect(),
            init_reaps: adopted.count() > 0,
            helper: self.update.as_ref().and_then(|update| update.prover),
        };
        let processes = Rc::new(self.driver.scan(&scan)?);
        self.processes = Some(Rc::clone(&processes));
        Ok(processes)
    }

    /// The leaders of all programs.
    fn leaders(&self) -> BTreeSet<Pid> {
        let all = self.programs.values();
        all.filter_map(|p| Pid::new(p.life.pid)).collect()
    }

    /// All living members of the last run.
    ///
    /// # Errors
    /// They could not be looked up: callers must not take that for an end.
    pub(crate) fn members(&mut self, id: u32, leader: Leader) -> io::Result<Vec<Member>> {
        let Some(program) = self.programs.get(&id) else {
            return Ok(Vec::new());
        };
        let leader = Pid::new(program.life.pid).filter(|_| leader == Leader::Lives);
        let mut found = Vec::new();
        if let Some(group) = self.cgroup(id) {
            found = self.driver.cgroup_members(&group)?;
            let program = self.programs.get_mut(&id);
            if let Some(run) = program.and_then(|p| p.run.as_mut()) {
                // One that was moved elsewhere has what it started since elsewhere too.
                if leader.is_some_and(|pid| found.iter().all(|m| m.pid != pid)) {
                    run.has_left_cgroup();
                }
                if run.is_whole_in_cgroup() {
                    return Ok(found);
                }
            }
        }
        let processes = self.processes()?;
        let own = Pid::own();
        let leaders = self.leaders();
        let others = |pid: Pid| pid.get() == own || leaders.contains(&pid);
        let program = self.programs.get_mut(&id);
        let Some(run) = program.and_then(|p| p.run.as_mut()) else {
            return Ok(found);
        };
        if let (0, Some(leader)) = (run.start_ticks, leader) {
            run.start_ticks = processes.get(leader).map_or(0, |stat| stat.start);
        }
        // The number of an adopted one may be another's by now.
        let born = run.start_ticks;
        let is_own = |stat: &Stat| born == 0 || same_start(stat.start, born);
        let leader = leader.filter(|pid| processes.get(*pid).is_some_and(is_own));
        let search = Search {
            id,
            leader,
            start_ticks: born,
            group: own_group(run, &mut *self.driver, &processes, leader.is_some()),
            known: &run.escaped,
        };
        found.extend(processes.members(&search, others));
        found.sort_by_key(|member| member.pid);
        found.dedup_by_key(|member| member.pid);
        let escaped = found.iter().filter(|m| Some(m.pid) != leader);
        run.escaped = escaped.map(|m| (m.pid, m.stat.start)).collect();
        Ok(found)
    }

    /// Collects what must be known of an ended leader before its pid can be reused.
    pub(crate) fn before_reaping(&mut self, id: u32, pid: Pid) {
        let zombie = self.driver.inspect(pid);
        let group = self.cgroup(id);
        let program = self.programs.get_mut(&id);
        if let Some(run) = program.and_then(|p| p.run.as_mut()) {
            // Where there is a cgroup, that tells what is left; a descriptor for each of many deaths may be too many.
            run.group_pidfd = if run.joined() {
                None
            } else {
                self.driver.hold(pid)
            };
            run.start_ticks = zombie.start.unwrap_or(run.start_ticks);
            let places = group.zip(zombie.cgroup);
            if places.is_some_and(|(group, place)| !group.has(&place)) {
                run.has_left_cgroup();
            }
        }
    }

    /// Whether a member of the last run other than its leader lives. A failed lookup counts as alive.
    pub(crate) fn remains(&mut self, id: u32) -> bool {
        let program = self.programs.get(&id).filter(|p| p.spec.treekill);
        let Some(run) = program.and_then(|p| p.run.as_ref()) else {
            return false;
        };
        let (group, had_some) = (run.group, !run.escaped.is_empty());
        if !self.driver.can_scan() {
            return group.is_some_and(|group| self.driver.group_exists(group));
        }
        for last in [!had_some, true] {
            match self.members(id, Leader::Ended) {
                Ok(members) if members.is_empty() && last => {
                    return self.is_hidden(id) || self.is_in_doubt(id);
                }
                // One that forks and ends all the time can slip through one look.
                Ok(members) if members.is_empty() => self.processes = None,
                Ok(_) => return true,
                Err(_) => {
                    // There may be no descriptors left: this one helps to look, and is not worth an end unseen.
                    let program = self.programs.get_mut(&id);
                    if let Some(run) = program.and_then(|p| p.run.as_mut()) {
                        run.group_pidfd = None;
                    }
                    return true;
                }
            }
        }
        false
    }

    /// Whether the group has a member that `/proc` does not show.
    fn is_hidden(&mut self, id: u32) -> bool {
        let run = self.programs.get(&id).and_then(|p| p.run.as_ref());
        let run = run.filter(|run| !run.is_whole_in_cgroup());
        let Some(group) = run.and_then(|run| run.group) else {
            return false;
        };
        let processes = self.processes();
        let hidden = processes.is_ok_and(|all| all.hidden && all.get(group).is_none());
        hidden && self.driver.group_exists(group)
    }

    /// Whether there is a process that nothing links to a program, and that was not looked at twice: in the middle of
    /// an `execve(2)` a process shows no mark.
    fn is_in_doubt(&mut self, id: u32) -> bool {
        let run = self.programs.get(&id).and_then(|p| p.run.as_ref());
        let run = run.filter(|run| !run.is_whole_in_cgroup());
        let Some(born) = run.map(|run| run.start_ticks) else {
            return false;
        };
        let unknown = !self.unrecognizable(id).is_empty();
        let processes = self.processes();
        let undecided = processes.is_ok_and(|all| all.is_undecided(born));
        let program = self.programs.get_mut(&id).filter(|_| unknown || undecided);
        program.and_then(|p| p.run.as_mut()).is_some_and(|run| {
            run.doubts += 1;
            run.doubts <= DOUBTS
        })
    }

    /// Checks whether programs without a leader have ended.
    pub(crate) fn look_at_remains(&mut self) {
        for id in self.leaderless() {
            if !self.remains(id) {
                self.name_unrecognizable(id);
                let run = self.programs.get(&id).map(|p| p.life.run);
                self.feed(id, Event::Gone(run.unwrap_or_default()));
            } else if self.is_being_killed(id) {
                // Those that were forked meanwhile.
                self.signal_all(id, Signal::KILL);
            }
        }
        self.look_later_at_remains();
    }

    /// Schedules the next check, with a growing delay.
    fn look_later_at_remains(&mut self) {
        let leaderless = self.leaderless();
        let resists = |id: &u32| self.programs.get(id).is_some_and(|p| p.life.resists());
        let longest = match leaderless.iter().all(resists) {
            true => RESISTS_AGAIN_MAX,
            false => LOOK_AGAIN_MAX,
        };
        let wait = self.look_again.min(longest);
        self.look_again = wait.saturating_mul(2);
        let again = (!leaderless.is_empty()).then(|| self.now.saturating_add(wait));
        self.timers.set(Timer::Remains, again);
    }

    /// Schedules an early check of programs without a leader: there is a new one.
    pub(crate) fn look_again_at_remains(&mut self) {
        self.look_again = LOOK_AGAIN;
        self.look_later_at_remains();
    }

    /// An orphan that was reparented to this process has ended: perhaps the last member of a program.
    pub(crate) fn orphan_ended(&mut self) {
        let leaderless = self.leaderless();
        let resists = |id: &u32| self.programs.get(id).is_some_and(|p| p.life.resists());
        if leaderless.iter().any(|id| !resists(id)) {
            return self.look_at_remains();
        }
        // What resists may be forking all the time, and each look has its price.
        let soon = self.now.saturating_add(LOOK_AGAIN_MAX);
        if self.timers.at(Timer::Remains).is_some_and(|at| at > soon) {
            self.timers.set(Timer::Remains, Some(soon));
        }
    }

    fn is_being_killed(&self, id: u32) -> bool {
        let program = self.programs.get(&id);
        program.is_some_and(|p| p.life.kills > 0 && !p.life.resists())
    }

    pub(crate) fn leaderless(&self) -> Vec<u32> {
        let all = self.programs.values();
        all.filter(|p| p.life.state == State::Stopping && p.life.pid == 0)
            .map(|p| p.id)
            .collect()
    }
}

/// The group of the last run, unless its number is another's by now: nobody is given the number of a group that has
/// members, so whoever bears it when its leader leads no more came after the last of them.
fn own_group(
    run: &Run,
    driver: &mut dyn Driver,
    processes: &Processes,
    leads: bool,
) -> Option<Pid> {
    let exists = run.group_pidfd.as_ref();
    let exists = exists.map(|leader| driver.led_group_exists(leader));
    if !leads && matches!(exists, Some(Ok(false))) {
        // What is left of its session is found by its marks.
        return None;
    }
    let bears = |group| {
        let stat = processes.get(group);
        stat.is_some_and(|stat| stat.lives() && !same_start(stat.start, run.start_ticks))
    };
    run.group.filter(|group| leads || !bears(*group))
}
