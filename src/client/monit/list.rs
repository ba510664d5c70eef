//! The programs: what was measured of them, their order, which of them is selected, and which are in sight.

use std::cmp::Ordering;

use super::history::History;
use crate::client::daemon::feed::Table;
use crate::protocol::process::Process;

/// One program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// As the daemon told of it last.
    pub process: Process,
    /// Its share of one processor, in tenths of a percent; none before the second sample.
    pub cpu: Option<u32>,
    /// The shares of the last minutes.
    pub cpu_history: History,
    /// The memory of the last minutes, in KiB.
    pub memory_history: History,
}

/// What the list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Order {
    #[default]
    Id,
    Name,
    Cpu,
    Memory,
}

/// How many of the programs are in which condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Counts {
    pub online: usize,
    pub paused: usize,
    pub changing: usize,
    pub down: usize,
}

/// All programs.
#[derive(Debug, Default)]
pub struct List {
    /// By id.
    programs: Vec<Program>,
    /// Places in `programs`: those that match the filter, in order.
    shown: Vec<usize>,
    order: Order,
    filter: String,
    selected: Option<u32>,
    /// Which of `shown` is the selected one.
    cursor: usize,
    /// The first of `shown` that is in sight, and how many are.
    top: usize,
    height: usize,
    #[cfg(test)]
    table: Table,
}

impl List {
    /// Takes over the table of programs at a moment of the monotonic clock.
    pub fn update(&mut self, table: &Table, now_ms: u64) {
        let mut before = std::mem::take(&mut self.programs).into_iter().peekable();
        for program in table.programs() {
            let (process, cpu) = (program.process.clone(), program.cpu);
            while before
                .next_if(|known| known.process.id < process.id)
                .is_some()
            {}
            let known = before.next_if(|known| known.process.id == process.id);
            let histories = known.map(|known| (known.cpu_history, known.memory_history));
            let (mut cpu_history, mut memory_history) =
                histories.unwrap_or_else(|| (History::new(now_ms), History::new(now_ms)));
            let kib = u32::try_from(process.memory >> 10).unwrap_or(u32::MAX);
            cpu_history.note(now_ms, cpu);
            memory_history.note(now_ms, (kib > 0).then_some(kib));
            self.programs.push(Program {
                process,
                cpu,
                cpu_history,
                memory_history,
            });
        }
        self.arrange();
    }

    /// Takes over a list.
    #[cfg(test)]
    pub fn sample(&mut self, processes: Vec<Process>, now_ms: u64) {
        let mut table = std::mem::take(&mut self.table);
        table.replace(processes, now_ms);
        self.update(&table, now_ms);
        self.table = table;
    }

    /// Sorts and filters, and keeps the selected program selected; where it is gone, the one in its place.
    fn arrange(&mut self) {
        let wanted = self.filter.to_ascii_lowercase();
        let (programs, order) = (&self.programs, self.order);
        self.shown.clear();
        for (at, program) in programs.iter().enumerate() {
            if !matches(&program.process, &wanted) {
                continue;
            }
            // Behind those that are equal, so that these stay in the order of their ids.
            let place = match order {
                Order::Id => self.shown.len(),
                order => self.shown.partition_point(|other| {
                    let other = programs.get(*other);
                    other.is_some_and(|other| compared(order, other, program).is_le())
                }),
            };
            self.shown.insert(place, at);
        }
        let found = self
            .shown
            .iter()
            .position(|at| self.id(*at) == self.selected);
        self.select_at(found.unwrap_or(self.cursor));
    }

    fn id(&self, at: usize) -> Option<u32> {
        self.programs.get(at).map(|program| program.process.id)
    }

    fn select_at(&mut self, at: usize) {
        self.cursor = at.min(self.shown.len().saturating_sub(1));
        // Where nothing matches the filter, the selected one is found again when it matches.
        if let Some(at) = self.shown.get(self.cursor) {
            self.selected = self.id(*at);
        }
        self.scroll();
    }

    /// Keeps the selected one in sight, and no room empty that could be used.
    fn scroll(&mut self) {
        let lowest = self.shown.len().saturating_sub(self.height);
        let below = (self.cursor + 1).saturating_sub(self.height);
        self.top = self
            .top
            .clamp(below.min(self.cursor), self.cursor)
            .min(lowest);
    }

    /// Says how many programs are in sight.
    pub fn fit(&mut self, height: usize) {
        self.height = height;
        self.scroll();
    }

    /// Moves the selection up or down.
    pub fn move_by(&mut self, rows: isize) {
        self.select_at(self.cursor.saturating_add_signed(rows));
    }

    /// Moves it by what is in sight.
    pub fn move_by_pages(&mut self, pages: isize) {
        let page = isize::try_from(self.height.max(2) - 1).unwrap_or(1);
        self.move_by(pages.saturating_mul(page));
    }

    /// Sorts anew.
    pub fn sort_by(&mut self, order: Order) {
        self.order = order;
        self.arrange();
    }

    /// What it is sorted by.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Shows only programs whose name, namespace or state has this part, or whose id it is.
    pub fn set_filter(&mut self, filter: String) {
        self.filter = filter;
        self.arrange();
    }

    /// The part that is looked for.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// The selected program.
    pub fn selected(&self) -> Option<&Program> {
        self.shown
            .get(self.cursor)
            .and_then(|at| self.programs.get(*at))
    }

    /// All programs, by id.
    pub fn all(&self) -> &[Program] {
        &self.programs
    }

    /// How many match the filter.
    pub fn len(&self) -> usize {
        self.shown.len()
    }

    /// Which of those the selected one is.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Those in sight, and whether each is the selected one.
    pub fn in_sight(&self) -> impl Iterator<Item = (&Program, bool)> {
        let places = self
            .shown
            .iter()
            .enumerate()
            .skip(self.top)
            .take(self.height);
        places.filter_map(|(place, at)| Some((self.programs.get(*at)?, place == self.cursor)))
    }

    /// How many programs are in which condition.
    pub fn counts(&self) -> Counts {
        use crate::model::life::State;
        let mut counts = Counts::default();
        for program in &self.programs {
            match program.process.state {
                State::Online => counts.online += 1,
                State::Paused => counts.paused += 1,
                State::Stopped | State::Errored => counts.down += 1,
                _ => counts.changing += 1,
            }
        }
        counts
    }
}

/// Whether a program has this part, in lower case, in its name, namespace or state, or this id.
fn matches(process: &Process, wanted: &str) -> bool {
    wanted.is_empty()
        || process.name.to_ascii_lowercase().contains(wanted)
        || process.namespace.to_ascii_lowercase().contains(wanted)
        || process.state.word().contains(wanted)
        || process.id.to_string() == wanted
}

/// Which of two programs comes first.
fn compared(order: Order, one: &Program, other: &Program) -> Ordering {
    match order {
        Order::Id => one.process.id.cmp(&other.process.id),
        Order::Name => one.process.name.cmp(&other.process.name),
        Order::Cpu => other.cpu.cmp(&one.cpu),
        Order::Memory => other.process.memory.cmp(&one.process.memory),
    }
}

#[cfg(test)]
pub fn sample_process(id: u32, name: &str) -> Process {
    use crate::model::life::{State, Want};
    Process {
        mode: crate::model::spec::ExecMode::Fork,
        id,
        name: name.into(),
        namespace: "default".into(),
        state: State::Online,
        want: Want::Up,
        pid: 100,
        since: 1,
        created: 1,
        restarts: 0,
        unstable: 0,
        exit: None,
        instance: 0,
        uid: 0,
        cpu: 0,
        memory: 1 << 20,
        lost: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> List {
        let mut list = List::default();
        let processes = (0..).zip(names).map(|(id, name)| sample_process(id, name));
        list.sample(processes.collect(), 1000);
        list.fit(3);
        list
    }

    fn names(list: &List) -> String {
        let names = list.in_sight().map(|(program, selected)| match selected {
            true => format!("[{}]", program.process.name),
            false => program.process.name.clone(),
        });
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_selection_moves_and_stays_in_sight() {
        let mut list = list(&["a", "b", "c", "d", "e"]);
        assert_eq!(names(&list), "[a] b c");
        list.move_by(3);
        assert_eq!(names(&list), "b c [d]");
        list.move_by(-1);
        assert_eq!(names(&list), "b [c] d");
        list.move_by_pages(1);
        assert_eq!(names(&list), "c d [e]");
        list.move_by(isize::MAX);
        assert_eq!(names(&list), "c d [e]");
        list.fit(9);
        assert_eq!(names(&list), "a b c d [e]");
        list.fit(1);
        assert_eq!(names(&list), "[e]");
        list.fit(0);
        assert_eq!(names(&list), "");
        list.fit(2);
        list.move_by(isize::MIN);
        assert_eq!(names(&list), "[a] b");
    }

    #[test]
    fn the_selected_program_stays_selected_whatever_its_place() {
        let mut list = list(&["c", "b", "a", "d"]);
        list.move_by(2);
        list.sort_by(Order::Name);
        assert_eq!(names(&list), "[a] b c");
        let again = |ids: &[u32]| {
            ids.iter()
                .map(|id| sample_process(*id, &format!("n{id}")))
                .collect()
        };
        list.sample(again(&[0, 2, 3]), 2000);
        assert_eq!(list.selected().unwrap().process.id, 2);
        list.sample(again(&[0, 3]), 3000);
        assert_eq!(
            list.selected().unwrap().process.id,
            3,
            "the one in its place"
        );
        list.sample(Vec::new(), 4000);
        assert!(list.selected().is_none());
        list.sample(again(&[7]), 5000);
        assert_eq!(list.selected().unwrap().process.id, 7);
    }

    #[test]
    fn a_filter_looks_at_names_states_and_ids() {
        let mut list = list(&["api", "web", "API2"]);
        list.set_filter("Api".into());
        assert_eq!(names(&list), "[api] API2");
        list.set_filter("1".into());
        assert_eq!(names(&list), "[web]");
        list.set_filter("stopped".into());
        assert!(list.selected().is_none() && list.len() == 0);
        list.set_filter("1".into());
        list.set_filter("stopped".into());
        list.set_filter(String::new());
        assert_eq!(names(&list), "api [web] API2");
    }

    #[test]
    fn shares_are_what_was_used_between_two_looks_at_one_process() {
        let mut list = List::default();
        let mut look = |pid, cpu, now| {
            let process = Process {
                pid,
                cpu,
                ..sample_process(1, "x")
            };
            list.sample(vec![process], now);
            list.selected().unwrap().cpu
        };
        assert_eq!(look(7, 5000, 1000), None);
        assert_eq!(look(7, 5250, 2000), Some(250));
        assert_eq!(look(7, 7250, 3000), Some(2000));
        assert_eq!(look(8, 10, 4000), None, "another process");
        assert_eq!(look(8, 10, 4000), None, "no time has passed");
        assert_eq!(look(8, 0, 6000), Some(0));
        assert_eq!(look(0, 0, 7000), None);
    }

    #[test]
    fn the_hungriest_come_first() {
        let mut list = List::default();
        for (now, factor) in [(0, 0), (1000, 100)] {
            let process = |id: u32| Process {
                cpu: u64::from(id) * factor,
                memory: u64::from(10 - id),
                ..sample_process(id, "x")
            };
            list.sample((0..4).map(process).collect(), now);
        }
        list.fit(4);
        let ids = |list: &List| {
            list.in_sight()
                .map(|(p, _)| p.process.id)
                .collect::<Vec<_>>()
        };
        list.sort_by(Order::Cpu);
        assert_eq!(ids(&list), [3, 2, 1, 0]);
        list.sort_by(Order::Memory);
        assert_eq!(ids(&list), [0, 1, 2, 3]);
    }
}
