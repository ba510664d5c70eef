//! The table of programs that `rpm list` prints.

use std::fmt::Write as _;

use super::output::{Look, Tint, harmless};
use super::table::{Column, Narrow, Table};
use super::usage::Meter;
use super::users::Users;
use crate::model::life::State;
use crate::protocol::process::Process;
use crate::units;

const fn column(title: &'static str, right: bool, narrow: Narrow) -> Column {
    Column {
        title,
        plain_title: title,
        right,
        narrow,
    }
}

const ID: Column = column("id", true, Narrow::Keep);
const NAME: Column = column("name", false, Narrow::Cut(3));
const NAMESPACE: Column = column("namespace", false, Narrow::Drop(0));
const MODE: Column = column("mode", false, Narrow::Drop(2));
const PID: Column = column("pid", true, Narrow::Drop(8));
const UPTIME: Column = column("uptime", true, Narrow::Drop(7));
const RESTARTS: Column = Column {
    title: "↺",
    plain_title: "restarts",
    right: true,
    narrow: Narrow::Drop(6),
};
const STATUS: Column = column("status", false, Narrow::Keep);
const CPU: Column = column("cpu", true, Narrow::Drop(4));
const MEMORY: Column = column("mem", true, Narrow::Drop(5));
const USER: Column = column("user", false, Narrow::Drop(1));

/// On a terminal narrower than this, names of users are not even looked up.
const ROOM_FOR_USERS: usize = 90;

/// The colour of a state.
pub fn tint(state: State) -> Tint {
    match state {
        State::Online => Tint::Good,
        State::Launching | State::Paused | State::Stopping | State::Waiting => Tint::Changing,
        State::Stopped | State::Errored => Tint::Bad,
    }
}

/// Tenths of a percent as people read them.
pub fn percent(tenths: u64) -> String {
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// The list while it is being made, program by program.
pub struct ProcessTable {
    look: Look,
    table: Table,
    /// What stands in the place of the table where blocks are wanted.
    blocks: String,
    with_users: bool,
    /// The moment that the table is of.
    pub meter: Meter,
    users: Users,
    /// Whether one of the programs is not online.
    pub down: bool,
    /// The programs of which output could not be written: the first, as people call it, and its id.
    losing: Option<(String, u32)>,
    /// How many these are.
    losers: usize,
    /// How much of theirs that is, in bytes.
    lost: u64,
}

impl ProcessTable {
    /// An empty table.
    pub fn new(look: Look) -> ProcessTable {
        let mut columns = vec![
            &ID, &NAME, &NAMESPACE, &MODE, &PID, &UPTIME, &RESTARTS, &STATUS, &CPU, &MEMORY,
        ];
        let with_users = !look.terminal || look.columns >= ROOM_FOR_USERS;
        if with_users {
            columns.push(&USER);
        }
        ProcessTable {
            look,
            table: Table::new(columns),
            blocks: String::new(),
            with_users,
            meter: Meter::new(),
            users: Users::default(),
            down: false,
            losing: None,
            losers: 0,
            lost: 0,
        }
    }

    /// The sentence about output that could not be written, where there is any.
    pub fn lost_text(&self) -> Option<String> {
        let (name, id) = self.losing.as_ref()?;
        let (whose, others) = match self.losers {
            1 => ("its", String::new()),
            2 => ("their", " and another program".to_owned()),
            count => ("their", format!(" and {} other programs", count - 1)),
        };
        let size = units::format_bytes(self.lost);
        Some(format!(
            "output of {name} (id {id}){others} could not be written to {whose} log files: {size}; \
             see rpm describe {id}"
        ))
    }

    /// Adds a program.
    pub fn add(&mut self, process: &Process) {
        self.down |= process.state != State::Online;
        if process.lost > 0 {
            let own = || (harmless(&process.name).into_owned(), process.id);
            self.losing.get_or_insert_with(own);
            self.losers += 1;
            self.lost = self.lost.saturating_add(process.lost);
        }
        match self.look.mini {
            true => self.add_block(process),
            false => self.add_row(process),
        }
    }

    /// The table as text.
    pub fn finish(self) -> String {
        match self.look.mini {
            true => self.blocks,
            false => self.table.render(self.look),
        }
    }

    fn add_row(&mut self, process: &Process) {
        let (table, meter) = (&mut self.table, &mut self.meter);
        table.cell(process.id);
        table.cell(harmless(&process.name));
        table.cell(harmless(&process.namespace));
        table.cell(process.mode.word());
        table.optional((process.pid > 0).then_some(process.pid));
        table.optional(meter.uptime(process).map(units::format_age));
        table.cell(process.restarts);
        table.tinted(process.state.word(), Some(tint(process.state)));
        table.optional(meter.cpu(process).map(percent));
        table.optional(meter.memory(process).map(units::format_bytes));
        if self.with_users {
            table.cell(self.users.name(process.uid));
        }
    }

    /// A block of lines, as in pm2's mini list.
    fn add_block(&mut self, process: &Process) {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let _ = write!(
            self.blocks,
            "+--- {}\nnamespace : {}\npid : {}\nrpm id : {}\nstatus : {}\nmode : {}\nrestarted : {}\n\
             uptime : {}\ncpu : {}\nmemory usage : {}\n",
            harmless(&process.name),
            harmless(&process.namespace),
            or_none((process.pid > 0).then(|| process.pid.to_string())),
            process.id,
            process.state.word(),
            process.mode.word(),
            process.restarts,
            or_none(self.meter.uptime(process).map(units::format_age)),
            or_none(self.meter.cpu(process).map(percent)),
            or_none(self.meter.memory(process).map(units::format_bytes)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::life::{STATES, Want};

    fn process(id: u32, name: &str, state: State) -> Process {
        Process {
            id,
            name: name.into(),
            namespace: "default".into(),
            state,
            want: Want::Up,
            pid: 0,
            since: 0,
            created: 1,
            restarts: id,
            unstable: 0,
            exit: None,
            mode: crate::model::spec::ExecMode::Fork,
            instance: 0,
            uid: 0,
            cpu: 0,
            memory: 0,
            lost: 0,
        }
    }

    fn text(processes: &[Process], look: Look) -> String {
        let mut listing = ProcessTable::new(look);
        processes.iter().for_each(|process| listing.add(process));
        listing.finish()
    }

    fn all_states() -> Vec<Process> {
        let named = |(id, state)| process(id, "a-name-that-is-longer-than-any-column", state);
        (1234..).zip(STATES).map(named).collect()
    }

    #[test]
    fn the_table_fits_every_terminal() {
        for columns in 40..200 {
            let look = Look {
                terminal: true,
                columns,
                ..Look::default()
            };
            let text = text(&all_states(), look);
            for line in text.lines() {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
            assert!(text.contains("waiting restart") && text.contains("1234"));
        }
    }

    #[test]
    fn eighty_columns_show_what_matters() {
        let look = Look {
            terminal: true,
            columns: 80,
            ..Look::default()
        };
        let text = text(&[process(0, "api", State::Online)], look);
        let heading = text.lines().nth(1).unwrap();
        for title in ["id", "name", "pid", "uptime", "↺", "status", "cpu", "mem"] {
            assert!(heading.contains(&format!(" {title} ")), "{heading}");
        }
    }

    #[test]
    fn without_a_terminal_it_is_plain_ascii() {
        let text = text(&all_states(), Look::default());
        assert!(text.is_ascii() && text.contains("restarts") && !text.contains('|'));
        assert!(text.contains("a-name-that-is-longer-than-any-column"));
    }

    #[test]
    fn output_that_was_lost_is_told_in_one_sentence() {
        let mut listing = ProcessTable::new(Look::default());
        let mut sentence = |id, lost| {
            let mut process = process(id, "a\x1b", State::Online);
            process.lost = lost;
            listing.add(&process);
            listing.lost_text().unwrap_or_default()
        };
        assert_eq!(sentence(0, 0), "");
        assert_eq!(
            sentence(1, 12_900_000),
            "output of a? (id 1) could not be written to its log files: 12.3mb; see rpm describe 1"
        );
        let two = sentence(2, 1);
        assert!(two.contains("(id 1) and another program could not be written to their log"));
        let three = sentence(3, 10_000_000);
        assert!(three.contains("(id 1) and 2 other programs could") && three.contains("21.8mb"));
    }

    #[test]
    fn the_mini_list_is_made_of_blocks() {
        let look = Look {
            mini: true,
            ..Look::default()
        };
        let text = text(&[process(3, "a\x1b[2J", State::Errored)], look);
        assert!(text.starts_with("+--- a?[2J\n") && text.contains("status : errored\n"));
    }
}
