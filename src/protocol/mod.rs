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
        "stay in the foreground and write the log to standard error too, for init and containers",
    ),
    (
        "--standby",
        "like --foreground; while another daemon serves, wait until it ends and take over",
    ),
    (
        "--launched",
        "used by rpm: it is no error that another daemon serves already",
    ),
    ("--resume", "used by rpmd-log: replace a daemon that died"),
    (
        "--limits=TEXT",
        "used by rpmd-log: the resource limits of programs",
    ),
    ("--updated=FD", "used by rpmd: continue after an update"),
    (
        "--self-check",
        "used by rpmd: check that this release can read the records of its home",
    ),
    ("-h, --help", "show help"),
    ("-V, --version", "print the version"),
];

/// The version of the programs.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");
