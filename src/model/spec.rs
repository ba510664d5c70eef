//! What a program is: everything that is needed to start it, and nothing about how it fares.

use std::rc::Rc;

use super::command::{UNBUFFERED, is_python};
use super::field::FIELDS;
use super::listen::Places;
pub use super::value::ExecMode;
use super::value::{Bytes, Codes, LogType, Millis, Octal, SignalNumber, Size};

/// A program as it was asked for. The fields are described in [`FIELDS`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Spec {
    pub name: String,
    pub namespace: String,
    pub script: Bytes,
    pub args: Vec<Bytes>,
    pub interpreter: String,
    pub interpreter_args: Vec<Bytes>,
    pub cwd: Bytes,
    pub umask: Octal,
    pub instances: u32,
    pub exec_mode: ExecMode,
    pub listen: Places,
    pub out_file: Bytes,
    pub error_file: Bytes,
    pub log_file: Bytes,
    pub time: bool,
    pub log_date_format: String,
    pub log_type: LogType,
    pub log_max_size: Size,
    pub log_max_files: u32,
    pub disable_logs: bool,
    pub merge_logs: bool,
    pub pid_file: Bytes,
    pub autorestart: bool,
    pub max_restarts: u32,
    pub min_uptime: Millis,
    pub restart_delay: Millis,
    pub exp_backoff_restart_delay: Millis,
    pub stop_exit_codes: Codes,
    pub kill_signal: SignalNumber,
    pub kill_timeout: Millis,
    pub treekill: bool,
    /// Shared by all programs that were started from the same environment.
    pub env: Rc<Environment>,
}

/// How large a log file may become unless another size is given, in bytes.
pub const LOG_MAX_SIZE: u64 = 32 << 20;
/// How many older log files are kept unless another number is given.
pub const LOG_MAX_FILES: u32 = 4;
/// The date and time that `time` stands for, as pm2 has it.
pub const TIME_FORMAT: &str = "YYYY-MM-DDTHH:mm:ss";

/// What `log_file` is for a file beside those of the two streams, where those lie by default.
pub const BESIDE: &[u8] = b"true";

/// Whether the path of a log file means that there is none.
pub fn is_no_file(path: &[u8]) -> bool {
    matches!(path, b"NULL" | b"null" | b"/dev/null")
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            name: String::new(),
            namespace: "default".to_owned(),
            script: Bytes::new(),
            args: Vec::new(),
            interpreter: String::new(),
            interpreter_args: Vec::new(),
            cwd: b"/".to_vec(),
            umask: Octal(0o022),
            instances: 1,
            exec_mode: ExecMode::Fork,
            listen: Places::default(),
            out_file: Bytes::new(),
            error_file: Bytes::new(),
            log_file: Bytes::new(),
            time: false,
            log_date_format: String::new(),
            log_type: LogType::Raw,
            log_max_size: Size(LOG_MAX_SIZE),
            log_max_files: LOG_MAX_FILES,
            disable_logs: false,
            merge_logs: false,
            pid_file: Bytes::new(),
            autorestart: true,
            max_restarts: 16,
            min_uptime: Millis(1000),
            restart_delay: Millis(0),
            exp_backoff_restart_delay: Millis(0),
            stop_exit_codes: Codes::default(),
            kill_signal: SignalNumber(2),
            kill_timeout: Millis(1600),
            treekill: true,
            env: Rc::new(Environment::default()),
        }
    }
}

impl Spec {
    /// Takes a field by its name or an alias of it. `Ok(false)`: there is no such field.
    pub fn set(&mut self, key: &str, value: &[u8]) -> Result<bool, String> {
        if let Some(name) = key.strip_prefix("env.") {
            Rc::make_mut(&mut self.env).set(name.as_bytes(), value)?;
            return Ok(true);
        }
        if key == "env" {
            Rc::make_mut(&mut self.env).set_assignment(value)?;
            return Ok(true);
        }
        let Some(field) = super::field::find(key) else {
            return Ok(false);
        };
        (field.read)(self, value).map_err(|why| format!("{key}: {why}"))?;
        Ok(true)
    }

    /// Takes many fields, as a record or a request has them: the environment is put together once, and not anew with
    /// each variable. The keys that are no fields are left out, and returned.
    ///
    /// # Errors
    ///
    /// The first value that cannot be read, in a sentence.
    pub fn set_all<'a, I>(&mut self, pairs: I) -> Result<Vec<&'a str>, String>
    where
        I: IntoIterator<Item = &'a (String, Vec<u8>)>,
    {
        let mut unknown = Vec::new();
        let mut assignments: Vec<Vec<u8>> = self.env.assignments().map(<[u8]>::to_vec).collect();
        for (key, value) in pairs {
            if let Some(name) = key.strip_prefix("env.") {
                assignments.push([name.as_bytes(), b"=", value].concat());
            } else if key == "env" {
                assignments.push(value.clone());
            } else if !self.set(key, value)? {
                unknown.push(key.as_str());
            }
        }
        let sound = |a: &Vec<u8>| !a.contains(&0) && a.iter().skip(1).any(|b| *b == b'=');
        if assignments.iter().any(|a| !sound(a) || a.starts_with(b"=")) {
            return Err("env: a variable is NAME=VALUE, without a NUL byte".to_owned());
        }
        let all = assignments.iter().map(Vec::as_slice);
        self.env = Rc::new(Environment::from_assignments(all));
        Ok(unknown)
    }

    /// Every field that differs from its default, and every variable of the environment, as key and value.
    pub fn pairs(&self) -> Vec<(String, Vec<u8>)> {
        let default = Spec::default();
        let mut pairs = Vec::new();
        for field in FIELDS {
            let values = (field.write)(self);
            if values != (field.write)(&default) {
                pairs.extend(values.into_iter().map(|v| (field.name.to_owned(), v)));
            }
        }
        pairs.extend(
            self.env
                .assignments()
                .map(|v| ("env".to_owned(), v.to_vec())),
        );
        pairs
    }

    /// What a program is told about itself, beside its environment.
    pub fn told(&self, id: u32, instance: u32, home: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        let mut told = vec![
            ("RPM_ID", id.to_string().into_bytes()),
            ("RPM_NAME", self.name.clone().into_bytes()),
            ("RPM_HOME", home.to_vec()),
            ("pm_id", id.to_string().into_bytes()),
            ("name", self.name.clone().into_bytes()),
            ("NODE_APP_INSTANCE", instance.to_string().into_bytes()),
            ("PWD", self.cwd.clone()),
        ];
        if is_python(self) && self.env.get(UNBUFFERED.as_bytes()).is_none() {
            told.push((UNBUFFERED, b"1".to_vec()));
        }
        told
    }

    /// The form of the date and time that each line in its log files begins with; empty where there is none.
    pub fn date_format(&self) -> &str {
        if self.log_date_format.is_empty() && self.time {
            TIME_FORMAT
        } else {
            &self.log_date_format
        }
    }

    /// The name as it stands in the names of its files.
    pub fn file_name(&self) -> String {
        super::file_name::of(&self.name)
    }
}

/// An environment: `NAME=value` blocks, each ended by NUL, in the order they were set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment(Box<[u8]>);

impl Environment {
    /// Sets one variable, replacing what it was.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), String> {
        if name.is_empty() || name.contains(&b'=') || name.contains(&0) || value.contains(&0) {
            return Err("env: a variable has a name without '=' and no NUL byte".to_owned());
        }
        let mut block: Vec<u8> = Vec::with_capacity(self.0.len() + name.len() + value.len() + 2);
        let others = self.assignments().filter(|a| name_of(a) != name);
        for assignment in others {
            block.extend_from_slice(assignment);
            block.push(0);
        }
        block.extend_from_slice(name);
        block.push(b'=');
        block.extend_from_slice(value);
        block.push(0);
        self.0 = block.into_boxed_slice();
        Ok(())
    }

    /// Sets one variable given as `NAME=value`.
    pub fn set_assignment(&mut self, assignment: &[u8]) -> Result<(), String> {
        let at = assignment.iter().position(|b| *b == b'=');
        let parts = at.and_then(|at| Some((assignment.get(..at)?, assignment.get(at + 1..)?)));
        let (name, value) = parts.ok_or("env: a variable is NAME=VALUE")?;
        self.set(name, value)
    }

    /// An environment of many assignments at once; malformed ones are left out, of doubles the last counts.
    pub fn from_assignments<'a>(all: impl IntoIterator<Item = &'a [u8]>) -> Environment {
        let mut seen: Vec<&[u8]> = Vec::new();
        let mut index = std::collections::BTreeMap::new();
        for assignment in all {
            if assignment.contains(&0)
                || name_of(assignment).is_empty()
                || !assignment.contains(&b'=')
            {
                continue;
            }
            match index
                .get(name_of(assignment))
                .and_then(|at: &usize| seen.get_mut(*at))
            {
                Some(slot) => *slot = assignment,
                None => {
                    index.insert(name_of(assignment), seen.len());
                    seen.push(assignment);
                }
            }
        }
        let mut block = Vec::with_capacity(seen.iter().map(|a| a.len() + 1).sum());
        for assignment in seen {
            block.extend_from_slice(assignment);
            block.push(0);
        }
        Environment(block.into_boxed_slice())
    }

    /// The value of a variable.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.assignments().find(|a| name_of(a) == name)?;
        found.get(name.len() + 1..)
    }

    /// Each variable as `NAME=value`.
    pub fn assignments(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == 0).filter(|a| !a.is_empty())
    }
}

/// The part of `NAME=value` before the first '='.
pub fn name_of(assignment: &[u8]) -> &[u8] {
    assignment.split(|b| *b == b'=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_comes_back_from_its_pairs() {
        let mut spec = Spec {
            name: "my app".into(),
            script: b"/srv/\xff.js".to_vec(),
            args: vec![b"".to_vec(), b"--x=1".to_vec()],
            autorestart: false,
            kill_signal: SignalNumber(15),
            stop_exit_codes: Codes(vec![0, 3]),
            umask: Octal(0o077),
            ..Spec::default()
        };
        spec.set("env.PORT", b"1").unwrap();
        spec.set("env", b"BASH_FUNC_x%%=() { :; }").unwrap();
        let mut back = Spec::default();
        for (key, value) in spec.pairs() {
            assert!(back.set(&key, &value).unwrap());
        }
        assert_eq!(back, spec);
    }

    #[test]
    fn an_environment_keeps_the_last_of_doubles() {
        let env = Environment::from_assignments([&b"A=1"[..], b"B=2", b"A=3", b"=x", b"C"]);
        assert_eq!(env.assignments().collect::<Vec<_>>(), [b"A=3", b"B=2"]);
        assert_eq!(env.get(b"A"), Some(&b"3"[..]));
        assert_eq!(env.get(b"C"), None);
    }
}
