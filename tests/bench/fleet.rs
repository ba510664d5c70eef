//! Starting and stopping many programs with one command.

use crate::home::Home;
use crate::measure::median;
use crate::table::{Bound, Quantity, Table};
use crate::workshop::{Place, Workshop};
use rpm::error::{Context, Error, Result};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Instant;

pub const START_ON_DISK: &str = "start of 500 programs, home on disk";
pub const START_ON_TMPFS: &str = "start of 500 programs, home on tmpfs";
pub const STOP: &str = "stop of 500 programs";

const COUNT: usize = 500;

/// The seconds of a start, and of the stop that came after it.
type StartAndStop = (f64, f64);

/// Starts and stops everything in a fresh home, again and again.
pub fn measure(workshop: &Workshop, table: &mut Table, place: Place) -> Result<()> {
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for run in 0..=workshop.runs(7, 3) {
        let a = of_rpm(workshop, place)?;
        let b = of_a_bare_loop(workshop)?;
        // The first run warms up.
        if run > 0 {
            ours.push(a);
            limit.push(b);
        }
    }
    let mut row = |what, part: fn(&StartAndStop) -> f64, bound| {
        let seconds =
            |runs: &[StartAndStop]| Quantity::Seconds(median(runs.iter().map(part).collect()));
        table.row(
            what,
            seconds(&ours),
            Some(seconds(&limit)),
            Bound::AtMost(bound),
        );
    };
    match place {
        Place::Memory => row(START_ON_TMPFS, |run| run.0, 1.7),
        Place::Disk => {
            row(START_ON_DISK, |run| run.0, 2.5);
            row(STOP, |run| run.1, 3.0);
        }
    }
    Ok(())
}

fn of_rpm(workshop: &Workshop, place: Place) -> Result<StartAndStop> {
    let home = Home::new(workshop, place);
    home.run(&["list"])?;
    workshop.settle(place);
    Ok((home.start_pausers("p", COUNT)?, home.run(&["stop", "all"])?))
}

/// The same with `fleet`, as its two messages tell.
fn of_a_bare_loop(workshop: &Workshop) -> Result<StartAndStop> {
    let mut command: Command = workshop.command(workshop.program("fleet"));
    command
        .arg(workshop.program("pauser"))
        .arg(COUNT.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());

    let begin = Instant::now();
    let mut fleet = command.spawn().doing(|| "starting the bare loop")?;
    let mut messages = BufReader::new(fleet.stdout.take().expect("its stdout is a pipe"));
    let running = hears(&mut messages, "running\n");
    let start = begin.elapsed().as_secs_f64();

    let begin = Instant::now();
    drop(fleet.stdin.take());
    let gone = hears(&mut messages, "gone\n");
    let stop = begin.elapsed().as_secs_f64();

    let status = fleet.wait().doing(|| "waiting for the bare loop")?;
    if running && gone && status.success() {
        return Ok((start, stop));
    }
    Err(Error::new(format!(
        "the bare loop did not start and stop its programs: {status}"
    )))
}

fn hears(messages: &mut BufReader<impl Read>, expected: &str) -> bool {
    let mut line = String::new();
    messages.read_line(&mut line).is_ok() && line == expected
}
