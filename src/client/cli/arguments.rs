//! From the words of the command line to a command and what it was told.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use lexopt::{Arg, Parser};

use super::command::{self, COMMANDS, Command};
use super::flag::{self, Options, Taken};
use crate::config::limit;
use crate::config::place::absolute;
use crate::model;
use crate::model::field::Field;
use crate::model::spec::{Spec, is_no_file};
use crate::units;

/// A command line that makes sense.
pub struct Invocation {
    /// Which command; none when only flags were given.
    pub command: Option<&'static Command>,
    /// The words that are no flags.
    pub words: Vec<OsString>,
    /// What followed `--`, for the programs that are started.
    pub rest: Vec<OsString>,
    /// The flags.
    pub options: Options,
    /// The fields that were given as flags.
    pub spec: Spec,
    /// The names of those fields.
    pub given: Vec<&'static str>,
}

/// Why the command line makes no sense: a sentence.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

/// Reads a command line, the program's own name not among `arguments`.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut parser = Parser::from_args(arguments);
    let mut invocation = Invocation {
        command: None,
        words: Vec::new(),
        rest: Vec::new(),
        options: Options::default(),
        spec: Spec::default(),
        given: Vec::new(),
    };
    loop {
        if let Some(mut raw) = parser.try_raw_args() {
            if raw.peek() == Some(OsStr::new("--")) {
                raw.next();
                invocation.rest = raw.collect();
                break;
            }
        }
        let flag = match parser.next().map_err(unreadable)? {
            None => break,
            Some(Arg::Value(word)) => {
                match invocation.command {
                    None => invocation.command = Some(command_named(&word)?),
                    Some(_) => invocation.words.push(word),
                }
                continue;
            }
            Some(Arg::Long(name)) => format!("--{name}"),
            Some(Arg::Short(letter)) => format!("-{letter}"),
        };
        invocation.take(&flag, &mut parser)?;
    }
    invocation.check()?;
    Ok(invocation)
}

fn unreadable(error: lexopt::Error) -> UsageError {
    let pointer = "see rpm help";
    match error {
        lexopt::Error::UnexpectedValue { option, .. } => {
            UsageError(format!("{option} takes no value; {pointer}"))
        }
        lexopt::Error::MissingValue { option } => {
            let option = option.unwrap_or_default();
            UsageError(format!("{option} needs a value; {pointer}"))
        }
        other => UsageError(format!("{other}; {pointer}")),
    }
}

fn command_named(word: &OsStr) -> Result<&'static Command, UsageError> {
    let word = word.to_string_lossy();
    if let Some(command) = command::find(&word) {
        return Ok(command);
    }
    let names = COMMANDS.iter().flat_map(Command::names);
    let hint = did_you_mean(units::nearest(&word, names));
    Err(UsageError(format!("no command {word}{hint}; see rpm help")))
}

fn did_you_mean(known: Option<&str>) -> String {
    known.map_or_else(String::new, |known| format!(" (did you mean {known}?)"))
}

impl Invocation {
    /// The command and `rest` for those that start nothing: there `--` only ends the flags.
    fn check(&mut self) -> Result<(), UsageError> {
        let Some(command) = self.command else {
            return Ok(());
        };
        if !command.fields {
            self.words.append(&mut self.rest);
        }
        if self.options.help || self.options.version {
            return Ok(());
        }
        let name = command.name;
        let pointer = format!("see rpm help {name}");
        if self.words.len() < command.at_least {
            let missing = command.arguments;
            return Err(UsageError(format!("{name} needs {missing}; {pointer}")));
        }
        if let Some(word) = self.words.get(command.at_most) {
            let word = word.to_string_lossy();
            return Err(UsageError(format!(
                "{name}: unexpected argument '{word}'; {pointer}"
            )));
        }
        Ok(())
    }

    /// Takes one flag, written with its dashes.
    fn take(&mut self, flag: &str, parser: &mut Parser) -> Result<(), UsageError> {
        let (own, fields): (&[&str], bool) = match self.command {
            Some(command) => (command.flags, command.fields),
            None => (&[], false),
        };
        let taken = match flag.strip_prefix("--") {
            Some(name) => flag::by_name(name, own, fields),
            None => {
                let letter = flag.chars().nth(1).unwrap_or_default();
                flag::by_letter(letter, own, fields)
            }
        };
        let wrong = |why: String| UsageError(format!("{flag}: {why}"));
        match taken {
            None => Err(self.no_flag(flag, own, fields)),
            Some(Taken::Flag(row)) if row.placeholder.is_empty() => {
                (row.set)(&mut self.options, "").map_err(wrong)
            }
            Some(Taken::Flag(row)) if row.is_optional() => {
                let value = parser.optional_value().unwrap_or_default();
                let value = flag::text(&value).map_err(wrong)?;
                (row.set)(&mut self.options, value).map_err(wrong)
            }
            Some(Taken::Flag(row)) => {
                let value = parser.value().map_err(unreadable)?;
                let value = flag::text(&value).map_err(wrong)?;
                if value.is_empty() {
                    return Err(wrong("the value is empty".to_owned()));
                }
                (row.set)(&mut self.options, value).map_err(wrong)
            }
            Some(Taken::Moot) => {
                let _ = parser.optional_value();
                Ok(())
            }
            Some(Taken::Implied(field, value)) => {
                self.field(field, OsStr::new(value)).map_err(wrong)
            }
            Some(Taken::Negated(field)) => self.field(field, OsStr::new("false")).map_err(wrong),
            Some(Taken::Field(field)) => {
                let value = match field.is_switch() {
                    true => parser.optional_value().unwrap_or_else(|| "true".into()),
                    false => parser.value().map_err(unreadable)?,
                };
                self.field(field, &value).map_err(wrong)
            }
        }
    }

    fn no_flag(&self, flag: &str, own: &[&str], fields: bool) -> UsageError {
        let (whose, pointer) = match self.command {
            Some(command) => (format!("{}: ", command.name), format!(" {}", command.name)),
            None => (String::new(), String::new()),
        };
        let known = flag::known(own, fields);
        let bare = flag.strip_prefix("--");
        // pm2 has them. No other flag comes near.
        if fields && bare.is_some_and(limit::is_one) {
            return UsageError(format!(
                "{whose}no flag {flag}: programs run as the user of their daemon, with all its rights; see rpm help{pointer}"
            ));
        }
        let near = bare.and_then(|bare| units::nearest(bare, known.iter().map(String::as_str)));
        let hint = did_you_mean(near.map(|near| format!("--{near}")).as_deref());
        UsageError(format!(
            "{whose}no flag {flag}{hint}; see rpm help{pointer}"
        ))
    }

    /// Takes the value of a field as people write it on a command line.
    fn field(&mut self, field: &'static Field, value: &OsStr) -> Result<(), String> {
        if !self.given.contains(&field.name) {
            self.given.push(field.name);
            (field.clear)(&mut self.spec);
        }
        match (field.name, field.placeholder) {
            ("instances", _) => {
                let processors = std::thread::available_parallelism().map_or(1, usize::from);
                let processors = u32::try_from(processors).unwrap_or(u32::MAX);
                self.spec.instances = model::command::instances(flag::text(value)?, processors);
                Ok(())
            }
            (_, "WORD" | "SOCKET") => {
                let words = value.as_bytes().split(u8::is_ascii_whitespace);
                let mut words = words.filter(|word| !word.is_empty());
                words.try_for_each(|word| (field.read)(&mut self.spec, word))
            }
            ("cwd", _) => (field.read)(&mut self.spec, &absolute(Path::new(value))?),
            (_, "PATH") => (field.read)(&mut self.spec, &file_path(value)?),
            ("interpreter", _) => (field.read)(&mut self.spec, &interpreter(value)?),
            _ => (field.read)(&mut self.spec, value.as_bytes()),
        }
    }
}

/// Words as the bytes that they are.
pub fn bytes(words: &[OsString]) -> Vec<Vec<u8>> {
    let bytes = words.iter().map(|word| word.as_bytes().to_vec());
    bytes.collect()
}

/// A path as the daemon can use it, whose present folder is another one. `NULL` is pm2's word for no file.
fn file_path(value: &OsStr) -> Result<Vec<u8>, String> {
    match is_no_file(value.as_bytes()) {
        true => Ok(b"/dev/null".to_vec()),
        false => absolute(Path::new(value)),
    }
}

/// An interpreter: a path from the working directory on, where there is such a file.
fn interpreter(value: &OsStr) -> Result<Vec<u8>, String> {
    let bytes = value.as_bytes();
    match bytes.contains(&b'/') && Path::new(value).is_file() {
        true => absolute(Path::new(value)),
        false => Ok(bytes.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::TIME_FORMAT;
    use crate::model::value::{LogType, Size};
    use std::os::unix::ffi::OsStringExt;

    fn line(text: &[&str]) -> Result<Invocation, UsageError> {
        parse(text.iter().map(OsString::from))
    }

    fn wrong(text: &[&str]) -> String {
        match line(text) {
            Ok(_) => panic!("{text:?} was accepted"),
            Err(UsageError(sentence)) => sentence,
        }
    }

    #[test]
    fn flags_stand_anywhere_and_dashes_end_them() {
        let parsed = line(&[
            "-s", "start", "a.js", "--name", "api", "b.js", "--", "--port", "1",
        ]);
        let parsed = parsed.unwrap();
        assert_eq!(parsed.command.unwrap().name, "start");
        assert_eq!(parsed.words, ["a.js", "b.js"]);
        assert_eq!(parsed.rest, ["--port", "1"]);
        assert!(parsed.options.silent);
        assert_eq!(
            (parsed.spec.name.as_str(), parsed.given),
            ("api", vec!["name"])
        );
    }

    #[test]
    fn values_come_in_every_spelling() {
        for flags in [
            &["--kill-timeout", "5s", "--no-autorestart", "-i", "-1"][..],
            &["--kill-timeout=5s", "--autorestart=false", "--instances=1"],
            &["-k5s", "--no-autorestart", "-i1"],
            &["-k", "5000", "--autorestart=no", "-i", "nonsense"],
        ] {
            let parsed = line(&[&["start", "x"], flags].concat()).unwrap();
            assert_eq!(parsed.spec.kill_timeout.0, 5000, "{flags:?}");
            assert!(!parsed.spec.autorestart && parsed.spec.instances >= 1);
        }
        let parsed = line(&["start", "x", "--node-args", "--a  --b=1", "-o", "logs/./x"]).unwrap();
        assert_eq!(
            parsed.spec.interpreter_args,
            [b"--a".to_vec(), b"--b=1".to_vec()]
        );
        let folder = std::env::current_dir().unwrap();
        assert_eq!(
            parsed.spec.out_file,
            folder.join("logs/x").into_os_string().into_vec()
        );
    }

    #[test]
    fn log_files_are_absolute_or_none() {
        let file = |text: &[&str]| {
            let spec = line(&[&["start", "x"], text].concat()).unwrap().spec;
            [spec.out_file, spec.error_file, spec.log_file].concat()
        };
        for word in ["NULL", "null", "/dev/null"] {
            for flag in ["-o", "--error", "--log", "--log-file"] {
                assert_eq!(file(&[flag, word]), b"/dev/null", "{flag} {word}");
            }
        }
        let folder = std::env::current_dir().unwrap();
        let path = folder.join("l/all.log").into_os_string().into_vec();
        assert_eq!(file(&["-l", "./l/all.log"]), path);
        assert_eq!(
            line(&["start", "x", "--cwd", "null"]).unwrap().spec.cwd,
            folder.join("null").into_os_string().into_vec()
        );
    }

    #[test]
    fn what_is_done_to_the_lines_of_log_files_is_said_in_flags() {
        let spec = |text: &[&str]| line(&[&["start", "x"], text].concat()).unwrap().spec;
        let full = spec(&[
            "--time",
            "--log-date-format",
            "YYYY HH",
            "--log-type=json",
            "--log-max-size",
            "1.5M",
            "--log-max-files",
            "0",
            "--disable-logs",
        ]);
        assert!(full.time && full.disable_logs);
        assert_eq!(
            (full.date_format(), full.log_type, full.log_max_files),
            ("YYYY HH", LogType::Json, 0)
        );
        assert_eq!(full.log_max_size, Size(3 << 19));
        assert_eq!(spec(&["--time"]).date_format(), TIME_FORMAT);
        assert_eq!(spec(&["--no-time"]).date_format(), "");
        assert_eq!(spec(&["--log-max-size", "0"]).log_max_size, Size(0));
        for (text, part) in [
            ("--log-type=xml", "'xml' is neither raw nor json"),
            ("--log-max-size=1X", "'1X' is not a size such as 65536"),
            ("--log-max-files=-1", "'-1' is not a whole number"),
        ] {
            let sentence = wrong(&["start", "x", text]);
            assert!(sentence.contains(part), "{sentence}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_meant() {
        for (text, part) in [
            (
                &["strat"][..],
                "no command strat (did you mean start?); see rpm help",
            ),
            (
                &["start", "x", "--nmae", "y"],
                "start: no flag --nmae (did you mean --name?)",
            ),
            (
                &["start", "x", "--no-autorestat"],
                "did you mean --no-autorestart?",
            ),
            (&["stop", "x", "--name", "y"], "stop: no flag --name"),
            (&["list", "-q"], "no flag -q; see rpm help list"),
            (&["--colour", "list"], "no flag --colour"),
            (&["start", "x", "--name"], "--name needs a value"),
            (&["list", "--silent=1"], "--silent takes no value"),
            (&["start", "x", "-k", "soon"], "-k: 'soon' is not a time"),
            (
                &["logs", "--lines", "many"],
                "--lines: 'many' is not a whole number",
            ),
            (&["stop"], "stop needs <"),
            (&["ping", "x"], "unexpected argument 'x'"),
        ] {
            let sentence = wrong(text);
            assert!(sentence.contains(part), "{text:?}: {sentence}");
        }
    }

    #[test]
    fn a_command_that_starts_nothing_takes_what_follows_as_words() {
        let parsed = line(&["stop", "--", "-x"]).unwrap();
        assert_eq!(parsed.words, ["-x"]);
        assert!(line(&[]).unwrap().command.is_none());
        assert!(line(&["stop", "--help"]).unwrap().options.help);
    }
}
