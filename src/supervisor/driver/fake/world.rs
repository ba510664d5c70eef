//! The processes, the clock and the failures of a fake world.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use crate::model::life::Exit;
use crate::sys::pid::Pid;
use crate::sys::procfs::Stat;
use crate::sys::signal::Signal;

/// The first number of fake processes: above every pid that the kernel gives, so no real process can be meant.
const FIRST_PID: i32 = 4_200_000;
/// So many numbers there are: they are soon used again.
const PIDS: i32 = 30;

/// What a child between fork and exec does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// It executes the program.
    Executes,
    /// It waits for a file system that does not answer.
    Hangs,
    /// It cannot execute the program.
    Fails,
}

/// A process.
#[derive(Debug, Clone)]
pub struct Process {
    /// What the kernel says of it.
    pub stat: Stat,
    /// The program that it belongs to; none for a process of somebody else.
    pub program: Option<u32>,
    /// Its environment.
    pub(super) variables: Vec<Vec<u8>>,
    /// What it does before it is the program.
    pub(super) child: Child,
    /// It takes no notice of any signal but SIGKILL, SIGSTOP and SIGCONT.
    pub stubborn: bool,
    /// It waits in the kernel: no signal reaches it.
    pub stuck: bool,
    /// How it has ended.
    pub(super) exit: Option<Exit>,
}

impl Process {
    pub(super) fn lives(&self) -> bool {
        self.exit.is_none()
    }
}

/// All of it.
#[derive(Debug)]
pub struct World {
    /// The time, in ms.
    pub now: u64,
    /// The processes.
    pub processes: BTreeMap<Pid, Process>,
    /// What the next children do.
    pub child: Child,
    /// Why no process can be made.
    pub no_process: Option<i32>,
    /// Why processes cannot be looked at.
    pub blind: Option<i32>,
    /// Every signal that reached a process.
    pub signals: Vec<(Pid, Signal)>,
    /// Every signal that was sent to a process of somebody else.
    pub strangers_signalled: Vec<(Pid, Signal)>,
    /// How those that are nobody's zombies have ended.
    pub(super) exits: BTreeMap<(Pid, u64), Exit>,
    next_pid: i32,
    ticks: u64,
}

impl World {
    /// A world without processes.
    pub fn new() -> Rc<RefCell<World>> {
        Rc::new(RefCell::new(World {
            now: 1_000_000,
            processes: BTreeMap::new(),
            child: Child::Executes,
            no_process: None,
            blind: None,
            signals: Vec::new(),
            strangers_signalled: Vec::new(),
            exits: BTreeMap::new(),
            next_pid: 0,
            ticks: 1000,
        }))
    }

    fn free_pid(&mut self) -> Pid {
        loop {
            let pid = Pid::new(FIRST_PID + self.next_pid % PIDS).unwrap();
            self.next_pid += 1;
            if !self.processes.contains_key(&pid) {
                return pid;
            }
        }
    }

    pub(super) fn add(&mut self, parent: i32, group: Option<Pid>, program: Option<u32>) -> Pid {
        let pid = self.free_pid();
        self.ticks += 1;
        let group = group.unwrap_or(pid).get();
        let process = Process {
            stat: Stat {
                state: b'S',
                parent,
                group,
                session: group,
                threads: 1,
                start: self.ticks,
                exit_code: None,
            },
            program,
            variables: Vec::new(),
            child: Child::Executes,
            stubborn: false,
            stuck: false,
            exit: None,
        };
        self.processes.insert(pid, process);
        pid
    }

    /// A process of somebody else.
    pub fn stranger(&mut self) -> Pid {
        self.add(1, None, None)
    }

    /// A stranger is given this number, which is free.
    pub fn reuse(&mut self, pid: Pid) {
        assert!(!self.lives(pid));
        self.next_pid = pid.get() - FIRST_PID;
        assert_eq!(self.stranger(), pid);
    }

    /// A child of a process of a program, in its group or in a session of its own.
    pub fn fork(&mut self, parent: Pid, own_session: bool) -> Pid {
        let process = self.processes[&parent].clone();
        let group = Pid::new(process.stat.group).filter(|_| !own_session);
        self.add(parent.get(), group, process.program)
    }

    /// The living processes of a program.
    pub fn of(&self, program: u32) -> Vec<Pid> {
        let all = self.processes.iter();
        all.filter(|(_, p)| p.program == Some(program) && p.lives())
            .map(|(pid, _)| *pid)
            .collect()
    }

    /// The living leaders of a program: its copies.
    pub fn leaders(&self, program: u32) -> Vec<Pid> {
        let mut all = self.of(program);
        all.retain(|pid| !self.processes[pid].variables.is_empty());
        all
    }

    /// Whether a process lives.
    pub fn lives(&self, pid: Pid) -> bool {
        self.processes.get(&pid).is_some_and(Process::lives)
    }

    /// A process has ended: its children are left to the daemon.
    pub fn die(&mut self, pid: Pid, exit: Exit) {
        let Some(process) = self.processes.get_mut(&pid).filter(|p| p.lives()) else {
            return;
        };
        let (own, parent, start) = (Pid::own(), process.stat.parent, process.stat.start);
        process.exit = Some(exit);
        process.stat.state = b'Z';
        if parent != own {
            self.processes.remove(&pid);
            self.exits.insert((pid, start), exit);
        }
        let heir = if parent == 1 { 1 } else { own };
        for other in self.processes.values_mut() {
            if other.stat.parent == pid.get() {
                other.stat.parent = heir;
            }
        }
    }

    /// The daemon was killed: its children are left to init, which reaps what has ended.
    pub fn orphan_all(&mut self) {
        let own = Pid::own();
        let ours = self.processes.iter().filter(|(_, p)| p.stat.parent == own);
        let ours: Vec<Pid> = ours.map(|(pid, _)| *pid).collect();
        for pid in ours {
            let process = self.processes.get_mut(&pid).unwrap();
            process.stat.parent = 1;
            if let Some(exit) = process.exit {
                let start = process.stat.start;
                self.exits.insert((pid, start), exit);
                self.processes.remove(&pid);
            }
        }
    }

    /// What a child reports now, as if the file system had answered.
    pub fn answer(&mut self, pid: Pid, child: Child) {
        self.processes.get_mut(&pid).unwrap().child = child;
    }

    pub(super) fn deliver(&mut self, pid: Pid, signal: Signal) {
        let process = self.processes.get_mut(&pid).unwrap();
        if process.program.is_none() {
            self.strangers_signalled.push((pid, signal));
        }
        self.signals.push((pid, signal));
        match signal {
            _ if process.stuck => {}
            Signal::STOP => process.stat.state = b'T',
            Signal::CONT => process.stat.state = b'S',
            _ if signal != Signal::KILL && (process.stubborn || process.child == Child::Hangs) => {}
            _ => self.die(pid, Exit::Signal(signal.get())),
        }
    }

    /// The process of this number, where it is the one that started then.
    pub(super) fn same(&self, pid: Pid, start: Option<u64>) -> Option<&Process> {
        let process = self.processes.get(&pid)?;
        start
            .is_none_or(|start| start == process.stat.start)
            .then_some(process)
    }

    pub(super) fn signal_group(&mut self, group: Pid, signal: Signal) -> io::Result<()> {
        let all = self.processes.iter();
        let members = all.filter(|(_, p)| p.stat.group == group.get());
        let members: Vec<(Pid, bool)> = members.map(|(pid, p)| (*pid, p.lives())).collect();
        if members.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        for (pid, _) in members.into_iter().filter(|(_, lives)| *lives) {
            self.deliver(pid, signal);
        }
        Ok(())
    }

    pub(super) fn sight(&self) -> io::Result<()> {
        self.blind
            .map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }
}
