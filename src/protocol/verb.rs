//! The table of verbs that requests are made of.

/// One verb of the protocol.
pub struct Verb {
    /// The tag of the request line.
    pub name: &'static str,
    /// Its fields, as they are written.
    pub fields: &'static str,
    /// One line that says what it does.
    pub meaning: &'static str,
}

/// Every verb.
#[rustfmt::skip]
pub const VERBS: &[Verb] = &[
    Verb { name: "hello", fields: "protocol=N", meaning: "agree on the version of the protocol, now 1; any other is refused, and the connection is closed" },
    Verb { name: "ping", fields: "", meaning: "print the pid and the version of the daemon" },
    Verb { name: "start", fields: "script=PATH [FIELD=VALUE]… [env.NAME=VALUE]… [force=true] [want=down]", meaning: "start a program, or with want=down only add it to the list; answered when it runs, with a process line for each instance" },
    Verb { name: "stop", fields: "target=WORD…", meaning: "stop programs; answered when none of their processes is left and their output is in the files" },
    Verb { name: "restart", fields: "target=WORD… [env.NAME=VALUE]… [script=PATH [FIELD=VALUE]…]", meaning: "stop programs and start them again; env replaces their environment, and script all their settings except name and namespace; answered when they run again" },
    Verb { name: "delete", fields: "target=WORD…", meaning: "stop programs and forget them" },
    Verb { name: "pause", fields: "target=WORD…", meaning: "suspend all processes of programs with SIGSTOP; answered when they have stopped" },
    Verb { name: "resume", fields: "target=WORD…", meaning: "resume suspended programs with SIGCONT" },
    Verb { name: "signal", fields: "signal=SIGNAL target=WORD…", meaning: "send a signal to the first process of programs" },
    Verb { name: "flush", fields: "[target=WORD]…", meaning: "empty the log files of programs, by default of all, and remove rotated ones" },
    Verb { name: "rotate", fields: "[target=WORD]…", meaning: "rotate the log files of programs, by default of all" },
    Verb { name: "reopen", fields: "[target=WORD]…", meaning: "reopen the log files of programs by name, by default of all, after they were renamed" },
    Verb { name: "list", fields: "[target=WORD]…", meaning: "print a process line for each program" },
    Verb { name: "describe", fields: "[target=WORD]…", meaning: "print a process line with all settings for each program" },
    Verb { name: "events", fields: "", meaning: "print an event line at each change of state, until the client closes the connection" },
    Verb { name: "sync", fields: "", meaning: "wait until the list is on disk, so that a crash of the machine loses nothing of it" },
    Verb { name: "update", fields: "[program=PATH]", meaning: "replace the running rpmd with the one at this path, by default the path of the running one; answered when it serves, or with the reason why the old one stays" },
    Verb { name: "kill", fields: "[keep=true]", meaning: "stop and forget all programs, then end both daemons; with keep=true leave the programs running for the next daemon" },
];
