//! The connection with the log writer, and the daemon's own log.

pub mod client;
pub mod daemon_log;
pub mod maintenance;
pub mod writer;
