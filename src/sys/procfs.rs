//! What `/proc` says of a process. `proc(5)`

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use super::pid::Pid;
use super::{check, fd};

/// `/proc`, kept open so that each look-up begins there.
#[derive(Debug)]
pub struct ProcDir {
    folder: OwnedFd,
    page: u64,
}

/// Fields of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `D`, `Z` (ended and not reaped), `T` (stopped) and so on.
    pub state: u8,
    /// The parent.
    pub parent: i32,
    /// The process group.
    pub group: i32,
    /// When it started, in clock ticks since boot: with the pid, its identity.
    pub start: u64,
}

/// The open record of a process's memory, a quarter of the price of opening it each time.
#[derive(Debug)]
pub struct Gauge {
    statm: OwnedFd,
    page: u64,
}

impl Gauge {
    /// The resident memory in bytes, from `statm`; fails when the process has ended.
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

/// How deep and wide the tree of one program is followed.
const MOST_DESCENDANTS: usize = 10_000;

impl ProcDir {
    /// Opens `/proc`.
    pub fn open() -> io::Result<ProcDir> {
        // SAFETY: sysconf takes a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Ok(ProcDir {
            folder: File::open("/proc")?.into(),
            page: u64::try_from(page).unwrap_or(4096),
        })
    }

    /// Opens a file below `/proc` whose name is `PID/NAME`.
    fn open_file(&self, pid: Pid, name: &str) -> io::Result<OwnedFd> {
        let mut path = [0u8; 64];
        write!(path.as_mut_slice(), "{}/{name}\0", pid.get())?;
        let path = CStr::from_bytes_until_nul(&path).map_err(io::Error::other)?;
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        // SAFETY: the path ends in NUL and lives during the call; the new descriptor is ours alone.
        unsafe {
            let file = check(libc::openat(self.folder.as_raw_fd(), path.as_ptr(), flags))?;
            Ok(OwnedFd::from_raw_fd(file))
        }
    }

    /// What the memory of a process can be read from, time and again.
    pub fn gauge(&self, pid: Pid) -> io::Result<Gauge> {
        Ok(Gauge {
            statm: self.open_file(pid, "statm")?,
            page: self.page,
        })
    }

    /// The fields of `stat`.
    pub fn stat(&self, pid: Pid) -> io::Result<Stat> {
        let file = self.open_file(pid, "stat")?;
        let mut buffer = [0; 1024];
        let n = fd::read(file.as_fd(), &mut buffer)?;
        parse_stat(buffer.get(..n).unwrap_or_default()).ok_or_else(unreadable)
    }

    /// Whether the process of this number is the one that started then, and has not ended.
    pub fn is(&self, pid: Pid, start: u64) -> bool {
        self.stat(pid)
            .is_ok_and(|stat| stat.start == start && !matches!(stat.state, b'Z' | b'X'))
    }

    /// The children of all threads of a process.
    fn children(&self, pid: Pid) -> Vec<Pid> {
        let mut found = Vec::new();
        let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
            return found;
        };
        for thread in threads.flatten() {
            // A kernel without CONFIG_PROC_CHILDREN has no such file: then the group has to do.
            let list = std::fs::read_to_string(thread.path().join("children"));
            let list = list.unwrap_or_default();
            found.extend(
                list.split(' ')
                    .filter_map(|word| Pid::new(word.trim().parse().ok()?)),
            );
        }
        found
    }

    /// Everything below a process, nearest first.
    pub fn descendants(&self, pid: Pid) -> Vec<Pid> {
        let mut all = self.children(pid);
        let mut at = 0;
        while let Some(&next) = all.get(at) {
            if all.len() > MOST_DESCENDANTS {
                break;
            }
            for child in self.children(next) {
                if !all.contains(&child) {
                    all.push(child);
                }
            }
            at += 1;
        }
        all
    }

    /// Whose a process is.
    pub fn uid(&self, pid: Pid) -> io::Result<u32> {
        Ok(std::fs::metadata(format!("/proc/{pid}"))?.uid())
    }
}

fn unreadable() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the kernel's record of the process is not readable",
    )
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.trim_end().parse().ok()
}

/// The name of a process may hold blanks and `)`: the fields begin behind the last `)`.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let behind = text.iter().rposition(|b| *b == b')')?;
    let mut words = text.get(behind + 2..)?.split(|b| *b == b' ');
    let state = *words.next()?.first()?;
    let parent = i32::try_from(number(words.next()?)?).ok()?;
    let group = i32::try_from(number(words.next()?)?).ok()?;
    // Field 22; the group was field 5.
    let start = number(words.nth(16)?)?;
    Some(Stat {
        state,
        parent,
        group,
        start,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_confuse() {
        let line = b"12 (a) b) S 3 4 5 0 -1 4 1 0 0 0 1 2 0 0 20 0 1 0 98765 1 2 3";
        let expected = Stat {
            state: b'S',
            parent: 3,
            group: 4,
            start: 98765,
        };
        assert_eq!(parse_stat(line), Some(expected));
        assert_eq!(parse_stat(b"12 (a) S 3"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn this_process_is_found() {
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
