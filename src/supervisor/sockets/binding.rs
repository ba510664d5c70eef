//! Sockets at paths. The file system of a path that a user named may hang: a forked child binds it, and passes the socket
//! on; another removes it. A launch, or a Node worker, waits for that; the loop does not.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::model::listen::Place;
use crate::protocol::line::Line;
use crate::protocol::node::Query;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::sockets::held::{self, Held};
use crate::sys::daemonize::{self, Fork};
use crate::sys::passing::{self, Outbox};
use crate::sys::pid::Pid;
use crate::sys::signal::{self, Signal};
use crate::sys::{apart, fd, place, user};

/// What is under way at paths.
#[derive(Debug, Default)]
pub struct Paths {
    /// Those that are being bound.
    pub bindings: Vec<Binding>,
    /// Those that could not be bound.
    refusals: Vec<Refusal>,
    /// Children that remove some.
    removers: Vec<(Pid, PathBuf)>,
}

/// A path that is being bound.
#[derive(Debug)]
pub struct Binding {
    /// The name of the programs that share the socket, and which of their sockets it is.
    group: String,
    key: String,
    /// The child that binds it, and what it reports by.
    pub child: Pid,
    /// What it reports by.
    pub report: UnixStream,
    /// Workers that wait for it.
    queries: Vec<(u32, Query)>,
}

/// Why a path could not be bound, until somebody was told.
#[derive(Debug)]
pub struct Refusal {
    group: String,
    key: String,
    errno: i32,
}

impl Supervisor {
    /// Begins to bind the paths that a program needs and that are not held. Whether there are any.
    pub(crate) fn bind_paths(&mut self, id: u32) -> bool {
        let Some(program) = self.programs.get(&id) else {
            return false;
        };
        let spec = Rc::clone(&program.spec);
        for place in &spec.listen.0 {
            let key = String::from_utf8_lossy(place).into_owned();
            let Ok(Place::Unix(path)) = Place::parse(place) else {
                continue;
            };
            let known = self.sockets.find(&spec.name, &key).is_some();
            if !known && self.refusal(&spec.name, &key).is_none() {
                let path = PathBuf::from(std::ffi::OsStr::from_bytes(&path));
                self.bind_path(&spec.name, &key, path, spec.umask.0, None);
            }
        }
        self.is_binding(id)
    }

    /// Whether a path is being bound, or removed, that a program needs.
    pub(crate) fn is_binding(&self, id: u32) -> bool {
        let Some(program) = self.programs.get(&id) else {
            return false;
        };
        let places = &program.spec.listen.0;
        let mut all = self.sockets.paths.bindings.iter();
        all.any(|b| {
            b.group == program.spec.name && places.iter().any(|place| *place == b.key.as_bytes())
        })
    }

    /// Ends what binds paths for a program and is late. Whether there was any.
    pub(crate) fn give_up_binding(&mut self, id: u32) -> bool {
        let binding = self.is_binding(id);
        if let Some(program) = self.programs.get(&id).filter(|_| binding) {
            let (ours, others) = std::mem::take(&mut self.sockets.paths.bindings)
                .into_iter()
                .partition(|b: &Binding| b.group == program.spec.name);
            self.sockets.paths.bindings = others;
            let ours: Vec<Binding> = ours;
            for binding in ours {
                // Our child, and not reaped: its end is seen by its report.
                let _ = signal::kill(binding.child, Signal::KILL);
            }
        }
        binding
    }

    /// Has the path of a query bound for a worker, unless it is held. Whether the worker has to wait.
    pub(crate) fn bind_for_worker(&mut self, id: u32, name: &str, query: &Query) -> bool {
        let key = query.key();
        let Some(path) = query.address.as_ref().filter(|_| query.kind == "-1") else {
            return false;
        };
        if self.sockets.find(name, &key).is_some() || self.refusal(name, &key).is_some() {
            return false;
        }
        let umask = self.programs.get(&id).map_or(0o077, |p| p.spec.umask.0);
        self.bind_path(name, &key, path.into(), umask, Some((id, query.clone())));
        true
    }

    fn bind_path(
        &mut self,
        group: &str,
        key: &str,
        path: PathBuf,
        umask: u32,
        query: Option<(u32, Query)>,
    ) {
        let mut all = self.sockets.paths.bindings.iter_mut();
        if let Some(known) = all.find(|b| b.group == group && b.key == key) {
            known.queries.extend(query);
            return;
        }
        let remover = self
            .sockets
            .paths
            .removers
            .iter()
            .find(|(_, other)| *other == path);
        let remover = remover.map(|(pid, _)| *pid);
        match fork_binder(path, umask, remover) {
            Ok((child, report)) => self.sockets.paths.bindings.push(Binding {
                group: group.to_owned(),
                key: key.to_owned(),
                child,
                report,
                queries: query.into_iter().collect(),
            }),
            Err(e) => {
                self.refuse(group, key, &e);
                if let Some((id, query)) = query {
                    self.answer_query(id, group, &query);
                    self.take_refusal(group, key);
                }
            }
        }
    }

    /// Reads what a child has to say that binds a path.
    pub(crate) fn hear_binding(&mut self, child: Pid) {
        let at = self
            .sockets
            .paths
            .bindings
            .iter()
            .position(|b| b.child == child);
        let Some(binding) = at.map(|at| self.sockets.paths.bindings.remove(at)) else {
            return;
        };
        self.changed = true;
        let (group, key) = (binding.group, binding.key);
        match receive(&binding.report) {
            Ok(socket) => {
                if !binding.queries.is_empty() {
                    // Node takes connections until there are none, and counts on hearing so.
                    let _ = fd::set_nonblocking(socket.as_fd());
                }
                let held = Held::new(&group, &key, socket);
                match self.is_needed(&group, &key) {
                    true => self.hold_socket(held),
                    false => self.close_sockets(vec![held]),
                }
                self.note_sockets();
            }
            Err(e) => self.refuse(&group, &key, &e),
        }
        let any = !binding.queries.is_empty();
        for (id, query) in binding.queries {
            self.answer_query(id, &group, &query);
        }
        if any {
            self.take_refusal(&group, &key);
        }
    }

    fn refuse(&mut self, group: &str, key: &str, e: &io::Error) {
        self.sockets.paths.refusals.push(Refusal {
            group: group.to_owned(),
            key: key.to_owned(),
            errno: e.raw_os_error().unwrap_or(libc::EIO),
        });
    }

    /// Why a path could not be bound.
    pub(crate) fn refusal(&self, group: &str, key: &str) -> Option<io::Error> {
        let mut all = self.sockets.paths.refusals.iter();
        let refusal = all.find(|r| r.group == group && r.key == key);
        refusal.map(|r| io::Error::from_raw_os_error(r.errno))
    }

    /// The same, once: the next time it is tried again.
    pub(crate) fn take_refusal(&mut self, group: &str, key: &str) -> Option<io::Error> {
        let refusal = self.refusal(group, key);
        let all = &mut self.sockets.paths.refusals;
        all.retain(|r| r.group != group || r.key != key);
        refusal
    }

    /// Has the path of a socket removed that is not held any more.
    pub(crate) fn remove_socket_path(&mut self, group: &str, path: PathBuf) {
        let programs = self.programs.values();
        let ids: Vec<u32> = programs
            .filter(|p| p.spec.name == group)
            .map(|p| p.id)
            .collect();
        match daemonize::fork() {
            Ok(Fork::Child) => {
                let none = None::<std::os::unix::net::UnixListener>;
                apart::go_on_apart(none, (path, None::<Pid>), |_, (path, _)| {
                    daemonize::set_process_name(c"rpmd-unlink");
                    if held::is_socket(&path) {
                        let _ = place::remove(&path);
                    }
                    daemonize::exit_now(0)
                })
            }
            Ok(Fork::Parent(child)) => {
                self.sockets.paths.removers.push((child, path));
                self.removers.extend(ids.into_iter().map(|id| (child, id)));
            }
            Err(e) => {
                let path = path.display();
                self.journal
                    .note(format_args!("leaves {path}: creating a process: {e}"));
            }
        }
    }

    /// A child has ended that is no program.
    pub(crate) fn socket_path_removed(&mut self, child: Pid) {
        self.sockets.paths.removers.retain(|(pid, _)| *pid != child);
    }
}

/// Forks the child that binds a path, when the process has ended that removes what is there.
fn fork_binder(path: PathBuf, umask: u32, remover: Option<Pid>) -> io::Result<(Pid, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    match daemonize::fork()? {
        Fork::Parent(child) => Ok((child, ours)),
        Fork::Child => apart::go_on_apart(theirs, (path, umask, remover), |report, given| {
            let (path, umask, remover) = given;
            daemonize::set_process_name(c"rpmd-bind");
            while remover.is_some_and(|pid| signal::try_signal(pid).is_ok()) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            user::set_umask(umask);
            bind(&report, &path);
            daemonize::exit_now(0)
        }),
    }
}

fn bind(report: &UnixStream, path: &Path) {
    let mut outbox = Outbox::default();
    match held::bind_path(path) {
        Ok(socket) => {
            outbox.push(Line::new("bound").to_bytes(), Some(Rc::new(socket)));
        }
        Err(e) => {
            let mut line = Line::new("refused");
            line.push_number("errno", e.raw_os_error().unwrap_or(libc::EIO));
            outbox.push(line.to_bytes(), None);
        }
    }
    let _ = outbox.flush(report);
}

/// Reads the report of a child. It has said all of it, or was killed.
fn receive(report: &UnixStream) -> io::Result<OwnedFd> {
    let (mut buffer, mut fds) = ([0; 64], VecDeque::new());
    let length = passing::receive(report, &mut buffer, &mut fds)?;
    if let Some(fd) = fds.pop_front() {
        return fd.ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE));
    }
    let line = Line::decode(buffer.get(..length).unwrap_or_default()).ok();
    let errno = line.and_then(|line| line.number("errno"));
    Err(io::Error::from_raw_os_error(errno.unwrap_or(libc::EINTR)))
}
