//! The event loop of `rpm monit`: keys, signals, the daemon and log files.

use std::os::fd::AsFd;
use std::time::Duration;

use super::actions::Actions;
use super::keys::Decoder;
use super::line::Style;
use super::pane::Pane;
use super::renderer::Renderer;
use super::state::{Effect, Message, Page, State};
use super::view::{self, Host, Layout};
use super::{DEADLY, SIGNALS};
use crate::client::daemon::feed::{Feed, Update};
use crate::client::display::details;
use crate::client::display::usage::Meter;
use crate::error::{Context, Error, Result};
use crate::paths::Home;
use crate::protocol::program_info::ProgramInfo;
use crate::protocol::request::Request;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::{self, SelfPipe, Signal};
use crate::sys::terminal::{self, FullScreen};
use crate::sys::{clock, fd, host, user};

/// How long to wait for the rest of a key's sequence, in ms.
const KEY: u64 = 100;
/// How often the list is asked for, in ms.
const EVERY: u64 = 1_000;
/// After so long a missing answer is reported, in ms.
const LATE: u64 = 3_000;
/// The time between two frames, at least, in ms.
const FRAME: u64 = 40;
/// How long a message is shown, in ms.
const MESSAGE: u64 = 5_000;
/// The size of a terminal that does not report it.
const SIZE: (usize, usize) = (80, 24);

/// How the user left.
pub enum Left {
    /// By a key.
    Quit,
    /// The terminal was closed.
    HungUp,
    /// By a signal.
    Signalled(Signal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Signals,
    Terminal,
    Feed,
    Logs,
    Actions,
}

/// The screen and all that it shows.
pub struct Screen<'a> {
    terminal: &'a FullScreen,
    signals: SelfPipe,
    style: Style,
    state: State,
    host: Host,
    feed: Feed<()>,
    /// When the list is asked for next.
    list_due: u64,
    pane: Pane,
    actions: Actions,
    keys: Decoder,
    renderer: Renderer,
    /// The terminal shows the screen at present.
    entered: bool,
    /// The terminal may show an old state.
    changed: bool,
    /// The details of the selected program are to be asked for.
    wants_record: bool,
    key_due: Option<u64>,
    message_due: Option<u64>,
    frame_due: u64,
}

impl Screen<'_> {
    /// An empty screen.
    pub fn new(
        home: Home,
        targets: Vec<String>,
        terminal: &FullScreen,
        style: Style,
    ) -> Result<Screen<'_>> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Screen {
            feed: Feed::new(home.clone(), targets),
            list_due: 0,
            terminal,
            signals: SelfPipe::install(&SIGNALS).doing(|| "preparing for signals")?,
            style,
            state: State::default(),
            host: Host {
                name: user::host_name(),
                processors,
                ..Host::default()
            },
            pane: Pane::new(style.utf8),
            actions: Actions::new(home),
            keys: Decoder::default(),
            renderer: Renderer::default(),
            entered: false,
            changed: true,
            wants_record: false,
            key_due: None,
            message_due: None,
            frame_due: 0,
        })
    }

    /// Runs until the user leaves.
    pub fn run(mut self) -> Result<Left> {
        let mut set = PollSet::default();
        loop {
            if let Some(left) = self.handle_signals() {
                return Ok(left);
            }
            if !self.entered && !self.take_terminal()? {
                continue;
            }
            let now = clock::monotonic_ms();
            self.run_timers(now);
            if let Some(left) = self.draw(now) {
                return Ok(left);
            }
            self.wait(&mut set, now)?;
            let ready: Vec<Token> = set.ready().map(|(token, _)| token).collect();
            if let Some(left) = self.serve(&ready) {
                return Ok(left);
            }
        }
    }

    /// Takes the terminal. In the background it stops first, as any program that writes to the terminal there.
    fn take_terminal(&mut self) -> Result<bool> {
        if !self.terminal.in_foreground() {
            signal::act_by_default(Signal::TTOU, true);
            self.signals.listening(|| ());
            let continued = self.signals.take(Signal::CONT);
            return match continued || self.terminal.in_foreground() {
                true => Ok(false),
                false => Err(Error::new("the terminal belongs to another job")),
            };
        }
        self.terminal.enter().doing(|| "taking the terminal")?;
        self.entered = true;
        self.renderer.invalidate();
        self.changed = true;
        Ok(true)
    }

    fn handle_signals(&mut self) -> Option<Left> {
        self.signals.drain();
        if let Some(deadly) = DEADLY.into_iter().find(|signal| self.signals.take(*signal)) {
            return Some(Left::Signalled(deadly));
        }
        if self.signals.take(Signal::TSTP) {
            self.suspend(false);
        }
        // Another program may have changed the terminal meanwhile.
        if self.signals.take(Signal::CONT) {
            self.entered = false;
        }
        if self.signals.take(Signal::WINCH) {
            self.renderer.invalidate();
            self.changed = true;
        }
        None
    }

    /// Restores the terminal and stops until it is continued.
    fn suspend(&mut self, whole_job: bool) {
        self.terminal.leave();
        self.entered = false;
        signal::act_by_default(Signal::TSTP, whole_job);
        // Receives the signal that continued it.
        self.signals.listening(|| ());
    }

    /// Does what is due.
    fn run_timers(&mut self, now: u64) {
        if self.key_due.is_some_and(|due| due <= now) {
            self.key_due = None;
            if let Some(key) = self.keys.finish() {
                self.changed = true;
                // Escape has no effect outside.
                let _ = self.state.key(key);
            }
        }
        if self.message_due.is_some_and(|due| due <= now) {
            self.message_due = None;
            self.state.message = None;
            self.changed = true;
        }
        let selected = self.state.list.selected().map(|program| program.process.id);
        if selected != self.pane.of() && selected.is_none() {
            self.pane.clear();
        }
        let wanted = selected.filter(|id| self.wants_record || self.pane.of() != Some(*id));
        self.make_requests(now, wanted);
    }

    /// Asks for the list once a second, and in between for the details of a program. One request at a time, so that one
    /// without an answer is noticed.
    fn make_requests(&mut self, now: u64, wanted: Option<u32>) {
        if let Some(since) = self.feed.waits_since() {
            let waited = now.saturating_sub(since);
            if waited >= LATE && now >= self.list_due {
                self.list_due = now + EVERY;
                let text = format!("the daemon has not answered for {} s", waited / 1000);
                self.set_trouble(text);
            }
        } else if now >= self.list_due {
            self.list_due = now + EVERY;
            self.feed.list(now);
            if !self.feed.is_connected() && self.state.trouble.is_none() {
                let home = self.feed.home().root().display();
                self.set_trouble(format!("no daemon runs in {home}; waiting for one"));
            }
        } else if let Some(id) = wanted {
            let targets = vec![id.to_string()];
            self.feed.ask((), &Request::Describe { targets }, now);
        }
    }

    fn set_trouble(&mut self, text: String) {
        self.state.trouble = Some(text);
        self.changed = true;
    }

    /// When the next request is to be made, or the connection.
    fn feed_due(&self) -> u64 {
        let request = match self.feed.waits_since() {
            Some(since) => self.list_due.max(since + LATE),
            None => self.list_due,
        };
        self.feed.due().map_or(request, |due| due.min(request))
    }

    fn read_feed(&mut self, now: u64) {
        let mut is_changed = false;
        self.feed.turn(now);
        while let Some(update) = self.feed.next(now) {
            match update {
                Update::Listed => {
                    is_changed = true;
                    self.state.trouble = None;
                    self.host.load = host::load();
                    self.host.memory = host::memory();
                    self.wants_record = self.state.page == Page::Details;
                    // In case the files cannot be watched.
                    self.pane.read_new();
                }
                Update::NotListed(failure) => {
                    is_changed = true;
                    self.set_trouble(failure.message);
                }
                Update::Changed(..) => is_changed = true,
                Update::Answered((), Ok(records)) => {
                    records.iter().for_each(|record| self.show_record(record));
                }
                // It was deleted after the list was made.
                Update::Answered((), Err(_)) => self.list_due = 0,
                Update::Lost(Some(error)) => self.set_trouble(error.to_string()),
                Update::Lost(None) => {
                    let home = self.feed.home().root().display();
                    self.set_trouble(format!(
                        "the daemon in {home} has ended; waiting for the next one"
                    ));
                }
            }
        }
        if is_changed {
            self.changed = true;
            let before = self.state.list.selected().map(|program| program.process.id);
            self.state.list.update(self.feed.table(), now);
            self.state.leave_deleted(before);
        }
    }

    fn show_record(&mut self, record: &ProgramInfo) {
        let selected = self.state.list.selected().map(|program| program.process.id);
        if selected != Some(record.process.id) {
            return;
        }
        self.changed = true;
        self.wants_record = false;
        let details = details::rows(record, &mut Meter::new());
        self.state.details = Some((record.process.id, details));
        if self.pane.of() != selected {
            self.pane.open(record);
        }
    }

    /// Draws a frame where something has changed, at most 25 times a second and only when the terminal has taken the last
    /// one.
    fn draw(&mut self, now: u64) -> Option<Left> {
        if self.changed && self.renderer.is_flushed() && now >= self.frame_due {
            self.changed = false;
            self.frame_due = now + FRAME;
            let (columns, rows) = terminal::size(self.terminal.fd()).unwrap_or(SIZE);
            let columns = if columns == 0 { SIZE.0 } else { columns };
            let rows = if rows == 0 { SIZE.1 } else { rows };
            let frame = self.frame(columns, rows);
            self.renderer.draw(frame);
        }
        let flushed = self.renderer.flush(self.terminal.fd());
        flushed.is_err().then_some(Left::HungUp)
    }

    fn frame(&mut self, columns: usize, rows: usize) -> Vec<String> {
        let Some(layout) = Layout::new(columns, rows, &self.state) else {
            return view::too_small(columns, rows, self.style);
        };
        self.state.list.fit(layout.list);
        let selected = self.state.list.selected().map(|program| program.process.id);
        // The lines are still those of another program until the daemon has given the paths of this one.
        let logs = match selected == self.pane.of() {
            true => self.pane.last(layout.logs),
            false => Vec::new(),
        };
        view::frame(&mut self.state, &self.host, &logs, layout, self.style)
    }

    fn wait(&self, set: &mut PollSet<Token>, now: u64) -> Result<()> {
        let may_draw = self.renderer.is_flushed();
        let frame_due = (self.changed && may_draw).then_some(self.frame_due);
        let dues = [
            Some(self.feed_due()),
            self.key_due,
            self.message_due,
            frame_due,
        ];
        let due = dues.into_iter().flatten().min().unwrap_or(now);
        set.clear();
        set.push(self.signals.fd(), Interest::READ, Token::Signals);
        let keys_and_frames = Interest {
            read: true,
            write: !may_draw,
        };
        set.push(self.terminal.fd(), keys_and_frames, Token::Terminal);
        self.feed.push(set, Token::Feed);
        // Log lines faster than frames could not be seen.
        if let Some(changes) = self.pane.fd().filter(|_| !self.changed) {
            set.push(changes, Interest::READ, Token::Logs);
        }
        self.actions.push(set, Token::Actions);
        let time = Duration::from_millis(due.saturating_sub(now));
        let waited = self.signals.listening(|| set.wait(Some(time)));
        waited.doing(|| "waiting for keys")?;
        Ok(())
    }

    fn serve(&mut self, ready: &[Token]) -> Option<Left> {
        if ready.contains(&Token::Terminal) {
            if let Some(left) = self.read_keys() {
                return Some(left);
            }
        }
        let now = clock::monotonic_ms();
        if ready.contains(&Token::Feed) || self.feed.due().is_some_and(|due| due <= now) {
            self.read_feed(now);
        }
        if ready.contains(&Token::Logs) {
            self.changed |= self.pane.files_changed();
        }
        if ready.contains(&Token::Actions) {
            for message in self.actions.turn() {
                self.show(message);
                self.list_due = 0;
            }
        }
        None
    }

    fn read_keys(&mut self) -> Option<Left> {
        let mut buffer = [0; 1024];
        match fd::read(self.terminal.fd().as_fd(), &mut buffer) {
            Ok(0) => return Some(Left::HungUp),
            Ok(n) => self.keys.push(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return Some(Left::HungUp),
        }
        while let Some(key) = self.keys.next_key() {
            self.changed = true;
            match self.state.key(key) {
                Effect::Nothing => {}
                Effect::Quit => return Some(Left::Quit),
                Effect::Suspend => {
                    self.suspend(true);
                    return None;
                }
                Effect::Redraw => self.renderer.invalidate(),
                Effect::Run(action) => {
                    if let Err(text) = self.actions.begin(action) {
                        self.show(Message { text, bad: true });
                    }
                }
            }
            self.start_message_timer();
            if self.state.page == Page::Details {
                self.wants_record = true;
            }
        }
        let now = clock::monotonic_ms();
        self.key_due = self.keys.is_waiting().then_some(now + KEY);
        None
    }

    fn start_message_timer(&mut self) {
        if self.state.message.is_some() && self.message_due.is_none() {
            self.message_due = Some(clock::monotonic_ms() + MESSAGE);
        }
    }

    fn show(&mut self, message: Message) {
        self.state.message = Some(message);
        self.message_due = Some(clock::monotonic_ms() + MESSAGE);
        self.changed = true;
    }
}
