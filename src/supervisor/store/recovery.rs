//! The list as a supervisor finds it: on the disk, and in the memory of a writer that has not brought it there yet.
//!
//! A writer outlives its supervisor until the list is on the disk. It holds a lock and the memory file, which
//! is found through `/proc`. So nothing is lost when a supervisor is killed while the disk does not answer.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Context, Error, Result};
use crate::paths::Home;
use crate::protocol::line::Line;
use crate::supervisor::store::former::{self, Former};
use crate::supervisor::store::list::{self, Entry, List};
use crate::supervisor::store::records;
use crate::supervisor::store::state::Boot;
use crate::supervisor::store::writer;
use crate::sys::lock::Lock;
use crate::sys::lookup::Lookup;
use crate::sys::memory_log::{self, MemoryLog};
use crate::sys::open;

/// The longest list, in bytes.
const LONGEST: u64 = 1 << 30;
/// The end of the names of what was set aside.
const DAMAGED: &str = ".damaged";
/// How often, and after how long, a writer is looked for that holds the lock and cannot be found.
const LOOKS: u32 = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// A list is replaced when so much of it is outdated, in bytes, and more than what is not.
const OUTDATED: u64 = 64 << 10;

/// What was found.
pub struct Recovered {
    /// The list in memory; what is appended to it is brought to the disk by a writer of this generation.
    pub memory: MemoryLog,
    /// Its generation.
    pub generation: u64,
    /// How long it is without what is outdated.
    pub live: u64,
    /// The programs.
    pub programs: Vec<(u32, Entry)>,
    /// The lowest number that no program has had.
    pub next_id: u32,
    /// What was set aside, a sentence each.
    pub notes: Vec<String>,
}

/// The beginning of the name of the memory of this home's list; its generation follows.
fn memory_name(home: &Home) -> Result<String> {
    let (device, inode) = home_number(home)?;
    Ok(format!("rpmd-list-{device:x}-{inode:x}-"))
}

fn home_number(home: &Home) -> Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(home.root());
    let meta = meta.doing(|| format!("looking at {}", home.root().display()))?;
    Ok((meta.dev(), meta.ino()))
}

/// New memory for a list of this generation.
pub fn new_memory(home_number: (u64, u64), generation: u64, start: u64) -> io::Result<MemoryLog> {
    let (device, inode) = home_number;
    let name = format!("rpmd-list-{device:x}-{inode:x}-{generation}");
    MemoryLog::new(&name, start)
}

/// The bytes of a whole list of these programs.
pub fn whole_list(
    generation: u64,
    next_id: u32,
    programs: impl Iterator<Item = Vec<u8>>,
) -> Vec<u8> {
    let mut bytes = list::header(generation);
    list::push(
        &mut bytes,
        &Line::new("next").with("id", next_id.to_string()),
    );
    programs.for_each(|lines| bytes.extend(lines));
    list::push(&mut bytes, &Line::new("whole"));
    bytes
}

/// Whether a list of this length should be replaced.
pub fn is_outdated(length: u64, live: u64) -> bool {
    length > live.saturating_mul(2).saturating_add(OUTDATED)
}

/// A list that was read.
struct Found {
    bytes: Vec<u8>,
    generation: u64,
    /// It is the file that a writer can go on with.
    can_go_on: bool,
}

/// Reads the list. `version` is that of `rpmd.state`; `handed` is the memory that the release before has handed over.
pub fn recover(
    home: &Home,
    boot: Boot,
    version: u32,
    handed: Option<(u64, MemoryLog)>,
) -> Result<Recovered> {
    let mut notes = Vec::new();
    let memory = match handed {
        Some(handed) => Some(handed),
        None => find_memory(home)?,
    };
    // Before the file: what a writer gives back of the memory stands there by then.
    let in_memory = memory.as_ref().map(|(_, memory)| memory.read());
    let in_memory = in_memory.transpose();
    let in_memory = in_memory.doing(|| "reading the list in memory")?;
    let mut found = on_disk(home, &mut notes)?;
    let newest = memory.as_ref().map_or(0, |(generation, _)| *generation);
    let newest = newest.max(found.generation);
    let mut memory = memory.filter(|(generation, _)| *generation >= found.generation);
    if let (Some((generation, _)), Some((start, tail))) = (&memory, in_memory) {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        if *generation == found.generation {
            found.bytes.truncate(start);
            found.bytes.extend(tail);
        } else {
            found.bytes = tail;
            found.can_go_on = false;
        }
    }
    let mut list = List::read(&found.bytes);
    found.can_go_on &= !list.torn && !list.is_damaged() && boot == Boot::Same;
    if boot == Boot::Another {
        list.programs.values_mut().for_each(Entry::forget_pid);
    }
    if version == former::VERSION {
        found.can_go_on &= !read_former(home, &mut list, boot, &mut notes)?;
    }
    set_aside_damaged(home, &mut list, &mut notes);
    let lines = list.programs.values().map(Entry::bytes);
    let live: usize = lines.map(|lines| lines.len()).sum();
    let length = found.bytes.len() as u64;
    found.can_go_on &= !is_outdated(length, live as u64);
    let mut recovered = Recovered {
        generation: newest,
        live: live as u64,
        memory: match memory.take().filter(|_| found.can_go_on) {
            Some((_, memory)) => memory,
            None => new_memory(home_number(home)?, newest, length)
                .doing(|| "making memory for the list")?,
        },
        programs: Vec::new(),
        next_id: list.next_id,
        notes,
    };
    if !found.can_go_on {
        recovered.generation = newest + 1;
        let programs = list.programs.values().map(Entry::bytes);
        let bytes = whole_list(recovered.generation, list.next_id, programs);
        let made =
            new_memory(home_number(home)?, recovered.generation, 0).and_then(|mut memory| {
                memory.append(&bytes)?;
                Ok(memory)
            });
        recovered.memory = made.doing(|| "making memory for the list")?;
        recovered.live = bytes.len() as u64;
    }
    recovered.programs = list.programs.into_iter().collect();
    Ok(recovered)
}

/// The memory of a writer that still has work. It is not needed any more: what it would do, the next one does.
fn find_memory(home: &Home) -> Result<Option<(u64, MemoryLog)>> {
    let folder = home.list_lock();
    let name = memory_name(home)?;
    for _ in 0..LOOKS {
        let locked = Lock::acquire(&folder).doing(|| format!("locking {}", folder.display()))?;
        if locked.is_some() {
            return Ok(None);
        }
        let found = memory_log::find(writer::NAME, &name);
        let found = found.doing(|| "looking for the writer of the list in /proc")?;
        found.iter().for_each(memory_log::Found::end_process);
        let all = found.into_iter().filter_map(|found| {
            let generation: u64 = found.rest.parse().ok()?;
            Some((generation, found.log))
        });
        let newest = all.max_by_key(|(generation, _)| *generation);
        if newest.is_some() {
            return Ok(newest);
        }
        // It is ending, or somebody else has locked the folder.
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(None)
}

fn on_disk(home: &Home, notes: &mut Vec<String>) -> Result<Found> {
    let path = home.list();
    let bytes = match open::read(&path, LONGEST) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) if open::is_unfit(&e) => {
            let aside = former::free_name(home, &format!("list{DAMAGED}"));
            let moved = fs::rename(&path, &aside);
            moved.doing(|| format!("setting {} aside", path.display()))?;
            notes.push(format!(
                "{}: {e}; set aside: {}",
                path.display(),
                aside.display()
            ));
            Vec::new()
        }
        Err(e) => return Err(Error::io(format!("reading {}", path.display()), &e)),
    };
    let generation = list::generation_of(&bytes).unwrap_or(0);
    let can_go_on = generation > 0;
    // One that is whole was on its way to replace the other.
    let new = home.list_new();
    match Lookup::of(open::read(&new, LONGEST), &[libc::ENOENT]) {
        Lookup::There(bytes) => {
            let list = List::read(&bytes);
            if list.generation > generation && list.whole && !list.is_damaged() {
                return Ok(Found {
                    generation: list.generation,
                    bytes,
                    can_go_on: false,
                });
            }
        }
        Lookup::Failed(e) if !open::is_unfit(&e) => {
            return Err(Error::io(format!("reading {}", new.display()), &e));
        }
        Lookup::Gone | Lookup::Failed(_) => {}
    }
    Ok(Found {
        bytes,
        generation,
        can_go_on,
    })
}

/// Adds the programs of the release before this one. Whether there were any.
fn read_former(home: &Home, list: &mut List, boot: Boot, notes: &mut Vec<String>) -> Result<bool> {
    let mut any = false;
    for id in former::ids(home)? {
        match former::read(home, id)? {
            Former::Program(mut entry) => {
                if boot == Boot::Another {
                    entry.forget_pid();
                }
                former::name_pipes(home, id);
                list.next_id = list.next_id.max(id.saturating_add(1));
                list.programs.insert(id, entry);
                any = true;
            }
            Former::Unfinished => former::remove(home, id),
            Former::Damaged(e) => {
                let aside = former::set_aside(home, id, DAMAGED);
                notes.push(said(&id.to_string(), &e, aside));
            }
        }
    }
    Ok(any)
}

fn said(what: &str, why: &Error, aside: io::Result<PathBuf>) -> String {
    let aside = match aside {
        Ok(path) => path.display().to_string(),
        Err(e) => e.to_string(),
    };
    format!("program {what} is left out: {why}; set aside: {aside}")
}

/// Sets aside what is damaged, so that it costs nobody else.
fn set_aside_damaged(home: &Home, list: &mut List, notes: &mut Vec<String>) {
    let mut damaged = Vec::new();
    for (id, entry) in &list.programs {
        if let Err(e) = records::found(*id, entry) {
            let aside = keep(home, &format!("{id}{DAMAGED}"), &entry.bytes());
            notes.push(said(&id.to_string(), &e, aside));
            damaged.push(*id);
        }
    }
    list.programs.retain(|id, _| !damaged.contains(id));
    if !list.damaged.is_empty() {
        let why = Error::new("lines of the list are damaged");
        let aside = keep(home, &format!("list{DAMAGED}"), &list.damaged.concat());
        notes.push(said("of an unknown number", &why, aside));
    }
}

fn keep(home: &Home, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let path = former::free_name(home, name);
    open::create_new(&path, 0o600)?.write_all(bytes)?;
    Ok(path)
}

/// What stands in `run` and `pids`.
#[derive(Debug, Default)]
pub struct Contents {
    /// What was set aside and is still there.
    pub damaged: Vec<PathBuf>,
    /// FIFOs, by the program that they are of.
    pub pipes: Vec<(u32, PathBuf)>,
    /// Pid files, by the program that they are of.
    pub pid_files: Vec<(u32, PathBuf)>,
    /// Folders of the release before this one.
    pub former: Vec<u32>,
}

/// Looks through `run` and `pids`.
pub fn contents(home: &Home) -> Result<Contents> {
    let run = home.run();
    let reading = || format!("reading {}", run.display());
    let mut contents = Contents::default();
    for entry in fs::read_dir(&run).doing(reading)? {
        let name = entry.doing(reading)?.file_name();
        let path = run.join(&name);
        if name.to_string_lossy().contains(DAMAGED) {
            contents.damaged.push(path);
        } else if let Some(id) = former::id_of(&name) {
            contents.former.push(id);
        } else if let Some(id) = Path::new(&name).file_stem().and_then(former::id_of) {
            contents.pipes.push((id, path));
        }
    }
    contents.damaged.sort_unstable();
    for entry in fs::read_dir(home.pids()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| {
            let (_, id) = name.strip_suffix(".pid")?.rsplit_once('-')?;
            id.parse().ok()
        });
        contents.pid_files.extend(id.map(|id| (id, entry.path())));
    }
    Ok(contents)
}

/// The programs that a home has on record, as far as no writer has more in memory.
pub fn ids(home: &Home, version: u32) -> Result<BTreeSet<u32>> {
    let bytes = match open::read(&home.list(), LONGEST) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::io(format!("reading {}", home.list().display()), &e)),
    };
    let mut ids: BTreeSet<u32> = List::read(&bytes).programs.into_keys().collect();
    if version == former::VERSION {
        ids.extend(former::ids(home)?);
    }
    Ok(ids)
}
