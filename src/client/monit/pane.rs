//! The last log lines of the selected program, and new ones.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::text;
use crate::client::daemon::log_paths::keeps_output;
use crate::client::logs::{Piece, Tail, Watches};
use crate::protocol::program_info::ProgramInfo;

/// How many lines are kept.
const LINES: usize = 500;

/// At most so many new bytes of a file are read at once: the last ones.
const MOST: u64 = 64 << 10;

/// At most so many bytes of a line are shown.
const LONGEST: usize = 4096;

/// A line.
pub struct LogLine {
    /// The text, made harmless.
    pub text: String,
    /// It was written to standard error.
    pub error: bool,
}

struct File {
    tail: Tail,
    error: bool,
    /// A line without its LF.
    begun: Vec<u8>,
}

/// The log files of one program.
#[derive(Default)]
pub struct Pane {
    of: Option<u32>,
    files: Vec<File>,
    lines: VecDeque<LogLine>,
    watches: Option<Watches>,
    /// Why they cannot be read.
    trouble: Option<String>,
    utf8: bool,
}

impl Pane {
    /// A pane without a program.
    pub fn new(utf8: bool) -> Pane {
        Pane {
            utf8,
            ..Pane::default()
        }
    }

    /// The id of its program.
    pub fn of(&self) -> Option<u32> {
        self.of
    }

    /// Drops its program.
    pub fn clear(&mut self) {
        *self = Pane::new(self.utf8);
    }

    /// Shows the logs of this program from now on.
    pub fn open(&mut self, record: &ProgramInfo) {
        self.clear();
        self.of = Some(record.process.id);
        let mut paths = vec![(&record.out_path, false)];
        if record.error_path != record.out_path {
            paths.push((&record.error_path, true));
        }
        for (path, error) in paths.into_iter().filter(|(path, _)| keeps_output(path)) {
            let path = PathBuf::from(OsString::from_vec(path.clone()));
            self.files.push(File {
                tail: Tail::new(path).at_most(MOST),
                error,
                begun: Vec::new(),
            });
        }
        // The file that was written to last has the last lines.
        let written = |file: &File| {
            let found = file.tail.path().metadata();
            found.and_then(|found| found.modified()).ok()
        };
        if let [out, error] = self.files.as_mut_slice() {
            if written(out) > written(error) {
                std::mem::swap(out, error);
            }
        }
        self.watches = Watches::new().ok();
        for (number, file) in self.files.iter().enumerate() {
            // Watched before it is read, so that no change in between is missed. A file that cannot be watched is read
            // from time to time.
            if let Some(watches) = &mut self.watches {
                let _ = watches.add(number, file.tail.path());
            }
        }
        self.read_new();
    }

    /// What to poll for changes.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.watches.as_ref().map(Watches::fd)
    }

    /// Reads what is new where files have changed. Whether there was anything.
    pub fn files_changed(&mut self) -> bool {
        let changed = self.watches.as_mut().map(Watches::changed);
        match changed {
            Some(Ok(changed)) => !changed.is_empty() && self.read_new(),
            Some(Err(_)) => {
                self.watches = None;
                false
            }
            None => false,
        }
    }

    /// Reads what is new. Whether there was anything.
    pub fn read_new(&mut self) -> bool {
        let mut is_new = false;
        for file in &mut self.files {
            let mut bytes = Vec::new();
            let done = file.tail.read_new(&mut |piece| {
                if let Piece::Bytes(piece) = piece {
                    bytes.extend_from_slice(piece);
                }
                Ok(())
            });
            self.trouble = done.err().map(|error| error.to_string());
            is_new |= !bytes.is_empty() || self.trouble.is_some();
            for piece in bytes.split_inclusive(|b| *b == b'\n') {
                let room = LONGEST.saturating_sub(file.begun.len());
                file.begun
                    .extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
                if piece.ends_with(b"\n") {
                    self.lines.push_back(LogLine {
                        text: text::of_log(&file.begun, self.utf8),
                        error: file.error,
                    });
                    file.begun.clear();
                }
            }
            let excess = self.lines.len().saturating_sub(LINES);
            self.lines.drain(..excess);
        }
        is_new
    }

    /// The last so many lines.
    pub fn last(&self, count: usize) -> Vec<LogLine> {
        let begun = self.files.iter().filter(|file| !file.begun.is_empty());
        let begun = begun.map(|file| LogLine {
            text: text::of_log(&file.begun, self.utf8),
            error: file.error,
        });
        let trouble = self.trouble.iter().map(|text| LogLine {
            text: text::harmless(text, self.utf8),
            error: true,
        });
        let ended = self.lines.iter().map(|line| LogLine {
            text: line.text.clone(),
            error: line.error,
        });
        let mut last: Vec<LogLine> = ended
            .skip(self.lines.len().saturating_sub(count))
            .chain(begun)
            .chain(trouble)
            .collect();
        last.drain(..last.len().saturating_sub(count));
        last
    }
}
