//! The table of flags. The settings of programs are flags too: the rows of [`field::FIELDS`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::model::field::{self, FIELDS, Field};

/// One row.
pub struct Flag {
    /// The long name, without `--`.
    pub name: &'static str,
    /// The one-letter name.
    pub short: Option<char>,
    /// What stands for the value in a usage line; empty for a switch.
    pub placeholder: &'static str,
    /// One line that says what it does.
    pub meaning: &'static str,
    /// Whether help and manual leave it out.
    pub hidden: bool,
    /// Takes the value, which is empty for a switch. The error completes "--NAME: …".
    pub set: fn(&mut Options, &str) -> Result<(), String>,
}

impl Flag {
    /// Whether it takes a value that may be left out, and that is only given as `--NAME=VALUE`.
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
    help: bool = { name: "help", short: Some('h'), placeholder: "", hidden: false,
        meaning: "show help" };
    version: bool = { name: "version", short: Some('v'), placeholder: "", hidden: false,
        meaning: "print the version" };
    silent: bool = { name: "silent", short: Some('s'), placeholder: "", hidden: false,
        meaning: "print only errors" };
    no_color: bool = { name: "no-color", short: None, placeholder: "", hidden: false,
        meaning: "print no color, as with NO_COLOR in the environment" };
    mini_list: bool = { name: "mini-list", short: Some('m'), placeholder: "", hidden: false,
        meaning: "print tables as short blocks of text" };
]

/// The flags of some commands.
FLAGS [
    force: bool = { name: "force", short: Some('f'), placeholder: "", hidden: false,
        meaning: "start a program even if it is managed already; save even an empty list" };
    update_env: bool = { name: "update-env", short: Some('a'), placeholder: "", hidden: false,
        meaning: "give programs the current environment" };
    json: bool = { name: "json", short: None, placeholder: "", hidden: false,
        meaning: "print JSON: the list as jlist does, each log line as an object" };
    lines: Option<usize> = { name: "lines", short: None, placeholder: "N", hidden: false,
        meaning: "the number of last lines to print of each file; by default 15" };
    nostream: bool = { name: "nostream", short: None, placeholder: "", hidden: false,
        meaning: "do not follow the files" };
    out: bool = { name: "out", short: None, placeholder: "", hidden: false,
        meaning: "print only standard output" };
    err: bool = { name: "err", short: None, placeholder: "", hidden: false,
        meaning: "print only standard error" };
    raw: bool = { name: "raw", short: None, placeholder: "", hidden: false,
        meaning: "print lines as they are, without the name of the program" };
    format: bool = { name: "format", short: None, placeholder: "", hidden: false,
        meaning: "print each line as timestamp=… app=NAME id=ID type=out message=…" };
    timestamp: Option<String> = { name: "timestamp", short: None, placeholder: "[=FORM]", hidden: false,
        meaning: "print each line with date and time, by default as YYYY-MM-DD-HH:mm:ss" };
    highlight: Option<String> = { name: "highlight", short: None, placeholder: "WORD", hidden: false,
        meaning: "show this word in reverse video" };
    since: Option<String> = { name: "since", short: None, placeholder: "TIME", hidden: false,
        meaning: "print only lines written at this time or later: 2026-11-25, '2026-11-25 12:00', 12:00, or 10m for \
                  ten minutes ago" };
    until: Option<String> = { name: "until", short: None, placeholder: "TIME", hidden: false,
        meaning: "print only lines written until this time" };
    grep: Option<String> = { name: "grep", short: None, placeholder: "PATTERN", hidden: false,
        meaning: "print only lines whose message matches this extended regular expression" };
    env: Option<String> = { name: "env", short: None, placeholder: "NAME", hidden: false,
        meaning: "apply env_NAME of the process file over its env" };
    only: NameList = { name: "only", short: None, placeholder: "NAME,…", hidden: false,
        meaning: "select programs of the process file by name; by default all" };
    no_autostart: bool = { name: "no-autostart", short: None, placeholder: "", hidden: false,
        meaning: "add programs to the list without starting them" };
    filter_env: Vec<String> = { name: "filter-env", short: None, placeholder: "PART", hidden: false,
        meaning: "leave out variables whose names contain PART; may be repeated" };
    write: bool = { name: "write", short: Some('w'), placeholder: "", hidden: false,
        meaning: "write the started programs to the process file NAME.config.json" };
    sort: Option<String> = { name: "sort", short: None, placeholder: "FIELD", hidden: false,
        meaning: "sort the table by id, name, namespace, pid, status, restarts, uptime, created, cpu or memory; FIELD:desc for \
                  the largest first" };
    keep: bool = { name: "keep", short: None, placeholder: "", hidden: false,
        meaning: "leave the programs running for the next daemon" };
    watch: Vec<String> = { name: "watch", short: None, placeholder: "PATH", hidden: false,
        meaning: "watch this directory or file, not the directory of the program; may be repeated" };
    ignore_watch: Vec<String> = { name: "ignore-watch", short: None, placeholder: "PATTERN", hidden: false,
        meaning: "do not watch matching paths, such as 'public' or '*.log'; a pattern with a slash is relative to the \
                  working directory; may be repeated" };
    user: Option<String> = { name: "user", short: Some('u'), placeholder: "NAME", hidden: false,
        meaning: "the user of the programs; by default yours" };
    home: Option<String> = { name: "hp", short: None, placeholder: "FOLDER", hidden: false,
        meaning: "the home directory of that user" };
    service_name: Option<String> = { name: "service-name", short: None, placeholder: "NAME", hidden: false,
        meaning: "the name of the service; by default rpm-USER" };
    print: bool = { name: "print", short: None, placeholder: "", hidden: false,
        meaning: "print the file that would be written, and do nothing" };
    root: Option<String> = { name: "root", short: None, placeholder: "FOLDER", hidden: false,
        meaning: "write below this directory, and print the commands that are left to run" };
    man: bool = { name: "man", short: None, placeholder: "", hidden: true,
        meaning: "print the manual page rpm, rpmd or rpm-protocol, as roff" };
    bind: Option<String> = { name: "bind", short: None, placeholder: "ADDRESS", hidden: false,
        meaning: "the IP address to serve on; by default 127.0.0.1. An address that others can reach needs a token" };
    host: Vec<String> = { name: "host", short: None, placeholder: "NAME", hidden: false,
        meaning: "another host name to answer to; may be repeated" };
    token: Option<String> = { name: "token", short: None, placeholder: "WORD", hidden: false,
        meaning: "the token that each request must have, as ?token=WORD or Authorization: Bearer WORD" };
    serve: Option<String> = { name: "serve", short: None, placeholder: "HOW", hidden: true,
        meaning: "run the server" };
]
}

/// A value that a flag sets.
trait FlagValue {
    /// Takes the text that follows the flag, which is empty for a switch. The error completes "--NAME: …".
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

/// Flags of pm2 about its own tracing and version control: accepted, because scripts have them, and without effect.
pub const MOOT: [&str; 12] = [
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

/// pm2's word for fork mode, by which a Node script is no cluster however many instances it has.
const EXECUTE_COMMAND: (&str, char) = ("execute-command", 'x');

/// A flag that a command takes.
#[derive(Clone, Copy)]
pub enum Taken {
    /// One of the tables here.
    Flag(&'static Flag),
    /// A field, given.
    Field(&'static Field),
    /// A switch among the fields, taken away.
    Negated(&'static Field),
    /// A field, with the value that the flag stands for.
    Implied(&'static Field, &'static str),
    /// One without effect.
    Moot,
}

/// The name of a field as a flag: `kill_timeout` is `kill-timeout`.
pub fn kebab(name: &str) -> String {
    name.replace('_', "-")
}

/// Whether help shows `--no-NAME`: what is on already can only be taken away.
pub fn is_on_by_default(field: &Field) -> bool {
    field.is_switch() && field.default_text() == "true"
}

/// The fields that have a flag.
pub fn fields() -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().filter(|field| field.flag)
}

fn field_named(name: &str) -> Option<&'static Field> {
    field::find(&name.replace('-', "_")).filter(|field| field.flag)
}

/// The flags among `own`, where fields count if `fields`, and the global ones, by their long name.
pub fn by_name(name: &str, own: &[&str], fields: bool) -> Option<Taken> {
    let among = |rows: &'static [Flag]| rows.iter().find(|flag| flag.name == name);
    if let Some(flag) = among(FLAGS).filter(|flag| own.contains(&flag.name)) {
        return Some(Taken::Flag(flag));
    }
    if fields {
        if let Some(field) = field_named(name) {
            return Some(Taken::Field(field));
        }
        let switch = name.strip_prefix("no-").and_then(field_named);
        if let Some(field) = switch.filter(|field| field.is_switch()) {
            return Some(Taken::Negated(field));
        }
    }
    match name {
        _ if name == EXECUTE_COMMAND.0 => Some(fork_mode(fields)),
        _ if MOOT.contains(&name) => Some(Taken::Moot),
        _ => among(GLOBAL).map(Taken::Flag),
    }
}

/// The same by the letter.
pub fn by_letter(letter: char, own: &[&str], with_fields: bool) -> Option<Taken> {
    let among = |rows: &'static [Flag]| rows.iter().find(|flag| flag.short == Some(letter));
    if let Some(flag) = among(FLAGS).filter(|flag| own.contains(&flag.name)) {
        return Some(Taken::Flag(flag));
    }
    if with_fields {
        if let Some(field) = fields().find(|field| field.short == Some(letter)) {
            return Some(Taken::Field(field));
        }
    }
    match letter == EXECUTE_COMMAND.1 {
        true => Some(fork_mode(with_fields)),
        false => among(GLOBAL).map(Taken::Flag),
    }
}

/// `--execute-command`, where fields count if `fields`.
fn fork_mode(fields: bool) -> Taken {
    match field::find("exec_mode").filter(|_| fields) {
        Some(field) => Taken::Implied(field, "fork"),
        None => Taken::Moot,
    }
}

/// Every long name that [`by_name`] knows, to find the one that was meant.
pub fn known(own: &[&str], with_fields: bool) -> Vec<String> {
    let flags = FLAGS.iter().filter(|flag| own.contains(&flag.name));
    let mut names: Vec<String> = flags.chain(GLOBAL).map(|f| f.name.to_owned()).collect();
    for field in fields().filter(|_| with_fields) {
        names.extend(field.names().map(kebab));
        if field.is_switch() {
            names.push(format!("no-{}", kebab(field.name)));
        }
    }
    names
}

/// The value as text; what is not UTF-8 is refused.
pub fn text(value: &OsStr) -> Result<&str, String> {
    std::str::from_utf8(value.as_bytes()).map_err(|_| "the value is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_flag_and_no_letter_stands_twice() {
        let mut names = BTreeSet::new();
        for flag in GLOBAL.iter().chain(FLAGS) {
            assert!(names.insert(flag.name), "--{} stands twice", flag.name);
            assert!(!flag.meaning.is_empty() && !flag.meaning.ends_with('.'));
        }
        let mut letters = BTreeSet::new();
        let of_flags = GLOBAL.iter().chain(FLAGS).filter_map(|flag| flag.short);
        for letter in of_flags.chain(fields().filter_map(|field| field.short)) {
            assert!(letters.insert(letter), "-{letter} stands twice");
        }
    }

    #[test]
    fn a_field_is_a_flag_under_each_of_its_names() {
        for name in [
            "kill-timeout",
            "out",
            "output",
            "out-file",
            "node-args",
            "kill_timeout",
        ] {
            assert!(
                matches!(by_name(name, &[], true), Some(Taken::Field(_))),
                "{name}"
            );
            assert!(by_name(name, &[], false).is_none(), "{name}");
        }
        assert!(matches!(
            by_name("no-autorestart", &[], true),
            Some(Taken::Negated(_))
        ));
        assert!(by_name("no-kill-timeout", &[], true).is_none());
        assert!(by_name("script", &[], true).is_none());
    }

    #[test]
    fn a_flag_without_effect_is_an_attribute_without_effect() {
        use crate::config::attribute::{Fate, fate};
        for name in MOOT {
            assert!(
                matches!(by_name(name, &[], true), Some(Taken::Moot)),
                "{name}"
            );
            let attribute = name.trim_start_matches("no-").replace('-', "_");
            assert_eq!(fate(&attribute), Some(Fate::Moot), "{name}");
        }
        for found in [
            by_name("execute-command", &[], true),
            by_letter('x', &[], true),
        ] {
            assert!(
                matches!(found, Some(Taken::Implied(field, "fork")) if field.name == "exec_mode")
            );
        }
        assert!(matches!(by_letter('x', &[], false), Some(Taken::Moot)));
    }

    #[test]
    fn a_flag_belongs_to_the_commands_that_list_it() {
        assert!(matches!(
            by_name("out", &["out"], false),
            Some(Taken::Flag(_))
        ));
        assert!(by_name("lines", &["out"], false).is_none());
        assert!(by_name("silent", &[], false).is_some());
        assert!(by_letter('f', &["force"], true).is_some());
        assert!(by_letter('k', &[], false).is_none());
    }
}
