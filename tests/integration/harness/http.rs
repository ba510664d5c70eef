//! Raw HTTP requests.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{Home, LIMIT};

/// A web server of `rpm`.
pub struct Site {
    /// Where it listens.
    pub address: SocketAddr,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The status line and header, with the last line end.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Asserts this status, and this part of the body.
    #[track_caller]
    pub fn is(&self, status: u16, part: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.body.contains(part), "no {part:?} in {self:?}");
    }
}

impl Home {
    /// Starts the web server on a free port, with these further arguments.
    #[track_caller]
    pub fn web(&self, more: &[&str]) -> Site {
        let output = self.rpm(&[&["web", "0"], more].concat()).ok();
        Site::from_text(&output.stdout)
    }
}

impl Site {
    /// The server whose address is in a text.
    #[track_caller]
    pub fn from_text(text: &str) -> Site {
        let rest = text.split("http://").nth(1).expect(text);
        let address = rest.split('/').next().unwrap().parse().expect(text);
        Site { address }
    }

    /// Connects.
    #[track_caller]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Sends bytes, as far as they are accepted, and reads until the server closes the connection.
    #[track_caller]
    pub fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes.as_ref());
        read_to_end(&mut stream)
    }

    /// Sends a request for a target, with these further header fields.
    #[track_caller]
    pub fn ask(&self, method: &str, target: &str, fields: &str) -> Answer {
        let address = self.address;
        let text = self.exchange(format!(
            "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{fields}\r\n"
        ));
        answer(&text)
    }

    /// Gets a target.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "")
    }
}

/// Reads until the server closes the connection.
#[track_caller]
pub fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => break,
            Err(e) => panic!("the web server sends nothing for {LIMIT:?}: {e}"),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Parses an answer.
#[track_caller]
pub fn answer(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").expect(text);
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Answer {
        status: status.expect(text),
        head: format!("{head}\r\n"),
        body: body.to_owned(),
    }
}
