//! The state machine of one program. The desired state and the actual state are kept apart:
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
//! [`Life::step`] is pure: a state, an event and a time give a state and a list of effects. The list is complete, and
//! is carried out in order; the driver compares nothing. It begins with what is published, written and dropped, so a
//! change of what is wanted is on record before a process is made or signalled.
//!
//! Every cell, event against state. "–" changes nothing but the want. `[S]` asks for a process, `[T]` for the
//! kill signal, `[K]` for SIGKILL, `[P]` for SIGSTOP, `[C]` for SIGCONT; "end" is the restart policy, below. Paused is
//! as online, but for Pause and Resume, and for Start, which resumes it. Shutdown is as Stop, but what is wanted stays
//! on record.
//!
//! ```text
//!              stopped       launching, no pid  launching, pid   online           stopping             waiting       errored
//! Start        launching[S]  –                  –                –                – (want up) [K]      launching[S]  launching[S]
//! Restart      launching[S]  –                  stopping[T]      stopping[T]      – (want up) [K]      launching[S]  launching[S]
//! Stop         –             stopped            stopping[T]      stopping[T]      – (want down) [K]    stopped       stopped
//! Pause        –             –                  –                paused[P]        –                    –             –
//! Resume       –             –                  –                –, online[C]     –                    –             –
//!                                                                if paused
//! Preparing    ×             – timeout          ×                ×                ×                    ×             ×
//! Spawned      ×             launching, pid     ×                ×                ×                    ×             ×
//! NotSpawned   ×             waiting            ×                ×                ×                    ×             ×
//! Executed     ×             ×                  online           ×                –                    ×             ×
//! NotExecuted  ×             ×                  – no timeout     ×                –                    ×             ×
//! Exited       ×             ×                  end, or          end, or          end, or              ×             ×
//!                                               stopping[T]      stopping[T]      stopping, no leader
//!                                               if some remain   if some remain   if some remain
//! Gone         ×             ×                  ×                ×                end, if no leader    ×             ×
//! Deadline     ×             waiting            – late [K]       ×                – [K], again later   launching[S]  ×
//! Recalled     launching[S]  launching[S]       ×                ×                ×                    waiting       –
//! Rebooted     launching[S]  launching[S]       ×                ×                ×                    launching[S]  launching[S]
//! HandedOver   –             – [S]              –                –                –                    –             –
//! ```
//!
//! Recalled and Rebooted are those of a program that is wanted up; one that is wanted down is stopped. HandedOver arms
//! the deadline of the state again.
//!
//! "×" is ignored: the driver never sends it there, and a late one must do no harm. So is an event of a run that is
//! over, and a deadline that is not armed or has not come. The driver delivers what the exec pipe says of a run before
//! it delivers the exit of its leader.
//!
//! SIGKILL is sent again and again, each time after twice the time, to whatever survives it: a process that waits in
//! the kernel, or that may not be signalled. From the third time on the program *resists*: who waits for its end is
//! told so. In that case, and in no other, Start, Restart and Stop try again at once while it is stopping.
//!
//! End, when nothing is left of a run: wanted down, the program is stopped. A restart that was asked for launches at
//! once. A program that may not be started again (`autorestart`, `stop_exit_codes`) is stopped, and wanted down from
//! then on. Otherwise it is launched after a delay, or errored once more than `max_restarts` runs in a row were shorter
//! than `min_uptime`.
//!
//! The state is that of the present run. Beside it there can be runs that were replaced ([`Life::replace`]) and are on
//! their way to their end: each has a pid and a deadline of its own, and its events change nothing of the present run,
//! but that the program is not stopped before the last of them is over.
//!
//! Time is `now`, in milliseconds of a clock that never steps. The present run has at most one deadline, and only in
//! the states that have a Deadline cell.

mod effect;
#[cfg(test)]
mod late;
mod policy;
#[cfg(test)]
mod replaced;
#[cfg(test)]
mod resisting;
#[cfg(test)]
mod restarts;
mod state;
#[cfg(test)]
mod tests;
mod transitions;
#[cfg(test)]
mod walk;

pub use effect::{Deadline, Effect, Note, Purpose, RunId, Save, Trouble};
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

/// Whether members of a run other than its leader live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    /// None does.
    Gone,
    /// Some do, or that could not be told.
    Remain,
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
    /// The daemon ends: it is stopped, and what is wanted stays on record for the next daemon.
    Shutdown,
    /// Its members are to be stopped by SIGSTOP.
    Pause,
    /// They are to continue.
    Resume,
    /// Its record was read, in the boot in which it was written, and there is no process.
    Recalled,
    /// Its record was read, and the machine has booted since it was written.
    Rebooted,
    /// Another release of the daemon has handed it over.
    HandedOver,
    /// What the run needs before its process is being made: pipes, sockets.
    Preparing(RunId),
    /// The process of the run exists.
    Spawned(RunId, i32),
    /// The process of the run could not be made.
    NotSpawned(RunId),
    /// The process executes the program.
    Executed(RunId),
    /// The process could not execute the program, and is about to exit.
    NotExecuted(RunId),
    /// The leader has ended.
    Exited(RunId, Exit, Members),
    /// The last member has ended.
    Gone(RunId),
    /// A deadline has come.
    Deadline(Deadline),
}

/// How long a child may take until it executes the program: longer than an automounter or a slow disk needs. ms
pub const START_TIMEOUT: u64 = 20_000;

/// The state machine of one program. Anybody may read the fields; events change them, through [`Life::step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// What is wanted.
    pub want: Want,
    /// What was wanted when the daemon began to end: that is recorded.
    pub shutdown: Option<Want>,
    /// What is so.
    pub state: State,
    /// The present run, or the last one.
    pub run: RunId,
    /// The leader's pid; 0 when there is none.
    pub pid: i32,
    /// When the program went online. ms
    pub since: u64,
    /// The deadline of the present run, and when it is due. ms
    pub deadline: Option<(Deadline, u64)>,
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
    /// That it survives them was noted.
    resisted: bool,
    /// The child did not execute the program in time.
    late: bool,
    /// Runs that were replaced, and have not ended.
    replaced: Vec<Replaced>,
}

/// A run that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Replaced {
    run: RunId,
    /// The leader's pid; 0 when there is none.
    pid: i32,
    /// When it is killed, or killed again. ms
    deadline: (Deadline, u64),
    kills: u32,
}

impl Default for Life {
    fn default() -> Life {
        Life {
            want: Want::Down,
            shutdown: None,
            state: State::Stopped,
            run: RunId::default(),
            pid: 0,
            since: 0,
            deadline: None,
            restarts: 0,
            unstable: 0,
            exit: None,
            restarting: false,
            refused: 0,
            kills: 0,
            resisted: false,
            late: false,
            replaced: Vec::new(),
        }
    }
}

/// What of a machine decides about effects, before an event.
struct Before {
    want: Want,
    state: State,
    at_rest: bool,
    is_served: bool,
    counts: (u32, u32, Option<Exit>),
    /// The present run, where anything of it may live.
    run: Option<RunId>,
}

impl Life {
    /// A program without a process, as its record has it.
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

    /// A program whose run exists already: found again, not started. It is online or paused.
    #[must_use]
    pub fn adopted(self, run: RunId, pid: i32, since: u64, state: State) -> Life {
        Life {
            state,
            run,
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
        self.state == State::Stopping && self.kills >= transitions::KILLS
    }

    /// Whether its ports are to be open. Those of one that has failed too often are not: nothing will serve them until
    /// somebody starts it again.
    pub fn is_served(&self) -> bool {
        self.want == Want::Up && self.state != State::Errored
    }

    /// The desired state and the actual state, as they are recorded: a program that was stopped by the end of the daemon is
    /// still wanted, and is launched by the next daemon.
    pub fn recorded(&self) -> (Want, State) {
        match (self.shutdown, self.state) {
            (Some(Want::Up), State::Stopped) => (Want::Up, State::Launching),
            (shutdown, state) => (shutdown.unwrap_or(self.want), state),
        }
    }

    /// Takes one event at the time `now` and adds what must be done to `effects`.
    pub fn step(&mut self, event: Event, policy: &Policy, now: u64, effects: &mut Vec<Effect>) {
        if event == Event::Rebooted && self.want == Want::Up && !self.is_under_way() {
            // Whatever had become of it.
            self.rest(State::Stopped, &mut Vec::new());
        }
        let ended = matches!(event, Event::Exited(run, ..) if run == self.run && self.pid != 0);
        let before = self.before();
        let mut actions = Vec::new();
        self.react(event, policy, now, &mut actions);
        self.conclude(&before, ended, actions, effects);
    }

    /// Begins a run beside the present one, which is ended meanwhile.
    pub fn replace(&mut self, policy: &Policy, now: u64, effects: &mut Vec<Effect>) {
        if !matches!(self.state, State::Online | State::Paused) {
            return;
        }
        let before = self.before();
        let mut actions = Vec::new();
        self.begin_replacing(policy, now, &mut actions);
        let before = Before {
            run: None,
            ..before
        };
        self.conclude(&before, false, actions, effects);
    }

    fn before(&self) -> Before {
        Before {
            want: self.want,
            state: self.state,
            at_rest: self.at_rest(),
            is_served: self.is_served(),
            counts: (self.restarts, self.unstable, self.exit),
            run: self.is_under_way().then_some(self.run),
        }
    }

    /// Whether something of the present run may live. One that is stopping without a deadline is over, and a run that
    /// was replaced is not.
    pub fn is_under_way(&self) -> bool {
        self.pid != 0 || self.state == State::Stopping && self.deadline.is_some()
    }

    /// Adds all effects of a step in the order in which they are to be carried out.
    fn conclude(
        &mut self,
        before: &Before,
        ended: bool,
        actions: Vec<Effect>,
        effects: &mut Vec<Effect>,
    ) {
        if before.state != self.state {
            effects.push(Effect::Publish);
        }
        let desired = (before.want, before.at_rest) != (self.want, self.at_rest());
        let counted = before.counts != (self.restarts, self.unstable, self.exit);
        if desired && self.shutdown.is_none() {
            effects.push(Effect::Save(Save::Desired));
        } else if ended || counted && self.shutdown.is_none() {
            effects.push(Effect::Save(Save::Counts));
        }
        if self.resisted && self.state != State::Stopping {
            self.resisted = false;
            effects.push(Effect::Note(Note::EndedAtLast));
        }
        let rests = self.at_rest() && !before.at_rest;
        if rests {
            effects.push(Effect::RemovePidFile);
        }
        let over = before
            .run
            .filter(|run| *run != self.run || !self.is_under_way());
        effects.extend(over.map(Effect::Drop));
        effects.extend(actions);
        if self.resists() && !self.resisted {
            self.resisted = true;
            effects.push(Effect::Note(Note::Resists));
        }
        if !self.is_served() && (before.is_served || rests) {
            effects.push(Effect::ReleasePorts);
        }
        if self.state == State::Errored && before.state != State::Errored {
            effects.push(Effect::Note(Note::GivesUp(self.unstable)));
        }
    }
}
