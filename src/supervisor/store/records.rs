//! The records of a program in `run/ID`: all that it takes to find it again.
//!
//! `spec` is written before `status`, which takes its name when it is whole, and a folder without `status` was never a
//! program: so a supervisor that is killed in between leaves nothing half done. `status` has a fixed size and is
//! written in place afterwards, by one `pwrite(2)`, which no kill can tear. `pid` is the child's to write, see
//! [`crate::sys::spawn`].

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::error::{Context, Error, Result};
use crate::model::life::{Life, State};
use crate::model::spec::Spec;
use crate::paths::{Home, Records};
use crate::protocol::line::Line;
use crate::protocol::output::{LOST, Loss};
use crate::protocol::process::{exit_pair, read_exit, read_want, want_word};
use crate::supervisor::program::{Program, id_of};
use crate::sys::lookup::Lookup;
use crate::sys::open::{self, Access};
use crate::sys::room::{self, Holder};
use crate::sys::spawn::Record;
use crate::sys::{fd, fifo};

/// The bytes of a status record, its LF included: the longest one that can be written, rounded up.
const STATUS_SIZE: usize = 320;

/// Makes a private folder.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// What is recorded of a program itself: the same text for all of its instances.
pub fn spec_text(spec: &Spec) -> Vec<u8> {
    let mut line = Line::new("spec");
    line.fields = spec.pairs();
    line.to_bytes()
}

/// Makes the records of a new program. On failure nothing is left of them.
pub fn create(home: &Home, program: &mut Program, spec_text: &[u8]) -> Result<()> {
    let records = home.records(program.id);
    let made = make_all(&records, program, spec_text);
    if made.is_err() {
        program.fifos = None;
        let _ = remove_all(&records);
    }
    made
}

fn make_all(records: &Records, program: &mut Program, spec_text: &[u8]) -> Result<()> {
    let mut made = make_folder(records.folder());
    let taken = |e: &io::Error| e.kind() == io::ErrorKind::AlreadyExists;
    if made.as_ref().is_err_and(taken) && matches!(records.status().try_exists(), Ok(false)) {
        // What a supervisor that was killed has left half done.
        let _ = remove_all(records);
        made = make_folder(records.folder());
    }
    made.doing(|| making(records.folder()))?;
    for path in [records.out(), records.err()] {
        fifo::make(&path).doing(|| making(&path))?;
    }
    program.fifos = Some(open_fifos(records)?);
    write_new(&records.spec(), spec_text).doing(|| making(&records.spec()))?;
    write_status(records, program).doing(|| making(&records.status()))
}

/// Writes the first status record: with it there is a program.
pub fn write_status(records: &Records, program: &Program) -> io::Result<()> {
    write_new(&records.status_new(), &status(program))?;
    fs::rename(records.status_new(), records.status())
}

fn making(path: &Path) -> String {
    format!("making {}", path.display())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    open::create_new(path, 0o600)?.write_all(bytes)
}

/// Opens both pipes.
pub fn open_fifos(records: &Records) -> Result<(OwnedFd, OwnedFd)> {
    let open = |path: &Path| fifo::open(path).doing(|| format!("opening {}", path.display()));
    let (out, err) = (open(&records.out())?, open(&records.err())?);
    room::check(err.as_fd(), Holder::Program).doing(|| "holding the pipes of another program")?;
    Ok((out, err))
}

/// Replaces what is recorded of the program itself.
pub fn rewrite_spec(home: &Home, program: &Program) -> io::Result<()> {
    let records = home.records(program.id);
    let new = records.spec_new();
    let _ = fs::remove_file(&new);
    write_new(&new, &spec_text(&program.spec))?;
    fs::rename(&new, records.spec())
}

/// Replaces both by new files: what was in the old ones may have been lost on its way to the disk.
pub fn rewrite(home: &Home, program: &Program) -> io::Result<()> {
    rewrite_spec(home, program)?;
    let records = home.records(program.id);
    let new = records.status_new();
    let _ = fs::remove_file(&new);
    write_new(&new, &status(program))?;
    fs::rename(&new, records.status())
}

/// Replaces the status record.
pub fn rewrite_status(home: &Home, program: &Program) -> io::Result<()> {
    let file = open::regular(&home.records(program.id).status(), Access::Write)?;
    file.write_all_at(&status(program), 0)
}

/// Removes the records of a program that has no process. When the status has gone, the rest is a program no more; the
/// pid goes before it, because where it stands without a status, something is amiss.
pub fn remove(home: &Home, id: u32) -> io::Result<()> {
    let records = home.records(id);
    for path in [records.pid(), records.status()] {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    let _ = remove_all(&records);
    Ok(())
}

/// Removes a folder of records, file by file: to list it takes a descriptor, and there may be none left.
fn remove_all(records: &Records) -> io::Result<()> {
    let files = [
        records.status(),
        records.status_new(),
        records.spec(),
        records.spec_new(),
        records.pid(),
        records.out(),
        records.err(),
    ];
    for file in files {
        let _ = fs::remove_file(file);
    }
    fs::remove_dir(records.folder())
}

/// The states without a process, as they are recorded; in any other one there is a process, or is about to be.
const RESTS: [(&str, State); 3] = [
    ("stopped", State::Stopped),
    ("errored", State::Errored),
    ("waiting", State::Waiting),
];

/// The status record: what is wanted, how it rests, and what is counted. Whether it runs is not written, as only
/// the process itself can say so.
fn status(program: &Program) -> Vec<u8> {
    let life = &program.life;
    let (want, state) = life.recorded();
    let (rest, _) = RESTS
        .into_iter()
        .find(|(_, rest)| *rest == state)
        .unwrap_or(("none", State::Launching));
    let mut line = Line::new("status")
        .with("instance", program.instance.to_string())
        .with("want", want_word(want))
        .with("rest", rest)
        .with("restarts", life.restarts.to_string())
        .with("unstable", life.unstable.to_string())
        .with("created", program.created.to_string())
        .with("ended", program.ended.to_string());
    if program.lost_in_all > 0 {
        line.push("lost", program.lost_in_all.to_string());
    }
    for (key, loss) in LOST.iter().zip(program.lost) {
        if loss.bytes > 0 {
            line.push(key, loss.to_text());
        }
    }
    if let Some(exit) = life.exit {
        let (key, value) = exit_pair(exit);
        line.push_number(key, value);
    }
    let mut bytes = line.to_bytes();
    bytes.pop();
    bytes.resize(STATUS_SIZE - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// What was found of a program.
#[derive(Debug)]
pub struct Found {
    /// The program, at rest or about to be launched again; its process is not looked for yet.
    pub program: Program,
    /// The last process that it had.
    pub last: Option<Record>,
}

/// Why the records of a program are of no use now.
#[derive(Debug)]
pub enum Unusable {
    /// They were read, and are not what they should be.
    Damaged(Error),
    /// They could not be read: no descriptors, no memory, an input error, no permission. They may be whole.
    Unread(Error),
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unusable::Damaged(e) | Unusable::Unread(e) => e.fmt(f),
        }
    }
}

/// What a failure says about a file of a record: that it is not there, or that something else stands in its place; any
/// other failure says nothing about it. `errors(3)`
const AMISS: [i32; 6] = [
    libc::ENOENT,
    libc::ENOTDIR,
    libc::EISDIR,
    libc::ELOOP,
    libc::ENXIO,
    libc::ENODEV,
];

fn unusable(doing: &str, path: &Path, e: &io::Error) -> Unusable {
    let sentence = Error::io(format!("{doing} {}", path.display()), e);
    let amiss = |errno| AMISS.contains(&errno);
    match e.raw_os_error().is_none_or(amiss) {
        true => Unusable::Damaged(sentence),
        false => Unusable::Unread(sentence),
    }
}

/// Reads the records of a program and opens its FIFOs. `Ok(None)`: it never came to be one.
pub fn load(home: &Home, id: u32) -> std::result::Result<Option<Found>, Unusable> {
    let mut found = read(home, id)?;
    if let Some(found) = &mut found {
        let records = home.records(id);
        let open = |path: PathBuf| {
            // One that was removed by mistake; what its program prints now is heard from its next run on.
            let _ = fifo::make(&path);
            fifo::open(&path).map_err(|e| unusable("opening", &path, &e))
        };
        found.program.fifos = Some((open(records.out())?, open(records.err())?));
    }
    Ok(found)
}

/// Reads the records of a program. `Ok(None)`: it never came to be one.
pub fn read(home: &Home, id: u32) -> std::result::Result<Option<Found>, Unusable> {
    let records = home.records(id);
    let is_there = |path: PathBuf| {
        let there = path.try_exists();
        there.map_err(|e| unusable("looking at", &path, &e))
    };
    if !is_there(records.status())? {
        // A process records itself only where the status stands already.
        return match is_there(records.pid())? {
            true => Err(Unusable::Damaged(Error::new(format!(
                "{} is missing",
                records.status().display()
            )))),
            false => Ok(None),
        };
    }
    let status = read_line(&records.status(), "status")?;
    let spec_line = read_line(&records.spec(), "spec")?;
    let program = program_of(id, &records, &status, &spec_line).map_err(Unusable::Damaged)?;
    let last = match Lookup::of(fd::read_file(&records.pid()), &AMISS) {
        Lookup::There(record) => Record::parse(&record),
        Lookup::Gone => None,
        Lookup::Failed(e) => return Err(unusable("reading", &records.pid(), &e)),
    };
    Ok(Some(Found { program, last }))
}

fn program_of(id: u32, records: &Records, status: &Line, spec_line: &Line) -> Result<Program> {
    let instance = status.number("instance").unwrap_or(0);
    let mut spec = Spec::default();
    let set = spec.set_all(&spec_line.fields).map_err(Error::new);
    set.map_err(|e| e.while_doing(format!("reading {}", records.spec().display())))?;
    let damaged = || Error::new(format!("{} is damaged", records.status().display()));
    let created = status.number("created").ok_or_else(damaged)?;
    let mut program = Program::new(id, instance, Rc::new(spec), created);
    let want = status.get("want").and_then(read_want);
    let want = want.ok_or_else(damaged)?;
    let restarts = status.number("restarts").ok_or_else(damaged)?;
    let unstable = status.number("unstable").ok_or_else(damaged)?;
    let rest = status.text("rest").ok_or_else(damaged)?;
    let rest = RESTS.into_iter().find(|(word, _)| *word == rest);
    let state = rest.map_or(State::Launching, |(_, state)| state);
    program.life = Life::recalled(want, state, (restarts, unstable), read_exit(status));
    program.ended = status.number("ended").unwrap_or(0);
    program.lost_in_all = status.number("lost").unwrap_or(0);
    program.lost = LOST.map(|key| status.text(key).and_then(Loss::read).unwrap_or_default());
    Ok(program)
}

fn read_line(path: &Path, tag: &str) -> std::result::Result<Line, Unusable> {
    let bytes = fd::read_file(path).map_err(|e| unusable("reading", path, &e))?;
    let whole = bytes.ends_with(b"\n");
    let line = Line::decode(&bytes)
        .ok()
        .filter(|line| whole && line.tag == tag);
    let damaged = || Unusable::Damaged(Error::new(format!("{} is damaged", path.display())));
    line.ok_or_else(damaged)
}

/// The numbers of all programs that have records, in order.
pub fn ids(home: &Home) -> Result<Vec<u32>> {
    let run = home.run();
    let reading = || format!("reading {}", run.display());
    let mut ids = Vec::new();
    for entry in fs::read_dir(&run).doing(reading)? {
        // An entry that cannot be read may be a program: a list without it is none.
        ids.extend(id_of(&entry.doing(reading)?.file_name()));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// The records that were set aside and are still there.
pub fn damaged(home: &Home) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = entries(home)
        .filter(|entry| entry.file_name().to_string_lossy().contains(DAMAGED))
        .map(|entry| entry.path())
        .collect();
    paths.sort_unstable();
    paths
}

fn entries(home: &Home) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(home.run()).into_iter().flatten().flatten()
}

/// The end of the names of folders that were set aside.
const DAMAGED: &str = ".damaged";

/// Sets the records of a program aside that cannot be read, so that they cost nobody else; where to.
pub fn set_aside(home: &Home, id: u32) -> io::Result<PathBuf> {
    let folder = home.records(id).folder().to_owned();
    let mut aside = home.run().join(format!("{id}{DAMAGED}"));
    let mut number = 1;
    while aside.exists() {
        number += 1;
        aside = home.run().join(format!("{id}{DAMAGED}.{number}"));
    }
    fs::rename(folder, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::life::{Exit, Want};

    fn scene(name: &str) -> Home {
        let root = std::env::temp_dir().join(format!("rpm-records-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("run")).unwrap();
        Home::new(root)
    }

    fn program() -> Program {
        let mut spec = Spec {
            name: "a b".into(),
            script: b"/bin/x".to_vec(),
            ..Spec::default()
        };
        spec.set("env.A", b"1 2").unwrap();
        let mut program = Program::new(3, 1, Rc::new(spec), 1_700_000_000_000);
        program.life.want = Want::Up;
        program.life.restarts = u32::MAX;
        program.life.unstable = u32::MAX;
        program.ended = u32::MAX;
        program.life.exit = Some(Exit::Signal(-9));
        program
    }

    #[test]
    fn what_is_recorded_is_found_again() {
        let home = scene("found");
        let mut made = program();
        let text = spec_text(&made.spec);
        create(&home, &mut made, &text).unwrap();
        made.life.restarts = 5;
        made.ended = 7;
        made.lost_in_all = u64::MAX;
        made.lost = [Loss {
            bytes: u64::MAX,
            first: 1_700_000_000_000,
            last: 1_700_000_000_000,
        }; 2];
        rewrite_status(&home, &made).unwrap();
        assert_eq!(
            fs::metadata(home.records(3).status()).unwrap().len(),
            STATUS_SIZE as u64
        );
        let found = load(&home, 3).unwrap().unwrap();
        assert_eq!(
            (&found.program.spec, found.program.instance),
            (&made.spec, 1)
        );
        assert_eq!((&found.program.life, found.program.ended), (&made.life, 7));
        assert_eq!((found.program.created, found.last), (made.created, None));
        remove(&home, 3).unwrap();
        assert!(load(&home, 3).unwrap().is_none());
        fs::remove_dir_all(home.root()).unwrap();
    }

    #[test]
    fn what_was_never_finished_is_no_program() {
        let home = scene("half");
        create(&home, &mut program(), &spec_text(&program().spec)).unwrap();
        fs::remove_file(home.records(3).status()).unwrap();
        assert!(load(&home, 3).unwrap().is_none());
        create(&home, &mut program(), &spec_text(&program().spec)).unwrap();
        assert!(load(&home, 3).unwrap().is_some());
        fs::remove_dir_all(home.root()).unwrap();
    }

    #[test]
    fn damaged_records_are_named_and_set_aside() {
        let home = scene("damaged");
        create(&home, &mut program(), &spec_text(&program().spec)).unwrap();
        for wrong in ["", "status want=up", "nonsense\n", "spec name=\x01\n"] {
            fs::write(home.records(3).spec(), wrong).unwrap();
            let text = load(&home, 3).unwrap_err().to_string();
            assert!(text.contains("run/3/spec"), "{text}");
        }
        assert!(set_aside(&home, 3).unwrap().ends_with("3.damaged"));
        assert!(load(&home, 3).unwrap().is_none());
        fs::remove_dir_all(home.root()).unwrap();
    }
}
