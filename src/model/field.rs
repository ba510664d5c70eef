//! The table of fields: what a program can be told. Configuration, protocol, command line, `describe` and
//! the manual are all made from these rows.

use super::listen::Places;
use super::spec::Spec;
use super::value::{Bytes, Codes, ExecMode, LogType, Millis, Octal, SignalNumber, Size, Value};

/// One row.
pub struct Field {
    /// The name in files, in the protocol and in `describe`.
    pub name: &'static str,
    /// Other names that are accepted for it.
    pub aliases: &'static [&'static str],
    /// The one-letter flag.
    pub short: Option<char>,
    /// Whether it is a flag of the command line at all; what is not is said in another way there.
    pub flag: bool,
    /// What stands for the value in a usage line; empty for a switch.
    pub placeholder: &'static str,
    /// Whether the value is a list, whose items are given one by one.
    pub is_list: bool,
    /// One line that says what it does.
    pub meaning: &'static str,
    /// Takes a value.
    pub read: fn(&mut Spec, &[u8]) -> Result<(), String>,
    /// Gives the value back.
    pub write: fn(&Spec) -> Vec<Vec<u8>>,
    /// Forgets the items of a list.
    pub clear: fn(&mut Spec),
}

impl Field {
    /// Whether the value is true or false: on the command line `--name` and `--no-name`.
    pub fn is_switch(&self) -> bool {
        self.placeholder.is_empty()
    }

    /// Every name: its own, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The default, as text: empty where there is none.
    pub fn default_text(&self) -> String {
        let values = (self.write)(&Spec::default());
        let texts: Vec<_> = values.iter().map(|v| String::from_utf8_lossy(v)).collect();
        texts.join(" ")
    }
}

macro_rules! field {
    ($name:ident: $type:ty, $aliases:expr, $short:expr, $flag:expr, $meaning:expr) => {
        Field {
            name: stringify!($name),
            aliases: &$aliases,
            short: $short,
            flag: $flag,
            placeholder: <$type as Value>::PLACEHOLDER,
            is_list: <$type as Value>::IS_LIST,
            meaning: $meaning,
            read: |spec, text| spec.$name.read(text),
            write: |spec| spec.$name.write(),
            clear: |spec| Value::clear(&mut spec.$name),
        }
    };
}

/// Every field of a program but its environment.
#[rustfmt::skip]
pub const FIELDS: &[Field] = &[
    field!(name: String, [], Some('n'), true, "the name of the program; by default its script without folder and extension"),
    field!(namespace: String, [], None, true, "the group that it belongs to"),
    field!(script: Bytes, ["exec"], None, false, "the program or script"),
    field!(args: Vec<Bytes>, [], None, false, "its arguments: what follows --"),
    field!(cwd: Bytes, [], None, true, "its working directory; by default the current one"),
    field!(umask: Octal, [], None, true, "its file creation mask; by default that of the shell that starts it"),
    field!(interpreter: String, ["exec_interpreter"], None, true, "the program that runs the script; by default chosen by its extension; 'none' executes the script itself"),
    field!(interpreter_args: Vec<Bytes>, ["node_args"], None, true, "arguments for the interpreter, before the script"),
    field!(instances: u32, [], Some('i'), true, "the number of instances: a number, 'max' for one per processor, -1 for one less"),
    field!(exec_mode: ExecMode, [], None, true, "'cluster' for Node workers that share their ports, else 'fork'; by default 'cluster' for instances of a Node script"),
    field!(listen: Places, [], None, true, "sockets that the daemon opens, keeps open and passes on as LISTEN_FDS: tcp:ADDRESS:PORT, tcp:PORT, udp:…, unix:PATH"),
    field!(out_file: Bytes, ["out", "output", "out_log"], Some('o'), true, "the log file of its standard output"),
    field!(error_file: Bytes, ["error", "err", "err_file", "err_log"], Some('e'), true, "the log file of its standard error"),
    field!(log_file: Bytes, ["log"], Some('l'), true, "one more log file, for both streams in the order of arrival; true in a process file: NAME.log beside the others"),
    field!(time: bool, [], None, true, "begin each log line with date and time, as log_date_format YYYY-MM-DDTHH:mm:ss"),
    field!(log_date_format: String, [], None, true, "begin each log line with date and time in this format, such as 'YYYY-MM-DD HH:mm:ss.SSS Z'"),
    field!(log_type: LogType, [], None, true, "'json' writes each line as an object with message, timestamp, type, process_id and app_name; 'raw' as it is"),
    field!(log_max_size: Size, [], None, true, "rotate a log file before it becomes larger than this; 0: never"),
    field!(log_max_files: u32, [], None, true, "the number of rotated files to keep of each log file: FILE.1, the newest, to FILE.N"),
    field!(disable_logs: bool, [], None, true, "write no log files"),
    field!(merge_logs: bool, ["combine_logs"], None, true, "write the output of all instances to one pair of log files"),
    field!(pid_file: Bytes, ["pid"], Some('p'), true, "the file that its pid is written to"),
    field!(autorestart: bool, [], None, true, "restart it when it ends"),
    field!(max_restarts: u32, [], None, true, "the number of unstable restarts in a row after which it is errored"),
    field!(min_uptime: Millis, [], None, true, "a run shorter than this is unstable"),
    field!(restart_delay: Millis, [], None, true, "the delay before each restart"),
    field!(exp_backoff_restart_delay: Millis, [], None, true, "the delay before the first restart; each further delay is 1.5 times longer, at most 15s"),
    field!(stop_exit_codes: Codes, [], None, true, "exit codes after which it is not restarted"),
    field!(kill_signal: SignalNumber, [], None, true, "the signal that stops it"),
    field!(kill_timeout: Millis, [], Some('k'), true, "the time to wait for its end before SIGKILL is sent"),
    field!(treekill: bool, [], None, true, "signal all its processes, not only the first"),
];

/// A name in snake_case, where it is in camelCase.
pub fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// The row of a field by its name, an alias, or either in camelCase.
pub fn find(key: &str) -> Option<&'static Field> {
    let snake = snake(key);
    FIELDS
        .iter()
        .find(|field| field.names().any(|name| name == snake))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_name_and_no_letter_is_taken_twice() {
        let mut names = BTreeSet::new();
        let mut letters = BTreeSet::new();
        for field in FIELDS {
            for name in field.names() {
                assert!(names.insert(name), "{name} stands twice");
                let plain = |b: u8| b.is_ascii_lowercase() || b == b'_';
                assert!(name.bytes().all(plain), "{name} is not snake_case");
            }
            if let Some(letter) = field.short {
                assert!(letters.insert(letter), "-{letter} stands twice");
            }
            assert!(!field.meaning.is_empty() && !field.meaning.ends_with('.'));
        }
    }

    #[test]
    fn every_default_is_read_back_as_itself() {
        for field in FIELDS {
            let mut spec = Spec::default();
            (field.clear)(&mut spec);
            for value in (field.write)(&Spec::default()) {
                (field.read)(&mut spec, &value).unwrap();
            }
            assert_eq!(spec, Spec::default(), "{}", field.name);
        }
    }

    #[test]
    fn a_field_is_found_by_every_spelling() {
        for key in ["kill_timeout", "killTimeout"] {
            assert_eq!(find(key).unwrap().name, "kill_timeout");
        }
        assert_eq!(find("errLog").unwrap().name, "error_file");
        assert!(find("nonsense").is_none());
    }
}
