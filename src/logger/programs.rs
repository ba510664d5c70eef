//! The programs whose output is written, by their numbers.

use super::channel::{Channel, Name};
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

    /// The same, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut (u32, Program)> {
        self.0.iter_mut()
    }

    /// Those of whose line, which is waited for, more has come.
    pub fn with_more(&self) -> Vec<Name> {
        let channels = self.0.iter().flat_map(|(id, program)| {
            let pair = program.channels.iter().enumerate();
            pair.map(|(which, channel)| ((*id, which), channel))
        });
        let more = channels.filter(|(_, channel)| channel.has_more());
        more.map(|(name, _)| name).collect()
    }

    /// The numbers.
    pub fn ids(&self) -> Vec<u32> {
        self.0.iter().map(|(id, _)| *id).collect()
    }
}
