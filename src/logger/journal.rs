//! The daemons' own log: one line an event, with an ISO time.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;

use crate::paths::Home;
use crate::sys::clock;
use crate::sys::pid::Pid;

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
            let _ = std::io::stderr().write_all(lines.as_bytes());
        }
    }
}
