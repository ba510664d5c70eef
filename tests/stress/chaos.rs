//! What befalls the daemons.

use std::time::{Duration, Instant};

use rpm::sys::pid::Pid;
use rpm::sys::pidfd::PidFd;
use rpm::sys::signal::Signal;

use crate::random::Random;
use crate::scene::{Scene, ended, rest};

/// SIGSTOP.
const STOP: i32 = 19;
/// How long nothing happens at most between two of these. ms
const PAUSE: u64 = 600;
/// How long a log writer is stopped at most. ms
const STOPPED: u64 = 200;

/// What has happened.
#[derive(Default)]
pub struct Happened {
    pub supervisor_kills: u32,
    pub writer_kills: u32,
    pub kills_of_both: u32,
    pub writer_stops: u32,
    pub kills_beside_a_stopped_writer: u32,
    pub updates: u32,
    pub ends: u32,
    /// From the kill of a supervisor alone to an answered ping.
    pub recoveries: Vec<Duration>,
    /// From the kill of both to the end of `rpm ping`.
    pub launches: Vec<Duration>,
    /// Everyone who has served.
    pub supervisors: Vec<i32>,
}

/// Has all kinds of things happen until the run is over.
pub fn rage(scene: &Scene, seed: u64) -> Happened {
    let mut random = Random::new(seed, 1);
    let mut happened = Happened::default();
    while !scene.is_over() {
        rest(random.pause(PAUSE));
        let what = random.below(20);
        let pause = random.pause(STOPPED);
        let Some(supervisor) = scene.supervisor() else {
            scene.fail("the supervisor does not answer, and nothing has befallen it");
            break;
        };
        happened.supervisors.push(supervisor.get());
        match what {
            0..=5 => happened.kill_supervisor(scene, supervisor),
            6..=8 => happened.kill_writer(scene),
            9..=10 => happened.kill_both(scene, supervisor),
            11..=12 => happened.stop_writer(scene, pause),
            13 => happened.kill_beside_a_stopped_writer(scene, supervisor, pause),
            14..=18 => {
                scene.must(&["update"]);
                happened.updates += 1;
            }
            _ => {
                scene.disturb(|| scene.must(&["kill", "--keep"]));
                scene.must(&["ping"]);
                happened.ends += 1;
            }
        }
    }
    happened
}

impl Happened {
    fn kill_supervisor(&mut self, scene: &Scene, supervisor: Pid) {
        let begin = Instant::now();
        kill(scene, supervisor);
        if scene.wait_until("another supervisor", || scene.supervisor().is_some()) {
            self.recoveries.push(begin.elapsed());
        }
        self.supervisor_kills += 1;
    }

    fn kill_writer(&mut self, scene: &Scene) {
        if let Some(held) = held_writer(scene) {
            let _ = held.signal(Signal::KILL);
            self.writer_kills += 1;
        }
    }

    fn kill_both(&mut self, scene: &Scene, supervisor: Pid) {
        let Some(writer) = held_writer(scene) else {
            return;
        };
        let Ok(supervisor) = PidFd::open(supervisor) else {
            return scene.fail("the supervisor has gone by itself");
        };
        let begin = Instant::now();
        scene.disturb(|| {
            // Stopped first: neither has time to have another of the other.
            for signal in [Signal::new(STOP), Some(Signal::KILL)] {
                for held in [&writer, &supervisor] {
                    let _ = signal.map(|signal| held.signal(signal));
                }
            }
            if !(ended(&writer) && ended(&supervisor)) {
                scene.fail("a daemon survives SIGKILL");
            }
        });
        scene.must(&["ping"]);
        self.launches.push(begin.elapsed());
        self.kills_of_both += 1;
    }

    fn stop_writer(&mut self, scene: &Scene, time: Duration) {
        if let Some(held) = held_writer(scene) {
            let _ = Signal::new(STOP).map(|stop| held.signal(stop));
            rest(time);
            let _ = held.signal(Signal::CONT);
            self.writer_stops += 1;
        }
    }

    /// The log writer notices nothing, and serves the next supervisor when it goes on.
    fn kill_beside_a_stopped_writer(&mut self, scene: &Scene, supervisor: Pid, time: Duration) {
        let Some(held) = held_writer(scene) else {
            return;
        };
        let _ = Signal::new(STOP).map(|stop| held.signal(stop));
        kill(scene, supervisor);
        scene.must(&["ping"]);
        rest(time);
        let _ = held.signal(Signal::CONT);
        self.kills_beside_a_stopped_writer += 1;
    }
}

fn held_writer(scene: &Scene) -> Option<PidFd> {
    PidFd::open(scene.log_writer()?).ok()
}

fn kill(scene: &Scene, supervisor: Pid) {
    scene.disturb(|| match PidFd::open(supervisor) {
        Ok(held) => {
            let _ = held.signal(Signal::KILL);
            if !ended(&held) {
                scene.fail("the supervisor survives SIGKILL");
            }
        }
        Err(_) => scene.fail("the supervisor has gone by itself"),
    });
}
