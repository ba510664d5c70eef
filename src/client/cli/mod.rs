//! The command line: the tables of commands and flags, parsing, and the texts that are made from the tables.

pub mod arguments;
pub mod command;
pub mod completion;
pub mod flag;
pub mod help;
pub mod man;
mod roff;
pub mod spec;
