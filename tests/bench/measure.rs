//! Clocks and medians.

use rpm::error::{Context, Error, Result};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// The middle value; of an even number of values, the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "there is no median of nothing");
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

/// Ours and the limit in turn, after one of each that does not count; gives the median of each.
pub fn in_turn(
    runs: usize,
    mut ours: impl FnMut() -> Result<f64>,
    mut limit: impl FnMut() -> Result<f64>,
) -> Result<(f64, f64)> {
    let (mut of_ours, mut of_limit) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        let (a, b) = (ours()?, limit()?);
        if run > 0 {
            of_ours.push(a);
            of_limit.push(b);
        }
    }
    Ok((median(of_ours), median(of_limit)))
}

/// Seconds from before the command is spawned until it was reaped.
pub fn wall(command: &mut Command) -> Result<f64> {
    let begin = Instant::now();
    let status = command.status();
    let seconds = begin.elapsed().as_secs_f64();
    succeeded(
        command,
        &status.doing(|| format!("running {:?}", command.get_program()))?,
    )?;
    Ok(seconds)
}

/// An error if the command failed.
pub fn succeeded(command: &Command, status: &ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let words: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy())
        .collect();
    let program = command.get_program().to_string_lossy();
    Err(Error::new(format!(
        "`{program} {}` failed with {status}",
        words.join(" ")
    )))
}

/// Looks every `pause` until `done`, and says what did not happen if that takes longer than `limit`.
pub fn wait_until(
    what: &str,
    limit: Duration,
    pause: Duration,
    mut done: impl FnMut() -> bool,
) -> Result<()> {
    let begin = Instant::now();
    while !done() {
        if begin.elapsed() > limit {
            return Err(Error::new(format!(
                "waited {} s in vain for {what}",
                limit.as_secs()
            )));
        }
        thread::sleep(pause);
    }
    Ok(())
}

/// The size of a file; nothing, as long as there is none.
pub fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |file| file.len())
}
