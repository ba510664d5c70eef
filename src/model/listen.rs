//! Addresses of sockets that the daemon opens for a program: `tcp:0.0.0.0:3000`, `tcp:3000`, `udp:[::1]:53`,
//! `unix:/run/app.sock`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::value::{Bytes, Value};

/// Where a socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address that takes connections.
    Tcp(SocketAddr),
    /// An address that takes datagrams.
    Udp(SocketAddr),
    /// A path that takes connections.
    Unix(Bytes),
}

/// A list of places, as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places(pub Vec<Bytes>);

impl Place {
    /// The place of a text. The error completes "listen: …".
    pub fn parse(text: &[u8]) -> Result<Place, String> {
        let shown = String::from_utf8_lossy(text);
        let wrong = || {
            format!(
                "'{shown}' is not a socket such as tcp:0.0.0.0:3000, tcp:3000 or unix:/run/app.sock"
            )
        };
        if let Some(path) = text.strip_prefix(b"unix:") {
            return if path.starts_with(b"/") {
                Ok(Place::Unix(path.to_vec()))
            } else {
                Err(format!(
                    "'{shown}': the path of a socket begins with a slash"
                ))
            };
        }
        let (kind, address) = shown.split_once(':').ok_or_else(wrong)?;
        let address = internet(address).ok_or_else(wrong)?;
        match kind {
            "tcp" => Ok(Place::Tcp(address)),
            "udp" => Ok(Place::Udp(address)),
            _ => Err(wrong()),
        }
    }
}

/// An address with a port; a port alone means every address.
fn internet(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    match text.rsplit_once(':') {
        None => Some(SocketAddr::new(
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            text.parse().ok()?,
        )),
        Some(("*", port)) => internet(port),
        Some(("localhost", port)) => Some(SocketAddr::new(
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            port.parse().ok()?,
        )),
        Some(_) => None,
    }
}

impl Value for Places {
    const PLACEHOLDER: &'static str = "SOCKET";
    const IS_LIST: bool = true;
    fn read(&mut self, text: &[u8]) -> Result<(), String> {
        let words = text.split(u8::is_ascii_whitespace);
        for word in words.filter(|word| !word.is_empty()) {
            Place::parse(word)?;
            self.0.push(word.to_vec());
        }
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        self.0.clone()
    }
    fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_or_named_with_what_is_wrong() {
        let tcp = |text: &str| Place::Tcp(text.parse().unwrap());
        for (text, place) in [
            ("tcp:127.0.0.1:80", tcp("127.0.0.1:80")),
            ("tcp:80", tcp("[::]:80")),
            ("tcp:*:80", tcp("[::]:80")),
            ("tcp:localhost:80", tcp("127.0.0.1:80")),
            ("tcp:[::1]:80", tcp("[::1]:80")),
            ("udp:0.0.0.0:53", Place::Udp("0.0.0.0:53".parse().unwrap())),
            ("unix:/run/x", Place::Unix(b"/run/x".to_vec())),
        ] {
            assert_eq!(Place::parse(text.as_bytes()), Ok(place), "{text}");
        }
        for text in [
            "",
            "80",
            "tcp:",
            "tcp:x:80",
            "tcp:1.2.3.4",
            "tcp:1.2.3.4:99999",
            "unix:x",
            "sctp:1.2.3.4:5",
        ] {
            assert!(Place::parse(text.as_bytes()).unwrap_err().contains(text));
        }
    }
}
