//! A random walk through the machine of one program, with invariants after every event.

use std::collections::BTreeMap;

use super::*;

/// A run as the kernel has it.
#[derive(Debug, Default)]
struct Living {
    /// The live leader.
    leader: Option<i32>,
    /// Whether other members live.
    others: bool,
    /// The driver has asked for a process and not had an answer.
    asked: bool,
}

/// A kernel and a driver for one program: it makes pids, kills them, and watches what is done to whom.
struct World {
    life: Life,
    policy: Policy,
    now: u64,
    /// Every run that was asked for and not dropped.
    runs: BTreeMap<RunId, Living>,
    /// The deadlines that are armed.
    armed: BTreeMap<Deadline, u64>,
    /// What is on record.
    recorded: (Want, bool),
    next_pid: i32,
}

impl World {
    fn new(policy: Policy) -> World {
        World {
            life: Life::default(),
            policy,
            now: 0,
            runs: BTreeMap::new(),
            armed: BTreeMap::new(),
            recorded: (Want::Down, true),
            next_pid: 100,
        }
    }

    fn feed(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.life.step(event, &self.policy, self.now, &mut effects);
        self.carry_out(event, effects);
    }

    fn replace(&mut self) {
        let mut effects = Vec::new();
        self.life.replace(&self.policy, self.now, &mut effects);
        let signals = effects.iter().filter(|e| matches!(e, Effect::Signal(..)));
        assert!(signals.count() < 2);
        self.carry_out(Event::Restart, effects);
    }

    fn carry_out(&mut self, event: Event, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Spawn(run) => {
                    assert_eq!(self.life.want, Want::Up, "a start while it is wanted down");
                    assert_eq!(run, self.life.run);
                    let asked = Living {
                        asked: true,
                        ..Living::default()
                    };
                    assert!(self.runs.insert(run, asked).is_none(), "a run twice");
                }
                Effect::Signal(run, _) => {
                    let living = &self.runs[&run];
                    let lives = living.leader.is_some() || living.others;
                    assert!(lives, "a signal to a reaped pid: {event:?}");
                }
                Effect::Drop(run) => {
                    let living = self.runs.remove(&run).expect("a run is dropped once");
                    assert!(living.leader.is_none() && !living.others, "dropped alive");
                }
                Effect::Arm(deadline, at) => {
                    assert!(
                        at > self.now || self.policy.kill_timeout == 0,
                        "{deadline:?}"
                    );
                    self.armed.insert(deadline, at);
                }
                Effect::Cancel(deadline) => {
                    self.armed.remove(&deadline);
                }
                Effect::Save(_) => {
                    self.recorded = (self.life.want, self.life.at_rest());
                }
                _ => {}
            }
        }
        // A run whose process was refused, or is not asked for any more, never was.
        let life = &self.life;
        let launching = life.state == State::Launching && life.pid == 0;
        self.runs
            .retain(|run, living| !living.asked || launching && *run == life.run);
        self.check();
    }

    fn check(&self) {
        let life = &self.life;
        let present = self.runs.get(&life.run);
        let leader = present.and_then(|run| run.leader);
        assert_eq!(life.pid, leader.unwrap_or(0), "{life:?}");
        assert_eq!(
            self.recorded,
            (life.want, life.at_rest()),
            "what is wanted is on record"
        );
        let mut armed: Vec<(Deadline, u64)> = life.deadline.into_iter().collect();
        armed.extend(life.replaced.iter().map(|old| old.deadline));
        armed.sort_unstable();
        let found: Vec<(Deadline, u64)> = self.armed.iter().map(|(d, at)| (*d, *at)).collect();
        assert_eq!(found, armed, "no stale deadline: {life:?}");
        let known = self
            .runs
            .keys()
            .all(|run| *run == life.run || life.replaced.iter().any(|old| old.run == *run));
        assert!(known, "a run has leaked: {:?} {life:?}", self.runs);
        if life.kills > 0 {
            assert_eq!(life.state, State::Stopping, "{life:?}");
        }
        if life.at_rest() {
            assert!(self.runs.is_empty(), "at rest, and something runs");
        }
        if life.state == State::Waiting {
            assert!(present.is_none(), "it waits, and the last run lives");
        }
        if life.want == Want::Down {
            let down = matches!(life.state, State::Stopped | State::Stopping);
            assert!(down, "down, but {:?}", life.state);
        }
        if matches!(life.state, State::Online | State::Paused) {
            assert!(life.pid != 0);
        }
        let ours = self.runs.values().filter(|run| run.leader.is_some());
        assert!(ours.count() <= 1 + life.replaced.len(), "two copies");
    }

    /// One thing that a real world could do next.
    fn happen(&mut self, dice: u64) {
        self.now += [0, 1, 40, 700, 3000][(dice >> 8) as usize % 5];
        match dice % 13 {
            0 => self.feed(Event::Start),
            1 => self.feed(Event::Stop),
            2 => self.feed(Event::Restart),
            3 | 4 => self.spawn(dice & 0x1_0000 != 0),
            5 => self.feed(Event::Executed(self.life.run)),
            6 | 7 => self.die(dice >> 20, dice & 0x3_0000 == 0),
            8 => self.others_end(dice >> 20),
            9 => self.feed(Event::Pause),
            10 => self.feed(Event::Resume),
            11 if dice & 0x30_0000 == 0 => self.replace(),
            _ => self.time_passes(),
        }
    }

    /// What is due comes.
    fn time_passes(&mut self) {
        let due = self.armed.iter().find(|(_, at)| **at <= self.now);
        if let Some((deadline, _)) = due.map(|(d, at)| (*d, *at)) {
            self.armed.remove(&deadline);
            self.feed(Event::Deadline(deadline));
            let again = self.armed.get(&deadline);
            assert!(again.is_none_or(|at| *at > self.now), "{deadline:?} spins");
        }
    }

    fn spawn(&mut self, refused: bool) {
        let Some((run, living)) = self.runs.iter_mut().find(|(_, run)| run.asked) else {
            return;
        };
        let run = *run;
        if refused {
            return self.feed(Event::NotSpawned(run));
        }
        self.next_pid += 1;
        (living.asked, living.leader) = (false, Some(self.next_pid));
        self.feed(Event::Spawned(run, self.next_pid));
    }

    fn die(&mut self, which: u64, remain: bool) {
        let mut alive = self.runs.iter_mut().filter(|(_, run)| run.leader.is_some());
        let Some((run, living)) = alive.nth(which as usize % 2) else {
            return;
        };
        let run = *run;
        (living.leader, living.others) = (None, remain);
        let members = if remain {
            Members::Remain
        } else {
            Members::Gone
        };
        self.feed(Event::Exited(run, Exit::Code(1), members));
    }

    fn others_end(&mut self, which: u64) {
        let leaderless = self.runs.iter_mut().filter(|(_, run)| run.others);
        let Some((run, living)) = leaderless.rev().nth(which as usize % 2) else {
            return;
        };
        let run = *run;
        living.others = false;
        self.feed(Event::Gone(run));
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
    let mut side_by_side = 0;
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
            side_by_side += usize::from(world.runs.len() > 1);
        }
        world.feed(Event::Stop);
        for _ in 0..6 {
            world.now += 10_000;
            for _ in 0..4 {
                world.time_passes();
            }
            world.die(0, true);
            world.die(0, true);
            world.others_end(0);
            world.others_end(0);
        }
        let state = world.life.state;
        assert_eq!(state, State::Stopped, "walk {walk} was not brought to rest");
        assert!(world.armed.is_empty() && world.runs.is_empty());
    }
    assert!(side_by_side > 1000, "{side_by_side}");
}
