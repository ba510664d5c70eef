//! A random walk through one life, with invariants after every event.

use super::*;

/// A kernel and a driver for one life: it makes pids, kills them, and watches what is done to whom.
struct World {
    life: Life,
    policy: Policy,
    now: u64,
    /// The live leader.
    leader: Option<i32>,
    /// Whether others of the leader's tree live.
    others: bool,
    next_pid: i32,
    spawns_owed: u32,
}

impl World {
    fn new(policy: Policy) -> World {
        World {
            life: Life::default(),
            policy,
            now: 0,
            leader: None,
            others: false,
            next_pid: 100,
            spawns_owed: 0,
        }
    }

    fn feed(&mut self, event: Event) {
        let action = self.life.step(event, &self.policy, self.now);
        match action {
            Some(Action::Spawn) => {
                assert_eq!(self.life.want, Want::Up, "a start while it is wanted down");
                assert!(
                    self.leader.is_none() && !self.others,
                    "a start while the last run lives"
                );
                self.spawns_owed = 1;
            }
            Some(Action::Terminate | Action::Kill | Action::Suspend | Action::Continue) => {
                assert!(
                    self.leader.is_some() || self.others,
                    "a signal to a reaped pid"
                );
            }
            None => {}
        }
        if event == Event::Deadline {
            let later = self.life.deadline.is_none_or(|at| at > self.now);
            assert!(later, "a deadline that has come, again: {:?}", self.life);
        }
        self.check();
    }

    fn check(&self) {
        let life = &self.life;
        assert_eq!(
            life.pid,
            self.leader.unwrap_or(0),
            "one live pid, and it is known"
        );
        let timed = matches!(life.state, State::Stopping | State::Waiting);
        assert_eq!(
            life.deadline.is_some(),
            timed,
            "a timer where it belongs: {life:?}"
        );
        let killed = life.kills > 0;
        assert!(
            !killed || life.state == State::Stopping,
            "SIGKILLs are counted while it is stopping: {life:?}"
        );
        if life.at_rest() || life.state == State::Waiting {
            assert!(
                self.leader.is_none() && !self.others,
                "at rest, and something runs"
            );
        }
        if life.want == Want::Down {
            assert!(
                matches!(life.state, State::Stopped | State::Stopping),
                "down, but {:?}",
                life.state
            );
        }
        if matches!(life.state, State::Online | State::Paused) {
            assert!(life.pid != 0);
        }
    }

    /// One thing that a real world could do next.
    fn happen(&mut self, dice: u64) {
        self.now += [0, 1, 40, 700, 3000][(dice >> 8) as usize % 5];
        match dice % 12 {
            0 => self.feed(Event::Start),
            1 => self.feed(Event::Stop),
            2 => self.feed(Event::Restart),
            3 | 4 => self.spawn(dice & 0x1_0000 != 0),
            5 => self.feed(Event::Executed),
            6 | 7 => self.die(dice & 0x3_0000 == 0),
            8 => self.others_end(),
            9 => self.feed(Event::Pause),
            10 => self.feed(Event::Resume),
            _ => self.feed(Event::Deadline),
        }
    }

    fn spawn(&mut self, refused: bool) {
        if self.spawns_owed == 0 || self.life.state != State::Launching || self.life.pid != 0 {
            self.spawns_owed = 0;
            return;
        }
        self.spawns_owed = 0;
        if refused {
            return self.feed(Event::NotSpawned);
        }
        self.next_pid += 1;
        self.leader = Some(self.next_pid);
        self.feed(Event::Spawned(self.next_pid));
    }

    fn die(&mut self, remain: bool) {
        if self.leader.take().is_some() {
            self.others = remain;
            self.feed(Event::Exited(Exit::Code(1), remain));
        }
    }

    fn others_end(&mut self) {
        if self.leader.is_none() {
            self.others = false;
            self.feed(Event::Gone);
        }
    }
}

#[test]
fn a_random_walk_breaks_no_invariant_and_can_always_be_brought_to_rest() {
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut dice = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed >> 3
    };
    for walk in 0..2_000 {
        let mut world = World::new(Policy {
            autorestart: walk % 7 != 0,
            max_restarts: walk % 4,
            kill_timeout: u64::from(walk % 3) * 800,
            restart_delay: u64::from(walk % 5 / 4) * 100,
            ..Policy::of(&crate::model::spec::Spec::default())
        });
        for _ in 0..200 {
            world.happen(dice());
        }
        world.feed(Event::Stop);
        for _ in 0..6 {
            world.now += 10_000;
            world.feed(Event::Deadline);
            world.die(true);
            world.others_end();
        }
        assert_eq!(
            world.life.state,
            State::Stopped,
            "walk {walk} was not brought to rest"
        );
        assert!(world.life.deadline.is_none());
    }
}
