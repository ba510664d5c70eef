//! The daemon's own log: one line an event, with an ISO time. The log writer writes it, so that the event loop never waits
//! for the disk.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use crate::model::standard::Standard;
use crate::paths::Home;
use crate::protocol::log_protocol::Order;
use crate::supervisor::log::client::LogClient;
use crate::supervisor::program::own_output::duplicate;
use crate::sys::pid::Pid;
use crate::sys::shared_output::{AT_ONCE, SharedOutput};
use crate::sys::{clock, open};
use crate::units::harmless;

/// The bytes that wait for the log writer. Lines above that are dropped.
const MAX_WAITING: usize = 256 << 10;

/// Lines on their way to `rpmd.log`, and to standard error of a daemon in the foreground.
#[derive(Debug)]
pub struct DaemonLog {
    path: PathBuf,
    foreground: bool,
    /// Lines that are not sent yet.
    lines: String,
    /// How much of them is printed, in bytes.
    printed: usize,
    /// The number of dropped lines.
    dropped: u64,
}

impl DaemonLog {
    /// The log of the daemon that serves this home.
    pub fn new(home: &Home, foreground: bool) -> DaemonLog {
        DaemonLog {
            path: home.daemon_log(),
            foreground,
            lines: String::new(),
            printed: 0,
            dropped: 0,
        }
    }

    /// Adds a line.
    pub fn note(&mut self, text: impl std::fmt::Display) {
        if self.lines.len() > MAX_WAITING {
            self.dropped += 1;
            return;
        }
        let now = clock::moment(clock::wall_ms());
        // A name in it must not forge another line, nor send escape sequences to a reader's terminal.
        let text = text.to_string();
        let text = harmless(&text);
        let _ = writeln!(self.lines, "{now} rpmd[{}]: {text}", Pid::own());
    }

    /// Sends the lines to the log writer if it takes them.
    pub fn flush(&mut self, log: &mut LogClient) {
        self.print();
        if !self.lines.is_empty() && log.takes_notes(MAX_WAITING) {
            let lines = self.take().into_bytes();
            log.order(&Order::Note { lines });
        }
    }

    /// Writes the lines to the file, where there is no log writer. It may wait for the disk.
    pub fn write(&mut self) {
        self.print();
        if self.lines.is_empty() {
            return;
        }
        let lines = self.take();
        if let Ok(mut file) = open::output(&self.path, 0o600) {
            // A full disk must not stop the daemon.
            let _ = file.write_all(lines.as_bytes());
        }
    }

    fn take(&mut self) -> String {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            self.note(format_args!(
                "{dropped} lines are missing here: the log writer did not take them"
            ));
        }
        self.printed = 0;
        std::mem::take(&mut self.lines)
    }

    fn print(&mut self) {
        if self.foreground {
            let new = self.lines.get(self.printed..).unwrap_or_default();
            print(new.as_bytes());
        }
        self.printed = self.lines.len();
    }
}

/// Limits a message to once a minute.
#[derive(Debug, Default)]
pub struct OnceAMinute(Option<u64>);

impl OnceAMinute {
    /// Whether the message may be written at this monotonic time, in ms. Then not again for a minute.
    pub fn may_be_said(&mut self, now: u64) -> bool {
        let may = self.0.is_none_or(|at| now.saturating_sub(at) >= 60_000);
        if may {
            self.0 = Some(now);
        }
        may
    }
}

/// Writes whole lines to standard error, as many as it takes without blocking. The rest is in the file only.
fn print(mut lines: &[u8]) {
    if lines.is_empty() {
        return;
    }
    let Ok(stderr) = duplicate(Standard::Error).and_then(SharedOutput::new) else {
        return;
    };
    while !lines.is_empty() {
        let most = lines.get(..AT_ONCE).unwrap_or(lines);
        let end = most.iter().rposition(|byte| *byte == b'\n');
        let (piece, rest) = lines.split_at(end.map_or(most.len(), |at| at + 1));
        match stderr.write(piece) {
            Ok(done) if done == piece.len() => lines = rest,
            Ok(done) if done > 0 => lines = lines.get(done..).unwrap_or_default(),
            _ => return,
        }
    }
}
