//! The table of programs: which columns fit, and a line for each program.

use super::history::ENTRIES;
use super::line::{Line, Style};
use super::list::{List, Order, Program};
use super::text;
use crate::client::display::output::Tint;
use crate::client::display::process_table::{percent, tint};
use crate::client::display::usage::Meter;
use crate::units;

/// A column that is left out where there is no room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Id,
    Name,
    Status,
    Restarts,
    Uptime,
    CpuBar,
    Cpu,
    MemoryBar,
    Memory,
    Curve,
    Pid,
}

/// The columns from left to right.
const ORDER: [What; 11] = [
    What::Id,
    What::Name,
    What::Pid,
    What::Status,
    What::Restarts,
    What::Uptime,
    What::Cpu,
    What::CpuBar,
    What::Memory,
    What::MemoryBar,
    What::Curve,
];

/// The width of names: what they have at least, and up to where they grow before the next columns come.
const NAME: [usize; 4] = [8, 12, 20, 40];
const BAR: usize = 6;
/// The widths that a curve of [`ENTRIES`] entries can have, the widest first.
const CURVES: [usize; 5] = [ENTRIES, ENTRIES / 2, ENTRIES / 3, ENTRIES / 4, ENTRIES / 5];
/// How much of one processor fills a curve whose peak is lower, in tenths of a percent.
const CURVE_TOP: u32 = 100;

/// The columns that fit, with their widths.
#[derive(Debug, PartialEq, Eq)]
pub struct Columns(Vec<(What, usize)>);

fn digits(number: u64) -> usize {
    number
        .checked_ilog10()
        .map_or(1, |log| usize::try_from(log).unwrap_or(0) + 1)
}

impl Columns {
    /// What fits into a line of so many cells.
    pub fn fit(room: usize, list: &List) -> Columns {
        let all = list.all();
        let most = |number: fn(&Program) -> u64| all.iter().map(number).max().map_or(1, digits);
        let longest = all
            .iter()
            .map(|program| text::columns(&program.process.name))
            .max();
        let id = most(|program| program.process.id.into()).max(2);
        let restarts = most(|program| program.process.restarts.into()).max(2);
        let [least, short, middling, widest] = NAME;
        let longest = longest.unwrap_or(0);
        // Two cells for the mark of the selected line; a blank before each column but the first.
        let mut left = room.saturating_sub(2 + id + 1 + least);
        let mut fitting = vec![(What::Id, id)];
        let mut name = least;
        let mut curve = None;
        for (what, width) in [
            (What::Status, 9),
            (What::Cpu, 6),
            (What::Memory, 8),
            (What::Restarts, restarts),
            (What::Uptime, 4),
            (What::CpuBar, BAR),
            (What::MemoryBar, BAR),
            (What::Name, short),
            (What::Curve, ENTRIES / 6),
            (What::Name, middling),
            (What::Pid, 7),
            (What::Name, widest),
        ] {
            if what == What::Name {
                let more = longest.min(width).saturating_sub(name).min(left);
                (name, left) = (name + more, left - more);
                continue;
            }
            let Some(rest) = left.checked_sub(width + 1) else {
                continue;
            };
            left = rest;
            match what {
                What::Curve => curve = Some(width),
                _ => fitting.push((what, width)),
            }
        }
        fitting.push((What::Name, name));
        if let Some(width) = curve {
            let wider = CURVES.into_iter().find(|wide| *wide <= width + left);
            fitting.push((What::Curve, wider.unwrap_or(width)));
        }
        let in_order = ORDER
            .iter()
            .filter_map(|what| fitting.iter().find(|(other, _)| other == what));
        Columns(in_order.copied().collect())
    }

    /// The line of headings.
    pub fn heading(&self, room: usize, style: Style, order: Order) -> String {
        let mut line = Line::new(room, style);
        line.put("  ");
        for (at, (what, width)) in self.0.iter().enumerate() {
            let (title, sorted) = match what {
                What::Id => ("id", order == Order::Id),
                What::Name => ("name", order == Order::Name),
                What::Pid => ("pid", false),
                What::Status => ("status", false),
                What::Restarts => (style.pick("↺", "rs"), false),
                What::Uptime => ("up", false),
                What::Cpu => ("cpu", order == Order::Cpu),
                What::Memory => ("memory", order == Order::Memory),
                What::Curve => ("last 5 min", false),
                What::CpuBar | What::MemoryBar => ("", false),
            };
            if at > 0 {
                line.put(" ");
            }
            let title = match sorted && *what != What::Id {
                true => format!("{}{title}", style.pick("▾", "*")),
                false => title.to_owned(),
            };
            line.cell(&title, *width, is_number(*what), Some(Tint::Heading));
        }
        line.finish()
    }

    /// The line of a program. `memory` is what the machine has.
    pub fn row(
        &self,
        program: &Program,
        selected: bool,
        room: usize,
        memory: u64,
        meter: &Meter,
        style: Style,
    ) -> String {
        let process = &program.process;
        let mut line = match selected {
            true => Line::inverse(room, style),
            false => Line::new(room, style),
        };
        line.put(if selected { "> " } else { "  " });
        for (at, (what, width)) in self.0.iter().enumerate() {
            if at > 0 {
                line.put(" ");
            }
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let measured = program.cpu.map(u64::from).filter(|_| process.pid > 0);
            let (text, colour) = match what {
                What::Id => (process.id.to_string(), None),
                What::Name => (style.harmless(&process.name), None),
                What::Pid => (
                    or_none((process.pid > 0).then(|| process.pid.to_string())),
                    None,
                ),
                What::Status => {
                    let word = process.state.word().split(' ').next().unwrap_or_default();
                    (word.to_owned(), Some(tint(process.state)))
                }
                What::Restarts => (process.restarts.to_string(), None),
                What::Uptime => (or_none(meter.uptime(process).map(units::format_age)), None),
                What::Cpu => (or_none(measured.map(share)), None),
                What::Memory => (
                    or_none(meter.memory(process).map(units::format_bytes)),
                    None,
                ),
                What::CpuBar => {
                    cell_of_bar(&mut line, measured, *width, style);
                    continue;
                }
                What::MemoryBar => {
                    let used = meter.memory(process);
                    let part = used.map(|used| used.saturating_mul(1000).div_ceil(memory.max(1)));
                    cell_of_bar(&mut line, part, *width, style);
                    continue;
                }
                What::Curve => {
                    let points = program.cpu_history.points(*width);
                    (style.curve(points, CURVE_TOP), Some(Tint::Good))
                }
            };
            line.cell(&text, *width, is_number(*what), colour);
        }
        line.finish()
    }
}

fn is_number(what: What) -> bool {
    !matches!(
        what,
        What::Name | What::Status | What::Curve | What::CpuBar | What::MemoryBar
    )
}

/// Tenths of a percent in six cells.
pub fn share(tenths: u64) -> String {
    match tenths {
        0..10_000 => percent(tenths),
        _ => format!("{}%", tenths / 10),
    }
}

fn cell_of_bar(line: &mut Line, share: Option<u64>, cells: usize, style: Style) {
    match share {
        Some(share) => bar(line, share, cells, style),
        None => line.cell("", cells, false, None),
    }
}

/// A bar that is filled to so many thousandths, green, yellow or red.
pub fn bar(line: &mut Line, share: u64, cells: usize, style: Style) {
    let (full, empty) = style.bar(share, cells);
    let tint = match share {
        0..600 => Tint::Good,
        600..850 => Tint::Changing,
        _ => Tint::Bad,
    };
    line.tinted(&full, tint);
    line.tinted(&empty, Tint::Faint);
}
