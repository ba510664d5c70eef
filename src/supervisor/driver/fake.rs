//! A world for unit tests: a table of processes, a clock that the test advances, and system calls that fail when the
//! test says so.

pub mod world;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use super::{Driver, FoundProcess, Scan, Target, Zombie};
use crate::model::life::Exit;
use crate::paths::Home;
use crate::supervisor::program::processes::{Member, Owner, Processes};
use crate::supervisor::store::records;
use crate::supervisor::store::writer::Writer;
use crate::sys::cgroup::Cgroup;
use crate::sys::fd;
use crate::sys::lookup::Lookup;
use crate::sys::memory_log::MemoryLog;
use crate::sys::pid::Pid;
use crate::sys::process::ProcessHandle;
use crate::sys::procfs::{ProcDir, Stat};
use crate::sys::signal::Signal;
use crate::sys::spawn::{Inherited, Plan, Record, Report, Spawned, Stage};
use world::{Child, Disk, Process, WRITER, World};

/// The driver of such a world.
pub struct Fake(pub Rc<RefCell<World>>);

impl Driver for Fake {
    fn now(&self) -> u64 {
        self.0.borrow().now
    }

    fn wall(&self) -> u64 {
        1_700_000_000_000 + self.0.borrow().now
    }

    fn age(&self, _start: u64) -> u64 {
        10
    }

    fn spawn(&mut self, plan: &Plan, inherited: Inherited<'_>) -> io::Result<Spawned> {
        let mut world = self.0.borrow_mut();
        if let Some(errno) = world.no_process {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let variables: Vec<Vec<u8>> = plan.env.iter().map(|v| v.to_bytes().to_vec()).collect();
        let pid = world.add(Pid::own(), None, Some(plan.id));
        let child = world.child;
        let process = world.processes.get_mut(&pid).unwrap();
        (process.variables, process.child) = (variables, child);
        let record = Record {
            pid,
            start: process.stat.start,
            run: plan.run,
            joined: false,
        };
        if !world.unrecorded {
            let list = inherited.list.try_clone_to_owned()?;
            MemoryLog::inherited(list)?.append(&records::pid_line(plan.id, &record))?;
        }
        if child == Child::Fails {
            world.die(pid, Exit::Code(127));
        }
        let report = fd::open_null()?;
        Ok(Spawned { pid, report })
    }

    fn start_writer(
        &mut self,
        home: &Home,
        generation: u64,
        list: &MemoryLog,
    ) -> io::Result<(Pid, UnixStream)> {
        let mut world = self.0.borrow_mut();
        // The one before ends first: it holds the lock.
        world.writer = None;
        if world.disk == Disk::Refuses {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let list = list.try_clone()?;
        let writer = Writer::new(home.clone(), generation, list, theirs);
        world.writer = Some((writer, false));
        Ok((Pid::new(WRITER).unwrap(), ours))
    }

    fn read_report(&mut self, child: Option<Pid>, _report: BorrowedFd<'_>) -> Report {
        let world = self.0.borrow();
        let process = &world.processes[&child.unwrap()];
        match process.child {
            Child::Fails => Report::Failed {
                stage: Stage::Program,
                program: 0,
                reason: io::Error::from_raw_os_error(libc::ENOENT),
            },
            // The pipe of one that was ended has its end, too.
            Child::Hangs if process.lives() => Report::Pending,
            Child::Hangs | Child::Executes => Report::Executed,
        }
    }

    fn is_silent(&mut self, child: Option<Pid>, _report: BorrowedFd<'_>) -> bool {
        let world = self.0.borrow();
        let process = &world.processes[&child.unwrap()];
        process.child == Child::Hangs && process.lives()
    }

    fn next_dead(&mut self) -> Option<Pid> {
        let world = self.0.borrow();
        let mut all = world.processes.iter();
        let dead = all.find(|(_, p)| p.stat.parent == Pid::own() && !p.lives());
        dead.map(|(pid, _)| *pid)
    }

    fn inspect(&mut self, child: Pid) -> Zombie {
        let world = self.0.borrow();
        Zombie {
            start: world.processes.get(&child).map(|p| p.stat.start),
            cgroup: None,
        }
    }

    fn has_orphans(&mut self, _leaders: &BTreeSet<Pid>) -> Option<bool> {
        None
    }

    fn hold(&mut self, child: Pid) -> Option<ProcessHandle> {
        let start = self.0.borrow().processes.get(&child)?.stat.start;
        Some(ProcessHandle::from_start(child, start))
    }

    fn reap(&mut self, child: Pid) -> Option<Exit> {
        let process = self.0.borrow_mut().processes.remove(&child)?;
        assert_eq!(process.stat.parent, Pid::own(), "not a child");
        process.exit
    }

    fn find(&mut self, record: Record) -> Option<FoundProcess> {
        let world = self.0.borrow();
        let held = ProcessHandle::from_start(record.pid, record.start);
        if let Err(e) = world.sight() {
            return Some(FoundProcess::Unseen(held, e));
        }
        let process = world.same(record.pid, Some(record.start))?;
        Some(match process.exit {
            _ if process.stat.parent == Pid::own() => FoundProcess::Child,
            None => FoundProcess::Other(held, process.stat.is_stopped()),
            Some(exit) => FoundProcess::Zombie(exit),
        })
    }

    fn find_leader(&mut self, variables: &[Vec<u8>]) -> Lookup<(Pid, u64)> {
        let world = self.0.borrow();
        if let Err(e) = world.sight() {
            return Lookup::Failed(e);
        }
        let mut all = world.processes.iter();
        let found = all.find(|(_, p)| variables.iter().all(|v| p.variables.contains(v)));
        match found.filter(|(_, p)| p.lives()) {
            Some((pid, process)) => Lookup::There((*pid, process.stat.start)),
            None => Lookup::Gone,
        }
    }

    fn look(&mut self, pid: Pid) -> Lookup<Stat> {
        let world = self.0.borrow();
        match (world.sight(), world.processes.get(&pid)) {
            (Err(e), _) => Lookup::Failed(e),
            (Ok(()), Some(process)) => Lookup::There(process.stat),
            (Ok(()), None) => Lookup::Gone,
        }
    }

    fn look_again(&mut self, handle: &mut ProcessHandle) -> Lookup<Stat> {
        let world = self.0.borrow();
        if let Err(e) = world.sight() {
            return Lookup::Failed(e);
        }
        let process = world.same(handle.pid(), handle.start());
        match process.filter(|p| p.lives()) {
            Some(process) => Lookup::There(process.stat),
            None => Lookup::Gone,
        }
    }

    fn has_ended(&mut self, handle: &ProcessHandle) -> bool {
        let world = self.0.borrow();
        let process = world.same(handle.pid(), handle.start());
        world.blind.is_none() && !process.is_some_and(Process::lives)
    }

    fn exit(&mut self, handle: &ProcessHandle) -> Exit {
        let world = self.0.borrow();
        let key = (handle.pid(), handle.start().unwrap());
        world.exits.get(&key).copied().unwrap_or(Exit::Unknown)
    }

    fn signal(&mut self, target: Target<'_>, signal: Signal) -> io::Result<()> {
        let mut world = self.0.borrow_mut();
        let missing = || Err(io::ErrorKind::NotFound.into());
        let (pid, start) = match target {
            Target::Child(pid) => (pid, None),
            Target::Process(held) => (held.pid(), held.start()),
            Target::Member(member) => (member.pid, Some(member.stat.start)),
            Target::ChildGroup(pid) => return world.signal_group(pid, signal),
            Target::ProcessGroup(held) => {
                let process = world.same(held.pid(), held.start());
                if !process.is_some_and(Process::lives) {
                    return missing();
                }
                return world.signal_group(held.pid(), signal);
            }
            Target::Cgroup(_) => return missing(),
        };
        if !world.same(pid, start).is_some_and(Process::lives) {
            return missing();
        }
        world.deliver(pid, signal);
        Ok(())
    }

    fn group_exists(&mut self, group: Pid) -> bool {
        let world = self.0.borrow();
        let mut all = world.processes.values();
        all.any(|p| p.stat.group == group.get() && p.lives())
    }

    fn led_group_exists(&mut self, leader: &ProcessHandle) -> io::Result<bool> {
        let (group, start) = (leader.pid().get(), leader.start().unwrap());
        let world = self.0.borrow();
        let reused = world.processes.get(&leader.pid());
        let reused = reused.is_some_and(|p| p.stat.start != start);
        let mut all = world.processes.values();
        Ok(!reused && all.any(|p| p.stat.group == group && p.lives()))
    }

    fn can_scan(&mut self) -> bool {
        true
    }

    fn scan(&mut self, scan: &Scan<'_>) -> io::Result<Processes> {
        let world = self.0.borrow();
        world.sight()?;
        let all = world.processes.iter();
        let all: Vec<(Pid, Stat)> = all.map(|(pid, p)| (*pid, p.stat)).collect();
        let own = Pid::own();
        Ok(Processes::new(all, |pid, stat| {
            let orphan = stat.parent == own || stat.parent == 1 && scan.init_reaps;
            if !orphan || scan.leaders.contains(&pid) {
                return None;
            }
            world.processes[&pid].program.map(Owner::Program)
        }))
    }

    fn cgroup_members(&mut self, _group: &Cgroup) -> io::Result<Vec<Member>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn ignores(&mut self, _pid: Pid, _signal: Signal) -> bool {
        false
    }

    fn is(&mut self, pid: Pid, start: u64) -> bool {
        self.0.borrow().same(pid, Some(start)).is_some()
    }

    fn command(&mut self, _pid: Pid) -> String {
        "fake".to_owned()
    }

    fn why_it_lives(&mut self, _member: &Member) -> String {
        "is stuck".to_owned()
    }

    fn proc(&self) -> Option<&ProcDir> {
        None
    }
}
