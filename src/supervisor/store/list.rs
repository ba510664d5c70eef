//! The list of programs: lines of the protocol, each with a checksum. Lines are only appended. The last line of a kind
//! and a program counts.
//!
//! ```text
//! list    version=1 generation=N        the first line
//! spec    id=N …                        what a program is
//! status  id=N …                        what is wanted of it, and what is counted
//! pid     id=N pid=… start=… run=…      its process; written by the process itself
//! gone    id=N                          it is deleted
//! next    id=N                          the lowest number that no program has had
//! whole                                 the lines before are a whole list
//! ```
//!
//! The same bytes stand in memory and on the disk. A list that is mostly outdated is replaced by a new one with the next
//! generation.

use std::collections::BTreeMap;

use crate::protocol::line::Line;
use crate::sys::checksum::{fnv1a, hex};

/// The version of the lines.
const VERSION: &str = "1";
/// What stands before a checksum.
const SUM: &[u8] = b" sum=";

/// Appends a line with its checksum.
pub fn push(out: &mut Vec<u8>, line: &Line) {
    seal(out, &line.to_bytes());
}

/// Appends an encoded line with its checksum.
pub fn seal(out: &mut Vec<u8>, line: &[u8]) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    out.extend_from_slice(line);
    out.extend_from_slice(SUM);
    out.extend_from_slice(&hex(fnv1a(line)));
    out.push(b'\n');
}

/// The line that a sealed one was. `None`: it is damaged.
fn open(sealed: &[u8]) -> Option<&[u8]> {
    let text = sealed.strip_suffix(b"\n")?;
    let (line, sum) = text.split_at_checked(text.len().checked_sub(SUM.len() + 8)?)?;
    let sum = sum.strip_prefix(SUM)?;
    (sum == hex(fnv1a(line))).then_some(line)
}

/// The first lines of a list.
pub fn header(generation: u64) -> Vec<u8> {
    let line = Line::new("list")
        .with("version", VERSION)
        .with("generation", generation.to_string());
    let mut out = Vec::new();
    push(&mut out, &line);
    out
}

/// The generation of a list by its first line. `None`: there is no whole first line.
pub fn generation_of(bytes: &[u8]) -> Option<u64> {
    let end = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let line = Line::decode(open(bytes.get(..end)?)?).ok()?;
    line.number("generation").filter(|_| line.tag == "list")
}

/// What the list has of one program: lines, each with its checksum.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entry {
    spec: Vec<u8>,
    status: Vec<u8>,
    pid: Vec<u8>,
    /// Lines that are damaged and that no later line replaces.
    damaged: Vec<(String, Vec<u8>)>,
}

impl Entry {
    /// An entry of these lines; `pid` may be empty.
    pub fn new(spec: Vec<u8>, status: Vec<u8>, pid: Vec<u8>) -> Entry {
        let damaged = Vec::new();
        Entry {
            spec,
            status,
            pid,
            damaged,
        }
    }

    fn slot(&mut self, tag: &str) -> Option<&mut Vec<u8>> {
        match tag {
            "spec" => Some(&mut self.spec),
            "status" => Some(&mut self.status),
            "pid" => Some(&mut self.pid),
            _ => None,
        }
    }

    /// The spec and the status. `Err`: what is wrong with them.
    pub fn lines(&self) -> Result<(Line, Line), String> {
        let read = |tag: &str, bytes: &[u8]| {
            if self.damaged.iter().any(|(damaged, _)| damaged == tag) {
                return Err(format!("the {tag} line of the list is damaged"));
            }
            let line = open(bytes).and_then(|line| Line::decode(line).ok());
            line.ok_or_else(|| format!("the {tag} line is missing in the list"))
        };
        Ok((read("spec", &self.spec)?, read("status", &self.status)?))
    }

    /// The line of its last process.
    pub fn pid(&self) -> Option<Line> {
        open(&self.pid).and_then(|line| Line::decode(line).ok())
    }

    /// Forgets its process.
    pub fn forget_pid(&mut self) {
        self.pid.clear();
    }

    /// Whether its last process may be another than the list says.
    pub fn has_lost_pid(&self) -> bool {
        self.damaged.iter().any(|(tag, _)| tag == "pid")
    }

    /// All of it, to be kept elsewhere or written again.
    pub fn bytes(&self) -> Vec<u8> {
        let damaged = self.damaged.iter().map(|(_, line)| line);
        let lines = [&self.spec, &self.status, &self.pid].into_iter();
        lines.chain(damaged).flatten().copied().collect()
    }
}

/// What a list says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct List {
    /// Its generation; 0 where the first line is damaged.
    pub generation: u64,
    /// It has all lines that it began with.
    pub whole: bool,
    /// The programs.
    pub programs: BTreeMap<u32, Entry>,
    /// The lowest number that no program has had.
    pub next_id: u32,
    /// Damaged lines that no program could be made out of.
    pub damaged: Vec<Vec<u8>>,
    /// The last line is not whole: a crash of the machine has torn it.
    pub torn: bool,
}

impl List {
    /// Reads a list.
    pub fn read(bytes: &[u8]) -> List {
        let mut list = List::default();
        for sealed in bytes.split_inclusive(|byte| *byte == b'\n') {
            match open(sealed).and_then(|line| Line::decode(line).ok()) {
                Some(line) => list.take(&line, sealed),
                None if !sealed.ends_with(b"\n") => list.torn = true,
                None => list.take_damaged(sealed),
            }
        }
        list
    }

    /// Whether something of it is damaged.
    pub fn is_damaged(&self) -> bool {
        let mut programs = self.programs.values();
        self.generation == 0
            || !self.damaged.is_empty()
            || programs.any(|entry| !entry.damaged.is_empty() || entry.lines().is_err())
    }

    fn take(&mut self, line: &Line, sealed: &[u8]) {
        let id = line.number::<u32>("id");
        match (line.tag.as_str(), id) {
            ("list", _) => self.generation = line.number("generation").unwrap_or(0),
            ("whole", _) => self.whole = true,
            ("next", Some(id)) => self.next_id = id,
            ("gone", Some(id)) => {
                self.programs.remove(&id);
                self.next_id = self.next_id.max(id.saturating_add(1));
            }
            (tag @ ("spec" | "status" | "pid"), Some(id)) => {
                // A process that was made before its program was deleted does not bring it back.
                if tag == "pid" && !self.programs.contains_key(&id) {
                    return;
                }
                self.next_id = self.next_id.max(id.saturating_add(1));
                let entry = self.programs.entry(id).or_default();
                entry.damaged.retain(|(damaged, _)| damaged != tag);
                if let Some(slot) = entry.slot(tag) {
                    slot.clear();
                    slot.extend_from_slice(sealed);
                }
            }
            // A later release may write more.
            _ => {}
        }
    }

    fn take_damaged(&mut self, sealed: &[u8]) {
        // What can be read of it is a hint at what it was about.
        let words: Vec<&[u8]> = sealed.split(|byte| *byte == b' ').take(2).collect();
        let word = |at: usize| std::str::from_utf8(words.get(at)?).ok();
        let tag = word(0).filter(|tag| ["spec", "status", "pid"].contains(tag));
        let id = word(1).and_then(|word| word.strip_prefix("id=")?.trim_end().parse().ok());
        let program = id.and_then(|id: u32| self.programs.get_mut(&id));
        match (tag, program) {
            (Some(tag), Some(entry)) => entry.damaged.push((tag.to_owned(), sealed.to_owned())),
            _ => self.damaged.push(sealed.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rng::test_rng;

    fn line(tag: &str, id: u32, value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let line = Line::new(tag).with("id", id.to_string());
        push(&mut out, &line.with("value", value.to_string()));
        out
    }

    fn scene() -> Vec<u8> {
        let mut bytes = header(7);
        for id in [0, 1] {
            bytes.extend(line("spec", id, 10));
            bytes.extend(line("status", id, 20));
        }
        bytes.extend(line("pid", 0, 30));
        bytes
    }

    fn value(line: &Line) -> u64 {
        line.number("value").unwrap()
    }

    #[test]
    fn the_last_line_of_a_kind_and_a_program_counts() {
        let mut bytes = scene();
        bytes.extend(line("status", 0, 21));
        bytes.extend(line("gone", 1, 0));
        bytes.extend(line("pid", 1, 31));
        bytes.extend(line("of-a-later-release", 0, 0));
        let list = List::read(&bytes);
        assert_eq!((list.generation, list.next_id), (7, 2));
        assert_eq!(generation_of(&bytes), Some(7));
        assert!(!list.is_damaged() && !list.torn);
        assert_eq!(list.programs.len(), 1);
        let (spec, status) = list.programs[&0].lines().unwrap();
        assert_eq!((value(&spec), value(&status)), (10, 21));
        assert_eq!(list.programs[&0].pid().map(|pid| value(&pid)), Some(30));
    }

    #[test]
    fn a_torn_last_line_costs_nothing_else() {
        let whole = List::read(&scene());
        let more = line("status", 0, 21);
        for cut in 1..more.len() {
            let list = List::read(&[&scene(), &more[..cut]].concat());
            assert!(list.torn, "{cut}");
            assert_eq!(list.programs, whole.programs);
        }
    }

    #[test]
    fn a_damaged_line_costs_what_it_is_about() {
        let good = scene();
        let starts = [
            line("spec", 0, 10),
            line("status", 0, 20),
            line("pid", 0, 30),
        ];
        for (kind, text) in starts.iter().enumerate() {
            let at = good.windows(text.len()).position(|w| w == text).unwrap();
            let mut bytes = good.clone();
            bytes[at + text.len() - 12] ^= 1;
            let list = List::read(&bytes);
            assert!(list.is_damaged());
            assert!(list.programs[&1].lines().is_ok());
            let entry = list.programs.get(&0);
            match kind {
                // Before a program is known, nothing can be said to be of it.
                0 => assert!(entry.unwrap().lines().is_err() && list.damaged.len() == 1),
                1 => assert!(entry.unwrap().lines().unwrap_err().contains("status")),
                _ => assert!(entry.unwrap().lines().is_ok() && entry.unwrap().has_lost_pid()),
            }
            // A later line of the kind makes up for it.
            bytes.extend(text);
            let list = List::read(&bytes);
            assert!(list.programs[&0].lines().is_ok() && !list.programs[&0].has_lost_pid());
        }
    }

    #[test]
    fn whatever_stands_there_reading_it_does_not_fail() {
        let mut next = test_rng();
        let mut below = |most: u64| next() % most;
        for _ in 0..2000 {
            let mut bytes = scene();
            for _ in 0..1 + below(6) {
                let at = below(bytes.len() as u64) as usize;
                match below(3) {
                    0 => bytes[at] = below(256) as u8,
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, b'\n'),
                }
            }
            let list = List::read(&bytes);
            for entry in list.programs.values() {
                // What is returned was written so.
                if let Ok((spec, status)) = entry.lines() {
                    assert_eq!((value(&spec), value(&status)), (10, 20));
                }
            }
        }
    }

    #[test]
    fn what_was_appended_in_any_order_is_what_is_read() {
        let mut next = test_rng();
        let mut below = |most: u64| next() % most;
        for _ in 0..200 {
            let mut bytes = header(1);
            let mut wanted: BTreeMap<u32, [u64; 3]> = BTreeMap::new();
            for step in 1..60 {
                let id = below(5) as u32;
                let known = wanted.contains_key(&id);
                match below(5) {
                    0 if known => {
                        wanted.remove(&id);
                        bytes.extend(line("gone", id, 0));
                    }
                    1 if known => {
                        wanted.get_mut(&id).unwrap()[2] = step;
                        bytes.extend(line("pid", id, step));
                    }
                    2 if known => {
                        wanted.get_mut(&id).unwrap()[1] = step;
                        bytes.extend(line("status", id, step));
                    }
                    3 => {
                        // A new list of what there is.
                        let list = List::read(&bytes);
                        bytes = header(list.generation + 1);
                        bytes.extend(list.programs.values().flat_map(Entry::bytes));
                        push(&mut bytes, &Line::new("whole"));
                    }
                    _ if !known => {
                        wanted.insert(id, [step, step, 0]);
                        bytes.extend(line("spec", id, step));
                        bytes.extend(line("status", id, step));
                    }
                    _ => {}
                }
            }
            let list = List::read(&bytes);
            let found = list.programs.iter().map(|(id, entry)| {
                let (spec, status) = entry.lines().unwrap();
                let pid = entry.pid().map_or(0, |pid| value(&pid));
                (*id, [value(&spec), value(&status), pid])
            });
            assert_eq!(found.collect::<BTreeMap<_, _>>(), wanted);
        }
    }
}
