//! The memory of both daemons together.

use crate::home::Home;
use crate::measure::median;
use crate::table::{Bound, MIB, Quantity, Table};
use crate::workshop::{Place, Workshop};
use rpm::error::Result;
use std::thread;
use std::time::Duration;

pub const OF_0: &str = "memory with 0 programs";
pub const OF_100: &str = "memory with 100 programs";
pub const OF_500: &str = "memory with 500 programs";

const STEPS: [(&str, usize, Bound); 3] = [
    (OF_0, 0, Bound::AtMostBytes(2.0 * MIB)),
    (OF_100, 100, Bound::Free),
    (OF_500, 500, Bound::AtMostBytes(3.0 * MIB)),
];

/// One daemon after another, each from empty to full.
pub fn measure(workshop: &Workshop, table: &mut Table) -> Result<()> {
    let mut found = STEPS.map(|_| Vec::new());
    for _ in 0..workshop.runs(5, 1) {
        let home = Home::new(workshop, Place::Memory);
        home.run(&["list"])?;
        let mut running = 0;
        for ((_, count, _), bytes) in STEPS.iter().zip(&mut found) {
            if *count > running {
                home.start_pausers(&format!("p{count}"), count - running)?;
                running = *count;
            }
            // Let the answer's buffers go, and the connection with them.
            thread::sleep(Duration::from_millis(500));
            bytes.push(home.memory()? as f64);
        }
    }
    for ((what, _, bound), bytes) in STEPS.into_iter().zip(found) {
        table.row(what, Quantity::Bytes(median(bytes)), None, bound);
    }
    Ok(())
}
