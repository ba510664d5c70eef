//! What one release of the supervisor hands over to the next, which is executed in its place: all that is neither in
//! the records nor in the kernel. Lines of the protocol's codec in a file in memory; descriptors by their numbers.
//!
//! ```text
//! supervisor  handover=VERSION lock=FD listener=FD foreground=… next-id=…
//! program     id=… and how it fares, to the last counter; descriptors of what is under way
//! connection  token=FD and what of its input and output is on its way
//! pending     what that connection waits for
//! spec        of a start that is under way
//! socket, channel  fd=FD of what is held for programs
//! ```

pub(crate) mod pending;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use pending::{pending_lines, read_pending};

use crate::model::life::{Life, RunId, State};
use crate::model::spec::Spec;
use crate::protocol::line::Line;
use crate::protocol::process::{exit_pair, read_exit, read_want, want_word};
use crate::protocol::reply::{Code, Failure};
use crate::supervisor::control::connection::Connection;
use crate::supervisor::control::pending::Pending;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::limits::Limits;
use crate::supervisor::program::run::{Placement, Run};
use crate::supervisor::program::{LaunchFailure, Program};
use crate::supervisor::store::records;
use crate::sys::pid::Pid;
use crate::sys::pidfd::PidFd;
use crate::sys::process::ProcessHandle;
use crate::sys::{fifo, reexec};

/// The version of these lines; a release that does not know it is not executed.
pub const VERSION: u32 = 2;

/// All of it, as it was handed over.
pub struct Handover {
    /// The lock.
    pub lock: OwnedFd,
    /// The control socket.
    pub listener: OwnedFd,
    /// Whether init or a container started the supervisor.
    pub foreground: bool,
    /// The number of the next program.
    pub next_id: u32,
    /// What programs get back.
    pub limits: Limits,
    /// How each program fares.
    pub programs: Vec<(u32, Line)>,
    /// The clients.
    pub connections: Vec<Connection>,
    /// Sockets and channels that are held for programs.
    pub kept: Vec<Line>,
    /// Pipes that are held until they have been opened by their names.
    pub held: Vec<OwnedFd>,
}

impl Supervisor {
    /// What is to be handed over, and the descriptors that belong to it.
    pub(crate) fn hand_over(&self) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
        let mut text = Vec::new();
        let mut kept = vec![self.lock.fd(), self.listener.as_fd()];
        let mut line = Line::new("supervisor");
        line.push_number("handover", VERSION);
        line.push_number("lock", self.lock.fd().as_raw_fd());
        line.push_number("listener", self.listener.as_raw_fd());
        line.push("foreground", self.way.foreground.to_string());
        line.push_number("next-id", self.next_id);
        line.push("limits", self.limits.to_string());
        line.encode(&mut text);
        for program in self.programs.values() {
            program_line(program).encode(&mut text);
            kept.extend(program.report().map(AsFd::as_fd));
            kept.extend(program.handle().and_then(ProcessHandle::fd));
            let group_pidfd = program
                .run
                .as_ref()
                .and_then(|run| run.group_pidfd.as_ref());
            kept.extend(group_pidfd.and_then(ProcessHandle::fd));
            // What a program has printed before its end is gone when nobody has its pipe open.
            let fifos = program.fifos.iter().filter(|_| program.life.pid == 0);
            for fifo in fifos.flat_map(|(out, err)| [out, err]) {
                if fifo::waiting(fifo.as_fd()) > 0 {
                    let mut line = Line::new("held");
                    line.push_number("fd", fifo.as_raw_fd());
                    line.encode(&mut text);
                    kept.push(fifo.as_fd());
                }
            }
        }
        self.hand_over_kept(&mut text, &mut kept);
        for connection in self.connections.values() {
            connection.hand_over().encode(&mut text);
            kept.push(connection.stream().as_fd());
            if let Some(pending) = &connection.pending {
                pending_lines(pending)
                    .iter()
                    .for_each(|line| line.encode(&mut text));
            }
        }
        (text, kept)
    }
}

fn program_line(program: &Program) -> Line {
    let life = &program.life;
    let mut line = Line::new("program")
        .with("want", want_word(life.want))
        .with("state", life.state.word())
        .with("restarting", life.restarting.to_string())
        .with("logged", program.logged.to_string())
        .with("life-since", life.since.to_string());
    for (key, number) in [
        ("id", program.id),
        ("restarts", life.restarts),
        ("unstable", life.unstable),
        ("refused", life.refused),
        ("kills", life.kills),
        ("run", life.run.0),
        ("ended", program.ended),
    ] {
        line.push_number(key, number);
    }
    line.push_number("pid", life.pid);
    line.push_number("last-pid", program.last_pid.map_or(0, Pid::get));
    push_run(&mut line, program.run.as_ref().unwrap_or(&Run::default()));
    if let Some((_, at)) = life.deadline {
        line.push("deadline", at.to_string());
    }
    if let Some(exit) = life.exit {
        let (key, value) = exit_pair(exit);
        line.push_number(key, value);
    }
    if let Some(failure) = &program.failure {
        line.push("failure", failure.why());
    }
    if let Some(left) = &program.left {
        line.push("left", left);
    }
    line
}

fn push_run(line: &mut Line, run: &Run) {
    line.push("foreign", run.adopted.to_string());
    line.push("joined", run.joined().to_string());
    line.push("born", run.start_ticks.to_string());
    line.push("since", run.since.to_string());
    line.push_number("group", run.group.map_or(0, Pid::get));
    for (pid, start) in &run.escaped {
        line.push("stray", format!("{pid}:{start}"));
    }
    if let Some(report) = &run.report {
        line.push_number("report", report.as_raw_fd());
    }
    if let Some(handle) = &run.handle {
        match (handle.fd(), handle.start()) {
            (Some(fd), _) => line.push_number("adopted", fd.as_raw_fd()),
            (None, start) => line.push("adopted-start", start.unwrap_or(0).to_string()),
        }
    }
    if let Some(fd) = run.group_pidfd.as_ref().and_then(ProcessHandle::fd) {
        line.push_number("led", fd.as_raw_fd());
    }
}

/// Puts a program where it was, by its line. `None`: a field is missing, and the records have to do.
pub fn restore(program: &mut Program, line: &Line) -> Option<()> {
    let counted = (line.number("restarts")?, line.number("unstable")?);
    let want = read_want(line.get("want")?)?;
    let state = State::from_word(line.text("state")?)?;
    program.life = Life::recalled(want, state, counted, read_exit(line));
    program.life.run = RunId(line.number("run")?);
    program.life.pid = line.number("pid")?;
    program.life.since = line.number("life-since")?;
    program.life.restarting = line.flag("restarting").ok()?;
    program.life.refused = line.number("refused")?;
    program.life.kills = line.number("kills").unwrap_or(0);
    if let Some(at) = line.number("deadline") {
        program.life.set_deadline(at);
    }
    program.ended = line.number("ended")?;
    if program.life.state == State::Launching && program.life.pid == 0 {
        // A release before numbered a run when its process was made.
        let run = program.life.run.max(RunId(program.ended).next());
        program.life.run = run;
    }
    let failure = line.text("failure").map(str::to_owned);
    program.failure = failure.map(LaunchFailure::NotExecuted);
    program.logged = line.flag("logged").ok()?;
    program.left = line.text("left").map(str::to_owned);
    let run = read_run(program, line)?;
    // A release before runs has no pid but that of the group.
    let last_pid = line.number("last-pid").and_then(Pid::new);
    program.last_pid = last_pid.or(run.group);
    let under_way = program.life.pid != 0 || program.life.state == State::Stopping;
    program.run = under_way.then_some(run);
    Some(())
}

fn read_run(program: &Program, line: &Line) -> Option<Run> {
    let descriptor = |key| line.number(key).and_then(reexec::inherited);
    let pid = Pid::new(program.life.pid);
    let group = line.number("group").and_then(Pid::new);
    let held = |pid, fd| ProcessHandle::from_fd(pid, PidFd::inherited(fd));
    Some(Run {
        id: program.life.run,
        group,
        since: line.number("since")?,
        start_ticks: line.number("born").unwrap_or(0),
        report: descriptor("report"),
        // The first releases knew no cgroups.
        placement: if line.flag("joined").unwrap_or(false) {
            Placement::Cgroup
        } else {
            Placement::NoCgroup
        },
        escaped: line.all("stray").filter_map(stray).collect(),
        adopted: line.flag("foreign").ok()?,
        handle: match (pid, descriptor("adopted"), line.number("adopted-start")) {
            (Some(pid), Some(fd), _) => Some(held(pid, fd)),
            (Some(pid), None, Some(start)) => Some(ProcessHandle::from_start(pid, start)),
            _ => None,
        },
        group_pidfd: group
            .zip(descriptor("led"))
            .map(|(group, fd)| held(group, fd)),
        ..Run::default()
    })
}

fn stray(text: &[u8]) -> Option<(Pid, u64)> {
    let (pid, start) = std::str::from_utf8(text).ok()?.split_once(':')?;
    Some((Pid::new(pid.parse().ok()?)?, start.parse().ok()?))
}

impl Handover {
    /// Reads it. `None`: it is not what this release understands.
    pub fn read(text: &[u8]) -> Option<Handover> {
        let mut lines = text.split_inclusive(|b| *b == b'\n').map(Line::decode);
        let first = lines.next()?.ok().filter(|line| line.tag == "supervisor")?;
        if first.number::<u32>("handover")? > VERSION {
            return None;
        }
        let mut handover = Handover {
            lock: reexec::inherited(first.number("lock")?)?,
            listener: reexec::inherited(first.number("listener")?)?,
            foreground: first.flag("foreground").ok()?,
            next_id: first.number("next-id")?,
            limits: Limits::parse(first.text("limits")?)?,
            programs: Vec::new(),
            connections: Vec::new(),
            kept: Vec::new(),
            held: Vec::new(),
        };
        for line in lines {
            handover.take(line.ok()?);
        }
        Some(handover)
    }

    /// Takes one line; what cannot be made sense of costs only those whose it is.
    fn take(&mut self, line: Line) {
        match line.tag.as_str() {
            "program" => {
                if let Some(id) = line.number("id") {
                    self.programs.push((id, line));
                }
            }
            "held" => self
                .held
                .extend(line.number("fd").and_then(reexec::inherited)),
            "socket" | "channel" => self.kept.push(line),
            "connection" => self.connections.extend(Connection::handed_over(&line)),
            "pending" => {
                if let Some(connection) = self.connections.last_mut() {
                    connection.pending = read_pending(&line);
                    if connection.pending.is_none() {
                        connection.refuse(&Failure::new(
                            Code::Internal,
                            "the daemon was updated meanwhile and has lost what this request was about",
                        ));
                    }
                }
            }
            "spec" => {
                let pending = self.connections.last_mut().and_then(|c| c.pending.as_mut());
                if let Some(Pending::Start(start)) = pending {
                    let mut spec = Spec::default();
                    let _ = spec.set_all(&line.fields);
                    start.spec_text = records::spec_text(&spec);
                    start.spec = Rc::new(spec);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::life::{Deadline, Exit, Want};
    use crate::protocol::log_protocol::Upkeep;
    use crate::protocol::reply::{Code, Failure};
    use crate::supervisor::control::pending::{Rows, Then, Turn};

    fn turn() -> Turn {
        Turn {
            ids: vec![1, 2],
            open: vec![2],
            drain: None,
            patience: 0,
            failure: Some(Failure::new(Code::Timeout, "too late, by far")),
        }
    }

    #[test]
    fn whatever_a_client_waits_for_comes_back() {
        let mut rows = Rows::new(vec![4, 5], true);
        rows.done = 1;
        rows.forgotten = vec![Program::new(4, 0, Rc::new(Spec::default()), 5).process()];
        rows.last = Some(Line::new("ok").with("count", "2"));
        for pending in [
            Pending::Restart(turn()),
            Pending::Stop(turn(), Then::Keep),
            Pending::Stop(turn(), Then::Forget),
            Pending::Pause(turn()),
            Pending::Upkeep(turn(), Upkeep::Flush),
            Pending::Upkeep(turn(), Upkeep::Rotate),
            Pending::Upkeep(turn(), Upkeep::Reopen),
            Pending::Rows(rows),
            Pending::Sync,
            Pending::Update,
            Pending::Kill,
        ] {
            let lines = pending_lines(&pending);
            let line = Line::decode(&lines[0].to_bytes()).unwrap();
            let back = read_pending(&line).unwrap();
            assert_eq!(format!("{back:?}"), format!("{pending:?}"));
        }
    }

    #[test]
    fn a_program_comes_back_to_the_last_counter() {
        let mut program = Program::new(3, 1, Rc::new(Spec::default()), 5);
        let exit = Some(Exit::Signal(9));
        program.life = Life::recalled(Want::Down, State::Stopping, (3, 2), exit);
        program.life.run = RunId(8);
        program.life.pid = 4711;
        program.life.since = 17;
        program.life.restarting = true;
        (program.life.refused, program.life.kills) = (1, 2);
        program.life.deadline = Some((Deadline::KillAgain(RunId(8)), 99));
        program.failure = Some(LaunchFailure::NotExecuted(
            "entering /x: no such folder".into(),
        ));
        program.left = Some("may have left behind pid 3".into());
        (program.ended, program.logged) = (7, true);
        program.last_pid = Pid::new(4711);
        program.run = Some(Run {
            id: RunId(8),
            group: Pid::new(4711),
            since: 9,
            start_ticks: 77,
            placement: Placement::Cgroup,
            escaped: vec![(Pid::new(5).unwrap(), 6)],
            adopted: true,
            ..Run::default()
        });
        let line = Line::decode(&program_line(&program).to_bytes()).unwrap();
        let mut back = Program::new(3, 1, Rc::new(Spec::default()), 5);
        restore(&mut back, &line).unwrap();
        assert_eq!(format!("{back:?}"), format!("{program:?}"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            "nonsense\n",
            "supervisor handover=2 lock=3 listener=4\n",
        ] {
            assert!(Handover::read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
