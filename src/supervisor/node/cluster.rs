//! What a program is started with besides its three standard descriptors: sockets that are held for it, and, for a
//! Node worker, the channel to its primary, which this is.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use crate::error::{Error, Reason, Result};
use crate::model::life::State;
use crate::model::spec::ExecMode;
use crate::protocol::node::{self, Message, Query};
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::node::channel::Channel;
use crate::supervisor::program::Program;
use crate::supervisor::sockets::held::{self, UNUSED, is_served};
use crate::supervisor::timers::Timer;

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
    pub(crate) fn may_launch(&self, id: u32) -> bool {
        let spec = self.programs.get(&id).map(|program| &program.spec);
        self.log.recovered()
            || spec.is_none_or(|spec| spec.exec_mode == ExecMode::Fork && spec.listen.0.is_empty())
    }

    /// What a program is to be started with. The log writer is told of it before the program is made: a supervisor that
    /// is killed in between leaves nothing that is held by nobody.
    pub(crate) fn give(&mut self, id: u32) -> Result<Given> {
        let mut given = Given::default();
        let Some(program) = self.programs.get(&id) else {
            return Ok(given);
        };
        let spec = Rc::clone(&program.spec);
        let run = program.life.run.0;
        // Those of an earlier spec.
        self.release_sockets(&spec.name);
        for place in &spec.listen.0 {
            let shown = String::from_utf8_lossy(place).into_owned();
            let failed = |e| Error::io(format!("listening at {shown}"), &e);
            let bind = || held::bind_place(place);
            let socket = self.socket_of(&spec.name, &shown, spec.umask.0, bind);
            let copy = socket.and_then(|socket| socket.try_clone());
            given.fds.push(copy.map_err(failed)?);
            given.names.push(shown.replace(':', "-"));
        }
        if spec.exec_mode == ExecMode::Cluster {
            let failed = |e| Error::io("making the channel of a Node worker", &e);
            let (ours, theirs) = UnixStream::pair().map_err(failed)?;
            let copy = ours.as_fd().try_clone_to_owned().map_err(failed)?;
            given.fds.extend([theirs.into(), copy]);
            let mut channel = Channel::new(ours.into());
            self.keep_channel(id, run, &mut channel);
            given.channel = Some(channel);
        }
        if !given.fds.is_empty() {
            self.log.flush();
        }
        Ok(given)
    }

    /// Forgets the channel of a program that has ended, or was not made.
    pub(crate) fn drop_channel(&mut self, channel: Option<Channel>) {
        if let Some(slot) = channel.and_then(|channel| channel.slot) {
            self.log.drop_kept(slot);
        }
    }

    /// A program has ended: its channel has, too.
    pub(crate) fn close_channel(&mut self, id: u32) {
        let channel = self
            .programs
            .get_mut(&id)
            .and_then(|p| p.run.as_mut()?.channel.take());
        self.drop_channel(channel);
        self.sockets.ended(id, self.now);
    }

    /// Reads what a worker has said and answers.
    pub(crate) fn hear_channel(&mut self, id: u32) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        let name = program.spec.name.clone();
        let messages = match program.channel_mut() {
            Some(channel) => channel.receive(),
            None => return,
        };
        for message in messages {
            match message {
                Message::QueryServer(query) => self.answer_query(id, &name, &query),
                Message::Close { key, seq } => {
                    let gone = self.sockets.leave(&name, &key, id, self.now);
                    self.close_sockets(gone);
                    self.look_at_unused();
                    self.tell_worker(id, node::plain_answer(seq), None);
                }
                Message::Listening => self.look_at_unused(),
                Message::Other { seq } => self.tell_worker(id, node::plain_answer(seq), None),
                Message::Handle => self.with_channel(id, Channel::acknowledge),
                Message::HandleArrived => self.with_channel(id, Channel::arrived),
                Message::Own => {}
            }
        }
        self.with_channel(id, Channel::flush);
    }

    fn answer_query(&mut self, id: u32, name: &str, query: &Query) {
        let key = query.key();
        let umask = self.programs.get(&id).map_or(0o077, |p| p.spec.umask.0);
        match self.socket_of(name, &key, umask, || held::bind_query(query)) {
            Ok(socket) => {
                self.sockets.serve(name, &key, id);
                self.log.flush();
                self.tell_worker(id, node::server_answer(query, 0), Some(socket));
            }
            Err(e) => {
                self.note(id, format_args!("cannot have {key}: {}", Reason(&e)));
                let errno = e.raw_os_error().unwrap_or(libc::EINVAL);
                self.tell_worker(id, node::server_answer(query, errno), None);
            }
        }
    }

    fn tell_worker(&mut self, id: u32, message: Vec<u8>, fd: Option<Rc<OwnedFd>>) {
        self.with_channel(id, |channel| channel.say(message, fd));
    }

    pub(crate) fn with_channel(&mut self, id: u32, act: impl FnOnce(&mut Channel)) {
        let channel = self.programs.get_mut(&id).and_then(Program::channel_mut);
        if let Some(channel) = channel {
            act(channel);
        }
    }

    /// Sees to it that sockets which no worker serves are looked at when their time is over.
    pub(crate) fn look_at_unused(&mut self) {
        if !self.timers.is_set(Timer::Sockets) {
            self.timers.set(Timer::Sockets, Some(self.now + UNUSED));
        }
    }

    /// Closes sockets that workers which run on do not serve any more.
    pub(crate) fn close_unused_sockets(&mut self) {
        let (programs, now) = (&self.programs, self.now);
        let settled = |name: &str| {
            let mut served = programs
                .values()
                .filter(|p| p.spec.name == name && is_served(&p.life));
            served.all(|p| {
                p.life.state == State::Online && now.saturating_sub(p.life.since) >= UNUSED
            })
        };
        let (gone, more) = self.sockets.close_unused(now, settled);
        self.close_sockets(gone);
        if more {
            self.look_at_unused();
        }
    }
}
