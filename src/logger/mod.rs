//! `rpmd-log`, the log writer: moves the output of every program into its log files, so that neither a slow disk nor a
//! flood of output blocks the supervisor. It is also the watchdog that replaces a supervisor that has died.
//!
//! It is forked by a supervisor and outlives it. It listens at `log.sock` and serves the supervisor that connected last.
//! It exits when that says so, after it has written what waits.

mod batch;
mod channel;
mod deadlines;
mod dropped;
mod instance_lock;
mod line_format;
mod line_scan;
mod log_file;
mod log_files;
mod log_path;
mod nonblocking;
mod orders;
mod piecewise;
mod programs;
mod reports;
mod rotation;
mod watchdog;

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

pub use batch::Batch;
use batch::{BatchHeader, Progress};
use channel::{Channel, ChannelId, MUCH};
use deadlines::PendingDrain;
use log_files::{FileId, LogFiles};
use orders::{Kept, PendingRotation};
use programs::Programs;
use watchdog::Watchdog;

use crate::paths::Home;
use crate::protocol::buffer::LineBuffer;
use crate::protocol::log_protocol::{LINK_VERSION, Report};
use crate::protocol::output::{Output, Stream};
use crate::sys::lookup::{self, Lookup};
use crate::sys::passing::Outbox;
use crate::sys::pipe_notify::PipeNotify;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::{self, Signal};
use crate::sys::{apart, clock, daemonize, fd, socket, user};

/// How many batches of busy streams are moved at most before other events are handled.
const BATCHES_PER_POLL: usize = 4;
/// How often the socket is checked while no supervisor is connected.
const CHECK_SOCKET: Duration = Duration::from_secs(1);
/// The pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);
/// The pause after poll(2) failed.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// The log writer's state.
struct Writer<'a> {
    home: Home,
    listener: UnixListener,
    /// The inode number of the listening socket's file.
    socket_inode: Option<u64>,
    /// The supervisor, if one is connected.
    connection: Option<Connection>,
    watchdog: Watchdog,
    /// The log files, with that of the daemon.
    files: LogFiles,
    daemon_log: FileId,
    programs: Programs,
    /// Notifies when more of a partial line comes.
    notify: PipeNotify,
    /// Descriptors for the next supervisor.
    kept: Vec<Kept>,
    /// Programs that the supervisor has not sent since it connected.
    unconfirmed: Vec<u32>,
    batch: &'a mut Batch,
    /// The batch that a previous log writer did not finish. Its program is the first that is opened.
    unfinished: Option<(BatchHeader, Option<Progress>)>,
    rotations: Vec<PendingRotation>,
    drains: Vec<PendingDrain>,
    /// When readers that read nothing were last checked. monotonic ms
    readers_checked: u64,
    /// The token of the last rotation by command, and the files that it rotated.
    rotated: (u64, Vec<PathBuf>),
    /// Channels with dropped output to report, and when. monotonic ms
    drop_reports: Vec<(ChannelId, u64)>,
    /// When FIFOs that could not be opened are tried again. monotonic ms
    retry_fifos_at: Option<u64>,
    exiting: bool,
}

/// The connection of a supervisor.
struct Connection {
    stream: UnixStream,
    input: LineBuffer,
    /// Descriptors that came with the input.
    fds: VecDeque<Option<OwnedFd>>,
    output: Outbox,
}

/// The subject of a poll entry.
#[derive(Clone, Copy)]
enum Token {
    Listener,
    Connection,
    SupervisorExit,
    PipeWritten,
    Channel(ChannelId),
    Room(FileId),
}

/// Serves the supervisors that connect to `listener`, in a process that the first of them has just forked.
pub fn run(listener: UnixListener, home: &Home, batch: Batch) -> ! {
    let given = (home.root().to_owned(), batch.into_memory());
    apart::go_on_apart(
        Some(listener),
        given,
        |listener, (root, memory)| match listener {
            Some(listener) => serve(listener, Home::new(root), &mut Batch::from_memory(memory)),
            None => daemonize::exit_now(1),
        },
    )
}

fn serve(listener: UnixListener, home: Home, batch: &mut Batch) -> ! {
    signal::set_default(Signal::CHLD);
    // The supervisor stops the programs on a shutdown: until then there is output to write.
    let all = signal::ENDING.into_iter().chain(signal::IGNORED);
    all.for_each(signal::ignore);
    // The supervisor sends its own output for programs that use it, see `Order::Standard`.
    let _ = fd::open_null().and_then(|null| fd::replace_stdio(null.as_fd()));
    daemonize::set_process_name(c"rpmd-log");
    let (Ok(()), Ok(notify)) = (batch.prepare(), PipeNotify::new()) else {
        // No descriptors: the supervisor tries again.
        daemonize::exit_now(1)
    };
    let socket_inode = instance_lock::inode_of(&home.log_socket());
    let _lock = instance_lock::wait_for_lock(&home);
    let unfinished = batch.unfinished();
    let mut files = LogFiles::default();
    files.open_spare();
    let daemon_log = files.acquire(home.daemon_log(), &Output::new("", b"", b""));
    let mut writer = Writer {
        home,
        listener,
        socket_inode,
        connection: None,
        watchdog: Watchdog::default(),
        files,
        daemon_log,
        programs: Programs::default(),
        notify,
        kept: Vec::new(),
        unconfirmed: Vec::new(),
        batch,
        unfinished,
        rotations: Vec::new(),
        drains: Vec::new(),
        readers_checked: 0,
        rotated: (0, Vec::new()),
        drop_reports: Vec::new(),
        retry_fifos_at: None,
        exiting: false,
    };
    writer.watchdog.forget_deaths(&writer.home);
    let mut set = PollSet::default();
    while !writer.exiting {
        writer.poll_once(&mut set);
    }
    writer.watchdog.forget_deaths(&writer.home);
    writer.wait_for_readers();
    writer.report_all_drops();
    writer.flush();
    daemonize::exit_now(0)
}

impl Writer<'_> {
    /// Waits for events and handles them.
    fn poll_once(&mut self, set: &mut PollSet<Token>) {
        let timeout = self.fill(set);
        let tokens: Vec<Token> = match set.wait(timeout) {
            Ok(_) => set.ready().map(|(token, _)| token).collect(),
            Err(_) => {
                std::thread::sleep(POLL_PAUSE);
                set.presumed_ready().map(|(token, _)| token).collect()
            }
        };
        // Orders before output, even if they arrived after poll(2): a program may have written after an order about it.
        self.receive();
        let mut accept = false;
        let mut ready = Vec::new();
        for token in tokens {
            match token {
                Token::Listener => accept = true,
                Token::Connection | Token::SupervisorExit => {}
                Token::PipeWritten => {
                    self.notify.clear();
                    ready.extend(self.programs.with_more());
                }
                Token::Channel(id) => ready.push(id),
                Token::Room(id) => {
                    // Writes what the file holds back first.
                    self.files.is_full(id);
                    ready.extend(self.channels_blocked_on(id));
                }
            }
        }
        self.drain_ready(ready);
        self.handle_deadlines();
        self.continue_drains();
        self.watchdog.reap();
        // After the last orders of the previous supervisor.
        if accept {
            self.accept();
        }
        if self.connection.is_some() {
            self.watchdog.forget_deaths_if_stable(&self.home);
        } else if !self.exiting {
            self.check_socket();
            let (files, daemon_log) = (&mut self.files, self.daemon_log);
            self.watchdog.check(&self.home, &mut |text| {
                reports::write_daemon_log(files, daemon_log, text)
            });
        }
        self.finish_rotations();
        self.retry_fifos();
        self.files.close_quiet();
        self.send_notes();
        self.report_drops();
        self.flush();
    }

    /// Fills the poll set, and returns how long to wait at most.
    fn fill(&mut self, set: &mut PollSet<Token>) -> Option<Duration> {
        set.clear();
        set.push(self.listener.as_fd(), Interest::READ, Token::Listener);
        if let Some(connection) = &self.connection {
            let write = !connection.output.is_empty();
            let interest = Interest { read: true, write };
            set.push(connection.stream.as_fd(), interest, Token::Connection);
        } else if let Some(supervisor) = self.watchdog.fd() {
            set.push(supervisor, Interest::READ, Token::SupervisorExit);
        }
        set.push(self.notify.fd(), Interest::READ, Token::PipeWritten);
        let now = clock::monotonic_ms();
        let mut paused_until = None;
        for channel in self.programs.channels() {
            let paused = channel.paused_until(now);
            paused_until = paused_until.into_iter().chain(paused).min();
            if let Some(fifo) = channel.to_poll(now) {
                set.push(fifo, Interest::READ, Token::Channel(channel.id()));
            }
        }
        self.poll_blocked_files(set);
        let deadline = self.next_deadline();
        self.timeout(paused_until.into_iter().chain(deadline).min())
    }

    fn timeout(&self, deadline: Option<u64>) -> Option<Duration> {
        let reports = self.drop_reports.iter().map(|(_, at)| *at);
        let connected = reports.chain(self.watchdog.stable_at());
        let deadline = deadline
            .into_iter()
            .chain(self.rotations.iter().map(|rotation| rotation.deadline))
            .chain(connected.filter(|_| self.connection.is_some()))
            .chain(self.retry_fifos_at)
            .chain(self.files.sweep_at())
            .min();
        let left =
            deadline.map(|at| Duration::from_millis(at.saturating_sub(clock::monotonic_ms())));
        let alone = self.connection.is_none().then(|| {
            let watchdog = self.watchdog.timeout().unwrap_or(CHECK_SOCKET);
            watchdog.min(CHECK_SOCKET)
        });
        alone.into_iter().chain(left).min()
    }

    /// Moves a batch of each ready channel, then more of the busy ones if they are few: a flood does not delay others.
    fn drain_ready(&mut self, ready: Vec<ChannelId>) {
        let mut busy = Vec::new();
        for id in ready {
            if self.drain_some(id) >= MUCH {
                busy.push(id);
            }
        }
        let more = BATCHES_PER_POLL.checked_div(busy.len()).unwrap_or(0);
        for _ in 1..more {
            for id in &busy {
                self.drain_some(*id);
            }
        }
    }

    /// Checks that the next supervisor will find this log writer. Exits if it would find another one.
    fn check_socket(&mut self) {
        let path = self.home.log_socket();
        let found = instance_lock::inode_of(&path);
        if found.is_some() && found == self.socket_inode {
            return;
        }
        match socket::find(&path) {
            Lookup::There(_) => {
                self.write_daemon_log(
                    "another log writer serves this home; leaving the programs to it",
                );
                self.exiting = true;
                return;
            }
            // Another log writer may be there: checked again.
            Lookup::Failed(_) => return,
            Lookup::Gone => {}
        }
        // Removed by mistake, or left behind by a log writer that was killed.
        let _ = std::fs::remove_file(&path);
        if let Ok(listener) = socket::listen(&path) {
            self.listener = listener;
            self.socket_inode = instance_lock::inode_of(&path);
        }
    }

    /// Accepts a supervisor, in place of the one before.
    fn accept(&mut self) {
        let mut accepted = socket::accept(&self.listener);
        if accepted.as_ref().is_err_and(lookup::lacks_room) {
            // For the connection, the supervisor's pidfd and a spare one. Files are opened again when they are used.
            for _ in 0..3 {
                self.files.close_one(0);
            }
            accepted = socket::accept(&self.listener);
        }
        let Ok(stream) = accepted else {
            // The listener stays ready: without a pause this would be a busy loop.
            return std::thread::sleep(ACCEPT_PAUSE);
        };
        let uid = socket::peer_uid(&stream).unwrap_or(u32::MAX);
        if uid != user::effective_uid() && uid != 0 {
            return;
        }
        self.watchdog.connected(socket::peer_pid(&stream));
        self.connection = Some(Connection {
            stream,
            input: LineBuffer::default(),
            fds: VecDeque::new(),
            output: Outbox::default(),
        });
        self.unconfirmed = self.programs.ids();
        // The new supervisor has its own tokens, from 1, and sends its pending orders again.
        self.rotated = (0, Vec::new());
        self.drains.clear();
        for rotation in &mut self.rotations {
            rotation.token = 0;
        }
        self.report(&Report::Hello { link: LINK_VERSION });
        self.return_kept();
        self.report_all_drops();
    }

    fn drain_some(&mut self, id: ChannelId) -> usize {
        self.with(id, Channel::drain_some).unwrap_or(0)
    }

    /// Writes all that a program has written so far, with its partial lines.
    fn drain(&mut self, program: u32) {
        for stream in Stream::BOTH {
            self.with(ChannelId { program, stream }, Channel::drain);
        }
    }

    /// Writes all that a program has written so far, without partial lines where lines are kept whole.
    fn drain_lines(&mut self, program: u32) {
        for stream in Stream::BOTH {
            self.with(ChannelId { program, stream }, Channel::drain_lines);
        }
    }
}
