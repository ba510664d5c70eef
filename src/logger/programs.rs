//! The programs whose output is written, by their numbers.

use super::channel::Channel;
use crate::protocol::output::Output;

/// What a program prints.
pub struct Program {
    /// Standard output and standard error.
    pub channels: [Channel; 2],
    /// Where they go, and how.
    pub output: Output,
}

/// All of them, in the order of their numbers.
#[derive(Default)]
pub struct Programs(Vec<(u32, Program)>);

impl Programs {
    fn place(&self, id: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |(id, _)| *id)
    }

    /// The program of this number.
    pub fn get(&self, id: u32) -> Option<&Program> {
        let place = self.place(id).ok()?;
        self.0.get(place).map(|(_, program)| program)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Program> {
        let place = self.place(id).ok()?;
        self.0.get_mut(place).map(|(_, program)| program)
    }

    /// Adds a program; the one that had its number.
    pub fn insert(&mut self, id: u32, program: Program) -> Option<Program> {
        let before = self.remove(id);
        if let Err(place) = self.place(id) {
            self.0.insert(place, (id, program));
        }
        before
    }

    /// Takes a program out.
    pub fn remove(&mut self, id: u32) -> Option<Program> {
        let place = self.place(id).ok()?;
        Some(self.0.remove(place).1)
    }

    /// Each with its number.
    pub fn iter(&self) -> impl Iterator<Item = &(u32, Program)> {
        self.0.iter()
    }

    /// The numbers.
    pub fn ids(&self) -> Vec<u32> {
        self.0.iter().map(|(id, _)| *id).collect()
    }
}
