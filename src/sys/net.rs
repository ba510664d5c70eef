//! Sockets that the supervisor binds for its programs; stream sockets also listen.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::check;
use super::place::Place;
use super::rights::Rights;

/// The backlog of a listening socket, as in Node. `listen(2)`
const BACKLOG: libc::c_int = 511;

/// Options of an internet socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Datagrams instead of connections.
    pub datagrams: bool,
    /// IPv6 only; otherwise `::` accepts IPv4 too. `ipv6(7)` IPV6_V6ONLY
    pub v6_only: bool,
    /// Other sockets may bind the same address. `socket(7)` SO_REUSEPORT
    pub reuse_port: bool,
}

/// A socket bound to an address, and listening unless it is for datagrams. `bind(2)`
///
/// # Errors
/// As `socket(2)`, `bind(2)` and `listen(2)`.
pub fn bind(address: SocketAddr, options: Options) -> io::Result<OwnedFd> {
    let (family, kind) = match (address, options.datagrams) {
        (SocketAddr::V4(_), false) => (libc::AF_INET, libc::SOCK_STREAM),
        (SocketAddr::V4(_), true) => (libc::AF_INET, libc::SOCK_DGRAM),
        (SocketAddr::V6(_), false) => (libc::AF_INET6, libc::SOCK_STREAM),
        (SocketAddr::V6(_), true) => (libc::AF_INET6, libc::SOCK_DGRAM),
    };
    let socket = socket(family, kind)?;
    if !options.datagrams {
        // A port with connections in TIME_WAIT can be bound at once. `socket(7)`
        set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, true)?;
    }
    if options.reuse_port {
        set(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, true)?;
    }
    if family == libc::AF_INET6 {
        let only = options.v6_only;
        set(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, only)?;
    }
    // SAFETY: both structures are plain data for which all zero is valid; each is passed with its own length.
    unsafe {
        match address {
            SocketAddr::V4(v4) => {
                let mut raw: libc::sockaddr_in = std::mem::zeroed();
                raw.sin_family = libc::AF_INET as libc::sa_family_t;
                raw.sin_port = v4.port().to_be();
                raw.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
                bind_raw(&socket, (&raw const raw).cast(), size_of_val(&raw))?;
            }
            SocketAddr::V6(v6) => {
                let mut raw: libc::sockaddr_in6 = std::mem::zeroed();
                raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                raw.sin6_port = v6.port().to_be();
                raw.sin6_addr.s6_addr = v6.ip().octets();
                raw.sin6_scope_id = v6.scope_id();
                bind_raw(&socket, (&raw const raw).cast(), size_of_val(&raw))?;
            }
        }
    }
    if !options.datagrams {
        listen(&socket)?;
    }
    Ok(socket)
}

/// A listening Unix socket at a path, which must not exist. `unix(7)`
///
/// # Errors
/// `ENAMETOOLONG`; the path cannot be resolved; or as `bind(2)` and `listen(2)`.
pub fn bind_path(path: &Path) -> io::Result<OwnedFd> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() > super::socket::MAX_PATH {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    let socket = socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
    // bind(2) resolves the path once more, so it is called with the rights that apply to the path.
    let in_files = bytes.first().is_some_and(|first| *first != 0);
    let place = || Place::find(&std::path::absolute(path)?);
    let rights = in_files.then(place).transpose()?;
    let acting = rights.map_or(Rights::Own, |place| place.rights()).take()?;
    let raw = super::socket::address_of(path);
    // SAFETY: the address lives during the call and has the given length.
    unsafe { bind_raw(&socket, (&raw const raw).cast(), size_of_val(&raw))? };
    drop(acting);
    listen(&socket)?;
    Ok(socket)
}

/// The address of an internet socket that accepts connections or receives datagrams; `None` for other sockets.
pub fn address(socket: &OwnedFd) -> Option<SocketAddr> {
    let serves = match option(socket, libc::SO_TYPE)? {
        libc::SOCK_STREAM => option(socket, libc::SO_ACCEPTCONN)? == 1,
        kind => kind == libc::SOCK_DGRAM,
    };
    let copy = socket.try_clone().ok().filter(|_| serves)?;
    // The type only serves to call getsockname(2), which works for any socket.
    std::net::TcpListener::from(copy).local_addr().ok()
}

/// The path of a Unix socket that accepts connections; `None` for other sockets.
pub fn path(socket: &OwnedFd) -> Option<std::path::PathBuf> {
    let serves = option(socket, libc::SO_ACCEPTCONN)? == 1;
    let copy = socket.try_clone().ok().filter(|_| serves)?;
    let address = std::os::unix::net::UnixListener::from(copy)
        .local_addr()
        .ok()?;
    address.as_pathname().map(Path::to_owned)
}

/// Makes a socket accept no more connections, even if other processes hold it. Waiting connections are reset, new ones
/// refused. The address is free when the last descriptor is closed. `shutdown(2)`
pub fn stop_listening(socket: &OwnedFd) {
    // SAFETY: takes only numbers. It fails without effect on a socket that does not listen.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
}

/// An integer option of a socket. `getsockopt(2)`
fn option(socket: &OwnedFd, option: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(0);
    // SAFETY: the kernel writes one int.
    let done = check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    });
    done.ok().map(|_| value)
}

fn socket(family: libc::c_int, kind: libc::c_int) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_CLOEXEC;
    // SAFETY: takes only numbers; nothing else owns the new descriptor.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::socket(family, kind, 0))?)) }
}

/// # Safety
///
/// `address` points to `length` bytes of a socket address.
unsafe fn bind_raw(
    socket: &OwnedFd,
    address: *const libc::sockaddr,
    length: usize,
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(length).unwrap_or(0);
    // SAFETY: the caller's promise.
    check(unsafe { libc::bind(socket.as_raw_fd(), address, length) }).map(drop)
}

fn listen(socket: &OwnedFd) -> io::Result<()> {
    // SAFETY: takes only numbers.
    check(unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) }).map(drop)
}

fn set(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, on: bool) -> io::Result<()> {
    let value = libc::c_int::from(on);
    let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(0);
    // SAFETY: the kernel reads one int.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            length,
        )
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn connections_and_datagrams_arrive() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            let Ok(socket) = bind(address, Options::default()) else {
                assert!(address.is_ipv6(), "only IPv6 may be missing");
                continue;
            };
            let listener = TcpListener::from(socket);
            let bound = listener.local_addr().unwrap();
            let copy: OwnedFd = listener.try_clone().unwrap().into();
            assert_eq!((super::address(&copy), path(&copy)), (Some(bound), None));
            let taken = bind(bound, Options::default()).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
            let mut client = TcpStream::connect(bound).unwrap();
            client.write_all(b"x").unwrap();
            let (mut served, _) = listener.accept().unwrap();
            served.read_exact(&mut [0]).unwrap();
            // A connection has the same local address, but does not listen.
            assert_eq!(super::address(&served.into()), None);
        }
        let options = Options {
            datagrams: true,
            ..Options::default()
        };
        let socket = UdpSocket::from(bind("127.0.0.1:0".parse().unwrap(), options).unwrap());
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        assert_eq!(socket.recv(&mut [0; 4]).unwrap(), 1);
    }

    #[test]
    fn a_shared_socket_stops_listening_for_all_holders() {
        let socket = bind("127.0.0.1:0".parse().unwrap(), Options::default()).unwrap();
        let kept = socket.try_clone().unwrap();
        let bound = super::address(&socket).unwrap();
        TcpStream::connect(bound).unwrap();
        stop_listening(&socket);
        drop(socket);
        let refused = TcpStream::connect(bound).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        // Another socket can bind the address although this one is held.
        bind(bound, Options::default()).unwrap();
        drop(kept);
        let path = std::env::temp_dir().join(format!("rpm-net-stop-{}", std::process::id()));
        let socket = bind_path(&path).unwrap();
        let kept = socket.try_clone().unwrap();
        stop_listening(&socket);
        let refused = UnixStream::connect(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        drop(kept);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_unix_socket_listens_at_its_path() {
        let path = std::env::temp_dir().join(format!("rpm-net-{}", std::process::id()));
        let listener = UnixListener::from(bind_path(&path).unwrap());
        assert_eq!(
            bind_path(&path).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
        let copy: OwnedFd = listener.try_clone().unwrap().into();
        assert_eq!(super::path(&copy), Some(path.clone()));
        std::fs::remove_file(&path).unwrap();
        let long = Path::new("/tmp").join("x".repeat(200));
        assert_eq!(
            bind_path(&long).unwrap_err().raw_os_error(),
            Some(libc::ENAMETOOLONG)
        );
    }
}
