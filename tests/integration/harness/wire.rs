//! A raw connection of the protocol, without the client.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rpm::protocol::buffer::LineBuffer;
use rpm::protocol::line::Line;
use rpm::protocol::process::Process;

use super::LIMIT;

/// One connection.
pub struct Wire {
    stream: UnixStream,
    input: LineBuffer,
}

impl Drop for Wire {
    /// Shuts the connection down. A forked child of another test may have a copy of the descriptor until its exec, so a
    /// close alone would be delayed.
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A reply.
#[derive(Debug)]
pub struct Answer {
    pub rows: Vec<Line>,
    /// The line `ok` or `error`.
    pub last: Line,
}

impl Answer {
    /// Asserts success.
    #[track_caller]
    pub fn ok(self) -> Answer {
        assert_eq!(self.last.tag, "ok", "{:?}", self.last);
        self
    }

    /// Asserts an error with this code, and this part of its message.
    #[track_caller]
    pub fn refused(&self, code: &str, part: &str) {
        let last = &self.last;
        assert_eq!(
            (last.tag.as_str(), last.text("code")),
            ("error", Some(code)),
            "{last:?}"
        );
        assert!(last.text("message").unwrap().contains(part), "{last:?}");
    }

    /// The programs in it, without the values that always change.
    pub fn processes(&self) -> Vec<Process> {
        let rows = self.rows.iter().map(|row| Process::from_line(row).unwrap());
        let steady = rows.map(|process| Process {
            cpu: 0,
            memory: 0,
            ..process
        });
        steady.collect()
    }
}

impl Wire {
    /// Connects to the socket of a home.
    #[track_caller]
    pub fn connect(home: &Path) -> Wire {
        Wire::try_connect(home).unwrap()
    }

    /// Connects, if a daemon listens.
    pub fn try_connect(home: &Path) -> std::io::Result<Wire> {
        let stream = UnixStream::connect(home.join("rpmd.sock"))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Wire {
            stream,
            input: LineBuffer::default(),
        })
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes, as far as they are accepted.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Shuts down sending.
    pub fn end_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Sends a request and reads its reply.
    #[track_caller]
    pub fn ask(&mut self, request: &str) -> Answer {
        self.send(format!("{request}\n"));
        self.answer()
    }

    /// Reads a reply.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let mut rows = Vec::new();
        loop {
            let line = self
                .line()
                .expect("an answer before the end of the connection");
            match line.tag.as_str() {
                "ok" | "error" => return Answer { rows, last: line },
                _ => rows.push(line),
            }
        }
    }

    /// Reads a line; `None` at the end of the connection.
    #[track_caller]
    pub fn line(&mut self) -> Option<Line> {
        loop {
            if let Some(bytes) = self.input.next_line().unwrap() {
                return Some(Line::decode(bytes).unwrap());
            }
            let mut buffer = [0; 64 << 10];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(n) => self.input.push(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("the daemon sends nothing for {LIMIT:?}: {e}"),
            }
        }
    }

    /// Reads events until one satisfies a condition.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, is_it: impl Fn(&Process) -> bool) -> Process {
        loop {
            let line = self
                .line()
                .unwrap_or_else(|| panic!("{what}: the events ended"));
            assert_eq!(line.tag, "event");
            let process = Process::from_line(&line).unwrap();
            if is_it(&process) {
                return process;
            }
        }
    }
}
