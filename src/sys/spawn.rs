//! Starting a program: fork, and in the child everything that must be so before it executes.
//!
//! The child reports over a CLOEXEC pipe: end of file means that the program executes, a record names the step
//! that failed and its errno. The parent reads it when `poll(2)` says so: nothing here waits for the child.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use super::check;
use super::fd;
use super::pid::Pid;
use super::reexec::pointers;
use super::signal::{self, AllBlocked};

/// All that the child needs, prepared before the fork: afterwards it must not allocate.
#[derive(Debug)]
pub struct Plan {
    /// The files to execute; the first that can be is, as `execvp(3)` looks along PATH.
    pub programs: Vec<CString>,
    /// The argument vector.
    pub argv: Vec<CString>,
    /// The environment, `NAME=value` each.
    pub env: Vec<CString>,
    /// The script, where it is an interpreter that is executed: it must be a file that can be read.
    pub script: Option<CString>,
    /// The working folder.
    pub cwd: CString,
    /// The file creation mask.
    pub umask: u32,
    /// The FIFO for descriptor 1.
    pub stdout: CString,
    /// The FIFO for descriptor 2.
    pub stderr: CString,
    /// Where the child records its pid and start time, see [`Record`].
    pub record: CString,
    /// The number of the run, which is recorded too.
    pub run: u32,
    /// Where the child writes its pid for people.
    pub pid_file: Option<CString>,
    /// The limits of open descriptors, soft then hard.
    pub nofile: (u64, u64),
    /// Whether it is told its own number as LISTEN_PID, `sd_listen_fds(3)`.
    pub listen_pid: bool,
}

/// How many descriptors a program may be started with besides its standard ones.
pub const MOST_GIVEN: usize = 64;

/// A step of the child; the order is that in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Stage {
    Session,
    Stdin,
    Stdout,
    Stderr,
    Record,
    PidFile,
    Given,
    Limits,
    Directory,
    Script,
    Program,
    /// The file to execute is there; what it needs to run, a `#!` interpreter or a loader, is not.
    Interpreter,
}

const STAGES: [Stage; 12] = [
    Stage::Session,
    Stage::Stdin,
    Stage::Stdout,
    Stage::Stderr,
    Stage::Record,
    Stage::PidFile,
    Stage::Given,
    Stage::Limits,
    Stage::Directory,
    Stage::Script,
    Stage::Program,
    Stage::Interpreter,
];

/// A child that is about to execute.
#[derive(Debug)]
pub struct Spawned {
    /// Its number.
    pub pid: Pid,
    /// What it reports by; reading does not block.
    pub report: OwnedFd,
}

/// What a child has reported so far.
#[derive(Debug)]
pub enum Report {
    /// Nothing.
    Pending,
    /// It executes the program, or was killed on the way there.
    Executed,
    /// It could not.
    Failed {
        /// The step.
        stage: Stage,
        /// Which of [`Plan::programs`], where the step is about one.
        program: usize,
        /// Why.
        reason: io::Error,
    },
}

/// How many bytes the record of a pid has.
pub const RECORD_SIZE: usize = 64;

/// The descriptors of the supervisor that matter to a child before it executes.
#[derive(Debug, Clone, Copy)]
pub struct Inherited<'a> {
    /// What becomes its standard input.
    pub null: BorrowedFd<'a>,
    /// Closed first: nobody shall connect to a supervisor that has died and meet a child of it.
    pub listener: BorrowedFd<'a>,
    /// What it finds as descriptors 3 and up, at most [`MOST_GIVEN`].
    pub given: &'a [OwnedFd],
    /// Closed when the child has recorded itself: whoever gets the lock afterwards finds every child on record.
    pub lock: BorrowedFd<'a>,
}

/// Forks a child that executes the plan. Fails when there can be no more processes or descriptors.
pub fn spawn(plan: &Plan, inherited: Inherited) -> io::Result<Spawned> {
    let argv = pointers(&plan.argv);
    let mut env = pointers(&plan.env);
    if plan.listen_pid {
        // The child puts its number here.
        env.insert(0, c"LISTEN_PID=0".as_ptr());
    }
    let mut given = [-1; MOST_GIVEN];
    for (slot, fd) in given.iter_mut().zip(inherited.given) {
        *slot = fd.as_raw_fd();
    }
    let given = given.get_mut(..inherited.given.len());
    let given = given.ok_or_else(|| io::Error::other("too many descriptors"))?;
    let (report, tell) = fd::pipe()?;
    fd::set_nonblocking(report.as_fd())?;
    let blocked = AllBlocked::new();
    // SAFETY: the child calls only async-signal-safe functions (signal-safety(7)) on memory that was prepared,
    // and leaves by execve or _exit.
    let pid = check(unsafe { libc::fork() })?;
    if pid == 0 {
        let child = Child {
            plan,
            argv: &argv,
            env: &mut env,
            given,
            null: inherited.null.as_raw_fd(),
            listener: inherited.listener.as_raw_fd(),
            lock: inherited.lock.as_raw_fd(),
            tell: tell.as_raw_fd(),
        };
        child.run();
    }
    drop(blocked);
    let pid = Pid::new(pid).ok_or_else(|| io::Error::other("the kernel gave no usable pid"))?;
    Ok(Spawned { pid, report })
}

/// Reads what a child has reported.
pub fn read_report(report: BorrowedFd) -> Report {
    let mut record = [0; 6];
    match fd::read(report, &mut record) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Report::Pending,
        Ok(6) => {
            let [stage, program, errno @ ..] = record;
            Report::Failed {
                stage: STAGES
                    .get(usize::from(stage))
                    .copied()
                    .unwrap_or(Stage::Program),
                program: usize::from(program),
                reason: io::Error::from_raw_os_error(i32::from_ne_bytes(errno)),
            }
        }
        _ => Report::Executed,
    }
}

/// What a child has recorded of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub pid: Pid,
    /// When it started, in clock ticks since boot: with the number, its identity.
    pub start: u64,
    /// Which run of the program it is.
    pub run: u32,
}

impl Record {
    /// The record that a child wrote.
    pub fn parse(record: &[u8]) -> Option<Record> {
        let text = std::str::from_utf8(record).ok()?;
        let mut words = text.split_ascii_whitespace();
        let mut next = |key| words.next()?.strip_prefix(key);
        Some(Record {
            pid: Pid::new(next("pid=")?.parse().ok()?)?,
            start: next("start=")?.parse().ok()?,
            // Not recorded by the first release.
            run: next("run=").map_or(Some(0), |run| run.parse().ok())?,
        })
    }
}

/// The child between fork and exec.
struct Child<'a> {
    plan: &'a Plan,
    argv: &'a [*const libc::c_char],
    env: &'a mut [*const libc::c_char],
    given: &'a mut [RawFd],
    null: RawFd,
    listener: RawFd,
    lock: RawFd,
    tell: RawFd,
}

impl Child<'_> {
    fn run(mut self) -> ! {
        let mut number = [0; 32];
        let done = self.prepare(&mut number);
        if let Err((stage, program, errno)) = done.and_then(|()| self.execute()) {
            let [a, b, c, d] = errno.to_ne_bytes();
            let record = [stage as u8, program, a, b, c, d];
            // SAFETY: the record lives on this stack; a write of six bytes to a pipe is whole.
            unsafe { libc::write(self.tell, record.as_ptr().cast(), record.len()) };
        }
        // SAFETY: leaves without running anything of the parent's.
        unsafe { libc::_exit(127) }
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
            step(Stage::Stdin, libc::dup2(self.null, 0))?;
            // For reading as well, so that the pipe has a reader whatever becomes of the daemons.
            redirect(Stage::Stdout, &plan.stdout, 1)?;
            redirect(Stage::Stderr, &plan.stderr, 2)?;
            self.record()?;
            libc::close(self.lock);
            self.pass_on()?;
            let limit = libc::rlimit {
                rlim_cur: plan.nofile.0,
                rlim_max: plan.nofile.1,
            };
            step(
                Stage::Limits,
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit),
            )?;
            libc::umask(plan.umask);
            step(Stage::Directory, libc::chdir(plan.cwd.as_ptr()))?;
            if let Some(script) = &plan.script {
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

    /// Leaves on disk which process this is, before it can become the program: a supervisor that is killed right
    /// after the fork has lost nothing.
    unsafe fn record(&self) -> Result<(), Failure> {
        // SAFETY: as in `prepare`.
        unsafe {
            let own = u64::from(libc::getpid().unsigned_abs());
            let mut text = [b' '; RECORD_SIZE];
            let at = put(&mut text, 0, b"pid=");
            let at = put_number(&mut text, at, own);
            let at = put(&mut text, at, b" start=");
            let at = put_number(&mut text, at, own_start());
            let at = put(&mut text, at, b" run=");
            put_number(&mut text, at, u64::from(self.plan.run));
            put(&mut text, RECORD_SIZE - 1, b"\n");
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC;
            let file = step(
                Stage::Record,
                libc::open(self.plan.record.as_ptr(), flags, 0o600),
            )?;
            let written = libc::pwrite(file, text.as_ptr().cast(), text.len(), 0);
            step(Stage::Record, libc::c_int::from(written > 0) - 1)?;
            libc::close(file);
            if let Some(path) = &self.plan.pid_file {
                let mut text = [0; 24];
                let length = put_number(&mut text, 0, own);
                let length = put(&mut text, length, b"\n");
                let file = libc::open(path.as_ptr(), flags, 0o600);
                let file = step(Stage::PidFile, file)?;
                let written = libc::write(file, text.as_ptr().cast(), length);
                step(Stage::PidFile, libc::c_int::from(written > 0) - 1)?;
                // Cut to length, not emptied before: file systems write a file out at once that was emptied.
                step(
                    Stage::PidFile,
                    libc::ftruncate(file, libc::off_t::from(written as i32)),
                )?;
                libc::close(file);
            }
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

unsafe fn step(stage: Stage, result: libc::c_int) -> Result<libc::c_int, Failure> {
    match result {
        // SAFETY: errno belongs to this thread.
        failed if failed < 0 => Err((stage, 0, unsafe { *libc::__errno_location() })),
        done => Ok(done),
    }
}

/// Opens a FIFO for reading and writing as this descriptor.
unsafe fn redirect(stage: Stage, path: &CStr, target: RawFd) -> Result<(), Failure> {
    // SAFETY: the path ends in NUL; `target` is the child's to replace.
    unsafe {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
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
fn put_number(text: &mut [u8], at: usize, mut number: u64) -> usize {
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

#[cfg(test)]
mod tests;
