//! The daemons are killed at each system call of each command: what is found afterwards is a list that whole commands
//! could have made, and nothing beside it.
//!
//! Some of the system calls in an ordinary run, every one with `RPM_TEST_EVERY=1`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rpm::model::life::{State, Want};
use rpm::protocol::process::Process;
use rpm::sys::pid::Pid;
use rpm::sys::signal::{self, Signal};

use crate::harness::killer::{Call, Killed, Killer, PrintOnFailure, cannot_trace, some_of};
use crate::harness::wait::{readable, wait_for_end};
use crate::harness::wire::Wire;
use crate::harness::{Home, LIMIT, proc, skip, wait_until};

/// Of so many system calls an ordinary run takes one.
const STRIDE: usize = 7;

/// A home with two programs that no command of the test is about: one that runs and one that does not.
struct Scene {
    home: Home,
    /// An argument that all programs of this home have and no other process has.
    mark: String,
    bystanders: Vec<Process>,
}

/// The list and the processes of programs, at one time.
struct Look {
    list: Vec<Process>,
    processes: BTreeSet<i32>,
}

impl Look {
    fn running(&self) -> impl Iterator<Item = &Process> {
        self.list.iter().filter(|p| p.pid != 0)
    }

    /// Whether every program is as it is wanted, and there are its processes and no others.
    fn is_settled(&self) -> bool {
        let as_wanted = |p: &Process| match p.want {
            Want::Up => p.state == State::Online,
            Want::Down => p.state == State::Stopped,
        };
        let listed: BTreeSet<i32> = self.running().map(|p| p.pid).collect();
        self.list.iter().all(as_wanted) && listed == self.processes
    }
}

impl Scene {
    #[track_caller]
    fn new() -> Scene {
        let home = Home::new();
        let number = home.base.extension().unwrap().to_str().unwrap();
        let mark = format!("1{number:0>3}{:0>8}", std::process::id());
        let mut scene = Scene {
            home,
            mark,
            bystanders: Vec::new(),
        };
        for name in ["up", "down"] {
            scene.home.rpm(&scene.start(name, "1")).ok();
        }
        scene.home.rpm(&["stop", "down"]).ok();
        scene.bystanders = scene.subjects();
        scene
    }

    /// The words that start a program.
    fn start<'a>(&'a self, name: &'a str, instances: &'a str) -> Vec<&'a str> {
        let mut words = vec!["start", "sleep", "--name", name, "-i", instances];
        words.extend(["--min-uptime", "0", "--", &self.mark]);
        words
    }

    /// Processes of programs, whether they are in the list or not.
    fn processes(&self) -> BTreeSet<i32> {
        let is_one = |pid: &i32| {
            let words = proc::arguments(*pid);
            words.len() == 2 && words[0] == "sleep" && words[1] == self.mark
        };
        proc::all().into_iter().filter(is_one).collect()
    }

    fn look(&self) -> Look {
        Look {
            list: self.home.list(),
            processes: self.processes(),
        }
    }

    /// What of the list commands are about, when all has come to rest. There is nothing that is not in the list, and
    /// the programs that commands are not about are what they were.
    #[track_caller]
    fn subjects(&self) -> Vec<Process> {
        let end = Instant::now() + LIMIT;
        let mut look = self.look();
        while !look.is_settled() && Instant::now() < end {
            readable(&[], Duration::from_millis(5));
            look = self.look();
        }
        let list = &look.list;
        assert!(look.is_settled(), "{list:#?}, and {:?}", look.processes);
        assert_eq!(look.running().count(), look.processes.len(), "{list:#?}");
        let ids: BTreeSet<String> = list.iter().map(|p| p.id.to_string()).collect();
        assert_eq!(ids.len(), list.len(), "one number twice: {list:#?}");
        let entries = |folder| BTreeSet::from_iter(self.home.entries(folder));
        let pid_file = |p: &Process| format!("{}-{}.pid", p.name, p.id);
        let pid_files: BTreeSet<String> = look.running().map(pid_file).collect();
        // A process of its own makes and removes them.
        while (self.home.with_pipes() != ids || entries("pids") != pid_files)
            && Instant::now() < end
        {
            readable(&[], Duration::from_millis(5));
        }
        assert_eq!(self.home.with_pipes(), ids, "pipes, and the list");
        assert_eq!(entries("pids"), pid_files, "pid files, and the list");
        for was in &self.bystanders {
            let is = list.iter().find(|p| p.id == was.id);
            assert_eq!(is.map(lasting), Some(lasting(was)), "a bystander");
        }
        let mut list = look.list;
        list.retain(|p| self.bystanders.iter().all(|other| other.id != p.id));
        list
    }

    /// Has no program that a command is about.
    fn nothing(&self) {
        if !self.subjects().is_empty() {
            self.home.rpm(&["delete", "x"]).ok();
        }
    }

    /// Has one that runs, x.
    fn one(&self) {
        let words = match self.subjects().first().map(|p| p.state) {
            None => self.start("x", "1"),
            Some(State::Online) => return,
            Some(_) => vec!["restart", "x"],
        };
        self.home.rpm(&words).ok();
    }

    fn does(&self, words: &[&str]) -> bool {
        self.home.rpm(words).code == 0
    }
}

/// What of a program nothing but a command of its own changes.
fn lasting(p: &Process) -> (u32, &str, State, Want, i32, u32, u64) {
    (p.id, &p.name, p.state, p.want, p.pid, p.restarts, p.created)
}

/// Something that is done, how it is made ready, and what is to be found afterwards.
struct Case<Ready, Act, Verdict> {
    ready: Ready,
    /// Says whether it was done.
    act: Act,
    /// Gets what was, what is, and whether it was done.
    verdict: Verdict,
}

impl<Ready, Act, Verdict> Case<Ready, Act, Verdict>
where
    Ready: Fn(&Scene),
    Act: Fn(&Scene) -> bool,
    Verdict: Fn(&[Process], &[Process], bool),
{
    /// Once as it should be, to know the system calls; then the supervisor is killed at one after the other.
    #[track_caller]
    fn at_every_call(self, first: usize) {
        if let Some(reason) = cannot_trace() {
            return skip(reason);
        }
        let scene = Scene::new();
        let calls = self.once(&scene, None).calls;
        let calls = some_of(calls, STRIDE, first);
        // Not each time is a call made as often as the first time: then it is tried again.
        let is_killed = |call: &&Call| (0..3).any(|_| self.once(&scene, Some(call)).killed);
        let killed = calls.iter().filter(is_killed).count();
        assert!(killed * 2 > calls.len(), "{killed} of {}", calls.len());
    }

    #[track_caller]
    fn once(&self, scene: &Scene, call: Option<&Call>) -> Killed {
        (self.ready)(scene);
        let before = scene.subjects();
        let killer = Killer::of(&scene.home, scene.home.supervisor(), call);
        let done = (self.act)(scene);
        assert!(done || call.is_some());
        let end = killer.end(!done);
        let _told = PrintOnFailure(format!(
            "{call:?}, done: {done}, {before:#?}\n{}",
            end.shown
        ));
        scene.home.rpm(&["ping"]).ok();
        (self.verdict)(&before, &scene.subjects(), done);
        end
    }
}

/// A verdict about a start of so many instances; fewer of them are as if the others had been deleted.
fn started(instances: usize) -> impl Fn(&[Process], &[Process], bool) {
    move |_, after, done| {
        assert!(after.len() <= instances, "{after:#?}");
        assert!(!done || after.len() == instances, "done, and {after:#?}");
        for (at, p) in after.iter().enumerate() {
            let is = (p.instance as usize, p.state, p.restarts);
            assert_eq!(is, (at, State::Online, 0));
        }
    }
}

fn command(words: &'static [&'static str]) -> impl Fn(&Scene) -> bool {
    |scene| scene.does(words)
}

#[track_caller]
fn assert_same(before: &[Process], after: &[Process]) {
    let all = |list: &[Process]| format!("{:#?}", list.iter().map(lasting).collect::<Vec<_>>());
    assert_eq!(all(before), all(after));
}

#[test]
fn start() {
    let case = Case {
        ready: Scene::nothing,
        act: |scene: &Scene| scene.does(&scene.start("x", "1")),
        verdict: started(1),
    };
    case.at_every_call(0);
}

#[test]
fn start_of_three_instances() {
    let case = Case {
        ready: Scene::nothing,
        act: |scene: &Scene| scene.does(&scene.start("x", "3")),
        verdict: started(3),
    };
    case.at_every_call(1);
}

#[test]
fn stop() {
    let case = Case {
        ready: Scene::one,
        act: command(&["stop", "x"]),
        verdict: |before: &[Process], after: &[Process], done: bool| match after {
            [x] if x.state == State::Stopped => assert_eq!(x.restarts, before[0].restarts),
            _ if done => panic!("done, and {after:#?}"),
            _ => assert_same(before, after),
        },
    };
    case.at_every_call(2);
}

#[test]
fn restart() {
    let case = Case {
        ready: Scene::one,
        act: command(&["restart", "x"]),
        verdict: |before: &[Process], after: &[Process], done: bool| match after {
            [x] if x.pid != before[0].pid => {
                let once_more = (State::Online, before[0].restarts + 1);
                assert_eq!((x.state, x.restarts), once_more);
            }
            _ if done => panic!("done, and {after:#?}"),
            _ => assert_same(before, after),
        },
    };
    case.at_every_call(3);
}

#[test]
fn delete() {
    let case = Case {
        ready: Scene::one,
        act: command(&["delete", "x"]),
        verdict: |before: &[Process], after: &[Process], done: bool| match after {
            [] => {}
            _ if done => panic!("done, and {after:#?}"),
            [x] if x.state == State::Stopped => {}
            _ => assert_same(before, after),
        },
    };
    case.at_every_call(4);
}

#[test]
fn update() {
    let case = Case {
        ready: Scene::one,
        act: command(&["update"]),
        verdict: |before: &[Process], after: &[Process], _: bool| assert_same(before, after),
    };
    case.at_every_call(0);
}

#[test]
fn kill_keep() {
    let case = Case {
        ready: Scene::one,
        act: command(&["kill", "--keep"]),
        verdict: |before: &[Process], after: &[Process], _: bool| assert_same(before, after),
    };
    case.at_every_call(1);
}

#[test]
fn the_death_of_a_program() {
    let case = Case {
        ready: Scene::one,
        act: |scene: &Scene| {
            let supervisor = scene.home.supervisor();
            let before = scene.processes();
            let up = scene.bystanders[0].pid;
            let x = *before.iter().find(|pid| **pid != up).unwrap();
            proc::kill(x, Signal::KILL);
            let runs = || scene.processes().iter().any(|pid| !before.contains(pid));
            wait_until("x runs again, or its supervisor does not", || {
                runs() || !proc::lives(supervisor)
            });
            proc::lives(supervisor)
        },
        verdict: |before: &[Process], after: &[Process], _: bool| {
            let ([was], [is]) = (before, after) else {
                panic!("one, and then {after:#?}");
            };
            assert_ne!(was.pid, is.pid);
            let once_more = (State::Online, was.restarts + 1);
            assert_eq!((is.state, is.restarts), once_more);
        },
    };
    case.at_every_call(2);
}

/// One program has ended while nobody was there; it is to be found dead once, and started again once.
#[test]
fn the_start_of_a_supervisor_in_place_of_one_that_died() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let scene = Scene::new();
    let home = &scene.home;
    scene.one();
    let once = |call: Option<&Call>| {
        let before = scene.subjects();
        home.kill_daemons();
        proc::kill(before[0].pid, Signal::KILL);
        wait_for_end(before[0].pid);
        let killer = Killer::of_command(home, call, &[&home.daemon(), "--foreground"]);
        let serves = || {
            Wire::try_connect(&home.root)
                .is_ok_and(|mut wire| wire.try_send("ping\n").is_ok() && wire.line().is_some())
        };
        wait_until("it serves or has been killed", || {
            killer.is_over() || serves()
        });
        let end = match killer.is_over() {
            true => killer.end(true),
            false => {
                // It may be killed just now.
                let _ = Pid::new(home.supervisor()).map(|pid| signal::kill(pid, Signal::KILL));
                killer.end(true)
            }
        };
        let _told = PrintOnFailure(format!("{call:?}, {before:#?}\n{}", end.shown));
        home.rpm(&["ping"]).ok();
        let after = scene.subjects();
        assert_ne!(after[0].pid, before[0].pid);
        assert_eq!(after[0].restarts, before[0].restarts + 1);
        end.calls
    };
    for call in some_of(once(None), STRIDE, 3) {
        once(Some(&call));
    }
}
