//! The list of programs: in memory, and on the disk by a process of its own.

pub mod client;
pub mod former;
pub mod list;
pub mod recording;
pub mod records;
pub mod recovery;
pub mod state;
pub mod unread;
pub mod writer;
