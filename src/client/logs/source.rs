//! The program and the output that lines come from, and the label in front of them.

use std::borrow::Cow;

use super::line::{Fields, Output};
use crate::client::display::output::{Look, Tint};

/// Where the lines of a file come from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The program's id; none for the daemon's log.
    pub id: Option<u32>,
    /// Its name, made harmless.
    pub name: String,
    /// The output.
    pub output: Output,
    /// What stands in front of each line.
    pub prefix: Vec<u8>,
    /// The width of the label in it, in characters.
    width: usize,
    /// The program was deleted.
    pub is_deleted: bool,
}

impl Source {
    /// A source whose lines have no prefix yet.
    pub fn new(id: Option<u32>, name: String, output: Output) -> Source {
        Source {
            id,
            name,
            output,
            prefix: Vec::new(),
            width: 0,
            is_deleted: false,
        }
    }

    /// The label: id and name.
    pub fn label(&self) -> String {
        match self.id {
            Some(id) => format!("{id}|{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Makes the prefix, with the label padded to this width.
    pub fn align(&mut self, width: usize, look: Look) {
        self.width = width;
        let label = self.label();
        let (colour, plain) = (look.one_of_many(self.id.unwrap_or(0)), look.plain());
        let bar = match self.output {
            Output::Out => plain,
            Output::Err => look.tint(Tint::Bad),
        };
        // First the end of a colour that a program has left on.
        self.prefix = format!("{plain}{colour}{label:<width$} {bar}|{plain} ").into_bytes();
    }

    /// The source of a line that may name its own.
    pub fn of_line(&self, fields: Option<&Fields>, look: Look) -> Cow<'_, Source> {
        let Some(fields) = fields else {
            return Cow::Borrowed(self);
        };
        let id = fields.id.or(self.id);
        let name = fields.name.as_ref().unwrap_or(&self.name);
        let output = fields.output.unwrap_or(self.output);
        if (id, name, output) == (self.id, &self.name, self.output) {
            return Cow::Borrowed(self);
        }
        let mut other = Source::new(id, name.clone(), output);
        if !self.prefix.is_empty() {
            other.align(self.width, look);
        }
        Cow::Owned(other)
    }
}
