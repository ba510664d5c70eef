//! The daemons' own log: one line an event, with an ISO time.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use crate::paths::Home;
use crate::sys::clock;
use crate::sys::pid::Pid;

/// Writes `rpmd.log`, and stderr where the daemon stays in the foreground.
#[derive(Debug)]
pub struct Journal {
    file: Option<File>,
    foreground: bool,
}

impl Journal {
    /// Opens the log. Where that fails the daemon serves without one.
    pub fn open(home: &Home, foreground: bool) -> Journal {
        let mut options = File::options();
        // O_NONBLOCK: a FIFO in the place of the file must not hold the daemon up.
        options
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NONBLOCK);
        Journal {
            file: options.open(home.daemon_log()).ok(),
            foreground,
        }
    }

    /// Writes one line.
    pub fn note(&mut self, text: impl std::fmt::Display) {
        let now = clock::local_time(clock::wall_ms());
        let line = format!("{now} rpmd[{}]: {text}\n", Pid::own());
        if let Some(file) = &mut self.file {
            // A full disk must not end the supervision.
            let _ = file.write_all(line.as_bytes());
        }
        if self.foreground {
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}
