//! The pure part: no clock, no file, no socket. What a program is, how it lives, how people name it.
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
