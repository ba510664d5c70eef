//! The supervisor's end of the connection with the log writer.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use crate::app::value::Bytes;
use crate::logger::{self, Batch};
use crate::paths::Home;
use crate::protocol::buffer::{LineBuffer, OutBuffer};
use crate::protocol::line::Line;
use crate::protocol::link::{LINK_VERSION, Order, Report};
use crate::sys::daemonize::{Fork, fork};
use crate::sys::poll::Interest;
use crate::sys::socket;

/// A log writer and what it was told.
#[derive(Default)]
pub struct LogLink {
    end: Option<UnixStream>,
    /// It has greeted: what is said to it will be understood.
    greeted: bool,
    /// It was found, not forked.
    found: bool,
    /// It is not the right one, and is asked to leave.
    replaced: bool,
    /// What outlives a log writer that is killed.
    batch: Option<Batch>,
    input: LineBuffer,
    output: OutBuffer,
    /// What was asked to be drained and is not known to be, by token: a new log writer is asked again.
    drains: BTreeMap<u64, Vec<u32>>,
    tokens: u64,
}

impl LogLink {
    /// Connects to the log writer that is there, else forks one. It is told to execute `program` if this supervisor
    /// dies; then it has to be told of the programs.
    pub fn start(&mut self, home: &Home, program: &Bytes) -> io::Result<()> {
        let batch = match &mut self.batch {
            Some(batch) => batch,
            none => none.insert(Batch::open(&home.batch())?),
        };
        let path = home.log_socket();
        let connected = socket::connect_now(&path);
        self.found = connected.is_ok();
        let end = match connected {
            Ok(end) => end,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(e),
            // Nobody listens.
            Err(_) => {
                let _ = std::fs::remove_file(&path);
                let listener = socket::listen(&path)?;
                if fork()? == Fork::Child {
                    logger::run(listener, home.clone(), batch);
                }
                socket::connect_now(&path)?
            }
        };
        self.input = LineBuffer::default();
        self.output = OutBuffer::default();
        self.greeted = false;
        self.replaced = false;
        self.end = Some(end);
        self.order(&Order::Attach {
            program: program.clone(),
        });
        Ok(())
    }

    /// Has the log writer leave, so that another takes its place: this one runs the code of a former release.
    pub fn replace(&mut self) {
        self.replaced = true;
        self.output = OutBuffer::default();
        Order::Bye.to_line().encode(self.output.tail());
    }

    /// Whether it was to be expected that it leaves: it was asked to, or was leaving when it was found.
    pub fn was_leaving(&self) -> bool {
        self.replaced || self.found && !self.greeted
    }

    /// Gives back what outlives log writers, at the end of both daemons.
    pub fn forget(&mut self, home: &Home) {
        if let Some(batch) = self.batch.take() {
            batch.remove(&home.batch());
        }
        let _ = std::fs::remove_file(home.log_socket());
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
            write: self.greeted && !self.output.pending().is_empty(),
        }
    }

    /// Says something to the log writer; it is sent when the loop comes to it.
    pub fn order(&mut self, order: &Order) {
        if self.end.is_some() && !self.replaced {
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
        while let Some(stream) = self.end.as_ref().filter(|_| self.greeted) {
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
                Some(Report::Hello { link }) => {
                    self.greeted = true;
                    if link != LINK_VERSION {
                        self.replace();
                    }
                }
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
