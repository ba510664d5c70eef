//! The loop: one thread, one `poll(2)`, nothing that waits.
//!
//! One turn: give the answers that have become true, make the processes that are due, look at requests that were
//! held up, flush what is to be said → fill the poll set → sleep to the next deadline → read the clock once →
//! deaths, timers, exec reports, the log writer, clients, new connections.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crate::error::Reason;
use crate::model::life::{Event, RunId};
use crate::paths::Home;
use crate::supervisor::control::connection::Connection;
use crate::supervisor::daemon::home_watch::HomeWatch;
use crate::supervisor::daemon::service::Init;
use crate::supervisor::daemon::shutdown::Ending;
use crate::supervisor::daemon::upgrade::Update;
use crate::supervisor::driver::Driver;
use crate::supervisor::log::client::LogClient;
use crate::supervisor::log::daemon_log::{DaemonLog, OnceAMinute};
use crate::supervisor::log::writer::LOGGER_AGAIN;
use crate::supervisor::program::Program;
use crate::supervisor::program::cgroups::Cgroups;
use crate::supervisor::program::limits::Limits;
use crate::supervisor::program::own_output::OwnOutput;
use crate::supervisor::program::processes::Processes;
use crate::supervisor::sockets::held::Sockets;
use crate::supervisor::store::client::StoreClient;
use crate::supervisor::store::unread::UnreadRecords;
use crate::supervisor::timers::{Timer, Timers};
use crate::sys::fd;
use crate::sys::lock::Lock;
use crate::sys::pid::Pid;
use crate::sys::poll::{Interest, PollSet, Ready};
use crate::sys::process::ProcessHandle;
use crate::sys::signal::{self, SelfPipe, Signal};

/// How long a turn is in which the kernel cannot be asked what is ready.
const BLIND_TURN: Duration = Duration::from_millis(100);

/// What a poll entry stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Signals,
    Home,
    Listener,
    Logger,
    Store,
    Check,
    Report(u32),
    Adopted(u32),
    Channel(u32),
    Binding(Pid),
    Client(u64),
}

/// How the supervisor is executed.
#[derive(Debug, Clone)]
pub struct Way {
    /// Its path.
    pub program: PathBuf,
    /// Init or a container started it, and will again.
    pub foreground: bool,
}

/// What the supervisor holds from its start.
pub struct Holdings {
    /// Its lock.
    pub lock: Lock,
    /// The daemons' log.
    pub journal: DaemonLog,
    /// The control socket.
    pub listener: UnixListener,
    /// Signals arrive here.
    pub signals: SelfPipe,
    /// What programs get back.
    pub limits: Limits,
    /// The list of programs.
    pub store: StoreClient,
}

/// Everything that the supervisor knows.
pub struct Supervisor {
    pub(crate) home: Home,
    /// Held for as long as this is the supervisor.
    pub(crate) lock: Lock,
    /// How it is executed.
    pub(crate) way: Way,
    pub(crate) journal: DaemonLog,
    pub(crate) programs: BTreeMap<u32, Program>,
    /// Programs by the pid of their leader, where it is our child.
    pub(crate) by_pid: BTreeMap<Pid, u32>,
    pub(crate) next_id: u32,
    /// Records that could not be read and were set aside.
    pub(crate) damaged: Vec<PathBuf>,
    /// Records that could not be read yet.
    pub(crate) unread: UnreadRecords,
    /// When processes without a descriptor were looked at. ms
    pub(crate) looked: u64,
    wait_failed: OnceAMinute,
    pub(crate) accept_failed: OnceAMinute,
    pub(crate) logger_failed: OnceAMinute,
    pub(crate) home_watch: HomeWatch,
    /// The list on its way to the disk.
    pub(crate) store: StoreClient,
    /// Why it cannot be written, as it was logged last.
    pub(crate) store_noted: Option<String>,
    /// Until when clients wait for the disk. ms
    pub(crate) sync_until: Option<u64>,
    /// What is held for programs.
    pub(crate) sockets: Sockets,
    pub(crate) update: Option<Update>,
    /// Programs whose counts are to be recorded.
    pub(crate) unrecorded: Vec<u32>,
    /// Children that remove the pid file of a program.
    pub(crate) removers: Vec<(Pid, u32)>,
    /// Programs whose process is to be made.
    pub(crate) launches: VecDeque<(u32, RunId)>,
    pub(crate) connections: BTreeMap<u64, Connection>,
    pub(crate) next_connection: u64,
    /// How many turns of answers there were, so that each begins with another client.
    pub(crate) turns: usize,
    /// The client whose requests are looked at first in the next turn.
    pub(crate) first_served: u64,
    pub(crate) log: LogClient,
    pub(crate) log_started: u64,
    /// The outputs of this daemon, or of the one before, that programs may print to.
    pub(crate) own_outputs: Vec<OwnOutput>,
    pub(crate) timers: Timers,
    pub(crate) driver: Box<dyn Driver>,
    /// Where the cgroups of programs are.
    pub(crate) cgroups: Cgroups,
    /// A program could not join its cgroup, and that was noted.
    pub(crate) cgroup_refused: bool,
    /// All processes, where somebody has looked at them in this turn.
    pub(crate) processes: Option<Rc<Processes>>,
    /// How long until programs that were left by their leader are looked at again. ms
    pub(crate) look_again: u64,
    /// Processes that belong to nobody recognizable and were reported.
    pub(crate) reported: Vec<(Pid, u64)>,
    /// What the end leaves behind, a sentence each.
    pub(crate) left_behind: Vec<String>,
    pub(crate) null: OwnedFd,
    /// Given up for a moment when there are no descriptors left, to refuse a client politely.
    pub(crate) spare: Option<OwnedFd>,
    /// What programs get back.
    pub(crate) limits: Limits,
    pub(crate) now: u64,
    /// Something has changed that a pending answer may wait for.
    pub(crate) changed: bool,
    pub(crate) ending: Option<Ending>,
    pub(crate) init: Init,
    /// What the end waits for the log writer to write.
    pub(crate) last_drain: Option<(u64, u64)>,
    pub(crate) listener: UnixListener,
    signals: SelfPipe,
}

impl Supervisor {
    /// A supervisor of no programs.
    pub fn new(
        home: Home,
        way: Way,
        holdings: Holdings,
        driver: Box<dyn Driver>,
    ) -> io::Result<Supervisor> {
        let Holdings {
            lock,
            journal,
            listener,
            signals,
            limits,
            store,
        } = holdings;
        Ok(Supervisor {
            home,
            lock,
            way,
            journal,
            programs: BTreeMap::new(),
            by_pid: BTreeMap::new(),
            next_id: 0,
            damaged: Vec::new(),
            unread: UnreadRecords::default(),
            looked: 0,
            wait_failed: OnceAMinute::default(),
            accept_failed: OnceAMinute::default(),
            logger_failed: OnceAMinute::default(),
            home_watch: HomeWatch::default(),
            store,
            store_noted: None,
            sync_until: None,
            sockets: Sockets::default(),
            update: None,
            unrecorded: Vec::new(),
            removers: Vec::new(),
            launches: VecDeque::new(),
            connections: BTreeMap::new(),
            next_connection: 0,
            first_served: 0,
            turns: 0,
            log: LogClient::default(),
            log_started: 0,
            own_outputs: Vec::new(),
            timers: Timers::default(),
            cgroups: Cgroups::default(),
            cgroup_refused: false,
            processes: None,
            look_again: 0,
            reported: Vec::new(),
            left_behind: Vec::new(),
            null: fd::open_null()?,
            spare: fd::open_null().ok(),
            limits,
            now: driver.now(),
            driver,
            changed: true,
            ending: None,
            init: Init::default(),
            last_drain: None,
            listener,
            signals,
        })
    }

    /// Serves until the end is asked for and has come.
    pub fn run(&mut self) {
        let mut set = PollSet::default();
        let mut ready: Vec<(Token, Ready)> = Vec::new();
        loop {
            let busy = self.settle();
            if self.finished() {
                return;
            }
            self.execute_update();
            self.fill(&mut set);
            self.set_look();
            let sleep = match busy {
                true => Some(Duration::ZERO),
                false => self.timers.next().map(|at| {
                    // Rounded up by the millisecond that `now` may be old: too early would be a turn for nothing.
                    Duration::from_millis(at.saturating_sub(self.driver.now()))
                }),
            };
            let waited = self.signals.listening(|| set.wait(sleep));
            ready.clear();
            let interrupted = match waited {
                Ok(interrupted) => {
                    ready.extend(set.ready());
                    interrupted
                }
                Err(e) => {
                    self.now = self.driver.now();
                    self.note_failed_wait(&e);
                    self.signals.listening(|| std::thread::sleep(BLIND_TURN));
                    ready.extend(set.presumed_ready());
                    true
                }
            };
            self.begin_turn();
            if interrupted || ready.iter().any(|(token, _)| *token == Token::Signals) {
                self.take_signals();
            }
            self.wake(&ready);
        }
    }

    /// Reads the clock, once in a turn.
    pub(crate) fn begin_turn(&mut self) {
        self.now = self.driver.now();
        self.processes = None;
    }

    /// What is done after the poll, once signals were taken.
    pub(crate) fn wake(&mut self, ready: &[(Token, Ready)]) {
        // Looked for in every turn: a signal can be lost, and a death must not be.
        if self.driver.next_dead().is_some() {
            self.reap();
        }
        self.take_turn(ready);
    }

    /// The kernel cannot be asked what is ready: everything is tried, a few times a second, and that is said once a
    /// minute.
    fn note_failed_wait(&mut self, e: &io::Error) {
        if self.wait_failed.may_be_said(self.now) {
            let ms = BLIND_TURN.as_millis();
            self.journal.note(format_args!(
                "polling for events: {}; checking for them every {ms} ms",
                Reason(e)
            ));
        }
    }

    /// What is done before the poll. Returns whether there is more of it.
    pub(crate) fn settle(&mut self) -> bool {
        let mut busy = self.serve_all();
        if std::mem::take(&mut self.changed) || self.rows_wait() {
            busy |= self.settle_answers();
            if self.timers.is_set(Timer::Patience) {
                self.set_patience();
            }
        }
        self.settle_end();
        busy |= self.launch_some();
        self.record_changes();
        self.settle_store();
        self.journal.flush(&mut self.log);
        busy |= self.catch_up();
        self.connections
            .retain(|_, connection| !connection.finished());
        self.log.flush();
        if self.log.was_given_up() {
            self.journal
                .note("the log writer does not read; reconnecting to it");
            let again = Some(self.now + LOGGER_AGAIN);
            self.timers.set(Timer::Logger, again);
        }
        // An answer that was given, or has gone out, frees the request behind it.
        busy |= self.connections.values().any(Connection::is_to_be_served);
        busy | self.changed | self.rows_wait()
    }

    /// Whether a listing can go on.
    fn rows_wait(&self) -> bool {
        use crate::supervisor::control::pending::Pending;
        let mut all = self.connections.values();
        all.any(|c| matches!(c.pending, Some(Pending::Rows(_))) && c.comfortable())
    }

    fn fill(&mut self, set: &mut PollSet<Token>) {
        set.clear();
        set.push(self.signals.fd(), Interest::READ, Token::Signals);
        if let Some(home) = self.home_fd() {
            set.push(home, Interest::READ, Token::Home);
        }
        if let Some(stream) = self.log.stream() {
            set.push(stream.as_fd(), self.log.interest(), Token::Logger);
        }
        if let Some(stream) = self.store.stream() {
            set.push(stream.as_fd(), self.store.interest(), Token::Store);
        }
        if let Some(answer) = self.check_fd() {
            set.push(answer.as_fd(), Interest::READ, Token::Check);
        }
        for binding in &self.sockets.paths.bindings {
            let report = binding.report.as_fd();
            set.push(report, Interest::READ, Token::Binding(binding.child));
        }
        for program in self.programs.values() {
            if let Some(report) = program.report() {
                set.push(report.as_fd(), Interest::READ, Token::Report(program.id));
            }
            if let Some(held) = program.handle().and_then(ProcessHandle::fd) {
                set.push(held, Interest::READ, Token::Adopted(program.id));
            }
            if let Some(channel) = program.channel().filter(|_| self.log.recovered()) {
                set.push(channel.fd(), channel.interest(), Token::Channel(program.id));
            }
        }
        for (token, connection) in &self.connections {
            if let Some(interest) = connection.interest() {
                set.push(connection.stream().as_fd(), interest, Token::Client(*token));
            }
        }
        // After the clients: those that have hung up make room for new ones.
        if !self.timers.is_set(Timer::Accept) {
            set.push(self.listener.as_fd(), Interest::READ, Token::Listener);
        }
    }

    fn take_signals(&mut self) {
        self.signals.drain();
        // Each is taken: one that came with another is not one more.
        let asked = signal::ENDING.map(|signal| self.signals.take(signal));
        if asked.contains(&true) {
            self.journal
                .note("received a signal to end: stopping all programs");
            self.end(Ending::Keep);
        }
        // The death of a child is looked for in every turn; the signal only makes one.
        self.signals.take(Signal::CHLD);
    }

    fn take_turn(&mut self, ready: &[(Token, Ready)]) {
        for (token, _) in ready {
            if let Token::Adopted(id) = token {
                self.adopted_ended(*id);
            }
        }
        while let Some(timer) = self.timers.pop(self.now) {
            match timer {
                Timer::Program(id, deadline) => self.feed(id, Event::Deadline(deadline)),
                Timer::Remains => self.look_at_remains(),
                Timer::Look => self.look_at_unheld(),
                Timer::Unread => self.read_again(),
                Timer::Home => self.look_at_home(),
                Timer::Logger => self.start_logger(),
                Timer::Sync => self.renew_store(),
                Timer::Sockets => self.close_unused_sockets(),
                Timer::Recall => self.log.recall(),
                Timer::Check => self.check_is_late(),
                Timer::Patience => self.patience_is_over(),
                Timer::Accept | Timer::Farewell | Timer::Pause => self.changed = true,
            }
        }
        for (token, ready) in ready {
            match token {
                Token::Report(id) => self.hear_report(*id),
                Token::Logger => self.hear_logger(),
                Token::Store => self.hear_store(),
                Token::Check => self.hear_check(),
                Token::Channel(id) => self.hear_channel(*id),
                Token::Binding(child) => self.hear_binding(*child),
                Token::Client(client) => self.hear_client(*client, *ready),
                Token::Listener => self.accept(),
                Token::Home => self.hear_of_home(),
                Token::Signals | Token::Adopted(_) => {}
            }
        }
    }

    /// A line for the journal about a program.
    pub(crate) fn note(&mut self, id: u32, text: impl std::fmt::Display) {
        let name = self.programs.get(&id).map_or("", |p| p.spec.name.as_str());
        self.journal.note(format_args!("{name} ({id}) {text}"));
    }
}
