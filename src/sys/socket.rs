//! Unix sockets.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use super::{check, check_size, user};

/// The longest path of a socket, `unix(7)`: `sun_path` has 108 bytes, the last of them NUL.
pub const MAX_PATH: usize = 107;

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

/// Connects without ever waiting, and gives a stream that does not block: a listener whose queue is full is an error,
/// EAGAIN. `unix(7)`
pub fn connect_at_once(path: &Path) -> io::Result<UnixStream> {
    check_path(path)?;
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: a sockaddr_un is plain data; the path is shorter than its array, so a NUL ends it, and the length is
    // that of the structure; the new descriptor is ours alone.
    unsafe {
        let stream = OwnedFd::from_raw_fd(check(libc::socket(libc::AF_UNIX, kind, 0))?);
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).unwrap_or(0);
        for (to, from) in address.sun_path.iter_mut().zip(path.as_os_str().as_bytes()) {
            *to = libc::c_char::from_ne_bytes([*from]);
        }
        let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_un>()).unwrap_or(0);
        check(libc::connect(
            stream.as_raw_fd(),
            (&raw const address).cast(),
            length,
        ))?;
        Ok(UnixStream::from(stream))
    }
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

/// Two connected ends that do not block. `socketpair(2)`
pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
    let (one, other) = UnixStream::pair()?;
    one.set_nonblocking(true)?;
    other.set_nonblocking(true)?;
    Ok((one, other))
}

/// Who is at the other end. `unix(7)` SO_PEERCRED
pub fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    // SAFETY: a ucred is plain data, and the length says how much of it may be written.
    let credentials = unsafe {
        let mut credentials: libc::ucred = std::mem::zeroed();
        let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
        check(libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        ))?;
        credentials
    };
    Ok(credentials.uid)
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
        drop(client);
        let mut quick = connect_at_once(&path).unwrap();
        send(&accept(&listener).unwrap(), b"y").unwrap();
        let mut heard = [0; 2];
        assert_eq!(std::io::Read::read(&mut quick, &mut heard).unwrap(), 1);
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
