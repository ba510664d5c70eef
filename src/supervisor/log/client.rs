//! The supervisor's end of the connection with the log writer.

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
use crate::protocol::log_protocol::{LINK_VERSION, Order, Report};
use crate::protocol::output::Loss;
use crate::sys::daemonize::{self, Fork, fork};
use crate::sys::lookup::Lookup;
use crate::sys::passing::{self, Outbox};
use crate::sys::poll::Interest;
use crate::sys::socket;

/// So much waits for a log writer that does not read, in bytes, beside what it is told of the programs when it is
/// connected to. Then the connection is given up, with all that waits: the next one begins with the state of that time.
const MOST_WAITING: usize = 8 << 20;
/// So many questions are asked again of the next log writer; the oldest are dropped, and count as not answered.
const MOST_ASKED: usize = 1024;
/// How much may wait to be sent before descriptors to be kept wait their turn, in bytes.
const KEEP_BEHIND: usize = 4 << 10;

/// A descriptor that was kept for this supervisor: its slot, its name, itself.
pub type Kept = (u64, Bytes, OwnedFd);

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
    /// It was told to end.
    leaving: bool,
    /// What outlives a log writer that is killed.
    batch: Option<Batch>,
    input: LineBuffer,
    output: Outbox,
    /// What has come with the input and was not taken yet.
    fds: VecDeque<Option<OwnedFd>>,
    /// What it has kept for this supervisor.
    kept: Vec<Kept>,
    /// Some of that could not be received.
    incomplete: bool,
    /// It has given back all that it had kept.
    recovered: bool,
    /// The highest slot that was ever used.
    slots: u64,
    /// What it is to keep and was not sent yet: one that is dropped before that costs it nothing.
    keeping: VecDeque<(u64, Bytes, Rc<OwnedFd>)>,
    /// That is news.
    news: bool,
    /// What was asked and is not known to be done, by token: a new log writer is asked again.
    asked: Vec<(u64, VecDeque<Order>)>,
    tokens: u64,
    /// Tokens up to this one may have been dropped.
    dropped: u64,
    /// What it is told at the beginning, in bytes, once it has been told; none before.
    told: Option<usize>,
    /// It took nothing for so long that the connection was given up.
    given_up: bool,
    /// What could not be done, by token.
    failures: Vec<(u64, String)>,
    /// What could not be written, by program and stream.
    losses: Vec<(u32, usize, Loss)>,
}

impl LogLink {
    /// Connects to the log writer that is there, else forks one. It is told to execute `program` if this supervisor
    /// dies; then it has to be told of the programs.
    pub fn start(&mut self, home: &Home, program: &Bytes, limits: &str) -> io::Result<()> {
        if self.batch.is_none() {
            self.batch = Some(Batch::open(&home.batch())?);
        }
        let path = home.log_socket();
        let connected = socket::find(&path);
        self.found = matches!(connected, Lookup::There(_));
        let end = match connected {
            Lookup::There(end) => end,
            // Perhaps somebody listens: two log writers would be one too many.
            Lookup::Failed(e) => return Err(e),
            // Nobody listens, so nothing is kept.
            Lookup::Gone => {
                self.news |= !self.recovered;
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
        self.keeping.clear();
        self.incomplete = false;
        self.greeted = false;
        self.recovered = !self.found;
        self.news |= self.recovered;
        self.replaced = false;
        self.leaving = false;
        self.told = None;
        self.end = Some(end);
        self.order(&Order::Attach {
            program: program.clone(),
            limits: limits.to_owned(),
        });
        Ok(())
    }

    /// Records again where that is found which outlives log writers, where its record was removed.
    pub fn record_batch(&self, home: &Home) {
        if let Some(batch) = &self.batch {
            // Without the record a log writer that is killed loses what it was about to write.
            let _ = batch.record_again(&home.batch());
        }
    }

    /// Has the log writer leave, so that another takes its place: this one runs the code of a former release.
    pub fn replace(&mut self) {
        self.replaced = true;
        self.output = Outbox::default();
        self.keeping.clear();
        if self.recovered {
            self.say_goodbye();
        }
    }

    /// What it has kept is here: a log writer that ends closes its own.
    fn say_goodbye(&mut self) {
        self.output.push(Order::Bye.to_line().to_bytes(), None);
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
    pub fn ask_again(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        for order in asked.iter().flat_map(|(_, orders)| orders) {
            self.order(order);
        }
        self.asked = asked;
        self.told = Some(self.output.len());
    }

    /// The stream, to poll.
    pub fn stream(&self) -> Option<&UnixStream> {
        self.end.as_ref()
    }

    /// What to poll for.
    pub fn interest(&self) -> Interest {
        Interest {
            read: true,
            write: self.understands() && !(self.output.is_empty() && self.keeping.is_empty()),
        }
    }

    /// Whether it understands what it is told: it has greeted, or was forked by this supervisor.
    fn understands(&self) -> bool {
        self.greeted || !self.found
    }

    /// Says something to the log writer; it is sent when the loop comes to it.
    pub fn order(&mut self, order: &Order) {
        self.leaving |= *order == Order::Bye;
        self.order_with(order, None);
    }

    /// Says something that comes with a descriptor.
    pub fn order_with(&mut self, order: &Order, fd: Option<OwnedFd>) {
        if self.end.is_some() && !self.replaced {
            self.output
                .push(order.to_line().to_bytes(), fd.map(Rc::new));
            let most = self.told.map_or(usize::MAX, |told| told + MOST_WAITING);
            if self.output.len() > most && !self.leaving {
                self.given_up = true;
                self.end = None;
                self.output = Outbox::default();
            }
        }
    }

    /// Whether lines for the daemons' log can be given to it: it understands them, and takes what it is told.
    pub fn takes_notes(&self, most: usize) -> bool {
        let listens = self.end.is_some() && self.greeted;
        listens && !self.replaced && !self.leaving && self.output.len() < most
    }

    /// Whether the connection was given up, once.
    pub fn was_given_up(&mut self) -> bool {
        std::mem::take(&mut self.given_up)
    }

    /// Has a descriptor kept for the next supervisor. Its slot; none where nobody can keep it now: all is given to the
    /// next log writer, once what the present one keeps is here.
    pub fn keep(&mut self, name: Bytes, fd: Rc<OwnedFd>) -> Option<u64> {
        if self.end.is_none() || self.replaced || !self.recovered {
            return None;
        }
        self.slots += 1;
        self.keeping.push_back((self.slots, name, fd));
        Some(self.slots)
    }

    /// What has this slot is not to be kept any more.
    pub fn drop_kept(&mut self, slot: u64) {
        let waiting = self.keeping.iter().position(|(known, ..)| *known == slot);
        match waiting.and_then(|at| self.keeping.remove(at)) {
            Some(_) => {}
            None => self.order(&Order::Drop { slot }),
        }
    }

    /// Whether the log writer has to be asked again for what it keeps, as some of it could not be received.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Asks again for what the log writer keeps.
    pub fn recall(&mut self) {
        if std::mem::take(&mut self.incomplete) {
            self.kept.clear();
            // Also the log writer that is about to be replaced.
            self.output.push(Order::Recall.to_line().to_bytes(), None);
        }
    }

    /// Whether all that was kept for this supervisor is here.
    pub fn recovered(&self) -> bool {
        self.recovered
    }

    /// What was kept, once all of it is here.
    pub fn take_kept(&mut self) -> Option<Vec<Kept>> {
        std::mem::take(&mut self.news).then(|| std::mem::take(&mut self.kept))
    }

    /// Asks that all that these programs have printed be written; the token of the reports. `last`: they have ended.
    pub fn drain(&mut self, ids: Vec<u32>, last: bool) -> u64 {
        let token = self.tokens + 1;
        self.ask([Order::Drain { ids, last, token }])
    }

    /// The token that is next.
    pub fn next_token(&self) -> u64 {
        self.tokens + 1
    }

    /// Gives orders that bear the next token, each of which is reported.
    pub fn ask(&mut self, orders: impl Into<VecDeque<Order>>) -> u64 {
        self.tokens += 1;
        let orders = orders.into();
        for order in &orders {
            self.order(order);
        }
        if !orders.is_empty() {
            self.asked.push((self.tokens, orders));
        }
        if self.asked.len() > MOST_ASKED {
            let (token, orders) = self.asked.remove(0);
            self.dropped = self.dropped.max(token);
            if orders
                .iter()
                .any(|order| matches!(order, Order::Upkeep { .. }))
            {
                let why = "the log writer does not answer: too many requests wait for it";
                self.failures.push((token, why.to_owned()));
            }
        }
        self.tokens
    }

    /// Whether all orders of this token have been carried out, or could not be.
    pub fn done(&self, token: u64) -> bool {
        token > self.dropped && !self.asked.iter().any(|(asked, _)| *asked == token)
    }

    fn hear_done(&mut self, token: u64, failure: Option<String>) {
        self.failures.extend(failure.map(|why| (token, why)));
        let place = self.asked.iter_mut().find(|(asked, _)| *asked == token);
        if let Some((_, orders)) = place {
            orders.pop_front();
        }
        self.asked.retain(|(_, orders)| !orders.is_empty());
    }

    /// What could not be done, once: the token of the order, and why.
    pub fn take_failures(&mut self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.failures)
    }

    /// What could not be written, once.
    pub fn take_losses(&mut self) -> Vec<(u32, usize, Loss)> {
        std::mem::take(&mut self.losses)
    }

    /// Sends what the log writer takes.
    pub fn flush(&mut self) {
        let Some(stream) = self.end.as_ref().filter(|_| self.understands()) else {
            return;
        };
        loop {
            // A broken connection is heard of by its end.
            let sent = self.output.flush(stream);
            if sent.is_err() || self.output.len() > KEEP_BEHIND {
                return;
            }
            let Some((slot, name, fd)) = self.keeping.pop_front() else {
                return;
            };
            let order = Order::Keep { slot, name };
            self.output.push(order.to_line().to_bytes(), Some(fd));
        }
    }

    /// Reads what it reports: sentences for the journal. `Err`: it has gone.
    pub fn receive(&mut self) -> Result<Vec<String>, ()> {
        let mut notes = Vec::new();
        let Some(stream) = &self.end else {
            return Ok(notes);
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
                    self.slots = self.slots.max(slot);
                    match self.fds.pop_front().flatten() {
                        Some(fd) => self.kept.push((slot, name, fd)),
                        None => self.incomplete = true,
                    }
                }
                Some(Report::Recovered) if self.incomplete => notes.push(
                    "cannot receive all descriptors that the log writer keeps: too many open files; trying again"
                        .to_owned(),
                ),
                Some(Report::Recovered) => {
                    self.news |= !self.recovered;
                    self.recovered = true;
                    if self.replaced {
                        self.say_goodbye();
                    }
                }
                Some(Report::Done { token, failure }) => self.hear_done(token, failure),
                Some(Report::Lost { id, which, loss }) => self.losses.push((id, which, loss)),
                Some(Report::Note { text }) => notes.push(text),
                None => notes.push("the log writer said something that is no report".to_owned()),
            }
        }
        Ok(notes)
    }

    /// The program that the last log writer was at work on, where it has left something.
    pub fn unfinished(&self) -> Option<u32> {
        self.batch
            .as_ref()
            .and_then(Batch::left)
            .map(|(left, _)| left.channel.0)
    }

    /// Forgets a log writer that has gone.
    pub fn lost(&mut self) {
        self.end = None;
    }
}
