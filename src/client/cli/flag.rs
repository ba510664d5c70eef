//! The table of flags. The settings of programs are flags too: the rows of [`field::FIELDS`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::command::Command;
use crate::model::field::{self, FIELDS, Field};

/// A flag that is not a setting of programs.
pub struct Flag {
    /// The long name, without `--`.
    pub name: &'static str,
    /// The one-letter name.
    pub short: Option<char>,
    /// The placeholder of the value in help; empty for a switch.
    pub placeholder: &'static str,
    /// A summary in one line.
    pub meaning: &'static str,
    /// Whether help and the manual leave it out.
    pub hidden: bool,
    /// The names of the commands that accept it; empty for all.
    pub of: &'static [&'static str],
    /// Stores the value, which is empty for a switch. The error completes "--NAME: …".
    pub set: fn(&mut Options, &str) -> Result<(), String>,
}

impl Flag {
    /// Whether the value may be omitted. It is only accepted as `--NAME=VALUE`.
    pub fn is_optional(&self) -> bool {
        self.placeholder.starts_with('[')
    }
}

/// Declares [`Options`] and the tables of flags from one list: a row has the member of `Options`, its type and the [`Flag`].
macro_rules! flags {
    ($($(#[$about:meta])* $table:ident [ $($member:ident: $type:ty = { $($row:tt)* };)+ ])+) => {
        /// The values of the flags that the command line gives.
        #[derive(Debug, Default)]
        #[allow(missing_docs)]
        pub struct Options {
            $($(pub $member: $type,)+)+
        }

        $($(#[$about])*
        pub const $table: &[Flag] = &[
            $(Flag { set: |options, value| options.$member.set(value), $($row)* },)+
        ];)+
    };
}

#[rustfmt::skip]
flags! {
/// The flags that every command takes.
GLOBAL [
    help: bool = { name: "help", short: Some('h'), placeholder: "", hidden: false, of: &[],
        meaning: "show help" };
    version: bool = { name: "version", short: Some('v'), placeholder: "", hidden: false, of: &[],
        meaning: "print the version" };
    silent: bool = { name: "silent", short: Some('s'), placeholder: "", hidden: false, of: &[],
        meaning: "print only errors" };
    no_color: bool = { name: "no-color", short: None, placeholder: "", hidden: false, of: &[],
        meaning: "print no color, as with NO_COLOR in the environment" };
    mini_list: bool = { name: "mini-list", short: Some('m'), placeholder: "", hidden: false, of: &[],
        meaning: "print tables as short blocks of text" };
]

/// The flags of some commands.
FLAGS [
    force: bool = { name: "force", short: Some('f'), placeholder: "", hidden: false, of: &["start", "save"],
        meaning: "start a program even if it is managed already; save even an empty list" };
    update_env: bool = { name: "update-env", short: Some('a'), placeholder: "", hidden: false, of: &["start", "restart"],
        meaning: "give programs the current environment" };
    json: bool = { name: "json", short: None, placeholder: "", hidden: false, of: &["list", "logs"],
        meaning: "print JSON: the list as jlist does, each log line as an object" };
    lines: Option<usize> = { name: "lines", short: None, placeholder: "N", hidden: false, of: &["logs"],
        meaning: "the number of last lines to print of each file; by default 15" };
    nostream: bool = { name: "nostream", short: None, placeholder: "", hidden: false, of: &["logs"],
        meaning: "do not follow the files" };
    out: bool = { name: "out", short: None, placeholder: "", hidden: false, of: &["logs"],
        meaning: "print only standard output" };
    err: bool = { name: "err", short: None, placeholder: "", hidden: false, of: &["logs"],
        meaning: "print only standard error" };
    raw: bool = { name: "raw", short: None, placeholder: "", hidden: false, of: &["dev", "logs"],
        meaning: "print lines as they are, without the name of the program" };
    format: bool = { name: "format", short: None, placeholder: "", hidden: false, of: &["logs"],
        meaning: "print each line as timestamp=… app=NAME id=ID type=out message=…" };
    timestamp: Option<String> = { name: "timestamp", short: None, placeholder: "[=FORM]", hidden: false, of: &["logs"],
        meaning: "print each line with date and time, by default as YYYY-MM-DD-HH:mm:ss" };
    highlight: Option<String> = { name: "highlight", short: None, placeholder: "WORD", hidden: false, of: &["logs"],
        meaning: "show this word in reverse video" };
    since: Option<String> = { name: "since", short: None, placeholder: "TIME", hidden: false, of: &["logs"],
        meaning: "print only lines written at this time or later: 2026-11-25, '2026-11-25 12:00', 12:00, or 10m for \
                  ten minutes ago" };
    until: Option<String> = { name: "until", short: None, placeholder: "TIME", hidden: false, of: &["logs"],
        meaning: "print only lines written until this time" };
    grep: Option<String> = { name: "grep", short: None, placeholder: "PATTERN", hidden: false, of: &["logs"],
        meaning: "print only lines whose message matches this extended regular expression" };
    env: Option<String> = { name: "env", short: None, placeholder: "NAME", hidden: false, of: &["start", "restart"],
        meaning: "apply env_NAME of the process file over its env" };
    only: NameList = { name: "only", short: None, placeholder: "NAME,…", hidden: false, of: &["start", "stop", "restart", "delete", "pause", "resume"],
        meaning: "select programs of the process file by name; by default all" };
    no_autostart: bool = { name: "no-autostart", short: None, placeholder: "", hidden: false, of: &["start"],
        meaning: "add programs to the list without starting them" };
    filter_env: Vec<String> = { name: "filter-env", short: None, placeholder: "PART", hidden: false, of: &["start", "restart"],
        meaning: "leave out variables whose names contain PART; may be repeated" };
    write: bool = { name: "write", short: Some('w'), placeholder: "", hidden: false, of: &["start"],
        meaning: "write the started programs to the process file NAME.config.json" };
    sort: Option<String> = { name: "sort", short: None, placeholder: "FIELD", hidden: false, of: &["list"],
        meaning: "sort the table by id, name, namespace, pid, status, restarts, uptime, created, cpu or memory; FIELD:desc for \
                  the largest first" };
    keep: bool = { name: "keep", short: None, placeholder: "", hidden: false, of: &["kill"],
        meaning: "leave the programs running for the next daemon" };
    watch: Vec<String> = { name: "watch", short: None, placeholder: "PATH", hidden: false, of: &["dev"],
        meaning: "watch this directory or file, not the directory of the program; may be repeated" };
    ignore_watch: Vec<String> = { name: "ignore-watch", short: None, placeholder: "PATTERN", hidden: false, of: &["dev"],
        meaning: "do not watch matching paths, such as 'public' or '*.log'; a pattern with a slash is relative to the \
                  working directory; may be repeated" };
    user: Option<String> = { name: "user", short: Some('u'), placeholder: "NAME", hidden: false, of: &["startup", "unstartup"],
        meaning: "the user of the programs; by default yours" };
    home: Option<String> = { name: "hp", short: None, placeholder: "FOLDER", hidden: false, of: &["startup", "unstartup"],
        meaning: "the home directory of that user" };
    service_name: Option<String> = { name: "service-name", short: None, placeholder: "NAME", hidden: false, of: &["startup", "unstartup"],
        meaning: "the name of the service; by default rpm-USER" };
    print: bool = { name: "print", short: None, placeholder: "", hidden: false, of: &["startup"],
        meaning: "print the file that would be written, and do nothing" };
    root: Option<String> = { name: "root", short: None, placeholder: "FOLDER", hidden: false, of: &["startup", "unstartup"],
        meaning: "write below this directory, and print the commands that are left to run" };
    man: bool = { name: "man", short: None, placeholder: "", hidden: true, of: &["help"],
        meaning: "print the manual page rpm, rpmd or rpm-protocol, as roff" };
    bind: Option<String> = { name: "bind", short: None, placeholder: "ADDRESS", hidden: false, of: &["web"],
        meaning: "the IP address to serve on; by default 127.0.0.1. An address that others can reach needs a token" };
    host: Vec<String> = { name: "host", short: None, placeholder: "NAME", hidden: false, of: &["web"],
        meaning: "another host name to answer to; may be repeated" };
    token: Option<String> = { name: "token", short: None, placeholder: "WORD", hidden: false, of: &["web"],
        meaning: "the token that each request must have, as ?token=WORD or Authorization: Bearer WORD" };
    serve: Option<String> = { name: "serve", short: None, placeholder: "HOW", hidden: true, of: &["web"],
        meaning: "run the server" };
]
}

/// A value that a flag sets.
trait FlagValue {
    /// Stores the text that follows the flag, which is empty for a switch. The error completes "--NAME: …".
    fn set(&mut self, text: &str) -> Result<(), String>;
}

impl FlagValue for bool {
    fn set(&mut self, _: &str) -> Result<(), String> {
        *self = true;
        Ok(())
    }
}

impl FlagValue for Option<String> {
    fn set(&mut self, text: &str) -> Result<(), String> {
        *self = Some(text.to_owned());
        Ok(())
    }
}

impl FlagValue for Option<usize> {
    fn set(&mut self, text: &str) -> Result<(), String> {
        let number = text.parse();
        *self = Some(number.map_err(|_| format!("'{text}' is not a whole number"))?);
        Ok(())
    }
}

/// A flag that may be repeated.
impl FlagValue for Vec<String> {
    fn set(&mut self, text: &str) -> Result<(), String> {
        self.push(text.to_owned());
        Ok(())
    }
}

/// Names separated by commas or blanks. The flag may be repeated.
#[derive(Debug, Default)]
pub struct NameList(pub Vec<String>);

impl FlagValue for NameList {
    fn set(&mut self, text: &str) -> Result<(), String> {
        let names = text.split([',', ' ']).filter(|name| !name.is_empty());
        self.0.extend(names.map(str::to_owned));
        if self.0.is_empty() {
            Err("no name is given".to_owned())
        } else {
            Ok(())
        }
    }
}

/// Flags of pm2 for its own tracing and version control: accepted and ignored, because scripts use them.
pub const IGNORED: [&str; 12] = [
    "automation",
    "deep-monitoring",
    "disable-source-map-support",
    "disable-trace",
    "event-loop-inspector",
    "no-automation",
    "no-pmx",
    "no-vizion",
    "pmx",
    "source-map-support",
    "trace",
    "v8",
];

/// pm2's flag for fork mode: a Node script does not become a cluster, however many instances it has.
const EXECUTE_COMMAND: (&str, char) = ("execute-command", 'x');

/// A flag that a command accepts.
#[derive(Clone, Copy)]
pub enum Taken {
    /// A row of the tables here.
    Flag(&'static Flag),
    /// A setting.
    Field(&'static Field),
    /// A switch among the settings, turned off.
    Negated(&'static Field),
    /// A setting with the value that the flag implies.
    Implied(&'static Field, &'static str),
    /// A flag that is ignored.
    Ignored,
}

/// The name of a field as a flag: `kill_timeout` is `kill-timeout`.
pub fn kebab(name: &str) -> String {
    name.replace('_', "-")
}

/// Whether help shows `--no-NAME`: a switch that is on can only be turned off.
pub fn is_on_by_default(field: &Field) -> bool {
    field.is_switch() && field.default_text() == "true"
}

/// The settings that are flags.
pub fn settings() -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().filter(|field| field.flag)
}

/// The setting with this long name.
pub fn setting_named(name: &str) -> Option<&'static Field> {
    field::find(&name.replace('-', "_")).filter(|field| field.flag)
}

/// Whether a command accepts the settings of programs as flags.
fn has_settings(command: Option<&Command>) -> bool {
    command.is_some_and(|command| command.fields)
}

/// The rows of [`FLAGS`] that a command accepts.
pub fn flags_of(command: Option<&Command>) -> impl Iterator<Item = &'static Flag> {
    let name = command.map(|command| command.name);
    let is_of = move |flag: &&Flag| name.is_some_and(|name| flag.of.contains(&name));
    FLAGS.iter().filter(is_of)
}

/// The flag with this long name: one of the command or, without a command, a global one.
pub fn by_name(name: &str, command: Option<&Command>) -> Option<Taken> {
    if let Some(flag) = flags_of(command).find(|flag| flag.name == name) {
        return Some(Taken::Flag(flag));
    }
    if has_settings(command) {
        if let Some(field) = setting_named(name) {
            return Some(Taken::Field(field));
        }
        let switch = name.strip_prefix("no-").and_then(setting_named);
        if let Some(field) = switch.filter(|field| field.is_switch()) {
            return Some(Taken::Negated(field));
        }
    }
    if name == EXECUTE_COMMAND.0 {
        Some(fork_mode(command))
    } else if IGNORED.contains(&name) {
        Some(Taken::Ignored)
    } else {
        GLOBAL
            .iter()
            .find(|flag| flag.name == name)
            .map(Taken::Flag)
    }
}

/// The flag with this letter, as [`by_name`].
pub fn by_letter(letter: char, command: Option<&Command>) -> Option<Taken> {
    let is_it = |short: Option<char>| short == Some(letter);
    if let Some(flag) = flags_of(command).find(|flag| is_it(flag.short)) {
        return Some(Taken::Flag(flag));
    }
    let setting = settings().find(|field| is_it(field.short));
    if let Some(field) = setting.filter(|_| has_settings(command)) {
        return Some(Taken::Field(field));
    }
    if letter == EXECUTE_COMMAND.1 {
        Some(fork_mode(command))
    } else {
        GLOBAL
            .iter()
            .find(|flag| is_it(flag.short))
            .map(Taken::Flag)
    }
}

/// `--execute-command`: ignored by commands without settings.
fn fork_mode(command: Option<&Command>) -> Taken {
    match field::find("exec_mode").filter(|_| has_settings(command)) {
        Some(field) => Taken::Implied(field, "fork"),
        None => Taken::Ignored,
    }
}

/// The long names of all flags that [`by_name`] finds, except ignored ones.
pub fn names(command: Option<&Command>) -> Vec<String> {
    let flags = flags_of(command).chain(GLOBAL);
    let mut names: Vec<String> = flags.map(|flag| flag.name.to_owned()).collect();
    for field in settings().filter(|_| has_settings(command)) {
        names.extend(field.names().map(kebab));
        if field.is_switch() {
            names.push(format!("no-{}", kebab(field.name)));
        }
    }
    names
}

/// The value as text.
///
/// # Errors
/// It is not UTF-8.
pub fn text(value: &OsStr) -> Result<&str, String> {
    std::str::from_utf8(value.as_bytes()).map_err(|_| "the value is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::command::find;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_letters_are_unique() {
        let mut names = BTreeSet::new();
        for flag in GLOBAL.iter().chain(FLAGS) {
            assert!(names.insert(flag.name), "--{} is not unique", flag.name);
            assert!(!flag.meaning.is_empty() && !flag.meaning.ends_with('.'));
        }
        let mut letters = BTreeSet::new();
        let of_flags = GLOBAL.iter().chain(FLAGS).filter_map(|flag| flag.short);
        for letter in of_flags.chain(settings().filter_map(|field| field.short)) {
            assert!(letters.insert(letter), "-{letter} is not unique");
        }
    }

    #[test]
    fn the_commands_of_a_flag_exist_and_it_hides_no_setting() {
        assert!(GLOBAL.iter().all(|flag| flag.of.is_empty()));
        for flag in FLAGS {
            assert!(!flag.of.is_empty(), "--{}", flag.name);
            for name in flag.of {
                let command = find(name).unwrap();
                assert_eq!(command.name, *name, "an alias");
                let hides = command.fields && setting_named(flag.name).is_some();
                assert!(!hides, "--{} is a setting", flag.name);
            }
        }
    }

    #[test]
    fn a_setting_is_a_flag_under_each_of_its_names() {
        for name in [
            "kill-timeout",
            "out",
            "output",
            "out-file",
            "node-args",
            "kill_timeout",
        ] {
            assert!(
                matches!(by_name(name, find("start")), Some(Taken::Field(_))),
                "{name}"
            );
            assert!(by_name(name, None).is_none(), "{name}");
        }
        assert!(matches!(
            by_name("no-autorestart", find("start")),
            Some(Taken::Negated(_))
        ));
        assert!(by_name("no-kill-timeout", find("start")).is_none());
        assert!(by_name("script", find("start")).is_none());
    }

    #[test]
    fn an_ignored_flag_is_an_ignored_attribute() {
        use crate::config::attribute::{Support, support};
        for name in IGNORED {
            assert!(
                matches!(by_name(name, find("start")), Some(Taken::Ignored)),
                "{name}"
            );
            let attribute = name.trim_start_matches("no-").replace('-', "_");
            assert_eq!(support(&attribute), Some(Support::Irrelevant), "{name}");
        }
        for found in [
            by_name("execute-command", find("start")),
            by_letter('x', find("start")),
        ] {
            assert!(
                matches!(found, Some(Taken::Implied(field, "fork")) if field.name == "exec_mode")
            );
        }
        assert!(matches!(by_letter('x', None), Some(Taken::Ignored)));
    }

    #[test]
    fn a_flag_belongs_to_its_commands() {
        assert!(matches!(by_name("out", find("logs")), Some(Taken::Flag(_))));
        assert!(by_name("lines", find("list")).is_none());
        assert!(by_name("silent", None).is_some());
        assert!(by_letter('f', find("start")).is_some());
        assert!(by_letter('k', None).is_none());
    }
}
