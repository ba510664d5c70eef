//! A stream of commands meanwhile, and looks at the list: programs that no command is about are always the same.

use std::collections::BTreeMap;

use rpm::model::life::{State, Want};
use rpm::protocol::process::Process;

use crate::random::Random;
use crate::scene::Scene;

/// How many programs are started, stopped, and so on.
const SUBJECTS: usize = 8;
/// How far the start of a process may seem to move: the kernel counts it in hundredths of a second, and a clock may be
/// set meanwhile. ms
const SAME_TIME: u64 = 2000;

/// What is known of a program that commands are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Absent,
    Up,
    Down,
    /// A command was cut short.
    Not,
}

/// What was done.
#[derive(Default)]
pub struct Done {
    pub done: u32,
    pub cut_short: u32,
    pub looks: u32,
}

/// Gives commands until the run is over.
pub fn command(scene: &Scene, seed: u64, writers: &BTreeMap<String, Process>) -> Done {
    let mut random = Random::new(seed, 2);
    let mut known = [Known::Absent; SUBJECTS];
    let mut done = Done::default();
    while !scene.is_over() {
        let at = usize::try_from(random.below(SUBJECTS as u64)).unwrap();
        let choice = random.below(10);
        if choice < 2 || known[at] == Known::Not {
            done.looks += u32::from(look(scene, writers, &mut known));
            continue;
        }
        let name = format!("s{at}");
        let start = ["start", &scene.own, "--name", &name, "--", "--sleeper"];
        let (words, then): (&[&str], Known) = match (choice, known[at]) {
            (2, _) => (&["ping"], known[at]),
            (3, _) => (&["list"], known[at]),
            (4, _) => (&["sync"], known[at]),
            (_, Known::Absent) => (&start, Known::Up),
            (5, _) => (&["delete", &name], Known::Absent),
            (6..=7, Known::Up) => (&["stop", &name], Known::Down),
            _ => (&["restart", &name], Known::Up),
        };
        let said = scene.rpm(words);
        match (said.done, said.disturbed) {
            (true, _) => {
                known[at] = then;
                done.done += 1;
            }
            (false, true) => {
                known[at] = Known::Not;
                done.cut_short += 1;
            }
            (false, false) => scene.fail(said.shown),
        }
    }
    done
}

/// Looks at the list, if somebody answers.
fn look(scene: &Scene, writers: &BTreeMap<String, Process>, known: &mut [Known]) -> bool {
    let Ok(list) = scene.list() else {
        return false;
    };
    for was in writers.values() {
        if let Err(sentence) = is_the_same(was, list.get(&was.name)) {
            scene.fail(sentence);
        }
    }
    for (at, known) in known.iter_mut().enumerate() {
        let is = list.get(&format!("s{at}"));
        let now = match is.map(|is| (is.want, is.state)) {
            None => Known::Absent,
            Some((Want::Up, State::Online)) => Known::Up,
            Some((Want::Down, State::Stopped)) => Known::Down,
            Some(_) if *known == Known::Not => continue,
            Some(_) => Known::Not,
        };
        if *known == Known::Not {
            *known = now;
        } else if *known != now {
            scene.fail(format!("s{at} should be {known:?}, and is {is:?}"));
        }
    }
    true
}

/// Whether a program is as it was, to its number and the time since when it runs.
pub fn is_the_same(was: &Process, is: Option<&Process>) -> Result<(), String> {
    let same = is.is_some_and(|is| {
        let fixed = |p: &Process| (p.id, p.pid, p.restarts, p.state, p.want, p.created);
        fixed(was) == fixed(is) && was.since.abs_diff(is.since) < SAME_TIME
    });
    if same {
        Ok(())
    } else {
        Err(format!("{} was {was:?}, and is {is:?}", was.name))
    }
}
