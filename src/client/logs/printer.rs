//! Lines of several files, one after the other.

use std::io::Write;

use crate::error::{Context, Result};

/// How much is written at once.
const CHUNK: usize = 64 << 10;

/// Prints lines of several files in turn.
pub struct Printer<'a> {
    sink: &'a mut dyn Write,
    /// What has not been written yet.
    pub out: Vec<u8>,
    /// The file whose line has no LF yet.
    open: Option<usize>,
}

impl Printer<'_> {
    /// A printer to `sink`, which is standard output but for tests.
    pub fn new(sink: &mut dyn Write) -> Printer<'_> {
        Printer {
            sink,
            out: Vec::new(),
            open: None,
        }
    }

    /// Something of file number `of` comes next: ends the line of another one that was left open. Whether a line
    /// begins here.
    pub fn begin(&mut self, of: usize) -> bool {
        if self.open == Some(of) {
            return false;
        }
        if self.open.is_some() {
            self.out.push(b'\n');
        }
        self.open = Some(of);
        true
    }

    /// Ends the line.
    pub fn end_line(&mut self) {
        self.out.push(b'\n');
        self.open = None;
    }

    /// What was written has ended with a LF.
    pub fn is_at_begin(&mut self) {
        self.open = None;
    }

    /// Whether a line of this file is open.
    pub fn is_in_line_of(&self, of: usize) -> bool {
        self.open == Some(of)
    }

    /// Prints whole lines of a file as they are.
    pub fn copy(&mut self, of: usize, lines: &[u8]) {
        if !lines.is_empty() {
            self.begin(of);
            self.out.extend_from_slice(lines);
            self.open = None;
        }
    }

    /// Ends a line that was left open.
    pub fn finish(&mut self) -> Result<()> {
        if self.open.is_some() {
            self.end_line();
        }
        self.flush()
    }

    /// Prints a line that stands for itself, its LF included.
    pub fn print_line(&mut self, line: &str) -> Result<()> {
        if self.open.is_some() {
            self.end_line();
        }
        self.out.extend_from_slice(line.as_bytes());
        self.flush()
    }

    /// Writes what there is, where that is much.
    pub fn flush_when_full(&mut self) -> Result<()> {
        match self.out.len() < CHUNK {
            true => Ok(()),
            false => self.flush(),
        }
    }

    /// Writes what there is.
    pub fn flush(&mut self) -> Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let done = self
            .sink
            .write_all(&self.out)
            .and_then(|()| self.sink.flush());
        self.out.clear();
        done.doing(|| "writing to standard output")
    }
}
