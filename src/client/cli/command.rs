//! The table of commands: data only. Parsing, help, the manual and completion read it; `commands` has what each of them does.

/// The word of `rpm logs` that names the daemons' own log.
pub const DAEMON_LOG: &str = "rpmd";

/// One row.
pub struct Command {
    /// The name.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// Its words, as a usage line shows them.
    pub arguments: &'static str,
    /// How many words it needs.
    pub at_least: usize,
    /// How many words it takes.
    pub at_most: usize,
    /// One line that says what it does.
    pub meaning: &'static str,
    /// What else there is to know.
    pub help: &'static str,
    /// The names of the flags it takes besides the global ones.
    pub flags: &'static [&'static str],
    /// Whether it takes every field of a program as a flag, and arguments of the program after `--`.
    pub fields: bool,
    /// Whether it launches the daemon where none runs.
    pub launches: bool,
}

impl Command {
    /// Every name: its own, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// The command of this name or alias.
pub fn find(word: &str) -> Option<&'static Command> {
    COMMANDS
        .iter()
        .find(|command| command.names().any(|name| name == word))
}

const ANY: usize = usize::MAX;
const SERVICE: &[&str] = &["user", "hp", "service-name", "root", "print"];
const SERVICE_GONE: &[&str] = &["user", "hp", "service-name", "root"];
const TARGETS: &str = "<id|name|namespace|/regex/|all>…";
const TARGETS_OR_FILES: &str = "<id|name|namespace|/regex/|all|file>…";
const TARGETS_OR_ALL: &str = "[id|name|namespace|/regex/|all]…";

/// Every command.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    Command { name: "start", aliases: &[], arguments: "[script|command|id|name|file]…", at_least: 0, at_most: ANY,
        meaning: "start programs",
        help: "A script is run by the interpreter for its ending. A file with an unknown ending is executed, or run by \
               the interpreter in its first line if it is not executable. A directory is a Node package: main of \
               its package.json, index.js, or npm start. A word without a slash that is no file here is looked up in \
               PATH. A word with a space in it that is no file is a command of bash, or of sh where there is no bash. \
               Without a word, it takes ecosystem.config.js or another process file of the working directory \
               (ecosystem.*, pm2.config.*, processes.json, package.json with apps). The name or id of a program that is managed already starts or \
               restarts that program. What follows -- goes to each program as its arguments. A program has \
               the present environment and folder. A process file tells of programs: NAME.json (one object, an \
               array, or both under apps; JSON5 is accepted), NAME.config.js, .cjs or .mjs, which node evaluates, a \
               Procfile, or - for JSON on standard input. Its attributes are the fields here and those of pm2, its \
               paths relative to its folder. What is missing is started, what is there is restarted with the new \
               settings; a file with a mistake starts nothing. A path may begin with ~/. Python programs get \
               PYTHONUNBUFFERED=1. pm2's flags for its own features, such as --no-vizion, --no-pmx, --trace and \
               --source-map-support, are accepted and do nothing; -x is --exec-mode fork.",
        flags: &["force", "update-env", "env", "filter-env", "only", "no-autostart", "write"], fields: true,
        launches: true },
    Command { name: "dev", aliases: &[], arguments: "<script|command>", at_least: 1, at_most: 1,
        meaning: "run a program while you work on it, and restart it when a file changes",
        help: "What it prints is shown until ^C, which stops and removes it. It is called dev-NAME unless --name says \
               otherwise, has FORCE_COLOR=1 where colours are shown, and is not started again when it ends, but at the \
               next change. Its folder is watched with those below, but for node_modules, folders whose name begins \
               with a dot, what editors keep beside a file, and its own logs. What it writes and closes there itself is \
               a change too: leave that out with --ignore-watch. A folder that is a symbolic link is not entered. Where \
               this command is killed by SIGKILL the program stays in the list.",
        flags: &["watch", "ignore-watch", "raw"], fields: true, launches: true },
    Command { name: "stop", aliases: &[], arguments: TARGETS_OR_FILES, at_least: 1, at_most: ANY,
        meaning: "stop programs",
        help: "Returns when no process is left. A process that does not end is named, and the exit status is 1. They \
               stay in the list. A process file stands for its programs.",
        flags: &["only"], fields: false, launches: true },
    Command { name: "restart", aliases: &["startOrRestart"], arguments: TARGETS_OR_FILES, at_least: 1, at_most: ANY,
        meaning: "stop programs and start them again",
        help: "A program that does not run is started. Programs keep the environment that they were started \
               with, unless --update-env gives them the present one. They keep their settings and arguments too, except \
               those given here: what follows -- replaces the arguments. Name, namespace and number of \
               instances are not changed. With a process file, see start: what is missing is started, and what is \
               there gets its settings.",
        flags: &["update-env", "filter-env", "env", "only"], fields: true, launches: true },
    Command { name: "delete", aliases: &["del"], arguments: TARGETS_OR_FILES, at_least: 1, at_most: ANY,
        meaning: "stop programs and forget them",
        help: "Their log files stay. A process file stands for its programs.",
        flags: &["only"], fields: false, launches: true },
    Command { name: "stopAll", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "stop every program",
        help: "The same as rpm stop all.",
        flags: &[], fields: false, launches: true },
    Command { name: "restartAll", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "restart every program",
        help: "The same as rpm restart all.",
        flags: &[], fields: false, launches: true },
    Command { name: "pause", aliases: &[], arguments: TARGETS_OR_FILES, at_least: 1, at_most: ANY,
        meaning: "suspend programs until they are resumed",
        help: "All their processes get SIGSTOP. They stay in memory, keep their ports and answer nobody. stop and restart \
               work on them as on others.",
        flags: &["only"], fields: false, launches: true },
    Command { name: "resume", aliases: &[], arguments: TARGETS_OR_FILES, at_least: 1, at_most: ANY,
        meaning: "resume paused programs",
        help: "All their processes get SIGCONT.",
        flags: &["only"], fields: false, launches: true },
    Command { name: "sendSignal", aliases: &[], arguments: "<signal> <id|name|namespace|/regex/|all>…", at_least: 2, at_most: ANY,
        meaning: "send a signal to programs",
        help: "By its name or number, to the first process of each; a program that it ends is treated by its restart policy.",
        flags: &[], fields: false, launches: true },
    Command { name: "list", aliases: &["ls", "l", "ps", "status"], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "show program status",
        help: "With words, only those programs, and the exit status is 3 when one of them is not online. The \
               processor time is that of a program's first process, as a share of the time that it has run.",
        flags: &["json", "sort"], fields: false, launches: true },
    Command { name: "jlist", aliases: &[], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "the list as JSON, for programs",
        help: "An array with an object for each program, as pm2 prints it. Times are milliseconds, sizes bytes.",
        flags: &[], fields: false, launches: true },
    Command { name: "prettylist", aliases: &[], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "the list as JSON, for people",
        help: "The same as jlist, indented.",
        flags: &[], fields: false, launches: true },
    Command { name: "describe", aliases: &["desc", "info", "show"], arguments: TARGETS, at_least: 1, at_most: ANY,
        meaning: "show details of programs",
        help: "Settings that have their default value are left out.",
        flags: &[], fields: false, launches: true },
    Command { name: "pid", aliases: &[], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "print the pids of programs that run, one a line",
        help: "It fails when a word is given and none of those programs runs.",
        flags: &[], fields: false, launches: true },
    Command { name: "id", aliases: &[], arguments: "<name>", at_least: 1, at_most: 1,
        meaning: "print the ids of the programs of this name, one a line",
        help: "It fails when no program has the name.",
        flags: &[], fields: false, launches: true },
    Command { name: "env", aliases: &[], arguments: "<id|name>", at_least: 1, at_most: 1,
        meaning: "print the environment that a program is started with",
        help: "Lines of NAME=value, sorted.",
        flags: &[], fields: false, launches: true },
    Command { name: "logs", aliases: &["log"], arguments: "[id|name|namespace|/regex/|all|rpmd]…", at_least: 0, at_most: ANY,
        meaning: "print the last lines of log files, then each new one",
        help: "Each line begins with the id and the name of its program, with a red bar where it is of standard error. \
               Files that are rotated, truncated, replaced or created later are followed too, and so are programs that \
               are started later. rpmd is the daemons' own log. Lines that begin with date and time, as --time of start \
               has them, come in that order; --since and --until need that.",
        flags: &["lines", "nostream", "out", "err", "raw", "json", "format", "timestamp", "highlight", "since", "until",
            "grep"], fields: false, launches: true },
    Command { name: "flush", aliases: &[], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "empty the log files of programs",
        help: "Of all programs, unless some are named. What they have printed before is gone when the command is done, \
               with the files FILE.1 and so on that were set aside; what they print from now on is at the beginning.",
        flags: &[], fields: false, launches: true },
    Command { name: "logrotate", aliases: &[], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "rotate the log files of programs",
        help: "Each FILE becomes FILE.1, what was FILE.1 becomes FILE.2, and so on; --log-max-files of rpm start says how many \
               are kept. What was printed before the command is in them when it is done. Of all programs, unless some are \
               named. It happens by itself when a file would become larger than --log-max-size.",
        flags: &[], fields: false, launches: true },
    Command { name: "reloadLogs", aliases: &[], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "reopen the log files of programs",
        help: "By their names: for logrotate(8) and others that move them away, where --log-max-size 0 leaves that to them. \
               What was printed before is in the files that were moved. Of all programs, unless some are named.",
        flags: &[], fields: false, launches: true },
    Command { name: "monit", aliases: &["dash"], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "show programs and their logs on a live full screen",
        help: "Processor time is the share of one processor in the last second. The key ? lists the keys: they move, \
               sort, find, restart, stop, pause, and open all that is known of a program. It draws with ASCII where the \
               locale is not UTF-8, and without colours where NO_COLOR is set.",
        flags: &[], fields: false, launches: true },
    Command { name: "events", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "print a line whenever the state of a program changes",
        help: "The lines are those of the protocol: the word event, then KEY=VALUE pairs.",
        flags: &[], fields: false, launches: true },
    Command { name: "save", aliases: &["dump"], arguments: "", at_least: 0, at_most: 0,
        meaning: "write the list of programs to a file, for resurrect",
        help: "The file is dump.json in RPM_HOME; the one before is kept as dump.json.bak. Nobody needs it to get \
               programs back after a crash or a reboot: what is wanted is on disk at every change.",
        flags: &["force"], fields: false, launches: true },
    Command { name: "resurrect", aliases: &[], arguments: "[file]", at_least: 0, at_most: 1,
        meaning: "start the programs of a saved list",
        help: "What is in the list already is left alone, what was stopped comes back stopped. Without a file it is \
               what save wrote, or where that is damaged, the one before. pm2's dump.pm2 is read too.",
        flags: &[], fields: false, launches: true },
    Command { name: "cleardump", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "remove the saved list and the one before",
        help: "Programs that run are left alone.",
        flags: &[], fields: false, launches: false },
    Command { name: "web", aliases: &[], arguments: "[port]", at_least: 0, at_most: 1,
        meaning: "serve a status page for browsers",
        help: "It is a managed program, rpm-web, that serves on 127.0.0.1:9615 unless it is told otherwise, and only \
               for reading: / is the page, or JSON for programs; /api/processes, /api/logs/ID and /api/events (server-sent \
               events) are JSON, /metrics is for Prometheus. No answer has a value of an environment. Port 0 is any that \
               is free. The token may be in RPM_WEB_TOKEN instead.",
        flags: &["bind", "host", "token", "serve"], fields: false, launches: true },
    Command { name: "metrics", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "print program metrics for Prometheus",
        help: "The same text as /metrics of rpm web, for a textfile collector.",
        flags: &[], fields: false, launches: true },
    Command { name: "ping", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "print pong when the daemon answers",
        help: "The daemon is launched where none runs.",
        flags: &[], fields: false, launches: true },
    Command { name: "sync", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "wait until the list of programs is on disk",
        help: "Changes get there by themselves within seconds; after this command a crash of the machine costs none.",
        flags: &[], fields: false, launches: true },
    Command { name: "update", aliases: &["updatePM2"], arguments: "", at_least: 0, at_most: 0,
        meaning: "replace the running rpmd with the installed one",
        help: "Programs, clients and pids stay as they are. The new program is asked to prove itself first; if it cannot, \
               the old one goes on and this command fails.",
        flags: &[], fields: false, launches: false },
    Command { name: "kill", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "stop and forget all programs, then end the daemon",
        help: "Returns when no process is left. A process that cannot be ended is named, the exit status is 1, and \
               the next daemon keeps trying to end it. Log files stay. With --keep only the daemon ends: the programs run on, and \
               the next command has a daemon that adopts them. What they print meanwhile waits in their pipes, 64 KiB \
               each; a program that ends before that takes with it what its pipe holds.",
        flags: &["keep"], fields: false, launches: false },
    Command { name: "generate", aliases: &["init", "ecosystem"], arguments: "[name]", at_least: 0, at_most: 1,
        meaning: "write a sample process file",
        help: "It is called NAME.json, by default processes.json, and starts as it is. A file that is there already \
               stays.",
        flags: &[], fields: false, launches: false },
    Command { name: "startup", aliases: &[], arguments: "[platform]", at_least: 0, at_most: 1,
        meaning: "make init start the daemon and its programs at boot",
        help: "The platforms are systemd, openrc, runit, s6, sysv and systemd-user; by default the one that runs \
               here. Root writes the file of a service that runs rpmd --foreground, enables and starts it. \
               Anybody else gets the command line for that, and exit status 1. Where a daemon runs already, the \
               service stands by and takes over when that daemon ends.",
        flags: SERVICE, fields: false, launches: false },
    Command { name: "unstartup", aliases: &[], arguments: "[platform]", at_least: 0, at_most: 1,
        meaning: "undo startup",
        help: "The service is stopped, with it the programs that its daemon runs, and removed. What was wanted \
               up is started by the next daemon.",
        flags: SERVICE_GONE, fields: false, launches: false },
    Command { name: "completion", aliases: &[], arguments: "<bash|zsh|fish>", at_least: 1, at_most: 1,
        meaning: "print a shell completion script",
        help: "For bash: eval \"$(rpm completion bash)\" in ~/.bashrc.",
        flags: &[], fields: false, launches: false },
    Command { name: "help", aliases: &[], arguments: "[command]", at_least: 0, at_most: 1,
        meaning: "explain rpm, or one command",
        help: "rpm COMMAND --help is the same.",
        flags: &["man"], fields: false, launches: false },
    Command { name: "version", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "print the version",
        help: "rpm --version is the same.",
        flags: &[], fields: false, launches: false },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::cli::flag;
    use crate::units;
    use std::collections::BTreeSet;

    #[test]
    fn no_name_stands_twice_and_each_command_is_explained() {
        let mut names = BTreeSet::new();
        for command in COMMANDS {
            for name in command.names() {
                assert!(names.insert(name), "{name} stands twice");
            }
            assert!(!command.meaning.is_empty() && !command.meaning.ends_with('.'));
            assert!(command.help.ends_with('.'), "{}", command.name);
            assert!(command.at_least <= command.at_most, "{}", command.name);
            assert_eq!(
                command.arguments.is_empty(),
                command.at_most == 0,
                "{}",
                command.name
            );
            assert_eq!(
                command.arguments.starts_with('<'),
                command.at_least > 0,
                "{}",
                command.name
            );
        }
    }

    #[test]
    fn each_flag_that_a_command_takes_exists_and_hides_no_other() {
        for command in COMMANDS {
            for name in command.flags {
                assert!(
                    flag::by_name(name, command.flags, false).is_some(),
                    "--{name}"
                );
                if command.fields {
                    assert!(
                        flag::by_name(name, &[], true).is_none(),
                        "--{name} is a field"
                    );
                }
            }
        }
        let used: BTreeSet<_> = COMMANDS.iter().flat_map(|c| c.flags).collect();
        let listed: BTreeSet<_> = flag::FLAGS.iter().map(|f| &f.name).collect();
        assert_eq!(used, listed);
    }

    #[test]
    fn every_name_is_near_to_itself_misspelt() {
        for command in COMMANDS.iter().filter(|command| command.name.len() > 3) {
            let misspelt = format!("{}x", command.name);
            let names = COMMANDS.iter().map(|command| command.name);
            assert_eq!(units::nearest(&misspelt, names), Some(command.name));
        }
    }
}
