//! The table of commands: data only. Parsing, help, the manual and completion read it; `commands` has what each of them does.

use crate::units;

/// The operand of `rpm logs` that names the daemons' own log.
pub const DAEMON_LOG: &str = "rpmd";

/// A command of `rpm`.
pub struct Command {
    /// The name.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// The operands, as the usage line shows them.
    pub arguments: &'static str,
    /// The smallest number of operands.
    pub at_least: usize,
    /// The largest number of operands.
    pub at_most: usize,
    /// A summary in one line.
    pub meaning: &'static str,
    /// The rest of the help text.
    pub help: &'static str,
    /// Whether every setting of a program is a flag too, and what follows `--` are arguments of the program.
    pub fields: bool,
    /// Whether it launches the daemon if none runs.
    pub launches: bool,
}

impl Command {
    /// The name, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// The command with this name or alias.
pub fn find(word: &str) -> Option<&'static Command> {
    COMMANDS
        .iter()
        .find(|command| command.names().any(|name| name == word))
}

/// The same.
///
/// # Errors
/// No command has this name: the sentence suggests the nearest one.
pub fn named(word: &str) -> Result<&'static Command, String> {
    find(word).ok_or_else(|| {
        let near = units::nearest(word, COMMANDS.iter().flat_map(Command::names));
        let hint = did_you_mean(near);
        format!("no command {word}{hint}; see rpm help")
    })
}

/// A hint in parentheses, empty if there is nothing to suggest.
pub fn did_you_mean(known: Option<&str>) -> String {
    known.map_or_else(String::new, |known| format!(" (did you mean {known}?)"))
}

const ANY: usize = usize::MAX;
const TARGETS: &str = "<id|name|namespace|/regex/|all>…";
const TARGETS_OR_FILES: &str = "<id|name|namespace|/regex/|all|file>…";
const TARGETS_OR_ALL: &str = "[id|name|namespace|/regex/|all]…";

/// Every command.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    Command { name: "start", aliases: &[], arguments: "[script|command|id|name|file]…", at_least: 0, at_most: ANY,
        meaning: "start programs",
        help: "A script is run by the interpreter for its extension. A file with another extension is executed, or \
               run by the interpreter in its first line if it is not executable. A directory is a Node package: main \
               of its package.json, index.js, or npm start. A word without a slash that is not a file here is looked \
               up in PATH. A word with a space that is not a file is a command of bash, or of sh where there is no \
               bash. Without words, ecosystem.config.js or another process file of the working directory is started \
               (ecosystem.*, pm2.config.*, processes.json, package.json with apps). The name or id of a managed \
               program starts or restarts it. Arguments after -- are passed to each program. Programs get the current \
               environment and working directory. A process file describes programs: NAME.json (one object, an array, \
               or an array under apps; JSON5 is accepted), NAME.config.js, .cjs or .mjs, which node evaluates, a \
               Procfile, or - for JSON on standard input. Its attributes are the settings here and those of pm2. Its \
               paths are relative to its directory. Missing programs are started, others are restarted with the new \
               settings. A file with a mistake starts nothing. A path may begin with ~/. Python programs get \
               PYTHONUNBUFFERED=1. pm2's flags for its own features, such as --no-vizion, --no-pmx, --trace and \
               --source-map-support, are accepted and ignored. -x is --exec-mode fork.",
        fields: true, launches: true },
    Command { name: "dev", aliases: &[], arguments: "<script|command>", at_least: 1, at_most: 1,
        meaning: "run a program during development; restart it when a file changes",
        help: "Shows the output of the program until ^C, which stops and removes it. Its name is dev-NAME unless \
               --name is given. It has FORCE_COLOR=1 where colors are shown. When it exits, it is started again at \
               the next change. Its directory is watched with all directories below, except node_modules, directories \
               whose name begins with a dot, backup files of editors, and its own logs. A file that the program \
               itself writes and closes there is a change too: exclude it with --ignore-watch. Symbolic links to \
               directories are not followed. If this command is killed by SIGKILL, the program stays in the list.",
        fields: true, launches: true },
    Command { name: "stop", aliases: &[], arguments: TARGETS_OR_FILES, at_least: 1, at_most: ANY,
        meaning: "stop programs",
        help: "Returns when no process is left. A process that does not end is named, and the exit status is 1. \
               Programs stay in the list. A process file selects its programs.",
        fields: false, launches: true },
    Command { name: "restart", aliases: &["startOrRestart"], arguments: TARGETS_OR_FILES, at_least: 1, at_most: ANY,
        meaning: "restart programs",
        help: "A program that does not run is started. Programs keep their environment, unless --update-env gives \
               them the current one. They keep their settings and arguments, except those given here; arguments after \
               -- replace theirs. Name, namespace and number of instances do not change. A process file restarts its \
               programs with its settings and starts the missing ones.",
        fields: true, launches: true },
    Command { name: "delete", aliases: &["del"], arguments: TARGETS_OR_FILES, at_least: 1, at_most: ANY,
        meaning: "stop programs and remove them from the list",
        help: "Log files stay. A process file selects its programs.",
        fields: false, launches: true },
    Command { name: "stopAll", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "stop all programs",
        help: "The same as rpm stop all.",
        fields: false, launches: true },
    Command { name: "restartAll", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "restart all programs",
        help: "The same as rpm restart all.",
        fields: false, launches: true },
    Command { name: "pause", aliases: &[], arguments: TARGETS_OR_FILES, at_least: 1, at_most: ANY,
        meaning: "suspend programs",
        help: "Sends SIGSTOP to all their processes. They stay in memory, keep their ports and answer no clients \
               until rpm resume. stop and restart work as usual.",
        fields: false, launches: true },
    Command { name: "resume", aliases: &[], arguments: TARGETS_OR_FILES, at_least: 1, at_most: ANY,
        meaning: "resume suspended programs",
        help: "Sends SIGCONT to all their processes.",
        fields: false, launches: true },
    Command { name: "sendSignal", aliases: &[], arguments: "<signal> <id|name|namespace|/regex/|all>…", at_least: 2, at_most: ANY,
        meaning: "send a signal to programs",
        help: "The signal is a name or a number. It is sent to the first process of each program. If the program \
               ends, its restart policy applies.",
        fields: false, launches: true },
    Command { name: "list", aliases: &["ls", "l", "ps", "status"], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "show program status",
        help: "With words, only the selected programs are shown, and the exit status is 3 when one of them is not \
               online. CPU is the processor time of the first process as a share of its uptime.",
        fields: false, launches: true },
    Command { name: "jlist", aliases: &[], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "print the list as JSON",
        help: "An array with an object for each program, in pm2's format. Times are in milliseconds, sizes in bytes.",
        fields: false, launches: true },
    Command { name: "prettylist", aliases: &[], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "print the list as indented JSON",
        help: "The same as jlist, indented.",
        fields: false, launches: true },
    Command { name: "describe", aliases: &["desc", "info", "show"], arguments: TARGETS, at_least: 1, at_most: ANY,
        meaning: "show details of programs",
        help: "Settings with their default values are left out.",
        fields: false, launches: true },
    Command { name: "pid", aliases: &[], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "print the pids of running programs, one per line",
        help: "Fails when programs are named and none of them runs.",
        fields: false, launches: true },
    Command { name: "id", aliases: &[], arguments: "<name>", at_least: 1, at_most: 1,
        meaning: "print the ids of programs with this name, one per line",
        help: "Fails when no program has this name.",
        fields: false, launches: true },
    Command { name: "env", aliases: &[], arguments: "<id|name>", at_least: 1, at_most: 1,
        meaning: "print the environment of a program",
        help: "Lines of NAME=value, sorted. It is the environment that the program is started with.",
        fields: false, launches: true },
    Command { name: "logs", aliases: &["log"], arguments: "[id|name|namespace|/regex/|all|rpmd]…", at_least: 0, at_most: ANY,
        meaning: "show the last lines of log files and follow them",
        help: "Each line begins with the id and the name of its program. Lines of standard error have a red bar. \
               Files that are rotated, truncated, replaced or created later are followed, and so are programs that \
               are started later. rpmd selects the log of the daemon. Lines with date and time, as start --time \
               writes them, are merged in that order. --since and --until need them.",
        fields: false, launches: true },
    Command { name: "flush", aliases: &[], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "empty the log files of programs",
        help: "By default those of all programs. Rotated files (FILE.1 and so on) are removed. Output printed before \
               the command is gone when it returns.",
        fields: false, launches: true },
    Command { name: "logrotate", aliases: &[], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "rotate the log files of programs",
        help: "By default those of all programs. Each FILE becomes FILE.1, FILE.1 becomes FILE.2, and so on; \
               --log-max-files of rpm start limits their number. Output printed before the command is in the rotated \
               files. Files are also rotated before they become larger than --log-max-size.",
        fields: false, launches: true },
    Command { name: "reloadLogs", aliases: &[], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "reopen the log files of programs",
        help: "By default those of all programs. Use it after logrotate(8) or another program has renamed log files; \
               start programs with --log-max-size 0 to leave rotation to it. Output printed before the command is in \
               the renamed files.",
        fields: false, launches: true },
    Command { name: "monit", aliases: &["dash"], arguments: TARGETS_OR_ALL, at_least: 0, at_most: ANY,
        meaning: "show programs and their logs on a live full screen",
        help: "CPU is the share of one processor in the last second. ? lists the keys: they move, sort, search, \
               restart, stop, pause and show details. ASCII is used where the locale is not UTF-8, and no color where \
               NO_COLOR is set.",
        fields: false, launches: true },
    Command { name: "events", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "print a line at each change of state",
        help: "The lines are the event lines of rpm-protocol(7).",
        fields: false, launches: true },
    Command { name: "save", aliases: &["dump"], arguments: "", at_least: 0, at_most: 0,
        meaning: "save the list of programs for resurrect",
        help: "Writes dump.json in RPM_HOME and keeps the previous one as dump.json.bak. It is not needed after a \
               crash or a reboot: the desired state is saved on every change.",
        fields: false, launches: true },
    Command { name: "resurrect", aliases: &[], arguments: "[file]", at_least: 0, at_most: 1,
        meaning: "start the programs of a saved list",
        help: "Programs that are in the list already are not changed. Programs that were stopped are added, not \
               started. Without a file it is the list of save or, if that is damaged, the previous one. pm2's \
               dump.pm2 is accepted.",
        fields: false, launches: true },
    Command { name: "cleardump", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "remove the saved list and the previous one",
        help: "Running programs are not changed.",
        fields: false, launches: false },
    Command { name: "web", aliases: &[], arguments: "[port]", at_least: 0, at_most: 1,
        meaning: "serve a status page for browsers",
        help: "The server is a managed program, rpm-web, by default on 127.0.0.1:9615. It is read-only. / is the \
               page, or JSON for clients other than browsers; /api/processes, /api/logs/ID and /api/events \
               (server-sent events) are JSON; /metrics is for Prometheus. No reply contains a value of an \
               environment. Port 0 selects a free port. RPM_WEB_TOKEN is the default of --token.",
        fields: false, launches: true },
    Command { name: "metrics", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "print metrics for Prometheus",
        help: "The same text as /metrics of rpm web, for a textfile collector.",
        fields: false, launches: true },
    Command { name: "ping", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "check that the daemon answers",
        help: "Prints pong. Starts the daemon if none runs.",
        fields: false, launches: true },
    Command { name: "sync", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "wait until the list is on disk",
        help: "Changes reach the disk within seconds. After this command a crash of the machine loses none of them.",
        fields: false, launches: true },
    Command { name: "update", aliases: &["updatePM2"], arguments: "", at_least: 0, at_most: 0,
        meaning: "replace the running rpmd with the installed one",
        help: "Programs, pids and clients stay as they are. The new rpmd is checked first. If the check fails, the \
               old one keeps running and this command fails.",
        fields: false, launches: false },
    Command { name: "kill", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "stop and forget all programs, then end the daemon",
        help: "Returns when no process is left. A process that does not end is named, the exit status is 1, and the \
               next daemon tries again to end it. Log files stay. With --keep only the daemon ends: programs run on, \
               and the next command starts a daemon that adopts them. Their output waits in their pipes, 64 KiB each; \
               a program that ends before that loses what its pipe holds.",
        fields: false, launches: false },
    Command { name: "generate", aliases: &["init", "ecosystem"], arguments: "[name]", at_least: 0, at_most: 1,
        meaning: "write a sample process file",
        help: "The file is NAME.json, by default processes.json. It can be started as it is. An existing file is not \
               overwritten.",
        fields: false, launches: false },
    Command { name: "startup", aliases: &[], arguments: "[platform]", at_least: 0, at_most: 1,
        meaning: "make init start the daemon and its programs at boot",
        help: "The platform is systemd, openrc, runit, s6, sysv or systemd-user, by default the one that runs here. \
               As root, this writes a service that runs rpmd --foreground, enables it and starts it. Otherwise it \
               prints the command for that, and the exit status is 1. If a daemon runs already, the service stands by \
               and takes over when that daemon ends.",
        fields: false, launches: false },
    Command { name: "unstartup", aliases: &[], arguments: "[platform]", at_least: 0, at_most: 1,
        meaning: "undo startup",
        help: "Stops the service with the programs of its daemon, and removes it. The next daemon starts the programs \
               that were wanted up.",
        fields: false, launches: false },
    Command { name: "completion", aliases: &[], arguments: "<bash|zsh|fish>", at_least: 1, at_most: 1,
        meaning: "print a shell completion script",
        help: "For bash: eval \"$(rpm completion bash)\" in ~/.bashrc.",
        fields: false, launches: false },
    Command { name: "help", aliases: &[], arguments: "[command]", at_least: 0, at_most: 1,
        meaning: "explain rpm or a command",
        help: "rpm COMMAND --help is the same.",
        fields: false, launches: false },
    Command { name: "version", aliases: &[], arguments: "", at_least: 0, at_most: 0,
        meaning: "print the version",
        help: "rpm --version is the same.",
        fields: false, launches: false },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_each_command_has_help() {
        let mut names = BTreeSet::new();
        for command in COMMANDS {
            for name in command.names() {
                assert!(names.insert(name), "{name} is not unique");
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
    fn a_misspelt_name_is_corrected() {
        for command in COMMANDS.iter().filter(|command| command.name.len() > 3) {
            let misspelt = format!("{}x", command.name);
            let names = COMMANDS.iter().map(|command| command.name);
            assert_eq!(units::nearest(&misspelt, names), Some(command.name));
        }
    }
}
