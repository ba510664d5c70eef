//! Unix sockets.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use super::lookup::Lookup;
use super::pid::Pid;
use super::{check, check_size, user};

/// The longest path of a socket, `unix(7)`: `sun_path` has 108 bytes, the last of them NUL.
pub const MAX_PATH: usize = 107;

/// The address of a path, which must have at most [`MAX_PATH`] bytes. `unix(7)`
pub(super) fn address_of(path: &Path) -> libc::sockaddr_un {
    // SAFETY: a sockaddr_un is plain data, for which all zero is valid.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    address
}

fn check_path(path: &Path) -> io::Result<()> {
    let length = path.as_os_str().as_bytes().len();
    if length <= MAX_PATH {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!(
            "the path has {length} bytes and a socket's may have {MAX_PATH}; choose a shorter RPM_HOME"
        ),
    ))
}

/// Listens at `path`, mode 0600 from the first moment; accepting does not block.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    check_path(path)?;
    let before = user::set_umask(0o177);
    let listener = UnixListener::bind(path);
    user::set_umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects to the listener at `path`.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    check_path(path)?;
    UnixStream::connect(path)
}

/// Connects to the listener at `path` at once or not at all; reading and writing do not block. A listener that is
/// busy is waited for by nobody: `WouldBlock`.
pub fn connect_now(path: &Path) -> io::Result<UnixStream> {
    check_path(path)?;
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let address = address_of(path);
    // SAFETY: the address lives during the call and has the given length; nothing else owns the new descriptor.
    unsafe {
        let socket = OwnedFd::from_raw_fd(check(libc::socket(libc::AF_UNIX, kind, 0))?);
        let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_un>()).unwrap_or(0);
        let address = (&raw const address).cast();
        check(libc::connect(socket.as_raw_fd(), address, length))?;
        Ok(UnixStream::from(socket))
    }
}

/// Whoever listens at `path`, connected to at once. `Failed` with `WouldBlock`: somebody listens, and is busy.
pub fn find(path: &Path) -> Lookup<UnixStream> {
    let gone = [libc::ENOENT, libc::ECONNREFUSED, libc::ENOTDIR, libc::ELOOP];
    Lookup::of(connect_now(path), &gone)
}

/// The next connection; reading and writing it do not block. `accept4(2)`
pub fn accept(listener: &UnixListener) -> io::Result<UnixStream> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let none = std::ptr::null_mut();
    // SAFETY: no address is asked for; the new descriptor is ours alone.
    unsafe {
        let fd = check(libc::accept4(
            listener.as_raw_fd(),
            none,
            std::ptr::null_mut(),
            flags,
        ))?;
        Ok(UnixStream::from(OwnedFd::from_raw_fd(fd)))
    }
}

/// Whose process is at the other end. `unix(7)` SO_PEERCRED
pub fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    credentials(stream).map(|credentials| credentials.uid)
}

/// Which process connected; none where this one cannot see it.
pub fn peer_pid(stream: &UnixStream) -> Option<Pid> {
    Pid::new(credentials(stream).ok()?.pid)
}

fn credentials(stream: &UnixStream) -> io::Result<libc::ucred> {
    // SAFETY: a ucred is plain data, and the length says how much of it may be written.
    unsafe {
        let mut credentials: libc::ucred = std::mem::zeroed();
        let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
        check(libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        ))?;
        Ok(credentials)
    }
}

/// Sends once, perhaps not all; a peer that has gone is an error and no SIGPIPE. `send(2)`
pub fn send(stream: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length describe bytes that live during the call.
    let sent = unsafe {
        libc::send(
            stream.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_NOSIGNAL,
        )
    };
    check_size(sent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_socket_is_private_and_knows_its_peer() {
        let path = std::env::temp_dir().join(format!("rpm-sock-{}", std::process::id()));
        let listener = listen(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let client = connect(&path).unwrap();
        let served = accept(&listener).unwrap();
        assert_eq!(peer_uid(&served).unwrap(), user::effective_uid());
        assert_eq!(peer_pid(&served).map(Pid::get), Some(Pid::own()));
        let quick = connect_now(&path).unwrap();
        send(&quick, b"x").unwrap();
        drop(client);
        let gone = send(&served, b"x").unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_path_that_is_too_long_is_a_sentence() {
        let path = std::path::PathBuf::from(format!("/tmp/{}", "x".repeat(103)));
        let text = listen(&path).unwrap_err().to_string();
        assert!(
            text.contains("108 bytes") && text.contains("RPM_HOME"),
            "{text}"
        );
    }
}
