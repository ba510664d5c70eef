//! What a program is started with besides its three standard descriptors: sockets that are held for it, and, for a
//! Node worker, the channel to its primary, which this is.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use super::channel::Channel;
use super::server::Supervisor;
use super::sockets::{self, Held};
use super::timers::Timer;
use crate::app::spec::ExecMode;
use crate::app::value::Bytes;
use crate::error::{Error, Reason, Result};
use crate::protocol::link::Order;
use crate::protocol::node::{self, Message, Query};
use crate::sys::pid::Pid;
use crate::sys::{procfs, user};

/// How long a socket is kept that no worker of a program asks for any more, as its code may have changed. ms
const UNUSED: u64 = 10_000;

/// The descriptors of one launch.
#[derive(Default)]
pub struct Given {
    /// In the order in which the program finds them, from 3 on.
    pub fds: Vec<OwnedFd>,
    /// What held sockets are called, one for each of the first descriptors.
    pub names: Vec<String>,
    /// Our end of the channel. The program gets two more descriptors: its own end, and a copy of ours.
    pub channel: Option<Channel>,
}

impl Supervisor {
    /// Whether a program can be launched before it is known what the log writer keeps for it.
    pub(super) fn may_launch(&self, id: u32) -> bool {
        let spec = self.programs.get(&id).map(|program| &program.spec);
        self.log.recovered()
            || spec.is_none_or(|spec| spec.exec_mode == ExecMode::Fork && spec.listen.0.is_empty())
    }

    /// What a program is to be started with.
    pub(super) fn give(&mut self, id: u32) -> Result<Given> {
        let mut given = Given::default();
        let Some(program) = self.programs.get(&id) else {
            return Ok(given);
        };
        let spec = std::rc::Rc::clone(&program.spec);
        for place in &spec.listen.0 {
            let shown = String::from_utf8_lossy(place).into_owned();
            let failed = |e| Error::io(format!("listening at {shown}"), &e);
            // A path is made with the mask of its program.
            let own = user::set_umask(spec.umask.0);
            if self.sockets.place(&spec.name, place).is_err_and(in_use) {
                self.find_socket(&spec.name, &shown);
            }
            let placed = self.sockets.place(&spec.name, place);
            user::set_umask(own);
            let (socket, new) = placed.map_err(failed)?;
            given.fds.push(socket.try_clone_to_owned().map_err(failed)?);
            given.names.push(shown.replace(':', "-"));
            if new {
                self.keep_socket(&spec.name, &shown);
            }
        }
        if spec.exec_mode == ExecMode::Cluster {
            let failed = |e| Error::io("making the channel of a Node worker", &e);
            let (ours, theirs) = UnixStream::pair().map_err(failed)?;
            let copy = ours.as_fd().try_clone_to_owned().map_err(failed)?;
            given.fds.extend([theirs.into(), copy]);
            given.channel = Some(Channel::new(ours.into()));
        }
        Ok(given)
    }

    /// A program has been started with a channel.
    pub(super) fn open_channel(&mut self, id: u32, channel: Option<Channel>) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        program.channel = channel;
        self.keep_channel(id);
    }

    /// A program has ended: its channel has, too.
    pub(super) fn close_channel(&mut self, id: u32) {
        let channel = self.programs.get_mut(&id).and_then(|p| p.channel.take());
        if channel.is_some() {
            self.log.drop_kept(channel_name(id));
        }
        self.sockets.ended(id);
    }

    /// Closes the sockets of programs that have come to rest.
    pub(super) fn release_sockets(&mut self, name: &str) {
        let needed = self
            .programs
            .values()
            .any(|program| program.spec.name == name && !program.life.at_rest());
        if !needed {
            let gone = self.sockets.release(name);
            self.forget_sockets(gone);
        }
    }

    fn forget_sockets(&mut self, gone: Vec<Held>) {
        for held in gone {
            self.log.drop_kept(socket_name(&held.group, &held.key));
        }
    }

    /// Reads what a worker has said and answers.
    pub(super) fn hear_channel(&mut self, id: u32) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        let name = program.spec.name.clone();
        let messages = match &mut program.channel {
            Some(channel) => channel.receive(),
            None => return,
        };
        for message in messages {
            match message {
                Message::QueryServer(query) => self.answer_query(id, &name, &query),
                Message::Close { key, seq } => {
                    let gone = self.sockets.leave(&name, &key, id);
                    self.forget_sockets(gone);
                    self.tell_worker(id, node::plain_answer(seq), None);
                }
                Message::Listening => {
                    self.timers.set(Timer::Sockets, Some(self.now + UNUSED));
                }
                Message::Other { seq } => self.tell_worker(id, node::plain_answer(seq), None),
                Message::Handle => self.with_channel(id, Channel::acknowledge),
                Message::HandleArrived => self.with_channel(id, Channel::arrived),
                Message::Own => {}
            }
        }
        self.with_channel(id, Channel::flush);
    }

    fn answer_query(&mut self, id: u32, name: &str, query: &Query) {
        // A path is made with the mask of its program.
        let umask = self.programs.get(&id).map(|p| p.spec.umask.0);
        let own = umask.map(user::set_umask);
        if self.sockets.query(name, id, query).is_err_and(in_use) {
            self.find_socket(name, &query.key());
        }
        let found = self.sockets.query(name, id, query);
        own.map(user::set_umask);
        let found = found.and_then(|(socket, new)| Ok((socket.try_clone_to_owned()?, new)));
        match found {
            Ok((socket, new)) => {
                self.tell_worker(id, node::server_answer(query, 0), Some(socket));
                if new {
                    self.keep_socket(name, &query.key());
                }
            }
            Err(e) => {
                let key = query.key();
                self.note(id, format_args!("cannot have {key}: {}", Reason(&e)));
                let errno = e.raw_os_error().unwrap_or(libc::EINVAL);
                self.tell_worker(id, node::server_answer(query, errno), None);
            }
        }
    }

    /// Looks for a socket in the programs that serve it: where both daemons were killed, nobody has kept it.
    fn find_socket(&mut self, group: &str, key: &str) {
        let others = self.programs.values().filter(|p| p.spec.name == group);
        let held = others.filter_map(|p| Some((Pid::new(p.life.pid)?, p.adopted.as_ref()?)));
        let found = held.into_iter().find_map(|(pid, process)| {
            let numbers = procfs::descriptors(pid).into_iter();
            let copies = numbers.filter_map(|number| process.copy_fd(number).ok());
            copies.into_iter().find(|copy| sockets::is_meant(key, copy))
        });
        if let Some(socket) = found {
            self.recover_socket(group, key, socket);
            self.keep_socket(group, key);
        }
    }

    /// Takes the channels of Node workers from themselves: they hold both ends.
    fn find_channels(&mut self) {
        let mut found = Vec::new();
        for program in self.programs.values_mut() {
            let worker = program.spec.exec_mode == ExecMode::Cluster && program.channel.is_none();
            let process = program.adopted.as_ref().filter(|_| worker);
            // Behind the sockets, its own end, then ours.
            let number = program.spec.listen.0.len() + 4;
            let number = i32::try_from(number).unwrap_or(i32::MAX);
            if let Some(Ok(end)) = process.map(|process| process.copy_fd(number)) {
                program.channel = Some(Channel::new(end));
                found.push(program.id);
            }
        }
        for id in found {
            self.keep_channel(id);
        }
    }

    fn tell_worker(&mut self, id: u32, message: Vec<u8>, fd: Option<OwnedFd>) {
        self.with_channel(id, |channel| channel.say(message, fd));
    }

    pub(super) fn with_channel(&mut self, id: u32, act: impl FnOnce(&mut Channel)) {
        let channel = self.programs.get_mut(&id).and_then(|p| p.channel.as_mut());
        if let Some(channel) = channel {
            act(channel);
        }
    }

    /// Closes sockets that no worker asks for any more: the code of a program may have changed.
    pub(super) fn close_unused_sockets(&mut self) {
        let gone = self.sockets.close_unused();
        self.forget_sockets(gone);
    }

    /// Has the log writer keep all that the next supervisor will need.
    pub(super) fn keep_all(&mut self) {
        let sockets: Vec<(String, String)> = self
            .sockets
            .iter()
            .map(|held| (held.group.clone(), held.key.clone()))
            .collect();
        for (group, key) in sockets {
            self.keep_socket(&group, &key);
        }
        let ids: Vec<u32> = self.programs.keys().copied().collect();
        for id in ids {
            self.keep_channel(id);
        }
    }

    fn keep_socket(&mut self, group: &str, key: &str) {
        let mut all = self.sockets.iter();
        let held = all.find(|held| held.group == group && held.key == key);
        if let Some(copy) = held.and_then(|held| held.socket.try_clone().ok()) {
            let name = socket_name(group, key);
            self.log.order_with(&Order::Keep { name }, Some(copy));
        }
    }

    fn keep_channel(&mut self, id: u32) {
        let channel = self.programs.get(&id).and_then(|p| p.channel.as_ref());
        if let Some(copy) = channel.and_then(|c| c.fd().try_clone_to_owned().ok()) {
            let name = channel_name(id);
            self.log.order_with(&Order::Keep { name }, Some(copy));
        }
    }

    /// Takes back what the log writer has kept.
    pub(super) fn take_back(&mut self, kept: Vec<(Bytes, OwnedFd)>) {
        for (name, fd) in kept {
            let text = String::from_utf8_lossy(&name).into_owned();
            let mut words = text.splitn(3, '\0');
            let taken = match (words.next(), words.next(), words.next()) {
                (Some("channel"), Some(id), None) => self.recover_channel(id, fd),
                (Some("socket"), Some(group), Some(key)) => self.recover_socket(group, key, fd),
                _ => false,
            };
            if !taken {
                self.log.drop_kept(name);
            }
        }
        self.find_channels();
    }

    fn recover_channel(&mut self, id: &str, fd: OwnedFd) -> bool {
        let program = id.parse().ok().and_then(|id| self.programs.get_mut(&id));
        let program = program.filter(|program| program.life.pid != 0);
        match program {
            Some(program) if program.channel.is_none() => {
                program.channel = Some(Channel::new(fd));
                true
            }
            other => other.is_some(),
        }
    }

    fn recover_socket(&mut self, group: &str, key: &str, fd: OwnedFd) -> bool {
        let others = self.programs.values().filter(|p| p.spec.name == group);
        let others: Vec<_> = others.filter(|p| !p.life.at_rest()).collect();
        if others.is_empty() {
            return false;
        }
        let mut held = Held::found(group.to_owned(), key.to_owned(), fd);
        // Which of them serve it, the last supervisor knew: until one says that it does not, all that run may.
        held.users = others
            .iter()
            .filter(|p| p.life.pid != 0)
            .map(|p| p.id)
            .collect();
        self.sockets.hold(held);
        true
    }
}

/// By value, as what [`Result::is_err_and`] takes.
fn in_use(e: std::io::Error) -> bool {
    e.kind() == std::io::ErrorKind::AddrInUse
}

fn channel_name(id: u32) -> Bytes {
    format!("channel\0{id}").into_bytes()
}

fn socket_name(group: &str, key: &str) -> Bytes {
    format!("socket\0{group}\0{key}").into_bytes()
}
