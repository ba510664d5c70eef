//! Finds the members of a program, which are its leader and all of its descendants, and detects when none is left.
//!
//! If the program has a cgroup, its members are the processes in it. Otherwise they are the processes of its group and
//! session, their descendants, and orphans that carry its mark: `RPM_ID` and `RPM_HOME` in their environment,
//! or one of its pipes as their output.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use crate::model::life::{Event, State};
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::Program;
use crate::supervisor::program::processes::{Member, Owner, Processes, Run, owner_by_environment};
use crate::supervisor::timers::Timer;
use crate::sys::cgroup::{self, Cgroup};
use crate::sys::pid::Pid;
use crate::sys::process::ProcessHandle;
use crate::sys::procfs::{ProcDir, Stat};
use crate::sys::signal::{self, Signal};
use crate::sys::time_namespace::same_start;

/// The first wait before programs that were left by their leader are looked at again; it doubles. ms
const LOOK_AGAIN: u64 = 10;
/// The longest of these waits. ms
const LOOK_AGAIN_MAX: u64 = 1000;
/// The longest of them where all that remains resists. ms
const RESISTS_AGAIN_MAX: u64 = 60_000;
/// The number of looks after which a process without a mark counts as unmarked.
const DOUBTS: u32 = 3;
/// The most times a changing list of processes is read.
const LOOKS: usize = 5;

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
        let proc = self.proc.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let (mut scan, hidden) = proc.scan()?;
        let own = Pid::own();
        let session = Pid::own_session();
        // Whoever takes the orphans of programs that a former supervisor has started.
        let mut reapers: BTreeSet<i32> = BTreeSet::from([own]);
        for program in self.programs.values().filter(|p| p.foreign) {
            reapers.insert(1);
            let leader = program.group.filter(|_| program.adopted.is_some());
            let stat = leader.and_then(|pid| scan.iter().find(|(other, _)| *other == pid));
            reapers.extend(stat.map(|(_, stat)| stat.parent));
        }
        add_newest(proc, &mut scan, &reapers);
        let leaders = self.leaders();
        let helper = self.update.as_ref().and_then(|update| update.prover);
        let fifos = format!("{}/", self.home.run().display());
        let home = self.home.root().as_os_str().as_bytes();
        let owner = |pid: Pid, stat: &Stat| {
            let is_orphan = reapers.contains(&stat.parent) && !leaders.contains(&pid);
            if !is_orphan || pid.get() == own || Some(pid) == helper || stat.session == session {
                return None;
            }
            match owner_of(proc, pid, home, &fifos) {
                Owner::Undecided if stat.parent == own => Some(Owner::Unknown),
                // Those of init are countless, and most are nobody's business here.
                Owner::Unknown if stat.parent != own => None,
                owner => Some(owner),
            }
        };
        let mut processes = Processes::new(scan, owner);
        processes.hidden = hidden;
        let processes = Rc::new(processes);
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
        if let (Some(group), Some(proc)) = (self.cgroup(id), self.proc.as_ref()) {
            found = members_of(&group, proc)?;
            if let Some(program) = self.programs.get_mut(&id) {
                // One that was moved elsewhere has what it started since elsewhere too.
                program.moved |= leader.is_some_and(|pid| found.iter().all(|m| m.pid != pid));
                if !program.moved {
                    return Ok(found);
                }
            }
        }
        let processes = self.processes()?;
        let own = Pid::own();
        let leaders = self.leaders();
        let others = |pid: Pid| pid.get() == own || leaders.contains(&pid);
        let Some(program) = self.programs.get_mut(&id) else {
            return Ok(found);
        };
        if let (0, Some(leader)) = (program.born, leader) {
            program.born = processes.get(leader).map_or(0, |stat| stat.start);
        }
        // The number of an adopted one may be another's by now.
        let is_own = |stat: &Stat| program.born == 0 || same_start(stat.start, program.born);
        let leader = leader.filter(|pid| processes.get(*pid).is_some_and(is_own));
        let run = Run {
            id,
            leader,
            born: program.born,
            group: own_group(program, &processes, leader.is_some()),
            known: &program.strays,
        };
        found.extend(processes.members(&run, others));
        found.sort_by_key(|member| member.pid);
        found.dedup_by_key(|member| member.pid);
        let strays = found.iter().filter(|m| Some(m.pid) != leader);
        program.strays = strays.map(|m| (m.pid, m.stat.start)).collect();
        Ok(found)
    }

    /// Collects what must be known of an ended leader before its pid can be reused.
    pub(crate) fn before_reaping(&mut self, id: u32, pid: Pid) {
        let stat = self.proc.as_ref().and_then(|proc| proc.stat(pid).ok());
        let group = self.cgroup(id);
        let place = self.proc.as_ref().and_then(|proc| proc.cgroup(pid));
        if let Some(program) = self.programs.get_mut(&id) {
            // Where there is a cgroup, that tells what is left; a descriptor for each of many deaths may be too many.
            program.led = match program.joined {
                true => None,
                false => ProcessHandle::of_child(pid),
            };
            program.born = stat.map_or(program.born, |stat| stat.start);
            let places = group.zip(place);
            program.moved |= places.is_some_and(|(group, place)| !group.has(&place));
        }
    }

    /// Whether a member of the last run other than its leader lives. A failed lookup counts as alive.
    pub(crate) fn remains(&mut self, id: u32) -> bool {
        let Some(program) = self.programs.get(&id).filter(|p| p.spec.treekill) else {
            return false;
        };
        if self.proc.is_none() {
            // There were no descriptors left when this process began, or there is none.
            self.proc = ProcDir::open().ok();
        }
        if self.proc.is_none() {
            return program.group.is_some_and(signal::group_exists);
        }
        let had_some = !program.strays.is_empty();
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
                    if let Some(program) = self.programs.get_mut(&id) {
                        program.led = None;
                    }
                    return true;
                }
            }
        }
        false
    }

    /// Whether the group has a member that `/proc` does not show.
    fn is_hidden(&mut self, id: u32) -> bool {
        let program = self.programs.get(&id).filter(|p| !p.is_whole_in_group());
        let Some(group) = program.and_then(|p| p.group) else {
            return false;
        };
        let processes = self.processes();
        let hidden = processes.is_ok_and(|all| all.hidden && all.get(group).is_none());
        hidden && signal::group_exists(group)
    }

    /// Whether there is a process that nothing links to a program, and that was not looked at twice: in the middle of
    /// an `execve(2)` a process shows no mark.
    fn is_in_doubt(&mut self, id: u32) -> bool {
        let program = self.programs.get(&id).filter(|p| !p.is_whole_in_group());
        let Some(born) = program.map(|p| p.born) else {
            return false;
        };
        let unknown = !self.unrecognizable(id).is_empty();
        let processes = self.processes();
        let undecided = processes.is_ok_and(|all| all.is_undecided(born));
        let program = self.programs.get_mut(&id).filter(|_| unknown || undecided);
        program.is_some_and(|program| {
            program.doubts += 1;
            program.doubts <= DOUBTS
        })
    }

    /// Checks whether programs without a leader have ended.
    pub(crate) fn look_at_remains(&mut self) {
        for id in self.leaderless() {
            if !self.remains(id) {
                self.name_unrecognizable(id);
                self.feed(id, Event::Gone);
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

/// Adds processes that were left to one of these since the scan began: of one that forks and ends all the time, the
/// scan finds only what has ended meanwhile.
fn add_newest(proc: &ProcDir, scan: &mut Vec<(Pid, Stat)>, reapers: &BTreeSet<i32>) {
    let mut known: BTreeSet<Pid> = scan.iter().map(|(pid, _)| *pid).collect();
    for _ in 0..LOOKS {
        let listed = reapers.iter().flat_map(|reaper| proc.children(*reaper));
        let new = listed.filter(|pid| known.insert(*pid));
        let new = new.filter_map(|pid| Some((pid, proc.stat(pid).ok()?)));
        let new: Vec<(Pid, Stat)> = new.collect();
        if new.is_empty() {
            return;
        }
        scan.extend(new);
    }
}

/// The processes of a cgroup. The second look at the list proves that a number was still a member's when its start
/// time was read.
fn members_of(group: &Cgroup, proc: &ProcDir) -> io::Result<Vec<Member>> {
    let own = Pid::own();
    for _ in 0..LOOKS {
        let listed = group.pids()?;
        // There may be more groups below it than are followed, or one that could not be listed.
        if listed.is_empty() && !group.is_populated()? {
            return Ok(Vec::new());
        }
        let others = listed.into_iter().filter(|pid| pid.get() != own);
        let stats = others.filter_map(|pid| Some((pid, proc.stat(pid).ok()?)));
        let stats: Vec<(Pid, Stat)> = stats.filter(|(_, stat)| stat.lives()).collect();
        let second: BTreeSet<Pid> = group.pids()?.into_iter().collect();
        let members = stats.into_iter().filter(|(pid, _)| second.contains(pid));
        let members: Vec<Member> = members.map(|(pid, stat)| Member { pid, stat }).collect();
        if !members.is_empty() {
            return Ok(members);
        }
    }
    match group.is_populated()? {
        true => Err(io::Error::other(
            "its processes change faster than they can be scanned",
        )),
        false => Ok(Vec::new()),
    }
}

/// The owner of an orphan.
fn owner_of(proc: &ProcDir, pid: Pid, home: &[u8], fifos: &str) -> Owner {
    let environment = proc.environment(pid);
    let by_environment = environment.map_or(Owner::Unknown, |e| owner_by_environment(&e, home));
    if !matches!(by_environment, Owner::Unknown | Owner::Undecided) {
        return by_environment;
    }
    if proc
        .cgroup(pid)
        .is_some_and(|path| path.contains(cgroup::PREFIX))
    {
        // It is found there.
        return Owner::Another;
    }
    // Nobody else can open the pipes of programs: their folder is private.
    let output = [1, 2].into_iter().find_map(|number| {
        let path = proc.descriptor(pid, number)?;
        let rest = path.to_str()?.strip_prefix(fifos)?;
        rest.split(['/', '.']).next()?.parse().ok()
    });
    output.map_or(by_environment, Owner::Program)
}

/// The group of the last run, unless its number is another's by now: nobody is given the number of a group that has
/// members, so whoever bears it when its leader leads no more came after the last of them.
fn own_group(program: &Program, processes: &Processes, leads: bool) -> Option<Pid> {
    let is_empty = program.led.as_ref().map(ProcessHandle::group_exists);
    if !leads && matches!(is_empty, Some(Ok(false))) {
        // What is left of its session is found by its marks.
        return None;
    }
    let bears = |group| {
        let stat = processes.get(group);
        stat.is_some_and(|stat| stat.lives() && !same_start(stat.start, program.born))
    };
    program.group.filter(|group| leads || !bears(*group))
}
