//! The whole program, `rpm` and `rpmd`, each test in an `RPM_HOME` of its own.
//!
//! The tests wait for facts (events, files, ends of processes) and never sleep. `RPM_TEST_ALL=1` makes a test fail
//! that cannot be run here, where it is passed over otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod harness;

mod adoption;
mod cgroups;
mod clean_child;
mod clients;
mod cluster;
mod control;
mod daemon;
mod damage;
mod dev;
mod docs;
mod ending;
mod foreign_folders;
mod foreign_homes;
mod hidden;
mod home_folder;
mod home_removed;
mod hostile;
mod idle;
mod init;
mod kill_points;
mod launches;
mod layering;
mod log_floods;
mod log_hangs;
mod log_kill_points;
mod log_lines;
mod log_loss;
mod log_names;
mod log_rotation;
mod log_settings;
mod log_streams;
mod log_unfinished;
mod log_upkeep;
mod logs;
mod logs_files;
mod lookups;
mod members;
mod migration;
mod monit;
mod no_byte_lost;
mod output;
mod own_output;
mod pm2_files;
mod pm2_flags;
mod pm2_names;
mod pm2_start;
mod policy;
mod ports;
mod process_file;
mod protocol;
mod recycled_pid;
mod resisting;
mod resume;
mod saved_list;
mod scarcity;
mod signals;
mod start;
mod start_errors;
mod startup;
mod sync;
mod terminal;
mod update;
mod watchdog;
mod web;
mod web_hostile;
