//! `rpmd` keeps programs running; `rpm` tells it what to do, and starts it when it is not there.
//!
//! The rooms of the house. Dependencies point down only, and `tests/integration/layering.rs` enforces it:
//!
//! ```text
//! bin         → supervisor | client
//! supervisor  → logger, protocol, app, sys       rpmd: the loop that keeps programs running
//! logger      → protocol, app, sys               rpmd-log: drains every program's output into its files
//! client      → config, protocol, app, sys       rpm: commands, help, tables
//! config      → protocol, app, sys               JSON, process files, the saved list
//! protocol    → app                              the line protocol that joins them
//! app         → nothing but units and error      pure: fields, the life of a process, selectors
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

pub mod app;
pub mod client;
pub mod config;
pub mod error;
pub mod logger;
#[cfg(test)]
pub mod noise;
pub mod paths;
pub mod protocol;
pub mod supervisor;
pub mod sys;
pub mod units;
