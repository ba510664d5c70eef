//! What `rpm` costs, beside the least that the kernel charges for the same work.
//!
//! ```text
//! cargo build --release && cargo bench                 everything, some minutes
//! cargo bench -- restart                               the rows with "restart" in their name
//! cargo bench -- log --quick                           those of the log writer
//! cargo bench -- --quick                               fewer runs
//! RPM_BIN_DIR=/usr/local/bin cargo bench               other binaries than those in target/release
//! ```
//!
//! A limit is a bare loop, in C or of the shell, that does the same work and nothing else: see `programs/`.
//! Ours and the limit take turns, A B A B, so that a machine that grows slower or faster in the meantime
//! does so for both, and each number is the median. A row that misses its target is marked; the exit status
//! is 0 all the same: a benchmark is no test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod client;
mod fleet;
mod flood;
mod home;
mod logs;
mod measure;
mod memory;
mod peers;
mod proc;
mod restart;
mod scale;
mod table;
mod workshop;
mod writers;

use rpm::error::Result;
use std::env;
use table::{Bound, Quantity, Table};
use workshop::{Place, Workshop};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // `cargo test --all-targets` runs benchmarks too, without this flag: there is nothing to test here.
    if !arguments.iter().any(|a| a == "--bench") {
        println!("This is a benchmark: run it with `cargo bench`.");
        return;
    }
    let quick = arguments.iter().any(|a| a == "--quick");
    let filters = arguments
        .into_iter()
        .filter(|a| !a.starts_with('-'))
        .collect();
    let mut table = Table::new(filters);
    match Workshop::open(quick) {
        Ok(workshop) => measure_all(&workshop, &mut table),
        Err(error) => println!("Nothing was measured: {error}."),
    }
    table.end();
}

/// A group of rows: what they are called, and what measures them.
struct Group {
    rows: &'static [&'static str],
    measure: fn(&Workshop, &mut Table) -> Result<()>,
}

/// All rows, in the order in which they disturb each other least: those that fill the disk come last.
const GROUPS: &[Group] = &[
    Group {
        rows: &["size of rpm", "size of rpmd"],
        measure: sizes,
    },
    Group {
        rows: &[client::FIRST_LIST],
        measure: client::first_list,
    },
    Group {
        rows: &[client::LIST_10, client::LIST_500],
        measure: client::list,
    },
    Group {
        rows: &[memory::OF_0, memory::OF_100, memory::OF_500],
        measure: memory::measure,
    },
    Group {
        rows: &[restart::RESTART],
        measure: restart::measure,
    },
    Group {
        rows: &[fleet::START_ON_TMPFS],
        measure: |w, t| fleet::measure(w, t, Place::Memory),
    },
    Group {
        rows: &[fleet::START_ON_DISK, fleet::STOP],
        measure: |w, t| fleet::measure(w, t, Place::Disk),
    },
    Group {
        rows: scale::ROWS,
        measure: scale::measure,
    },
    Group {
        rows: &[logs::LARGE_WRITES],
        measure: logs::large_writes,
    },
    Group {
        rows: &[logs::SMALL_WRITES],
        measure: logs::small_writes,
    },
    Group {
        rows: &[logs::STAMPED_WRITES],
        measure: logs::stamped_writes,
    },
    Group {
        rows: &[logs::MEMORY, logs::GROWTH],
        measure: logs::memory,
    },
    Group {
        rows: writers::LARGE_ROWS,
        measure: writers::large_writes,
    },
    Group {
        rows: writers::SMALL_ROWS,
        measure: writers::small_writes,
    },
    Group {
        rows: peers::ROWS,
        measure: peers::measure,
    },
];

fn measure_all(workshop: &Workshop, table: &mut Table) {
    println!("{}", workshop.describe());
    table.begin();
    for group in GROUPS {
        let wanted: Vec<&str> = group
            .rows
            .iter()
            .copied()
            .filter(|row| table.wants(row))
            .collect();
        if wanted.is_empty() {
            continue;
        }
        if let Err(error) = (group.measure)(workshop, table) {
            table.remark(&format!("{}: not measured: {error}", wanted.join(", ")));
        }
    }
}

/// The size of each binary, as it was built.
fn sizes(workshop: &Workshop, table: &mut Table) -> Result<()> {
    for name in ["rpm", "rpmd"] {
        let size = Quantity::Bytes(workshop.size(name)? as f64);
        table.row(
            &format!("size of {name}"),
            size,
            None,
            Bound::AtMostBytes(1.5 * table::MIB),
        );
    }
    Ok(())
}
