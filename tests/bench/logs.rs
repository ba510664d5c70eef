//! How fast a program can write its log.

use crate::home::Home;
use crate::measure::{in_turn, length, wait_until};
use crate::table::{Bound, Quantity, Table};
use crate::workshop::{Place, Workshop};
use rpm::error::{Context, Error, Result};
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

pub const LARGE_WRITES: &str = "log throughput, 2 GiB, 64 KiB writes";
pub const SMALL_WRITES: &str = "log throughput, 400 MB, 100-byte writes";

/// A program that writes its log as fast as it can.
pub struct Flood {
    pub program: PathBuf,
    /// Where the log goes. The caller has the program started with it.
    pub log: PathBuf,
    bytes: u64,
    chunk: u64,
    gate: PathBuf,
}

impl Flood {
    pub fn new(workshop: &Workshop, bytes: u64, chunk: u64) -> Flood {
        let (log, gate) = (workshop.fresh(Place::Disk), workshop.fresh(Place::Memory));
        Flood {
            program: workshop.program("flood"),
            log,
            bytes,
            chunk,
            gate,
        }
    }

    /// Its arguments.
    pub fn arguments(&self) -> [String; 3] {
        [
            self.bytes.to_string(),
            self.chunk.to_string(),
            self.gate.to_string_lossy().into_owned(),
        ]
    }

    /// Opens the gate and gives the seconds until every byte is in the log.
    pub fn seconds(&self) -> Result<f64> {
        let (limit, pause) = (Duration::from_secs(10), Duration::from_millis(1));
        wait_until("the writing program", limit, pause, || self.gate.exists())?;
        // The program reads the gate until it is closed. This blocks until both sides are there.
        let gate = OpenOptions::new().write(true).open(&self.gate);
        let begin = Instant::now();
        drop(gate.doing(|| format!("opening {}", self.gate.display()))?);

        let (mut there, mut last) = (0, begin);
        while there < self.bytes {
            thread::sleep(pause);
            let now = length(&self.log);
            if now > there {
                (there, last) = (now, Instant::now());
            } else if last.elapsed() > limit {
                let (log, bytes) = (self.log.display(), self.bytes);
                return Err(Error::new(format!(
                    "{log} stays at {there} of {bytes} bytes"
                )));
            }
        }
        Ok(begin.elapsed().as_secs_f64())
    }
}

impl Drop for Flood {
    /// The log goes at once: it is large.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.log);
    }
}

/// Few large writes.
pub fn large_writes(workshop: &Workshop, table: &mut Table) -> Result<()> {
    let runs = workshop.runs(5, 2);
    measure(
        workshop,
        table,
        LARGE_WRITES,
        (2 << 30, 64 << 10),
        0.5,
        runs,
    )
}

/// A write for every line.
pub fn small_writes(workshop: &Workshop, table: &mut Table) -> Result<()> {
    let runs = workshop.runs(5, 1);
    measure(workshop, table, SMALL_WRITES, (400_000_000, 100), 1.3, runs)
}

fn measure(
    workshop: &Workshop,
    table: &mut Table,
    what: &str,
    (bytes, chunk): (u64, u64),
    bound: f64,
    runs: usize,
) -> Result<()> {
    let home = Home::new(workshop, Place::Disk);
    let ours = || {
        let flood = Flood::new(workshop, bytes, chunk);
        let (program, log) = (flood.program.to_string_lossy(), flood.log.to_string_lossy());
        let [bytes, chunk, gate] = flood.arguments();
        home.run(&[
            "start",
            &program,
            "--name",
            "flood",
            "-o",
            &log,
            "--log-max-size",
            "0",
            "--",
            &bytes,
            &chunk,
            &gate,
        ])?;
        let seconds = flood.seconds();
        home.run(&["delete", "all"])?;
        seconds
    };
    let limit = || {
        let flood = Flood::new(workshop, bytes, chunk);
        let mut command = workshop.command("sh");
        command
            .args(["-c", "exec \"$@\" >> \"$0\""])
            .arg(&flood.log)
            .arg(&flood.program);
        let mut child = command
            .args(flood.arguments())
            .spawn()
            .doing(|| "starting a shell")?;
        let seconds = flood.seconds();
        let _ = child.kill();
        child.wait().doing(|| "waiting for the writing program")?;
        seconds
    };
    let (ours, limit) = in_turn(runs, ours, limit)?;
    let rate = |seconds: f64| Quantity::Rate(bytes as f64 / seconds);
    table.row(what, rate(ours), Some(rate(limit)), Bound::AtLeast(bound));
    Ok(())
}
