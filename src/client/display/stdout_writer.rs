//! Standard output that never keeps a signal from being heard, however slowly it is read.

use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use super::output;
use crate::error::Error;
use crate::sys::fd;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::SelfPipe;

/// So many bytes fit into a pipe that is ready for writing. `pipe(7)`: PIPE_BUF
const PIECE: usize = 4096;
/// How long whoever does not read is waited for when the end has been asked for.
const PATIENCE: Duration = Duration::from_secs(1);

/// How standard output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It is read, sooner or later.
    Open,
    /// The end has been asked for: it is waited for no longer than [`PATIENCE`].
    Ending,
    /// It was closed, or given up. What is written is dropped.
    Closed,
    /// It cannot be written to, which was said. What is written is dropped.
    Failed,
}

impl Flow {
    /// Whether what is written is dropped.
    pub fn is_over(self) -> bool {
        matches!(self, Flow::Closed | Flow::Failed)
    }
}

/// Writes to standard output. That fails never: whether it is closed is in the cell.
pub struct StdoutWriter<'a> {
    /// How it is.
    pub flow: &'a Cell<Flow>,
    /// What must be heard.
    pub signals: &'a SelfPipe,
}

impl StdoutWriter<'_> {
    /// Waits until something can be written. `false`: there is nobody to wait for any longer.
    fn wait(&self) -> io::Result<bool> {
        let stdout = io::stdout();
        let write = Interest {
            read: false,
            write: true,
        };
        let mut set = PollSet::default();
        let mut patience = (self.flow.get() == Flow::Ending).then_some(PATIENCE);
        loop {
            set.clear();
            set.push(stdout.as_fd(), write, true);
            if patience.is_none() {
                set.push(self.signals.fd(), Interest::READ, false);
            }
            self.signals.listening(|| set.wait(patience))?;
            let mut signalled = false;
            for (is_stdout, ready) in set.ready() {
                match is_stdout {
                    true => return Ok(ready.writable && !ready.error),
                    false => signalled = true,
                }
            }
            match (signalled, patience) {
                (true, _) => patience = Some(PATIENCE),
                (false, Some(_)) => return Ok(false),
                (false, None) => {}
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
            // Asked for once more.
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
