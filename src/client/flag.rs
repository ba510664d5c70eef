//! The table of flags. What a program can be told has flags too: they are the rows of [`field::FIELDS`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::sort::Order;
use super::web::Serve;
use crate::model::field::{self, FIELDS, Field};

/// What the command line said besides words and fields.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Options {
    pub help: bool,
    pub version: bool,
    pub silent: bool,
    pub no_color: bool,
    pub mini_list: bool,
    pub force: bool,
    pub update_env: bool,
    pub no_autostart: bool,
    pub filter_env: Vec<String>,
    pub json: bool,
    pub lines: Option<usize>,
    pub nostream: bool,
    pub out: bool,
    pub err: bool,
    pub raw: bool,
    pub format: bool,
    pub timestamp: Option<String>,
    pub highlight: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
    pub grep: Option<String>,
    pub man: bool,
    pub env: Option<String>,
    pub only: Vec<String>,
    pub write: bool,
    pub keep: bool,
    pub sort: Option<Order>,
    pub watch: Vec<String>,
    pub ignore_watch: Vec<String>,
    pub bind: Option<String>,
    pub host: Vec<String>,
    pub token: Option<String>,
    pub serve: Option<Serve>,
    pub user: Option<String>,
    pub home: Option<String>,
    pub service_name: Option<String>,
    pub print: bool,
    pub root: Option<String>,
}

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

macro_rules! switch {
    ($name:expr, $short:expr, $field:ident, $meaning:expr) => {
        Flag {
            name: $name,
            short: $short,
            placeholder: "",
            meaning: $meaning,
            hidden: false,
            set: |options, _| {
                options.$field = true;
                Ok(())
            },
        }
    };
}

/// Keeps the value as it is.
macro_rules! take {
    ($field:ident) => {
        |options, text| {
            if text.is_empty() {
                return Err("the value is empty".to_owned());
            }
            options.$field = Some(text.to_owned());
            Ok(())
        }
    };
}

impl Flag {
    /// Whether it takes a value that may be left out, and that is only given as `--NAME=VALUE`.
    pub fn is_optional(&self) -> bool {
        self.placeholder.starts_with('[')
    }
}

/// The flags that every command takes.
#[rustfmt::skip]
pub const GLOBAL: &[Flag] = &[
    switch!("help", Some('h'), help, "show help for the command"),
    switch!("version", Some('v'), version, "print the version"),
    switch!("silent", Some('s'), silent, "print only errors"),
    switch!("no-color", None, no_color, "no colour, as with NO_COLOR in the environment"),
    switch!("mini-list", Some('m'), mini_list, "tables as short blocks of text"),
];

/// The flags of some commands.
#[rustfmt::skip]
pub const FLAGS: &[Flag] = &[
    switch!("force", Some('f'), force, "start it even if it is managed already; save even an empty list"),
    switch!("update-env", Some('a'), update_env, "give the programs the present environment"),
    switch!("json", None, json, "print JSON: the list as jlist does, each log line as an object"),
    Flag { name: "lines", short: None, placeholder: "N", hidden: false, set: lines,
        meaning: "how many of the last lines of each file to print; by default 15" },
    switch!("nostream", None, nostream, "do not follow the files"),
    switch!("out", None, out, "only standard output"),
    switch!("err", None, err, "only standard error"),
    switch!("raw", None, raw, "print the lines as they are, without the program's name"),
    switch!("format", None, format, "print each line as timestamp=… app=NAME id=ID type=out message=…"),
    Flag { name: "timestamp", short: None, placeholder: "[=FORM]", hidden: false,
        set: |options, form| { options.timestamp = Some(form.to_owned()); Ok(()) },
        meaning: "print each line with date and time, by default as YYYY-MM-DD-HH:mm:ss" },
    Flag { name: "highlight", short: None, placeholder: "WORD", hidden: false, set: take!(highlight),
        meaning: "show this word in reverse video" },
    Flag { name: "since", short: None, placeholder: "TIME", hidden: false, set: take!(since),
        meaning: "only lines written then or later: 2026-11-25, '2026-11-25 12:00', 12:00, or 10m, so long ago" },
    Flag { name: "until", short: None, placeholder: "TIME", hidden: false, set: take!(until),
        meaning: "only lines written until then" },
    Flag { name: "grep", short: None, placeholder: "PATTERN", hidden: false, set: take!(grep),
        meaning: "only lines whose message matches this extended regular expression" },
    Flag { name: "env", short: None, placeholder: "NAME", hidden: false,
        set: |options, name| { options.env = Some(name.to_owned()); Ok(()) },
        meaning: "with a process file: put its env_NAME on top of its env" },
    Flag { name: "only", short: None, placeholder: "NAME,…", hidden: false, set: only,
        meaning: "with a process file: these of its programs, not all" },
    switch!("no-autostart", None, no_autostart, "add the programs to the list without starting them"),
    Flag { name: "filter-env", short: None, placeholder: "PART", hidden: false,
        set: |options, part| {
            if part.is_empty() {
                return Err("the value is empty".to_owned());
            }
            options.filter_env.push(part.to_owned());
            Ok(())
        },
        meaning: "leave variables whose names contain PART out of the environment; may be repeated" },
    switch!("write", Some('w'), write, "write what was started into the process file NAME.config.json"),
    Flag { name: "sort", short: None, placeholder: "FIELD", hidden: false,
        set: |options, text| {
            options.sort = Some(Order::parse(text)?);
            Ok(())
        },
        meaning: "sort the table by id, name, namespace, pid, status, restarts, uptime, created, cpu or memory; FIELD:desc for \
                  the largest first" },
    switch!("keep", None, keep, "leave the programs running, for the next daemon"),
    Flag { name: "watch", short: None, placeholder: "PATH", hidden: false,
        set: |options, path| { options.watch.push(path.to_owned()); Ok(()) },
        meaning: "a folder or file to watch, in the place of the program's folder; may come several times" },
    Flag { name: "ignore-watch", short: None, placeholder: "PATTERN", hidden: false,
        set: |options, text| { options.ignore_watch.push(text.to_owned()); Ok(()) },
        meaning: "what not to watch, as 'public' or '*.log', or with a slash from the present folder on; may come \
                  several times" },
    Flag { name: "user", short: Some('u'), placeholder: "NAME", hidden: false, set: take!(user),
        meaning: "whose programs they are; by default yours" },
    Flag { name: "hp", short: None, placeholder: "FOLDER", hidden: false, set: take!(home),
        meaning: "the home folder of that user" },
    Flag { name: "service-name", short: None, placeholder: "NAME", hidden: false, set: take!(service_name),
        meaning: "the name of the service; by default rpm-USER" },
    switch!("print", None, print, "print the file that would be written, and do nothing"),
    Flag { name: "root", short: None, placeholder: "FOLDER", hidden: false, set: take!(root),
        meaning: "write below this folder, and say which commands are left to run" },
    Flag { name: "man", short: None, placeholder: "", hidden: true,
        set: |options, _| { options.man = true; Ok(()) },
        meaning: "print the manual page rpm or rpmd, as roff" },
    Flag { name: "bind", short: None, placeholder: "ADDRESS", hidden: false,
        set: |options, text| { options.bind = Some(text.to_owned()); Ok(()) },
        meaning: "the IP address to serve on; by default 127.0.0.1. One that others reach needs a token" },
    Flag { name: "host", short: None, placeholder: "NAME", hidden: false,
        set: |options, text| { options.host.push(text.to_owned()); Ok(()) },
        meaning: "another name that the server is reached by; may come several times" },
    Flag { name: "token", short: None, placeholder: "WORD", hidden: false,
        set: |options, text| { options.token = Some(text.to_owned()); Ok(()) },
        meaning: "what each request must bring, as ?token=WORD or Authorization: Bearer WORD" },
    Flag { name: "serve", short: None, placeholder: "HOW", hidden: true,
        set: |options, word| {
            options.serve = Some(Serve::read(word).ok_or("it is open or token")?);
            Ok(())
        },
        meaning: "be the server" },
];

fn lines(options: &mut Options, text: &str) -> Result<(), String> {
    let count = text.parse();
    options.lines = Some(count.map_err(|_| format!("'{text}' is not a whole number"))?);
    Ok(())
}

fn only(options: &mut Options, text: &str) -> Result<(), String> {
    let names = text.split([',', ' ']).filter(|name| !name.is_empty());
    options.only.extend(names.map(str::to_owned));
    match options.only.is_empty() {
        true => Err("no name is given".to_owned()),
        false => Ok(()),
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
        use crate::config::attribute::{Support, support};
        for name in MOOT {
            assert!(
                matches!(by_name(name, &[], true), Some(Taken::Moot)),
                "{name}"
            );
            let attribute = name.trim_start_matches("no-").replace('-', "_");
            assert_eq!(support(&attribute), Some(Support::Irrelevant), "{name}");
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
