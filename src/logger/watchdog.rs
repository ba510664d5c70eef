//! The watchdog of the supervisor: starts another one when it dies without `bye`. It never gives up: a supervisor that
//! dies again and again is started with a growing delay, for ever.

use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::error::Reason;
use crate::model::life::Exit;
use crate::model::value::Bytes;
use crate::paths::Home;
use crate::protocol::deaths::Deaths;
use crate::sys::open;
use crate::sys::pid::Pid;
use crate::sys::pidfd::PidFd;
use crate::sys::{clock, reexec, wait};

/// A supervisor that has run so long is stable: a series of deaths is over. ms
const STABLE_MS: u64 = 10_000;
/// The delay before the second restart of a series; it doubles with each one. ms
const FIRST_DELAY: u64 = 50;
/// The longest delay. ms
const LONGEST_DELAY: u64 = 5000;
/// So many deaths in a series are reported to users.
const MANY: u32 = 3;
/// How often a supervisor without a pidfd (Linux before 5.3) is checked. ms
const CHECK_MS: u64 = 50;

/// The supervisor and its deaths.
#[derive(Debug, Default)]
pub struct Watchdog {
    supervisor: Option<Watched>,
    /// The pid of the supervisor is unknown: it has died when its connection ends.
    pid_unknown: bool,
    /// What to execute as another supervisor; empty: an init system starts it.
    program: Bytes,
    /// The value of its option `--limits`.
    limits: String,
    /// The length of the series of deaths.
    deaths: u32,
    /// When the first of them died, ms since the epoch.
    since: u64,
    /// When the last supervisor was started or connected. monotonic ms
    started: u64,
    /// When the next supervisor is started. monotonic ms
    restart_at: Option<u64>,
    /// The deaths are reported in a file of the home.
    is_reported: bool,
    /// Child processes that another supervisor has replaced.
    replaced: Vec<Pid>,
}

/// A supervisor, or a process that becomes one.
#[derive(Debug)]
struct Watched {
    pid: Pid,
    pidfd: Option<PidFd>,
    /// It is a child of this process, which reaps it.
    child: bool,
}

impl Watchdog {
    /// A supervisor has connected.
    pub fn connected(&mut self, pid: Option<Pid>) {
        self.restart_at = None;
        let known = self.supervisor.as_ref().map(|watched| watched.pid);
        if pid.is_none() || pid != known {
            self.started = clock::monotonic_ms();
            let before = self.supervisor.take().filter(|watched| watched.child);
            self.replaced.extend(before.map(|watched| watched.pid));
            self.supervisor = pid.map(|pid| Watched::new(pid, false));
            self.pid_unknown = pid.is_none();
        }
    }

    /// Sets what to execute.
    pub fn set_program(&mut self, program: Bytes, limits: String) {
        self.program = program;
        self.limits = limits;
    }

    /// Reaps children that were replaced.
    pub fn reap(&mut self) {
        self.replaced.retain(|pid| wait::reap(*pid).is_none());
    }

    /// The descriptor to poll: it is readable when the supervisor has exited.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        let pidfd = self.supervisor.as_ref()?.pidfd.as_ref()?;
        Some(pidfd.fd())
    }

    /// How long to wait at most while no supervisor is connected.
    pub fn timeout(&self) -> Option<Duration> {
        let pid_unknown = self.supervisor.as_ref().is_some_and(|s| s.pidfd.is_none());
        let look = pid_unknown.then_some(CHECK_MS);
        let again = self
            .restart_at
            .map(|at| at.saturating_sub(clock::monotonic_ms()));
        let next = look.into_iter().chain(again).min()?;
        Some(Duration::from_millis(next))
    }

    /// When [`Watchdog::forget_deaths_if_stable`] is due while a supervisor is connected. monotonic ms
    pub fn stable_at(&self) -> Option<u64> {
        self.is_reported
            .then(|| self.started.saturating_add(STABLE_MS))
    }

    /// Ends the series of deaths if the connected supervisor is stable.
    pub fn forget_deaths_if_stable(&mut self, home: &Home) {
        if self
            .stable_at()
            .is_some_and(|at| at <= clock::monotonic_ms())
        {
            self.forget_deaths(home);
        }
    }

    /// Ends the series of deaths and removes its report.
    pub fn forget_deaths(&mut self, home: &Home) {
        self.deaths = 0;
        self.is_reported = false;
        let _ = std::fs::remove_file(home.deaths());
    }

    /// While no supervisor is connected: notices its death, and starts another when the delay is over.
    pub fn check(&mut self, home: &Home, note: &mut dyn FnMut(&str)) {
        if let Some(watched) = &self.supervisor {
            if watched.lives() {
                return;
            }
            let exit = watched.child.then(|| wait::reap(watched.pid)).flatten();
            self.supervisor = None;
            match exit {
                // Another supervisor serves and will connect, or another log writer serves the home. If neither happens,
                // it is tried again.
                Some(Exit::Code(0)) => {
                    self.restart_at = Some(clock::monotonic_ms() + LONGEST_DELAY)
                }
                _ => self.died(home, note),
            }
        }
        if std::mem::take(&mut self.pid_unknown) {
            self.died(home, note);
        }
        if self
            .restart_at
            .is_some_and(|at| at <= clock::monotonic_ms())
        {
            self.restart_at = None;
            self.resume(home, note);
        }
    }

    /// A supervisor has died: reports it and sets when the next one is started.
    fn died(&mut self, home: &Home, note: &mut dyn FnMut(&str)) {
        if self.program.is_empty() {
            return;
        }
        let (now, wall) = (clock::monotonic_ms(), clock::wall_ms());
        if now.saturating_sub(self.started) >= STABLE_MS && self.deaths > 0 {
            self.forget_deaths(home);
        }
        self.deaths = self.deaths.saturating_add(1);
        if self.deaths == 1 {
            self.since = wall;
        }
        let delay = delay(self.deaths);
        self.restart_at = Some(now + delay);
        if self.deaths < MANY {
            note("the supervisor has died");
            return;
        }
        let deaths = Deaths {
            count: self.deaths,
            since: self.since,
            next: wall + delay,
        };
        note(&format!("{}; programs run on", deaths.sentence(wall)));
        self.is_reported = true;
        let _ = open::replace(&home.deaths(), &deaths.to_line().to_bytes());
    }

    fn resume(&mut self, home: &Home, note: &mut dyn FnMut(&str)) {
        if self.program.is_empty() {
            return;
        }
        let program = String::from_utf8_lossy(&self.program);
        note(&format!("executing {program} as the new supervisor"));
        self.started = clock::monotonic_ms();
        match self.execute(home) {
            Ok(pid) => self.supervisor = Some(Watched::new(pid, true)),
            Err(e) => {
                note(&format!("creating a process: {}", Reason(&e)));
                self.died(home, note);
            }
        }
    }

    /// Executes the program, or the executable of this process if the program was removed.
    fn execute(&self, home: &Home) -> std::io::Result<Pid> {
        let own = b"/proc/self/exe".to_vec();
        let programs = [self.program.clone(), own].map(|program| {
            let limits = ["--limits=", &self.limits].concat().into_bytes();
            let words = [program, b"--resume".to_vec(), limits].map(CString::new);
            words.into_iter().flatten().collect()
        });
        let env = reexec::environment_with("RPM_HOME", home.root().as_os_str().as_bytes());
        reexec::start(&programs, &env)
    }
}

/// The delay after so many deaths in a series. ms
fn delay(deaths: u32) -> u64 {
    let doublings = deaths.saturating_sub(2).min(16);
    if deaths < 2 {
        0
    } else {
        (FIRST_DELAY << doublings).min(LONGEST_DELAY)
    }
}

impl Watched {
    fn new(pid: Pid, child: bool) -> Watched {
        let pidfd = PidFd::open(pid).ok();
        Watched { pid, pidfd, child }
    }

    fn lives(&self) -> bool {
        match &self.pidfd {
            Some(pidfd) => !pidfd.has_ended(),
            None => clock::process_cpu_ns(self.pid).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_to_its_limit_and_stays_there() {
        let delays: Vec<u64> = (1..=10).map(delay).collect();
        assert_eq!(delays, [0, 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        for deaths in [11, 60, 66, 67, 130, u32::MAX] {
            assert_eq!(delay(deaths), LONGEST_DELAY, "{deaths}");
        }
    }
}
