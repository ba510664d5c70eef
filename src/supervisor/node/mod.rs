//! The protocol between Node and the processes that it forks.

pub mod channel;
pub mod cluster;
