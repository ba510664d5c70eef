//! How the supervisor's processor time for one program grows with the number of programs. Linear is a ratio of 1.

use crate::home::Home;
use crate::measure::wait_until;
use crate::proc;
use crate::table::{Bound, Quantity, Table};
use crate::workshop::{Place, Workshop};
use rpm::error::{Context, Error, Result};
use rpm::sys::pid::Pid;
use rpm::sys::signal::{self, Signal};
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

pub const ROWS: &[&str] = &[START, RESTART, ADOPTION];

const START: &str = "processor time a program: start FILE";
const RESTART: &str = "processor time a program: all die at once";
const ADOPTION: &str = "processor time a program: adoption";

/// The numbers of programs; the first one is what the others are compared with.
const COUNTS: [usize; 4] = [500, 1000, 2000, 5000];
/// How much more a program may cost among many than among few.
const GROWTH: f64 = 1.5;
/// The longest that one step may take.
const LIMIT: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(100);

/// The seconds of processor time for one program.
struct Costs {
    start: f64,
    restart: f64,
    adoption: f64,
}

/// Each number of programs in a home of its own.
pub fn measure(workshop: &Workshop, table: &mut Table) -> Result<()> {
    let mut first: Option<Costs> = None;
    for count in COUNTS.into_iter().take(workshop.runs(4, 2)) {
        let costs = of(workshop, count)?;
        let compared = first.as_ref();
        for (what, cost, with) in [
            (START, costs.start, compared.map(|c| c.start)),
            (RESTART, costs.restart, compared.map(|c| c.restart)),
            (ADOPTION, costs.adoption, compared.map(|c| c.adoption)),
        ] {
            let bound = with.map_or(Bound::Free, |_| Bound::AtMost(GROWTH));
            let row = format!("{what}, {count}");
            table.row(
                &row,
                Quantity::Seconds(cost),
                with.map(Quantity::Seconds),
                bound,
            );
        }
        first.get_or_insert(costs);
    }
    Ok(())
}

fn of(workshop: &Workshop, count: usize) -> Result<Costs> {
    let home = Home::new(workshop, Place::Memory);
    home.run(&["list"])?;
    let supervisor = home.supervisor()?;
    let each = |seconds: f64| seconds / count as f64;

    let file = workshop.fresh(Place::Memory).with_extension("json");
    fs::write(&file, process_file(workshop, count)).doing(|| "writing a process file")?;
    let before = proc::cpu(supervisor)?;
    home.run(&["start", &file.to_string_lossy()])?;
    let started = proc::cpu(supervisor)?;

    let old = programs(supervisor);
    for (pid, _) in &old {
        // One that has ended by itself would be started again too.
        let _ = signal::kill(*pid, Signal::KILL);
    }
    wait_until("all programs to run again", LIMIT, PAUSE, || {
        let now = programs(supervisor);
        now.len() == count && now.is_disjoint(&old)
    })?;
    let restarted = proc::cpu(supervisor)?;

    let killed = i32::try_from(supervisor).ok().and_then(Pid::new);
    let killed = killed.ok_or_else(|| Error::new("the supervisor has no pid"))?;
    signal::kill(killed, Signal::KILL).doing(|| "killing the supervisor")?;
    wait_until("another supervisor", LIMIT, PAUSE, || {
        home.supervisor().is_ok_and(|pid| pid != supervisor)
    })?;
    home.run(&["list"])?;
    let adopted = proc::cpu(home.supervisor()?)?;
    Ok(Costs {
        start: each(started - before),
        restart: each(restarted - started),
        adoption: each(adopted),
    })
}

/// The children of the supervisor that run the benchmark's program, with their start times.
fn programs(supervisor: u32) -> BTreeSet<(Pid, u64)> {
    let all = proc::all().into_iter();
    let own = all.filter(|p| p.parent == supervisor && p.name == "pauser");
    own.filter_map(|p| Some((Pid::new(i32::try_from(p.pid).ok()?)?, p.start)))
        .collect()
}

fn process_file(workshop: &Workshop, count: usize) -> String {
    let program = workshop.program("pauser");
    let program = program.to_string_lossy();
    let programs: Vec<String> = (0..count)
        .map(|n| format!(r#"{{"name": "p{n}", "script": "{program}"}}"#))
        .collect();
    format!("[{}]\n", programs.join(",\n"))
}
