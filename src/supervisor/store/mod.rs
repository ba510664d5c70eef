//! What the home records of programs.

pub mod records;
pub mod state;
pub mod sync;
pub mod unread;
