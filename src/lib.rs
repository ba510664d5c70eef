//! `rpmd` keeps programs running. `rpm` controls it, and starts it on first use.
//!
//! The source folders. Dependencies point down only; `tests/integration/layering.rs` checks this:
//!
//! ```text
//! bin         → supervisor | client
//! supervisor  → logger, protocol, model, sys     rpmd: the event loop that runs programs
//! logger      → protocol, model, sys             rpmd-log: copies the output of programs to log files
//! client      → config, protocol, model, sys     rpm: commands, help, tables
//! config      → protocol, model, sys             JSON, process files, the saved list
//! protocol    → model                            the line protocol between them
//! model       → nothing but units and error      pure: fields, the state machine of a program, selectors
//! sys         → nothing but error                safe wrappers around system calls; the only `unsafe`
//! ```
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod client;
pub mod config;
pub mod error;
pub mod logger;
pub mod model;
pub mod paths;
pub mod protocol;
pub mod supervisor;
pub mod sys;
#[cfg(test)]
pub mod test_rng;
pub mod units;
