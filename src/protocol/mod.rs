//! The line protocol: one request is one line of text, one answer is lines of text, the last of them `ok` or
//! `error`. The same codec serves the control socket, the records in `run/ID` and the pair between the two
//! daemons.
#![forbid(unsafe_code)]

pub mod buffer;
pub mod deaths;
pub mod line;
pub mod log_protocol;
pub mod node;
pub mod output;
pub mod process;
pub mod program_info;
pub mod reply;
pub mod request;
pub mod verb;

/// The version of the protocol; a client that asks for another one in `hello` is refused.
pub const VERSION: u32 = 1;

/// The options of `rpmd`, spelling and meaning: what the daemon takes is what its help and manual say.
pub const DAEMON_OPTIONS: &[(&str, &str)] = &[
    (
        "--foreground",
        "stay in the foreground and write the log to standard error too: for init and containers",
    ),
    (
        "--standby",
        "the same, and where another supervisor serves, wait for its end and take over",
    ),
    (
        "--launched",
        "used by rpm: another supervisor that serves already is no failure",
    ),
    (
        "--resume",
        "used by rpmd-log, to have a supervisor again when one died",
    ),
    (
        "--limits=TEXT",
        "used by rpmd-log: the limits that programs get",
    ),
    (
        "--updated=FD",
        "used by rpmd, to go on in the place of another release of itself",
    ),
    (
        "--self-check",
        "used by rpmd, to see that this release can read the records of its home",
    ),
    ("-h, --help", "say what the options are"),
    ("-V, --version", "print the version"),
];

/// The version of the programs.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");
