//! Writes to standard output without delaying the handling of signals, however slow the reader is.

use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use super::output;
use crate::error::Error;
use crate::sys::fd;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::SelfPipe;

/// A pipe that is ready for writing takes this many bytes. pipe(7): PIPE_BUF
const PIECE: usize = 4096;
/// How long to wait for a reader that does not read, after a signal.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The state of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It can be written to.
    Open,
    /// A signal has arrived: a write waits at most [`TIMEOUT`].
    Ending,
    /// The reader closed it, or did not read in time. Further output is dropped.
    Closed,
    /// A write failed, and the error was printed. Further output is dropped.
    Failed,
}

impl Flow {
    /// Whether further output is dropped.
    pub fn is_over(self) -> bool {
        matches!(self, Flow::Closed | Flow::Failed)
    }
}

/// Writes to standard output. A write never fails; errors change the state in the cell.
pub struct StdoutWriter<'a> {
    /// The state.
    pub flow: &'a Cell<Flow>,
    /// The signals that must be handled.
    pub signals: &'a SelfPipe,
}

impl StdoutWriter<'_> {
    /// Waits until a write is possible. Returns `false` if the reader is gone or too slow.
    fn wait(&self) -> io::Result<bool> {
        let stdout = io::stdout();
        let write = Interest {
            read: false,
            write: true,
        };
        let mut set = PollSet::default();
        let mut timeout = (self.flow.get() == Flow::Ending).then_some(TIMEOUT);
        loop {
            set.clear();
            set.push(stdout.as_fd(), write, true);
            if timeout.is_none() {
                set.push(self.signals.fd(), Interest::READ, false);
            }
            self.signals.listening(|| set.wait(timeout))?;
            let mut signalled = false;
            for (is_stdout, ready) in set.ready() {
                if is_stdout {
                    return Ok(ready.writable && !ready.error);
                }
                signalled = true;
            }
            if signalled {
                timeout = Some(TIMEOUT);
            } else if timeout.is_some() {
                return Ok(false);
            }
        }
    }
}

impl Write for StdoutWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.flow.get().is_over() {
            return Ok(bytes.len());
        }
        let piece = bytes.get(..PIECE).unwrap_or(bytes);
        let written = match self.wait() {
            Ok(true) => fd::write(io::stdout().as_fd(), piece),
            Ok(false) => Err(ErrorKind::BrokenPipe.into()),
            Err(e) => Err(e),
        };
        match written {
            // The caller tries again.
            Err(e) if e.kind() == ErrorKind::WouldBlock => Err(ErrorKind::Interrupted.into()),
            Err(e) => {
                self.flow.set(match e.kind() {
                    ErrorKind::BrokenPipe => Flow::Closed,
                    _ => {
                        output::complain(Error::io("writing to standard output", &e));
                        Flow::Failed
                    }
                });
                Ok(bytes.len())
            }
            Ok(n) => Ok(n),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
