//! The connection to the daemon. Nothing here waits: what is asked goes out when the daemon takes it, and answers are
//! put together as they come. A daemon that ends is looked for again.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use crate::client::daemon::exchange;
use crate::error::{Error, Result};
use crate::paths::Home;
use crate::protocol;
use crate::protocol::buffer::{LineBuffer, OutBuffer};
use crate::protocol::line::Line;
use crate::protocol::process::Process;
use crate::protocol::program_info::ProgramInfo;
use crate::protocol::reply::{Code, Reply};
use crate::protocol::request::Request;
use crate::sys::poll::Interest;
use crate::sys::{socket, user};

/// How many questions may be open: a daemon that is stopped is not asked for ever.
const MOST_OPEN: usize = 128;
/// How much is read in one turn.
const CHUNK: usize = 64 << 10;

/// What was asked, in the order that the answers come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// The greeting, or to be told of events.
    Beginning,
    List,
    Describe(u64),
}

/// What the daemon has said.
pub enum Heard {
    /// How all programs fare.
    List(Vec<Process>),
    /// What this client had asked about; none where there is no such program.
    Described(u64, Option<Vec<ProgramInfo>>),
    /// Something happened to a program.
    Event(Line),
    /// The connection has ended, perhaps with a reason.
    Lost(Option<String>),
}

/// The connection, where there is one.
pub struct Link {
    home: Home,
    stream: Option<UnixStream>,
    input: LineBuffer,
    output: OutBuffer,
    open: VecDeque<Ask>,
    processes: Vec<Process>,
    records: Vec<ProgramInfo>,
}

impl Link {
    /// No connection yet.
    pub fn new(home: Home) -> Link {
        Link {
            home,
            stream: None,
            input: LineBuffer::default(),
            output: OutBuffer::default(),
            open: VecDeque::new(),
            processes: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Whether a daemon is connected.
    pub fn is_up(&self) -> bool {
        self.stream.is_some()
    }

    /// The home of the daemon.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Connects where there is no connection. Whether there is one now.
    pub fn connect(&mut self) -> bool {
        if self.stream.is_none() {
            let own = |stream: &UnixStream| {
                socket::peer_uid(stream).is_ok_and(|uid| uid == user::effective_uid())
            };
            let stream = socket::connect_now(&self.home.socket()).ok();
            self.stream = stream.filter(own);
            if self.stream.is_some() {
                let hello = Request::Hello {
                    protocol: protocol::VERSION,
                };
                self.ask(&hello, Ask::Beginning);
                self.ask(&Request::Events, Ask::Beginning);
            }
        }
        self.is_up()
    }

    /// Asks how all programs fare, unless that is asked already.
    pub fn list(&mut self) {
        if self.is_up() && !self.open.contains(&Ask::List) {
            let targets = Vec::new();
            self.ask(&Request::List { targets }, Ask::List);
        }
    }

    /// Asks all about one program, or about all.
    pub fn describe(&mut self, client: u64, id: Option<u32>) {
        if self.is_up() {
            let targets = id.map(|id| id.to_string()).into_iter().collect();
            self.ask(&Request::Describe { targets }, Ask::Describe(client));
        }
    }

    fn ask(&mut self, request: &Request, ask: Ask) {
        request.to_line().encode(self.output.tail());
        self.open.push_back(ask);
    }

    /// What to poll, and for what.
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        let write = !self.output.pending().is_empty();
        let stream = self.stream.as_ref()?;
        Some((stream.as_fd(), Interest { read: true, write }))
    }

    /// Sends what the daemon takes.
    pub fn flush(&mut self) -> Option<Heard> {
        if self.open.len() > MOST_OPEN {
            return Some(self.lose(Some("the daemon does not answer".to_owned())));
        }
        while let (Some(stream), false) = (&self.stream, self.output.pending().is_empty()) {
            match socket::send(stream, self.output.pending()) {
                Ok(n) => self.output.sent(n),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // What it said before it closed is still to be read.
                Err(_) => self.output = OutBuffer::default(),
            }
        }
        None
    }

    /// Reads once, and hands over what has become whole.
    pub fn receive(&mut self, heard: &mut Vec<Heard>) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let mut chunk = vec![0; CHUNK];
        match stream.read(&mut chunk) {
            Ok(0) => heard.push(self.lose(None)),
            Ok(n) => {
                self.input.push(chunk.get(..n).unwrap_or_default());
                if let Err(error) = self.lines(heard) {
                    heard.push(self.lose(Some(error.to_string())));
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => heard.push(self.lose(None)),
        }
    }

    fn lose(&mut self, why: Option<String>) -> Heard {
        *self = Link::new(self.home.clone());
        Heard::Lost(why)
    }

    fn lines(&mut self, heard: &mut Vec<Heard>) -> Result<()> {
        let endless = |_| Error::new("the daemon's answer has a line without end");
        while let Some(bytes) = self.input.next_line().map_err(endless)? {
            let line = exchange::decoded(bytes)?;
            if line.tag == "event" {
                heard.push(Heard::Event(line));
                continue;
            }
            match (Reply::from_line(line), self.open.front()) {
                (Reply::Row(line), Some(Ask::List)) => {
                    self.processes.push(exchange::process(&line)?);
                }
                (Reply::Row(line), Some(Ask::Describe(_))) => {
                    self.records
                        .push(exchange::program_info(&line, &self.home)?);
                }
                (Reply::Row(_), _) => {}
                (Reply::Done(_), _) => heard.extend(self.answered()),
                (Reply::Failed(failure), Some(Ask::Describe(client)))
                    if failure.code == Code::NotFound =>
                {
                    heard.push(Heard::Described(*client, None));
                    self.open.pop_front();
                }
                (Reply::Failed(failure), _) => return Err(Error::new(failure.message)),
            }
        }
        Ok(())
    }

    /// The answer to the first open question is complete.
    fn answered(&mut self) -> Option<Heard> {
        match self.open.pop_front()? {
            Ask::Beginning => None,
            Ask::List => Some(Heard::List(std::mem::take(&mut self.processes))),
            Ask::Describe(client) => {
                let records = std::mem::take(&mut self.records);
                Some(Heard::Described(client, Some(records)))
            }
        }
    }
}
