//! Listening sockets and channels that outlive the supervisor.

pub mod binding;
pub mod held;
pub mod keeping;
