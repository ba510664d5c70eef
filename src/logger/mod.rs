//! `rpmd-log`, the log writer: drains every program's output into its log files, so that neither a disk nor a flood
//! ever holds up the supervisor; and the keeper, which has another supervisor when the old one died.
//!
//! It is a plain fork of a supervisor and outlives it. It listens at `log.sock`; the supervisor that connected last is
//! the one that it serves. It ends when it is told to, after writing what waits.

mod batch;
mod channel;
mod dropped;
mod file;
mod line_scan;
mod lines;
mod orders;
mod outlet;
mod piecewise;
mod programs;
mod reports;
mod rotation;
mod sink;
mod sinks;
mod turn;
mod waits;
mod watchdog;

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

pub use batch::Batch;
use batch::{Progress, Taken};
use channel::{Channel, MUCH, Name};
use orders::{Kept, Late};
use programs::Programs;
use sinks::Sinks;
use sinks::standard_of;
use waits::Draining;
use watchdog::Keeper;

use crate::paths::Home;
use crate::protocol::buffer::LineBuffer;
use crate::protocol::log_protocol::{LINK_VERSION, Report};
use crate::protocol::output::Output;
use crate::sys::lookup::{self, Lookup};
use crate::sys::passing::Outbox;
use crate::sys::pipe_notify::Bell;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::{self, Signal};
use crate::sys::{apart, clock, daemonize, fd, socket, user};

/// The log writer's state.
struct Writer<'a> {
    home: Home,
    listener: UnixListener,
    /// The number of the file that it listens at.
    place: Option<u64>,
    /// The supervisor, where one is connected.
    link: Option<Link>,
    keeper: Keeper,
    /// The log files, that of the daemons among them.
    sinks: Sinks,
    /// The number of that one.
    journal: usize,
    /// What each program prints.
    programs: Programs,
    /// Rings when more has come of a line whose beginning waits.
    bell: Bell,
    /// What is kept for the next supervisor.
    kept: Vec<Kept>,
    /// Programs that the supervisor has not named since it came.
    unnamed: Vec<u32>,
    /// What is moved goes through here, whoever wrote it.
    batch: &'a mut Batch,
    /// What the last log writer had begun. Its program is the first that is opened.
    inherited: Option<(Taken, Option<Progress>)>,
    /// Files that are set aside when the line that they end with is whole.
    late: Vec<Late>,
    /// Programs whose output is to be written, and waits for room.
    draining: Vec<Draining>,
    /// When it was last looked at readers who take nothing. monotonic ms
    looked_at_full: u64,
    /// Those that the order with this token has set aside.
    rotated: (u64, Vec<PathBuf>),
    /// Streams of which more was dropped than the supervisor knows, and when it is told. ms
    losing: Vec<(Name, u64)>,
    /// When FIFOs that could not be opened are tried again. ms
    fifos_again: Option<u64>,
    ending: bool,
}

/// The connection of a supervisor.
struct Link {
    stream: UnixStream,
    input: LineBuffer,
    /// What has come with the input and was not taken yet.
    fds: VecDeque<Option<OwnedFd>>,
    output: Outbox,
}

/// What a poll entry stands for.
#[derive(Clone, Copy)]
enum Token {
    Listener,
    Link,
    Supervisor,
    Bell,
    Channel(Name),
    Room(usize),
}

/// Serves the supervisors that connect to `listener`; for a process that has just been forked by the first.
pub fn run(listener: UnixListener, home: &Home, batch: Batch) -> ! {
    let given = (home.root().to_owned(), batch.into_memory());
    apart::go_on_apart(
        Some(listener),
        given,
        |listener, (root, memory)| match listener {
            Some(listener) => serve(listener, Home::new(root), &mut Batch::of(memory)),
            None => daemonize::exit_now(1),
        },
    )
}

fn serve(listener: UnixListener, home: Home, batch: &mut Batch) -> ! {
    signal::set_default(Signal::CHLD);
    // The end of the programs is the supervisor's to bring about: until then there is output to save.
    let all = signal::ENDING.into_iter().chain(signal::IGNORED);
    all.for_each(signal::ignore);
    // What the supervisor prints to is handed over where programs print to it too, see `Order::Standard`.
    let _ = fd::open_null().and_then(|null| fd::replace_stdio(null.as_fd()));
    daemonize::set_process_name(c"rpmd-log");
    let (Ok(()), Ok(bell)) = (batch.prepare(), Bell::new()) else {
        // No descriptors: the supervisor will try again.
        daemonize::exit_now(1)
    };
    let place = turn::file_number(&home.log_socket());
    let _turn = turn::wait_for_turn(&home);
    let inherited = batch.left();
    let mut sinks = Sinks::default();
    sinks.keep_spare();
    let journal = sinks.acquire(home.daemon_log(), &Output::new("", b"", b""));
    let mut writer = Writer {
        sinks,
        journal,
        bell,
        late: Vec::new(),
        draining: Vec::new(),
        looked_at_full: 0,
        rotated: (0, Vec::new()),
        losing: Vec::new(),
        fifos_again: None,
        place,
        home,
        listener,
        link: None,
        keeper: Keeper::default(),
        programs: Programs::default(),
        kept: Vec::new(),
        unnamed: Vec::new(),
        batch,
        inherited,
        ending: false,
    };
    writer.keeper.forget(&writer.home);
    let mut set = PollSet::default();
    while !writer.ending {
        writer.turn(&mut set);
    }
    // It was told to end: no supervisor is missed.
    writer.keeper.forget(&writer.home);
    writer.wait_for_readers();
    writer.tell_all_losses();
    writer.flush();
    daemonize::exit_now(0)
}

/// How many batches of busy streams are moved in one turn, where these are few.
const BATCHES_A_TURN: usize = 4;
/// How often the supervisor is told of more that was dropped. ms
const TELL_AGAIN: u64 = 1000;
/// How long until a FIFO that could not be opened is tried again. ms
const FIFO_AGAIN: u64 = 1000;
/// How often the place is looked at where the next supervisor looks for this log writer, while there is none.
const LOOK_AT_PLACE: Duration = Duration::from_secs(1);
/// How long a turn lasts at least in which no connection could be accepted.
const NO_ACCEPT: Duration = Duration::from_millis(5);
/// How long a turn is in which the kernel cannot be asked what is ready.
const BLIND_TURN: Duration = Duration::from_millis(100);
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
        set.push(self.bell.fd(), Interest::READ, Token::Bell);
        let now = clock::monotonic_ms();
        let mut rests = None;
        for (id, program) in self.programs.iter() {
            for (which, channel) in program.channels.iter().enumerate() {
                rests = rests.into_iter().chain(channel.rests(now)).min();
                if let Some(fifo) = channel.to_poll(now) {
                    set.push(fifo, Interest::READ, Token::Channel((*id, which)));
                }
            }
        }
        self.push_full(set);
        let rests = rests.into_iter().chain(self.waits_until()).min();
        let tokens: Vec<Token> = match set.wait(self.timeout(rests)) {
            Ok(_) => set.ready().map(|(token, _)| token).collect(),
            // The kernel cannot be asked what is ready: everything is tried.
            Err(_) => {
                std::thread::sleep(BLIND_TURN);
                set.presumed_ready().map(|(token, _)| token).collect()
            }
        };
        // Before any output, even where poll(2) had looked at the link too early: what a program prints may follow an
        // order about it.
        self.receive();
        let mut comes = false;
        let mut ready = Vec::new();
        let mut has_room = Vec::new();
        for token in tokens {
            match token {
                Token::Listener => comes = true,
                Token::Link | Token::Supervisor => {}
                Token::Bell => {
                    self.bell.silence();
                    ready.extend(self.programs.with_more());
                }
                Token::Channel(name) => ready.push(name),
                Token::Room(number) => {
                    has_room.push(number);
                }
            }
        }
        for number in has_room {
            // What waits there itself goes first.
            self.sinks.is_full(number);
            ready.extend(self.waiting_for(number));
        }
        self.drain_ready(ready);
        self.see_to_waits();
        self.see_to_drains();
        self.keeper.reap();
        // After what the last supervisor has said before it left.
        if comes {
            self.accept();
        }
        if self.link.is_none() && !self.ending {
            self.keep_place();
            let (sinks, journal) = (&mut self.sinks, self.journal);
            self.keeper.look(&self.home, &mut |text| {
                reports::journal(sinks, journal, text)
            });
        }
        if self.link.is_some() {
            self.keeper.settle(&self.home);
        }
        self.see_to_late();
        self.see_to_fifos();
        self.sinks.close_quiet();
        self.pass_notes_on();
        self.tell_losses();
        self.flush();
    }

    /// How long to wait at most; `rests`: when the first stream is to be looked at again.
    fn timeout(&self, rests: Option<u64>) -> Option<Duration> {
        let alone = self.link.is_none().then(|| {
            let keeper = self.keeper.timeout().unwrap_or(LOOK_AT_PLACE);
            keeper.min(LOOK_AT_PLACE)
        });
        let late = self.late.iter().map(|late| late.deadline);
        let at = late
            .chain(
                self.losing
                    .iter()
                    .map(|(_, at)| *at)
                    .filter(|_| self.link.is_some()),
            )
            .chain(self.fifos_again)
            .chain(self.sinks.sweep_at())
            .chain(self.keeper.settles().filter(|_| self.link.is_some()))
            .chain(rests)
            .min();
        let deadline = at.map(|at| Duration::from_millis(at.saturating_sub(clock::monotonic_ms())));
        alone.into_iter().chain(deadline).min()
    }

    /// Gives each stream that has something its turn, then those more that have much, unless they are many: nobody waits
    /// long for one who floods.
    fn drain_ready(&mut self, ready: Vec<Name>) {
        let mut busy = Vec::new();
        for name in ready {
            if self.drain_some(name) >= MUCH {
                busy.push(name);
            }
        }
        let more = BATCHES_A_TURN.checked_div(busy.len()).unwrap_or(0);
        for _ in 1..more {
            for name in &busy {
                self.drain_some(*name);
            }
        }
    }

    /// Sees that the next supervisor will find this log writer, and leaves where it would find another one.
    fn keep_place(&mut self) {
        let path = self.home.log_socket();
        let found = turn::file_number(&path);
        if found.is_some() && found == self.place {
            return;
        }
        match socket::find(&path) {
            Lookup::There(_) => {
                self.journal("there is another log writer: leaving the programs to it");
                self.ending = true;
                return;
            }
            // Perhaps there is: looked for again.
            Lookup::Failed(_) => return,
            Lookup::Gone => {}
        }
        // Removed by mistake, or left by one that was killed.
        let _ = std::fs::remove_file(&path);
        if let Ok(listener) = socket::listen(&path) {
            self.listener = listener;
            self.place = turn::file_number(&path);
        }
    }

    /// A supervisor comes: whoever was there before has gone, or is on its way.
    fn accept(&mut self) {
        let mut accepted = socket::accept(&self.listener);
        if accepted.as_ref().is_err_and(lookup::lacks_room) {
            // Files are opened again when they are needed; a supervisor, and what it is watched by, is needed now.
            for _ in 0..3 {
                self.sinks.close_one(0);
            }
            accepted = socket::accept(&self.listener);
        }
        let Ok(stream) = accepted else {
            // It stays ready: that would be a loop without rest.
            return std::thread::sleep(NO_ACCEPT);
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
        self.unnamed = self.programs.ids();
        // It counts its tokens from the beginning: 0 is none of them.
        self.rotated = (0, Vec::new());
        self.forget_drains();
        self.late.iter_mut().for_each(|late| late.token = 0);
        self.report(&Report::Hello { link: LINK_VERSION });
        self.give_back();
        self.tell_all_losses();
    }

    fn channel(&mut self, name: Name) -> Option<&mut Channel> {
        let program = self.programs.get_mut(name.0)?;
        program.channels.get_mut(name.1)
    }

    /// Does something with a stream and the files, then sees what was dropped.
    fn with<T>(
        &mut self,
        name: Name,
        act: impl FnOnce(&mut Channel, &mut Sinks, &mut Batch, &Bell) -> T,
    ) -> Option<T> {
        let program = self.programs.get_mut(name.0)?;
        let channel = program.channels.get_mut(name.1)?;
        let before = channel.lost;
        let done = act(channel, &mut self.sinks, self.batch, &self.bell);
        let (lost, said) = (channel.lost, std::mem::take(&mut channel.said));
        // The supervisor may not know yet how much it was in the end.
        for loss in said {
            self.tell_loss(name, loss);
        }
        if lost != before {
            let now = clock::monotonic_ms();
            let first = before.bytes == 0 || lost.bytes == 0;
            match self.losing.iter_mut().find(|(known, _)| *known == name) {
                Some((_, at)) if first => *at = now,
                Some(_) => {}
                None if first => self.losing.push((name, now)),
                None => self.losing.push((name, now + TELL_AGAIN)),
            }
        }
        Some(done)
    }

    fn drain_some(&mut self, name: Name) -> usize {
        let moved = self.with(name, |channel, sinks, batch, bell| {
            channel.drain_some(sinks, batch, bell)
        });
        moved.unwrap_or(0)
    }

    /// Moves all that waits of a program.
    fn drain(&mut self, id: u32) {
        for which in 0..2 {
            self.with((id, which), |channel, sinks, batch, bell| {
                channel.drain(sinks, batch, bell);
            });
        }
    }

    /// The same, but for the beginning of a line that is not finished yet.
    fn drain_lines(&mut self, id: u32) {
        for which in 0..2 {
            self.with((id, which), |channel, sinks, batch, bell| {
                channel.drain_lines(sinks, batch, bell);
            });
        }
    }

    fn drain_all(&mut self) {
        for id in self.programs.ids() {
            self.drain_lines(id);
        }
    }
}
