//! Answers of many rows. Each row is written when the client has read the rows before it, so an answer has no length
//! limit for a client that reads, and costs no memory for one that does not.

use crate::protocol::line::{Line, LineWriter};
use crate::protocol::process::Process;
use crate::supervisor::control::pending::{Pending, ok_count};
use crate::supervisor::daemon::handover::pending::{push_ids, read_ids};
use crate::supervisor::event_loop::Supervisor;

/// How many rows all clients together get in one turn of the loop.
pub const A_TURN: usize = 1024;

/// An answer of many rows under way.
#[derive(Debug, Default)]
pub struct Rows {
    /// The programs.
    pub ids: Vec<u32>,
    /// How many of them have been written.
    pub done: usize,
    /// Whether every field of each is written.
    pub full: bool,
    /// Those that have left the list meanwhile, as they were; in the order of `ids`.
    pub forgotten: Vec<Process>,
    /// The line that ends the answer, where it is another than that of a listing.
    pub last: Option<Line>,
}

impl Rows {
    /// The rows of these programs, none written yet.
    pub fn new(ids: Vec<u32>, full: bool) -> Rows {
        Rows {
            ids,
            full,
            ..Rows::default()
        }
    }

    /// Adds the rest to a line, for another release that is executed in the place of this one.
    pub fn push_to(&self, line: &mut Line) {
        push_ids(line, "id", &self.ids);
        line.push("done", self.done.to_string());
        if let Some(last) = &self.last {
            line.push("last", last.to_bytes());
        }
        for process in &self.forgotten {
            let mut row = Vec::new();
            let mut writer = LineWriter::begin(&mut row, "process");
            process.write(&mut writer);
            writer.end();
            line.push("forgotten", row);
        }
    }

    /// The rest that a line has.
    pub fn of(line: &Line, full: bool) -> Option<Rows> {
        let process = |row: &[u8]| Process::from_line(&Line::decode(row).ok()?);
        Some(Rows {
            ids: read_ids(line, "id"),
            done: line.number("done")?,
            full,
            forgotten: line.all("forgotten").filter_map(process).collect(),
            last: line.get("last").and_then(|last| Line::decode(last).ok()),
        })
    }
}

impl Supervisor {
    /// The clients that wait for an answer: a different one is the first each time, as one turn may not do for all.
    pub(crate) fn waiting(&mut self) -> Vec<u64> {
        let waiting = self.connections.iter().filter(|(_, c)| c.pending.is_some());
        let mut tokens: Vec<u64> = waiting.map(|(token, _)| *token).collect();
        self.turns = self.turns.wrapping_add(1);
        if let Some(first) = self.turns.checked_rem(tokens.len()) {
            tokens.rotate_left(first);
        }
        tokens
    }

    /// Whether somebody is there to read the answer.
    pub(crate) fn is_heard(&self, token: u64) -> bool {
        self.connections.get(&token).is_some_and(|c| !c.is_gone())
    }

    /// Writes rows until the client has enough for now, or `share` is used up.
    pub(crate) fn settle_rows(
        &mut self,
        token: u64,
        mut rows: Rows,
        share: &mut usize,
    ) -> Option<Pending> {
        if !self.is_heard(token) {
            return None;
        }
        while let Some(id) = rows.ids.get(rows.done) {
            let connection = self.connections.get_mut(&token)?;
            if !connection.comfortable() || *share == 0 {
                return Some(Pending::Rows(rows));
            }
            *share -= 1;
            let at = rows
                .forgotten
                .binary_search_by_key(id, |process| process.id);
            if let Some(process) = at.ok().and_then(|at| rows.forgotten.get(at)) {
                connection.say_with("process", |line| process.write(line));
            } else if let Some(program) = self.programs.get_mut(id) {
                let process = program.measured(self.driver.proc());
                connection.say_with("process", |line| match rows.full {
                    true => program.describe(&process, &self.home, line),
                    false => process.write(line),
                });
            }
            rows.done += 1;
        }
        let last = rows
            .last
            .take()
            .unwrap_or_else(|| self.end_of_listing(rows.ids.len()));
        self.reply(token, |c| c.say(&last));
        None
    }

    fn end_of_listing(&mut self, count: usize) -> Line {
        let mut last = ok_count(count);
        self.say_unlisted(&mut last);
        last
    }
}
