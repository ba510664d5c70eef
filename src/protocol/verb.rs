//! The table of verbs of requests.

/// One verb of the protocol.
pub struct Verb {
    /// The tag of the request line.
    pub name: &'static str,
    /// Its fields, for the man page.
    pub fields: &'static str,
    /// A one-line description.
    pub meaning: &'static str,
}

/// Every verb.
#[rustfmt::skip]
pub const VERBS: &[Verb] = &[
    Verb { name: "hello", fields: "protocol=N", meaning: "agree on the protocol; refused, and the connection closed, when the version is not served" },
    Verb { name: "ping", fields: "", meaning: "answer with the supervisor's pid and version" },
    Verb { name: "start", fields: "script=PATH [FIELD=VALUE]… [env.NAME=VALUE]… [force=true] [want=down]", meaning: "start a program, or with want=down only add it to the list; answers when it runs, with a process line for each instance" },
    Verb { name: "stop", fields: "target=WORD…", meaning: "stop programs; answers when nothing of them is left and their output is in the files" },
    Verb { name: "restart", fields: "target=WORD… [env.NAME=VALUE]… [script=PATH [FIELD=VALUE]…]", meaning: "stop and start programs; a given environment replaces theirs, with script=PATH and the fields of start, all their settings except name and namespace are replaced; answers when they run again" },
    Verb { name: "delete", fields: "target=WORD…", meaning: "stop programs and forget them" },
    Verb { name: "pause", fields: "target=WORD…", meaning: "stop all processes of programs with SIGSTOP until they are resumed" },
    Verb { name: "resume", fields: "target=WORD…", meaning: "resume paused programs" },
    Verb { name: "signal", fields: "signal=SIGNAL target=WORD…", meaning: "send a signal to the first process of programs" },
    Verb { name: "flush", fields: "[target=WORD]…", meaning: "empty the log files of programs, of all programs unless some are named, and remove the rotated files" },
    Verb { name: "rotate", fields: "[target=WORD]…", meaning: "rotate the log files of programs; of all programs unless some are named" },
    Verb { name: "reopen", fields: "[target=WORD]…", meaning: "reopen the log files of programs by name, after they were moved away" },
    Verb { name: "list", fields: "[target=WORD]…", meaning: "a process line for each program" },
    Verb { name: "describe", fields: "[target=WORD]…", meaning: "a process line with every field for each program" },
    Verb { name: "events", fields: "", meaning: "from now on an event line whenever the state of a program changes, until the client closes" },
    Verb { name: "sync", fields: "", meaning: "answer when the list is on the disk and survives a crash of the machine" },
    Verb { name: "update", fields: "[program=PATH]", meaning: "replace the running rpmd by the one of this path, by default its own; answers when the new one serves, or with the reason why the old one stays" },
    Verb { name: "kill", fields: "[keep=true]", meaning: "stop and forget all programs, then end both daemons; with keep=true the programs run on for the next daemon" },
];
