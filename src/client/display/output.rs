//! Standard output and standard error.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::AsFd;

use crate::error::{Context, Result};
use crate::sys::terminal;

/// The format of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// Standard output is a terminal: tables have frames and fit its width.
    pub terminal: bool,
    /// Colors are used.
    pub colour: bool,
    /// The width of the terminal in columns.
    pub columns: usize,
    /// Tables are printed as blocks of text.
    pub mini: bool,
}

/// The width of a terminal that does not report it.
const COLUMNS: usize = 80;

impl Look {
    /// The format for standard output.
    pub fn of_stdout() -> Look {
        let stdout = io::stdout();
        let mut look = Look::default();
        if terminal::is_terminal(stdout.as_fd()) {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
            look.terminal = true;
            look.colour = !plain && !dumb;
            look.columns = terminal::columns(stdout.as_fd()).unwrap_or(COLUMNS);
        }
        look
    }

    /// The escape sequence of a color, empty without colors.
    pub fn tint(self, tint: Tint) -> &'static str {
        if self.colour { tint.start() } else { "" }
    }

    /// The color for the item of this number, to tell many items apart; empty without colors.
    pub fn one_of_many(self, number: u32) -> &'static str {
        let count = u32::try_from(MANY.len()).unwrap_or(1);
        let place = usize::try_from(number % count).ok();
        match place.and_then(|place| MANY.get(place)) {
            Some(start) if self.colour => start,
            _ => "",
        }
    }

    /// The escape sequence that ends a color, empty without colors.
    pub fn plain(self) -> &'static str {
        if self.colour { "\x1b[0m" } else { "" }
    }
}

/// Colors without a meaning. Red is left out: it is for errors.
const MANY: [&str; 8] = [
    "\x1b[32m", "\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[34m", "\x1b[96m", "\x1b[92m", "\x1b[95m",
];

/// A color with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tint {
    /// Running.
    Good,
    /// Changing its state.
    Changing,
    /// Not running.
    Bad,
    /// A heading.
    Heading,
    /// A frame.
    Faint,
}

impl Tint {
    fn start(self) -> &'static str {
        match self {
            Tint::Good => "\x1b[32m",
            Tint::Changing => "\x1b[33m",
            Tint::Bad => "\x1b[31m",
            Tint::Heading => "\x1b[1;36m",
            Tint::Faint => "\x1b[90m",
        }
    }
}

/// Prints to standard output. Text that ends with LF is written at once.
pub fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let done = stdout.write_all(bytes).and_then(|()| stdout.flush());
    done.doing(|| "writing to standard output")
}

/// Prints a message to standard error.
pub fn complain(sentence: impl Display) {
    // Line breaks stay. Other control characters, perhaps in a name, do not reach the terminal.
    let sentence = sentence.to_string();
    let lines: Vec<_> = sentence.split('\n').map(harmless).collect();
    let line = format!("rpm: {}\n", lines.join("\n"));
    // If standard error is closed, nothing can be done.
    let _ = io::stderr().write_all(line.as_bytes());
}

pub use crate::units::harmless;
