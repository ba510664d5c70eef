//! `rpmd` keeps programs running; `rpm` tells it what to do, and starts it when it is not there.
//!
//! The source folders. Dependencies point down only, and `tests/integration/layering.rs` enforces it:
//!
//! ```text
//! bin         → supervisor | client
//! supervisor  → logger, protocol, model, sys     rpmd: the loop that keeps programs running
//! logger      → protocol, model, sys             rpmd-log: drains every program's output into its files
//! client      → config, protocol, model, sys     rpm: commands, help, tables
//! config      → protocol, model, sys             JSON, process files, the saved list
//! protocol    → model                            the line protocol that joins them
//! model       → nothing but units and error      pure: fields, the life of a process, selectors
//! sys         → nothing but error                the only `unsafe`: the kernel behind small safe types
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
