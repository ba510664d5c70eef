//! A file in memory that is only appended to. It never waits for a disk, and lasts as long as a process has it open.
//! `memfd_create(2)`

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::pid::Pid;
use super::pidfd::PidFd;
use super::procfs::descriptors;
use super::signal::Signal;
use super::{check, fd, lookup, user};

/// The file. What has been brought elsewhere can be given back to the system; the offsets of the rest stay.
#[derive(Debug)]
pub struct MemoryLog(File);

/// What is given back at a time: a page, or several.
const PAGE: u64 = 64 << 10;
/// How much is copied at a time, in bytes.
const CHUNK: usize = 4 << 10;

impl MemoryLog {
    /// An empty file whose first byte has this offset.
    pub fn new(name: &str, start: u64) -> io::Result<MemoryLog> {
        let name = CString::new(name)?;
        // SAFETY: the name ends in NUL; the new descriptor is nobody else's.
        let file = unsafe {
            let fd = check(libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC))?;
            File::from_raw_fd(fd)
        };
        file.set_len(start)?;
        MemoryLog::of(file)
    }

    /// The file of an open descriptor.
    pub fn inherited(fd: OwnedFd) -> io::Result<MemoryLog> {
        MemoryLog::of(File::from(fd))
    }

    fn of(file: File) -> io::Result<MemoryLog> {
        // SAFETY: the command takes a number.
        check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_APPEND) })?;
        Ok(MemoryLog(file))
    }

    /// The same file by another descriptor.
    pub fn try_clone(&self) -> io::Result<MemoryLog> {
        self.0.try_clone().map(MemoryLog)
    }

    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The offset behind the last byte.
    pub fn end(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// Appends bytes, in one piece.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// All that is there from an offset on.
    fn read_from(&self, offset: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut buffer = [0; CHUNK];
        loop {
            let at = offset + bytes.len() as u64;
            match fd::read_at(self.fd(), &mut buffer, at as i64)? {
                0 => return Ok(bytes),
                n => bytes.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            }
        }
    }

    /// What has not been given back: its first offset, and the bytes, none of which is NUL.
    pub fn read(&self) -> io::Result<(u64, Vec<u8>)> {
        loop {
            let start = self.first_page()?;
            let mut bytes = self.read_from(start)?;
            // What was given back of a page is zeroed.
            let given_back = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes.drain(..given_back);
            // Meanwhile more may have been given back.
            if !bytes.contains(&0) {
                return Ok((start + given_back as u64, bytes));
            }
        }
    }

    /// The first offset that has not been given back, or the end.
    pub fn start(&self) -> io::Result<u64> {
        let mut at = self.first_page()?;
        let mut buffer = [0; CHUNK];
        loop {
            let length = fd::read_at(self.fd(), &mut buffer, at as i64)?;
            let read = buffer.get(..length).unwrap_or_default();
            let given_back = read.iter().take_while(|byte| **byte == 0).count();
            at += given_back as u64;
            if given_back < length || length == 0 {
                return Ok(at);
            }
        }
    }

    /// Copies all that is there from an offset on to the same place in a file; how many bytes these are.
    pub fn copy_to(&self, file: &File, offset: u64) -> io::Result<u64> {
        let mut at = offset;
        let mut buffer = [0; CHUNK];
        loop {
            let length = fd::read_at(self.fd(), &mut buffer, at as i64)?;
            if length == 0 {
                return Ok(at - offset);
            }
            file.write_all_at(buffer.get(..length).unwrap_or_default(), at)?;
            at += length as u64;
        }
    }

    /// Where the first page is that has not been given back. `lseek(2)` SEEK_DATA
    fn first_page(&self) -> io::Result<u64> {
        // SAFETY: takes numbers. What is appended goes to the end, wherever the offset is.
        let found = unsafe { libc::lseek(self.0.as_raw_fd(), 0, libc::SEEK_DATA) };
        match u64::try_from(found) {
            Ok(start) => Ok(start),
            Err(_) => match io::Error::last_os_error() {
                e if e.raw_os_error() == Some(libc::ENXIO) => self.end(),
                e => Err(e),
            },
        }
    }

    /// Gives the memory back of what stands before an offset, as far as whole pages go.
    pub fn give_back(&self, before: u64) {
        let length = before / PAGE * PAGE;
        let flags = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        if length > 0 {
            // SAFETY: takes numbers.
            unsafe { libc::fallocate(self.0.as_raw_fd(), flags, 0, length as libc::off_t) };
        }
    }
}

/// A file that another process has open.
#[derive(Debug)]
pub struct Found {
    /// What its name ends with.
    pub rest: String,
    /// The file.
    pub log: MemoryLog,
    /// The process, where the kernel has descriptors of processes.
    process: Option<PidFd>,
}

impl Found {
    /// Ends the process that has it open.
    pub fn end_process(&self) {
        if let Some(process) = &self.process {
            let _ = process.signal(Signal::KILL);
        }
    }
}

/// The files whose names begin like this that processes of this user and of this name have open. Fails where that could
/// not be looked at: one of them may be missing.
pub fn find(process: &str, begin: &str) -> io::Result<Vec<Found>> {
    let begin = format!("/memfd:{begin}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|n| n.parse().ok());
        let Some(pid) = pid.and_then(Pid::new) else {
            continue;
        };
        let comm = match std::fs::read(format!("/proc/{pid}/comm")) {
            Err(e) if lookup::lacks_room(&e) => return Err(e),
            comm => comm.unwrap_or_default(),
        };
        let own = |meta: std::fs::Metadata| meta.uid() == user::effective_uid();
        if comm.trim_ascii_end() != process.as_bytes() || !entry.metadata().is_ok_and(own) {
            continue;
        }
        // Before its files are looked at: then it is the process that has them, or none any more.
        let process = PidFd::open(pid).ok();
        for number in descriptors(pid) {
            let path = format!("/proc/{pid}/fd/{number}");
            let link = std::fs::read_link(&path).unwrap_or_default();
            let link = link.to_string_lossy();
            let rest = link.strip_suffix(" (deleted)");
            let Some(rest) = rest.and_then(|link| link.strip_prefix(&begin)) else {
                continue;
            };
            match File::options().read(true).append(true).open(&path) {
                Ok(file) => {
                    found.push(Found {
                        rest: rest.to_owned(),
                        log: MemoryLog(file),
                        process,
                    });
                    break;
                }
                Err(e) if lookup::lacks_room(&e) => return Err(e),
                // It has ended meanwhile.
                Err(_) => {}
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_leaves_the_offsets_of_the_rest() {
        let mut log = MemoryLog::new("test", 100).unwrap();
        assert_eq!(log.read().unwrap(), (100, Vec::new()));
        let text = vec![b'x'; 3 * PAGE as usize];
        log.append(&text).unwrap();
        assert_eq!(log.read().unwrap().0, 100);
        assert_eq!(log.start().unwrap(), 100);
        log.append(b"last").unwrap();
        let end = 100 + text.len() as u64 + 4;
        log.give_back(end - 2);
        let (start, bytes) = log.read().unwrap();
        assert!(start >= PAGE && start + bytes.len() as u64 == end);
        assert!(bytes.ends_with(b"xlast"));
        assert_eq!(log.start().unwrap(), start);
        log.append(b"!").unwrap();
        assert_eq!(log.read_from(end).unwrap(), b"!");
    }

    #[test]
    fn a_file_is_found_in_the_process_that_has_it_open() {
        let name = format!("rpm-test-{}-", std::process::id());
        let mut log = MemoryLog::new(&format!("{name}7"), 0).unwrap();
        log.append(b"abc").unwrap();
        let own = std::fs::read_to_string("/proc/self/comm").unwrap();
        let mut found = find(own.trim_end(), &name).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].rest, "7");
        found[0].log.append(b"d").unwrap();
        assert_eq!(log.read_from(0).unwrap(), b"abcd");
    }
}
