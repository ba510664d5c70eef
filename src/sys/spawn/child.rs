//! The child between fork and exec: only async-signal-safe calls, on memory that was prepared.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use super::{Plan, RECORD_SIZE, Stage};
use crate::sys::at;
use crate::sys::checksum;
use crate::sys::place::Place;
use crate::sys::rights;
use crate::sys::signal;

/// The child between fork and exec.
pub(super) struct Child<'a> {
    pub(super) plan: &'a Plan,
    pub(super) argv: &'a [*const libc::c_char],
    pub(super) env: &'a mut [*const libc::c_char],
    pub(super) given: &'a mut [RawFd],
    pub(super) null: RawFd,
    pub(super) listener: RawFd,
    pub(super) list: RawFd,
    pub(super) lock: RawFd,
    pub(super) tell: RawFd,
    /// What start times in `/proc` are shifted by, in clock ticks.
    pub(super) offset: i64,
}

impl Child<'_> {
    pub(super) fn run(mut self) -> ! {
        let mut number = [0; 32];
        let done = self.prepare(&mut number);
        if let Err(failure) = done.and_then(|()| self.execute()) {
            self.report(failure);
        }
        // SAFETY: leaves without running anything of the parent's.
        unsafe { libc::_exit(127) }
    }

    fn report(&self, (stage, program, errno): Failure) {
        let [a, b, c, d] = errno.to_ne_bytes();
        let record = [stage as u8, program, a, b, c, d];
        // SAFETY: the record lives on this stack; a write of six bytes to a pipe is whole.
        unsafe { libc::write(self.tell, record.as_ptr().cast(), record.len()) };
    }

    fn prepare(&mut self, number: &mut [u8; 32]) -> Result<(), Failure> {
        let plan = self.plan;
        if plan.listen_pid {
            // SAFETY: getpid has no arguments and cannot fail.
            let own = u64::from(unsafe { libc::getpid() }.unsigned_abs());
            let at = put(number, 0, b"LISTEN_PID=");
            put_number(number, at, own);
            if let Some(first) = self.env.first_mut() {
                // It ends in NUL, as not all of the array is filled, and lives until the program executes.
                *first = number.as_ptr().cast();
            }
        }
        // SAFETY: each call is async-signal-safe, every pointer is to memory prepared before the fork or on this
        // stack, and the descriptors 0, 1 and 2 are this process's to replace.
        unsafe {
            libc::close(self.listener);
            // A handler of the daemon would swallow a signal that is meant for the program, and what is ignored
            // stays so: all others have their default action, see `signal::reset_all`.
            for signal in signal::CHANGED {
                libc::signal(signal.get(), libc::SIG_DFL);
            }
            step(Stage::Session, libc::setsid())?;
            let joined = match plan.cgroup.as_deref().map(|file| join(file)) {
                Some(Err(failure)) => {
                    self.report(failure);
                    false
                }
                joined => joined.is_some(),
            };
            step(Stage::Stdin, libc::dup2(self.null, 0))?;
            // For reading as well, so that the pipe has a reader whatever becomes of the daemons.
            redirect(Stage::Stdout, &plan.stdout, 1)?;
            redirect(Stage::Stderr, &plan.stderr, 2)?;
            self.record(joined)?;
            // From here on paths are opened that a user has named: they may hang, and the next supervisor must not.
            libc::close(self.lock);
            self.look_at_logs()?;
            self.write_pid_file()?;
            self.pass_on()?;
            let limit = libc::rlimit {
                rlim_cur: plan.nofile.0,
                rlim_max: plan.nofile.1,
            };
            step(
                Stage::Limits,
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit),
            )?;
            // To give way is always allowed.
            libc::setpriority(libc::PRIO_PROCESS, 0, plan.nice);
            libc::umask(plan.umask);
            show(Stage::Directory);
            step(Stage::Directory, libc::chdir(plan.cwd.as_ptr()))?;
            if let Some(script) = &plan.script {
                show(Stage::Script);
                let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK;
                let file = step(Stage::Script, libc::open(script.as_ptr(), flags))?;
                if kind(script) == Some(libc::S_IFDIR) {
                    return Err((Stage::Script, 0, libc::EISDIR));
                }
                libc::close(file);
            }
        }
        Ok(())
    }

    /// Puts what the program is given in its place, from 3 on. First all of it, and the pipe of the report, is moved
    /// out of the way: any of these numbers may be among those places.
    unsafe fn pass_on(&mut self) -> Result<(), Failure> {
        if self.given.is_empty() {
            return Ok(());
        }
        let behind = 3 + self.given.len() as libc::c_int;
        // SAFETY: as in `prepare`; what stands at these places is closed by the exec otherwise.
        unsafe {
            let move_up = |fd| libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, behind);
            self.tell = step(Stage::Given, move_up(self.tell))?;
            for fd in self.given.iter_mut() {
                *fd = step(Stage::Given, move_up(*fd))?;
            }
            for (target, fd) in (3..).zip(self.given.iter()) {
                step(Stage::Given, libc::dup2(*fd, target))?;
            }
        }
        Ok(())
    }

    /// Leaves in the list which process this is, before it can become the program: a supervisor that is killed right
    /// after the fork has lost nothing. The list is in memory: no disk is waited for.
    unsafe fn record(&self, joined: bool) -> Result<(), Failure> {
        // SAFETY: as in `prepare`.
        unsafe {
            let own = u64::from(libc::getpid().unsigned_abs());
            let mut text = [0; RECORD_SIZE];
            let mut end = 0;
            for (key, number) in [
                (&b"pid id="[..], u64::from(self.plan.id)),
                (b" pid=", own),
                (b" start=", own_start().wrapping_add_signed(-self.offset)),
                (b" run=", u64::from(self.plan.run)),
            ] {
                end = put(&mut text, end, key);
                end = put_number(&mut text, end, number);
            }
            if joined {
                end = put(&mut text, end, b" cgroup=1");
            }
            let sum = checksum::fnv1a(text.get(..end).unwrap_or_default());
            end = put(&mut text, end, b" sum=");
            end = put(&mut text, end, &checksum::hex(sum));
            end = put(&mut text, end, b"\n");
            show(Stage::Record);
            let written = libc::write(self.list, text.as_ptr().cast(), end.min(text.len()));
            step(Stage::Record, libc::c_int::from(written > 0) - 1)?;
        }
        Ok(())
    }

    /// A log file must not be a folder: the log writer could only drop what is printed.
    unsafe fn look_at_logs(&self) -> Result<(), Failure> {
        // SAFETY: as in `prepare`.
        unsafe {
            show(Stage::LogFile);
            for (at, log) in self.plan.logs.iter().enumerate() {
                if kind(log) == Some(libc::S_IFDIR) {
                    return Err((Stage::LogFile, at as u8, libc::EISDIR));
                }
            }
        }
        Ok(())
    }

    /// Writes the pid for people, and makes the folders that the file is in.
    unsafe fn write_pid_file(&self) -> Result<(), Failure> {
        let Some(path) = &self.plan.pid_file else {
            return Ok(());
        };
        // SAFETY: as in `prepare`.
        unsafe {
            show(Stage::PidFile);
            if !rights::is_root() {
                for folder in &self.plan.pid_folders {
                    // Where that fails, opening the file says why.
                    libc::mkdir(folder.as_ptr(), 0o777);
                }
            }
            let own = u64::from(libc::getpid().unsigned_abs());
            let mut text = [0; 24];
            let length = put_number(&mut text, 0, own);
            let length = put(&mut text, length, b"\n");
            let file = open_pid_file(path, !self.plan.pid_folders.is_empty())?;
            let file = file.as_raw_fd();
            let written = libc::write(file, text.as_ptr().cast(), length);
            step(Stage::PidFile, libc::c_int::from(written > 0) - 1)?;
            // Cut to length, not emptied before: file systems write a file out at once that was emptied.
            step(
                Stage::PidFile,
                libc::ftruncate(file, libc::off_t::from(written as i32)),
            )?;
        }
        Ok(())
    }

    /// Executes the first program that can be; returns only when none can. `execvp(3)` has the rules: a file that
    /// is missing is passed over, and one that may not be executed is remembered.
    fn execute(&self) -> Result<(), Failure> {
        let mut failure = (Stage::Program, 0, libc::ENOENT);
        // SAFETY: as in `prepare`; the arrays end in null and point to strings that end in NUL.
        unsafe {
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
            show(Stage::Program);
            for (at, program) in self.plan.programs.iter().enumerate() {
                libc::execve(program.as_ptr(), self.argv.as_ptr(), self.env.as_ptr());
                let errno = *libc::__errno_location();
                let at = if at > 255 { 255 } else { at as u8 };
                match (errno, kind(program)) {
                    (libc::ENOENT | libc::ENOTDIR, None) => {}
                    (libc::ENOENT, Some(_)) => return Err((Stage::Interpreter, at, errno)),
                    (libc::EACCES, Some(libc::S_IFDIR)) => {
                        failure = (Stage::Program, at, libc::EISDIR)
                    }
                    (libc::EACCES, _) => failure = (Stage::Program, at, errno),
                    _ => return Err((Stage::Program, at, errno)),
                }
            }
        }
        Err(failure)
    }
}

/// A step that failed, which program it was about, and errno.
type Failure = (Stage, u8, libc::c_int);

/// Opens the file of its pid with the rights that count where it is. `make`: its folders may be missing.
fn open_pid_file(path: &CStr, make: bool) -> Result<OwnedFd, Failure> {
    let path = Path::new(OsStr::from_bytes(path.to_bytes()));
    // Only the walk of root makes folders without allocating.
    let place = if make && rights::is_root() {
        Place::make(path)
    } else {
        Place::find(path)
    };
    let opened = place.and_then(|place| place.open(libc::O_WRONLY | libc::O_CREAT));
    let file = opened.and_then(|opened| {
        // A FIFO or a device would take the pid somewhere else, or nowhere.
        let is_file = at::stat(opened.file.as_fd())?.is_regular();
        let other = || io::Error::from_raw_os_error(libc::ENXIO);
        is_file.then_some(opened.file).ok_or_else(other)
    });
    let failed = |e: io::Error| (Stage::PidFile, 0, e.raw_os_error().unwrap_or(libc::EIO));
    file.map(OwnedFd::from).map_err(failed)
}

unsafe fn step(stage: Stage, result: libc::c_int) -> Result<libc::c_int, Failure> {
    match result {
        // SAFETY: errno belongs to this thread.
        failed if failed < 0 => Err((stage, 0, unsafe { *libc::__errno_location() })),
        done => Ok(done),
    }
}

/// Joins a cgroup, by its `cgroup.procs`.
unsafe fn join(file: &CStr) -> Result<(), Failure> {
    // SAFETY: the path ends in NUL; the byte is a constant.
    unsafe {
        let file = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        let file = step(Stage::Cgroup, file)?;
        let written = libc::write(file, b"0".as_ptr().cast(), 1);
        let done = step(Stage::Cgroup, written as libc::c_int);
        libc::close(file);
        done.map(drop)
    }
}

/// Shows the step that comes next as the name of this process: where it hangs, that says in what.
unsafe fn show(stage: Stage) {
    if let Some(name) = stage.shown() {
        // SAFETY: the name ends in NUL. PR_SET_NAME
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
    }
}

/// Opens a FIFO for reading and writing as this descriptor.
unsafe fn redirect(stage: Stage, path: &CStr, target: RawFd) -> Result<(), Failure> {
    // SAFETY: the path ends in NUL; `target` is the child's to replace.
    unsafe {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NOFOLLOW;
        let file = step(stage, libc::open(path.as_ptr(), flags))?;
        // 0, 1 and 2 are always open here, so the new number is another one and dup2 clears CLOEXEC.
        step(stage, libc::dup2(file, target))?;
        libc::close(file);
    }
    Ok(())
}

/// The type bits of a file, `None` where there is none.
unsafe fn kind(path: &CStr) -> Option<libc::mode_t> {
    // SAFETY: a stat is plain data that the kernel fills in.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        let found = libc::stat(path.as_ptr(), &raw mut stat) == 0;
        found.then_some(stat.st_mode & libc::S_IFMT)
    }
}

/// When this process started: field 22 of `/proc/self/stat`; 0 where there is no `/proc`.
unsafe fn own_start() -> u64 {
    let mut buffer = [0u8; 1024];
    // SAFETY: the buffer is on this stack, its length is given.
    let length = unsafe {
        let file = libc::open(
            c"/proc/self/stat".as_ptr(),
            libc::O_RDONLY | libc::O_CLOEXEC,
        );
        let length = libc::read(file, buffer.as_mut_ptr().cast(), buffer.len());
        libc::close(file);
        length
    };
    let text = usize::try_from(length)
        .ok()
        .and_then(|n| buffer.get(..n))
        .unwrap_or_default();
    let behind = text.iter().rposition(|b| *b == b')').unwrap_or(0);
    let fields = text.get(behind..).unwrap_or_default();
    // Behind the name come a blank and field 3.
    let field = fields.split(|b| *b == b' ').nth(20).unwrap_or_default();
    field.iter().fold(0u64, |n, digit| {
        n.wrapping_mul(10)
            .wrapping_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

/// Puts bytes at a place and returns where they end; what does not fit is left out.
fn put(text: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let room = text.get_mut(at..).unwrap_or_default();
    for (cell, byte) in room.iter_mut().zip(bytes) {
        *cell = *byte;
    }
    at + bytes.len()
}

/// Puts a number in decimal without allocating.
pub(super) fn put_number(text: &mut [u8], at: usize, mut number: u64) -> usize {
    let mut digits = [b'0'; 20];
    let mut first = 19;
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        first = place;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    put(text, at, digits.get(first..).unwrap_or_default())
}
