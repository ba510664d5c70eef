//! What the screen is about, and what each key does to it. Pure: what is to be done outside is returned.

use super::keys::Key;
use super::list::{List, Order};
use crate::model::life::State as Condition;

/// What takes the room of list and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Page {
    /// The list, with the logs below.
    #[default]
    List,
    /// All that is known of the selected program.
    Details,
    /// The keys.
    Help,
}

/// Something that is done to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Deed {
    Start,
    Restart,
    Stop,
    Pause,
    Resume,
}

impl Deed {
    /// How it is asked for, and how it is told of.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Deed::Start => ("start", "started"),
            Deed::Restart => ("restart", "restarted"),
            Deed::Stop => ("stop", "stopped"),
            Deed::Pause => ("pause", "paused"),
            Deed::Resume => ("resume", "resumed"),
        }
    }
}

/// A deed and the program that it is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Errand {
    pub deed: Deed,
    pub id: u32,
    pub name: String,
}

/// What a key asks of the world outside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Wish {
    Nothing,
    Quit,
    Suspend,
    /// The whole screen anew.
    Redraw,
    Run(Errand),
}

/// News for the last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The sentence.
    pub text: String,
    /// Whether it is bad news.
    pub bad: bool,
}

/// How far ← and → move the logs.
const SHIFT: usize = 8;

/// The keys and what they do, for people.
#[rustfmt::skip]
pub const KEYS: &[(&str, &str)] = &[
    ("up down  k j", "select another program"),
    ("PgUp PgDn  Home End", "by pages; the first, the last"),
    ("r", "restart the selected program, or start it"),
    ("s", "stop it"),
    ("p", "pause it, or have it go on"),
    ("Enter", "all that is known of it; Enter again goes back"),
    ("/", "show only what has this name, namespace, state or id; Esc shows all"),
    ("i n c m", "sort by id, name, cpu, memory"),
    ("l", "logs on the whole screen, and back"),
    ("left right", "the logs' lines further left, further right"),
    ("^L", "redraw the screen"),
    ("^Z", "suspend; fg comes back"),
    ("q  ^C", "leave"),
];

/// All that the screen shows but what is measured of the machine, and log lines.
#[derive(Debug, Default)]
pub struct State {
    /// The programs.
    pub list: List,
    /// What is shown.
    pub page: Page,
    /// The first line of a page that is in sight.
    pub top: usize,
    /// What waits for a yes.
    pub asked: Option<Errand>,
    /// Whether what is typed is looked for.
    pub finding: bool,
    /// The last news.
    pub message: Option<Message>,
    /// What is wrong for as long as it is.
    pub trouble: Option<String>,
    /// Whether the logs take all the room.
    pub tall: bool,
    /// How many cells of the logs are passed over on the left.
    pub shift: usize,
    /// All that is known of the program with this id.
    pub details: Option<(u32, Vec<(String, String)>)>,
}

impl State {
    /// Takes one key.
    pub fn key(&mut self, key: Key) -> Wish {
        match key {
            Key::Control('c') => return Wish::Quit,
            Key::Control('z') => return Wish::Suspend,
            Key::Control('l') => return Wish::Redraw,
            _ => {}
        }
        if let Some(errand) = self.asked.take() {
            return match key {
                Key::Char('y' | 'Y') | Key::Enter => Wish::Run(errand),
                _ => Wish::Nothing,
            };
        }
        if self.finding {
            self.find(key);
            return Wish::Nothing;
        }
        match (self.page, key) {
            (Page::List, Key::Char('q')) => return Wish::Quit,
            (Page::List, Key::Enter) => self.turn_to(Page::Details),
            (Page::List, Key::Escape) => self.list.set_filter(String::new()),
            (_, Key::Escape | Key::Enter | Key::Backspace | Key::Char('q')) => {
                self.turn_to(Page::List)
            }
            (Page::Help, Key::Char('?')) => self.turn_to(Page::List),
            (_, Key::Char('?' | 'h')) => self.turn_to(Page::Help),
            (_, Key::Char('r')) => self.ask(Deed::Restart),
            (_, Key::Char('s')) => self.ask(Deed::Stop),
            (_, Key::Char('p')) => self.ask(Deed::Pause),
            (Page::List, key) => self.list_key(key),
            (_, key) => self.page_key(key),
        }
        Wish::Nothing
    }

    fn turn_to(&mut self, page: Page) {
        let there_is_one = self.list.selected().is_some();
        if page != Page::Details || there_is_one {
            self.page = page;
            self.top = 0;
        }
    }

    /// Leaves the details of a program that has gone: the next one in the list is not the one that was meant.
    pub fn leave_what_is_gone(&mut self, before: Option<u32>) {
        let now = self.list.selected().map(|program| program.process.id);
        if self.page == Page::Details && now != before {
            self.asked = None;
            self.turn_to(Page::List);
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
            Key::Char('l') => self.tall = !self.tall,
            Key::Char('/') => self.finding = true,
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

    /// All that is known of the selected program, as far as it has been told.
    pub fn details(&self) -> &[(String, String)] {
        let selected = self.list.selected().map(|program| program.process.id);
        match &self.details {
            Some((of, details)) if Some(*of) == selected => details,
            _ => &[],
        }
    }

    /// Keeps the page filled, when so many of its lines are in sight.
    pub fn fit_page(&mut self, lines: usize, height: usize) {
        self.top = self.top.min(lines.saturating_sub(height));
    }

    fn find(&mut self, key: Key) {
        let mut filter = self.list.filter().to_owned();
        match key {
            Key::Char(c) => filter.push(c),
            Key::Backspace => drop(filter.pop()),
            Key::Control('u') => filter.clear(),
            Key::Enter => self.finding = false,
            Key::Escape => {
                self.finding = false;
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

    /// Asks before something is done that a slip of the finger must not do.
    fn ask(&mut self, deed: Deed) {
        let Some(program) = self.list.selected() else {
            return;
        };
        let process = &program.process;
        let deed = match (deed, process.state) {
            (Deed::Restart, Condition::Stopped | Condition::Errored) => Deed::Start,
            (Deed::Pause, Condition::Paused) => Deed::Resume,
            (Deed::Stop, Condition::Stopped | Condition::Errored) => {
                return self.refuse("is", "already");
            }
            (Deed::Pause, state) if state != Condition::Online => {
                return self.refuse("cannot be paused, it is", "");
            }
            (deed, _) => deed,
        };
        self.asked = Some(Errand {
            deed,
            id: process.id,
            name: process.name.clone(),
        });
    }

    /// Says why the selected program's state forbids something.
    fn refuse(&mut self, before: &str, after: &str) {
        if let Some(program) = self.list.selected() {
            let (name, word) = (&program.process.name, program.process.state.word());
            let text = format!("{name} {before} {word} {after}");
            self.tell(text.trim_end().to_owned(), false);
        }
    }

    /// Shows news.
    pub fn tell(&mut self, text: String, bad: bool) {
        self.message = Some(Message { text, bad });
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

    fn press(state: &mut State, keys: &str) -> Wish {
        let mut wish = Wish::Nothing;
        for c in keys.chars() {
            wish = state.key(match c {
                '\n' => Key::Enter,
                '\x1b' => Key::Escape,
                '\x08' => Key::Backspace,
                c => Key::Char(c),
            });
        }
        wish
    }

    fn errand(deed: Deed, id: u32, name: &str) -> Wish {
        let name = name.to_owned();
        Wish::Run(Errand { deed, id, name })
    }

    #[test]
    fn nothing_is_done_without_a_yes() {
        let mut state = state();
        assert_eq!(press(&mut state, "r"), Wish::Nothing);
        assert!(state.asked.is_some());
        assert_eq!(press(&mut state, "q"), Wish::Nothing);
        assert!(state.asked.is_none());
        assert_eq!(press(&mut state, "ry"), errand(Deed::Restart, 1, "api"));
        assert_eq!(press(&mut state, "s\n"), errand(Deed::Stop, 1, "api"));
        assert_eq!(press(&mut state, "jry"), errand(Deed::Start, 2, "db"));
        assert_eq!(press(&mut state, "sy"), Wish::Nothing);
        let told = |state: &State| state.message.clone().unwrap().text;
        assert_eq!(told(&state), "db is stopped already");
        assert_eq!(press(&mut state, "py"), Wish::Nothing);
        assert_eq!(told(&state), "db cannot be paused, it is stopped");
        assert_eq!(press(&mut state, "kpy"), errand(Deed::Pause, 1, "api"));
        let paused = Process {
            state: Condition::Paused,
            ..sample_process(1, "api")
        };
        state.list.sample(vec![paused], 1000);
        assert_eq!(press(&mut state, "py"), errand(Deed::Resume, 1, "api"));
    }

    #[test]
    fn what_is_asked_for_is_done_to_the_program_that_was_named() {
        let mut state = state();
        press(&mut state, "r");
        state.list.sample(vec![sample_process(9, "new")], 1000);
        assert_eq!(press(&mut state, "y"), errand(Deed::Restart, 1, "api"));
    }

    #[test]
    fn what_is_typed_is_looked_for() {
        let mut state = state();
        assert_eq!(press(&mut state, "/dbq\x08"), Wish::Nothing);
        assert_eq!((state.list.len(), state.list.filter()), (1, "db"));
        press(&mut state, "\n");
        assert!(!state.finding);
        assert_eq!(press(&mut state, "ry"), errand(Deed::Start, 2, "db"));
        press(&mut state, "\x1b");
        assert_eq!((state.list.len(), state.list.filter()), (2, ""));
        press(&mut state, "/x\x1b");
        assert!(!state.finding && state.list.len() == 2);
    }

    #[test]
    fn pages_are_left_by_the_keys_that_people_try() {
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
            assert_eq!(press(&mut state, close), Wish::Nothing);
            assert_eq!(state.page, Page::List);
            assert_eq!(press(&mut state, "q"), Wish::Quit);
        }
        let mut empty = State::default();
        press(&mut empty, "\nrs");
        assert_eq!((empty.page, empty.asked), (Page::List, None));
    }

    #[test]
    fn control_keys_work_everywhere() {
        for before in ["", "/", "r", "\n", "?"] {
            for (letter, wish) in [('c', Wish::Quit), ('z', Wish::Suspend), ('l', Wish::Redraw)] {
                let mut state = state();
                press(&mut state, before);
                assert_eq!(state.key(Key::Control(letter)), wish);
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
