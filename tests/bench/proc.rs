//! Other processes, as `/proc` shows them.

use rpm::error::{Context, Error, Result};
use rpm::sys::clock;
use rpm::sys::pid::Pid;
use std::fs;
use std::path::{Path, PathBuf};

/// One process.
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    /// When it started, in clock ticks since boot: a pid comes again, with another time.
    pub start: u64,
    /// The kernel's name for it: at most 15 bytes.
    pub name: String,
}

/// Every process of the machine.
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|found| read(found.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// Whether there is such a process, and it is no zombie.
pub fn runs(pid: u32) -> bool {
    fs::read(entry(pid, "cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The program that a process runs.
pub fn executable(pid: u32) -> Option<PathBuf> {
    fs::read_link(entry(pid, "exe")).ok()
}

/// The environment that a process began with.
pub fn environment(pid: u32) -> Vec<u8> {
    fs::read(entry(pid, "environ")).unwrap_or_default()
}

/// The proportional set size in bytes: pages that several processes share are divided between them.
pub fn memory(pid: u32) -> Result<u64> {
    let path = entry(pid, "smaps_rollup");
    let text = fs::read_to_string(&path).doing(|| format!("reading {}", path.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    let kib = kib.ok_or_else(|| Error::new(format!("there is no Pss in {}", path.display())))?;
    Ok(kib * 1024)
}

/// The processor time that a process has used, its own and that of the kernel for it, in seconds.
pub fn cpu(pid: u32) -> Result<f64> {
    let number = i32::try_from(pid).ok().and_then(Pid::new);
    let number = number.ok_or_else(|| Error::new(format!("{pid} is no pid")))?;
    let nanos = clock::process_cpu_ns(number).doing(|| format!("reading the clock of {pid}"))?;
    Ok(nanos as f64 / 1e9)
}

fn entry(pid: u32, file: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(file)
}

fn read(pid: u32) -> Option<Process> {
    // "PID (NAME) STATE PARENT …", where the name may hold blanks and parentheses.
    let stat = fs::read_to_string(entry(pid, "stat")).ok()?;
    let (head, tail) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once('(')?;
    let field = |number: usize| tail.split(' ').nth(number);
    Some(Process {
        pid,
        parent: field(1)?.parse().ok()?,
        start: field(19)?.parse().ok()?,
        name: name.to_string(),
    })
}
