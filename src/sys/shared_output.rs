//! Writes to a descriptor that other processes share, such as this process's standard output, without blocking and
//! without changing its flags for the others.
//!
//! O_NONBLOCK belongs to the open file description, which the terminal's shell or a container's runtime shares. So a
//! pipe or a terminal is opened once more by its descriptor, see `proc_pid_fd(5)`, which gives a description of our
//! own. Where that is not possible (`/proc` is missing, the file belongs to somebody else, privileges were dropped) a
//! terminal may still be opened as `/dev/tty`, and a pipe is written to with RWF_NOWAIT. Otherwise the free room is
//! checked first, and no more than that is written. Sockets are written to with MSG_DONTWAIT.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::pid::Pid;
use super::poll::{Interest, PollSet};
use super::{check, check_size, fd, terminal};
use crate::model::standard::{self, Named};

/// So much is written to a pipe in one piece, and never torn by another writer. `pipe(7)` PIPE_BUF
pub const AT_ONCE: usize = 4096;
/// So much is written to a terminal that could not be opened again: its driver says that there is room where there is
/// room for one byte. n_tty_poll of n_tty.c
const TERMINAL: usize = 1;

/// How many links are followed. `path_resolution(7)`
const LINKS: usize = 40;

/// How it is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It never waits: a file, or a description of our own.
    Direct,
    /// It waits where there is no room.
    Asked,
    /// The same, a terminal.
    Terminal,
    Socket,
}

/// A descriptor to write to.
#[derive(Debug)]
pub struct SharedOutput {
    fd: OwnedFd,
    kind: Kind,
}

impl SharedOutput {
    /// Writes to this descriptor.
    pub fn new(fd: OwnedFd) -> io::Result<SharedOutput> {
        let file = File::from(fd);
        let found = file.metadata()?.file_type();
        let is_terminal = terminal::is_terminal(file.as_fd());
        // Whoever has set that, for themselves or for us: it does not wait.
        let waits = flags(file.as_fd())? & libc::O_NONBLOCK == 0;
        let kind = match () {
            () if found.is_socket() => Kind::Socket,
            () if is_terminal && waits => Kind::Terminal,
            () if found.is_fifo() && waits => Kind::Asked,
            () => Kind::Direct,
        };
        let fd = OwnedFd::from(file);
        if matches!(kind, Kind::Asked | Kind::Terminal) {
            if let Ok(own) = reopened(fd.as_fd()).or_else(|_| by_session(fd.as_fd())) {
                let kind = Kind::Direct;
                return Ok(SharedOutput { fd: own, kind });
            }
        }
        Ok(SharedOutput { fd, kind })
    }

    /// Writes to a description that is ours alone and has O_NONBLOCK.
    pub fn of_own(fd: OwnedFd) -> SharedOutput {
        let kind = Kind::Direct;
        SharedOutput { fd, kind }
    }

    /// What to poll for writing.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether there is room, or an error that a write would tell.
    pub fn is_writable(&self) -> bool {
        let mut set = PollSet::default();
        let write = Interest {
            read: false,
            write: true,
        };
        set.push(self.fd(), write, ());
        let looked = set.wait(Some(Duration::ZERO));
        looked.is_ok() && set.ready().next().is_some()
    }

    /// Writes the beginning of these bytes, as much as there is room for: to a pipe all of what [`AT_ONCE`] allows, or
    /// nothing. WouldBlock: there is no room.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let most = if self.kind == Kind::Terminal {
            TERMINAL
        } else {
            AT_ONCE
        };
        let bytes = bytes.get(..most).unwrap_or(bytes);
        match self.kind {
            Kind::Direct => fd::write(self.fd(), bytes),
            Kind::Asked => match write_now(self.fd(), bytes) {
                // The kernel has no such write, or not for pipes (Linux before 6.4).
                Err(e) if is_unknown(&e) => self.ask_and_write(bytes),
                other => other,
            },
            Kind::Terminal => self.ask_and_write(bytes),
            Kind::Socket => {
                let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
                // SAFETY: the pointer and length describe bytes that live during the call.
                check_size(unsafe {
                    libc::send(
                        self.fd.as_raw_fd(),
                        bytes.as_ptr().cast(),
                        bytes.len(),
                        flags,
                    )
                })
            }
        }
    }
}

impl SharedOutput {
    fn ask_and_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_writable() {
            fd::write(self.fd(), bytes)
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }
}

/// Writes what there is room for, whatever the description says. `pwritev2(2)` RWF_NOWAIT
fn write_now(fd: BorrowedFd, bytes: &[u8]) -> io::Result<usize> {
    let part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let (here, now) = (-1 as libc::c_long, libc::RWF_NOWAIT);
    // SAFETY: the kernel reads one iovec on this stack, and bytes that live during the call; the offset -1, in both of
    // its halves, means the place of the description.
    let written = unsafe {
        let part = &raw const part;
        libc::syscall(libc::SYS_pwritev2, fd.as_raw_fd(), part, 1, here, here, now)
    };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

fn is_unknown(error: &io::Error) -> bool {
    let unknown = [libc::EOPNOTSUPP, libc::ENOSYS, libc::EINVAL];
    error
        .raw_os_error()
        .is_some_and(|number| unknown.contains(&number))
}

/// The terminal of this session in a description of our own, where it is this one: everybody may open that. `tty(4)`
fn by_session(fd: BorrowedFd) -> io::Result<OwnedFd> {
    let mut options = File::options();
    options.write(true).custom_flags(libc::O_NONBLOCK);
    let own = OwnedFd::from(options.open("/dev/tty")?);
    if device(own.as_fd())? == device(fd)? {
        Ok(own)
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Which terminal it is, by whatever name it was opened. `ioctl_tty(2)` TIOCGDEV
fn device(terminal: BorrowedFd) -> io::Result<libc::c_uint> {
    let mut number = 0;
    // SAFETY: the kernel writes one unsigned int.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), TIOCGDEV, &raw mut number) })?;
    Ok(number)
}

/// _IOR('T', 0x32, unsigned int) of asm-generic/ioctls.h
const TIOCGDEV: libc::Ioctl = 0x8004_5432_u32 as libc::Ioctl;

/// The same file in a description of our own, which does not wait. `open(2)` O_NONBLOCK
fn reopened(fd: BorrowedFd) -> io::Result<OwnedFd> {
    let of = |file: &File| file.metadata().map(|m| (m.dev(), m.ino(), m.rdev()));
    let before = of(&File::from(fd.try_clone_to_owned()?))?;
    let mut options = File::options();
    options
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let own = options.open(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    if of(&own)? == before {
        Ok(own.into())
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Another descriptor for one of this process, 1 or 2; an error where it is not open for writing. `fcntl(2)`
pub fn duplicate(fd: BorrowedFd) -> io::Result<OwnedFd> {
    match flags(fd)? & libc::O_ACCMODE {
        libc::O_RDONLY => Err(io::Error::from_raw_os_error(libc::EBADF)),
        _ => fd.try_clone_to_owned(),
    }
}

fn flags(fd: BorrowedFd) -> io::Result<libc::c_int> {
    // SAFETY: the command takes no pointer.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })
}

/// The descriptor that a path names, also by way of links: `access.log -> /dev/stdout` is what images of servers have.
/// Reads the links, and so may wait for a file system: not for the supervisor.
pub fn named(path: &Path) -> Option<Named> {
    links(path).find_map(|path| standard::named(&path, Pid::own()))
}

/// The path by which links name a descriptor; none where the path is no link to one. Reads the links, as [`named`].
pub fn linked(path: &Path) -> Option<PathBuf> {
    let names_one = |path: &PathBuf| standard::named(path, Pid::own()).is_some();
    links(path).find(names_one).filter(|found| found != path)
}

/// Whether a path leads by way of `/proc`, as `/proc/1/fd/1` does: to a file that somebody has open, whatever its name
/// is.
pub fn is_of_proc(path: &Path) -> bool {
    links(path).any(|path| path.starts_with("/proc"))
}

/// The path, and each one that it leads to where that is a link.
fn links(path: &Path) -> impl Iterator<Item = PathBuf> {
    let follow = |path: &PathBuf| {
        let to = std::fs::read_link(path).ok()?;
        Some(path.parent()?.join(to))
    };
    std::iter::successors(Some(path.to_owned()), follow).take(LINKS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::standard::Standard;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixStream;

    /// Writes until there is no room; how much that was.
    fn fill(output: &SharedOutput) -> usize {
        let mut written = 0;
        loop {
            match output.write(&[b'x'; 10_000]) {
                Ok(n) => written += n,
                Err(e) => {
                    assert_eq!(e.kind(), io::ErrorKind::WouldBlock);
                    assert!(!output.is_writable());
                    return written;
                }
            }
        }
    }

    #[test]
    fn a_full_pipe_is_not_waited_for_and_stays_as_it_is_for_others() {
        for kind in [Kind::Direct, Kind::Asked] {
            let (out, into) = fd::pipe().unwrap();
            let before = flags(into.as_fd()).unwrap();
            let output = match kind {
                Kind::Direct => SharedOutput::new(into.try_clone().unwrap()).unwrap(),
                kind => SharedOutput {
                    fd: into.try_clone().unwrap(),
                    kind,
                },
            };
            assert_eq!(output.kind, kind);
            assert_eq!(fill(&output), 64 << 10);
            assert_eq!(flags(into.as_fd()).unwrap(), before);
            fd::read(out.as_fd(), &mut [0; 5000]).unwrap();
            assert!(output.is_writable());
            assert_eq!(fill(&output), AT_ONCE);
        }
    }

    #[test]
    fn what_nobody_reads_is_an_error_and_not_a_lack_of_room() {
        let (out, into) = fd::pipe().unwrap();
        let output = SharedOutput::new(into).unwrap();
        drop(out);
        crate::sys::signal::ignore(crate::sys::signal::Signal::PIPE);
        // A child of a test beside this one may hold the other end for a moment longer.
        let mut ended = std::iter::repeat_with(|| output.write(b"x"));
        let error =
            ended.find_map(|done| done.err().filter(|e| e.kind() != io::ErrorKind::WouldBlock));
        assert_eq!(error.unwrap().raw_os_error(), Some(libc::EPIPE));
        assert!(output.is_writable());
    }

    #[test]
    fn a_terminal_that_nobody_reads_is_not_waited_for() {
        let (master, slave) = pseudo_terminal().unwrap();
        let before = flags(slave.as_fd()).unwrap();
        for kind in [Kind::Direct, Kind::Terminal] {
            let output = match kind {
                Kind::Direct => SharedOutput::new(slave.try_clone().unwrap()).unwrap(),
                kind => SharedOutput {
                    fd: slave.try_clone().unwrap(),
                    kind,
                },
            };
            assert_eq!(output.kind, kind);
            fill(&output);
            assert_eq!(flags(slave.as_fd()).unwrap(), before);
            assert!(fd::read(master.as_fd(), &mut [0; 4096]).unwrap() > 0);
        }
    }

    /// `pty(7)`
    fn pseudo_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
        let mut options = File::options();
        options.read(true).write(true).custom_flags(libc::O_NOCTTY);
        let master = options.open("/dev/ptmx")?;
        let (mut number, unlocked): (libc::c_int, libc::c_int) = (0, 0);
        // SAFETY: the kernel reads one int, and writes one.
        unsafe {
            check(libc::ioctl(
                master.as_raw_fd(),
                libc::TIOCSPTLCK,
                &raw const unlocked,
            ))?;
            check(libc::ioctl(
                master.as_raw_fd(),
                libc::TIOCGPTN,
                &raw mut number,
            ))?;
        }
        let slave = options.open(format!("/dev/pts/{number}"))?;
        Ok((master.into(), slave.into()))
    }

    #[test]
    fn a_socket_cannot_be_opened_and_is_not_waited_for_either() {
        let (one, other) = UnixStream::pair().unwrap();
        let before = flags(one.as_fd()).unwrap();
        let output = SharedOutput::new(one.try_clone().unwrap().into()).unwrap();
        assert_eq!(output.kind, Kind::Socket);
        assert!(fill(&output) > 0);
        assert_eq!(flags(one.as_fd()).unwrap(), before);
        drop(other);
        assert_eq!(
            output.write(b"x").unwrap_err().raw_os_error(),
            Some(libc::EPIPE)
        );
    }

    #[test]
    fn a_file_is_gone_on_with_where_others_have_come_to() {
        let path = std::env::temp_dir().join(format!("rpm-shared-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let output = SharedOutput::new(duplicate(file.as_fd()).unwrap()).unwrap();
        fd::write(file.as_fd(), b"one\n").unwrap();
        assert_eq!(output.write(b"two\n").unwrap(), 4);
        fd::write(file.as_fd(), b"three\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\nthree\n");
        assert!(duplicate(File::open(&path).unwrap().as_fd()).is_err());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn links_are_followed_to_what_they_name() {
        let folder = std::env::temp_dir().join(format!("rpm-outlet-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let [first, second, round] = ["first", "second", "round"].map(|name| folder.join(name));
        symlink("/dev/stdout", &first).unwrap();
        symlink("first", &second).unwrap();
        symlink("round", &round).unwrap();
        let out = Some(Named::Standard(Standard::Out));
        assert_eq!((named(&first), named(&second)), (out, out));
        assert_eq!((named(&round), named(&folder.join("none"))), (None, None));
        let third = folder.join("third");
        symlink("/proc/1/fd/1", &third).unwrap();
        assert!(is_of_proc(&third) && is_of_proc(Path::new("/proc/1/fd/1")));
        assert!(!is_of_proc(&round) && !is_of_proc(&folder));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
