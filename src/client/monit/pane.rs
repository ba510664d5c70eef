//! The last log lines of the selected program, and each new one.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::text;
use crate::client::daemon::log_paths::keeps_output;
use crate::client::logs::{News, Track};
use crate::protocol::program_info::ProgramInfo;
use crate::sys::inotify::Watcher;

/// How many lines are kept.
const LINES: usize = 500;

/// How far before its end a file is read from, however far it has grown since the last look.
const MOST: u64 = 64 << 10;

/// No more of a line is shown, in bytes.
const LONGEST: usize = 4096;

/// A line, and whether it was written to standard error.
pub struct LogLine {
    /// Fit to be shown.
    pub text: String,
    /// Of which file.
    pub error: bool,
}

struct File {
    track: Track,
    error: bool,
    /// A line whose end has not come yet.
    begun: Vec<u8>,
}

/// The log files of one program.
#[derive(Default)]
pub struct Pane {
    of: Option<u32>,
    files: Vec<File>,
    lines: VecDeque<LogLine>,
    watcher: Option<Watcher>,
    /// Why they cannot be shown.
    trouble: Option<String>,
    utf8: bool,
}

impl Pane {
    /// A pane without program.
    pub fn new(utf8: bool) -> Pane {
        Pane {
            utf8,
            ..Pane::default()
        }
    }

    /// Whose lines these are.
    pub fn of(&self) -> Option<u32> {
        self.of
    }

    /// Forgets its program.
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
                track: Track::new(path).reading_at_most(MOST),
                error,
                begun: Vec::new(),
            });
        }
        // The file that was written to last has the last lines.
        let written = |file: &File| {
            file.track
                .path()
                .metadata()
                .and_then(|found| found.modified())
                .ok()
        };
        if let [out, error] = self.files.as_mut_slice() {
            if written(out) > written(error) {
                std::mem::swap(out, error);
            }
        }
        self.watcher = Watcher::new().ok();
        for file in &mut self.files {
            // Watched before it is read, so that nothing is missed in between. What cannot be watched is looked at
            // from time to time.
            if let Some(watcher) = &self.watcher {
                let _ = file.track.watch(watcher);
            }
        }
        self.look();
    }

    /// What to poll for changes.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.watcher.as_ref().map(Watcher::fd)
    }

    /// Takes what is new in the files that something was heard of. Whether there was anything.
    pub fn hear(&mut self) -> bool {
        let Some(watcher) = &self.watcher else {
            return false;
        };
        let mut ours = false;
        // Other files of the folder may change too, and often.
        for _ in 0..256 {
            let changes = match watcher.read() {
                Ok(changes) if changes.is_empty() => break,
                Ok(changes) => changes,
                Err(_) => {
                    self.watcher = None;
                    break;
                }
            };
            for change in &changes {
                let concerned = self.files.iter_mut().map(|file| &mut file.track);
                for track in concerned.filter(|track| track.is_concerned(change)) {
                    ours = true;
                    let _ = track.hear(change, watcher);
                }
            }
        }
        ours && self.look()
    }

    /// Takes what is new. Whether there was anything.
    pub fn look(&mut self) -> bool {
        let mut news = false;
        for file in &mut self.files {
            let mut bytes = Vec::new();
            let done = file.track.catch_up(&mut |piece| {
                match piece {
                    News::Bytes(piece) => bytes.extend_from_slice(piece),
                    News::Cut | News::Lost => {}
                }
                Ok(())
            });
            self.trouble = done.err().map(|error| error.to_string());
            news |= !bytes.is_empty() || self.trouble.is_some();
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
        news
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
