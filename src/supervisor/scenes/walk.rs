//! Random walks: clients, deaths, forks, kills of the daemon and failing looks in any order. The invariants of
//! [`Scene::check`] hold after every turn, and an answer is true when it is given.

use super::{Client, Scene};
use crate::model::life::{Exit, State};
use crate::supervisor::driver::fake::world::Child;
use crate::supervisor::store::state::Boot;
use crate::sys::pid::Pid;
use crate::test_rng::test_rng;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A request whose answer is awaited.
struct Asked {
    client: Client,
    verb: &'static str,
    name: &'static str,
    /// Another client has asked something about the same program meanwhile.
    overtaken: bool,
}

struct Walk {
    scene: Scene,
    asked: Vec<Asked>,
    answers: usize,
}

impl Walk {
    fn ids(&mut self, name: &str) -> Vec<u32> {
        let programs = self.scene.daemon().programs.values();
        programs
            .filter(|p| p.spec.name == name)
            .map(|p| p.id)
            .collect()
    }

    fn ask(&mut self, verb: &'static str, name: &'static str) {
        let request = match verb {
            "start" => format!("start name={name} script=/bin/x cwd=/ kill_timeout=300"),
            _ => format!("{verb} target={name}"),
        };
        let mut overtaken = false;
        for other in self.asked.iter_mut().filter(|other| other.name == name) {
            (other.overtaken, overtaken) = (true, true);
        }
        let client = self.scene.ask(&request);
        self.asked.push(Asked {
            client,
            verb,
            name,
            overtaken,
        });
    }

    /// An "ok" is true in the turn in which it is given.
    fn look_at_answers(&mut self) {
        for mut asked in std::mem::take(&mut self.asked) {
            let Some(verdict) = asked.client.verdict() else {
                let token = asked.client.token;
                let waits = self.scene.daemon().connections.contains_key(&token);
                assert!(waits, "{} has no answer", asked.verb);
                self.asked.push(asked);
                continue;
            };
            self.answers += 1;
            if !verdict.starts_with("ok") || asked.overtaken {
                continue;
            }
            let ids = self.ids(asked.name);
            match asked.verb {
                "delete" => assert_eq!(ids, [], "deleted"),
                "stop" => {
                    for id in ids {
                        assert_eq!(self.scene.state(id), State::Stopped);
                        assert_eq!(self.scene.see().of(id), []);
                    }
                }
                "start" | "restart" => assert!(!ids.is_empty()),
                _ => {}
            }
        }
    }

    fn some_process(&mut self, dice: u64) -> Option<Pid> {
        let world = self.scene.see();
        let ours: Vec<Pid> = world
            .processes
            .iter()
            .filter(|(pid, p)| p.program.is_some() && world.lives(**pid))
            .map(|(pid, _)| *pid)
            .collect();
        ours.get(dice as usize % ours.len().max(1)).copied()
    }

    fn happen(&mut self, dice: u64) {
        let name = NAMES[(dice >> 8) as usize % 3];
        let process = self.some_process(dice >> 16);
        match (dice % 24, process) {
            (0..=2, _) => self.ask("start", name),
            (3 | 4, _) => self.ask("stop", name),
            (5 | 6, _) => self.ask("restart", name),
            (7, _) => self.ask("delete", name),
            (8, _) => self.ask("pause", name),
            (9, _) => self.ask("resume", name),
            (10 | 11, Some(pid)) => self.scene.world().die(pid, Exit::Code(1)),
            (12 | 13, Some(pid)) if self.scene.see().processes.len() < 20 => {
                self.scene.world().fork(pid, dice & 0x10_0000 != 0);
            }
            (14, Some(pid)) => {
                let mut world = self.scene.world();
                world.processes.get_mut(&pid).unwrap().stubborn = true;
            }
            (15, _) => self.scene.world().child = Child::Executes,
            (16, _) => self.scene.world().child = Child::Fails,
            (17, _) => self.scene.world().child = Child::Executes,
            (18, _) => {
                self.scene.world().no_process = (dice & 0x10_0000 != 0).then_some(libc::EAGAIN)
            }
            (19, _) => self.scene.world().blind = (dice & 0x30_0000 == 0).then_some(libc::EMFILE),
            (20, _) if dice & 0x70_0000 == 0 => {
                // Nobody is answered by a daemon that is dead.
                self.asked.clear();
                self.scene.kill_daemon(Boot::Same, |_| {});
            }
            (21, _) if self.scene.see().processes.len() < 15 => {
                self.scene.world().stranger();
            }
            _ => {}
        }
        let ms = [0, 1, 30, 200, 700][(dice >> 40) as usize % 5];
        self.scene.pass(ms);
        self.look_at_answers();
    }
}

#[test]
fn a_random_walk_breaks_no_invariant_and_ends_at_rest() {
    let mut dice = test_rng();
    let (mut answers, mut runs) = (0, 0);
    for number in 0..40 {
        let mut walk = Walk {
            scene: Scene::new(&format!("walk-{number}")),
            asked: Vec::new(),
            answers: 0,
        };
        for _ in 0..150 {
            walk.happen(dice() >> 4);
        }
        walk.scene.world().blind = None;
        walk.scene.world().no_process = None;
        walk.scene.world().child = Child::Executes;
        runs += walk
            .scene
            .daemon()
            .programs
            .values()
            .map(|p| p.life.run.0)
            .sum::<u32>();
        walk.ask("stop", "all");
        walk.scene.pass(70_000);
        walk.look_at_answers();
        assert!(walk.asked.is_empty(), "somebody has no answer");
        let programs = walk.scene.daemon().programs.values();
        let awake: Vec<_> = programs
            .filter(|p| !p.life.at_rest())
            .map(|p| &p.life)
            .collect();
        assert!(awake.is_empty(), "walk {number}: {awake:?}");
        answers += walk.answers;
    }
    assert!(
        answers > 1000 && runs > 200,
        "{answers} answers, {runs} runs"
    );
}
