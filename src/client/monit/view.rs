//! The whole screen, as lines. Pure: what is known and the size make the frame.

use super::columns::{Columns, bar};
use super::line::{Line, Style};
use super::pane::LogLine;
use super::state::{KEYS, Page, State};
use super::text;
use crate::client::display::output::Tint;
use crate::client::display::usage::Meter;
use crate::units;

/// Below this the screen is too small: columns, then rows.
pub const SMALLEST: (usize, usize) = (40, 10);

/// What is known of the machine.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// How many processors it has.
    pub processors: usize,
    /// The load averages, in hundredths.
    pub load: Option<[u64; 3]>,
    /// Memory in use and all memory, in bytes.
    pub memory: Option<(u64, u64)>,
}

/// How the rows of the screen are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Columns of the screen.
    pub columns: usize,
    /// Rows of the screen.
    pub rows: usize,
    /// Programs.
    pub list: usize,
    /// Log lines.
    pub logs: usize,
}

impl Layout {
    /// For a screen of this size and so many programs; none where the screen is too small.
    pub fn new(columns: usize, rows: usize, state: &State) -> Option<Layout> {
        if columns < SMALLEST.0 || rows < SMALLEST.1 {
            return None;
        }
        // Without header, headings, the line above the logs, and the last line.
        let room = rows - 4;
        let list = match state.logs_only {
            true => 1,
            // Half of it, or less where there are few programs.
            false => state.list.len().clamp(1, room - room / 2),
        };
        Some(Layout {
            columns,
            rows,
            list,
            logs: room - list,
        })
    }

    /// How many lines a page has that is neither list nor logs.
    pub fn page(&self) -> usize {
        self.rows - 3
    }
}

/// The frame of a screen that is too small.
pub fn too_small(columns: usize, rows: usize, style: Style) -> Vec<String> {
    let (least_columns, least_rows) = SMALLEST;
    let needed = format!("{least_columns} x {least_rows} needed");
    let sentences = ["terminal too small".to_owned(), needed];
    let lines = sentences.iter().map(|sentence| {
        let mut line = Line::new(columns, style);
        line.put(sentence);
        line.finish()
    });
    let mut frame: Vec<String> = lines.collect();
    frame.resize(rows, Line::new(columns, style).finish());
    frame
}

/// The frame. A page that is scrolled too far comes back to its end.
pub fn frame(
    state: &mut State,
    host: &Host,
    logs: &[LogLine],
    layout: Layout,
    style: Style,
) -> Vec<String> {
    let lines = match state.page {
        Page::Details => state.details().len(),
        _ => KEYS.len(),
    };
    state.fit_page(lines, layout.page());
    let view = View {
        state,
        host,
        layout,
        style,
    };
    let mut frame = vec![view.header()];
    match state.page {
        Page::List => view.list(logs, &mut frame),
        Page::Details => {
            frame.push(view.rule("details"));
            let details = state
                .details()
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()));
            view.pairs(details, &mut frame);
        }
        Page::Help => {
            frame.push(view.rule_of("keys"));
            view.pairs(KEYS.iter().copied(), &mut frame);
        }
    }
    frame.resize(layout.rows - 1, view.line().finish());
    frame.push(view.last_line());
    frame
}

struct View<'a> {
    state: &'a State,
    host: &'a Host,
    layout: Layout,
    style: Style,
}

impl View<'_> {
    fn line(&self) -> Line {
        Line::new(self.layout.columns, self.style)
    }

    /// Host, programs, load, memory: as many of them as there is room for.
    fn header(&self) -> String {
        let mut line = self.line();
        let host = self.style.harmless(&self.host.name);
        let (host, _) = text::cut(&host, 0, self.layout.columns / 3, self.style.more());
        line.put(" ");
        line.bold(&host);
        let counts = self.state.list.counts();
        for (count, word, tint) in [
            (counts.online, "online", Tint::Good),
            (counts.paused, "paused", Tint::Changing),
            (counts.changing, "changing", Tint::Changing),
            (counts.down, "down", Tint::Bad),
        ] {
            let text = format!("{count} {word}");
            if (count > 0 || word == "online") && line.left() > text.len() + 2 {
                line.put("  ");
                line.tinted(&text, tint);
            }
        }
        if let Some(load) = self.host.load {
            let [one, five, fifteen] =
                load.map(|hundredths| format!("{}.{:02}", hundredths / 100, hundredths % 100));
            let processors = self.host.processors;
            let plural = if processors == 1 { "" } else { "s" };
            let whole = format!("load {one} {five} {fifteen} ({processors} cpu{plural})");
            let texts = [
                whole,
                format!("load {one} {five} {fifteen}"),
                format!("load {one}"),
            ];
            // Memory needs some room too.
            let room = line.left().saturating_sub(2 + 12);
            if let Some(text) = texts.iter().find(|text| text.len() <= room) {
                line.put("  ");
                line.put(text);
            }
        }
        if let Some((used, total)) = self.host.memory {
            let share = used.saturating_mul(1000).checked_div(total).unwrap_or(0);
            let of = format!(
                " {} of {}",
                units::format_bytes(used),
                units::format_bytes(total)
            );
            let percent = format!(" {}%", share / 10);
            if line.left() >= 2 + 3 + percent.len() {
                line.put("  mem");
                if line.left() > percent.len() + 11 {
                    line.put(" ");
                    bar(&mut line, share, 10, self.style);
                }
                line.put(if line.left() >= of.len() {
                    &of
                } else {
                    &percent
                });
            }
        }
        line.finish()
    }

    /// A rule with the selected program's name in it.
    fn rule(&self, what: &str) -> String {
        match self.state.list.selected() {
            Some(program) => {
                let name = self.style.harmless(&program.process.name);
                self.rule_of(&format!("{name} (id {}): {what}", program.process.id))
            }
            None => self.rule_of(what),
        }
    }

    /// A rule with a text in it, and which of how many programs is the selected one.
    fn rule_of(&self, text: &str) -> String {
        let stroke = self.style.pick("─", "-");
        let mut line = self.line();
        line.tinted(&stroke.repeat(2), Tint::Faint);
        line.put(" ");
        line.bold(text);
        line.put(" ");
        let list = &self.state.list;
        let place = format!(" {}/{} ", list.cursor() + 1, list.len());
        let end = place.len() + 2;
        let left = line.left();
        if list.len() > 0 && left > end {
            line.tinted(&stroke.repeat(left - end), Tint::Faint);
            line.put(&place);
        }
        let left = line.left();
        line.tinted(&stroke.repeat(left), Tint::Faint);
        line.finish()
    }

    fn list(&self, logs: &[LogLine], frame: &mut Vec<String>) {
        let Layout {
            columns: room,
            list,
            ..
        } = self.layout;
        let columns = Columns::fit(room, &self.state.list);
        frame.push(columns.heading(room, self.style, self.state.list.order()));
        let meter = Meter::new();
        let memory = self.host.memory.map_or(0, |(_, total)| total);
        for (program, selected) in self.state.list.in_sight() {
            frame.push(columns.row(program, selected, room, memory, &meter, self.style));
        }
        if self.state.list.len() == 0 {
            let mut line = self.line();
            line.put("  ");
            line.put(&match self.state.list.filter() {
                "" => "no program is managed; rpm start SCRIPT starts one".to_owned(),
                filter => format!(
                    "nothing matches {}; Esc shows all",
                    self.style.harmless(filter)
                ),
            });
            frame.push(line.finish());
        }
        frame.resize(2 + list, self.line().finish());
        frame.push(match self.state.shift {
            0 => self.rule("log"),
            shift => self.rule(&format!("log, from column {}", shift + 1)),
        });
        for log in logs {
            let mut line = self.line();
            match log.error {
                true => line.tinted("! ", Tint::Bad),
                false => line.put("  "),
            }
            let (text, _) = text::cut(&log.text, self.state.shift, line.left(), self.style.more());
            line.put(&text);
            frame.push(line.finish());
        }
    }

    /// Lines of two columns, from the first one in sight.
    fn pairs<'p>(
        &self,
        pairs: impl Iterator<Item = (&'p str, &'p str)> + Clone,
        frame: &mut Vec<String>,
    ) {
        let width = pairs.clone().map(|(key, _)| key.len()).max().unwrap_or(0);
        let width = width.min(self.layout.columns / 2);
        for (key, value) in pairs.skip(self.state.top).take(self.layout.page()) {
            let mut line = self.line();
            line.put("  ");
            line.cell(key, width, false, Some(Tint::Heading));
            line.put("  ");
            line.put(&self.style.harmless(value));
            frame.push(line.finish());
        }
    }

    /// What is asked, what is wrong, what is new, or the keys.
    fn last_line(&self) -> String {
        let mut line = self.line();
        let state = self.state;
        if let Some(errand) = &state.unconfirmed {
            let name = self.style.harmless(&errand.name);
            line.bold(&format!(
                " {} {name} (id {})? y/n",
                errand.verb.words().0,
                errand.id
            ));
        } else if state.is_filtering {
            line.bold(" find: ");
            line.put(&self.style.harmless(state.list.filter()));
            line.put(self.style.pick("▏", "_"));
        } else if let Some(trouble) = &state.trouble {
            line.put(" ");
            line.tinted(&self.style.harmless(trouble), Tint::Bad);
        } else if let Some(message) = &state.message {
            let tint = if message.bad { Tint::Bad } else { Tint::Good };
            line.put(" ");
            line.tinted(&self.style.harmless(&message.text), tint);
        } else {
            self.keys(&mut line);
        }
        line.finish()
    }

    fn keys(&self, line: &mut Line) {
        let arrows = self.style.pick("↑↓", "up/down");
        let list: &[(&str, &str)] = &[
            ("q", "quit"),
            ("?", "help"),
            (arrows, "select"),
            ("r", "restart"),
            ("s", "stop"),
            ("p", "pause"),
            ("Enter", "details"),
            ("/", "find"),
            ("l", "logs"),
            ("i n c m", "sort"),
        ];
        let page: &[(&str, &str)] = &[("q", "back"), (arrows, "scroll"), ("^C", "quit")];
        let keys = if self.state.page == Page::List {
            list
        } else {
            page
        };
        let filter = self.state.list.filter();
        if !filter.is_empty() && self.state.page == Page::List {
            line.bold(&format!(" only {}", self.style.harmless(filter)));
            line.put(" (Esc shows all)");
        }
        for (key, meaning) in keys {
            if line.left() < 2 + text::columns(key) + 1 + meaning.len() {
                break;
            }
            line.put(if line.left() == self.layout.columns {
                " "
            } else {
                "  "
            });
            line.tinted(key, Tint::Heading);
            line.put(" ");
            line.put(meaning);
        }
    }
}

#[cfg(test)]
mod tests;
