//! Notifications to the service manager. `sd_notify(3)`

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The socket that `NOTIFY_SOCKET` names. `sd_notify(3)`
#[derive(Debug)]
pub struct Notifier(UnixDatagram);

impl Notifier {
    /// Connects to the socket of this name: a path, or after `@` an abstract name, see `unix(7)`. Sending does not block.
    ///
    /// # Errors
    /// `Unsupported` for another kind of address; or as `connect(2)`.
    pub fn connect(name: &OsStr) -> io::Result<Notifier> {
        let address = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "no such address",
                ));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_nonblocking(true)?;
        Ok(Notifier(socket))
    }

    /// Sends assignments, one per line, such as `READY=1`.
    ///
    /// # Errors
    /// As `send(2)`.
    pub fn send(&self, state: &str) -> io::Result<()> {
        self.0.send(state.as_bytes()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn notifications_arrive_at_a_path_and_at_an_abstract_name() {
        let path = std::env::temp_dir().join(format!("rpm-notify-{}", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::connect(path.as_os_str()).unwrap();
        notifier.send("READY=1\nSTATUS=serving").unwrap();
        assert_eq!(received(&socket), "READY=1\nSTATUS=serving");
        drop(socket);
        let gone = notifier.send("STOPPING=1").unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path).unwrap();

        let name = format!("rpm-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::connect(OsStr::new(&format!("@{name}"))).unwrap();
        notifier.send("STOPPING=1").unwrap();
        assert_eq!(received(&socket), "STOPPING=1");
    }

    #[test]
    fn other_kinds_of_addresses_are_refused() {
        for name in ["", "vsock:2:1", "relative"] {
            let refused = Notifier::connect(OsStr::new(name)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::Unsupported, "{name}");
        }
    }
}
