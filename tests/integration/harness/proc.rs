//! Processes in `/proc`.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rpm::sys::pid::Pid;
use rpm::sys::procfs::ProcDir;
use rpm::sys::signal::{self, Signal};

use super::wait::wait_until;

/// All pids.
pub fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    names.collect()
}

/// The live processes with this `RPM_HOME` in their environment: the daemons, their programs, clients.
pub fn of_home(home: &Path) -> Vec<i32> {
    let wanted = [b"RPM_HOME=", home.as_os_str().as_bytes()].concat();
    let is_of_home = |pid: &i32| environment(*pid).contains(&wanted);
    all().into_iter().filter(is_of_home).collect()
}

/// Those of them that have this name.
pub fn named(home: &Path, wanted: &str) -> Vec<i32> {
    let mut pids = of_home(home);
    pids.retain(|pid| name(*pid) == wanted && lives(*pid));
    pids
}

/// The environment of a process; empty if it has exited.
pub fn environment(pid: i32) -> Vec<Vec<u8>> {
    let block = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let assignments = block.split(|b| *b == 0).filter(|a| !a.is_empty());
    assignments.map(<[u8]>::to_vec).collect()
}

/// The environment of a live process. Waits while it is empty, during an `execve(2)`.
#[track_caller]
pub fn environment_of_live(pid: i32) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    wait_until("the environment of a process", || {
        found = environment(pid);
        !found.is_empty()
    });
    found
}

/// The arguments of a process.
pub fn arguments(pid: i32) -> Vec<String> {
    let block = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let block = block.strip_suffix(b"\0").unwrap_or(&block);
    let words = block.split(|b| *b == 0);
    words
        .map(|w| String::from_utf8_lossy(w).into_owned())
        .collect()
}

/// The name of a process.
pub fn name(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    text.trim_end().to_owned()
}

/// A field of `/proc/PID/status`.
pub fn status(pid: i32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.strip_prefix(':'))
        .map(|value| value.trim().to_owned())
        .unwrap_or_default()
}

/// The fields of `/proc/PID/stat` from the third on: state, parent, group, session, terminal, …
pub fn stat(pid: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    behind.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Whether a process is alive, and not a zombie.
pub fn lives(pid: i32) -> bool {
    stat(pid).first().is_some_and(|state| state != "Z")
}

/// The open descriptors of a process and their files.
pub fn descriptors(pid: i32) -> Vec<(i32, PathBuf)> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    let mut all: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?))
        })
        .collect();
    all.sort();
    all
}

/// The descendants of a process.
pub fn descendants(pid: i32) -> Vec<i32> {
    let below = ProcDir::open().unwrap().descendants(Pid::new(pid).unwrap());
    below.into_iter().map(Pid::get).collect()
}

/// Sends a signal.
pub fn kill(pid: i32, signal: Signal) {
    let pid = Pid::new(pid).expect("a pid that may be signalled");
    signal::kill(pid, signal).unwrap_or_else(|e| panic!("signalling {pid}: {e}"));
}

/// SIGSTOP, which has the same number on all supported architectures.
const STOP: i32 = 19;

/// Stops a process until [`go_on`].
pub fn stop(pid: i32) {
    kill(pid, Signal::new(STOP).unwrap());
}

/// Continues a stopped process.
pub fn go_on(pid: i32) {
    kill(pid, Signal::CONT);
}

/// A line about a process, for messages.
pub fn describe(pid: i32) -> String {
    let words = arguments(pid).join(" ");
    let state = stat(pid).first().cloned().unwrap_or_default();
    let wait = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    format!("{pid} {} [{words}] {state} {wait}", name(pid))
}
