//! The log writer as the keeper of its supervisor: it notices when that dies without goodbye, and has another.

use std::collections::VecDeque;
use std::ffi::CString;
use std::io::Write as _;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::app::life::Exit;
use crate::app::value::Bytes;
use crate::error::Reason;
use crate::paths::Home;
use crate::sys::pid::Pid;
use crate::sys::pidfd::PidFd;
use crate::sys::{clock, open, reexec, wait};

/// So many supervisors that died …
const DEATHS: usize = 5;
/// … within so long are a crash loop: then none is started any more. ms
const WITHIN: u64 = 10_000;
/// How often a supervisor that no descriptor can be had of (Linux before 5.3) is looked at. ms
const LOOK_AGAIN: u64 = 50;
/// How long until the next try when no process could be made. ms
const TRY_AGAIN: u64 = 500;

/// What is known of the supervisor.
#[derive(Debug, Default)]
pub struct Keeper {
    supervisor: Option<Watched>,
    /// There is one, and its number is not to be had: it has ended when its connection has.
    unseen: bool,
    /// What to execute to have another supervisor; empty: somebody else has one.
    program: Bytes,
    /// What it is told of limits.
    limits: String,
    /// When supervisors died that were started here, the last ones. ms
    deaths: VecDeque<u64>,
    /// When to try to start one again. ms
    again: Option<u64>,
    /// Processes that were started here and have made way for another supervisor.
    left: Vec<Pid>,
}

/// A supervisor, or a process on its way to be one.
#[derive(Debug)]
struct Watched {
    pid: Pid,
    held: Option<PidFd>,
    /// It was started here: its exit status is ours to hear.
    child: bool,
}

impl Keeper {
    /// A supervisor has connected.
    pub fn attached(&mut self, pid: Option<Pid>) {
        self.again = None;
        let known = self.supervisor.as_ref().map(|watched| watched.pid);
        if pid.is_none() || pid != known {
            // Somebody wanted it, who will see it if it fails.
            self.deaths.clear();
            let before = self.supervisor.take().filter(|watched| watched.child);
            self.left.extend(before.map(|watched| watched.pid));
            self.supervisor = pid.map(|pid| Watched::new(pid, false));
            self.unseen = pid.is_none();
        }
    }

    /// It has said what to execute.
    pub fn set_program(&mut self, program: Bytes, limits: String) {
        self.program = program;
        self.limits = limits;
    }

    /// Reaps those that were of no use.
    pub fn reap(&mut self) {
        self.left.retain(|pid| wait::reap(*pid).is_none());
    }

    /// What to poll for reading: it is so when the supervisor has ended.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        let held = self.supervisor.as_ref()?.held.as_ref()?;
        Some(held.fd())
    }

    /// How long to wait at most while no supervisor is connected.
    pub fn timeout(&self) -> Option<Duration> {
        let unseen = self.supervisor.as_ref().is_some_and(|s| s.held.is_none());
        let look = unseen.then_some(LOOK_AGAIN);
        let again = self
            .again
            .map(|at| at.saturating_sub(clock::monotonic_ms()));
        let next = look.into_iter().chain(again).min()?;
        Some(Duration::from_millis(next))
    }

    /// No supervisor is connected: has the one that was there ended, another is started.
    pub fn look(&mut self, home: &Home, note: &mut dyn FnMut(&str)) {
        if let Some(watched) = &self.supervisor {
            if watched.lives() {
                return;
            }
            let exit = watched.child.then(|| wait::reap(watched.pid)).flatten();
            self.supervisor = None;
            // It found that somebody else serves, who will connect.
            if exit == Some(Exit::Code(0)) {
                return;
            }
            self.again = Some(0);
        }
        if std::mem::take(&mut self.unseen) {
            self.again = Some(0);
        }
        if self.again.is_some_and(|at| at <= clock::monotonic_ms()) {
            self.again = None;
            self.resume(home, note);
        }
    }

    fn resume(&mut self, home: &Home, note: &mut dyn FnMut(&str)) {
        if self.program.is_empty() {
            return;
        }
        let now = clock::monotonic_ms();
        self.deaths.retain(|at| now.saturating_sub(*at) < WITHIN);
        self.deaths.push_back(now);
        if self.deaths.len() > DEATHS {
            self.give_up(home, note);
            return;
        }
        let program = String::from_utf8_lossy(&self.program);
        note(&format!("the supervisor has died; executing {program}"));
        match self.execute(home) {
            Ok(pid) => self.supervisor = Some(Watched::new(pid, true)),
            Err(e) => {
                note(&format!("making a process: {}", Reason(&e)));
                self.again = Some(now + TRY_AGAIN);
            }
        }
    }

    /// Executes the program; the one that this process came from where it is not there any more.
    fn execute(&self, home: &Home) -> std::io::Result<Pid> {
        let own = b"/proc/self/exe".to_vec();
        let ways = [self.program.clone(), own].map(|program| {
            let limits = ["--limits=", &self.limits].concat().into_bytes();
            let words = [program, b"--resume".to_vec(), limits].map(CString::new);
            words.into_iter().flatten().collect()
        });
        let env = reexec::environment_with("RPM_HOME", home.root().as_os_str().as_bytes());
        reexec::start(&ways, &env)
    }

    fn give_up(&mut self, home: &Home, note: &mut dyn FnMut(&str)) {
        let sentence = format!(
            "the daemon died {DEATHS} times within {} s and was not started again; {} says more",
            WITHIN / 1000,
            home.daemon_log().display()
        );
        note("the supervisor dies again and again: not starting another; programs run on");
        let path = home.gave_up();
        let _ = std::fs::remove_file(&path);
        if let Ok(mut file) = open::create_new(&path, 0o600) {
            let _ = writeln!(file, "{sentence}");
        }
    }
}

impl Watched {
    fn new(pid: Pid, child: bool) -> Watched {
        let held = PidFd::open(pid).ok();
        Watched { pid, held, child }
    }

    fn lives(&self) -> bool {
        match &self.held {
            Some(held) => !held.has_ended(),
            None => clock::process_cpu_ns(self.pid).is_ok(),
        }
    }
}
