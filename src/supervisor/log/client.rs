//! The supervisor's end of its connection with the log writer.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use crate::logger::{self, Batch};
use crate::model::value::Bytes;
use crate::paths::Home;
use crate::protocol::buffer::LineBuffer;
use crate::protocol::line::Line;
use crate::protocol::log_protocol::{DroppedRow, LINK_VERSION, Order, Report};
use crate::sys::daemonize::{self, Fork, fork};
use crate::sys::lookup::Lookup;
use crate::sys::passing::{self, Outbox};
use crate::sys::poll::Interest;
use crate::sys::socket;

/// The bytes that wait for a log writer that does not read, besides the programs that it is sent first. With more the
/// connection is closed and all that waits is dropped: the next connection begins with the present state.
const MAX_WAITING: usize = 8 << 20;
/// The number of pending requests that are sent again to the next log writer. The oldest above it are dropped, and never
/// count as done.
const MAX_PENDING: usize = 1024;
/// Descriptors to be kept are sent only while fewer bytes than this wait.
const KEEP_BELOW: usize = 4 << 10;

/// A descriptor that was kept for this supervisor: its slot, its name and itself.
pub type Kept = (u64, Bytes, OwnedFd);

/// What the log writer reports besides answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A sentence for the daemon's log.
    Note(String),
    /// Output that was dropped.
    Dropped(DroppedRow),
}

/// The connection, and what was sent.
#[derive(Default)]
pub struct LogClient {
    stream: Option<UnixStream>,
    /// It has sent `hello`.
    greeted: bool,
    /// It ran already, and was not forked by this supervisor.
    was_running: bool,
    /// It speaks another version, and is to exit.
    replaced: bool,
    /// It was sent `bye`.
    exiting: bool,
    /// The memory that survives a crash of the log writer.
    batch: Option<Batch>,
    input: LineBuffer,
    output: Outbox,
    /// Descriptors that came with the input.
    fds: VecDeque<Option<OwnedFd>>,
    /// The descriptors that it kept for this supervisor.
    kept: Vec<Kept>,
    /// Some of them could not be received.
    incomplete: bool,
    /// It has returned all of them.
    recovered: bool,
    /// The highest slot so far.
    last_slot: u64,
    /// Descriptors to be kept that are not sent yet.
    unsent: VecDeque<(u64, Bytes, Rc<OwnedFd>)>,
    /// They have not been taken yet.
    kept_ready: bool,
    /// Requests that are not reported as done, by token. They are sent again to another log writer.
    pending: Vec<(u64, VecDeque<Order>)>,
    last_token: u64,
    /// Requests up to this token may have been dropped.
    dropped_up_to: u64,
    /// The bytes of all programs that it was sent first; none before.
    initial: Option<usize>,
    /// The connection was closed because it did not read.
    given_up: bool,
    /// Why requests failed, by token.
    failures: Vec<(u64, String)>,
}

impl LogClient {
    /// Connects to the running log writer, else forks one. It executes `program` if this supervisor dies. The programs have
    /// to be sent next.
    pub fn start(&mut self, home: &Home, program: &Bytes, limits: &str) -> io::Result<()> {
        if self.batch.is_none() {
            self.batch = Some(Batch::open(&home.batch())?);
        }
        let path = home.log_socket();
        let connected = socket::find(&path);
        self.was_running = matches!(connected, Lookup::There(_));
        let stream = match connected {
            Lookup::There(stream) => stream,
            // A log writer may listen: there must not be two.
            Lookup::Failed(e) => return Err(e),
            // No log writer runs, so nothing is kept.
            Lookup::Gone => {
                self.kept_ready |= !self.recovered;
                self.recovered = true;
                let _ = std::fs::remove_file(&path);
                let listener = socket::listen(&path).map_err(|e| {
                    let what = format!(
                        "listening at {}: {e}; move away what is there",
                        path.display()
                    );
                    io::Error::new(e.kind(), what)
                })?;
                if fork()? == Fork::Child {
                    match self.batch.take() {
                        Some(batch) => logger::run(listener, home, batch),
                        None => daemonize::exit_now(1),
                    }
                }
                socket::connect_now(&path)?
            }
        };
        self.input = LineBuffer::default();
        self.output = Outbox::default();
        self.fds.clear();
        self.kept.clear();
        self.unsent.clear();
        self.incomplete = false;
        self.greeted = false;
        self.recovered = !self.was_running;
        self.kept_ready |= self.recovered;
        self.replaced = false;
        self.exiting = false;
        self.initial = None;
        self.stream = Some(stream);
        self.order(&Order::Attach {
            program: program.clone(),
            limits: limits.to_owned(),
        });
        Ok(())
    }

    /// Writes the record of the memory again if it was removed.
    pub fn record_batch(&self, home: &Home) {
        if let Some(batch) = &self.batch {
            // Without the record, a crash of the log writer loses the batch that it was writing.
            let _ = batch.record_again(&home.batch());
        }
    }

    /// Has the log writer exit, to replace one that runs the code of another release.
    pub fn replace(&mut self) {
        self.replaced = true;
        self.output = Outbox::default();
        self.unsent.clear();
        if self.recovered {
            self.send_bye();
        }
    }

    /// To be called once its kept descriptors are here: an exiting log writer closes them.
    fn send_bye(&mut self) {
        self.output.push(Order::Bye.to_line().to_bytes(), None);
    }

    /// Whether its exit was expected: it was asked to exit, or was exiting when it was connected to.
    pub fn was_leaving(&self) -> bool {
        self.replaced || self.was_running && !self.greeted
    }

    /// Removes the memory and the socket, when both daemons exit.
    pub fn forget(&mut self, home: &Home) {
        if let Some(batch) = self.batch.take() {
            batch.remove(&home.batch());
        }
        let _ = std::fs::remove_file(home.log_socket());
    }

    /// Sends pending requests again; to be called after all programs were sent.
    pub fn ask_again(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for order in pending.iter().flat_map(|(_, orders)| orders) {
            self.order(order);
        }
        self.pending = pending;
        self.initial = Some(self.output.len());
    }

    /// The connection, to poll.
    pub fn stream(&self) -> Option<&UnixStream> {
        self.stream.as_ref()
    }

    /// What to poll for.
    pub fn interest(&self) -> Interest {
        Interest {
            read: true,
            write: self.understands() && !(self.output.is_empty() && self.unsent.is_empty()),
        }
    }

    /// Whether it understands orders: it has sent `hello`, or was forked by this supervisor.
    fn understands(&self) -> bool {
        self.greeted || !self.was_running
    }

    /// Queues an order.
    pub fn order(&mut self, order: &Order) {
        self.exiting |= *order == Order::Bye;
        self.order_with(order, None);
    }

    /// Queues an order with a descriptor.
    pub fn order_with(&mut self, order: &Order, fd: Option<Rc<OwnedFd>>) {
        if self.stream.is_some() && !self.replaced {
            self.output.push(order.to_line().to_bytes(), fd);
            let max = self
                .initial
                .map_or(usize::MAX, |initial| initial + MAX_WAITING);
            if self.output.len() > max && !self.exiting {
                self.given_up = true;
                self.stream = None;
                self.output = Outbox::default();
            }
        }
    }

    /// Whether it takes lines for the daemon's log: it has sent `hello`, and fewer than `max` bytes wait for it.
    pub fn takes_notes(&self, max: usize) -> bool {
        let ready = self.stream.is_some() && self.greeted;
        ready && !self.replaced && !self.exiting && self.output.len() < max
    }

    /// Whether the connection was closed because the log writer did not read. True once.
    pub fn was_given_up(&mut self) -> bool {
        std::mem::take(&mut self.given_up)
    }

    /// Has a descriptor kept for the next supervisor, and returns its slot. None while the log writer is replaced or its kept
    /// descriptors are not here: then all are sent to it later.
    pub fn keep(&mut self, name: Bytes, fd: Rc<OwnedFd>) -> Option<u64> {
        if self.stream.is_none() || self.replaced || !self.recovered {
            return None;
        }
        self.last_slot += 1;
        self.unsent.push_back((self.last_slot, name, fd));
        Some(self.last_slot)
    }

    /// Has the descriptor of this slot closed.
    pub fn drop_kept(&mut self, slot: u64) {
        let unsent = self.unsent.iter().position(|(known, ..)| *known == slot);
        if unsent.and_then(|at| self.unsent.remove(at)).is_none() {
            self.order(&Order::Drop { slot });
        }
    }

    /// Whether some kept descriptors could not be received.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Requests all kept descriptors again.
    pub fn recall(&mut self) {
        if std::mem::take(&mut self.incomplete) {
            self.kept.clear();
            // Sent to a log writer that is to be replaced, too.
            self.output.push(Order::Recall.to_line().to_bytes(), None);
        }
    }

    /// Whether all kept descriptors are here.
    pub fn recovered(&self) -> bool {
        self.recovered
    }

    /// Takes the kept descriptors, once all are here.
    pub fn take_kept(&mut self) -> Option<Vec<Kept>> {
        std::mem::take(&mut self.kept_ready).then(|| std::mem::take(&mut self.kept))
    }

    /// Requests that the output of these programs is written, and returns the token. `last`: they have exited.
    pub fn drain(&mut self, ids: Vec<u32>, last: bool) -> u64 {
        let token = self.last_token + 1;
        self.ask([Order::Drain { ids, last, token }])
    }

    /// The next token.
    pub fn next_token(&self) -> u64 {
        self.last_token + 1
    }

    /// Sends orders with the next token, each of which is reported, and returns the token.
    pub fn ask(&mut self, orders: impl Into<VecDeque<Order>>) -> u64 {
        self.last_token += 1;
        let orders = orders.into();
        for order in &orders {
            self.order(order);
        }
        if !orders.is_empty() {
            self.pending.push((self.last_token, orders));
        }
        if self.pending.len() > MAX_PENDING {
            let (token, orders) = self.pending.remove(0);
            self.dropped_up_to = self.dropped_up_to.max(token);
            if orders
                .iter()
                .any(|order| matches!(order, Order::Upkeep { .. }))
            {
                let why = "the log writer does not answer: too many requests wait for it";
                self.failures.push((token, why.to_owned()));
            }
        }
        self.last_token
    }

    /// Whether all orders of this token are reported, as done or failed.
    pub fn done(&self, token: u64) -> bool {
        token > self.dropped_up_to && !self.pending.iter().any(|(pending, _)| *pending == token)
    }

    fn receive_done(&mut self, token: u64, failure: Option<String>) {
        self.failures.extend(failure.map(|why| (token, why)));
        let pending = self
            .pending
            .iter_mut()
            .find(|(pending, _)| *pending == token);
        if let Some((_, orders)) = pending {
            orders.pop_front();
        }
        self.pending.retain(|(_, orders)| !orders.is_empty());
    }

    /// Takes the failures: tokens and reasons.
    pub fn take_failures(&mut self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.failures)
    }

    /// Sends as much as the log writer takes.
    pub fn flush(&mut self) {
        let Some(stream) = self.stream.as_ref().filter(|_| self.understands()) else {
            return;
        };
        loop {
            // A broken connection is noticed when it is read.
            let sent = self.output.flush(stream);
            if sent.is_err() || self.output.len() > KEEP_BELOW {
                return;
            }
            let Some((slot, name, fd)) = self.unsent.pop_front() else {
                return;
            };
            let order = Order::Keep { slot, name };
            self.output.push(order.to_line().to_bytes(), Some(fd));
        }
    }

    /// Receives reports. `Err`: the log writer has exited.
    pub fn receive(&mut self) -> Result<Vec<Event>, ()> {
        let mut events = Vec::new();
        let Some(stream) = &self.stream else {
            return Ok(events);
        };
        let mut buffer = [0; 4096];
        match passing::receive(stream, &mut buffer, &mut self.fds) {
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
                Some(Report::Kept { slot, name }) => {
                    self.last_slot = self.last_slot.max(slot);
                    match self.fds.pop_front().flatten() {
                        Some(fd) => self.kept.push((slot, name, fd)),
                        None => self.incomplete = true,
                    }
                }
                Some(Report::Recovered) if self.incomplete => events.push(Event::Note(
                    "cannot receive all descriptors that the log writer keeps: too many open files; trying again"
                        .to_owned(),
                )),
                Some(Report::Recovered) => {
                    self.kept_ready |= !self.recovered;
                    self.recovered = true;
                    if self.replaced {
                        self.send_bye();
                    }
                }
                Some(Report::Done { token, failure }) => self.receive_done(token, failure),
                Some(Report::Dropped(row)) => events.push(Event::Dropped(row)),
                Some(Report::Note { text }) => events.push(Event::Note(text)),
                None => events.push(Event::Note(
                    "the log writer sent a line that is not a report".to_owned(),
                )),
            }
        }
        Ok(events)
    }

    /// The program whose batch the previous log writer did not finish.
    pub fn unfinished(&self) -> Option<u32> {
        let (header, _) = self.batch.as_ref()?.unfinished()?;
        Some(header.channel.program)
    }

    /// The log writer has exited.
    pub fn lost(&mut self) {
        self.stream = None;
    }
}
