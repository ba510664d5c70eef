//! The `process` line: how a program fares. The same fields, under the tag `event`, tell followers of a change.

use super::line::{Line, LineWriter};
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

fn mode_of(word: Option<&str>) -> ExecMode {
    match word {
        Some("cluster") => ExecMode::Cluster,
        _ => ExecMode::Fork,
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

    /// Reads the fields of a line; others are passed over. `None` when one that must be there is not.
    pub fn from_line(line: &Line) -> Option<Process> {
        Some(Process {
            id: line.number("id")?,
            name: line.text("name")?.to_owned(),
            namespace: line.text("namespace")?.to_owned(),
            state: State::from_word(line.text("status")?)?,
            want: read_want(line.get("want")?)?,
            pid: line.number("pid")?,
            since: line.number("since")?,
            created: line.number("created")?,
            restarts: line.number("restarts")?,
            unstable: line.number("unstable")?,
            exit: read_exit(line),
            mode: mode_of(line.text("mode")),
            instance: line.number("instance").unwrap_or(0),
            uid: line.number("uid").unwrap_or(0),
            cpu: line.number("cpu").unwrap_or(0),
            memory: line.number("memory").unwrap_or(0),
            lost: line.number("lost").unwrap_or(0),
        })
    }

    /// Reads a line in which nothing is escaped and whose fields come as they are written: the codec would need
    /// dozens of allocations for each of hundreds of programs. `None` where it is not so: then the codec has to look.
    pub fn from_plain_line(bytes: &[u8]) -> Option<Process> {
        let text = std::str::from_utf8(bytes.strip_suffix(b"\n")?).ok()?;
        if text.contains('%') {
            return None;
        }
        let mut words = text.strip_prefix("process ")?.split(' ');
        let mut next = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=');
        let mut process = Process {
            id: next("id")?.parse().ok()?,
            name: next("name")?.to_owned(),
            namespace: next("namespace")?.to_owned(),
            state: State::from_word(next("status")?)?,
            want: read_want(next("want")?.as_bytes())?,
            pid: next("pid")?.parse().ok()?,
            since: next("since")?.parse().ok()?,
            created: next("created")?.parse().ok()?,
            restarts: next("restarts")?.parse().ok()?,
            unstable: next("unstable")?.parse().ok()?,
            exit: None,
            mode: ExecMode::Fork,
            instance: 0,
            uid: 0,
            cpu: 0,
            memory: 0,
            lost: 0,
        };
        for word in words {
            let (key, value) = word.split_once('=')?;
            match key {
                "exit_code" => process.exit = Some(Exit::Code(value.parse().ok()?)),
                "exit_signal" => process.exit = Some(Exit::Signal(value.parse().ok()?)),
                "exit_unknown" => process.exit = Some(Exit::Unknown),
                "mode" => process.mode = mode_of(Some(value)),
                "instance" => process.instance = value.parse().ok()?,
                "uid" => process.uid = value.parse().ok()?,
                "cpu" => process.cpu = value.parse().ok()?,
                "memory" => process.memory = value.parse().ok()?,
                "lost" => process.lost = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(process)
    }
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
    fn every_state_and_exit_comes_back_whichever_way_it_is_read() {
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
                    if let Some(read) = Process::from_plain_line(&bytes) {
                        assert_eq!(read, process);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_plain_is_read_the_plain_way() {
        assert_eq!(
            Process::from_plain_line(&written(&process())),
            Some(process())
        );
        for other in [
            &b"process id=x\n"[..],
            b"process\n",
            b"event id=1\n",
            b"process id=1",
            b"\xff\n",
        ] {
            assert_eq!(Process::from_plain_line(other), None);
        }
    }
}
