//! What each event does.

use super::policy::BACKOFF_MAX;
use super::{
    Deadline, Effect, Event, Exit, Life, Members, Note, Policy, Purpose, Replaced, RunId,
    START_TIMEOUT, State, Trouble, Want,
};

/// How long after the first SIGKILL comes the next; the time doubles. ms
pub(super) const KILL_AGAIN: u64 = 500;
/// The longest time between two. ms
const KILL_AGAIN_MAX: u64 = 60_000;
/// Whatever survives so many SIGKILLs, the last one 1.5 s after the first, resists.
pub(super) const KILLS: u32 = 3;
/// How often a child that was late is killed again: it may wait where no signal reaches it. ms
pub(super) const LATE_AGAIN: u64 = 5_000;
/// The first wait after the kernel refused a process, doubled up to `BACKOFF_MAX`. ms
const NO_PROCESS: u64 = 100;

type Effects = Vec<Effect>;

impl Life {
    pub(super) fn react(&mut self, event: Event, policy: &Policy, now: u64, to: &mut Effects) {
        match event {
            Event::Start => self.start(false, now, to),
            Event::Restart if self.pid != 0 => self.restart(policy, now, to),
            Event::Restart => self.start(true, now, to),
            Event::Stop => {
                self.shutdown = None;
                self.stop(policy, now, to);
            }
            Event::Shutdown => {
                self.shutdown.get_or_insert(self.want);
                self.stop(policy, now, to);
            }
            Event::Pause if self.state == State::Online => {
                self.state = State::Paused;
                to.push(Effect::Signal(self.run, Purpose::Suspend));
            }
            Event::Resume if self.state == State::Paused => self.go_on(to),
            Event::Pause | Event::Resume => {}
            Event::Recalled | Event::Rebooted => self.recalled_again(policy, now, to),
            Event::HandedOver => self.handed_over(now, to),
            Event::Spawned(run, pid) => self.spawned(run, pid, now, to),
            Event::NotSpawned(run) => self.not_spawned(run, now, to),
            Event::Executed(run) => self.executed(run, now, to),
            Event::NotExecuted(run) if run == self.run && self.state == State::Launching => {
                self.disarm(to);
            }
            Event::NotExecuted(_) => {}
            Event::Exited(run, exit, members) if run == self.run => {
                self.exited(exit, members, policy, now, to);
            }
            Event::Exited(run, _, members) => self.replaced_exited(run, members, policy, now, to),
            Event::Gone(run) if run != self.run => self.replaced_gone(run, policy, now, to),
            Event::Gone(_) if self.state == State::Stopping && self.pid == 0 => {
                self.end(policy, now, to);
            }
            Event::Gone(_) => {}
            Event::Deadline(deadline) => self.deadline_came(deadline, now, to),
        }
    }

    fn start(&mut self, restart: bool, now: u64, to: &mut Effects) {
        self.want = Want::Up;
        self.restarting |= restart && self.state == State::Stopping;
        match self.state {
            State::Stopped | State::Errored => {
                self.unstable = 0;
                self.launch(to);
            }
            State::Waiting => {
                self.restarts = self.restarts.saturating_add(1);
                self.launch(to);
            }
            State::Stopping => {
                self.restarting = true;
                self.try_again(now, to);
            }
            State::Paused => self.go_on(to),
            State::Launching | State::Online => {}
        }
    }

    fn go_on(&mut self, to: &mut Effects) {
        self.state = State::Online;
        to.push(Effect::Signal(self.run, Purpose::Continue));
    }

    fn restart(&mut self, policy: &Policy, now: u64, to: &mut Effects) {
        self.want = Want::Up;
        self.unstable = 0;
        self.restarting = true;
        match self.state {
            State::Stopping => self.try_again(now, to),
            _ => self.terminate(policy, now, to),
        }
    }

    fn stop(&mut self, policy: &Policy, now: u64, to: &mut Effects) {
        self.want = Want::Down;
        match self.state {
            State::Stopping => self.try_again(now, to),
            _ if self.pid != 0 => self.terminate(policy, now, to),
            _ => self.come_to_rest(State::Stopped, to),
        }
    }

    fn recalled_again(&mut self, policy: &Policy, now: u64, to: &mut Effects) {
        match self.state {
            _ if self.is_under_way() => {}
            _ if self.want == Want::Down => {
                if self.at_rest() {
                    to.push(Effect::RemovePidFile);
                }
                self.rest(State::Stopped, to);
            }
            State::Waiting => self.wait(policy.delay(self.unstable), now, to),
            State::Launching => self.launch(to),
            // Wanted up and stopped: the first release did not record that it was about to be launched.
            State::Stopped => self.start(false, now, to),
            _ => to.push(Effect::RemovePidFile),
        }
    }

    fn handed_over(&mut self, now: u64, to: &mut Effects) {
        match (self.state, self.deadline) {
            (State::Launching, _) if self.pid == 0 => to.push(Effect::Spawn(self.run)),
            (State::Launching, _) => {
                let at = now.saturating_add(START_TIMEOUT);
                self.arm(Deadline::StartTimeout(self.run), at, to);
            }
            (_, Some((deadline, at))) => to.push(Effect::Arm(deadline, at)),
            (_, None) => {}
        }
    }

    /// Sets the deadline that the state has, for a program that another release has handed over.
    pub fn set_deadline(&mut self, at: u64) {
        let deadline = match self.state {
            State::Waiting => Deadline::RestartDelay,
            State::Stopping if self.kills > 0 => Deadline::KillAgain(self.run),
            State::Stopping => Deadline::StopTimeout(self.run),
            _ => return,
        };
        self.deadline = Some((deadline, at));
    }

    fn is_launching(&self, run: RunId) -> bool {
        self.state == State::Launching && self.run == run
    }

    fn spawned(&mut self, run: RunId, pid: i32, now: u64, to: &mut Effects) {
        if self.is_launching(run) && self.pid == 0 {
            self.pid = pid;
            self.refused = 0;
            let at = now.saturating_add(START_TIMEOUT);
            self.arm(Deadline::StartTimeout(run), at, to);
        }
    }

    fn not_spawned(&mut self, run: RunId, now: u64, to: &mut Effects) {
        if self.is_launching(run) && self.pid == 0 {
            let wait = (NO_PROCESS << self.refused.min(16)).min(BACKOFF_MAX);
            self.refused = self.refused.saturating_add(1);
            self.wait(wait, now, to);
        }
    }

    fn executed(&mut self, run: RunId, now: u64, to: &mut Effects) {
        if self.is_launching(run) && self.pid != 0 {
            self.disarm(to);
            self.state = State::Online;
            self.since = now;
        }
    }

    fn exited(
        &mut self,
        exit: Exit,
        members: Members,
        policy: &Policy,
        now: u64,
        to: &mut Effects,
    ) {
        if self.pid == 0 {
            return;
        }
        self.pid = 0;
        self.exit = Some(exit);
        // An end that was asked for says nothing about how long the run would have lasted.
        if self.state != State::Stopping {
            let lasted = match self.state {
                State::Online | State::Paused => Some(now.saturating_sub(self.since)),
                _ => None,
            };
            if lasted.is_some() {
                to.push(Effect::Note(Note::Exited(exit)));
            }
            let is_short = lasted.is_none_or(|lasted| lasted < policy.min_uptime);
            self.unstable = if is_short {
                self.unstable.saturating_add(1)
            } else {
                0
            };
            let quiet = exit == Exit::Code(0) && self.state != State::Paused;
            if members == Members::Remain && is_short && quiet && self.want == Want::Up {
                to.push(Effect::Fail(self.run, Trouble::Background));
            }
        }
        match (members, self.state) {
            (Members::Gone, _) => self.end(policy, now, to),
            (Members::Remain, State::Stopping) => {}
            (Members::Remain, _) => self.terminate(policy, now, to),
        }
    }

    fn deadline_came(&mut self, deadline: Deadline, now: u64, to: &mut Effects) {
        if self
            .deadline
            .is_none_or(|(d, at)| d != deadline || at > now)
        {
            return self.replaced_deadline(deadline, now, to);
        }
        self.deadline = None;
        match self.state {
            State::Stopping => self.kill(now, to),
            State::Launching if self.pid != 0 => {
                if !self.late {
                    self.late = true;
                    to.push(Effect::Fail(self.run, Trouble::Late));
                }
                to.push(Effect::Signal(self.run, Purpose::Kill));
                let at = now.saturating_add(LATE_AGAIN);
                self.arm(Deadline::KillAgain(self.run), at, to);
            }
            State::Waiting => {
                self.restarts = self.restarts.saturating_add(1);
                self.launch(to);
            }
            _ => {}
        }
    }

    /// Nothing is left of the present run: the restart policy applies.
    fn end(&mut self, policy: &Policy, now: u64, to: &mut Effects) {
        self.pid = 0;
        if self.want == Want::Down {
            return self.come_to_rest(State::Stopped, to);
        }
        if self.restarting {
            self.restarts = self.restarts.saturating_add(1);
            self.unstable = 0;
            return self.launch(to);
        }
        let finished = match self.exit {
            Some(Exit::Code(code)) => policy.stop_exit_codes.contains(&code),
            _ => false,
        };
        if finished || !policy.autorestart {
            self.want = Want::Down;
            return self.come_to_rest(State::Stopped, to);
        }
        if self.unstable > policy.max_restarts {
            return self.come_to_rest(State::Errored, to);
        }
        match policy.delay(self.unstable) {
            0 => {
                self.restarts = self.restarts.saturating_add(1);
                self.launch(to);
            }
            delay => self.wait(delay, now, to),
        }
    }

    fn launch(&mut self, to: &mut Effects) {
        self.rest(State::Launching, to);
        self.run = self.run.next();
        to.push(Effect::Spawn(self.run));
    }

    fn terminate(&mut self, policy: &Policy, now: u64, to: &mut Effects) {
        self.state = State::Stopping;
        self.kills = 0;
        if policy.kill_timeout == 0 {
            return self.kill(now, to);
        }
        let at = now.saturating_add(policy.kill_timeout);
        self.arm(Deadline::StopTimeout(self.run), at, to);
        let purpose = if self.late {
            Purpose::Kill
        } else {
            Purpose::Terminate
        };
        to.push(Effect::Signal(self.run, purpose));
    }

    fn kill(&mut self, now: u64, to: &mut Effects) {
        if self.kills == 0 && !self.resisted {
            to.push(Effect::Note(Note::Killing));
        }
        let at = now.saturating_add(kill_wait(self.kills));
        self.kills = self.kills.saturating_add(1);
        self.arm(Deadline::KillAgain(self.run), at, to);
        to.push(Effect::Signal(self.run, Purpose::Kill));
    }

    /// What resists may be in reach by now.
    fn try_again(&mut self, now: u64, to: &mut Effects) {
        if self.resists() {
            self.kills = 0;
            self.kill(now, to);
        }
    }

    fn wait(&mut self, delay: u64, now: u64, to: &mut Effects) {
        self.rest(State::Waiting, to);
        self.arm(Deadline::RestartDelay, now.saturating_add(delay), to);
    }

    /// Comes to rest, unless a run that was replaced has not ended.
    fn come_to_rest(&mut self, state: State, to: &mut Effects) {
        if self.replaced.is_empty() {
            return self.rest(state, to);
        }
        self.rest(State::Stopping, to);
    }

    pub(super) fn rest(&mut self, state: State, to: &mut Effects) {
        self.disarm(to);
        self.state = state;
        self.pid = 0;
        self.restarting = false;
        self.kills = 0;
        self.late = false;
    }

    /// Sets the deadline of the present run; it takes the place of any other.
    fn arm(&mut self, deadline: Deadline, at: u64, to: &mut Effects) {
        if self.deadline.is_some_and(|(before, _)| before != deadline) {
            self.disarm(to);
        }
        self.deadline = Some((deadline, at));
        to.push(Effect::Arm(deadline, at));
    }

    fn disarm(&mut self, to: &mut Effects) {
        if let Some((deadline, _)) = self.deadline.take() {
            to.push(Effect::Cancel(deadline));
        }
    }

    pub(super) fn begin_replacing(&mut self, policy: &Policy, now: u64, to: &mut Effects) {
        let run = self.run;
        let at = now.saturating_add(policy.kill_timeout);
        let deadline = (Deadline::StopTimeout(run), at);
        self.replaced.push(Replaced {
            run,
            pid: self.pid,
            deadline,
            kills: 0,
        });
        self.launch(to);
        to.push(Effect::Arm(deadline.0, at));
        to.push(Effect::Signal(run, Purpose::Terminate));
    }

    fn replaced_exited(
        &mut self,
        run: RunId,
        members: Members,
        policy: &Policy,
        now: u64,
        to: &mut Effects,
    ) {
        let Some(replaced) = self.replaced.iter_mut().find(|old| old.run == run) else {
            return;
        };
        replaced.pid = 0;
        if members == Members::Gone {
            self.replaced_gone(run, policy, now, to);
        }
    }

    fn replaced_gone(&mut self, run: RunId, policy: &Policy, now: u64, to: &mut Effects) {
        let over = self
            .replaced
            .iter()
            .position(|old| old.run == run && old.pid == 0);
        let Some(at) = over else {
            return;
        };
        let (deadline, _) = self.replaced.remove(at).deadline;
        to.extend([Effect::Cancel(deadline), Effect::Drop(run)]);
        // The present run was over before it.
        if self.replaced.is_empty() && self.state == State::Stopping && self.deadline.is_none() {
            self.end(policy, now, to);
        }
    }

    fn replaced_deadline(&mut self, deadline: Deadline, now: u64, to: &mut Effects) {
        let mut replaced = self.replaced.iter_mut();
        let Some(old) = replaced.find(|old| old.deadline.0 == deadline && old.deadline.1 <= now)
        else {
            return;
        };
        let at = now.saturating_add(kill_wait(old.kills));
        old.kills = old.kills.saturating_add(1);
        old.deadline = (Deadline::KillAgain(old.run), at);
        to.push(Effect::Arm(old.deadline.0, at));
        to.push(Effect::Signal(old.run, Purpose::Kill));
    }
}

/// How long after a SIGKILL comes the next, after so many before.
fn kill_wait(kills: u32) -> u64 {
    (KILL_AGAIN << kills.min(16)).min(KILL_AGAIN_MAX)
}
