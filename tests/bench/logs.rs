//! How fast a program can write its log, beside one that writes to a file itself.

use crate::flood::{Flood, Volume};
use crate::home::Home;
use crate::measure::in_turn;
use crate::proc;
use crate::table::{Bound, Quantity, Table};
use crate::workshop::{Place, Workshop};
use rpm::error::{Context, Result};
use std::thread;
use std::time::Duration;

pub const LARGE_WRITES: &str = "log throughput, 512 MiB, 64 KiB writes";
pub const SMALL_WRITES: &str = "log throughput, 400 MB, 100-byte writes";
pub const STAMPED_WRITES: &str = "log throughput, 100-byte writes, --time";
pub const MEMORY: &str = "log writer memory after 256 MiB";
pub const GROWTH: &str = "log writer memory, growth from there to 2 GiB";

/// What `--time` puts before each line: `2026-11-25T12:00:00: `.
const STAMP: u64 = 21;

/// So little that each run gets the memory of the one before: a virtual machine gives memory back to its host that was
/// free for seconds, and to have it again costs more than all the rest.
const LARGE: Volume = Volume {
    bytes: 512 << 20,
    chunk: 64 << 10,
    line: 64 << 10,
    stamp: 0,
};

const SMALL: Volume = Volume {
    bytes: 400_000_000,
    chunk: 100,
    line: 100,
    stamp: 0,
};

/// Few large writes.
pub fn large_writes(workshop: &Workshop, table: &mut Table) -> Result<()> {
    let runs = workshop.runs(9, 2);
    measure(workshop, table, LARGE_WRITES, LARGE, 0.55, runs)
}

/// A write for every line.
pub fn small_writes(workshop: &Workshop, table: &mut Table) -> Result<()> {
    let runs = workshop.runs(5, 1);
    measure(workshop, table, SMALL_WRITES, SMALL, 1.5, runs)
}

/// A write for every line, each of which gets date and time.
pub fn stamped_writes(workshop: &Workshop, table: &mut Table) -> Result<()> {
    let runs = workshop.runs(5, 1);
    let stamped = Volume {
        stamp: STAMP,
        ..SMALL
    };
    measure(workshop, table, STAMPED_WRITES, stamped, 0.9, runs)
}

fn measure(
    workshop: &Workshop,
    table: &mut Table,
    what: &str,
    volume: Volume,
    bound: f64,
    runs: usize,
) -> Result<()> {
    let home = Home::new(workshop, Place::Disk);
    let flags: &[&str] = if volume.stamp > 0 { &["--time"] } else { &[] };
    let ours = || {
        let flood = Flood::new(workshop, volume)?;
        flood.start(&home, flags)?;
        let seconds = flood.seconds();
        home.run(&["delete", "all"])?;
        seconds
    };
    let limit = || {
        let flood = Flood::new(workshop, Volume { stamp: 0, ..volume })?;
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
    let rate = |seconds: f64| Quantity::Rate(volume.bytes as f64 / seconds);
    table.row(what, rate(ours), Some(rate(limit)), Bound::AtLeast(bound));
    Ok(())
}

/// What the log writer takes up when much has gone through it, and more when much more has.
pub fn memory(workshop: &Workshop, table: &mut Table) -> Result<()> {
    let home = Home::new(workshop, Place::Disk);
    let after = |bytes: u64| -> Result<f64> {
        let flood = Flood::new(workshop, Volume { bytes, ..LARGE })?;
        flood.start(&home, &[])?;
        flood.seconds()?;
        // It lets go of what it has written when there is nothing more to do.
        thread::sleep(Duration::from_millis(500));
        let bytes = proc::memory(home.log_writer()?)? as f64;
        home.run(&["delete", "all"])?;
        Ok(bytes)
    };
    let early = after(256 << 20)?;
    let late = after((2 << 30) - (256 << 20))?;
    table.row(MEMORY, Quantity::Bytes(early), None, Bound::Free);
    let growth = Quantity::Bytes((late - early).max(0.0));
    table.row(GROWTH, growth, None, Bound::AtMostBytes(16.0 * 1024.0));
    Ok(())
}
