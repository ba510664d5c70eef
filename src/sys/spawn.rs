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
    /// Where the child records its pid and start time, see [`parse_record`].
    pub record: CString,
    /// Where the child writes its pid for people.
    pub pid_file: Option<CString>,
    /// The limits of open descriptors, soft then hard.
    pub nofile: (u64, u64),
}

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
    Limits,
    Directory,
    Script,
    Program,
    /// The file to execute is there; what it needs to run, a `#!` interpreter or a loader, is not.
    Interpreter,
}

const STAGES: [Stage; 11] = [
    Stage::Session,
    Stage::Stdin,
    Stage::Stdout,
    Stage::Stderr,
    Stage::Record,
    Stage::PidFile,
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

/// Forks a child that executes the plan, with `null` as its standard input. Fails when there can be no more
/// processes or descriptors.
pub fn spawn(plan: &Plan, null: BorrowedFd) -> io::Result<Spawned> {
    let argv = pointers(&plan.argv);
    let env = pointers(&plan.env);
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
            env: &env,
            null: null.as_raw_fd(),
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

/// The pid and start time, in clock ticks since boot, of a record that a child wrote.
pub fn parse_record(record: &[u8]) -> Option<(Pid, u64)> {
    let text = std::str::from_utf8(record).ok()?;
    let mut words = text.split_ascii_whitespace();
    let pid = words.next()?.strip_prefix("pid=")?.parse().ok()?;
    let start = words.next()?.strip_prefix("start=")?.parse().ok()?;
    Some((Pid::new(pid)?, start))
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    let pointers = strings.iter().map(|s| s.as_ptr());
    pointers.chain(std::iter::once(ptr::null())).collect()
}

/// The child between fork and exec.
struct Child<'a> {
    plan: &'a Plan,
    argv: &'a [*const libc::c_char],
    env: &'a [*const libc::c_char],
    null: RawFd,
    tell: RawFd,
}

impl Child<'_> {
    fn run(&self) -> ! {
        if let Err((stage, program, errno)) = self.prepare().and_then(|()| self.execute()) {
            let [a, b, c, d] = errno.to_ne_bytes();
            let record = [stage as u8, program, a, b, c, d];
            // SAFETY: the record lives on this stack; a write of six bytes to a pipe is whole.
            unsafe { libc::write(self.tell, record.as_ptr().cast(), record.len()) };
        }
        // SAFETY: leaves without running anything of the parent's.
        unsafe { libc::_exit(127) }
    }

    fn prepare(&self) -> Result<(), Failure> {
        let plan = self.plan;
        // SAFETY: each call is async-signal-safe, every pointer is to memory prepared before the fork or on this
        // stack, and the descriptors 0, 1 and 2 are this process's to replace.
        unsafe {
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
            put_number(&mut text, at, own_start());
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
mod tests {
    use super::*;
    use crate::sys::poll::{Interest, PollSet};
    use crate::sys::{fifo, wait};
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    struct Scene(PathBuf);

    impl Scene {
        fn new(name: &str) -> Scene {
            let folder =
                std::env::temp_dir().join(format!("rpm-spawn-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            fifo::make(&folder.join("out")).unwrap();
            fifo::make(&folder.join("err")).unwrap();
            Scene(folder)
        }

        fn path(&self, name: &str) -> CString {
            c_path(&self.0.join(name))
        }

        fn plan(&self, words: &[&str]) -> Plan {
            Plan {
                programs: vec![CString::new(words[0]).unwrap()],
                argv: words.iter().map(|w| CString::new(*w).unwrap()).collect(),
                env: vec![c"A=1".to_owned()],
                script: None,
                cwd: c_path(Path::new("/usr")),
                umask: 0o027,
                stdout: self.path("out"),
                stderr: self.path("err"),
                record: self.path("pid"),
                pid_file: Some(self.path("app.pid")),
                nofile: fd::nofile_limit().unwrap(),
            }
        }

        /// Runs a plan to its end: what was reported, what was printed.
        fn run(&self, plan: &Plan) -> (Report, String) {
            fd::sweep_cloexec();
            signal::reset_all();
            for old in ["pid", "app.pid"] {
                let _ = std::fs::remove_file(self.0.join(old));
            }
            let out = fifo::open(&self.0.join("out")).unwrap();
            let null = fd::open_null().unwrap();
            let spawned = spawn(plan, null.as_fd()).unwrap();
            let mut set = PollSet::default();
            set.push(spawned.report.as_fd(), Interest::READ, ());
            set.wait(None).unwrap();
            let report = read_report(spawned.report.as_fd());
            wait::wait_for(spawned.pid).unwrap();
            let mut text = vec![0; 1 << 16];
            let n = fd::read(out.as_fd(), &mut text).unwrap_or(0);
            let record = std::fs::read(self.0.join("pid")).unwrap_or_default();
            if !record.is_empty() {
                assert_eq!(record.len(), RECORD_SIZE);
                let (pid, start) = parse_record(&record).unwrap();
                assert!(pid == spawned.pid && start > 0);
                if let Ok(shown) = std::fs::read_to_string(self.0.join("app.pid")) {
                    assert_eq!(shown, format!("{pid}\n"));
                }
            }
            (report, String::from_utf8(text[..n].to_vec()).unwrap())
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn c_path(path: &Path) -> CString {
        CString::new(path.as_os_str().as_bytes()).unwrap()
    }

    #[test]
    fn a_program_sees_a_clean_world() {
        let scene = Scene::new("clean");
        let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | head -n 3; umask; pwd; echo $A; \
                      echo $$; cut -d ' ' -f 5,6 /proc/$$/stat";
        let (report, text) = scene.run(&scene.plan(&["/bin/sh", "-c", script]));
        assert!(matches!(report, Report::Executed));
        let lines: Vec<&str> = text.lines().collect();
        let zero = "0000000000000000";
        assert_eq!(lines[0], format!("SigBlk:\t{zero}"));
        assert_eq!(lines[1], format!("SigIgn:\t{zero}"));
        // ls itself has one more open, for the folder it lists.
        assert_eq!(lines[2..7], ["0", "1", "2", "0027", "/usr"]);
        assert_eq!(lines[7], "1");
        assert_eq!(
            lines[9],
            format!("{0} {0}", lines[8]),
            "its own group and session"
        );
    }

    #[test]
    fn the_step_that_failed_is_named() {
        let scene = Scene::new("fails");
        let script = scene.0.join("script");
        std::fs::write(&script, "#!/nothere/sh\n").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, executable).unwrap();
        let plain = scene.0.join("plain");
        std::fs::write(&plain, "").unwrap();
        let case = |words: &[&str], change: &dyn Fn(&mut Plan)| {
            let mut plan = scene.plan(words);
            change(&mut plan);
            match scene.run(&plan).0 {
                Report::Failed { stage, reason, .. } => (stage, reason.raw_os_error().unwrap()),
                other => panic!("{words:?}: {other:?}"),
            }
        };
        let same = |_: &mut Plan| {};
        assert_eq!(case(&["/nothere"], &same), (Stage::Program, libc::ENOENT));
        assert_eq!(case(&["/tmp"], &same), (Stage::Program, libc::EISDIR));
        assert_eq!(
            case(&[plain.to_str().unwrap()], &same),
            (Stage::Program, libc::EACCES)
        );
        assert_eq!(
            case(&[script.to_str().unwrap()], &same),
            (Stage::Interpreter, libc::ENOENT)
        );
        let nowhere = |plan: &mut Plan| plan.cwd = c"/nothere".to_owned();
        assert_eq!(
            case(&["/bin/true"], &nowhere),
            (Stage::Directory, libc::ENOENT)
        );
        let script =
            |path: &'static CStr| move |plan: &mut Plan| plan.script = Some(path.to_owned());
        assert_eq!(
            case(&["/bin/sh"], &script(c"/nothere.sh")),
            (Stage::Script, libc::ENOENT)
        );
        assert_eq!(
            case(&["/bin/sh"], &script(c"/tmp")),
            (Stage::Script, libc::EISDIR)
        );
        let no_fifo = |plan: &mut Plan| plan.stdout = c"/nothere/out".to_owned();
        assert_eq!(
            case(&["/bin/true"], &no_fifo),
            (Stage::Stdout, libc::ENOENT)
        );
        let no_record = |plan: &mut Plan| plan.record = c"/nothere/pid".to_owned();
        assert_eq!(
            case(&["/bin/true"], &no_record),
            (Stage::Record, libc::ENOENT)
        );
        let no_pid_file = |plan: &mut Plan| plan.pid_file = Some(c"/nothere/pid".to_owned());
        assert_eq!(
            case(&["/bin/true"], &no_pid_file),
            (Stage::PidFile, libc::ENOENT)
        );
    }

    #[test]
    fn a_command_is_looked_for_along_the_path() {
        let scene = Scene::new("path");
        let mut plan = scene.plan(&["/nothere/echo", "x"]);
        plan.programs.push(c"/bin/echo".to_owned());
        let (report, text) = scene.run(&plan);
        assert!(matches!(report, Report::Executed));
        assert_eq!(text, "x\n");
    }

    #[test]
    fn numbers_are_written_without_allocating() {
        for number in [0, 7, 10, 4711, u64::MAX] {
            let mut text = [0; 24];
            let end = put_number(&mut text, 0, number);
            assert_eq!(&text[..end], number.to_string().as_bytes());
        }
    }
}
