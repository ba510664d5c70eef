//! The driver that makes system calls.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::{Driver, FoundProcess, Scan, Target, Zombie};
use crate::model::life::Exit;
use crate::paths::Home;
use crate::supervisor::program::processes::{Member, Owner, Processes, owner_by_environment};
use crate::supervisor::store::writer;
use crate::sys::cgroup::{self, Cgroup};
use crate::sys::lookup::Lookup;
use crate::sys::memory_log::MemoryLog;
use crate::sys::pid::Pid;
use crate::sys::pidfd::PidFd;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::process::ProcessHandle;
use crate::sys::procfs::{self, ProcDir, Stat};
use crate::sys::signal::{self, Signal};
use crate::sys::spawn::{self, Inherited, Plan, Record, Report, Spawned};
use crate::sys::{clock, proc_search, user, wait};

/// The most times a changing list of processes is read.
const LOOKS: usize = 5;

/// The kernel.
#[derive(Debug)]
pub struct System {
    proc: Option<ProcDir>,
}

impl System {
    /// The kernel, with `/proc` opened where that is possible.
    pub fn new() -> System {
        System {
            proc: ProcDir::open().ok(),
        }
    }
}

impl Driver for System {
    fn now(&self) -> u64 {
        clock::monotonic_ms()
    }

    fn wall(&self) -> u64 {
        clock::wall_ms()
    }

    fn age(&self, start: u64) -> u64 {
        procfs::age_ms(start)
    }

    fn spawn(&mut self, plan: &Plan, inherited: Inherited<'_>) -> io::Result<Spawned> {
        spawn::spawn(plan, inherited)
    }

    fn start_writer(
        &mut self,
        home: &Home,
        generation: u64,
        list: &MemoryLog,
    ) -> io::Result<(Pid, UnixStream)> {
        writer::start(home, generation, list)
    }

    fn read_report(&mut self, _child: Option<Pid>, report: BorrowedFd<'_>) -> Report {
        spawn::read_report(report)
    }

    fn is_silent(&mut self, _child: Option<Pid>, report: BorrowedFd<'_>) -> bool {
        let mut set = PollSet::default();
        set.push(report, Interest::READ, ());
        // It has something to say when it executes, or has failed.
        let looked = set.wait(Some(Duration::ZERO));
        looked.is_ok() && set.ready().next().is_none()
    }

    fn next_dead(&mut self) -> Option<Pid> {
        wait::next_dead()
    }

    fn inspect(&mut self, child: Pid) -> Zombie {
        let proc = self.proc.as_ref();
        Zombie {
            start: proc.and_then(|proc| proc.stat(child).ok()).map(|s| s.start),
            cgroup: proc.and_then(|proc| proc.cgroup(child)),
        }
    }

    fn has_orphans(&mut self, leaders: &BTreeSet<Pid>) -> Option<bool> {
        let proc = self.proc.as_ref()?;
        let children = proc.children(Pid::own());
        // The writer of the list is always one: without any, the kernel has no such list.
        let session = Pid::own_session();
        let is_orphan = |pid: &Pid| proc.stat(*pid).is_ok_and(|stat| stat.session != session);
        let has_some = children
            .iter()
            .any(|p| !leaders.contains(p) && is_orphan(p));
        (!children.is_empty()).then_some(has_some)
    }

    fn hold(&mut self, child: Pid) -> Option<ProcessHandle> {
        ProcessHandle::of_child(child)
    }

    fn reap(&mut self, child: Pid) -> Option<Exit> {
        wait::reap(child)
    }

    fn find(&mut self, record: Record) -> Option<FoundProcess> {
        match ProcessHandle::find_unheld(record.pid, record.start) {
            // Dead or alive: it is ours to reap.
            Lookup::There((_, stat)) if stat.parent == Pid::own() => Some(FoundProcess::Child),
            Lookup::There((held, stat)) if stat.lives() => {
                Some(FoundProcess::Other(held, stat.state == b'T'))
            }
            Lookup::There((held, _)) => Some(FoundProcess::Zombie(held.exit())),
            Lookup::Gone => None,
            Lookup::Failed(e) => {
                let held = ProcessHandle::from_start(record.pid, record.start);
                Some(FoundProcess::Unseen(held, e))
            }
        }
    }

    fn find_leader(&mut self, variables: &[Vec<u8>]) -> Lookup<(Pid, u64)> {
        proc_search::find_leader(variables)
    }

    fn look(&mut self, pid: Pid) -> Lookup<Stat> {
        procfs::look(pid)
    }

    fn look_again(&mut self, handle: &mut ProcessHandle) -> Lookup<Stat> {
        handle.look_again()
    }

    fn has_ended(&mut self, handle: &ProcessHandle) -> bool {
        handle.has_ended()
    }

    fn exit(&mut self, handle: &ProcessHandle) -> Exit {
        handle.exit()
    }

    fn signal(&mut self, target: Target<'_>, signal: Signal) -> io::Result<()> {
        match target {
            Target::Child(pid) => signal::kill(pid, signal),
            Target::ChildGroup(pid) => signal::kill_group(pid, signal),
            Target::Process(held) => held.signal(signal),
            Target::Cgroup(group) => group.kill(),
            Target::ProcessGroup(held) if held.has_ended() => Err(io::ErrorKind::NotFound.into()),
            Target::ProcessGroup(held) => match held.signal_group(signal) {
                // A kernel before 6.9.
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    signal::kill_group(held.pid(), signal)
                }
                done => done,
            },
            Target::Member(member) => {
                let held = PidFd::open(member.pid);
                // Looked at after it was opened.
                if !self.is(member.pid, member.stat.start) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                match held {
                    Ok(held) => held.signal(signal),
                    Err(_) => signal::kill(member.pid, signal),
                }
            }
        }
    }

    fn group_exists(&mut self, group: Pid) -> bool {
        signal::group_exists(group)
    }

    fn led_group_exists(&mut self, leader: &ProcessHandle) -> io::Result<bool> {
        leader.group_exists()
    }

    fn can_scan(&mut self) -> bool {
        if self.proc.is_none() {
            // There were no descriptors left when this process began, or there is none.
            self.proc = ProcDir::open().ok();
        }
        self.proc.is_some()
    }

    fn scan(&mut self, scan: &Scan<'_>) -> io::Result<Processes> {
        let proc = self.proc.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let (mut found, hidden) = proc.scan()?;
        let own = Pid::own();
        let session = Pid::own_session();
        // Whoever takes the orphans of programs that a former supervisor has started.
        let mut reapers: BTreeSet<i32> = BTreeSet::from([own]);
        reapers.extend(scan.init_reaps.then_some(1));
        for leader in &scan.adopted {
            let stat = found.iter().find(|(other, _)| other == leader);
            reapers.extend(stat.map(|(_, stat)| stat.parent));
        }
        add_newest(proc, &mut found, &reapers);
        let fifos = format!("{}/", scan.home.run().display());
        let home = scan.home.root().as_os_str().as_bytes();
        let owner = |pid: Pid, stat: &Stat| {
            let is_orphan = reapers.contains(&stat.parent) && !scan.leaders.contains(&pid);
            let is_ours = pid.get() == own || Some(pid) == scan.helper || stat.session == session;
            if !is_orphan || is_ours {
                return None;
            }
            match owner_of(proc, pid, home, &fifos) {
                Owner::Undecided if stat.parent == own => Some(Owner::Unknown),
                // Those of init are countless, and most are nobody's business here.
                Owner::Unknown if stat.parent != own => None,
                owner => Some(owner),
            }
        };
        let mut processes = Processes::new(found, owner);
        processes.hidden = hidden;
        Ok(processes)
    }

    /// The second look at the list proves that a number was still a member's when its start time was read.
    fn cgroup_members(&mut self, group: &Cgroup) -> io::Result<Vec<Member>> {
        let proc = self.proc.as_ref().ok_or(io::ErrorKind::NotFound)?;
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
        if group.is_populated()? {
            let why = "its processes change faster than they can be scanned";
            return Err(io::Error::other(why));
        }
        Ok(Vec::new())
    }

    fn ignores(&mut self, pid: Pid, signal: Signal) -> bool {
        let proc = self.proc.as_ref();
        proc.is_some_and(|proc| proc.ignores(pid, signal))
    }

    fn is(&mut self, pid: Pid, start: u64) -> bool {
        self.proc.as_ref().is_some_and(|proc| proc.is(pid, start))
    }

    fn command(&mut self, pid: Pid) -> String {
        let proc = self.proc.as_ref();
        proc.map(|proc| proc.command(pid)).unwrap_or_default()
    }

    fn why_it_lives(&mut self, member: &Member) -> String {
        let uid = self.proc.as_ref().and_then(|p| p.uid(member.pid).ok());
        let tried = signal::try_signal(member.pid);
        let denied = tried.is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied);
        match (member.stat.state, uid) {
            _ if !self.is(member.pid, member.stat.start) => "has just ended".to_owned(),
            (_, Some(uid)) if denied => {
                let user = user::user_name(uid).unwrap_or_else(|| uid.to_string());
                format!("cannot be signalled: Operation not permitted; it runs as {user}")
            }
            (b'D', _) => "is in an uninterruptible wait in the kernel (state D)".to_owned(),
            _ => "is still alive after SIGKILL, or was just forked".to_owned(),
        }
    }

    fn proc(&self) -> Option<&ProcDir> {
        self.proc.as_ref()
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
