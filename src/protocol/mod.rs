//! The line protocol. A request is a line of text; a reply is lines of text, the last of them `ok` or `error`. The control
//! socket, the records in the home, and the connection between supervisor and log writer use the same format.
#![forbid(unsafe_code)]

pub mod buffer;
pub mod deaths;
pub mod line;
pub mod log_protocol;
pub mod node;
pub mod output;
pub mod process;
pub mod reply;
pub mod request;
pub mod verb;

/// The version of the protocol. A client that requests another version in `hello` is refused.
pub const VERSION: u32 = 1;

/// The options of `rpmd` and their descriptions, for its parser, its help and the man page.
pub const DAEMON_OPTIONS: &[(&str, &str)] = &[
    (
        "--foreground",
        "stay in the foreground and write the log to standard error too: for init and containers",
    ),
    (
        "--standby",
        "the same; if another supervisor runs, wait for its end and take over",
    ),
    (
        "--launched",
        "used by rpm: succeed if another supervisor runs already",
    ),
    (
        "--resume",
        "used by rpmd-log to restart a supervisor that died",
    ),
    (
        "--limits=TEXT",
        "used by rpmd-log: the resource limits of programs",
    ),
    (
        "--updated=FD",
        "used by rpmd to continue after it executed another release of itself",
    ),
    (
        "--self-check",
        "used by rpmd to check that this release can read the records of the home",
    ),
    ("-h, --help", "print this help"),
    ("-V, --version", "print the version"),
];

/// The version of the programs.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");
