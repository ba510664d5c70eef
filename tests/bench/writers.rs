//! Other log writers, as far as they are installed, in turn with ours: how fast they take what a program writes, and
//! what that costs of the processor. The limit of such a row is theirs.

use crate::flood::{Flood, Volume};
use crate::home::Home;
use crate::measure::median;
use crate::peers::{self, PM2, Peer, SUPERVISORD, Service};
use crate::proc;
use crate::table::{Bound, Quantity, Table};
use crate::workshop::{Place, Workshop};
use rpm::error::{Context, Error, Result};
use std::fs;
use std::process::{Child, Command, Stdio};

const LARGE_WRITES: &str = "log throughput, 64 KiB, to";
const SMALL_WRITES: &str = "log throughput, 100 bytes, to";
const CPU: &str = "log writer CPU of 1 GiB, to";

/// The rows with large writes.
pub const LARGE_ROWS: &[&str] = &[LARGE_WRITES, CPU];
/// The rows with small ones.
pub const SMALL_ROWS: &[&str] = &[SMALL_WRITES];

const GIB: f64 = (1u64 << 30) as f64;

/// Blocks of ordinary lines: some of the others split long ones.
const LARGE: Volume = Volume {
    bytes: 1 << 30,
    chunk: 64 << 10,
    line: 128,
    stamp: 0,
};

const SMALL: Volume = Volume {
    bytes: 100_000_000,
    chunk: 100,
    line: 100,
    stamp: 0,
};

/// The seconds until every byte is in the log, and those of the processor that the log writer took.
type Sample = (f64, f64);

/// A writer that is installed, and its samples.
type Found = (&'static Writer, Vec<Sample>);

/// What writes the log of a program.
struct Writer {
    name: &'static str,
    kind: Kind,
    /// How many times faster ours is to be with large writes, and with small ones.
    faster: [Bound; 2],
}

/// How it gets what the program writes.
enum Kind {
    /// Through a pipe: this command, whose arguments end with the folder of the log, and what it is told in a file there.
    Pipe(
        &'static [&'static str],
        Option<(&'static str, &'static str)>,
    ),
    /// It runs the program.
    Manager(&'static Peer),
}

/// The others. Each keeps all that it gets, in files as large as it makes them.
const WRITERS: [Writer; 5] = [
    Writer {
        name: "s6-log",
        kind: Kind::Pipe(&["s6-log", "n999", "s268435455"], None),
        faster: [Bound::Free, Bound::AtLeast(1.0)],
    },
    Writer {
        name: "svlogd",
        kind: Kind::Pipe(&["svlogd"], Some(("config", "s0\nn0\n"))),
        faster: [Bound::Free, Bound::Free],
    },
    Writer {
        name: "multilog",
        kind: Kind::Pipe(&["multilog", "n999", "s16777215"], None),
        faster: [Bound::Free, Bound::Free],
    },
    Writer {
        name: "supervisord",
        kind: Kind::Manager(&SUPERVISORD),
        faster: [Bound::AtLeast(2.5), Bound::Free],
    },
    Writer {
        name: "pm2",
        kind: Kind::Manager(&PM2),
        faster: [Bound::Free, Bound::Free],
    },
];

impl Writer {
    /// What of it is not installed.
    fn missing(&self) -> Option<&'static str> {
        let needs = match &self.kind {
            Kind::Pipe(words, _) => words.get(..1).unwrap_or_default(),
            Kind::Manager(peer) => peer.needs,
        };
        let mut needs = needs.iter().copied();
        needs.find(|program| !peers::is_installed(program))
    }

    fn sample(&self, workshop: &Workshop, volume: Volume) -> Result<Sample> {
        let flood = Flood::new(workshop, volume)?;
        match &self.kind {
            Kind::Pipe(words, told) => piped(workshop, &flood, words, *told),
            Kind::Manager(peer) => managed(workshop, &flood, peer),
        }
    }
}

/// Few large writes.
pub fn large_writes(workshop: &Workshop, table: &mut Table) -> Result<()> {
    let samples = in_turns(workshop, table, LARGE)?;
    throughput(table, LARGE_WRITES, LARGE, &samples, 0);
    let (ours, found) = &samples;
    for (writer, theirs) in found {
        let of =
            |samples: &[Sample]| Quantity::Seconds(middle(samples).1 * GIB / LARGE.bytes as f64);
        let name = format!("{CPU} {}", writer.name);
        table.row(&name, of(ours), Some(of(theirs)), Bound::AtMost(1.0));
    }
    Ok(())
}

/// A write for every line.
pub fn small_writes(workshop: &Workshop, table: &mut Table) -> Result<()> {
    let samples = in_turns(workshop, table, SMALL)?;
    throughput(table, SMALL_WRITES, SMALL, &samples, 1);
    Ok(())
}

fn throughput(
    table: &mut Table,
    what: &str,
    volume: Volume,
    (ours, found): &(Vec<Sample>, Vec<Found>),
    bound: usize,
) {
    for (writer, theirs) in found {
        let of = |samples: &[Sample]| Quantity::Rate(volume.bytes as f64 / middle(samples).0);
        let name = format!("{what} {}", writer.name);
        table.row(&name, of(ours), Some(of(theirs)), writer.faster[bound]);
    }
}

/// Our samples, and those of every writer that is there: all take turns, after one of each that does not count.
fn in_turns(
    workshop: &Workshop,
    table: &Table,
    volume: Volume,
) -> Result<(Vec<Sample>, Vec<Found>)> {
    let mut found: Vec<Found> = Vec::new();
    for writer in &WRITERS {
        match writer.missing() {
            None => found.push((writer, Vec::new())),
            Some(program) => {
                let name = writer.name;
                table.remark(&format!("{name} is left out: {program} is not installed"));
            }
        }
    }
    let mut ours = Vec::new();
    for run in 0..=workshop.runs(3, 1) {
        let sample = of_ours(workshop, volume)?;
        ours.extend((run > 0).then_some(sample));
        found.retain_mut(|(writer, samples)| {
            let sample = writer.sample(workshop, volume);
            match &sample {
                Ok(sample) => samples.extend((run > 0).then_some(*sample)),
                // The others are worth looking at all the same.
                Err(error) => table.remark(&format!("{} is left out: {error}", writer.name)),
            }
            sample.is_ok()
        });
    }
    Ok((ours, found))
}

fn middle(samples: &[Sample]) -> Sample {
    let of = |part: fn(&Sample) -> f64| median(samples.iter().map(part).collect());
    (of(|sample| sample.0), of(|sample| sample.1))
}

/// Opens the gate, and looks what the process with this pid has used when all is in the log.
fn watched(flood: &Flood, pid: u32) -> Result<Sample> {
    flood.wait()?;
    let before = proc::cpu(pid)?;
    let seconds = flood.seconds()?;
    Ok((seconds, proc::cpu(pid)? - before))
}

/// A daemon of its own each time: where a peer is cleared away, nothing of this run is left.
fn of_ours(workshop: &Workshop, volume: Volume) -> Result<Sample> {
    let home = Home::new(workshop, Place::Disk);
    let flood = Flood::new(workshop, volume)?;
    flood.start(&home, &["--log-max-size", "256M"])?;
    watched(&flood, home.log_writer()?)
}

fn piped(
    workshop: &Workshop,
    flood: &Flood,
    words: &[&str],
    told: Option<(&str, &str)>,
) -> Result<Sample> {
    if let Some((name, text)) = told {
        peers::write_file(&flood.folder.join(name), text)?;
    }
    let start = |command: &mut Command, what: &str| {
        let child = command.stderr(Stdio::null()).spawn();
        child.doing(|| format!("starting {what}")).map(Killed)
    };
    let mut program = workshop.command(&flood.program);
    program.args(flood.arguments()).stdout(Stdio::piped());
    let mut program = start(&mut program, "the writing program")?;
    let pipe = program.0.stdout.take();
    let pipe = pipe.ok_or_else(|| Error::new("the writing program has no pipe"))?;
    let mut writer = workshop.command(words[0]);
    writer.args(&words[1..]).arg(&flood.folder).stdin(pipe);
    let writer = start(&mut writer, words[0])?;
    watched(flood, writer.0.id())
}

fn managed(workshop: &Workshop, flood: &Flood, peer: &Peer) -> Result<Sample> {
    let service = Service::new("flood", &flood.program, &flood.arguments(), &flood.log);
    let running = peers::run(workshop, peer, &[service])?;
    flood.wait()?;
    // pm2 has left a daemon behind, and notes which.
    let note = running.folder.join("pm2/pm2.pid");
    let daemon = fs::read_to_string(note).ok();
    let daemon = daemon.and_then(|text| text.trim().parse().ok());
    watched(flood, daemon.unwrap_or(running.manager.id()))
}

/// A process that is killed when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
