//! Standard output and standard error.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::AsFd;

use crate::error::{Context, Result};
use crate::sys::terminal;

/// How what is printed looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// Standard output is a terminal: frames, and only so many columns.
    pub terminal: bool,
    /// Colours.
    pub colour: bool,
    /// The width of the terminal.
    pub columns: usize,
    /// Blocks of text in the place of tables.
    pub mini: bool,
}

/// The width of a terminal that does not tell.
const COLUMNS: usize = 80;

impl Look {
    /// What suits standard output.
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

    /// The tint, where there are colours.
    pub fn tint(self, tint: Tint) -> &'static str {
        match self.colour {
            true => tint.start(),
            false => "",
        }
    }

    /// A colour that many things of a kind are told apart by, where there are colours.
    pub fn one_of_many(self, number: u32) -> &'static str {
        let count = u32::try_from(MANY.len()).unwrap_or(1);
        let place = usize::try_from(number % count).ok();
        match place.and_then(|place| MANY.get(place)) {
            Some(start) if self.colour => start,
            _ => "",
        }
    }

    /// What ends a tint.
    pub fn plain(self) -> &'static str {
        match self.colour {
            true => "\x1b[0m",
            false => "",
        }
    }
}

/// Colours without a meaning: none of red, which is for what is wrong.
const MANY: [&str; 8] = [
    "\x1b[32m", "\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[34m", "\x1b[96m", "\x1b[92m", "\x1b[95m",
];

/// A colour with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tint {
    /// It runs.
    Good,
    /// It is about to change.
    Changing,
    /// It does not run.
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

/// Prints to standard output. What ends with a LF goes out in one write.
pub fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let done = stdout.write_all(bytes).and_then(|()| stdout.flush());
    done.doing(|| "writing to standard output")
}

/// Prints a sentence to standard error.
pub fn complain(sentence: impl Display) {
    // Its lines stay lines; a name in them can do nothing else to the terminal.
    let sentence = sentence.to_string();
    let lines: Vec<_> = sentence.split('\n').map(harmless).collect();
    let line = format!("rpm: {}\n", lines.join("\n"));
    // Where standard error is closed there is nobody to tell.
    let _ = io::stderr().write_all(line.as_bytes());
}

pub use crate::units::harmless;
