//! Keeps the sockets of programs and the channels of Node workers open across supervisors. The log writer holds each of
//! them, from before a program receives it until it is closed. When both daemons were killed, they are copied from the
//! programs themselves, as far as the kernel allows it.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use crate::error::Reason;
use crate::model::life::{Life, State};
use crate::model::spec::ExecMode;
use crate::model::value::Bytes;
use crate::protocol::line::Line;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::log::client::Kept;
use crate::supervisor::node::channel::Channel;
use crate::supervisor::program::Program;
use crate::supervisor::sockets::held::{self, Closing, Held, is_served};
use crate::sys::pid::Pid;
use crate::sys::pidfd::PidFd;
use crate::sys::process::ProcessHandle;
use crate::sys::{fd, net, passing, procfs, reexec};

/// So many descriptors of a process are looked at for a socket, the lowest: it was given one at its start.
const MOST_DESCRIPTORS: usize = 4096;

/// Whether a program is the reason to hold a socket.
fn needs(program: &Program, key: &str) -> bool {
    match held::is_asked_for(key) {
        true => program.spec.exec_mode == ExecMode::Cluster,
        false => {
            let mut places = program.spec.listen.0.iter();
            places.any(|place| String::from_utf8_lossy(place) == key)
        }
    }
}

/// Whether a process of a program may be alive.
fn is_alive(life: &Life) -> bool {
    life.pid != 0 || life.state == State::Stopping
}

impl Supervisor {
    /// The socket of a key: the one that is held, else one that `bind` makes.
    pub(crate) fn socket_of(
        &mut self,
        group: &str,
        key: &str,
        bind: impl FnOnce() -> io::Result<OwnedFd>,
    ) -> io::Result<Rc<OwnedFd>> {
        if let Some(held) = self.sockets.find(group, key) {
            return Ok(Rc::clone(&held.socket));
        }
        let socket = match bind() {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                self.find_in_programs(group, key).ok_or(e)?
            }
            other => other?,
        };
        let held = Held::new(group, key, socket);
        let socket = Rc::clone(&held.socket);
        self.hold_socket(held);
        self.note_sockets();
        Ok(socket)
    }

    /// Holds a socket, and has the log writer keep it. Nothing else adds one.
    pub(crate) fn hold_socket(&mut self, mut held: Held) {
        if held.slot.is_none() {
            let name = socket_name(&held.group, &held.key);
            held.slot = self.log.keep(name, Rc::clone(&held.socket));
        }
        self.sockets.add(held);
    }

    /// Whether a program of this name that is wanted up needs a socket.
    pub(crate) fn is_needed(&self, group: &str, key: &str) -> bool {
        let programs = self.programs.values();
        let mut served = programs.filter(|p| p.spec.name == group && is_served(&p.life));
        served.any(|p| needs(p, key))
    }

    /// Has the log writer keep the channel of a run.
    pub(crate) fn keep_channel(&mut self, id: u32, run: u32, channel: &mut Channel) {
        if channel.slot.is_none() {
            let name = channel_name(id, run);
            channel.slot = self.log.keep(name, Rc::clone(channel.end()));
        }
    }

    /// Closes the sockets of a name that none of its programs needs. Returns whether there were any.
    pub(crate) fn release_sockets(&mut self, name: &str) -> bool {
        let mut group = self.programs.values().filter(|p| p.spec.name == name);
        if !group.any(|p| is_alive(&p.life)) {
            // The log writer may be long in closing its copy, where a disk holds it up.
            let closed = self.sockets.closed(|closing| closing.group == name);
            closed.iter().for_each(|c| net::stop_listening(&c.socket));
        }
        if !self.sockets.has(name) {
            return false;
        }
        let programs = &self.programs;
        let needed = |held: &Held| {
            let mut served = programs
                .values()
                .filter(|p| p.spec.name == name && is_served(&p.life));
            served.any(|p| needs(p, &held.key))
        };
        let gone = self.sockets.release(name, needed);
        let any = !gone.is_empty();
        self.close_sockets(gone);
        any
    }

    /// Closes sockets that are not held any more.
    pub(crate) fn close_sockets(&mut self, gone: Vec<Held>) {
        if gone.is_empty() {
            return;
        }
        for held in gone {
            let mut group = self.programs.values().filter(|p| p.spec.name == held.group);
            let alive = group.any(|p| is_alive(&p.life));
            let slot = held.slot;
            if let Some(slot) = slot {
                self.log.drop_kept(slot);
            }
            match alive {
                false => net::stop_listening(&held.socket),
                // It may have the socket open, and be on its way to a graceful end: that is not disturbed.
                true if slot.is_some() => {
                    let token = self.log.drain(Vec::new(), true);
                    self.sockets.is_closing(Closing {
                        group: held.group.clone(),
                        socket: Rc::clone(&held.socket),
                        token,
                    });
                }
                true => {}
            }
            let path = held.path.filter(|path| {
                let mut others = self.sockets.iter();
                !others.any(|other| other.path.as_ref() == Some(path))
            });
            if let Some(path) = path {
                self.remove_socket_path(&held.group, path);
            }
        }
        self.note_sockets();
    }

    /// Lets go of what the log writer has closed, too.
    pub(crate) fn settle_closing(&mut self) {
        let log = &self.log;
        drop(self.sockets.closed(|closing| log.done(closing.token)));
    }

    /// Begins with a log writer, or without one: nothing is kept by it that was not given back.
    pub(crate) fn begin_keeping(&mut self) {
        for held in self.sockets.iter_mut() {
            held.slot = None;
        }
        for channel in self.programs.values_mut().filter_map(Program::channel_mut) {
            channel.slot = None;
        }
        if let Some(kept) = self.log.take_kept() {
            self.take_back(kept);
        }
    }

    /// Takes back what the log writer has kept, and looks for what is missing.
    pub(crate) fn take_back(&mut self, kept: Vec<Kept>) {
        let mut gone = Vec::new();
        for (slot, name, fd) in kept {
            let text = String::from_utf8_lossy(&name).into_owned();
            let mut words = text.splitn(3, '\0');
            let taken = match (words.next(), words.next(), words.next()) {
                (Some("channel"), Some(id), run) => self.recover_channel(id, run, slot, fd),
                (Some("socket"), Some(group), Some(key)) => {
                    self.recover_socket(group, key, Some(slot), fd, &mut gone)
                }
                (Some("output"), Some(path), None) => self.recover_own_output(path, slot, fd),
                _ => false,
            };
            if !taken {
                self.log.drop_kept(slot);
            }
        }
        self.close_sockets(gone);
        self.find_channels();
        self.find_sockets();
        self.keep_all();
        self.note_sockets();
    }

    /// Has the log writer keep all that it does not keep yet.
    fn keep_all(&mut self) {
        self.keep_own_outputs();
        for held in self.sockets.iter_mut().filter(|held| held.slot.is_none()) {
            let name = socket_name(&held.group, &held.key);
            held.slot = self.log.keep(name, Rc::clone(&held.socket));
        }
        for program in self.programs.values_mut() {
            let Some(run) = &mut program.run else {
                continue;
            };
            if let Some(channel) = run.channel.as_mut().filter(|c| c.slot.is_none()) {
                let name = channel_name(program.id, run.id.0);
                channel.slot = self.log.keep(name, Rc::clone(channel.end()));
            }
        }
    }

    /// Takes back the channel of a run. False: it is of no use any more.
    fn recover_channel(&mut self, id: &str, number: Option<&str>, slot: u64, fd: OwnedFd) -> bool {
        let program = id.parse().ok().and_then(|id| self.programs.get_mut(&id));
        let Some(program) = program.filter(|program| program.life.pid != 0) else {
            return false;
        };
        let Some(run) = program.run.as_mut() else {
            return false;
        };
        // A former release did not name the run.
        if number.is_some_and(|number| number.parse() != Ok(run.id.0)) {
            return false;
        }
        let channel = run.channel.get_or_insert_with(|| Channel::new(fd));
        let kept = channel.slot.is_none();
        channel.slot = channel.slot.or(Some(slot));
        kept
    }

    /// Takes back a socket. False: it is one too many. One that no program needs is added to `gone`.
    fn recover_socket(
        &mut self,
        group: &str,
        key: &str,
        slot: Option<u64>,
        fd: OwnedFd,
        gone: &mut Vec<Held>,
    ) -> bool {
        if let Some(held) = self.sockets.find(group, key) {
            let same = held.slot.is_none() && passing::is_same(&*held.socket, &fd);
            if same {
                held.slot = slot;
            }
            return same;
        }
        let mut held = Held::new(group, key, fd);
        held.slot = slot;
        if !self.is_needed(group, key) {
            gone.push(held);
            return true;
        }
        // Which of them serve it, the last supervisor knew: until one says that it does not, all that run may.
        let users = self.programs.values().filter(|p| p.spec.name == group);
        held.users = users.filter(|p| p.life.pid != 0).map(|p| p.id).collect();
        self.hold_socket(held);
        true
    }

    /// Takes the channels of Node workers from themselves: they hold both ends.
    fn find_channels(&mut self) {
        for program in self.programs.values_mut() {
            let worker = program.spec.exec_mode == ExecMode::Cluster && program.channel().is_none();
            let process = program.handle().filter(|_| worker);
            // Behind the sockets, its own end, then ours.
            let number = program.spec.listen.0.len() + 4;
            let number = i32::try_from(number).unwrap_or(i32::MAX);
            if let Some(Ok(end)) = process.map(|process| process.copy_fd(number)) {
                program.set_channel(Channel::new(end));
            }
        }
    }

    /// Takes sockets that nobody has kept from the programs that serve them: at once, as the last of them may end soon.
    fn find_sockets(&mut self) {
        let mut missing: BTreeSet<(String, String)> = BTreeSet::new();
        for program in self.programs.values().filter(|p| is_served(&p.life)) {
            for place in &program.spec.listen.0 {
                let key = String::from_utf8_lossy(place).into_owned();
                missing.insert((program.spec.name.clone(), key));
            }
        }
        missing.extend(self.noted_sockets());
        missing.retain(|(group, key)| self.sockets.find(group, key).is_none());
        for (group, key) in missing {
            if let Some(socket) = self.find_in_programs(&group, &key) {
                self.recover_socket(&group, &key, None, socket, &mut Vec::new());
            }
        }
    }

    /// Looks for a socket in the programs that serve it.
    fn find_in_programs(&self, group: &str, key: &str) -> Option<OwnedFd> {
        let mut others = self.programs.values().filter(|p| p.spec.name == group);
        others.find_map(|program| {
            let pid = Pid::new(program.life.pid)?;
            let opened;
            let process = match program.handle() {
                Some(process) => process,
                // Our child: its number is its own until it is reaped.
                None => {
                    opened = ProcessHandle::from_fd(pid, PidFd::open(pid).ok()?);
                    &opened
                }
            };
            let mut numbers = procfs::descriptors(pid);
            numbers.sort_unstable();
            let numbers = numbers.into_iter().take(MOST_DESCRIPTORS);
            let mut copies = numbers.filter_map(|number| process.copy_fd(number).ok());
            copies.find(|copy| held::is_meant(key, copy))
        })
    }

    /// The sockets that Node workers had asked for, as the last supervisor has noted them: no spec names those.
    fn noted_sockets(&self) -> Vec<(String, String)> {
        let text = self.sockets.noted.split_inclusive(|b| *b == b'\n');
        let lines = text.map(Line::decode).filter_map(|line| {
            let line = line.ok()?;
            let get = |key| line.text(key).map(str::to_owned);
            Some((get("group")?, get("key")?))
        });
        lines.collect()
    }

    /// Reads what the last supervisor has noted of sockets; before this one serves.
    pub(crate) fn read_noted_sockets(&mut self) {
        let path = self.home.sockets();
        match fd::read_file(&path) {
            Ok(text) => self.sockets.noted = text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                let (path, why) = (path.display(), Reason(&e));
                self.journal.note(format_args!(
                    "reading {path}: {why}; ports of Node clusters may be lost"
                ));
            }
        }
    }

    /// Notes the sockets that Node workers have asked for.
    pub(crate) fn note_sockets(&mut self) {
        let mut text = Vec::new();
        for held in self.sockets.iter().filter(|held| held.is_asked_for()) {
            let line = Line::new("socket")
                .with("group", &held.group)
                .with("key", &held.key);
            line.encode(&mut text);
        }
        if self.sockets.noted != text {
            self.store.replace(&self.home.sockets(), &text);
            self.sockets.noted = text;
        }
    }

    /// Hands sockets and channels over to another release in the place of this one.
    pub(crate) fn hand_over_kept<'a>(&'a self, text: &mut Vec<u8>, fds: &mut Vec<BorrowedFd<'a>>) {
        for held in self.sockets.iter() {
            let mut line = Line::new("socket")
                .with("group", &held.group)
                .with("key", &held.key);
            line.push_number("fd", held.socket.as_raw_fd());
            line.encode(text);
            fds.push(held.socket.as_fd());
        }
        for program in self.programs.values() {
            if let Some(channel) = program.channel() {
                let mut line = Line::new("channel");
                line.push_number("id", program.id);
                line.push_number("fd", channel.end().as_raw_fd());
                line.encode(text);
                fds.push(channel.fd());
            }
        }
    }

    /// Takes what was handed over.
    pub(crate) fn take_handed_over(&mut self, lines: &[Line]) {
        for line in lines {
            let Some(fd) = line.number("fd").and_then(reexec::inherited) else {
                continue;
            };
            match (line.text("group"), line.text("key"), line.number("id")) {
                (Some(group), Some(key), _) => {
                    let mut gone = Vec::new();
                    self.recover_socket(group, key, None, fd, &mut gone);
                    self.close_sockets(gone);
                }
                (_, _, Some(id)) => {
                    if let Some(program) = self.programs.get_mut(&id).filter(|p| p.life.pid != 0) {
                        program.set_channel(Channel::new(fd));
                    }
                }
                _ => {}
            }
        }
    }
}

fn channel_name(id: u32, run: u32) -> Bytes {
    format!("channel\0{id}\0{run}").into_bytes()
}

fn socket_name(group: &str, key: &str) -> Bytes {
    format!("socket\0{group}\0{key}").into_bytes()
}
