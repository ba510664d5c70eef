//! The line protocol: one request is one line of text, one answer is lines of text, the last of them `ok` or
//! `error`. The same codec serves the control socket, the records in `run/ID` and the pair between the two
//! daemons.
#![forbid(unsafe_code)]

pub mod buffer;
pub mod line;
pub mod link;
pub mod process;
pub mod reply;
pub mod request;

/// The version of the protocol; a client that asks for another one in `hello` is refused.
pub const VERSION: u32 = 1;

/// The version of the programs.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");
