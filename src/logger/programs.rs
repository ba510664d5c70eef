//! The programs whose output is written, by id.

use std::collections::BTreeMap;

use super::channel::{Channel, ChannelId};
use crate::model::value::Bytes;

/// A program.
pub struct Program {
    /// Of standard output and standard error.
    pub channels: [Channel; 2],
    /// Where they go, and how, encoded: it is only compared.
    pub output: Bytes,
}

/// All programs.
#[derive(Default)]
pub struct Programs(BTreeMap<u32, Box<Program>>);

impl Programs {
    /// The program of this id.
    pub fn get(&self, id: u32) -> Option<&Program> {
        self.0.get(&id).map(Box::as_ref)
    }

    /// The program of this id, to change it.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Program> {
        self.0.get_mut(&id).map(Box::as_mut)
    }

    /// A channel.
    pub fn channel_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        let program = self.0.get_mut(&id.program)?;
        program.channels.get_mut(id.stream.index())
    }

    /// Adds a program, and returns the one that had its id.
    pub fn insert(&mut self, id: u32, program: Program) -> Option<Box<Program>> {
        self.0.insert(id, Box::new(program))
    }

    /// Removes a program.
    pub fn remove(&mut self, id: u32) -> Option<Box<Program>> {
        self.0.remove(&id)
    }

    /// All channels.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.0.values().flat_map(|program| &program.channels)
    }

    /// All channels, to change them.
    pub fn channels_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.0
            .values_mut()
            .flat_map(|program| &mut program.channels)
    }

    /// The channels that got more of the line whose end they wait for.
    pub fn with_more(&self) -> Vec<ChannelId> {
        let more = self.channels().filter(|channel| channel.has_more());
        more.map(Channel::id).collect()
    }

    /// The ids.
    pub fn ids(&self) -> Vec<u32> {
        self.0.keys().copied().collect()
    }
}
