//! Reading `/proc` of a process. `proc(5)`

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::lookup::Lookup;
use super::pid::Pid;
use super::room::{self, Holder};
use super::signal::Signal;
use super::time_namespace::boot_offset;
use super::{check, clock, fd, wait};
use crate::model::life::Exit;

/// `/proc`, kept open for relative lookups.
#[derive(Debug)]
pub struct ProcDir {
    folder: OwnedFd,
    page: u64,
}

/// Fields of `/proc/PID/stat`. `proc_pid_stat(5)`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `D`, `Z` (zombie), `T` (stopped) and so on.
    pub state: u8,
    /// The parent's pid.
    pub parent: i32,
    /// The process group.
    pub group: i32,
    /// The session.
    pub session: i32,
    /// The number of threads.
    pub threads: u64,
    /// The start time in clock ticks since boot. With the pid it identifies the process.
    pub start: u64,
    /// The wait status of a zombie; also 0 if this process may not read it. `None` before Linux 3.5.
    pub exit_code: Option<i32>,
}

impl Stat {
    /// Whether the process is alive. A process whose main thread exited while others run is shown as a zombie.
    pub fn lives(&self) -> bool {
        !matches!(self.state, b'Z' | b'X') || self.threads > 1
    }

    /// Whether it is stopped by a signal or a debugger.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }
}

/// The `stat` of a process. `Failed` for a session leader that is hidden (`hidepid`, or `/proc` is not mounted). Another
/// hidden process cannot be told apart from one that does not exist.
pub fn look(pid: Pid) -> Lookup<Stat> {
    let file = match File::open(format!("/proc/{pid}/stat")) {
        Ok(file) => file,
        Err(_) if pid.leads_session() => {
            return Lookup::Failed(io::Error::other("the process runs, but is hidden in /proc"));
        }
        Err(e) => return Lookup::of(Err(e), &GONE),
    };
    let mut buffer = [0; 1024];
    let stat = fd::read(file.as_fd(), &mut buffer)
        .and_then(|n| stat_of(buffer.get(..n).unwrap_or_default()));
    // ESRCH: it was reaped between open and read.
    Lookup::of(stat, &GONE)
}

/// The errors of opening and reading a file of a process that does not exist any more.
pub(super) const GONE: [i32; 2] = [libc::ENOENT, libc::ESRCH];

/// The age in ms of a process with this start time in clock ticks.
pub fn age_ms(start: u64) -> u64 {
    let offset = boot_offset().map_or(0, |offset| offset.ticks);
    let start = start.saturating_add_signed(offset);
    let since = start.saturating_mul(1000) / clock::ticks_per_second();
    clock::boottime_ms().saturating_sub(since)
}

/// The exit status of a zombie; `None` if the process is alive or its status cannot be read.
pub fn zombie_exit(pid: Pid, stat: &Stat) -> Option<Exit> {
    let status = stat.exit_code.filter(|_| !stat.lives())?;
    // Without permission to trace it (PTRACE_MODE_READ_FSCREDS of `ptrace(2)`) the status reads as 0, and this link is
    // refused.
    let hidden = || {
        let link = std::fs::read_link(format!("/proc/{pid}/exe"));
        !link.is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
    };
    (status != 0 || !hidden()).then(|| wait::exit_of(status))
}

/// An open `statm` of a process: reading it again costs a quarter of opening it.
#[derive(Debug)]
pub struct Gauge {
    statm: OwnedFd,
    page: u64,
}

impl Gauge {
    /// Whether enough descriptors are free to keep it open.
    pub fn may_stay(&self) -> bool {
        room::leaves_room(self.statm.as_fd(), Holder::Cache)
    }

    /// The resident memory in bytes.
    ///
    /// # Errors
    /// `ESRCH` if the process has exited.
    pub fn rss_bytes(&self) -> io::Result<u64> {
        let mut buffer = [0; 128];
        let n = fd::read_at(self.statm.as_fd(), &mut buffer, 0)?;
        let mut words = buffer.get(..n).unwrap_or_default().split(|b| *b == b' ');
        let pages = words.nth(1).and_then(number);
        pages
            .map(|p| p.saturating_mul(self.page))
            .ok_or_else(unreadable)
    }
}

/// The most processes that [`ProcDir::descendants`] returns, about.
const MOST_DESCENDANTS: usize = 10_000;

impl ProcDir {
    /// Opens `/proc`.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn open() -> io::Result<ProcDir> {
        // SAFETY: sysconf takes only a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Ok(ProcDir {
            folder: File::open("/proc")?.into(),
            page: u64::try_from(page).unwrap_or(4096),
        })
    }

    /// Opens `/proc/PID/NAME`.
    fn open_file(&self, pid: i32, name: &str) -> io::Result<OwnedFd> {
        let mut path = [0u8; 64];
        write!(path.as_mut_slice(), "{pid}/{name}\0")?;
        let path = CStr::from_bytes_until_nul(&path).map_err(io::Error::other)?;
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        // SAFETY: the path ends in NUL and lives during the call; nothing else owns the new descriptor.
        unsafe {
            let file = check(libc::openat(self.folder.as_raw_fd(), path.as_ptr(), flags))?;
            Ok(OwnedFd::from_raw_fd(file))
        }
    }

    /// Opens the `statm` of a process, to read its memory repeatedly.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn gauge(&self, pid: Pid) -> io::Result<Gauge> {
        Ok(Gauge {
            statm: self.open_file(pid.get(), "statm")?,
            page: self.page,
        })
    }

    /// The `stat` of a process.
    ///
    /// # Errors
    /// As `open(2)` and `read(2)`; `InvalidData` if it cannot be parsed.
    pub fn stat(&self, pid: Pid) -> io::Result<Stat> {
        let file = self.open_file(pid.get(), "stat")?;
        let mut buffer = [0; 1024];
        let n = fd::read(file.as_fd(), &mut buffer)?;
        stat_of(buffer.get(..n).unwrap_or_default())
    }

    /// Whether the process with this pid and start time is alive.
    pub fn is(&self, pid: Pid, start: u64) -> bool {
        self.stat(pid)
            .is_ok_and(|stat| stat.start == start && stat.lives())
    }

    /// All processes, and whether some are hidden by the `hidepid` option of `/proc`, see `proc(5)`. A process that exits
    /// meanwhile may be missing.
    ///
    /// # Errors
    /// The list or a process in it cannot be read: no descriptors, no memory.
    pub fn scan(&self) -> io::Result<(Vec<(Pid, Stat)>, bool)> {
        let (mut all, mut hidden) = (Vec::new(), false);
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| Pid::new(name.parse().ok()?)) else {
                continue;
            };
            match self.stat(pid) {
                Ok(stat) => all.push((pid, stat)),
                Err(e) if is_gone(&e) => {}
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => hidden = true,
                Err(e) => return Err(e),
            }
        }
        Ok((all, hidden))
    }

    /// The initial environment of a process: `NAME=value`, each ended by NUL.
    ///
    /// # Errors
    /// As `read(2)`; `PermissionDenied` for a process of another user.
    pub fn environment(&self, pid: Pid) -> io::Result<Vec<u8>> {
        std::fs::read(format!("/proc/{pid}/environ"))
    }

    /// The path of the cgroup of a process, which may be a zombie, in the hierarchy of version 2.
    pub fn cgroup(&self, pid: Pid) -> Option<String> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        Some(path.to_owned())
    }

    /// Whether a process ignores a signal, from its `status`; false if that cannot be read.
    pub fn ignores(&self, pid: Pid, signal: Signal) -> bool {
        let mut buffer = [0; 4096];
        let read = self
            .open_file(pid.get(), "status")
            .and_then(|file| fd::read(file.as_fd(), &mut buffer));
        let status = buffer.get(..read.unwrap_or(0)).unwrap_or_default();
        let mut lines = status.split(|b| *b == b'\n');
        let mask = lines.find_map(|line| line.strip_prefix(b"SigIgn:"));
        let mask = mask.and_then(|mask| std::str::from_utf8(mask).ok());
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask >> (signal.get() - 1) & 1 == 1)
    }

    /// The command line of a process with spaces between the arguments, or its name in brackets if it has none.
    pub fn command(&self, pid: Pid) -> String {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = line.strip_suffix(b"\0").unwrap_or(&line);
        if !line.is_empty() {
            return String::from_utf8_lossy(line).replace('\0', " ");
        }
        let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("[{}]", String::from_utf8_lossy(&name).trim_end())
    }

    /// The path of the file of a descriptor of a process, or its kind such as `pipe:[123]`.
    pub fn descriptor(&self, pid: Pid, number: i32) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()
    }

    /// The children of all threads of a process. None on a kernel without CONFIG_PROC_CHILDREN.
    pub fn children(&self, pid: i32) -> Vec<Pid> {
        let mut found = Vec::new();
        let tasks = format!("/proc/{pid}/task");
        // A directory has two links and one for each subdirectory. Most programs have one thread: no need to list.
        let threads = std::fs::metadata(&tasks).map_or(0, |meta| meta.nlink());
        if threads == 3 {
            self.children_of_thread(pid, &format!("task/{pid}/children"), &mut found);
            return found;
        }
        for thread in std::fs::read_dir(&tasks).into_iter().flatten().flatten() {
            let name = thread.file_name();
            let file = format!("task/{}/children", name.to_string_lossy());
            self.children_of_thread(pid, &file, &mut found);
        }
        found
    }

    fn children_of_thread(&self, pid: i32, file: &str, found: &mut Vec<Pid>) {
        let Ok(file) = self.open_file(pid, file) else {
            return;
        };
        let mut list = Vec::new();
        let mut buffer = [0; 1024];
        while let Ok(n @ 1..) = fd::read(file.as_fd(), &mut buffer) {
            list.extend_from_slice(buffer.get(..n).unwrap_or_default());
        }
        let words = list.split(|b| *b == b' ');
        found.extend(words.filter_map(|word| Pid::new(i32::try_from(number(word)?).ok()?)));
    }

    /// The descendants of a process, breadth first.
    pub fn descendants(&self, pid: Pid) -> Vec<Pid> {
        let mut all = self.children(pid.get());
        let mut at = 0;
        while let Some(&next) = all.get(at) {
            if all.len() > MOST_DESCENDANTS {
                break;
            }
            for child in self.children(next.get()) {
                if !all.contains(&child) {
                    all.push(child);
                }
            }
            at += 1;
        }
        all
    }

    /// The owner of a process.
    ///
    /// # Errors
    /// As `stat(2)`.
    pub fn uid(&self, pid: Pid) -> io::Result<u32> {
        Ok(std::fs::metadata(format!("/proc/{pid}"))?.uid())
    }
}

/// The numbers of the open descriptors of a process; none if they cannot be read.
pub fn descriptors(pid: Pid) -> Vec<i32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    names.collect()
}

/// Whether an error of a file in `/proc/PID` means that the process does not exist any more.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "cannot parse the file in /proc")
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.trim_end().parse().ok()
}

/// The start time of pid 1 in clock ticks since boot, which identifies a container. `Gone` if it is hidden.
pub fn init_start() -> Lookup<u64> {
    let read = std::fs::read("/proc/1/stat");
    let stat = read.and_then(|text| stat_of(&text));
    Lookup::of(stat, &GONE).map(|stat| stat.start)
}

/// The fields, with the start time converted from this time namespace to the initial one.
fn stat_of(text: &[u8]) -> io::Result<Stat> {
    let mut stat = parse_stat(text).ok_or_else(unreadable)?;
    stat.start = stat.start.wrapping_add_signed(-boot_offset()?.ticks);
    Ok(stat)
}

/// The name of a process may contain spaces and `)`, so the other fields follow the last `)`.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let behind = text.iter().rposition(|b| *b == b')')?;
    let mut words = text.get(behind + 2..)?.split(|b| *b == b' ');
    let state = *words.next()?.first()?;
    let parent = i32::try_from(number(words.next()?)?).ok()?;
    let group = i32::try_from(number(words.next()?)?).ok()?;
    let session = i32::try_from(number(words.next()?)?).ok()?;
    // Fields 20, 22 and 52; the session was field 6.
    let threads = number(words.nth(13)?)?;
    let start = number(words.nth(1)?)?;
    let exit_code = words.nth(29);
    let exit_code =
        exit_code.and_then(|word| std::str::from_utf8(word).ok()?.trim_end().parse().ok());
    Some(Stat {
        state,
        parent,
        group,
        session,
        threads,
        start,
        exit_code,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_parsed() {
        let line = b"12 (a) b) S 3 4 5 0 -1 4 1 0 0 0 1 2 0 0 20 0 1 0 98765 1 2 3";
        let expected = Stat {
            state: b'S',
            parent: 3,
            group: 4,
            session: 5,
            threads: 1,
            start: 98765,
            exit_code: None,
        };
        assert_eq!(parse_stat(line), Some(expected));
        let whole = [line.as_slice(), &b" 0".repeat(26), b" 256\n"].concat();
        assert_eq!(parse_stat(&whole).unwrap().exit_code, Some(256));
        assert_eq!(parse_stat(b"12 (a) S 3"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn this_process_and_its_child_are_read() {
        let proc = ProcDir::open().unwrap();
        let own = Pid::new(Pid::own()).unwrap();
        let stat = proc.stat(own).unwrap();
        assert!(proc.is(own, stat.start) && !proc.is(own, stat.start + 1));
        assert!(proc.gauge(own).unwrap().rss_bytes().unwrap() > 4096);
        assert_eq!(proc.uid(own).unwrap(), crate::sys::user::effective_uid());
        assert!(proc.stat(Pid::new(i32::MAX).unwrap()).is_err());
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = Pid::new(child.id() as i32).unwrap();
        assert!(proc.descendants(own).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
