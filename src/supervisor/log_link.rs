//! The supervisor's end of the pair that joins it to the log writer.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use crate::logger::{self, Batch};
use crate::paths::Home;
use crate::protocol::buffer::{LineBuffer, OutBuffer};
use crate::protocol::line::Line;
use crate::protocol::link::{Order, Report};
use crate::sys::daemonize::{Fork, fork};
use crate::sys::poll::Interest;
use crate::sys::socket;

/// A log writer and what it was told.
#[derive(Default)]
pub struct LogLink {
    end: Option<UnixStream>,
    /// What outlives a log writer that is killed.
    batch: Option<Batch>,
    input: LineBuffer,
    output: OutBuffer,
    /// What was asked to be drained and is not known to be, by token: a new log writer is asked again.
    drains: BTreeMap<u64, Vec<u32>>,
    tokens: u64,
}

impl LogLink {
    /// Forks a log writer. It knows of no program yet.
    pub fn start(&mut self, home: &Home) -> io::Result<()> {
        let (ours, theirs) = socket::pair()?;
        let batch = match &mut self.batch {
            Some(batch) => batch,
            none => none.insert(Batch::new()?),
        };
        if fork()? == Fork::Child {
            logger::run(theirs, home.clone(), batch);
        }
        self.input = LineBuffer::default();
        self.output = OutBuffer::default();
        self.end = Some(ours);
        Ok(())
    }

    /// Asks again for what the last log writer did not report; to be called when it knows of all programs.
    pub fn repeat_drains(&mut self) {
        let drains = std::mem::take(&mut self.drains);
        for (token, ids) in &drains {
            self.order(&Order::Drain {
                ids: ids.clone(),
                token: *token,
            });
        }
        self.drains = drains;
    }

    /// The stream, to poll.
    pub fn stream(&self) -> Option<&UnixStream> {
        self.end.as_ref()
    }

    /// What to poll for.
    pub fn interest(&self) -> Interest {
        Interest {
            read: true,
            write: !self.output.pending().is_empty(),
        }
    }

    /// Says something to the log writer; it is sent when the loop comes to it.
    pub fn order(&mut self, order: &Order) {
        if self.end.is_some() {
            order.to_line().encode(self.output.tail());
        }
    }

    /// Asks that all that these programs have printed be written; the token of the answer.
    pub fn drain(&mut self, ids: Vec<u32>) -> u64 {
        self.tokens += 1;
        self.order(&Order::Drain {
            ids: ids.clone(),
            token: self.tokens,
        });
        self.drains.insert(self.tokens, ids);
        self.tokens
    }

    /// Whether that has been done.
    pub fn drained(&self, token: u64) -> bool {
        !self.drains.contains_key(&token)
    }

    /// Sends what the log writer takes.
    pub fn flush(&mut self) {
        while let Some(stream) = &self.end {
            if self.output.pending().is_empty() {
                break;
            }
            match socket::send(stream, self.output.pending()) {
                Ok(n) => self.output.sent(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // A broken pair is heard of by its end of file.
                Err(_) => break,
            }
        }
    }

    /// Reads what it reports: sentences for the journal. `Err`: it has gone.
    pub fn receive(&mut self) -> Result<Vec<String>, ()> {
        let mut notes = Vec::new();
        let Some(stream) = &self.end else {
            return Ok(notes);
        };
        let mut buffer = [0; 4096];
        let mut stream = stream;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(()),
            Ok(n) => self.input.push(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(()),
        }
        while let Ok(Some(line)) = self.input.next_line() {
            match Line::decode(line).ok().as_ref().and_then(Report::from_line) {
                Some(Report::Drained { token }) => {
                    self.drains.remove(&token);
                }
                Some(Report::Note { text }) => notes.push(text),
                None => notes.push("the log writer said something that is no report".to_owned()),
            }
        }
        Ok(notes)
    }

    /// The program that the last log writer was at work on, where it has left something.
    pub fn unfinished(&mut self) -> Option<u32> {
        self.batch
            .as_mut()
            .and_then(Batch::left)
            .map(|left| left.channel.0)
    }

    /// Forgets a log writer that has gone.
    pub fn lost(&mut self) {
        self.end = None;
    }
}
