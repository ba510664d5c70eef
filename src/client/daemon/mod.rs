//! The daemon as the client sees it: connecting, launching, requests and replies.

pub mod connect;
pub mod exchange;
pub mod feed;
pub mod group;
pub mod link;
pub mod log_paths;
pub mod session;
pub mod targets;
