//! The record that finds the shared memory of a batch: its segment id, and a seal that no other segment has.

use std::io;
use std::path::Path;

use super::{SEAL, SIZE};
use crate::protocol::line::Line;
use crate::sys::lookup::{self, Lookup};
use crate::sys::pid::Pid;
use crate::sys::shared::{SharedMemory, load, store};
use crate::sys::{clock, fd, open};

/// The memory that a record names, if it is still there. `Failed` where only room was missing to look: what is in it is
/// not given up for that.
pub fn recall(path: &Path) -> Lookup<SharedMemory> {
    match recalled(path) {
        Ok(Some(memory)) => Lookup::There(memory),
        Err(e) if lookup::lacks_room(&e) => Lookup::Failed(e),
        Ok(None) | Err(_) => Lookup::Gone,
    }
}

fn recalled(path: &Path) -> io::Result<Option<SharedMemory>> {
    let Ok(line) = Line::decode(&fd::read_file(path)?) else {
        return Ok(None);
    };
    // The numbers of another boot mean something else.
    match clock::boot_id() {
        Lookup::There(id) if line.text("boot") != Some(&id) => return Ok(None),
        Lookup::There(_) | Lookup::Gone => {}
        Lookup::Failed(e) => return Err(e),
    }
    let Some(segment) = line.number("segment") else {
        return Ok(None);
    };
    let memory = SharedMemory::find(segment, SIZE)?;
    let sealed = line.number::<u64>("seal") == Some(load(memory.word(SEAL)));
    Ok(sealed.then_some(memory))
}

/// Writes the record, sealed with a number that no other segment bears.
pub fn record(path: &Path, id: i32, memory: &SharedMemory) -> io::Result<()> {
    let seal = clock::wall_ms() << 22 | u64::from(Pid::own().unsigned_abs());
    store(memory.word(SEAL), seal);
    let mut line = Line::new("batch")
        .with("segment", id.to_string())
        .with("seal", seal.to_string());
    match clock::boot_id() {
        Lookup::There(boot) => line.push("boot", boot),
        Lookup::Gone => {}
        Lookup::Failed(e) => return Err(e),
    }
    open::replace(path, &line.to_bytes())
}
