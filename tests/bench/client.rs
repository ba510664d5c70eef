//! What a command costs: the client, its way to the daemon and back, the table that it prints.

use crate::home::Home;
use crate::measure::{in_turn, wall};
use crate::table::{Bound, Quantity, Table};
use crate::workshop::{Place, Workshop};
use rpm::error::Result;

pub const FIRST_LIST: &str = "first list, no daemon yet";
pub const LIST_10: &str = "list with 10 programs";
pub const LIST_500: &str = "list with 500 programs";

/// The exec and exit of a static program that does nothing, in the way in which `rpm` is run.
pub fn noop(workshop: &Workshop) -> Result<f64> {
    wall(&mut workshop.command(workshop.program("noop")))
}

/// The first command of all: it launches the daemon.
pub fn first_list(workshop: &Workshop, table: &mut Table) -> Result<()> {
    // All daemons stay until the end: a home that is cleared away would slow down the next one.
    let mut homes = Vec::new();
    let ours = || {
        let home = Home::new(workshop, Place::Disk);
        let seconds = home.run(&["list"]);
        homes.push(home);
        seconds
    };
    let (ours, limit) = in_turn(workshop.runs(30, 10), ours, || noop(workshop))?;
    row(table, FIRST_LIST, ours, limit, 6.0);
    Ok(())
}

/// `rpm list` of a short and of a long table.
pub fn list(workshop: &Workshop, table: &mut Table) -> Result<()> {
    let home = Home::new(workshop, Place::Memory);
    let mut running = 0;
    for (what, count, bound) in [(LIST_10, 10, 2.0), (LIST_500, 500, 8.0)] {
        home.start_pausers(&format!("p{count}"), count - running)?;
        running = count;
        if table.wants(what) {
            let runs = workshop.runs(200, 50);
            let (ours, limit) = in_turn(runs, || home.run(&["list"]), || noop(workshop))?;
            row(table, what, ours, limit, bound);
        }
    }
    Ok(())
}

fn row(table: &mut Table, what: &str, ours: f64, limit: f64, bound: f64) {
    let (ours, limit) = (Quantity::Seconds(ours), Quantity::Seconds(limit));
    table.row(what, ours, Some(limit), Bound::AtMost(bound));
}
