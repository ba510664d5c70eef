//! A text and positions in it.

use crate::error::Error;

/// A text with the name of its source.
pub struct Source<'a> {
    /// The name, for messages.
    pub name: &'a str,
    /// The text.
    pub text: &'a [u8],
    /// Whether users wrote this text, so that line numbers help them. Not for generated text.
    pub literal: bool,
}

impl Source<'_> {
    /// An error at an offset of the text: `NAME:LINE:COLUMN: WHY`, which editors recognize.
    pub fn error(&self, at: usize, why: &str) -> Error {
        Error::new(format!("{}: {why}", self.place(at)))
    }

    /// The position of an offset: `NAME:LINE:COLUMN`. Lines and columns count from 1, columns in characters.
    pub fn place(&self, at: usize) -> String {
        if !self.literal {
            return self.name.to_owned();
        }
        let before = self.text.get(..at.min(self.text.len())).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let begin = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |n| n + 1);
        let column = String::from_utf8_lossy(before.get(begin..).unwrap_or_default())
            .chars()
            .count()
            + 1;
        format!("{}:{line}:{column}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source {
            name: "f",
            text: "a\n\u{fc}b\n".as_bytes(),
            literal: true,
        };
        for (at, place) in [
            (0, "f:1:1"),
            (2, "f:2:1"),
            (4, "f:2:2"),
            (6, "f:3:1"),
            (99, "f:3:1"),
        ] {
            assert_eq!(source.place(at), place);
        }
    }
}
