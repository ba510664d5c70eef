//! The state of the screen, and what each key does to it. Pure: effects outside are returned.

use super::keys::Key;
use super::list::{List, Order};
use crate::model::life::State as Condition;

/// What the screen shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Page {
    /// The list, with the logs below.
    #[default]
    List,
    /// The details of the selected program.
    Details,
    /// The keys.
    Help,
}

/// What can be done to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Verb {
    Start,
    Restart,
    Stop,
    Pause,
    Resume,
}

impl Verb {
    /// The word in its present and its past.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Verb::Start => ("start", "started"),
            Verb::Restart => ("restart", "restarted"),
            Verb::Stop => ("stop", "stopped"),
            Verb::Pause => ("pause", "paused"),
            Verb::Resume => ("resume", "resumed"),
        }
    }
}

/// A verb and the program it is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Action {
    pub verb: Verb,
    pub id: u32,
    pub name: String,
}

/// The effect of a key outside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Effect {
    Nothing,
    Quit,
    Suspend,
    /// Draw the whole screen.
    Redraw,
    Run(Action),
}

/// A message for the last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The sentence.
    pub text: String,
    /// It is an error.
    pub bad: bool,
}

/// How far ← and → move the logs.
const SHIFT: usize = 8;

/// The keys and what they do, for the help page.
#[rustfmt::skip]
pub const KEYS: &[(&str, &str)] = &[
    ("up down  k j", "select another program"),
    ("PgUp PgDn  Home End", "by pages; the first, the last"),
    ("r", "restart the selected program, or start it"),
    ("s", "stop it"),
    ("p", "pause it, or resume it"),
    ("Enter", "show its details; Enter again goes back"),
    ("/", "show only programs with this name, namespace, state or id; Esc shows all"),
    ("i n c m", "sort by id, name, cpu, memory"),
    ("l", "show logs on the whole screen, and back"),
    ("left right", "scroll the logs sideways"),
    ("^L", "redraw the screen"),
    ("^Z", "suspend; fg resumes"),
    ("q  ^C", "quit"),
];

/// All that the screen shows, without the host and the log lines.
#[derive(Debug, Default)]
pub struct State {
    /// The programs.
    pub list: List,
    /// What is shown.
    pub page: Page,
    /// The first visible line of a page.
    pub top: usize,
    /// The action that is to be confirmed.
    pub unconfirmed: Option<Action>,
    /// Typed characters go to the filter.
    pub is_filtering: bool,
    /// The last message.
    pub message: Option<Message>,
    /// A trouble that lasts.
    pub trouble: Option<String>,
    /// The logs take the whole screen.
    pub logs_only: bool,
    /// By how many cells the logs are scrolled to the right.
    pub shift: usize,
    /// The details of the program with this id.
    pub details: Option<(u32, Vec<(String, String)>)>,
}

impl State {
    /// Handles a key.
    pub fn key(&mut self, key: Key) -> Effect {
        match key {
            Key::Control('c') => return Effect::Quit,
            Key::Control('z') => return Effect::Suspend,
            Key::Control('l') => return Effect::Redraw,
            _ => {}
        }
        if let Some(action) = self.unconfirmed.take() {
            return match key {
                Key::Char('y' | 'Y') | Key::Enter => Effect::Run(action),
                _ => Effect::Nothing,
            };
        }
        if self.is_filtering {
            self.filter(key);
            return Effect::Nothing;
        }
        match (self.page, key) {
            (Page::List, Key::Char('q')) => return Effect::Quit,
            (Page::List, Key::Enter) => self.open(Page::Details),
            (Page::List, Key::Escape) => self.list.set_filter(String::new()),
            (_, Key::Escape | Key::Enter | Key::Backspace | Key::Char('q')) => {
                self.open(Page::List)
            }
            (Page::Help, Key::Char('?')) => self.open(Page::List),
            (_, Key::Char('?' | 'h')) => self.open(Page::Help),
            (_, Key::Char('r')) => self.ask(Verb::Restart),
            (_, Key::Char('s')) => self.ask(Verb::Stop),
            (_, Key::Char('p')) => self.ask(Verb::Pause),
            (Page::List, key) => self.list_key(key),
            (_, key) => self.page_key(key),
        }
        Effect::Nothing
    }

    fn open(&mut self, page: Page) {
        let there_is_one = self.list.selected().is_some();
        if page != Page::Details || there_is_one {
            self.page = page;
            self.top = 0;
        }
    }

    /// Leaves the details of a program that was deleted: the next one in the list is not the one that was meant.
    pub fn leave_deleted(&mut self, before: Option<u32>) {
        let now = self.list.selected().map(|program| program.process.id);
        if self.page == Page::Details && now != before {
            self.unconfirmed = None;
            self.open(Page::List);
        }
    }

    fn list_key(&mut self, key: Key) {
        let list = &mut self.list;
        match key {
            Key::Up | Key::Char('k') => list.move_by(-1),
            Key::Down | Key::Char('j') => list.move_by(1),
            Key::PageUp => list.move_by_pages(-1),
            Key::PageDown | Key::Char(' ') => list.move_by_pages(1),
            Key::Home | Key::Char('g') => list.move_by(isize::MIN),
            Key::End | Key::Char('G') => list.move_by(isize::MAX),
            Key::Char('i') => list.sort_by(Order::Id),
            Key::Char('n') => list.sort_by(Order::Name),
            Key::Char('c') => list.sort_by(Order::Cpu),
            Key::Char('m') => list.sort_by(Order::Memory),
            Key::Char('l') => self.logs_only = !self.logs_only,
            Key::Char('/') => self.is_filtering = true,
            Key::Left => self.shift = self.shift.saturating_sub(SHIFT),
            Key::Right => self.shift = self.shift.saturating_add(SHIFT),
            _ => {}
        }
    }

    fn page_key(&mut self, key: Key) {
        self.top = match key {
            Key::Up | Key::Char('k') => self.top.saturating_sub(1),
            Key::Down | Key::Char('j') => self.top.saturating_add(1),
            Key::PageUp => self.top.saturating_sub(10),
            Key::PageDown | Key::Char(' ') => self.top.saturating_add(10),
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => usize::MAX,
            _ => self.top,
        };
    }

    /// The details of the selected program; none before the daemon has given them.
    pub fn details(&self) -> &[(String, String)] {
        let selected = self.list.selected().map(|program| program.process.id);
        match &self.details {
            Some((of, details)) if Some(*of) == selected => details,
            _ => &[],
        }
    }

    /// Keeps the page filled, with so many visible lines.
    pub fn fit_page(&mut self, lines: usize, height: usize) {
        self.top = self.top.min(lines.saturating_sub(height));
    }

    fn filter(&mut self, key: Key) {
        let mut filter = self.list.filter().to_owned();
        match key {
            Key::Char(c) => filter.push(c),
            Key::Backspace => drop(filter.pop()),
            Key::Control('u') => filter.clear(),
            Key::Enter => self.is_filtering = false,
            Key::Escape => {
                self.is_filtering = false;
                filter.clear();
            }
            Key::Up => self.list.move_by(-1),
            Key::Down => self.list.move_by(1),
            _ => {}
        }
        if filter != self.list.filter() {
            self.list.set_filter(filter);
        }
    }

    /// Asks for confirmation: a slip of the finger must not stop a program.
    fn ask(&mut self, verb: Verb) {
        let Some(program) = self.list.selected() else {
            return;
        };
        let process = &program.process;
        let verb = match (verb, process.state) {
            (Verb::Restart, Condition::Stopped | Condition::Errored) => Verb::Start,
            (Verb::Pause, Condition::Paused) => Verb::Resume,
            (Verb::Stop, Condition::Stopped | Condition::Errored) => {
                return self.refuse("is", "already");
            }
            (Verb::Pause, state) if state != Condition::Online => {
                return self.refuse("cannot be paused, it is", "");
            }
            (verb, _) => verb,
        };
        self.unconfirmed = Some(Action {
            verb,
            id: process.id,
            name: process.name.clone(),
        });
    }

    /// Shows why the state of the selected program forbids an action.
    fn refuse(&mut self, before: &str, after: &str) {
        if let Some(program) = self.list.selected() {
            let (name, word) = (&program.process.name, program.process.state.word());
            let text = format!("{name} {before} {word} {after}");
            self.message = Some(Message {
                text: text.trim_end().to_owned(),
                bad: false,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::list::sample_process;
    use super::*;
    use crate::protocol::process::Process;

    fn state() -> State {
        let mut state = State::default();
        let stopped = Process {
            state: Condition::Stopped,
            ..sample_process(2, "db")
        };
        state
            .list
            .sample(vec![sample_process(1, "api"), stopped], 0);
        state.list.fit(9);
        state
    }

    fn press(state: &mut State, keys: &str) -> Effect {
        let mut effect = Effect::Nothing;
        for c in keys.chars() {
            effect = state.key(match c {
                '\n' => Key::Enter,
                '\x1b' => Key::Escape,
                '\x08' => Key::Backspace,
                c => Key::Char(c),
            });
        }
        effect
    }

    fn action(verb: Verb, id: u32, name: &str) -> Effect {
        let name = name.to_owned();
        Effect::Run(Action { verb, id, name })
    }

    #[test]
    fn every_action_needs_a_confirmation() {
        let mut state = state();
        assert_eq!(press(&mut state, "r"), Effect::Nothing);
        assert!(state.unconfirmed.is_some());
        assert_eq!(press(&mut state, "q"), Effect::Nothing);
        assert!(state.unconfirmed.is_none());
        assert_eq!(press(&mut state, "ry"), action(Verb::Restart, 1, "api"));
        assert_eq!(press(&mut state, "s\n"), action(Verb::Stop, 1, "api"));
        assert_eq!(press(&mut state, "jry"), action(Verb::Start, 2, "db"));
        assert_eq!(press(&mut state, "sy"), Effect::Nothing);
        let told = |state: &State| state.message.clone().unwrap().text;
        assert_eq!(told(&state), "db is stopped already");
        assert_eq!(press(&mut state, "py"), Effect::Nothing);
        assert_eq!(told(&state), "db cannot be paused, it is stopped");
        assert_eq!(press(&mut state, "kpy"), action(Verb::Pause, 1, "api"));
        let paused = Process {
            state: Condition::Paused,
            ..sample_process(1, "api")
        };
        state.list.sample(vec![paused], 1000);
        assert_eq!(press(&mut state, "py"), action(Verb::Resume, 1, "api"));
    }

    #[test]
    fn an_action_applies_to_the_program_that_was_named() {
        let mut state = state();
        press(&mut state, "r");
        state.list.sample(vec![sample_process(9, "new")], 1000);
        assert_eq!(press(&mut state, "y"), action(Verb::Restart, 1, "api"));
    }

    #[test]
    fn typed_characters_filter_the_list() {
        let mut state = state();
        assert_eq!(press(&mut state, "/dbq\x08"), Effect::Nothing);
        assert_eq!((state.list.len(), state.list.filter()), (1, "db"));
        press(&mut state, "\n");
        assert!(!state.is_filtering);
        assert_eq!(press(&mut state, "ry"), action(Verb::Start, 2, "db"));
        press(&mut state, "\x1b");
        assert_eq!((state.list.len(), state.list.filter()), (2, ""));
        press(&mut state, "/x\x1b");
        assert!(!state.is_filtering && state.list.len() == 2);
    }

    #[test]
    fn pages_are_left_by_the_usual_keys() {
        for (open, close) in [
            ("\n", "\n"),
            ("\n", "q"),
            ("?", "?"),
            ("?", "\x1b"),
            ("h", "q"),
        ] {
            let mut state = state();
            press(&mut state, open);
            assert_ne!(state.page, Page::List);
            assert_eq!(press(&mut state, close), Effect::Nothing);
            assert_eq!(state.page, Page::List);
            assert_eq!(press(&mut state, "q"), Effect::Quit);
        }
        let mut empty = State::default();
        press(&mut empty, "\nrs");
        assert_eq!((empty.page, empty.unconfirmed), (Page::List, None));
    }

    #[test]
    fn control_keys_work_everywhere() {
        for before in ["", "/", "r", "\n", "?"] {
            for (letter, effect) in [
                ('c', Effect::Quit),
                ('z', Effect::Suspend),
                ('l', Effect::Redraw),
            ] {
                let mut state = state();
                press(&mut state, before);
                assert_eq!(state.key(Key::Control(letter)), effect);
            }
        }
    }

    #[test]
    fn a_page_scrolls_no_further_than_its_end() {
        let mut state = state();
        press(&mut state, "?G");
        state.fit_page(20, 15);
        assert_eq!(state.top, 5);
        press(&mut state, "k");
        state.fit_page(20, 15);
        assert_eq!(state.top, 4);
        state.fit_page(20, 30);
        assert_eq!(state.top, 0);
    }
}
