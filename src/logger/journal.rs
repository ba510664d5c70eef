//! The daemons' own log: one line an event, with an ISO time.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use crate::paths::Home;
use crate::sys::clock;
use crate::sys::pid::Pid;
use crate::sys::poll::{Interest, PollSet};

/// Writes `rpmd.log`, and stderr where the daemon stays in the foreground.
#[derive(Debug)]
pub struct Journal {
    file: Option<File>,
    /// Who writes.
    name: &'static str,
    foreground: bool,
    /// Lines that are written at the end of a turn: nothing that is urgent waits for the disk.
    lines: String,
}

impl Journal {
    /// Opens the log. Where that fails the daemon serves without one.
    pub fn open(home: &Home, name: &'static str, foreground: bool) -> Journal {
        let mut options = File::options();
        // O_NONBLOCK: a FIFO in the place of the file must not hold the daemon up.
        options
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NONBLOCK);
        Journal {
            file: options.open(home.daemon_log()).ok(),
            name,
            foreground,
            lines: String::new(),
        }
    }

    /// Notes one line.
    pub fn note(&mut self, text: impl std::fmt::Display) {
        let now = clock::local_time(clock::wall_ms());
        let _ = writeln!(self.lines, "{now} {}[{}]: {text}", self.name, Pid::own());
    }

    /// Writes what was noted.
    pub fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        if let Some(file) = &mut self.file {
            // A full disk must not end the supervision.
            let _ = file.write_all(lines.as_bytes());
        }
        if self.foreground {
            print(lines.as_bytes());
        }
    }
}

/// So much is written to a pipe that is ready without waiting. `pipe(7)` PIPE_BUF
const AT_ONCE: usize = 4096;

/// Writes to standard error what it takes at once. Whoever reads there and does not keep up finds the rest in the file.
fn print(bytes: &[u8]) {
    let mut stderr = std::io::stderr();
    for part in bytes.chunks(AT_ONCE) {
        let mut set = PollSet::default();
        let write = Interest {
            read: false,
            write: true,
        };
        set.push(stderr.as_fd(), write, ());
        let looked = set.wait(Some(Duration::ZERO));
        let takes = looked.is_ok() && set.ready().any(|(_, ready)| ready.writable);
        if !takes || stderr.write_all(part).is_err() {
            return;
        }
    }
}
