//! What people and scripts read: tables, details, JSON, colours, standard output.

pub mod actions;
pub mod details;
pub mod json;
pub mod output;
pub mod process_table;
pub mod shell;
pub mod sort;
pub mod stdout_writer;
mod table;
pub mod usage;
pub mod users;
