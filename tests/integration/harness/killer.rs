//! Killing a process at a chosen system call. "Tampering" of `strace(1)`

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use rpm::sys::signal::Signal;

use super::run::Running;
use super::{Home, has, is_root, proc};

/// How many system calls are printed.
const SHOWN: usize = 12;

/// A system call: its name, and its number among those of this name, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call(pub String, pub usize);

/// Why tracing is not possible, if so.
pub fn cannot_trace() -> Option<&'static str> {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match (has("strace"), is_root() || matches!(scope.trim(), "" | "0")) {
        (false, _) => Some("strace is not installed"),
        (true, false) => Some("only root may trace a process here that is not a child"),
        (true, true) => None,
    }
}

/// Every N-th of these cases; `RPM_TEST_EVERY` overrides N.
pub fn some_of<T>(calls: Vec<T>, ordinary: usize, first: usize) -> Vec<T> {
    let given = std::env::var("RPM_TEST_EVERY").ok();
    let every = given.map_or(ordinary, |every| every.parse().expect("a number"));
    calls
        .into_iter()
        .skip(first % every)
        .step_by(every)
        .collect()
}

/// Every N-th case of a table, starting elsewhere in each run; `RPM_TEST_EVERY` overrides N.
pub fn every<T>(table: &[T], ordinary: usize) -> impl Iterator<Item = &T> {
    let given = std::env::var("RPM_TEST_EVERY").ok();
    let every = given.map_or(ordinary, |every| every.parse().expect("a number"));
    let first = usize::try_from(std::process::id()).unwrap() % every;
    table.iter().skip(first).step_by(every)
}

/// A traced process, optionally killed at one system call, before it is made.
pub struct Killer {
    strace: Running,
    trace: PathBuf,
}

/// The result of tracing.
pub struct Killed {
    /// Whether the process was killed.
    pub killed: bool,
    /// Its system calls.
    pub calls: Vec<Call>,
    /// The last of them, for messages.
    pub shown: String,
}

impl Killer {
    /// Traces a running process.
    #[track_caller]
    pub fn of(home: &Home, pid: i32, at: Option<&Call>) -> Killer {
        let mut killer = Killer::of_command(home, at, &["-p", &pid.to_string()]);
        killer.strace.wait_for_line("attached");
        killer
    }

    /// Traces a new command.
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

    /// Whether tracing has ended, with the process.
    pub fn is_over(&self) -> bool {
        !proc::lives(self.strace.pid())
    }

    /// Stops tracing; waits for the process instead if it `ends`.
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

/// A message that is printed if the test fails.
pub struct PrintOnFailure(pub String);

impl Drop for PrintOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}
