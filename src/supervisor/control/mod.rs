//! The control socket: clients, their requests, and the answers.

pub mod connection;
pub mod dispatch;
pub mod events;
pub mod listener;
pub mod pending;
pub mod rows;
pub mod select;
pub mod serving;
