//! Searching `/proc` for processes. `proc(5)`

use std::ffi::CStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::lookup::Lookup;
use super::pid::Pid;
use super::procfs::{GONE, descriptors, look};

/// A process group leader that has all of these variables in its environment, and its start time in clock ticks. `Failed`
/// if none was found but a process of this user could not be read.
pub fn find_leader(variables: &[Vec<u8>]) -> Lookup<(Pid, u64)> {
    let entries = match std::fs::read_dir("/proc") {
        Ok(entries) => entries,
        Err(e) => return Lookup::Failed(e),
    };
    let mut failed = None;
    for entry in entries {
        let pid = match entry {
            Ok(entry) => entry.file_name().to_str().and_then(|n| n.parse().ok()),
            Err(e) => return Lookup::Failed(e),
        };
        let Some(pid) = pid.and_then(Pid::new) else {
            continue;
        };
        match leads_with(pid, variables) {
            Lookup::There(start) => return Lookup::There((pid, start)),
            Lookup::Gone => {}
            Lookup::Failed(e) => failed = Some(e),
        }
    }
    failed.map_or(Lookup::Gone, Lookup::Failed)
}

fn leads_with(pid: Pid, variables: &[Vec<u8>]) -> Lookup<u64> {
    let stat = match look(pid) {
        Lookup::There(stat) if stat.lives() && stat.group == pid.get() => stat,
        Lookup::There(_) | Lookup::Gone => return Lookup::Gone,
        Lookup::Failed(e) => return Lookup::Failed(e),
    };
    let has = |environment: Vec<u8>| {
        let has = |wanted: &Vec<u8>| environment.split(|b| *b == 0).any(|v| v == wanted);
        variables.iter().all(has)
    };
    // The environment of another user's process cannot be read; such a process is not ours.
    let gone = [GONE.as_slice(), &[libc::EACCES, libc::EPERM]].concat();
    match Lookup::of(std::fs::read(format!("/proc/{pid}/environ")), &gone).map(has) {
        Lookup::There(true) => Lookup::There(stat.start),
        Lookup::There(false) | Lookup::Gone => Lookup::Gone,
        Lookup::Failed(e) => Lookup::Failed(e),
    }
}

/// A process of this user and name that has an open descriptor of the removed directory of this path. Processes in other
/// mount namespaces, whose paths differ, and processes that cannot be read are skipped.
///
/// # Errors
/// `/proc` cannot be read.
pub fn find_holder_of_removed(name: &CStr, path: &Path) -> io::Result<Option<Pid>> {
    let removed = [path.as_os_str().as_bytes(), b" (deleted)"].concat();
    let own_mounts = std::fs::read_link("/proc/self/ns/mnt").ok();
    let uid = super::user::effective_uid();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|n| n.parse().ok());
        let Some(pid) = pid.and_then(Pid::new) else {
            continue;
        };
        let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let named = comm.strip_suffix(b"\n") == Some(name.to_bytes());
        if !named || !entry.metadata().is_ok_and(|meta| meta.uid() == uid) {
            continue;
        }
        let mounts = std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let holds = |fd: &i32| {
            let link = std::fs::read_link(format!("/proc/{pid}/fd/{fd}"));
            link.is_ok_and(|link| link.as_os_str().as_bytes() == removed)
        };
        if mounts == own_mounts && descriptors(pid).iter().any(holds) {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}

/// The processes that have the assignment `variable`, and an assignment that begins with `begin`, in their environment,
/// with their names. Processes that cannot be read are skipped.
pub fn find_with(variable: &[u8], begin: &[u8]) -> Vec<(Pid, String)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| Pid::new(e.file_name().to_str()?.parse().ok()?));
    let has_both = |pid: &Pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut found = (false, false);
        for assignment in environment.split(|b| *b == 0) {
            found.0 |= assignment == variable;
            found.1 |= assignment.starts_with(begin);
        }
        found == (true, true)
    };
    let name = |pid: &Pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    pids.filter(has_both)
        .map(|pid| (pid, name(&pid).trim_end().to_owned()))
        .collect()
}
