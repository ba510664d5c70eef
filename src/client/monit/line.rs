//! One line of the screen, made from left to right.

use std::fmt::Write as _;

use super::text;
use crate::client::display::output::{Look, Tint};

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Colours.
    pub look: Look,
    /// Characters beyond ASCII.
    pub utf8: bool,
}

/// The pictures that lines are made of, in UTF-8 and in ASCII.
impl Style {
    /// The one or the other.
    pub fn pick(self, utf8: &'static str, ascii: &'static str) -> &'static str {
        if self.utf8 { utf8 } else { ascii }
    }

    /// What stands for the rest of a text that was cut.
    pub fn more(self) -> char {
        if self.utf8 { '…' } else { '~' }
    }

    /// A text of a program or of a user, fit to be shown.
    pub fn harmless(self, text: &str) -> String {
        text::harmless(text, self.utf8)
    }

    /// The full and the empty part of a bar of so many cells that is filled to so many thousandths. What is not
    /// nothing can be seen.
    pub fn bar(self, share: u64, cells: usize) -> (String, String) {
        let parts: &[char] = match self.utf8 {
            true => &['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'],
            false => &['#'],
        };
        let per_cell = parts.len();
        let steps = u64::try_from(cells * per_cell).unwrap_or(0);
        let filled = (share.min(1000) * steps).div_ceil(1000);
        let filled = usize::try_from(filled).unwrap_or(0);
        let (whole, rest) = (filled / per_cell, filled % per_cell);
        let mut full: String = std::iter::repeat_n(parts.last(), whole).flatten().collect();
        full.extend(rest.checked_sub(1).and_then(|at| parts.get(at)));
        let empty = cells.saturating_sub(whole + usize::from(rest > 0));
        (full, self.pick("·", ".").repeat(empty))
    }

    /// A curve of these points, the highest of which is at least `top`.
    pub fn curve(self, points: impl Iterator<Item = Option<u32>>, top: u32) -> String {
        let points: Vec<Option<u32>> = points.collect();
        let top = points
            .iter()
            .flatten()
            .fold(top.max(1), |top, value| top.max(*value));
        let levels: &[char] = match self.utf8 {
            true => &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            false => &['_', '.', '-', '=', '+', '*', '%', '#'],
        };
        let highest = u64::try_from(levels.len()).unwrap_or(1).saturating_sub(1);
        let level = |value: u32| (u64::from(value) * highest).div_ceil(u64::from(top));
        let picture = |point: Option<u32>| {
            let level = usize::try_from(level(point?)).ok()?;
            levels.get(level).copied()
        };
        points
            .into_iter()
            .map(|point| picture(point).unwrap_or(' '))
            .collect()
    }
}

/// A line that is being made. What does not fit is left out.
pub struct Line {
    out: String,
    used: usize,
    room: usize,
    style: Style,
    inverse: bool,
    /// Whether there are characters of whose width a terminal may think otherwise.
    uncertain: bool,
}

impl Line {
    /// An empty line of so many cells.
    pub fn new(room: usize, style: Style) -> Line {
        Line {
            out: String::new(),
            used: 0,
            room,
            style,
            inverse: false,
            uncertain: false,
        }
    }

    /// An empty line that stands out as a whole, without colours.
    pub fn inverse(room: usize, style: Style) -> Line {
        Line {
            out: "\x1b[7m".to_owned(),
            inverse: true,
            ..Line::new(room, style)
        }
    }

    /// How many cells are left.
    pub fn left(&self) -> usize {
        self.room - self.used
    }

    /// Adds text that is harmless.
    pub fn put(&mut self, text: &str) {
        let (text, width) = text::cut(text, 0, self.left(), self.style.more());
        self.uncertain |= text.chars().any(|c| text::width(c) != 1);
        self.out.push_str(&text);
        self.used += width;
    }

    /// Adds text that is harmless, in a colour.
    pub fn tinted(&mut self, text: &str, tint: Tint) {
        let colour = self.style.look.colour && !self.inverse && !text.is_empty();
        if colour {
            self.out.push_str(self.style.look.tint(tint));
        }
        self.put(text);
        if colour {
            self.out.push_str(self.style.look.plain());
        }
    }

    /// Adds text that is harmless, and bold also where there are no colours.
    pub fn bold(&mut self, text: &str) {
        match self.inverse {
            true => self.put(text),
            false => {
                self.out.push_str("\x1b[1m");
                self.put(text);
                self.out.push_str("\x1b[0m");
            }
        }
    }

    /// Blanks up to a column. Where a terminal may think that it is elsewhere, it is told the column too, and what it
    /// may have left in between is erased.
    pub fn to(&mut self, column: usize) {
        let column = column.min(self.room);
        if column > self.used {
            self.out
                .extend(std::iter::repeat_n(' ', column - self.used));
            self.used = column;
        }
        if std::mem::take(&mut self.uncertain) && column < self.room {
            let _ = write!(self.out, "\x1b[K\x1b[{}G", column + 1);
        }
    }

    /// A text in a column of so many cells, at its left or right end.
    pub fn cell(&mut self, text: &str, cells: usize, right: bool, tint: Option<Tint>) {
        let (text, width) = text::cut(text, 0, cells, self.style.more());
        let end = self.used + cells;
        if right {
            self.to(end - width);
        }
        match tint {
            Some(tint) => self.tinted(&text, tint),
            None => self.put(&text),
        }
        self.to(end);
    }

    /// The line. What the terminal had to its right is erased.
    pub fn finish(mut self) -> String {
        if self.inverse {
            self.to(self.room);
            self.out.push_str("\x1b[0m");
        }
        if self.used < self.room {
            // In the last column there is nothing to erase but the last character.
            self.out.push_str("\x1b[K");
        }
        self.out
    }
}

/// The text of a line without what colours it, for tests.
#[cfg(test)]
pub fn bare(line: &str) -> String {
    text::of_log(line.as_bytes(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTF8: Style = Style {
        utf8: true,
        look: Look {
            terminal: true,
            colour: true,
            columns: 0,
            mini: false,
        },
    };
    const ASCII: Style = Style {
        utf8: false,
        look: Look {
            terminal: true,
            colour: false,
            columns: 0,
            mini: false,
        },
    };

    #[test]
    fn bars_show_the_smallest_share_and_no_more_than_all() {
        let bar = |style: Style, share| {
            let (full, empty) = style.bar(share, 4);
            format!("{full}{empty}")
        };
        for (share, utf8, ascii) in [
            (0, "····", "...."),
            (1, "▏···", "#..."),
            (500, "██··", "##.."),
            (560, "██▎·", "###."),
            (1000, "████", "####"),
            (9999, "████", "####"),
        ] {
            assert_eq!(
                (bar(UTF8, share), bar(ASCII, share)),
                (utf8.into(), ascii.into()),
                "{share}"
            );
        }
    }

    #[test]
    fn curves_have_gaps_and_a_scale() {
        let points = || [None, Some(0), Some(1), Some(50), Some(100)].into_iter();
        assert_eq!(UTF8.curve(points(), 10), " ▁▂▅█");
        assert_eq!(ASCII.curve(points(), 200), " _.-+");
    }

    #[test]
    fn lines_are_as_wide_as_their_room() {
        let mut line = Line::new(12, UTF8);
        line.cell("ab", 4, true, None);
        line.cell("日本語", 5, false, Some(Tint::Good));
        assert_eq!((line.left(), bare(&line.out)), (3, "  ab日本…".into()));
        line.put("xyz");
        assert_eq!(line.finish(), "  ab\x1b[32m日本…\x1b[0m\x1b[K\x1b[10Gxyz");
        let mut line = Line::new(4, UTF8);
        line.bold("abcdef");
        line.put("g");
        assert_eq!(line.finish(), "\x1b[1mabc…\x1b[0m");
        let mut line = Line::inverse(4, UTF8);
        line.tinted("a", Tint::Bad);
        line.bold("b");
        assert_eq!(line.finish(), "\x1b[7mab  \x1b[0m");
        let mut line = Line::new(9, ASCII);
        line.tinted("a", Tint::Bad);
        assert_eq!(line.finish(), "a\x1b[K");
    }
}
