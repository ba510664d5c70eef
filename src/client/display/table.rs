//! Tables: framed and fitted to a terminal, aligned by blanks for everything else.

use std::fmt::{self, Write as _};

use super::output::{Look, Tint};

/// One column.
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// Its heading where there is no terminal, in ASCII.
    pub plain_title: &'static str,
    /// Numbers stand on the right.
    pub right: bool,
    /// What becomes of it when the terminal is too narrow.
    pub narrow: Narrow,
}

/// How a column makes room; the lowest number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Narrow {
    /// It stays.
    Keep,
    /// It is left out.
    Drop(u8),
    /// Its cells are cut.
    Cut(u8),
}

/// A column is not cut below this.
const SHORTEST: usize = 8;

/// Steps of making room.
const STEPS: u8 = 10;

struct Cell {
    /// Where its text ends.
    end: usize,
    /// How many characters it has.
    width: usize,
    tint: Option<Tint>,
}

/// A table that is being filled, cell after cell. All texts are in one string, as there may be thousands.
pub struct Table {
    columns: Vec<&'static Column>,
    text: String,
    cells: Vec<Cell>,
}

/// How wide a column is shown; none where it is left out.
type Widths = Vec<Option<usize>>;

impl Table {
    /// An empty table of these columns.
    pub fn new(columns: Vec<&'static Column>) -> Table {
        Table {
            columns,
            text: String::new(),
            cells: Vec::new(),
        }
    }

    /// Adds the next cell.
    pub fn cell(&mut self, text: impl fmt::Display) {
        self.tinted(text, None);
    }

    /// Adds the next cell, `-` where there is nothing.
    pub fn optional(&mut self, text: Option<impl fmt::Display>) {
        match text {
            Some(text) => self.cell(text),
            None => self.cell('-'),
        }
    }

    /// Adds the next cell in a colour.
    pub fn tinted(&mut self, text: impl fmt::Display, tint: Option<Tint>) {
        let start = self.text.len();
        let _ = write!(self.text, "{text}");
        let added = self.text.get(start..).unwrap_or_default();
        let width = match added.is_ascii() {
            true => added.len(),
            false => added.chars().count(),
        };
        let end = self.text.len();
        self.cells.push(Cell { end, width, tint });
    }

    /// The table as text.
    pub fn render(&self, look: Look) -> String {
        let titles = self.columns.iter().map(|column| match look.terminal {
            true => column.title,
            false => column.plain_title,
        });
        let titles: Vec<&str> = titles.collect();
        let mut widths: Widths = titles
            .iter()
            .map(|title| Some(title.chars().count()))
            .collect();
        for row in self.cells.chunks(self.columns.len().max(1)) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(Some(cell.width));
            }
        }
        match look.terminal {
            true => {
                self.fit(&mut widths, look.columns);
                self.framed(&titles, &widths, look)
            }
            false => self.plain(&titles, &widths),
        }
    }

    /// Makes the columns fit, step by step.
    fn fit(&self, widths: &mut Widths, room: usize) {
        for step in 0..STEPS {
            let needed = widths
                .iter()
                .flatten()
                .fold(1, |sum, width| sum + width + 3);
            let excess = needed.saturating_sub(room);
            if excess == 0 {
                return;
            }
            for (width, column) in widths.iter_mut().zip(&self.columns) {
                match column.narrow {
                    Narrow::Drop(at) if at == step => *width = None,
                    Narrow::Cut(at) if at == step => {
                        *width = width.map(|w| w.saturating_sub(excess).max(SHORTEST.min(w)));
                    }
                    _ => {}
                }
            }
        }
    }

    /// The rows, each as its cells' text and tint.
    fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = (&str, Option<Tint>)>> {
        let mut start = 0;
        self.cells
            .chunks(self.columns.len().max(1))
            .map(move |row| {
                let first = start;
                start = row.last().map_or(start, |cell| cell.end);
                row.iter().scan(first, |from, cell| {
                    let text = self.text.get(*from..cell.end).unwrap_or_default();
                    *from = cell.end;
                    Some((text, cell.tint))
                })
            })
    }

    fn framed(&self, titles: &[&str], widths: &Widths, look: Look) -> String {
        let line = widths.iter().flatten().sum::<usize>() + 16 * self.columns.len();
        let rows = self.cells.len() / self.columns.len().max(1) + 4;
        let mut out = String::with_capacity(line.saturating_mul(rows));
        rule(&mut out, widths, look, ['┌', '┬', '┐']);
        let headings = titles.iter().map(|title| (*title, Some(Tint::Heading)));
        self.framed_row(&mut out, headings, widths, look);
        if !self.cells.is_empty() {
            rule(&mut out, widths, look, ['├', '┼', '┤']);
        }
        for row in self.rows() {
            self.framed_row(&mut out, row, widths, look);
        }
        rule(&mut out, widths, look, ['└', '┴', '┘']);
        out
    }

    fn framed_row<'a>(
        &self,
        out: &mut String,
        cells: impl Iterator<Item = (&'a str, Option<Tint>)>,
        widths: &Widths,
        look: Look,
    ) {
        let bar = |out: &mut String| {
            out.push_str(look.tint(Tint::Faint));
            out.push('│');
            out.push_str(look.plain());
        };
        for ((column, width), (text, tint)) in self.columns.iter().zip(widths).zip(cells) {
            let Some(width) = *width else { continue };
            bar(out);
            out.push(' ');
            let before = tint.map_or("", |tint| look.tint(tint));
            let behind = tint.map_or("", |_| look.plain());
            out.push_str(before);
            pad(out, text, width, column.right);
            out.push_str(behind);
            out.push(' ');
        }
        bar(out);
        out.push('\n');
    }

    fn plain(&self, titles: &[&str], widths: &Widths) -> String {
        let line = widths.iter().flatten().sum::<usize>() + 2 * self.columns.len();
        let rows = self.cells.len() / self.columns.len().max(1) + 1;
        let mut out = String::with_capacity(line.saturating_mul(rows));
        self.plain_row(&mut out, titles.iter().map(|title| (*title, None)), widths);
        for row in self.rows() {
            self.plain_row(&mut out, row, widths);
        }
        out
    }

    fn plain_row<'a>(
        &self,
        out: &mut String,
        cells: impl Iterator<Item = (&'a str, Option<Tint>)>,
        widths: &Widths,
    ) {
        for (at, ((column, width), (text, _))) in
            self.columns.iter().zip(widths).zip(cells).enumerate()
        {
            if at > 0 {
                out.push_str("  ");
            }
            pad(out, text, width.unwrap_or(0), column.right);
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
    }
}

fn rule(out: &mut String, widths: &Widths, look: Look, [left, middle, right]: [char; 3]) {
    out.push_str(look.tint(Tint::Faint));
    let mut corner = left;
    for width in widths.iter().flatten() {
        out.push(corner);
        out.extend(std::iter::repeat_n('─', width + 2));
        corner = middle;
    }
    out.push(right);
    out.push_str(look.plain());
    out.push('\n');
}

/// Appends the text, filled up or cut to a width in characters.
fn pad(out: &mut String, text: &str, width: usize, right: bool) {
    let length = match text.is_ascii() {
        true => text.len(),
        false => text.chars().count(),
    };
    let Some(blanks) = width.checked_sub(length) else {
        out.extend(text.chars().take(width.saturating_sub(1)));
        out.push('…');
        return;
    };
    if right {
        fill(out, blanks);
        out.push_str(text);
    } else {
        out.push_str(text);
        fill(out, blanks);
    }
}

/// Appends so many blanks, many at once.
fn fill(out: &mut String, mut blanks: usize) {
    const BLANKS: &str = "                                ";
    while blanks > 0 {
        let some = BLANKS.get(..blanks).unwrap_or(BLANKS);
        out.push_str(some);
        blanks -= some.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Column = Column {
        title: "id",
        plain_title: "id",
        right: true,
        narrow: Narrow::Keep,
    };
    const NAME: Column = Column {
        title: "name",
        plain_title: "name",
        right: false,
        narrow: Narrow::Cut(1),
    };
    const AGE: Column = Column {
        title: "↺",
        plain_title: "age",
        right: true,
        narrow: Narrow::Drop(0),
    };

    fn table() -> Table {
        let mut table = Table::new(vec![&ID, &NAME, &AGE]);
        for (id, name, age) in [(7, "api-server-é", Some("3m")), (12, "db", None)] {
            table.cell(id);
            table.cell(name);
            table.optional(age);
        }
        table
    }

    fn terminal(columns: usize) -> Look {
        Look {
            terminal: true,
            columns,
            ..Look::default()
        }
    }

    #[test]
    fn plain_columns_are_aligned_and_do_not_end_in_blanks() {
        let text = table().render(Look::default());
        assert_eq!(
            text,
            "id  name          age\n 7  api-server-é   3m\n12  db              -\n"
        );
    }

    #[test]
    fn frames_fit() {
        let wide = table().render(terminal(80));
        assert_eq!(wide.lines().next(), Some("┌────┬──────────────┬────┐"));
        assert_eq!(wide.lines().nth(3), Some("│  7 │ api-server-é │ 3m │"));
        let narrow = table().render(terminal(21));
        assert_eq!(narrow.lines().nth(3), Some("│  7 │ api-server-é │"));
        let cut = table().render(terminal(18));
        assert_eq!(cut.lines().nth(3), Some("│  7 │ api-serv… │"));
        assert!(cut.lines().all(|line| line.chars().count() == 18));
    }

    #[test]
    fn an_empty_table_is_its_heading() {
        let empty = Table::new(vec![&ID, &NAME]);
        assert_eq!(empty.render(Look::default()), "id  name\n");
        assert_eq!(empty.render(terminal(80)).lines().count(), 3);
    }

    #[test]
    fn a_tint_takes_no_room() {
        let mut table = Table::new(vec![&NAME]);
        table.tinted("online", Some(Tint::Good));
        let text = table.render(Look {
            colour: true,
            ..terminal(80)
        });
        assert!(text.contains("\x1b[32monline\x1b[0m"), "{text:?}");
        assert!(!table.render(terminal(80)).contains('\x1b'));
    }
}
