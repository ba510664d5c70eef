//! Terminals: their size, and full-screen mode.

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

/// The columns and rows of the terminal; 0 if unknown. `ioctl_tty(2)` TIOCGWINSZ
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

/// The columns of the terminal, if known.
pub fn columns(fd: BorrowedFd) -> Option<usize> {
    size(fd)
        .map(|(columns, _)| columns)
        .filter(|columns| *columns > 0)
}

/// Enters the alternate screen, hides the cursor, and disables wrapping, so that writing the last cell does not scroll. DEC
/// private modes of xterm's "Control Sequences"
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";

/// Undoes [`ENTER`]. CAN aborts an unfinished sequence. The screen is erased for terminals without an alternate one.
const LEAVE: &[u8] = b"\x18\x1b[0m\x1b[2J\x1b[H\x1b[?7h\x1b[?25h\x1b[?1049l";

/// How long restoring the terminal waits for one that accepts no output.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(1);

/// The terminal to restore and its previous settings. Static, so that the panic hook can restore it.
static HELD: Mutex<Option<(RawFd, libc::termios)>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// A terminal in raw mode with the alternate screen. The previous state is restored on drop, and before a panic message.
pub struct FullScreen(OwnedFd);

impl FullScreen {
    /// Opens the controlling terminal, or the terminal on standard output. A new description is opened, so that making it
    /// non-blocking does not affect the shell. `tty(4)`
    ///
    /// # Errors
    /// As `open(2)`.
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
                restore();
                before(panic);
            }));
        });
        FullScreen(tty)
    }

    /// Enters full-screen mode, also again after another program used the terminal. `termios(3)`
    ///
    /// # Errors
    /// As `tcgetattr(3)` and `tcsetattr(3)`.
    pub fn enter(&self) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        let mut held = HELD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let before = match *held {
            Some((_, before)) => before,
            None => settings(fd)?,
        };
        let mut raw = before;
        // SAFETY: a termios is plain data.
        unsafe { libc::cfmakeraw(&raw mut raw) };
        *held = Some((fd, before));
        set(fd, &raw)?;
        put(fd, ENTER);
        Ok(())
    }

    /// Restores the terminal.
    pub fn leave(&self) {
        restore();
    }

    /// Whether this process is in the foreground process group. `tcgetpgrp(3)`
    pub fn in_foreground(&self) -> bool {
        // SAFETY: the calls take only a descriptor, or nothing.
        let (owner, own) = unsafe { (libc::tcgetpgrp(self.0.as_raw_fd()), libc::getpgrp()) };
        owner == own || owner < 0
    }

    /// The non-blocking descriptor to poll, read and write.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        restore();
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

fn restore() {
    // If the lock is held during a panic, nothing was changed yet.
    let held = HELD.try_lock().ok().and_then(|mut held| held.take());
    if let Some((fd, before)) = held {
        put(fd, LEAVE);
        let _ = set(fd, &before);
    }
}

/// Writes all bytes, unless the terminal accepts none for too long.
fn put(fd: RawFd, mut bytes: &[u8]) {
    // SAFETY: the descriptor belongs to a FullScreen, which restores the terminal before it closes it.
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
                let waited = set.wait(Some(RESTORE_TIMEOUT));
                if waited.is_err() || set.ready().next().is_none() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// A new pseudo-terminal: master and slave. `openpty(3)`
#[cfg(test)]
fn pair() -> (OwnedFd, OwnedFd) {
    use std::os::fd::FromRawFd;
    let (mut screen, mut program) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: two descriptors are written, which nothing else owns; the other pointers may be null.
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

    /// One test, as a process has only one full screen.
    #[test]
    fn the_terminal_is_restored_on_leave_drop_and_panic() {
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
        // Entering twice keeps the settings from before the first time.
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
    fn the_size_is_read() {
        let (_screen, program) = pair();
        assert_eq!(size(program.as_fd()), Some((0, 0)));
        assert_eq!(columns(program.as_fd()), None);
        assert_eq!(size(fd::pipe().unwrap().0.as_fd()), None);
    }
}
