//! Pure types and logic, without clock, files and sockets: the settings of a program, its state machine, selectors.
#![forbid(unsafe_code)]

pub mod command;
pub mod field;
pub mod file_name;
pub mod life;
pub mod listen;
pub mod selector;
pub mod spec;
pub mod stamp;
pub mod standard;
pub mod value;
