//! The daemon itself: startup, shutdown, upgrade.

pub mod handover;
pub mod home_watch;
pub mod service;
pub mod shutdown;
pub mod startup;
pub mod upgrade;
