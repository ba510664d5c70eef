//! What ends `rpm logs`: a signal, or that nobody reads any more. Never in the middle of a line.

use std::cell::Cell;
use std::io::{self, Write};

use crate::client::display::stdout_writer::{Flow, StdoutWriter};
use crate::error::{Error, Result};
use crate::sys::signal::{SelfPipe, Signal};

/// The signals that end it.
pub const SIGNALS: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

/// Why it came to its end.
pub struct End<'a> {
    /// What must be heard.
    pub signals: &'a SelfPipe,
    /// How standard output is.
    pub flow: &'a Cell<Flow>,
    /// The signal that came.
    pub signal: Cell<Option<Signal>>,
}

impl End<'_> {
    /// Whether to go on. The error only leads out: what is worth to be said is in the cells.
    pub fn check(&self) -> Result<()> {
        self.signals.listening(|| ());
        self.signals.drain();
        for signal in SIGNALS {
            if self.signals.take(signal) {
                self.signal.set(Some(signal));
                // What is left to be written is not waited for long.
                if self.flow.get() == Flow::Open {
                    self.flow.set(Flow::Ending);
                }
            }
        }
        match self.has_come() {
            true => Err(Error::new("it was ended")),
            false => Ok(()),
        }
    }

    /// Whether it is over.
    pub fn has_come(&self) -> bool {
        self.signal.get().is_some() || self.flow.get().is_over()
    }

    /// Nobody reads any more.
    pub fn close(&self) -> Result<()> {
        self.flow.set(Flow::Closed);
        self.check()
    }
}

/// Standard output, where what is written at once has an end.
pub struct Stdout<'a> {
    /// Writes.
    pub outlet: StdoutWriter<'a>,
    /// Whether it is over.
    pub end: &'a End<'a>,
}

impl Write for Stdout<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outlet.write(bytes)
    }

    /// Fails where it is over.
    fn flush(&mut self) -> io::Result<()> {
        match self.end.flow.get().is_over() {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }
}
