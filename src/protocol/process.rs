//! The `process` line: how a program fares. The same fields, under the tag `event`, tell followers of a change.

use super::line::{Line, LineWriter};
use crate::app::life::{Exit, State, Want};

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
    /// Which of its instances it is, from 0.
    pub instance: u32,
    /// Whose it is.
    pub uid: u32,
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
        line.number("uid", i64::from(self.uid));
    }

    /// Reads the fields of a line; others are passed over. `None` when one that must be there is not.
    pub fn from_line(line: &Line) -> Option<Process> {
        Some(Process {
            id: line.number("id")?,
            name: line.text("name")?.to_owned(),
            namespace: line.text("namespace")?.to_owned(),
            state: State::from_word(line.text("status")?)?,
            want: match line.text("want")? {
                "up" => Want::Up,
                _ => Want::Down,
            },
            pid: line.number("pid")?,
            since: line.number("since")?,
            created: line.number("created")?,
            restarts: line.number("restarts")?,
            unstable: line.number("unstable")?,
            exit: read_exit(line),
            instance: line.number("instance").unwrap_or(0),
            uid: line.number("uid").unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::life::STATES;

    #[test]
    fn every_state_and_exit_comes_back() {
        let exits = [
            None,
            Some(Exit::Code(3)),
            Some(Exit::Signal(9)),
            Some(Exit::Unknown),
        ];
        for state in STATES {
            for exit in exits {
                let process = Process {
                    id: 7,
                    name: "a b".into(),
                    namespace: "default".into(),
                    state,
                    want: Want::Up,
                    pid: 4711,
                    since: 1_700_000_000_000,
                    created: 1_600_000_000_000,
                    restarts: 3,
                    unstable: 1,
                    exit,
                    instance: 2,
                    uid: 1000,
                };
                let mut bytes = Vec::new();
                let mut line = LineWriter::begin(&mut bytes, "process");
                process.write(&mut line);
                line.end();
                let line = Line::decode(&bytes).unwrap();
                assert_eq!(Process::from_line(&line), Some(process));
            }
        }
    }
}
