//! The log writer as the watchdog of its supervisor: it notices when that dies without goodbye, and starts another. It
//! never gives up: one that dies again and again is started with a growing delay, for ever.

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

/// A supervisor that has lived so long is sound: a row of deaths is over. ms
const SOUND: u64 = 10_000;
/// The delay before the second restart in a row; it doubles with each one. ms
const FIRST_DELAY: u64 = 50;
/// The longest delay. ms
const LONGEST_DELAY: u64 = 5000;
/// From so many deaths in a row on, they are said to people.
const MANY: u32 = 3;
/// How often a supervisor that no descriptor can be had of (Linux before 5.3) is looked at. ms
const LOOK_AGAIN: u64 = 50;
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
    /// How many supervisors have died one after the other.
    deaths: u32,
    /// When the first of them has. ms since the epoch
    since: u64,
    /// When the last one was started, or came. monotonic ms
    begun: u64,
    /// When the next one is started. monotonic ms
    again: Option<u64>,
    /// That they die is written down in the home.
    is_said: bool,
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
            self.begun = clock::monotonic_ms();
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

    /// When [`Keeper::settle`] is to be called while a supervisor is connected. ms
    pub fn settles(&self) -> Option<u64> {
        self.is_said.then(|| self.begun.saturating_add(SOUND))
    }

    /// A supervisor is connected: one that has lived long enough ends a row of deaths.
    pub fn settle(&mut self, home: &Home) {
        if self.settles().is_some_and(|at| at <= clock::monotonic_ms()) {
            self.forget(home);
        }
    }

    /// Forgets the deaths, and what was said of them.
    pub fn forget(&mut self, home: &Home) {
        self.deaths = 0;
        self.is_said = false;
        let _ = std::fs::remove_file(home.deaths());
    }

    /// No supervisor is connected: has the one that was there ended, another is started when it is time to.
    pub fn look(&mut self, home: &Home, note: &mut dyn FnMut(&str)) {
        if let Some(watched) = &self.supervisor {
            if watched.lives() {
                return;
            }
            let exit = watched.child.then(|| wait::reap(watched.pid)).flatten();
            self.supervisor = None;
            match exit {
                // It found that somebody else serves, who will connect here, or that this log writer is not the one
                // of the home any more. Where neither comes true it is tried again.
                Some(Exit::Code(0)) => self.again = Some(clock::monotonic_ms() + LONGEST_DELAY),
                _ => self.died(home, note),
            }
        }
        if std::mem::take(&mut self.unseen) {
            self.died(home, note);
        }
        if self.again.is_some_and(|at| at <= clock::monotonic_ms()) {
            self.again = None;
            self.resume(home, note);
        }
    }

    /// A supervisor has died: says so, and when the next one is started.
    fn died(&mut self, home: &Home, note: &mut dyn FnMut(&str)) {
        if self.program.is_empty() {
            return;
        }
        let (now, wall) = (clock::monotonic_ms(), clock::wall_ms());
        if now.saturating_sub(self.begun) >= SOUND && self.deaths > 0 {
            self.forget(home);
        }
        self.deaths = self.deaths.saturating_add(1);
        if self.deaths == 1 {
            self.since = wall;
        }
        let delay = delay(self.deaths);
        self.again = Some(now + delay);
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
        self.is_said = true;
        let _ = open::replace(&home.deaths(), &deaths.to_line().to_bytes());
    }

    fn resume(&mut self, home: &Home, note: &mut dyn FnMut(&str)) {
        if self.program.is_empty() {
            return;
        }
        let program = String::from_utf8_lossy(&self.program);
        note(&format!("executing {program} as the new supervisor"));
        self.begun = clock::monotonic_ms();
        match self.execute(home) {
            Ok(pid) => self.supervisor = Some(Watched::new(pid, true)),
            Err(e) => {
                note(&format!("creating a process: {}", Reason(&e)));
                self.died(home, note);
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
}

/// How long to wait after so many deaths in a row. ms
fn delay(deaths: u32) -> u64 {
    let doublings = deaths.saturating_sub(2).min(16);
    match deaths {
        0 | 1 => 0,
        _ => (FIRST_DELAY << doublings).min(LONGEST_DELAY),
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
