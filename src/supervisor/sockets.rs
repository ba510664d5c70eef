//! Sockets that the supervisor holds for programs: those that Node workers share, and those that programs are started
//! with. They stay as long as somebody is to serve them: a program that ends does not close its port.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::app::listen::Place;
use crate::protocol::node::Query;
use crate::sys::fd;
use crate::sys::net::{self, Options};
use crate::sys::{place, socket};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One held socket.
#[derive(Debug)]
pub struct Held {
    /// The name of the programs that share it.
    pub group: String,
    /// Which of their sockets it is.
    pub key: String,
    /// The socket.
    pub socket: OwnedFd,
    /// Programs that serve it, where they say so.
    pub users: Vec<u32>,
    /// The path that goes with it.
    path: Option<PathBuf>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Sockets(Vec<Held>);

impl Held {
    fn leave(&mut self, id: u32) {
        self.users.retain(|user| *user != id);
    }

    /// A socket that was found again.
    pub fn found(group: String, key: String, socket: OwnedFd) -> Held {
        let path = path_of(&key);
        Held {
            group,
            key,
            socket,
            users: Vec::new(),
            path,
        }
    }
}

fn is_socket(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|found| found.file_type().is_socket())
}

/// The path in a key: of a place, or of a query of Node's.
fn path_of(key: &str) -> Option<PathBuf> {
    match key.strip_prefix("unix:") {
        Some(path) => Some(path.into()),
        None => key.rsplit_once(":-1:-1:").map(|(path, _)| path.into()),
    }
}

impl Sockets {
    /// All held sockets.
    pub fn iter(&self) -> impl Iterator<Item = &Held> {
        self.0.iter()
    }

    /// Holds one that was found again, unless there is one.
    pub fn hold(&mut self, held: Held) {
        if self.find(&held.group, &held.key).is_none() {
            self.0.push(held);
        }
    }

    fn find(&mut self, group: &str, key: &str) -> Option<&mut Held> {
        self.0.iter_mut().find(|h| h.group == group && h.key == key)
    }

    /// The socket that a worker asks for, bound where it is not held yet; whether it is new.
    pub fn query(
        &mut self,
        group: &str,
        id: u32,
        query: &Query,
    ) -> io::Result<(BorrowedFd<'_>, bool)> {
        let key = query.key();
        let new = self.find(group, &key).is_none();
        if new {
            let socket = bind_query(query)?;
            // Node takes connections until there are none, and counts on hearing so.
            fd::set_nonblocking(socket.as_fd())?;
            self.0
                .push(Held::found(group.to_owned(), key.clone(), socket));
        }
        let held = self.find(group, &key).ok_or(io::ErrorKind::NotFound)?;
        held.leave(id);
        held.users.push(id);
        Ok((held.socket.as_fd(), new))
    }

    /// The socket of a place, bound where it is not held yet; whether it is new.
    pub fn place(&mut self, group: &str, text: &[u8]) -> io::Result<(BorrowedFd<'_>, bool)> {
        let key = String::from_utf8_lossy(text).into_owned();
        let new = self.find(group, &key).is_none();
        if new {
            let place = Place::parse(text).map_err(io::Error::other)?;
            let socket = bind_place(&place)?;
            self.0
                .push(Held::found(group.to_owned(), key.clone(), socket));
        }
        let held = self.find(group, &key).ok_or(io::ErrorKind::NotFound)?;
        Ok((held.socket.as_fd(), new))
    }

    /// A program has said that it does not serve a socket any more; gives the socket back when nobody does.
    pub fn leave(&mut self, group: &str, key: &str, id: u32) -> Vec<Held> {
        let left = self.find(group, key).is_some_and(|held| {
            held.leave(id);
            held.users.is_empty()
        });
        self.take(|held| left && held.group == group && held.key == key)
    }

    /// A program has ended: others, or its next run, go on serving.
    pub fn ended(&mut self, id: u32) {
        for held in &mut self.0 {
            held.leave(id);
        }
    }

    /// Gives back the sockets of programs of which none is to run.
    pub fn release(&mut self, group: &str) -> Vec<Held> {
        self.take(|held| held.group == group)
    }

    /// Gives back the sockets that Node workers asked for and none does any more, while others of their programs run.
    pub fn close_unused(&mut self) -> Vec<Held> {
        let used: Vec<String> = self
            .0
            .iter()
            .filter(|held| !held.users.is_empty())
            .map(|held| held.group.clone())
            .collect();
        self.take(|held| {
            let asked_for = Place::parse(held.key.as_bytes()).is_err();
            asked_for && held.users.is_empty() && used.contains(&held.group)
        })
    }

    fn take(&mut self, which: impl Fn(&Held) -> bool) -> Vec<Held> {
        let (gone, kept) = std::mem::take(&mut self.0).into_iter().partition(which);
        self.0 = kept;
        let gone: Vec<Held> = gone;
        for path in gone.iter().filter_map(|held| held.path.as_ref()) {
            if is_socket(path) {
                let _ = place::remove(path);
            }
        }
        gone
    }
}

/// Whether a socket is the one that a key means.
pub fn is_meant(key: &str, socket: &OwnedFd) -> bool {
    if let Some(path) = path_of(key) {
        return net::path(socket).is_some_and(|found| found == path);
    }
    let Some(found) = net::address(socket) else {
        return false;
    };
    match Place::parse(key.as_bytes()) {
        Ok(Place::Tcp(wanted) | Place::Udp(wanted)) => is_same(wanted, found),
        Ok(Place::Unix(_)) => false,
        // A key of Node's: ADDRESS:PORT:KIND:INDEX, where no address is "null".
        Err(_) => {
            let mut words = key.rsplitn(4, ':');
            let (_, _, port, address) = (words.next(), words.next(), words.next(), words.next());
            let address = address.filter(|address| *address != "null");
            let address =
                address.map_or(Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), |a| a.parse().ok());
            let port = port.and_then(|port| port.parse().ok());
            let wanted = address.zip(port).map(|(a, p)| SocketAddr::new(a, p));
            wanted.is_some_and(|wanted| is_same(wanted, found))
        }
    }
}

/// Whether two addresses are one; every address may be that of one family or of both.
fn is_same(wanted: SocketAddr, found: SocketAddr) -> bool {
    let every = |address: SocketAddr| address.ip().is_unspecified();
    wanted == found || wanted.port() == found.port() && every(wanted) && every(found)
}

/// Binds what a worker asks for, as Node's own primary would.
fn bind_query(query: &Query) -> io::Result<OwnedFd> {
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    if query.kind == "-1" {
        let path = query.address.as_deref().ok_or_else(invalid)?;
        return net::bind_path(Path::new(path));
    }
    let port = u16::try_from(query.port).map_err(|_| invalid())?;
    let options = Options {
        datagrams: query.kind.starts_with("udp"),
        v6_only: query.flags & 1 != 0,
        // UV_TCP_REUSEPORT; UV_UDP_REUSEADDR and UV_UDP_REUSEPORT of uv.h.
        reuse_port: match query.kind.starts_with("udp") {
            true => query.flags & 12 != 0,
            false => query.flags & 2 != 0,
        },
    };
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let address = match (&query.address, query.kind.as_str()) {
        (Some(address), _) => SocketAddr::new(address.parse().map_err(|_| invalid())?, port),
        (None, "udp4") => v4,
        (None, "6" | "udp6") => v6,
        // No address: both families, else IPv4 alone.
        (None, _) => return both(v6, v4, options),
    };
    net::bind(address, options)
}

fn bind_place(place: &Place) -> io::Result<OwnedFd> {
    match place {
        Place::Tcp(address) => all_families(*address, Options::default()),
        Place::Udp(address) => {
            let datagrams = Options {
                datagrams: true,
                ..Options::default()
            };
            all_families(*address, datagrams)
        }
        Place::Unix(path) => {
            let path = Path::new(std::ffi::OsStr::from_bytes(path));
            // Left by one that was killed. One that somebody listens at is not ours to take, nor is any other file.
            let stale = is_socket(path)
                && socket::connect_now(path)
                    .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
            if stale {
                let _ = place::remove(path);
            }
            net::bind_path(path)
        }
    }
}

fn all_families(address: SocketAddr, options: Options) -> io::Result<OwnedFd> {
    match address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        true => {
            let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
            both(address, v4, options)
        }
        false => net::bind(address, options),
    }
}

fn both(v6: SocketAddr, v4: SocketAddr, options: Options) -> io::Result<OwnedFd> {
    match net::bind(v6, options) {
        Err(e)
            if !matches!(
                e.kind(),
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
            ) =>
        {
            net::bind(v4, options)
        }
        other => other,
    }
}
