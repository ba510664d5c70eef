//! `rpmd-log`, the log writer: drains every program's output into its log files, so that neither a disk nor a flood
//! ever holds up the supervisor; and the keeper, which has another supervisor when the old one died.
//!
//! It is a plain fork of a supervisor and outlives it. It listens at `log.sock`; the supervisor that connected last is
//! the one that it serves. It ends when it is told to, after writing what waits.

mod batch;
mod channel;
pub mod journal;
mod keeper;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

pub use batch::Batch;
use channel::Channel;
use journal::Journal;
use keeper::Keeper;

use crate::app::value::Bytes;
use crate::paths::Home;
use crate::protocol::buffer::LineBuffer;
use crate::protocol::line::Line;
use crate::protocol::link::{LINK_VERSION, Order, Report, Upkeep};
use crate::sys::lock::Lock;
use crate::sys::passing::{self, Outbox};
use crate::sys::pid::Pid;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::{self, Signal};
use crate::sys::{daemonize, fd, socket, user};

/// The log writer's state.
struct Writer<'a> {
    home: Home,
    listener: UnixListener,
    /// The number of the file that it listens at.
    place: Option<u64>,
    /// The supervisor, where one is connected.
    link: Option<Link>,
    keeper: Keeper,
    journal: Journal,
    /// Standard output and standard error of each program.
    channels: BTreeMap<u32, [Channel; 2]>,
    /// What is kept for the next supervisor.
    kept: BTreeMap<Bytes, OwnedFd>,
    /// Programs that the supervisor has not named since it came.
    unnamed: BTreeSet<u32>,
    /// What is moved goes through here, whoever wrote it.
    batch: &'a mut Batch,
    /// What the last log writer had begun. Its program is the first that is opened.
    inherited: Option<batch::Left>,
    ending: bool,
}

/// The connection of a supervisor.
struct Link {
    stream: UnixStream,
    input: LineBuffer,
    /// What has come with the input and was not taken yet.
    fds: VecDeque<OwnedFd>,
    output: Outbox,
}

/// What a poll entry stands for.
#[derive(Clone, Copy)]
enum Token {
    Listener,
    Link,
    Supervisor,
    Channel(u32, usize),
}

/// Serves the supervisors that connect to `listener`; for a process that has just been forked by the first.
pub fn run(listener: UnixListener, home: Home, batch: &mut Batch) -> ! {
    signal::set_default(Signal::CHLD);
    // The end of the programs is the supervisor's to bring about: until then there is output to save.
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::PIPE] {
        signal::ignore(signal);
    }
    fd::close_all_except(&[listener.as_raw_fd()]);
    daemonize::set_process_name(c"rpmd-log");
    if batch.prepare().is_err() {
        // No descriptors: the supervisor will try again.
        daemonize::exit_now(1);
    }
    let place = file_number(&home.log_socket());
    let _turn = wait_for_turn(&home);
    let inherited = batch.left();
    let mut writer = Writer {
        journal: Journal::open(&home, "rpmd-log", false),
        place,
        home,
        listener,
        link: None,
        keeper: Keeper::default(),
        channels: BTreeMap::new(),
        kept: BTreeMap::new(),
        unnamed: BTreeSet::new(),
        batch,
        inherited,
        ending: false,
    };
    let mut set = PollSet::default();
    while !writer.ending {
        writer.turn(&mut set);
    }
    writer.drain_all();
    writer.flush();
    daemonize::exit_now(0)
}

/// How often the place is looked at where the next supervisor looks for this log writer, while there is none.
const LOOK_AT_PLACE: Duration = Duration::from_secs(1);
/// How often a log writer that waits for its turn looks whether it has come.
const LOOK_AT_TURN: Duration = Duration::from_millis(20);

/// Waits until no other log writer of this home is at work: two readers would tear the output apart. The lock is that of
/// the folder of records. Ends this process when the supervisor that forked it has died meanwhile.
fn wait_for_turn(home: &Home) -> Option<Lock> {
    let supervisor = Pid::parent();
    loop {
        match Lock::acquire(&home.run()) {
            Ok(Some(lock)) => return Some(lock),
            Ok(None) if Pid::parent() == supervisor => {
                let _ = PollSet::<()>::default().wait(Some(LOOK_AT_TURN));
            }
            Ok(None) => daemonize::exit_now(0),
            // The folder is gone: there is nothing to be torn apart.
            Err(_) => return None,
        }
    }
}

/// What tells a file from others that had its path before and after.
fn file_number(path: &Path) -> Option<u64> {
    Some(std::fs::symlink_metadata(path).ok()?.ino())
}

impl Writer<'_> {
    fn turn(&mut self, set: &mut PollSet<Token>) {
        set.clear();
        set.push(self.listener.as_fd(), Interest::READ, Token::Listener);
        if let Some(link) = &self.link {
            let write = !link.output.is_empty();
            let interest = Interest { read: true, write };
            set.push(link.stream.as_fd(), interest, Token::Link);
        }
        if let Some(supervisor) = self.keeper.fd().filter(|_| self.link.is_none()) {
            set.push(supervisor, Interest::READ, Token::Supervisor);
        }
        for (id, pair) in &self.channels {
            for (which, channel) in pair.iter().enumerate() {
                if let Some(fifo) = channel.fifo() {
                    set.push(fifo, Interest::READ, Token::Channel(*id, which));
                }
            }
        }
        let timeout = match &self.link {
            Some(_) => None,
            None => Some(
                self.keeper
                    .timeout()
                    .unwrap_or(LOOK_AT_PLACE)
                    .min(LOOK_AT_PLACE),
            ),
        };
        if set.wait(timeout).is_err() {
            return;
        }
        // Before any output, even where poll(2) had looked at the link too early: what a program prints may follow an
        // order about it.
        self.receive();
        let mut comes = false;
        for (token, _) in set.ready() {
            match token {
                Token::Listener => comes = true,
                Token::Link | Token::Supervisor => {}
                Token::Channel(id, which) => self.drain_some(id, which),
            }
        }
        self.keeper.reap();
        // After what the last supervisor has said before it left.
        if comes {
            self.accept();
        }
        if self.link.is_none() && !self.ending {
            self.keep_place();
            self.keeper.look(&self.home, &mut self.journal);
        }
        self.flush();
    }

    /// Sees that the next supervisor will find this log writer, and leaves where it would find another one.
    fn keep_place(&mut self) {
        let path = self.home.log_socket();
        let found = file_number(&path);
        if found.is_some() && found == self.place {
            return;
        }
        if found.is_some() && socket::connect_now(&path).is_ok() {
            self.journal
                .note("there is another log writer: leaving the programs to it");
            self.journal.flush();
            self.ending = true;
            return;
        }
        // Removed by mistake, or left by one that was killed.
        let _ = std::fs::remove_file(&path);
        if let Ok(listener) = socket::listen(&path) {
            self.listener = listener;
            self.place = file_number(&path);
        }
    }

    /// A supervisor comes: whoever was there before has gone, or is on its way.
    fn accept(&mut self) {
        let Ok(stream) = socket::accept(&self.listener) else {
            return;
        };
        let uid = socket::peer_uid(&stream).unwrap_or(u32::MAX);
        if uid != user::effective_uid() && uid != 0 {
            return;
        }
        self.keeper.attached(socket::peer_pid(&stream));
        self.link = Some(Link {
            stream,
            input: LineBuffer::default(),
            fds: VecDeque::new(),
            output: Outbox::default(),
        });
        self.unnamed = self.channels.keys().copied().collect();
        self.report(&Report::Hello { link: LINK_VERSION });
        let copies = self.kept.iter();
        let copies = copies.filter_map(|(name, fd)| Some((name.clone(), fd.try_clone().ok()?)));
        for (name, fd) in copies.collect::<Vec<_>>() {
            self.report_with(&Report::Kept { name }, Some(fd));
        }
        self.report(&Report::Recovered);
    }

    fn drain_some(&mut self, id: u32, which: usize) {
        let channel = self
            .channels
            .get_mut(&id)
            .and_then(|pair| pair.get_mut(which));
        let note = channel.and_then(|c| c.drain_some((id, which), self.batch));
        self.note(note);
    }

    fn drain(&mut self, id: u32) {
        for which in 0..2 {
            let channel = self
                .channels
                .get_mut(&id)
                .and_then(|pair| pair.get_mut(which));
            let note = channel.and_then(|c| c.drain_waiting((id, which), self.batch));
            self.note(note);
        }
    }

    fn drain_all(&mut self) {
        let ids: Vec<u32> = self.channels.keys().copied().collect();
        for id in ids {
            self.drain(id);
        }
    }

    /// Takes all that the supervisor has said.
    fn receive(&mut self) {
        let mut orders = Vec::new();
        let mut buffer = [0; 16 << 10];
        while let Some(link) = &mut self.link {
            match passing::receive(&link.stream, &mut buffer, &mut link.fds) {
                Ok(n @ 1..) => link.input.push(buffer.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.link = None,
            }
            if let Some(link) = &mut self.link {
                while let Ok(Some(line)) = link.input.next_line() {
                    let order = Line::decode(line).ok().as_ref().and_then(Order::from_line);
                    if let Some(Order::Keep { name }) = order {
                        if let Some(fd) = link.fds.pop_front() {
                            self.kept.insert(name, fd);
                        }
                    } else {
                        orders.extend(order);
                    }
                }
            }
        }
        for order in orders {
            self.carry_out(order);
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Attach { program, limits } => self.keeper.set_program(program, limits),
            Order::Complete => {
                for id in std::mem::take(&mut self.unnamed) {
                    self.channels.remove(&id);
                }
            }
            Order::Open { id, output, .. } => self.open(id, &output.out, &output.err),
            Order::Close { id } => {
                self.channels.remove(&id);
            }
            Order::Drain { ids, token } => {
                for id in ids {
                    self.drain(id);
                }
                let failure = None;
                self.report(&Report::Done { token, failure });
            }
            Order::Upkeep {
                what,
                id,
                output,
                token,
            } => {
                self.drain(id);
                let done = match what {
                    Upkeep::Flush => [&output.out, &output.err]
                        .into_iter()
                        .try_for_each(|f| channel::empty(f)),
                    Upkeep::Rotate | Upkeep::Reopen => {
                        let mut pair = self.channels.get_mut(&id).into_iter().flatten();
                        pair.try_for_each(Channel::reopen)
                    }
                };
                let failure = done.err().map(|why| why.to_string());
                self.report(&Report::Done { token, failure });
            }
            // Taken where its descriptor is.
            Order::Keep { .. } => {}
            Order::Drop { name } => {
                self.kept.remove(&name);
            }
            Order::Bye => self.ending = true,
        }
    }

    fn open(&mut self, id: u32, out: &Bytes, err: &Bytes) {
        self.unnamed.remove(&id);
        let pairs = self
            .channels
            .get(&id)
            .map(|pair| pair.iter().zip([out, err]));
        if pairs.is_some_and(|mut pairs| pairs.all(|(channel, file)| channel.goes_to(file))) {
            return;
        }
        let records = self.home.records(id);
        let pairs = [(records.out(), out), (records.err(), err)];
        let opened = pairs.map(|(fifo, file)| Channel::open(&fifo, file));
        let mut notes = Vec::new();
        let channels = opened.map(|(channel, note)| {
            notes.extend(note);
            channel
        });
        self.channels.insert(id, channels);
        self.finish(id);
        for note in notes {
            self.note(Some(note));
        }
    }

    /// Finishes what a log writer before this one had begun for a program, before anything else of it is written.
    fn finish(&mut self, id: u32) {
        let Some(left) = self.inherited.take() else {
            return;
        };
        if left.channel.0 != id {
            // Its program has been forgotten meanwhile.
            self.batch.done();
            return;
        }
        let channel = self
            .channels
            .get_mut(&id)
            .and_then(|pair| pair.get_mut(left.channel.1));
        let note = channel.and_then(|c| c.finish(self.batch, &left));
        self.note(note);
    }

    /// What belongs into the daemons' log: by way of the supervisor, so that its lines stand in their order.
    fn note(&mut self, text: Option<String>) {
        let Some(text) = text else { return };
        match self.link {
            Some(_) => self.report(&Report::Note { text }),
            None => {
                self.journal.note(text);
                self.journal.flush();
            }
        }
    }

    fn report(&mut self, report: &Report) {
        self.report_with(report, None);
    }

    fn report_with(&mut self, report: &Report, fd: Option<OwnedFd>) {
        if let Some(link) = &mut self.link {
            link.output.push(report.to_line().to_bytes(), fd);
        }
    }

    fn flush(&mut self) {
        if let Some(link) = &mut self.link {
            // A broken connection is heard of by its end.
            let _ = link.output.flush(&link.stream);
        }
    }
}
