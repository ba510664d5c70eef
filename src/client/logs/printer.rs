//! Prints lines of several files, each whole, though they may come in pieces.

use std::io::Write;

use crate::error::{Context, Result};

/// How much is written at once, in bytes.
const CHUNK: usize = 64 << 10;

/// The lines on their way to standard output.
pub struct Printer<'a> {
    sink: &'a mut dyn Write,
    /// What has not been written yet.
    pub out: Vec<u8>,
    /// The number of the file whose line has no LF yet.
    open: Option<usize>,
}

impl Printer<'_> {
    /// A printer to `sink`: standard output, but in tests.
    pub fn new(sink: &mut dyn Write) -> Printer<'_> {
        Printer {
            sink,
            out: Vec::new(),
            open: None,
        }
    }

    /// Begins or continues a line of file `number`; ends that of another file first. Whether a line begins.
    pub fn begin(&mut self, number: usize) -> bool {
        if self.open == Some(number) {
            return false;
        }
        self.end_open_line();
        self.open = Some(number);
        true
    }

    /// Ends the line with a LF.
    pub fn end_line(&mut self) {
        self.out.push(b'\n');
        self.open = None;
    }

    fn end_open_line(&mut self) {
        if self.open.is_some() {
            self.end_line();
        }
    }

    /// Whether a line of this file is open.
    pub fn is_in_line_of(&self, number: usize) -> bool {
        self.open == Some(number)
    }

    /// Prints a line of no file, its LF included.
    pub fn print_line(&mut self, line: &str) -> Result<()> {
        self.end_open_line();
        self.out.extend_from_slice(line.as_bytes());
        self.flush()
    }

    /// Ends the open line and writes everything.
    pub fn finish(&mut self) -> Result<()> {
        self.end_open_line();
        self.flush()
    }

    /// Writes what there is, where it is much.
    pub fn flush_when_full(&mut self) -> Result<()> {
        if self.out.len() < CHUNK {
            return Ok(());
        }
        self.flush()
    }

    /// Writes what there is.
    pub fn flush(&mut self) -> Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let written = self.sink.write_all(&self.out);
        let flushed = written.and_then(|()| self.sink.flush());
        self.out.clear();
        flushed.doing(|| "writing to standard output")
    }
}
