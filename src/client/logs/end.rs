//! What ends `rpm logs`: a signal, or a reader that is gone. A line that was begun is completed first.

use std::cell::Cell;
use std::io::{self, Write};

use crate::client::display::stdout_writer::{Flow, StdoutWriter};
use crate::error::{Error, Result};
use crate::sys::signal::{SelfPipe, Signal};

/// The signals that end it.
pub const SIGNALS: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

/// Whether the end has come, and why.
pub struct End<'a> {
    /// Catches the signals.
    pub signals: &'a SelfPipe,
    /// The state of standard output.
    pub flow: &'a Cell<Flow>,
    /// The signal that was caught.
    pub signal: Cell<Option<Signal>>,
}

impl End<'_> {
    /// Checks whether to go on.
    ///
    /// # Errors
    /// The end has come. The error is not for people: the reason is in the cells.
    pub fn check(&self) -> Result<()> {
        self.signals.listening(|| ());
        self.signals.drain();
        for signal in SIGNALS {
            if self.signals.take(signal) {
                self.signal.set(Some(signal));
                // What is left is written without waiting long.
                if self.flow.get() == Flow::Open {
                    self.flow.set(Flow::Ending);
                }
            }
        }
        if self.has_come() {
            return Err(Error::new("ended"));
        }
        Ok(())
    }

    /// Whether the end has come.
    pub fn has_come(&self) -> bool {
        self.signal.get().is_some() || self.flow.get().is_over()
    }
}

/// Standard output. Flushing fails when its reader is gone.
pub struct Stdout<'a> {
    /// Writes to it.
    pub writer: StdoutWriter<'a>,
}

impl Write for Stdout<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.writer.flow.get().is_over() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}
