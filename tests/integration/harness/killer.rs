//! Killing a process at the system call that one chooses. `strace(1)`, "Tampering"

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use rpm::sys::signal::Signal;

use super::run::Running;
use super::{Home, has, is_root, proc};

/// How many system calls are told of.
const SHOWN: usize = 12;

/// A system call: its name, and the how many-th of that name it is, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call(pub String, pub usize);

/// Why nobody can be traced here, if so.
pub fn cannot_trace() -> Option<&'static str> {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match (has("strace"), is_root() || matches!(scope.trim(), "" | "0")) {
        (false, _) => Some("strace is not installed"),
        (true, false) => Some("only root may trace a process here that is no child"),
        (true, true) => None,
    }
}

/// One of so many system calls or other cases, or of as many as `RPM_TEST_EVERY` says.
pub fn some_of<T>(calls: Vec<T>, ordinary: usize, first: usize) -> Vec<T> {
    let given = std::env::var("RPM_TEST_EVERY").ok();
    let every = given.map_or(ordinary, |every| every.parse().expect("a number"));
    calls
        .into_iter()
        .skip(first % every)
        .step_by(every)
        .collect()
}

/// One of so many cases of a table, or of as many as `RPM_TEST_EVERY` says; another one in each run.
pub fn every<T>(table: &[T], ordinary: usize) -> impl Iterator<Item = &T> {
    let given = std::env::var("RPM_TEST_EVERY").ok();
    let every = given.map_or(ordinary, |every| every.parse().expect("a number"));
    let first = usize::try_from(std::process::id()).unwrap() % every;
    table.iter().skip(first).step_by(every)
}

/// A process whose system calls are recorded, and that is perhaps killed at one of them, which it does not make then.
pub struct Killer {
    strace: Running,
    trace: PathBuf,
}

/// What became of the process.
pub struct Killed {
    /// It was killed.
    pub killed: bool,
    /// The system calls that it made.
    pub calls: Vec<Call>,
    /// The last of them, for people.
    pub shown: String,
}

impl Killer {
    /// Of a process that runs.
    #[track_caller]
    pub fn of(home: &Home, pid: i32, at: Option<&Call>) -> Killer {
        let mut killer = Killer::of_command(home, at, &["-p", &pid.to_string()]);
        killer.strace.wait_for_line("attached");
        killer
    }

    /// Of a command that is started.
    pub fn of_command(home: &Home, at: Option<&Call>, command: &[&str]) -> Killer {
        let trace = home.base.join("trace");
        let mut words = vec!["strace", "-o", trace.to_str().unwrap()];
        let inject = at.map(|Call(name, n)| format!("inject={name}:signal=KILL:when={n}"));
        if let Some(inject) = &inject {
            words.extend(["-e", inject]);
        }
        words.extend(command);
        Killer {
            strace: Running::start(home.command(&words)),
            trace,
        }
    }

    /// Whether it has come to its end, with its process.
    pub fn is_over(&self) -> bool {
        !proc::lives(self.strace.pid())
    }

    /// Lets go of the process, unless it is on its way to its end.
    #[track_caller]
    pub fn end(mut self, ends: bool) -> Killed {
        if !ends && !self.is_over() {
            proc::kill(self.strace.pid(), Signal::TERM);
        }
        self.strace.wait();
        let trace = fs::read_to_string(&self.trace).unwrap();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let names = trace
            .lines()
            .filter_map(|line| Some(line.split_once('(')?.0));
        let calls = names.filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
        let calls = calls.map(|name| {
            let count = counts.entry(name).or_default();
            *count += 1;
            Call(name.to_owned(), *count)
        });
        let calls = calls.collect();
        let lines: Vec<&str> = trace.lines().collect();
        let shown = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
        Killed {
            killed: shown.contains("+++ killed by SIGKILL +++"),
            calls,
            shown,
        }
    }
}

/// What is said if the test fails.
pub struct ToldOnFailure(pub String);

impl Drop for ToldOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}
