//! The loop: keys, signals, the daemon and log files, each as it comes.

use std::os::fd::AsFd;
use std::time::Duration;

use super::feed::{Feed, News};
use super::keys::Decoder;
use super::line::Style;
use super::painter::Painter;
use super::pane::Pane;
use super::state::{Deed, Errand, Page, State, Wish};
use super::view::{self, Host, Layout};
use super::{DEADLY, SIGNALS};
use crate::client::daemon::link::{Heard, Link};
use crate::client::display::details;
use crate::client::display::usage::Meter;
use crate::error::{Context, Error, Result};
use crate::paths::Home;
use crate::protocol::request::Request;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::{self, SelfPipe, Signal};
use crate::sys::terminal::{self, FullScreen};
use crate::sys::{clock, fd, host, user};

/// How long the rest of a key's sequence is waited for, in ms.
const KEY: u64 = 100;
/// The time between two frames, at least, in ms.
const FRAME: u64 = 40;
/// How long news stand in the last line, in ms.
const NEWS: u64 = 5_000;
/// How many deeds may be under way.
const ERRANDS: usize = 16;
/// The size of a terminal that does not tell.
const SIZE: (usize, usize) = (80, 24);

/// How it was left.
pub enum Left {
    /// By a key.
    Quit,
    /// The terminal has gone.
    HungUp,
    /// By a signal.
    Signalled(Signal),
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Signals,
    Terminal,
    Feed,
    Logs,
    Errand,
}

/// All of it.
pub struct Screen<'a> {
    home: Home,
    terminal: &'a FullScreen,
    signals: SelfPipe,
    style: Style,
    state: State,
    host: Host,
    feed: Feed,
    pane: Pane,
    errands: Vec<(Link, Errand)>,
    keys: Decoder,
    painter: Painter,
    /// Whether the terminal is ours at present.
    entered: bool,
    /// Whether what is shown may be out of date.
    changed: bool,
    /// Whether the details are to be asked for.
    wants_record: bool,
    key_due: Option<u64>,
    message_due: Option<u64>,
    frame_due: u64,
}

impl Screen<'_> {
    /// A screen that shows nothing yet.
    pub fn new(
        home: Home,
        targets: Vec<String>,
        terminal: &FullScreen,
        style: Style,
    ) -> Result<Screen<'_>> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Screen {
            feed: Feed::new(home.clone(), targets),
            home,
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
            errands: Vec::new(),
            keys: Decoder::default(),
            painter: Painter::default(),
            entered: false,
            changed: true,
            wants_record: false,
            key_due: None,
            message_due: None,
            frame_due: 0,
        })
    }

    /// Runs until it is left.
    pub fn run(mut self) -> Result<Left> {
        let mut set = PollSet::default();
        loop {
            if let Some(left) = self.hear_signals() {
                return Ok(left);
            }
            if !self.entered && !self.take_terminal()? {
                continue;
            }
            let now = clock::monotonic_ms();
            self.keep_up(now);
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

    /// Takes the terminal, where it is ours to take. In the background it waits to be continued, as `bg` leaves it.
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
        self.painter.forget();
        self.changed = true;
        Ok(true)
    }

    fn hear_signals(&mut self) -> Option<Left> {
        self.signals.drain();
        if let Some(deadly) = DEADLY.into_iter().find(|signal| self.signals.take(*signal)) {
            return Some(Left::Signalled(deadly));
        }
        if self.signals.take(Signal::TSTP) {
            self.suspend(false);
        }
        // Whoever had the terminal meanwhile has left it in a state of its own.
        if self.signals.take(Signal::CONT) {
            self.entered = false;
        }
        if self.signals.take(Signal::WINCH) {
            self.painter.forget();
            self.changed = true;
        }
        None
    }

    /// Gives the terminal back and stops until it is continued.
    fn suspend(&mut self, whole_job: bool) {
        self.terminal.leave();
        self.entered = false;
        signal::act_by_default(Signal::TSTP, whole_job);
        // What continued it, and what came meanwhile.
        self.signals.listening(|| ());
    }

    /// What time brings.
    fn keep_up(&mut self, now: u64) {
        if self.key_due.is_some_and(|due| due <= now) {
            self.key_due = None;
            if let Some(key) = self.keys.give_up() {
                self.changed = true;
                // An escape asks for nothing outside.
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
        if let Some(news) = self.feed.prompt(now, wanted) {
            self.take_news(news);
        }
    }

    fn take_news(&mut self, news: News) {
        self.changed = true;
        match news {
            News::List(processes) => {
                let before = self.state.list.selected().map(|program| program.process.id);
                self.state.list.sample(processes, clock::monotonic_ms());
                self.state.leave_what_is_gone(before);
                self.state.trouble = None;
                self.host.load = host::load();
                self.host.memory = host::memory();
                self.wants_record = self.state.page == Page::Details;
                // In case the files cannot be watched.
                self.pane.look();
            }
            News::ProgramInfo(record) => {
                let selected = self.state.list.selected().map(|program| program.process.id);
                if selected != Some(record.process.id) {
                    return;
                }
                self.wants_record = false;
                let details = details::rows(&record, &mut Meter::new());
                self.state.details = Some((record.process.id, details));
                if self.pane.of() != selected {
                    self.pane.open(&record);
                }
            }
            News::RequestError(sentence) => self.state.trouble = Some(sentence),
        }
    }

    /// Brings what is shown up to date, not too often, and only when the terminal has taken the last frame.
    fn draw(&mut self, now: u64) -> Option<Left> {
        if self.changed && self.painter.is_done() && now >= self.frame_due {
            self.changed = false;
            self.frame_due = now + FRAME;
            let (columns, rows) = terminal::size(self.terminal.fd()).unwrap_or(SIZE);
            let columns = if columns == 0 { SIZE.0 } else { columns };
            let rows = if rows == 0 { SIZE.1 } else { rows };
            let frame = self.frame(columns, rows);
            self.painter.paint(frame);
        }
        let flushed = self.painter.flush(self.terminal.fd());
        flushed.is_err().then_some(Left::HungUp)
    }

    fn frame(&mut self, columns: usize, rows: usize) -> Vec<String> {
        let Some(layout) = Layout::new(columns, rows, &self.state) else {
            return view::too_small(columns, rows, self.style);
        };
        self.state.list.fit(layout.list);
        let selected = self.state.list.selected().map(|program| program.process.id);
        // Another program's are still there until the daemon has said where this one's are.
        let logs = match selected == self.pane.of() {
            true => self.pane.last(layout.logs),
            false => Vec::new(),
        };
        view::frame(&mut self.state, &self.host, &logs, layout, self.style)
    }

    fn wait(&self, set: &mut PollSet<Token>, now: u64) -> Result<()> {
        let may_draw = self.painter.is_done();
        let frame_due = (self.changed && may_draw).then_some(self.frame_due);
        let dues = [
            Some(self.feed.due()),
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
        if let Some(link) = self.feed.link() {
            set.push(link.fd(), link.interest(), Token::Feed);
        }
        // Nobody could see log lines that come faster than frames.
        if let Some(changes) = self.pane.fd().filter(|_| !self.changed) {
            set.push(changes, Interest::READ, Token::Logs);
        }
        for (link, _) in &self.errands {
            set.push(link.fd(), link.interest(), Token::Errand);
        }
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
        if ready.contains(&Token::Feed) {
            for news in self.feed.turn() {
                self.take_news(news);
            }
        }
        if ready.contains(&Token::Logs) {
            self.changed |= self.pane.hear();
        }
        if ready.contains(&Token::Errand) {
            self.hear_errands();
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
                Wish::Nothing => {}
                Wish::Quit => return Some(Left::Quit),
                Wish::Suspend => {
                    self.suspend(true);
                    return None;
                }
                Wish::Redraw => self.painter.forget(),
                Wish::Run(errand) => self.run_errand(errand),
            }
            self.note_message();
            if self.state.page == Page::Details {
                self.wants_record = true;
            }
        }
        let now = clock::monotonic_ms();
        self.key_due = self.keys.is_waiting().then_some(now + KEY);
        None
    }

    fn note_message(&mut self) {
        if self.state.message.is_some() && self.message_due.is_none() {
            self.message_due = Some(clock::monotonic_ms() + NEWS);
        }
    }

    fn tell(&mut self, text: String, bad: bool) {
        self.state.tell(text, bad);
        self.message_due = Some(clock::monotonic_ms() + NEWS);
        self.changed = true;
    }

    /// Each deed has a connection of its own: its answer may take as long as the program takes to end.
    fn run_errand(&mut self, errand: Errand) {
        if self.errands.len() >= ERRANDS {
            return self.tell(
                format!("{ERRANDS} programs are being changed already; wait for them"),
                true,
            );
        }
        let targets = vec![errand.id.to_string()];
        let request = match errand.deed {
            Deed::Start | Deed::Restart => Request::Restart {
                targets,
                told: None,
            },
            Deed::Stop => Request::Stop { targets },
            Deed::Pause => Request::Pause { targets },
            Deed::Resume => Request::Resume { targets },
        };
        match Link::connect(&self.home) {
            Ok(mut link) => {
                link.ask(&request);
                self.errands.push((link, errand));
            }
            Err(error) => self.tell(error.to_string(), true),
        }
    }

    fn hear_errands(&mut self) {
        let mut told = None;
        self.errands.retain_mut(|(link, errand)| {
            let lives = link.turn();
            let Errand { deed, id, name } = errand;
            let (verb, done) = deed.words();
            loop {
                let failed = match link.next() {
                    Ok(Some(Heard::Row(_))) => continue,
                    Ok(Some(Heard::Done)) => {
                        told = Some((format!("{done} {name} (id {id})"), false));
                        return false;
                    }
                    Ok(None) if lives => return true,
                    Ok(None) => "the daemon ended before it had answered".to_owned(),
                    Ok(Some(Heard::Refused(why))) => why,
                    Err(error) => error.to_string(),
                };
                told = Some((format!("cannot {verb} {name}: {failed}"), true));
                return false;
            }
        });
        if let Some((text, bad)) = told {
            self.tell(text, bad);
            self.feed.hurry();
        }
    }
}
