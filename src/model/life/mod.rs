//! The life of one program. What is wanted and what is so are two things:
//!
//! ```text
//! want   up | down
//! state  stopped · launching · online · paused · stopping · waiting · errored
//!
//! stopped → launching → online → stopping → stopped      stopping/up is a restart, stopping/down a stop
//!              ↑           ↓         ↓
//!              └─ waiting ←┴─────────┘   an end, by the restart policy; too many unstable ones: errored
//! ```
//!
//! Every cell, event against state. "–" changes nothing but the want. `[S]` asks for a process, `[T]` for the
//! kill signal, `[K]` for SIGKILL, `[P]` for SIGSTOP, `[C]` for SIGCONT; "end" is the restart policy, below. Paused is
//! as online, but for Pause and Resume, and for Start, which resumes it.
//!
//! ```text
//!             stopped       launching, no pid  launching, pid   online           stopping             waiting       errored
//! Start       launching[S]  –                  –                –                – (want up) [K]      launching[S]  launching[S]
//! Restart     launching[S]  –                  stopping[T]      stopping[T]      – (want up) [K]      launching[S]  launching[S]
//! Stop        –             stopped            stopping[T]      stopping[T]      – (want down) [K]    stopped       stopped
//! Pause       –             –                  –                paused[P]        –                    –             –
//! Resume      –             –                  –                –, online[C]     –                    –             –
//!                                                               if paused
//! Spawned     ×             launching, pid     ×                ×                ×                    ×             ×
//! NotSpawned  ×             waiting            ×                ×                ×                    ×             ×
//! Executed    ×             ×                  online           ×                –                    ×             ×
//! Exited      ×             ×                  end, or          end, or          end, or              ×             ×
//!                                              stopping[T]      stopping[T]      stopping, no leader
//!                                              if some remain   if some remain   if some remain
//! Gone        ×             ×                  ×                ×                end, if no leader    ×             ×
//! Deadline    ×             ×                  ×                ×                – [K], again later   launching[S]  ×
//! ```
//!
//! "×" is ignored: the driver never sends it there, and a late one must do no harm. The driver delivers what the
//! exec pipe says of a pid before it delivers the pid's exit.
//!
//! SIGKILL is sent again and again, each time after twice the time, to whatever survives it: a process that waits in
//! the kernel, or that may not be signalled. From the third time on the program *resists*: who waits for its end is
//! told so. In that case, and in no other, Start, Restart and Stop try again at once while it is stopping.
//!
//! End, when nothing is left of a program: wanted down, it is stopped. A restart that was asked for launches at once.
//! A program that may not be started again (`autorestart`, `stop_exit_codes`) is stopped, and wanted down from then on.
//! Otherwise it is launched after a delay, or errored once more than `max_restarts` runs in a row were shorter than
//! `min_uptime`.
//!
//! Time is `now`, in milliseconds of a clock that never steps. At most one timer: `deadline`, kept only in the states
//! that have a Deadline cell.

mod policy;
#[cfg(test)]
mod resisting;
mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;

use policy::BACKOFF_MAX;
pub use policy::Policy;
pub use state::{STATES, State};

/// What is wanted of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// It shall run.
    Up,
    /// It shall not.
    Down,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Nobody could tell: it was not our child.
    Unknown,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is wanted up.
    Start,
    /// It is wanted up, in a new process.
    Restart,
    /// It is wanted down.
    Stop,
    /// It shall hold still.
    Pause,
    /// It shall go on.
    Resume,
    /// The process that was asked for exists.
    Spawned(i32),
    /// The process that was asked for could not be made.
    NotSpawned,
    /// The process executes the program.
    Executed,
    /// The process has ended; whether others of its tree have not.
    Exited(Exit, bool),
    /// The last of the tree has ended.
    Gone,
    /// The deadline has come.
    Deadline,
}

/// What the driver must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Make a process, and report `Spawned` or `NotSpawned`.
    Spawn,
    /// Send the kill signal to all of the program.
    Terminate,
    /// Send SIGKILL to all of the program.
    Kill,
    /// Send SIGSTOP to all of the program.
    Suspend,
    /// Send SIGCONT to all of the program.
    Continue,
}

/// How long after the first SIGKILL comes the next; the time doubles. ms
const KILL_AGAIN: u64 = 500;
/// The longest time between two. ms
const KILL_AGAIN_MAX: u64 = 60_000;
/// Whatever survives so many SIGKILLs, the last one 1.5 s after the first, resists.
const KILLS: u32 = 3;
/// The first wait after the kernel refused a process, doubled up to `BACKOFF_MAX`. ms
const NO_PROCESS: u64 = 100;

/// One program's life. The fields may be read by anybody; events change them, through [`Life::step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// What is wanted.
    pub want: Want,
    /// What is so.
    pub state: State,
    /// The leader's pid; 0 when there is none.
    pub pid: i32,
    /// When the program went online. ms
    pub since: u64,
    /// When [`Event::Deadline`] is due. ms
    pub deadline: Option<u64>,
    /// How often it was started again.
    pub restarts: u32,
    /// Runs in a row that did not last `min_uptime`.
    pub unstable: u32,
    /// How the last process ended.
    pub exit: Option<Exit>,
    /// The end that is under way is a restart that somebody asked for.
    pub restarting: bool,
    /// How often in a row the kernel refused a process.
    pub refused: u32,
    /// How many SIGKILLs the end that is under way has taken.
    pub kills: u32,
}

impl Default for Life {
    fn default() -> Life {
        Life {
            want: Want::Down,
            state: State::Stopped,
            pid: 0,
            since: 0,
            deadline: None,
            restarts: 0,
            unstable: 0,
            exit: None,
            restarting: false,
            refused: 0,
            kills: 0,
        }
    }
}

impl Life {
    /// A life without a process, as its record has it.
    pub fn recalled(want: Want, state: State, counted: (u32, u32), exit: Option<Exit>) -> Life {
        let (restarts, unstable) = counted;
        Life {
            want,
            state,
            restarts,
            unstable,
            exit,
            ..Life::default()
        }
    }

    /// A life whose process runs already: found again, not started.
    #[must_use]
    pub fn adopted(self, pid: i32, since: u64) -> Life {
        Life {
            state: State::Online,
            pid,
            since,
            deadline: None,
            ..self
        }
    }

    /// Whether nothing runs and nothing will by itself.
    pub fn at_rest(&self) -> bool {
        matches!(self.state, State::Stopped | State::Errored)
    }

    /// Whether it was killed, and does not end: nobody knows whether it ever will.
    pub fn resists(&self) -> bool {
        self.state == State::Stopping && self.kills >= KILLS
    }

    /// Takes one event at the time `now` and says what must be done.
    pub fn step(&mut self, event: Event, policy: &Policy, now: u64) -> Option<Action> {
        match event {
            Event::Start => self.start(false, now),
            Event::Restart if self.pid != 0 => self.restart(policy, now),
            Event::Restart => self.start(true, now),
            Event::Stop => self.stop(policy, now),
            Event::Pause if self.state == State::Online => {
                self.state = State::Paused;
                Some(Action::Suspend)
            }
            Event::Resume if self.state == State::Paused => self.go_on(),
            Event::Pause | Event::Resume => None,
            Event::Spawned(pid) => self.spawned(pid),
            Event::NotSpawned => self.not_spawned(now),
            Event::Executed => self.executed(now),
            Event::Exited(exit, remain) => self.exited(exit, remain, policy, now),
            Event::Gone if self.state == State::Stopping && self.pid == 0 => self.end(policy, now),
            Event::Gone => None,
            Event::Deadline => self.deadline_came(now),
        }
    }

    fn start(&mut self, asked_anew: bool, now: u64) -> Option<Action> {
        self.want = Want::Up;
        self.restarting |= asked_anew && self.state == State::Stopping;
        match self.state {
            State::Stopped | State::Errored => {
                self.unstable = 0;
                self.launch()
            }
            State::Waiting => {
                self.restarts = self.restarts.saturating_add(1);
                self.launch()
            }
            State::Stopping => {
                self.restarting = true;
                self.try_again(now)
            }
            State::Paused => self.go_on(),
            State::Launching | State::Online => None,
        }
    }

    fn go_on(&mut self) -> Option<Action> {
        self.state = State::Online;
        Some(Action::Continue)
    }

    fn restart(&mut self, policy: &Policy, now: u64) -> Option<Action> {
        self.want = Want::Up;
        self.unstable = 0;
        self.restarting = true;
        match self.state {
            State::Stopping => self.try_again(now),
            _ => self.terminate(policy, now),
        }
    }

    fn stop(&mut self, policy: &Policy, now: u64) -> Option<Action> {
        self.want = Want::Down;
        match self.state {
            State::Stopping => self.try_again(now),
            _ if self.pid != 0 => self.terminate(policy, now),
            _ => {
                self.rest(State::Stopped);
                None
            }
        }
    }

    fn spawned(&mut self, pid: i32) -> Option<Action> {
        if self.state == State::Launching && self.pid == 0 {
            self.pid = pid;
            self.refused = 0;
        }
        None
    }

    fn not_spawned(&mut self, now: u64) -> Option<Action> {
        if self.state == State::Launching && self.pid == 0 {
            let wait = (NO_PROCESS << self.refused.min(16)).min(BACKOFF_MAX);
            self.refused = self.refused.saturating_add(1);
            self.wait(wait, now);
        }
        None
    }

    fn executed(&mut self, now: u64) -> Option<Action> {
        if self.state == State::Launching && self.pid != 0 {
            self.state = State::Online;
            self.since = now;
        }
        None
    }

    fn exited(&mut self, exit: Exit, remain: bool, policy: &Policy, now: u64) -> Option<Action> {
        if self.pid == 0 {
            return None;
        }
        self.pid = 0;
        self.exit = Some(exit);
        // An end that was asked for says nothing about how long the run would have lasted.
        if self.state != State::Stopping {
            let lasted = match self.state {
                State::Online | State::Paused => Some(now.saturating_sub(self.since)),
                _ => None,
            };
            match lasted.is_some_and(|lasted| lasted >= policy.min_uptime) {
                true => self.unstable = 0,
                false => self.unstable = self.unstable.saturating_add(1),
            }
        }
        match (remain, self.state) {
            (false, _) => self.end(policy, now),
            (true, State::Stopping) => None,
            (true, _) => self.terminate(policy, now),
        }
    }

    fn deadline_came(&mut self, now: u64) -> Option<Action> {
        if self.deadline.is_none_or(|at| at > now) {
            return None;
        }
        match self.state {
            State::Stopping => Some(self.kill(now)),
            State::Waiting => {
                self.restarts = self.restarts.saturating_add(1);
                self.launch()
            }
            _ => None,
        }
    }

    /// Nothing is left of the last run: what comes now is the restart policy's to say.
    fn end(&mut self, policy: &Policy, now: u64) -> Option<Action> {
        self.pid = 0;
        if self.want == Want::Down {
            self.rest(State::Stopped);
            return None;
        }
        if self.restarting {
            self.restarts = self.restarts.saturating_add(1);
            self.unstable = 0;
            return self.launch();
        }
        let finished = match self.exit {
            Some(Exit::Code(code)) => policy.stop_exit_codes.contains(&code),
            _ => false,
        };
        if finished || !policy.autorestart {
            self.want = Want::Down;
            self.rest(State::Stopped);
            return None;
        }
        if self.unstable > policy.max_restarts {
            self.rest(State::Errored);
            return None;
        }
        match policy.delay(self.unstable) {
            0 => {
                self.restarts = self.restarts.saturating_add(1);
                self.launch()
            }
            delay => {
                self.wait(delay, now);
                None
            }
        }
    }

    fn launch(&mut self) -> Option<Action> {
        self.rest(State::Launching);
        Some(Action::Spawn)
    }

    fn terminate(&mut self, policy: &Policy, now: u64) -> Option<Action> {
        self.state = State::Stopping;
        self.kills = 0;
        if policy.kill_timeout == 0 {
            return Some(self.kill(now));
        }
        self.deadline = Some(now.saturating_add(policy.kill_timeout));
        Some(Action::Terminate)
    }

    fn kill(&mut self, now: u64) -> Action {
        let wait = KILL_AGAIN << self.kills.min(16);
        self.kills = self.kills.saturating_add(1);
        self.deadline = Some(now.saturating_add(wait.min(KILL_AGAIN_MAX)));
        Action::Kill
    }

    /// What resists may be in reach by now.
    fn try_again(&mut self, now: u64) -> Option<Action> {
        self.resists().then(|| {
            self.kills = 0;
            self.kill(now)
        })
    }

    fn wait(&mut self, delay: u64, now: u64) {
        self.rest(State::Waiting);
        self.deadline = Some(now.saturating_add(delay));
    }

    fn rest(&mut self, state: State) {
        self.state = state;
        self.pid = 0;
        self.deadline = None;
        self.restarting = false;
        self.kills = 0;
    }
}
