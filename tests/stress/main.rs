//! Programs outlive the manager: for minutes the daemons are killed, stopped, updated and commanded at random, and at
//! the end every line that any program has printed is in its log, in its order and once.
//!
//! ```text
//! cargo bench --bench stress -- [--seconds N] [--seed N] [--writers N]
//! cargo bench --bench stress -- --update-time        how long an update takes with 500 programs
//! ```
//!
//! The same seed makes the same choices in the same order; how they meet is up to the machine. What a program has
//! printed just before it ended while no daemon ran is lost with its pipe: so only writers that live to the end are
//! counted, not those programs that crash.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod account;
mod chaos;
mod commands;
mod program;
mod random;
mod scene;

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rpm::model::life::{State, Want};
use rpm::protocol::process::Process;
use rpm::sys::pid::Pid;
use rpm::sys::signal::{self, Signal};

use scene::{Scene, processes, rest};

/// How many programs crash time and again.
const CRASHERS: usize = 4;
/// How many programs there are when the time of an update is taken, and how often it is.
const FLEET: (&str, usize) = ("500", 15);

struct Options {
    seconds: u64,
    seed: u64,
    writers: usize,
    update_time: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    program::run(&words);
    // `cargo test --all-targets` runs this too, without this flag.
    if !words.iter().any(|word| word == "--bench") {
        println!("This takes minutes: run it with `make stress`.");
        return ExitCode::SUCCESS;
    }
    let options = match parse(&words) {
        Ok(options) => options,
        Err(sentence) => {
            eprintln!("stress: {sentence}");
            return ExitCode::from(2);
        }
    };
    let scene = match Scene::new() {
        Ok(scene) => scene,
        Err(e) => {
            eprintln!("stress: making a folder: {e}");
            return ExitCode::FAILURE;
        }
    };
    if options.update_time {
        time_updates(&scene)
    } else {
        run(&scene, &options)
    }
    let Some(failure) = scene.failure() else {
        let _ = fs::remove_dir_all(&scene.folder);
        return ExitCode::SUCCESS;
    };
    eprintln!("stress: seed {}: {failure}", options.seed);
    eprintln!("stress: the home stays in {}", scene.root.display());
    for pid in processes(&scene.root).into_iter().filter_map(Pid::new) {
        let _ = signal::kill(pid, Signal::KILL);
    }
    ExitCode::FAILURE
}

fn parse(words: &[String]) -> Result<Options, String> {
    let mut options = Options {
        seconds: 120,
        seed: 1,
        writers: 50,
        update_time: false,
    };
    let mut words = words.iter().filter(|word| *word != "--bench");
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().and_then(|value| value.parse().ok());
            value.ok_or_else(|| format!("{word} needs a number"))
        };
        match word.as_str() {
            "--seconds" => options.seconds = number()?,
            "--seed" => options.seed = number()?,
            "--writers" => options.writers = usize::try_from(number()?).unwrap_or(50),
            "--update-time" => options.update_time = true,
            _ => return Err(format!("{word} is no option of it")),
        }
    }
    Ok(options)
}

fn run(scene: &Scene, options: &Options) {
    let seed = options.seed.to_string();
    let start = |name: &str, number: usize, kind: &str, flags: &[&str]| {
        let number = number.to_string();
        let begin = ["start", &scene.own, "--name", name];
        let end = ["--", kind, &seed, &number];
        scene.must(&[&begin, flags, &end].concat());
    };
    for number in 0..options.writers {
        let flags = program::log_flags(number as u64);
        start(&format!("w{number}"), number, "--writer", flags);
    }
    let patient = ["--max-restarts", "1000000", "--restart-delay", "5"];
    for number in 0..CRASHERS {
        start(&format!("c{number}"), number, "--crasher", &patient);
    }
    let is_writer = |name: &String| name.starts_with('w');
    let mut writers = scene.list().unwrap_or_default();
    writers.retain(|name, _| is_writer(name));
    if writers.len() != options.writers {
        scene.fail(format!("only {} writers run", writers.len()));
    }
    let (happened, done) = std::thread::scope(|scope| {
        let chaos = scope.spawn(|| chaos::rage(scene, options.seed));
        let commands = scope.spawn(|| commands::command(scene, options.seed, &writers));
        let end = Instant::now() + Duration::from_secs(options.seconds);
        while Instant::now() < end && !scene.is_over() {
            rest(Duration::from_millis(100));
        }
        scene.end();
        (chaos.join().unwrap(), commands.join().unwrap())
    });
    if scene.failure().is_some() {
        return;
    }
    let found = account_for(scene, options, &writers, &happened);
    if scene.failure().is_none() {
        report(options, &happened, &done, &found);
    }
}

fn account_for(
    scene: &Scene,
    options: &Options,
    writers: &BTreeMap<String, Process>,
    happened: &chaos::Happened,
) -> account::Found {
    scene.must(&["ping"]);
    let mut supervisors = happened.supervisors.clone();
    supervisors.extend(scene.supervisor().map(Pid::get));
    let _ = fs::write(scene.folder.join("finish"), "");
    let finished = |number| scene.folder.join(format!("finished.{number}")).exists();
    scene.wait_until("all writers have finished", || {
        (0..options.writers).all(finished)
    });
    // A crasher is between two runs at times.
    scene.must(&["stop", "c0", "c1", "c2", "c3"]);
    let mut list = BTreeMap::new();
    scene.wait_until("every program is as it is wanted", || {
        list = scene.list().unwrap_or_default();
        list.values().all(|p| match p.want {
            Want::Up => p.state == State::Online,
            Want::Down => p.state == State::Stopped,
        })
    });
    for was in writers.values() {
        if let Err(sentence) = commands::is_the_same(was, list.get(&was.name)) {
            scene.fail(sentence);
        }
    }
    account::processes_of(scene, &list);
    scene.must(&["stop", "all"]);
    let mut found = account::lines(scene, options.writers);
    let crashers = list.values().filter(|p| p.name.starts_with('c'));
    found.crashes = crashers.map(|p| p.restarts).sum();
    scene.must(&["kill"]);
    account::nothing_is_left(scene, &supervisors);
    found
}

fn report(
    options: &Options,
    happened: &chaos::Happened,
    done: &commands::Done,
    found: &account::Found,
) {
    println!(
        "seed {}, {} s, {} writers",
        options.seed, options.seconds, options.writers
    );
    println!(
        "killed by SIGKILL: rpmd {}, rpmd-log {}, both {}, rpmd beside a stopped rpmd-log {}",
        happened.supervisor_kills,
        happened.writer_kills,
        happened.kills_of_both,
        happened.kills_beside_a_stopped_writer
    );
    println!(
        "rpmd-log stopped {}, updates {}, kill --keep {}, crashes of programs {}",
        happened.writer_stops, happened.updates, happened.ends, found.crashes
    );
    println!(
        "commands: {} done, {} cut short by a kill; {} looks at the list",
        done.done, done.cut_short, done.looks
    );
    println!(
        "lines checked: {} ({} MB), losses: 0",
        found.lines,
        found.bytes / 1_000_000
    );
    println!(
        "from kill -9 of rpmd to an answered ping: {}",
        times(&happened.recoveries)
    );
    println!(
        "from kill -9 of both to the end of rpm ping: {}",
        times(&happened.launches)
    );
}

/// The median and the worst.
fn times(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let ms = |at: Option<&Duration>| at.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    let (median, worst) = (sorted.get(sorted.len() / 2), sorted.last());
    format!("median {:.1} ms, worst {:.1} ms", ms(median), ms(worst))
}

fn time_updates(scene: &Scene) {
    let (count, times_over) = FLEET;
    let sleepers = [
        "start",
        &scene.own,
        "--name",
        "s",
        "-i",
        count,
        "--",
        "--sleeper",
    ];
    scene.must(&sleepers);
    let mut took = Vec::new();
    for _ in 0..times_over {
        let begin = Instant::now();
        scene.must(&["update"]);
        took.push(begin.elapsed());
    }
    let online = scene.ask("list").map_or(0, |(rows, _)| {
        let rows = rows.iter().filter_map(Process::from_line);
        rows.filter(|p| p.state == State::Online && p.restarts == 0)
            .count()
    });
    if online.to_string() != count {
        scene.fail(format!("{online} of {count} programs are what they were"));
    }
    scene.must(&["kill"]);
    println!("rpm update with {count} programs: {}", times(&took));
}
