//! Terminals.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, Once};
use std::time::Duration;

use super::poll::{Interest, PollSet};
use super::{check, fd};

/// Whether the descriptor is a terminal. `isatty(3)`
pub fn is_terminal(fd: BorrowedFd) -> bool {
    std::io::IsTerminal::is_terminal(&fd)
}

/// How many columns and rows the terminal has; 0 is a number that it does not tell. `ioctl_tty(2)` TIOCGWINSZ
pub fn size(fd: BorrowedFd) -> Option<(usize, usize)> {
    // SAFETY: a winsize is plain data that the kernel fills in.
    let (result, size) = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        let result = libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size);
        (check(result), size)
    };
    result.ok()?;
    Some((usize::from(size.ws_col), usize::from(size.ws_row)))
}

/// How many columns the terminal has.
pub fn columns(fd: BorrowedFd) -> Option<usize> {
    size(fd)
        .map(|(columns, _)| columns)
        .filter(|columns| *columns > 0)
}

/// Alternate screen, no cursor, and no wrapping at the right edge, where the last cell would scroll the screen.
/// DEC private modes, xterm's "Control Sequences".
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";

/// The way back. CAN ends a sequence that was cut off; the screen is erased for terminals that have only one.
const LEAVE: &[u8] = b"\x18\x1b[0m\x1b[2J\x1b[H\x1b[?7h\x1b[?25h\x1b[?1049l";

/// How long a terminal that takes no output is waited for on the way back.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is to be put back: the terminal, and its settings before. Here, so that a panic can do it.
static HELD: Mutex<Option<(RawFd, libc::termios)>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// A terminal that one program has to itself: keys come as they are pressed, and the screen that was there before
/// comes back when this is dropped, and before the message of a panic.
pub struct FullScreen(OwnedFd);

impl FullScreen {
    /// The controlling terminal, or the one that is standard output. It is opened anew, so that making it
    /// non-blocking changes nothing for the shell that shares the old descriptors. `tty(4)`
    pub fn open() -> io::Result<FullScreen> {
        let mut options = File::options();
        options.read(true).write(true);
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        let tty = options.open("/dev/tty");
        let tty = tty.or_else(|_| options.open("/proc/self/fd/1"))?;
        Ok(FullScreen::of(tty.into()))
    }

    fn of(tty: OwnedFd) -> FullScreen {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                put_back();
                before(panic);
            }));
        });
        FullScreen(tty)
    }

    /// Takes the terminal, or takes it again where somebody else has used it meanwhile. `termios(3)`
    pub fn enter(&self) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        let mut held = HELD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let before = match *held {
            Some((_, before)) => before,
            None => settings(fd)?,
        };
        let mut raw = before;
        // SAFETY: changes plain data.
        unsafe { libc::cfmakeraw(&raw mut raw) };
        *held = Some((fd, before));
        set(fd, &raw)?;
        put(fd, ENTER);
        Ok(())
    }

    /// Gives the terminal back as it was.
    pub fn leave(&self) {
        put_back();
    }

    /// Whether the terminal is ours to use, not that of another job. `tcgetpgrp(3)`
    pub fn in_foreground(&self) -> bool {
        // SAFETY: the calls take a descriptor and nothing.
        let (owner, own) = unsafe { (libc::tcgetpgrp(self.0.as_raw_fd()), libc::getpgrp()) };
        owner == own || owner < 0
    }

    /// What to poll, read and write. None of it blocks.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        put_back();
    }
}

fn settings(fd: RawFd) -> io::Result<libc::termios> {
    // SAFETY: a termios is plain data that the call fills in.
    unsafe {
        let mut settings: libc::termios = std::mem::zeroed();
        check(libc::tcgetattr(fd, &raw mut settings))?;
        Ok(settings)
    }
}

fn set(fd: RawFd, settings: &libc::termios) -> io::Result<()> {
    // SAFETY: the settings are read during the call.
    check(unsafe { libc::tcsetattr(fd, libc::TCSANOW, settings) }).map(drop)
}

fn put_back() {
    // A panic while the lock is held finds nothing to be put back yet.
    let held = HELD.try_lock().ok().and_then(|mut held| held.take());
    if let Some((fd, before)) = held {
        put(fd, LEAVE);
        let _ = set(fd, &before);
    }
}

/// Writes all of it, unless the terminal takes nothing for too long.
fn put(fd: RawFd, mut bytes: &[u8]) {
    // SAFETY: the descriptor is that of a FullScreen, which gives the terminal back before it is closed.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let mut set = PollSet::default();
    while !bytes.is_empty() {
        match fd::write(fd, bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let room = Interest {
                    read: false,
                    write: true,
                };
                set.clear();
                set.push(fd, room, ());
                let waited = set.wait(Some(PATIENCE));
                if waited.is_err() || set.ready().next().is_none() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// A new terminal that nobody looks at: the side of its keyboard and screen, and the side of programs. `openpty(3)`
#[cfg(test)]
fn pair() -> (OwnedFd, OwnedFd) {
    use std::os::fd::FromRawFd;
    let (mut screen, mut program) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: two descriptors are written, which nobody else owns; no name, settings or size are given.
    unsafe {
        let size = std::ptr::null_mut();
        check(libc::openpty(
            &raw mut screen,
            &raw mut program,
            none,
            std::ptr::null_mut(),
            size,
        ))
        .unwrap();
        (OwnedFd::from_raw_fd(screen), OwnedFd::from_raw_fd(program))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local_flags(fd: &OwnedFd) -> libc::tcflag_t {
        settings(fd.as_raw_fd()).unwrap().c_lflag
    }

    fn printed(screen: &OwnedFd) -> String {
        let mut buffer = [0; 256];
        let n = fd::read(screen.as_fd(), &mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    }

    /// One test, as a process has one full screen.
    #[test]
    fn the_terminal_is_put_back_on_leaving_dropping_and_panicking() {
        let (screen, program) = pair();
        let before = local_flags(&program);
        assert_ne!(before & libc::ICANON, 0);
        let full = FullScreen::of(program.try_clone().unwrap());
        let entered = |full: &FullScreen| {
            full.enter().unwrap();
            assert_eq!(
                local_flags(&program) & (libc::ICANON | libc::ECHO | libc::ISIG),
                0
            );
            assert!(printed(&screen).ends_with("\x1b[?1049h\x1b[?25l\x1b[?7l"));
        };
        let is_back = || {
            assert_eq!(local_flags(&program), before);
            assert!(printed(&screen).ends_with("\x1b[?7h\x1b[?25h\x1b[?1049l"));
        };
        entered(&full);
        // Entering twice remembers the settings from before the first time.
        entered(&full);
        full.leave();
        is_back();
        entered(&full);
        let panicked = std::panic::catch_unwind(|| panic!("on purpose"));
        assert!(panicked.is_err());
        is_back();
        entered(&full);
        drop(full);
        is_back();
    }

    #[test]
    fn the_size_is_told() {
        let (_screen, program) = pair();
        assert_eq!(size(program.as_fd()), Some((0, 0)));
        assert_eq!(columns(program.as_fd()), None);
        assert_eq!(size(fd::pipe().unwrap().0.as_fd()), None);
    }
}
