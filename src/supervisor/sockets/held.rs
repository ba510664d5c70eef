//! Sockets that the supervisor holds for programs: those that Node workers share, and those that programs are started
//! with. A port belongs to its programs for as long as one of them is wanted up: a program that ends, or closes its
//! server on the way, does not close its port.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::model::life::Life;
use crate::model::listen::Place;
use crate::protocol::node::Query;
use crate::supervisor::sockets::binding::Paths;
use crate::sys::fd;
use crate::sys::net::{self, Options};
use crate::sys::{place, socket};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How long a socket stays open that Node workers which run on do not serve any more: their code may have changed. ms
pub const UNUSED: u64 = 60_000;
/// So many sockets that workers have closed wait for their time; a program that opens one after the other shall not use
/// up all descriptors.
const MOST_CLOSED: usize = 16;

/// One held socket.
#[derive(Debug)]
pub struct Held {
    /// The name of the programs that share it.
    pub group: String,
    /// Which of their sockets it is.
    pub key: String,
    /// The socket.
    pub socket: Rc<OwnedFd>,
    /// Programs that serve it, where they say so.
    pub users: Vec<u32>,
    /// The slot in which the log writer keeps it.
    pub slot: Option<u64>,
    /// The path that goes with it.
    pub path: Option<PathBuf>,
    /// Since when it has no users. ms
    unused: u64,
    /// The program that served it last and closed it, if it runs on.
    closed_by: Option<u32>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Sockets {
    /// What the home has of them: lines.
    pub noted: Vec<u8>,
    /// What is under way at paths.
    pub paths: Paths,
    held: Vec<Held>,
    closing: Vec<Closing>,
}

/// A socket that is not held any more, and that the log writer may still have open.
#[derive(Debug)]
pub struct Closing {
    /// The name of the programs that shared it.
    pub group: String,
    /// The socket.
    pub socket: Rc<OwnedFd>,
    /// The log writer's token: it has closed its copy when that is done.
    pub token: u64,
}

impl Held {
    /// A socket that nobody serves yet.
    pub fn new(group: &str, key: &str, socket: OwnedFd) -> Held {
        Held {
            group: group.to_owned(),
            key: key.to_owned(),
            socket: Rc::new(socket),
            users: Vec::new(),
            slot: None,
            path: path_of(key),
            unused: 0,
            closed_by: None,
        }
    }

    /// Whether a Node worker has asked for it. Others are named by `listen`.
    pub fn is_asked_for(&self) -> bool {
        is_asked_for(&self.key)
    }

    /// A user has gone. Whether it was the last.
    fn leave(&mut self, id: u32, now: u64) -> bool {
        let before = self.users.len();
        self.users.retain(|user| *user != id);
        let last = self.users.is_empty() && before > 0;
        if last {
            self.unused = now;
        }
        last
    }
}

/// Whether the ports of a program are to be open. Those of one that has failed too often are not: nothing will serve
/// them until somebody starts it again.
pub fn is_served(life: &Life) -> bool {
    life.is_served()
}

/// Whether a key is that of a query, not that of a place.
pub fn is_asked_for(key: &str) -> bool {
    Place::parse(key.as_bytes()).is_err()
}

/// Whether the system chose the port of a query: the next run can have another one.
fn is_any_port(key: &str) -> bool {
    is_asked_for(key) && key.rsplit(':').nth(2) == Some("0")
}

/// Whether there is a socket at a path.
pub fn is_socket(path: &Path) -> bool {
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
        self.held.iter()
    }

    /// All held sockets, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.held.iter_mut()
    }

    /// The one of this key.
    pub fn find(&mut self, group: &str, key: &str) -> Option<&mut Held> {
        self.held
            .iter_mut()
            .find(|h| h.group == group && h.key == key)
    }

    /// Whether programs of this name have any.
    pub fn has(&self, group: &str) -> bool {
        self.held.iter().any(|held| held.group == group)
    }

    /// Adds a socket. Its key must be new.
    pub fn add(&mut self, held: Held) {
        self.held.push(held);
    }

    /// A socket is open until the log writer has closed it, or nobody is left whom it would disturb.
    pub fn is_closing(&mut self, closing: Closing) {
        self.closing.push(closing);
    }

    /// Gives back those that are closing and of which this is so.
    pub fn closed(&mut self, which: impl Fn(&Closing) -> bool) -> Vec<Closing> {
        let (closed, rest) = std::mem::take(&mut self.closing)
            .into_iter()
            .partition(which);
        self.closing = rest;
        closed
    }

    /// A program serves a socket from now on.
    pub fn serve(&mut self, group: &str, key: &str, id: u32) {
        if let Some(held) = self.find(group, key) {
            held.users.retain(|user| *user != id);
            held.users.push(id);
            held.closed_by = None;
        }
    }

    /// A program has closed its server, perhaps on the way to its end. Gives back what is not held any more: a port
    /// that the system chose, and the oldest where programs have closed many.
    pub fn leave(&mut self, group: &str, key: &str, id: u32, now: u64) -> Vec<Held> {
        let Some(held) = self.find(group, key) else {
            return Vec::new();
        };
        if !held.leave(id, now) {
            return Vec::new();
        }
        held.closed_by = Some(id);
        if is_any_port(key) {
            return self.take(|held| held.group == group && held.key == key);
        }
        let closed = self.held.iter().filter(|h| h.closed_by.is_some());
        let mut closed: Vec<u64> = closed.map(|held| held.unused).collect();
        closed.sort_unstable();
        match closed.len().checked_sub(MOST_CLOSED + 1) {
            Some(at) => {
                let oldest = closed.get(at).copied().unwrap_or(0);
                self.take(|held| held.closed_by.is_some() && held.unused <= oldest)
            }
            None => Vec::new(),
        }
    }

    /// A program has ended: others, or its next run, go on serving.
    pub fn ended(&mut self, id: u32, now: u64) {
        for held in &mut self.held {
            held.leave(id, now);
            if held.closed_by == Some(id) {
                held.closed_by = None;
            }
        }
    }

    /// Gives back those of a name that are not needed.
    pub fn release(&mut self, group: &str, needed: impl Fn(&Held) -> bool) -> Vec<Held> {
        self.take(|held| held.group == group && !needed(held))
    }

    /// Gives back those that Node workers asked for and have not served for [`UNUSED`], though all of them have run as
    /// long (`settled`): they have closed their server, or serve another. Whether others may come to be so.
    pub fn close_unused(&mut self, now: u64, settled: impl Fn(&str) -> bool) -> (Vec<Held>, bool) {
        let used: Vec<String> = self
            .held
            .iter()
            .filter(|held| !held.users.is_empty())
            .map(|held| held.group.clone())
            .collect();
        let given_up = |held: &Held| {
            held.is_asked_for()
                && held.users.is_empty()
                && (held.closed_by.is_some() || used.contains(&held.group))
        };
        let over = |held: &Held| now.saturating_sub(held.unused) >= UNUSED;
        let gone = self.take(|held| given_up(held) && over(held) && settled(&held.group));
        (gone, self.held.iter().any(given_up))
    }

    fn take(&mut self, which: impl Fn(&Held) -> bool) -> Vec<Held> {
        let (gone, kept) = std::mem::take(&mut self.held).into_iter().partition(which);
        self.held = kept;
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

/// Binds what a worker asks for that is no path, as Node's own primary would.
pub fn bind_query(query: &Query) -> io::Result<OwnedFd> {
    let socket = bind_for_node(query)?;
    // Node takes connections until there are none, and counts on hearing so.
    fd::set_nonblocking(socket.as_fd())?;
    Ok(socket)
}

fn bind_for_node(query: &Query) -> io::Result<OwnedFd> {
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
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

/// Binds the socket of a place that is no path.
pub fn bind_place(text: &[u8]) -> io::Result<OwnedFd> {
    match Place::parse(text).map_err(io::Error::other)? {
        Place::Tcp(address) => all_families(address, Options::default()),
        Place::Udp(address) => {
            let datagrams = Options {
                datagrams: true,
                ..Options::default()
            };
            all_families(address, datagrams)
        }
        // It is bound before, see `binding`.
        Place::Unix(_) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Binds a path. It may wait for the file system.
pub fn bind_path(path: &Path) -> io::Result<OwnedFd> {
    // Left by one that was killed. One that somebody listens at is not ours to take, nor is any other file.
    let stale = is_socket(path)
        && socket::connect_now(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
    if stale {
        let _ = place::remove(path);
    }
    net::bind_path(path)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn held(sockets: &mut Sockets, key: &str) {
        sockets.add(Held::new("web", key, fd::open_null().unwrap()));
    }

    fn keys(gone: &[Held]) -> Vec<&str> {
        gone.iter().map(|held| held.key.as_str()).collect()
    }

    const MAIN: &str = "null:3000:4:0";
    const OTHER: &str = "null:9000:4:0";

    #[test]
    fn a_worker_that_closes_its_server_closes_no_port_until_it_has_run_on_for_long() {
        let mut sockets = Sockets::default();
        held(&mut sockets, MAIN);
        sockets.serve("web", MAIN, 1);
        assert!(sockets.leave("web", MAIN, 1, 5).is_empty());
        // Its successor has not come to ask for it.
        let (gone, more) = sockets.close_unused(5 + UNUSED, |_| false);
        assert!(gone.is_empty() && more);
        let (gone, more) = sockets.close_unused(4 + UNUSED, |_| true);
        assert!(gone.is_empty() && more);
        // It has ended: whoever comes next may take its time.
        sockets.ended(1, 6);
        let (gone, more) = sockets.close_unused(u64::MAX, |_| true);
        assert!(gone.is_empty() && !more);
        sockets.serve("web", MAIN, 1);
        sockets.leave("web", MAIN, 1, 5);
        let (gone, more) = sockets.close_unused(5 + UNUSED, |_| true);
        assert_eq!((keys(&gone), more), (vec![MAIN], false));
    }

    #[test]
    fn a_port_that_new_code_does_not_ask_for_is_closed_beside_one_that_it_serves() {
        let mut sockets = Sockets::default();
        for key in [MAIN, OTHER, "tcp:80"] {
            held(&mut sockets, key);
        }
        sockets.serve("web", MAIN, 1);
        sockets.serve("web", OTHER, 1);
        sockets.ended(1, 10);
        let (gone, _) = sockets.close_unused(u64::MAX, |_| true);
        assert!(gone.is_empty());
        sockets.serve("web", MAIN, 1);
        let (gone, _) = sockets.close_unused(10 + UNUSED, |_| true);
        assert_eq!(keys(&gone), [OTHER]);
        assert_eq!(sockets.iter().count(), 2);
    }

    #[test]
    fn servers_that_come_and_go_do_not_use_up_descriptors() {
        let mut sockets = Sockets::default();
        for any in ["null:0:4:0", "127.0.0.1:0:4:1", "::1:0:6:0"] {
            held(&mut sockets, any);
            sockets.serve("web", any, 1);
            assert_eq!(keys(&sockets.leave("web", any, 1, 0)), [any]);
        }
        for now in 0..100 {
            let key = format!("/tmp/job-{now}:-1:-1:0");
            held(&mut sockets, &key);
            sockets.serve("web", &key, 1);
            let gone = sockets.leave("web", &key, 1, now);
            assert_eq!(gone.len(), usize::from(now >= MOST_CLOSED as u64));
        }
        assert_eq!(sockets.iter().count(), MOST_CLOSED);
    }

    #[test]
    fn the_kind_and_the_path_of_a_socket_are_in_its_key() {
        for (key, asked_for, path) in [
            ("tcp:127.0.0.1:80", false, None),
            ("udp:80", false, None),
            ("unix:/run/a", false, Some("/run/a")),
            (MAIN, true, None),
            ("/run/a:-1:-1:0", true, Some("/run/a")),
        ] {
            assert_eq!(is_asked_for(key), asked_for, "{key}");
            assert_eq!(path_of(key), path.map(PathBuf::from), "{key}");
            assert!(!is_any_port(key), "{key}");
        }
    }
}
