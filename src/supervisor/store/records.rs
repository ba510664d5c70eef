//! The lines of the list that are about one program, and the program that they make.

use std::rc::Rc;

use crate::error::{Context, Error, Result};
use crate::model::life::{Life, State};
use crate::model::spec::Spec;
use crate::paths::Pipes;
use crate::protocol::line::Line;
use crate::protocol::output::Dropped;
use crate::protocol::process::{exit_pair, read_exit, read_want, want_word};
use crate::supervisor::program::Program;
use crate::supervisor::store::list::{self, Entry};
use crate::sys::pid::Pid;
use crate::sys::spawn::Record;
use crate::sys::{fifo, room};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What is recorded of a program itself: the same text for all of its instances.
pub fn spec_text(spec: &Spec) -> Vec<u8> {
    let mut line = Line::new("spec");
    line.fields = spec.pairs();
    line.to_bytes()
}

/// The line of a program's spec, of the text of its spec.
pub fn spec_line(id: u32, text: &[u8]) -> Vec<u8> {
    let rest = text.strip_prefix(b"spec").unwrap_or(text);
    let mut line = Vec::new();
    list::seal(
        &mut line,
        &[format!("spec id={id}").as_bytes(), rest].concat(),
    );
    line
}

/// The line of a program's last process.
pub fn pid_line(id: u32, record: &Record) -> Vec<u8> {
    let mut line = Vec::new();
    list::seal(&mut line, record.line(id).as_bytes());
    line
}

/// The states without a process, as they are recorded; in any other one there is a process, or is about to be.
const RESTS: [(&str, State); 3] = [
    ("stopped", State::Stopped),
    ("errored", State::Errored),
    ("waiting", State::Waiting),
];

/// The line of a program's status: what is wanted, how it rests, and what is counted. Whether it runs is not written, as
/// only the process itself can say so.
pub fn status_line(program: &Program) -> Vec<u8> {
    let life = &program.life;
    let (want, state) = life.recorded();
    let (rest, _) = RESTS
        .into_iter()
        .find(|(_, rest)| *rest == state)
        .unwrap_or(("none", State::Launching));
    let mut line = Line::new("status")
        .with("id", program.id.to_string())
        .with("instance", program.instance.to_string())
        .with("want", want_word(want))
        .with("rest", rest)
        .with("restarts", life.restarts.to_string())
        .with("unstable", life.unstable.to_string())
        .with("created", program.created.to_string())
        .with("ended", program.ended.to_string());
    if program.lost_in_all > 0 {
        line.push("lost", program.lost_in_all.to_string());
    }
    Dropped::put(&program.lost, &mut line);
    if let Some(exit) = life.exit {
        let (key, value) = exit_pair(exit);
        line.push_number(key, value);
    }
    let mut sealed = Vec::new();
    list::push(&mut sealed, &line);
    sealed
}

/// What was found of a program.
#[derive(Debug)]
pub struct Found {
    /// The program, at rest or about to be launched again; its process is not looked for yet.
    pub program: Program,
    /// The last process that it had.
    pub last: Option<Record>,
    /// It may have had a later one, whose line is damaged.
    pub doubtful: bool,
}

/// The program of an entry of the list. `Err`: the entry is damaged.
pub fn found(id: u32, entry: &Entry) -> Result<Found> {
    let (spec, status) = entry.lines().map_err(Error::new)?;
    let pid = entry.pid();
    Ok(Found {
        program: program_of(id, &status, &spec)?,
        last: pid.as_ref().and_then(record_of),
        doubtful: entry.has_lost_pid(),
    })
}

/// The record that a line has.
fn record_of(line: &Line) -> Option<Record> {
    Some(Record {
        pid: Pid::new(line.number("pid")?)?,
        start: line.number("start")?,
        run: line.number("run").unwrap_or(0),
        joined: line.text("cgroup") == Some("1"),
    })
}

/// The program of its two lines.
pub fn program_of(id: u32, status: &Line, spec_line: &Line) -> Result<Program> {
    let instance = status.number("instance").unwrap_or(0);
    let mut spec = Spec::default();
    let set = spec.set_all(&spec_line.fields).map_err(Error::new);
    set.map_err(|e| e.while_doing("reading its spec"))?;
    let damaged = || Error::new("its status is damaged");
    let created = status.number("created").ok_or_else(damaged)?;
    let mut program = Program::new(id, instance, Rc::new(spec), created);
    let want = status.get("want").and_then(read_want);
    let want = want.ok_or_else(damaged)?;
    let restarts = status.number("restarts").ok_or_else(damaged)?;
    let unstable = status.number("unstable").ok_or_else(damaged)?;
    let rest = status.text("rest").ok_or_else(damaged)?;
    let rest = RESTS.into_iter().find(|(word, _)| *word == rest);
    let state = rest.map_or(State::Launching, |(_, state)| state);
    program.life = Life::recalled(want, state, (restarts, unstable), read_exit(status));
    program.ended = status.number("ended").unwrap_or(0);
    program.lost_in_all = status.number("lost").unwrap_or(0);
    program.lost = Dropped::of_line(status);
    Ok(program)
}

/// Makes the pipes of a program where they are missing, and opens them. It may wait for the disk.
pub fn make_pipes(pipes: &Pipes) -> Result<(OwnedFd, OwnedFd)> {
    let make = |path: std::path::PathBuf| {
        match fifo::make(&path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => fifo::open(&path),
        }
        .doing(|| format!("making {}", path.display()))
    };
    let made = (make(pipes.out())?, make(pipes.err())?);
    Ok(made)
}

/// Whether the pipes of a program leave room for what else must be open.
pub fn check_room(pipes: &(OwnedFd, OwnedFd)) -> Result<()> {
    let (_, last) = pipes;
    room::check(last.as_fd(), room::Holder::Program)
        .doing(|| "holding the pipes of another program")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::life::{Exit, Want};
    use crate::supervisor::store::list::List;

    #[test]
    fn what_is_recorded_is_found_again() {
        let mut spec = Spec {
            name: "a b".into(),
            script: b"/bin/x".to_vec(),
            ..Spec::default()
        };
        spec.set("env.A", b"1 2").unwrap();
        let mut program = Program::new(3, 1, Rc::new(spec), 1_700_000_000_000);
        program.life.want = Want::Up;
        program.life.restarts = u32::MAX;
        program.life.unstable = u32::MAX;
        program.ended = u32::MAX;
        program.life.exit = Some(Exit::Signal(-9));
        program.lost_in_all = u64::MAX;
        let loss = Dropped {
            bytes: u64::MAX,
            first: u64::MAX,
            last: u64::MAX,
        };
        program.lost = [loss; 2];
        let record = Record {
            pid: Pid::new(7).unwrap(),
            start: 9,
            run: 4,
            joined: true,
        };
        let mut bytes = list::header(1);
        bytes.extend(spec_line(3, &spec_text(&program.spec)));
        for state in [
            State::Stopped,
            State::Errored,
            State::Waiting,
            State::Online,
        ] {
            program.life.state = state;
            bytes.extend(status_line(&program));
            bytes.extend(pid_line(3, &record));
            let list = List::read(&bytes);
            let found = found(3, &list.programs[&3]).unwrap();
            assert_eq!((found.last, found.doubtful), (Some(record), false));
            let back = found.program;
            assert_eq!(back.spec, program.spec);
            assert_eq!((back.instance, back.created), (1, program.created));
            assert_eq!((back.ended, back.lost), (program.ended, program.lost));
            assert_eq!(back.lost_in_all, program.lost_in_all);
            let expected = if state == State::Online {
                State::Launching
            } else {
                state
            };
            assert_eq!((back.life.want, back.life.state), (Want::Up, expected));
            assert_eq!(back.life.restarts, u32::MAX);
            assert_eq!(back.life.exit, program.life.exit);
        }
    }

    #[test]
    fn while_the_daemon_ends_a_program_is_recorded_as_it_was_wanted() {
        let mut program = Program::new(0, 0, Rc::new(Spec::default()), 5);
        program.life.shutdown = Some(Want::Up);
        program.life.want = Want::Down;
        program.life.state = State::Stopped;
        let mut bytes = spec_line(0, &spec_text(&program.spec));
        bytes.extend(status_line(&program));
        let back = found(0, &List::read(&bytes).programs[&0]).unwrap().program;
        assert_eq!(
            (back.life.want, back.life.state),
            (Want::Up, State::Launching)
        );
    }
}
