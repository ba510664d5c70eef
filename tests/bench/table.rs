//! The table that the benchmark prints: a row as soon as it is known.

use std::fmt;

/// The bytes of a mebibyte.
pub const MIB: f64 = 1024.0 * 1024.0;

/// A measured value with its unit.
#[derive(Clone, Copy)]
pub enum Quantity {
    /// Seconds: less is better.
    Seconds(f64),
    /// Bytes: less is better.
    Bytes(f64),
    /// Bytes per second: more is better.
    Rate(f64),
}

impl Quantity {
    fn number(self) -> f64 {
        match self {
            Quantity::Seconds(n) | Quantity::Bytes(n) | Quantity::Rate(n) => n,
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Quantity::Seconds(s) if s < 0.1 => format!("{:.3} ms", s * 1e3),
            Quantity::Seconds(s) if s < 1.0 => format!("{:.1} ms", s * 1e3),
            Quantity::Seconds(s) => format!("{s:.2} s"),
            Quantity::Bytes(b) if b < 0.1 * MIB => format!("{:.0} KiB", b / 1024.0),
            Quantity::Bytes(b) => format!("{:.2} MiB", b / MIB),
            Quantity::Rate(r) => format!("{:.0} MB/s", r / 1e6),
        };
        f.pad(&text)
    }
}

/// What a row has to keep to.
#[derive(Clone, Copy)]
pub enum Bound {
    /// Nothing: the row is there to be read.
    Free,
    /// At most so many times the limit.
    AtMost(f64),
    /// At least so many times the limit.
    AtLeast(f64),
    /// At most so many bytes.
    AtMostBytes(f64),
}

/// The table, and which of its rows were asked for.
pub struct Table {
    filters: Vec<String>,
    rows: usize,
    missed: usize,
}

impl Table {
    /// A table of the rows whose name holds one of the `filters`: of all rows, if there is none.
    pub fn new(filters: Vec<String>) -> Table {
        Table {
            filters,
            rows: 0,
            missed: 0,
        }
    }

    /// Whether this row was asked for.
    pub fn wants(&self, what: &str) -> bool {
        self.filters.is_empty()
            || self
                .filters
                .iter()
                .any(|filter| what.contains(filter.as_str()))
    }

    /// Prints the head.
    pub fn begin(&self) {
        print_line(["what", "ours", "limit", "ratio", "target", ""]);
    }

    /// Prints a row, if it was asked for.
    pub fn row(&mut self, what: &str, ours: Quantity, limit: Option<Quantity>, bound: Bound) {
        if !self.wants(what) {
            return;
        }
        let ratio = limit.map(|limit| ours.number() / limit.number());
        let (target, kept) = match bound {
            Bound::Free => ("-".to_string(), None),
            Bound::AtMost(n) => (format!("<= {n:.2} x"), ratio.map(|r| r <= n)),
            Bound::AtLeast(n) => (format!(">= {n:.2} x"), ratio.map(|r| r >= n)),
            Bound::AtMostBytes(n) => (
                format!("<= {}", Quantity::Bytes(n)),
                Some(ours.number() <= n),
            ),
        };
        let mark = match kept {
            None => "",
            Some(true) => "ok",
            Some(false) => "MISSED",
        };
        self.rows += 1;
        self.missed += usize::from(kept == Some(false));
        let limit = limit.map_or("-".to_string(), |limit| limit.to_string());
        let ratio = ratio.map_or("-".to_string(), |ratio| format!("{ratio:.2} x"));
        print_line([what, &ours.to_string(), &limit, &ratio, &target, mark]);
    }

    /// Prints a line that is no row, such as why one is missing.
    pub fn remark(&self, line: &str) {
        println!("  {line}");
    }

    /// Prints the count.
    pub fn end(&self) {
        println!("{} rows, {} missed their target", self.rows, self.missed);
    }
}

fn print_line(cells: [&str; 6]) {
    let [what, ours, limit, ratio, target, mark] = cells;
    let line = format!("{what:<47} {ours:>11} {limit:>11} {ratio:>8} {target:>12}  {mark}");
    println!("{}", line.trim_end());
}
