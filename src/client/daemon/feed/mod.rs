//! The daemon's state, for commands that show it as long as they run: the table of programs, each change to it, and the
//! answers to requests. Nothing here waits. A connection that ends is made again, whether the daemon was killed, ended or
//! updated.
//!
//! A caller polls what [`Feed::push`] gives and calls [`Feed::turn`] when that is ready or [`Feed::due`] has come, then
//! [`Feed::next`] until it gives nothing.

mod retry;
mod table;

use std::collections::VecDeque;

pub use table::{SPAN, Table};

use super::exchange;
use super::link::{Heard, Link};
use crate::error::{Error, Result};
use crate::paths::Home;
use crate::protocol::process::Process;
use crate::protocol::program_info::ProgramInfo;
use crate::protocol::reply::Failure;
use crate::protocol::request::Request;
use crate::sys::poll::PollSet;
use retry::Retry;

/// So many requests may wait for their answers. A daemon that is stopped is not asked for ever.
const MOST_REQUESTS: usize = 128;

/// The answer to a request: the programs that it names, or why it was refused.
pub type Answer = std::result::Result<Vec<ProgramInfo>, Failure>;

/// What has happened. `T` is what a caller knows its requests by.
pub enum Update<T> {
    /// The table was read as a whole. The first thing to come on each connection.
    Listed,
    /// The list was refused: no program has one of these names now. The table is empty.
    NotListed(Failure),
    /// A program has changed: the kind of event, and its status. The table has it.
    Changed(String, Box<Process>),
    /// A request was answered.
    Answered(T, Answer),
    /// The connection has ended, in an error where the daemon cannot be understood. Requests that were open are gone.
    Lost(Option<Error>),
}

/// A request without answer, and since when, in ms.
struct Open<T> {
    request: Kind<T>,
    since: u64,
}

enum Kind<T> {
    Events,
    List,
    Other(T),
}

/// The table of programs, and the connection that keeps it up to date.
pub struct Feed<T> {
    home: Home,
    /// The programs that are listed; all where there are none.
    targets: Vec<String>,
    link: Option<Link>,
    retry: Retry,
    open: VecDeque<Open<T>>,
    /// The rows of an answer that is not complete.
    processes: Vec<Process>,
    records: Vec<ProgramInfo>,
    table: Table,
    is_listed: bool,
    /// The daemon has closed the connection. What it has sent may not have been taken yet.
    has_ended: bool,
}

impl<T> Feed<T> {
    /// A feed of the programs that `targets` name, of all where there are none. It is not connected yet.
    pub fn new(home: Home, targets: Vec<String>) -> Feed<T> {
        Feed {
            home,
            targets,
            link: None,
            retry: Retry::new(),
            open: VecDeque::new(),
            processes: Vec::new(),
            records: Vec::new(),
            table: Table::default(),
            is_listed: false,
            has_ended: false,
        }
    }

    /// The daemon's home.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The programs as they were last known.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Whether the table was read on the present connection.
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Whether a daemon is connected.
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Whether all requests have been sent.
    pub fn has_sent(&self) -> bool {
        let link = self.link.as_ref();
        link.is_some_and(|link| !link.interest().write)
    }

    /// Since when the oldest request has waited for its answer, in ms of the monotonic clock.
    pub fn waits_since(&self) -> Option<u64> {
        self.open.front().map(|open| open.since)
    }

    /// The requests of the caller that have no answer yet.
    pub fn requests(&self) -> impl Iterator<Item = &T> {
        self.open.iter().filter_map(|open| match &open.request {
            Kind::Other(of) => Some(of),
            Kind::Events | Kind::List => None,
        })
    }

    /// Connects where there is no connection. Whether there is one now.
    ///
    /// # Errors
    /// A daemon is there that cannot be connected to.
    pub fn connect(&mut self, now: u64) -> Result<bool> {
        if self.link.is_some() {
            return Ok(true);
        }
        self.retry.watch(&self.home);
        match Link::connect(&self.home) {
            Ok(Some(link)) => {
                self.link = Some(link);
                self.retry.connected();
                // What happens from now on comes as events; what has happened is in the list.
                self.send(Kind::Events, &Request::Events, now);
                self.list(now);
                Ok(true)
            }
            Ok(None) => {
                self.retry.nobody_listens(now);
                Ok(false)
            }
            Err(error) => {
                self.retry.failed(now);
                Err(error)
            }
        }
    }

    /// Ends the connection. The next one is made in the next turn.
    pub fn disconnect(&mut self) {
        self.link = None;
        self.open.clear();
        self.processes.clear();
        self.records.clear();
        (self.is_listed, self.has_ended) = (false, false);
        self.retry.lost();
    }

    /// Reads the table once more, unless that is under way.
    pub fn list(&mut self, now: u64) {
        let is_list = |open: &Open<T>| matches!(open.request, Kind::List);
        if !self.open.iter().any(is_list) {
            let targets = self.targets.clone();
            self.send(Kind::List, &Request::List { targets }, now);
        }
    }

    /// Makes a request, which is known as `of`. Without a connection it is dropped.
    pub fn ask(&mut self, of: T, request: &Request, now: u64) {
        self.send(Kind::Other(of), request, now);
    }

    fn send(&mut self, kind: Kind<T>, request: &Request, now: u64) {
        if let Some(link) = &mut self.link {
            link.ask(request);
            self.open.push_back(Open {
                request: kind,
                since: now,
            });
        }
    }

    /// When [`Feed::turn`] is to be called though nothing is ready.
    pub fn due(&self) -> Option<u64> {
        self.retry.due().filter(|_| self.link.is_none())
    }

    /// What to poll.
    pub fn push<K: Copy>(&self, set: &mut PollSet<K>, token: K) {
        match &self.link {
            Some(link) => set.push(link.fd(), link.interest(), token),
            None => self.retry.push(set, token),
        }
    }

    /// Connects, sends and receives what can be at once. Then [`Feed::next`] gives what has happened.
    pub fn turn(&mut self, now: u64) {
        match &mut self.link {
            Some(link) => self.has_ended = !link.turn(),
            None if self.retry.is_due(now, &self.home) => {
                // The next attempt is due later; until then there is nothing to say.
                let _ = self.connect(now);
            }
            None => {}
        }
    }

    /// The next thing that has happened; none where nothing more has.
    pub fn next(&mut self, now: u64) -> Option<Update<T>> {
        loop {
            let heard = self.link.as_mut()?.next();
            let update = match heard {
                Ok(None) if self.has_ended => {
                    self.disconnect();
                    return Some(Update::Lost(None));
                }
                Ok(None) if self.open.len() > MOST_REQUESTS => {
                    Err(Error::new("the daemon does not answer"))
                }
                Ok(None) => return None,
                Ok(Some(heard)) => self.take(heard, now),
                Err(error) => Err(error),
            };
            match update {
                Ok(None) => {}
                Ok(Some(update)) => return Some(update),
                Err(error) => {
                    self.disconnect();
                    // A daemon of another kind is not a different one in a moment.
                    self.retry.failed(now + 1_000);
                    return Some(Update::Lost(Some(error)));
                }
            }
        }
    }

    fn take(&mut self, heard: Heard, now: u64) -> Result<Option<Update<T>>> {
        match heard {
            Heard::Row(line) if line.starts_with(b"event ") => self.take_event(&line).map(Some),
            Heard::Row(line) => {
                match self.open.front().map(|open| &open.request) {
                    Some(Kind::List) => self.processes.push(exchange::program(&line)?),
                    Some(Kind::Other(_)) => {
                        let line = exchange::decoded(&line)?;
                        self.records
                            .push(exchange::program_info(&line, &self.home)?);
                    }
                    Some(Kind::Events) | None => {}
                }
                Ok(None)
            }
            Heard::Done => self.answered(None, now),
            Heard::Refused(failure) => self.answered(Some(failure), now),
        }
    }

    fn take_event(&mut self, line: &[u8]) -> Result<Update<T>> {
        let line = exchange::decoded(line)?;
        let process = exchange::process(&line)?;
        let what = line.text("what").unwrap_or_default().to_owned();
        if what == "deleted" {
            self.table.remove(process.id);
            self.processes.retain(|row| row.id != process.id);
        } else {
            self.table.change(process.clone(), self.targets.is_empty());
            // An event that comes within a list is newer than the rows before it.
            let mut rows = self.processes.iter_mut();
            if let Some(row) = rows.find(|row| row.id == process.id) {
                let (cpu, memory) = (row.cpu, row.memory);
                *row = process.clone();
                (row.cpu, row.memory) = (cpu, memory);
            }
        }
        Ok(Update::Changed(what, Box::new(process)))
    }

    fn answered(&mut self, refused: Option<Failure>, now: u64) -> Result<Option<Update<T>>> {
        let Some(open) = self.open.pop_front() else {
            return Err(Error::new("the daemon answers a request that was not made"));
        };
        let (processes, records) = (
            std::mem::take(&mut self.processes),
            std::mem::take(&mut self.records),
        );
        Ok(match (open.request, refused) {
            (Kind::Events, None) => None,
            (Kind::Events, Some(failure)) => return Err(Error::new(failure.message)),
            (Kind::List, refused) => {
                self.table.replace(processes, now);
                self.is_listed = true;
                Some(refused.map_or(Update::Listed, Update::NotListed))
            }
            (Kind::Other(of), None) => {
                for record in &records {
                    self.table.change(record.process.clone(), false);
                }
                Some(Update::Answered(of, Ok(records)))
            }
            (Kind::Other(of), Some(failure)) => Some(Update::Answered(of, Err(failure))),
        })
    }
}
