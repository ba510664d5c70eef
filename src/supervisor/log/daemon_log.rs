//! The daemons' own log: one line an event, with an ISO time. The log writer writes it, so that the loop never waits for
//! the disk.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use crate::model::standard::Standard;
use crate::paths::Home;
use crate::protocol::log_protocol::Order;
use crate::supervisor::log::client::LogLink;
use crate::supervisor::program::own_output::duplicate;
use crate::sys::pid::Pid;
use crate::sys::shared_output::{AT_ONCE, SharedOutput};
use crate::sys::{clock, open};
use crate::units::harmless;

/// So much waits for a log writer that does not take it, in bytes; more is dropped.
const MOST: usize = 256 << 10;

/// What is noted on its way to `rpmd.log`, and to stderr where the daemon stays in the foreground.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    foreground: bool,
    /// Lines that are sent at the end of a turn.
    lines: String,
    /// Up to where they have been printed.
    printed: usize,
    /// How many lines were dropped.
    dropped: u64,
}

impl Journal {
    /// The journal of the daemon that serves this home.
    pub fn new(home: &Home, foreground: bool) -> Journal {
        Journal {
            path: home.daemon_log(),
            foreground,
            lines: String::new(),
            printed: 0,
            dropped: 0,
        }
    }

    /// Notes one line.
    pub fn note(&mut self, text: impl std::fmt::Display) {
        if self.lines.len() > MOST {
            self.dropped += 1;
            return;
        }
        let now = clock::moment(clock::wall_ms());
        // A name in it must not forge another line, nor reach the terminal of whoever reads it.
        let text = text.to_string();
        let text = harmless(&text);
        let _ = writeln!(self.lines, "{now} rpmd[{}]: {text}", Pid::own());
    }

    /// Sends what was noted to the log writer; until there is one that takes it, it waits.
    pub fn flush(&mut self, log: &mut LogLink) {
        self.print();
        if !self.lines.is_empty() && log.takes_notes(MOST) {
            let lines = self.take().into_bytes();
            log.order(&Order::Note { lines });
        }
    }

    /// Writes what was noted to the file: for one who can have no log writer. It may wait for the disk.
    pub fn write(&mut self) {
        self.print();
        if self.lines.is_empty() {
            return;
        }
        let lines = self.take();
        if let Ok(mut file) = open::output(&self.path, 0o600) {
            // A full disk must not end the supervision.
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

/// What goes on failing is said once a minute.
#[derive(Debug, Default)]
pub struct OnceAMinute(Option<u64>);

impl OnceAMinute {
    /// Whether it may be said at this time of the monotonic clock, in ms; then it may not again for a minute.
    pub fn may_be_said(&mut self, now: u64) -> bool {
        let may = self.0.is_none_or(|at| now.saturating_sub(at) >= 60_000);
        if may {
            self.0 = Some(now);
        }
        may
    }
}

/// Writes whole lines to standard error, as many as it takes at once. Whoever reads there and does not keep up finds the
/// rest in the file.
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
