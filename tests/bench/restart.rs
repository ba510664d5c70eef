//! From the death of a program to the first statement of the next one.

use crate::home::Home;
use crate::measure::{length, median, wait_until};
use crate::table::{Bound, Quantity, Table};
use crate::workshop::{Place, Workshop};
use rpm::error::{Context, Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

pub const RESTART: &str = "restart, from death to first statement";

/// Deaths of one program, before the limit has its turn.
const DEATHS: usize = 25;

/// Milliseconds that each life lasts: enough for a manager to have done with the birth.
const LIFE: u64 = 10;

/// A program that kills itself `deaths` times, each `life` milliseconds after its birth, and the file in
/// which it notes its births and deaths.
pub struct Mortal {
    pub stamps: PathBuf,
    pub program: PathBuf,
    deaths: usize,
    life: u64,
}

impl Mortal {
    pub fn new(workshop: &Workshop, deaths: usize, life: u64) -> Mortal {
        let stamps = workshop.fresh(Place::Memory);
        Mortal {
            stamps,
            program: workshop.program("mortal"),
            deaths,
            life,
        }
    }

    /// Its arguments.
    pub fn arguments(&self) -> [String; 3] {
        [
            self.stamps.to_string_lossy().into_owned(),
            self.deaths.to_string(),
            self.life.to_string(),
        ]
    }

    /// Waits until it died for the last time and lives again; gives the seconds between each death and the
    /// birth after it.
    pub fn restarts(&self) -> Result<Vec<f64>> {
        let size = 8 * (2 * self.deaths as u64 + 1);
        let limit = Duration::from_millis(30_000 + 3 * self.life * self.deaths as u64);
        let what = format!("{} restarts", self.deaths);
        wait_until(&what, limit, Duration::from_millis(100), || {
            length(&self.stamps) >= size
        })
        .map_err(|e| e.while_doing(format!("after {}", length(&self.stamps) / 16)))?;
        between_death_and_birth(&self.stamps)
    }
}

/// Programs that die under `rpm`, in turn with programs that die under a bare loop.
pub fn measure(workshop: &Workshop, table: &mut Table) -> Result<()> {
    let home = Home::new(workshop, Place::Disk);
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for round in 0..workshop.runs(8, 2) {
        let mortal = Mortal::new(workshop, DEATHS, LIFE);
        let (program, [stamps, deaths, life]) =
            (mortal.program.to_string_lossy(), mortal.arguments());
        let name = format!("mortal{round}");
        home.run(&[
            "start",
            &program,
            "--name",
            &name,
            "--min-uptime",
            "0",
            "--",
            &stamps,
            &deaths,
            &life,
        ])?;
        ours.extend(mortal.restarts()?);
        limit.extend(of_a_bare_loop(workshop)?);
    }
    let (ours, limit) = (
        Quantity::Seconds(median(ours)),
        Quantity::Seconds(median(limit)),
    );
    table.row(RESTART, ours, Some(limit), Bound::AtMost(1.5));
    Ok(())
}

fn of_a_bare_loop(workshop: &Workshop) -> Result<Vec<f64>> {
    let mortal = Mortal::new(workshop, DEATHS, LIFE);
    let mut command = workshop.command(workshop.program("reviver"));
    command
        .arg(DEATHS.to_string())
        .arg(&mortal.program)
        .args(mortal.arguments());
    let mut reviver = command
        .stdin(Stdio::piped())
        .spawn()
        .doing(|| "starting the bare loop")?;
    let restarts = mortal.restarts();
    drop(reviver.stdin.take());
    reviver.wait().doing(|| "waiting for the bare loop")?;
    restarts
}

fn between_death_and_birth(stamps: &Path) -> Result<Vec<f64>> {
    let bytes = fs::read(stamps).doing(|| format!("reading {}", stamps.display()))?;
    let times: Vec<i64> = bytes
        .chunks_exact(8)
        .map(|eight| i64::from_ne_bytes(eight.try_into().expect("a chunk of eight is eight")))
        .collect();
    // Birth, death, birth, death, …, birth.
    let restarts: Vec<f64> = times[1..]
        .chunks_exact(2)
        .map(|pair| (pair[1] - pair[0]) as f64 / 1e9)
        .collect();
    if restarts.iter().any(|seconds| *seconds <= 0.0) {
        return Err(Error::new(
            "births and deaths do not take turns: two of the program ran at once",
        ));
    }
    Ok(restarts)
}
