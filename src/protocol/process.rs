//! The `process` line: how a program fares. The same fields, under the tag `event`, tell followers of a change.

use std::str::FromStr;

use super::line::{Field, Line, LineWriter, decode_field};
use crate::model::life::{Exit, State, Want};
use crate::model::spec::ExecMode;

/// How one program fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number, never used twice by one list.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What is so.
    pub state: State,
    /// What is wanted.
    pub want: Want,
    /// Its pid; 0 when there is none.
    pub pid: i32,
    /// When the present run began, ms since the epoch; 0 when it does not run.
    pub since: u64,
    /// When it was first started, ms since the epoch.
    pub created: u64,
    /// How often it was started again.
    pub restarts: u32,
    /// How many of the last runs in a row did not last.
    pub unstable: u32,
    /// How the last run ended.
    pub exit: Option<Exit>,
    /// How it was started.
    pub mode: ExecMode,
    /// Which of its instances it is, from 0.
    pub instance: u32,
    /// Whose it is.
    pub uid: u32,
    /// The processor time that its leader has used, in ms; 0 where it was not looked at.
    pub cpu: u64,
    /// The resident memory of its leader, in bytes; 0 where it was not looked at.
    pub memory: u64,
    /// How much of its output could not be written to its log files, in bytes.
    pub lost: u64,
}

/// The field that says how a run ended.
pub fn exit_pair(exit: Exit) -> (&'static str, i64) {
    match exit {
        Exit::Code(code) => ("exit_code", i64::from(code)),
        Exit::Signal(signal) => ("exit_signal", i64::from(signal)),
        Exit::Unknown => ("exit_unknown", 1),
    }
}

/// How a run ended, by the field that says so.
pub fn read_exit(line: &Line) -> Option<Exit> {
    let code = line.number("exit_code").map(Exit::Code);
    let signal = || line.number("exit_signal").map(Exit::Signal);
    let unknown = || line.get("exit_unknown").map(|_| Exit::Unknown);
    code.or_else(signal).or_else(unknown)
}

/// The word of what is wanted.
pub fn want_word(want: Want) -> &'static str {
    match want {
        Want::Up => "up",
        Want::Down => "down",
    }
}

/// What the word means.
pub fn read_want(word: &[u8]) -> Option<Want> {
    match word {
        b"up" => Some(Want::Up),
        b"down" => Some(Want::Down),
        _ => None,
    }
}

impl Process {
    /// Appends the fields to a line that has been begun.
    pub fn write(&self, line: &mut LineWriter) {
        line.number("id", i64::from(self.id));
        line.field("name", self.name.as_bytes());
        line.field("namespace", self.namespace.as_bytes());
        line.field("status", self.state.word().as_bytes());
        line.field("want", want_word(self.want).as_bytes());
        line.number("pid", i64::from(self.pid));
        line.number("since", i64::try_from(self.since).unwrap_or(0));
        line.number("created", i64::try_from(self.created).unwrap_or(0));
        line.number("restarts", i64::from(self.restarts));
        line.number("unstable", i64::from(self.unstable));
        if let Some(exit) = self.exit {
            let (key, value) = exit_pair(exit);
            line.number(key, value);
        }
        line.number("instance", i64::from(self.instance));
        if self.mode == ExecMode::Cluster {
            line.field("mode", self.mode.word().as_bytes());
        }
        line.number("uid", i64::from(self.uid));
        for (key, value) in [
            ("cpu", self.cpu),
            ("memory", self.memory),
            ("lost", self.lost),
        ] {
            if value > 0 {
                line.number(key, i64::try_from(value).unwrap_or(i64::MAX));
            }
        }
    }

    /// The program that the fields of a line describe. Unknown fields are ignored, and of several fields with one key
    /// the last counts. `None` if a required field is missing or unreadable.
    pub fn from_line(line: &Line) -> Option<Process> {
        let fields = line.fields.iter();
        Process::from_fields(fields.map(|(key, value)| Some((key.as_bytes(), value.into()))))
    }

    /// The program of a `process` line. The same as [`Line::decode`] and [`Process::from_line`], without allocating
    /// each field: a list has hundreds of lines. `None` also if it is another line or malformed.
    pub fn from_bytes(line: &[u8]) -> Option<Process> {
        let fields = line.strip_suffix(b"\n")?.strip_prefix(b"process ")?;
        let words = fields.split(|b| *b == b' ').filter(|word| !word.is_empty());
        Process::from_fields(words.map(|word| decode_field(word).ok()))
    }

    /// `None` in `fields` is a malformed field.
    fn from_fields<'a>(fields: impl Iterator<Item = Option<Field<'a>>>) -> Option<Process> {
        let (mut id, mut pid) = (None, None);
        let (mut name, mut namespace) = (None, None);
        let (mut state, mut want) = (None, None);
        let (mut since, mut created) = (None, None);
        let (mut restarts, mut unstable) = (None, None);
        let (mut instance, mut uid) = (None, None);
        let (mut cpu, mut memory, mut lost) = (None, None, None);
        let (mut exit, mut mode) = (None, ExecMode::Fork);
        for field in fields {
            let (key, value) = field?;
            match key {
                b"id" => id = number(&value),
                b"name" => name = String::from_utf8(value.into_owned()).ok(),
                b"namespace" => namespace = String::from_utf8(value.into_owned()).ok(),
                b"status" => state = std::str::from_utf8(&value).ok().and_then(State::from_word),
                b"want" => want = read_want(&value),
                b"pid" => pid = number(&value),
                b"since" => since = number(&value),
                b"created" => created = number(&value),
                b"restarts" => restarts = number(&value),
                b"unstable" => unstable = number(&value),
                b"exit_code" => exit = number(&value).map(Exit::Code),
                b"exit_signal" => exit = number(&value).map(Exit::Signal),
                b"exit_unknown" => exit = Some(Exit::Unknown),
                b"mode" if *value == *b"cluster" => mode = ExecMode::Cluster,
                b"instance" => instance = number(&value),
                b"uid" => uid = number(&value),
                b"cpu" => cpu = number(&value),
                b"memory" => memory = number(&value),
                b"lost" => lost = number(&value),
                _ => {}
            }
        }
        Some(Process {
            id: id?,
            name: name?,
            namespace: namespace?,
            state: state?,
            want: want?,
            pid: pid?,
            since: since?,
            created: created?,
            restarts: restarts?,
            unstable: unstable?,
            exit,
            mode,
            instance: instance.unwrap_or(0),
            uid: uid.unwrap_or(0),
            cpu: cpu.unwrap_or(0),
            memory: memory.unwrap_or(0),
            lost: lost.unwrap_or(0),
        })
    }
}

fn number<N: FromStr>(value: &[u8]) -> Option<N> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::life::STATES;

    fn process() -> Process {
        Process {
            id: 7,
            name: "api".into(),
            namespace: "default".into(),
            state: State::Online,
            want: Want::Up,
            pid: 4711,
            since: 1_700_000_000_000,
            created: 1_600_000_000_000,
            restarts: 3,
            unstable: 1,
            exit: None,
            mode: ExecMode::Cluster,
            instance: 2,
            uid: 1000,
            cpu: 12,
            memory: 1 << 20,
            lost: 5,
        }
    }

    fn written(process: &Process) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut line = LineWriter::begin(&mut bytes, "process");
        process.write(&mut line);
        line.end();
        bytes
    }

    #[test]
    fn every_state_and_exit_is_read_back_as_written() {
        let exits = [
            None,
            Some(Exit::Code(3)),
            Some(Exit::Signal(9)),
            Some(Exit::Unknown),
        ];
        for state in STATES {
            for exit in exits {
                for name in ["api", "a b%", "ü", ""] {
                    let process = Process {
                        state,
                        exit,
                        name: name.into(),
                        ..process()
                    };
                    let bytes = written(&process);
                    let line = Line::decode(&bytes).unwrap();
                    assert_eq!(Process::from_line(&line).as_ref(), Some(&process));
                    assert_eq!(Process::from_bytes(&bytes), Some(process));
                }
            }
        }
    }

    #[test]
    fn unknown_fields_are_ignored_and_other_lines_are_not_read() {
        let mut bytes = written(&process());
        bytes.truncate(bytes.len() - 1);
        bytes.extend_from_slice(b"  later=%FF mode=cluster\n");
        assert_eq!(Process::from_bytes(&bytes), Some(process()));
        for other in [
            &b"process id=x\n"[..],
            b"process\n",
            b"event id=1\n",
            b"process id=1",
            b"\xff\n",
        ] {
            assert_eq!(Process::from_bytes(other), None);
        }
        for malformed in ["name=%zz", "name", "=1", "name=\u{1}", "name=%FF"] {
            let line = String::from_utf8(written(&process())).unwrap();
            let line = line.replace("name=api", malformed);
            assert_eq!(Process::from_bytes(line.as_bytes()), None, "{line}");
            let decoded = Line::decode(line.as_bytes()).ok();
            assert_eq!(decoded.as_ref().and_then(Process::from_line), None);
        }
    }
}
