//! Rows of the list, read quickly: there may be hundreds, and each would cost dozens of allocations as a line of the codec.

use super::exchange;
use crate::app::life::{Exit, State, Want};
use crate::error::Result;
use crate::protocol::process::Process;

/// The program of a `process` line.
pub fn process(bytes: &[u8]) -> Result<Process> {
    match quick(bytes) {
        Some(process) => Ok(process),
        None => exchange::process(&exchange::decoded(bytes)?),
    }
}

/// The program of a line in which nothing is escaped and which has the fields in the order that they are written in.
/// None where it is not so: then the codec has to look.
fn quick(bytes: &[u8]) -> Option<Process> {
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
        want: match next("want")? {
            "up" => Want::Up,
            _ => Want::Down,
        },
        pid: next("pid")?.parse().ok()?,
        since: next("since")?.parse().ok()?,
        created: next("created")?.parse().ok()?,
        restarts: next("restarts")?.parse().ok()?,
        unstable: next("unstable")?.parse().ok()?,
        exit: None,
        instance: 0,
        uid: 0,
    };
    for word in words {
        let (key, value) = word.split_once('=')?;
        match key {
            "exit_code" => process.exit = Some(Exit::Code(value.parse().ok()?)),
            "exit_signal" => process.exit = Some(Exit::Signal(value.parse().ok()?)),
            "instance" => process.instance = value.parse().ok()?,
            "uid" => process.uid = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(process)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::line::LineWriter;

    fn written(process: &Process) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut line = LineWriter::begin(&mut bytes, "process");
        process.write(&mut line);
        line.end();
        bytes
    }

    #[test]
    fn both_ways_of_reading_agree() {
        let exits = [
            None,
            Some(Exit::Code(3)),
            Some(Exit::Signal(9)),
            Some(Exit::Unknown),
        ];
        for state in crate::app::life::STATES {
            for exit in exits {
                for name in ["api", "a b%", "ü", ""] {
                    let program = Process {
                        name: name.into(),
                        state,
                        exit,
                        ..super::super::record::sample().process
                    };
                    assert_eq!(process(&written(&program)).unwrap(), program);
                }
            }
        }
    }

    #[test]
    fn what_the_daemon_writes_is_read_the_quick_way() {
        let program = super::super::record::sample().process;
        assert_eq!(quick(&written(&program)), Some(program));
        for other in [
            &b"process id=x\n"[..],
            b"process\n",
            b"event id=1\n",
            b"process id=1",
            b"\xff\n",
        ] {
            assert_eq!(quick(other), None);
        }
    }
}
