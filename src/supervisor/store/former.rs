//! Reads the records of the release before this one: a folder `run/ID` for each program, with the files `spec`,
//! `status` and `pid` and the FIFOs `out` and `err`.
//!
//! They are read where `rpmd.state` has version 1. From then on the list counts. The folders stay until the next start,
//! as the log writer of that release opens the FIFOs there.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::paths::Home;
use crate::protocol::line::Line;
use crate::supervisor::store::list::{self, Entry};
use crate::supervisor::store::records;
use crate::sys::pid::Pid;
use crate::sys::spawn::Record;
use crate::sys::{fd, open};

/// The last version of `rpmd.state` whose records are folders.
pub const VERSION: u32 = 1;

/// The number of a program that has this folder: anything else in `run` is left alone.
pub fn id_of(folder: &OsStr) -> Option<u32> {
    let name = folder.to_str()?;
    let id: u32 = name.parse().ok()?;
    (id.to_string() == name).then_some(id)
}

/// The numbers of all programs that have a folder.
pub fn ids(home: &Home) -> Result<Vec<u32>> {
    let run = home.run();
    let reading = || format!("reading {}", run.display());
    let mut ids = Vec::new();
    for entry in fs::read_dir(&run).doing(reading)? {
        // An entry that cannot be read may be a program: a list without it is none.
        ids.extend(id_of(&entry.doing(reading)?.file_name()));
    }
    Ok(ids)
}

/// What the records of a program are.
pub enum Former {
    /// A program.
    Program(Entry),
    /// It never came to be one.
    Unfinished,
    /// They were read, and are not what they should be.
    Damaged(Error),
}

/// Reads the records of a program.
///
/// # Errors
///
/// They could not be read: no descriptors, no memory, an input error. They may be whole.
pub fn read(home: &Home, id: u32) -> Result<Former> {
    let folder = home.former_records(id);
    let (spec, status, pid) = (
        folder.join("spec"),
        folder.join("status"),
        folder.join("pid"),
    );
    let pid = content(&pid)?;
    let Some(status_text) = content(&status)? else {
        // A process records itself only where the status stands already.
        let missing = Error::new(format!("{} is missing", status.display()));
        return Ok(pid.map_or(Former::Unfinished, |_| Former::Damaged(missing)));
    };
    let spec_text = content(&spec)?.unwrap_or_default();
    Ok(match entry(id, &spec_text, &status_text, pid.as_deref()) {
        Some(entry) => Former::Program(entry),
        None => Former::Damaged(Error::new(format!(
            "the records in {} are damaged",
            folder.display()
        ))),
    })
}

/// All that is in a file. `None`: there is none. One that is no regular file is empty.
fn content(path: &Path) -> Result<Option<Vec<u8>>> {
    match fd::read_file(path) {
        Ok(text) => Ok(Some(text)),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(e) if open::is_unfit(&e) => Ok(Some(Vec::new())),
        Err(e) => Err(Error::io(format!("reading {}", path.display()), &e)),
    }
}

fn entry(id: u32, spec: &[u8], status: &[u8], pid: Option<&[u8]>) -> Option<Entry> {
    let whole = |text: &[u8], tag: &str| {
        let line = Line::decode(text).ok()?;
        (text.ends_with(b"\n") && line.tag == tag).then_some(line)
    };
    let spec_line = whole(spec, "spec")?;
    let mut line = Line::new("status").with("id", id.to_string());
    line.fields.extend(whole(status, "status")?.fields);
    records::program_of(id, &line, &spec_line).ok()?;
    let mut status = Vec::new();
    list::push(&mut status, &line);
    let pid = pid.and_then(record).map(|pid| records::pid_line(id, &pid));
    let spec = records::spec_line(id, spec);
    Some(Entry::new(spec, status, pid.unwrap_or_default()))
}

/// The record that a process of that release has left of itself.
fn record(text: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace();
    let mut next = |key| words.next()?.strip_prefix(key);
    Some(Record {
        pid: Pid::new(next("pid=")?.parse().ok()?)?,
        start: next("start=")?.parse().ok()?,
        run: next("run=").map_or(Some(0), |run| run.parse().ok())?,
        joined: next("cgroup=") == Some("1"),
    })
}

/// Gives the FIFOs of a program the names that they have from now on. The old names stay.
pub fn name_pipes(home: &Home, id: u32) {
    let (folder, pipes) = (home.former_records(id), home.records(id));
    for (old, new) in [("out", pipes.out()), ("err", pipes.err())] {
        // Where there is none, one is made when the program is taken over.
        let _ = fs::hard_link(folder.join(old), new);
    }
}

/// Sets the records of a program aside; where to.
pub fn set_aside(home: &Home, id: u32, damaged: &str) -> io::Result<PathBuf> {
    let aside = free_name(home, &format!("{id}{damaged}"));
    fs::rename(home.former_records(id), &aside)?;
    Ok(aside)
}

/// A path in `run` where nothing stands: this name, or with a number behind it.
pub fn free_name(home: &Home, name: &str) -> PathBuf {
    let first = home.run().join(name);
    let others = (2u32..).map(|number| home.run().join(format!("{name}.{number}")));
    let mut paths = std::iter::once(first.clone()).chain(others);
    let free = paths.find(|path| path.symlink_metadata().is_err());
    free.unwrap_or(first)
}

/// Removes the records of a program, file by file: to list a folder takes a descriptor, and there may be none left.
pub fn remove(home: &Home, id: u32) {
    let folder = home.former_records(id);
    for file in [
        "status",
        "status.new",
        "spec",
        "spec.new",
        "pid",
        "out",
        "err",
    ] {
        let _ = fs::remove_file(folder.join(file));
    }
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_of_the_release_before_are_read() {
        let root = std::env::temp_dir().join(format!("rpm-former-{}", std::process::id()));
        let home = Home::new(root.clone());
        let folder = home.former_records(3);
        fs::create_dir_all(&folder).unwrap();
        let text = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        assert!(matches!(read(&home, 3).unwrap(), Former::Unfinished));
        text("spec", "spec name=a script=/bin/x env=A=1%202\n");
        text(
            "status",
            "status instance=1 want=up rest=none restarts=5 unstable=2 created=17 ended=7 code=3      \n",
        );
        text("pid", "pid=17 start=99 run=8 cgroup=1              \n");
        let Former::Program(entry) = read(&home, 3).unwrap() else {
            panic!("no program");
        };
        let found = records::found(3, &entry).unwrap();
        assert_eq!((found.program.ended, found.program.instance), (7, 1));
        assert_eq!(found.program.spec.env.get(b"A"), Some(&b"1 2"[..]));
        let last = found.last.unwrap();
        assert_eq!(
            (last.pid.get(), last.start, last.run, last.joined),
            (17, 99, 8, true)
        );
        for wrong in ["", "status want=up", "nonsense\n", "spec name=\x01\n"] {
            text("spec", wrong);
            assert!(
                matches!(read(&home, 3).unwrap(), Former::Damaged(_)),
                "{wrong}"
            );
        }
        fs::remove_file(folder.join("status")).unwrap();
        assert!(matches!(read(&home, 3).unwrap(), Former::Damaged(_)));
        assert_eq!(ids(&home).unwrap(), [3]);
        assert!(
            set_aside(&home, 3, ".damaged")
                .unwrap()
                .ends_with("3.damaged")
        );
        assert_eq!(ids(&home).unwrap(), []);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn only_plain_numbers_are_ids() {
        for (name, id) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("007", None),
            ("+7", None),
            ("x", None),
            ("4294967296", None),
        ] {
            assert_eq!(id_of(OsStr::new(name)), id, "{name}");
        }
    }
}
