//! The saved list, `dump.json`: an array with an object per program, with the member names of pm2.
//!
//! Each object also has every field of the program under its own name, and is read back from these without loss, even of
//! bytes that are not UTF-8 (see [`super::json`]). `instance` is the number of a program among its instances, `want` its
//! desired state. The list of pm2, `dump.pm2`, can be read too.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::json::{Node, Source, Value, parse};
pub use super::saved::{Fault, Saved, assignment};
use super::{limit, pm2, settings, text};
use crate::error::{Context, Error, Result};
use crate::model::field::FIELDS;
use crate::model::spec::{Environment, Spec};
use crate::paths::Home;
use crate::protocol::process::read_want;
use crate::sys::place::Place;
use crate::sys::rights::Acting;
use crate::sys::{lock, open};
use crate::units::excerpt;

/// The member that identifies an object as rpm's.
pub const MARK: &str = "rpm_version";

/// A list that was read.
#[derive(Debug, Default)]
pub struct Dump {
    /// The programs, in order.
    pub programs: Vec<Saved>,
    /// The attributes of pm2 that are ignored, a sentence each.
    pub left_out: Vec<String>,
    /// The programs that are refused, and why, a sentence each.
    pub refused: Vec<String>,
}

/// Replaces the saved list of a home atomically. The old file is kept: as the backup if it is a valid list, else under
/// another name, as the backup may be the last valid list. Returns a sentence if the old file was invalid.
///
/// # Errors
///
/// A file cannot be read or written. Then the old list stays.
pub fn write(home: &Home, text: &str) -> Result<Option<String>> {
    let _acting = with_rights_of_owner(home)?;
    let _held = hold(home)?;
    let (new, dump) = (home.dump_new(), home.dump());
    let fault = fault(&dump)?;
    let kept = match &fault {
        None => home.dump_backup(),
        Some(_) => home.dump_broken(),
    };
    let written = open::write_new(&dump, text.as_bytes()).and_then(|(file, _)| file.sync_all());
    let written = written.doing(|| format!("writing {}", new.display()));
    let placed = written.and_then(|()| {
        keep(&dump, &kept).doing(|| format!("keeping {}", dump.display()))?;
        fs::rename(&new, &dump).doing(|| format!("making {}", dump.display()))?;
        open::folder(home.root())
            .and_then(|folder| folder.sync_all())
            .doing(|| format!("writing {}", home.root().display()))
    });
    if placed.is_err() {
        let _ = fs::remove_file(&new);
    }
    placed.map(|()| fault.map(|why| format!("{why}; it is kept as {}", kept.display())))
}

/// What is wrong with the present list; `None` if it is valid or does not exist.
///
/// # Errors
///
/// It could not be read, so it may be valid.
fn fault(dump: &Path) -> Result<Option<Error>> {
    let doing = || format!("reading {}", dump.display());
    match open::read(dump, text::LONGEST) {
        Ok(bytes) => Ok(read_text(dump, &bytes, &Spec::default()).err()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        // Not a regular file, or too long.
        Err(e) if open::is_unfit(&e) => Ok(Some(Error::io(doing(), &e))),
        Err(e) => Err(Error::io(doing(), &e)),
    }
}

/// Root saves the list of another user with the rights of that user, so that the user can read it, and a symbolic link that
/// replaces the home meanwhile cannot lead to a file of root.
fn with_rights_of_owner(home: &Home) -> Result<Acting> {
    let new = home.dump_new();
    let taken = Place::find(&new).and_then(|place| place.rights().take());
    taken.doing(|| format!("writing {}", new.display()))
}

/// Takes the lock for writing the list of a home, or starting its programs. It is the lock of the directory of logs, which
/// exists in every home and is not locked for anything else.
///
/// # Errors
///
/// The directory cannot be opened or locked.
pub fn hold(home: &Home) -> Result<File> {
    let folder = home.logs();
    let doing = || format!("opening {}", folder.display());
    let folder = open::folder(&folder).doing(doing)?;
    lock::wait_for(&folder).doing(doing)?;
    Ok(folder)
}

/// Makes a hard link `backup` to the list, so that the list never disappears. Renames it if the file system has no hard
/// links.
fn keep(dump: &Path, backup: &Path) -> io::Result<()> {
    if let Err(e) = fs::remove_file(backup) {
        if e.kind() != io::ErrorKind::NotFound {
            return Err(e);
        }
    }
    match fs::hard_link(dump, backup).or_else(|_| fs::rename(dump, backup)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes the saved list and its backup. Returns whether one existed.
///
/// # Errors
///
/// One cannot be removed.
pub fn clear(home: &Home) -> Result<bool> {
    if matches!(home.root().try_exists(), Ok(false)) {
        return Ok(false);
    }
    let _acting = with_rights_of_owner(home)?;
    let mut found = false;
    for path in [home.dump_backup(), home.dump()] {
        match fs::remove_file(&path) {
            Ok(()) => found = true,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io(format!("removing {}", path.display()), &e)),
        }
    }
    Ok(found)
}

/// Reads a list of rpm or pm2. `base` has the settings of a program that has none of its own.
///
/// # Errors
///
/// The file cannot be read, or is not a list; the sentence has line and column.
pub fn read(path: &Path, base: &Spec) -> Result<Dump> {
    let bytes = open::read(path, text::LONGEST).doing(|| format!("reading {}", path.display()))?;
    read_text(path, &bytes, base)
}

fn read_text(path: &Path, bytes: &[u8], base: &Spec) -> Result<Dump> {
    let name = path.display().to_string();
    let source = Source {
        name: &name,
        text: bytes,
        literal: true,
    };
    let node = parse(&source)?;
    list(&node, base).map_err(|(at, why)| source.error(at, &why))
}

fn list(node: &Node, base: &Spec) -> std::result::Result<Dump, Fault> {
    let Value::Array(items) = &node.value else {
        let why = format!("expected an array of programs, found {}", node.kind());
        return Err((node.at, why));
    };
    let mut dump = Dump::default();
    let mut of_pm2 = Vec::new();
    for item in items {
        if let Some(why) = limit::refusal_of_saved(item) {
            let name = item.get("name").and_then(Node::string).unwrap_or_default();
            let name = excerpt(name);
            dump.refused.push(format!("cannot restore {name}: {why}"));
            continue;
        }
        if item.get(MARK).is_some() {
            dump.programs.push(program(item)?);
            continue;
        }
        let (saved, left_out) = pm2::program(item, base)?;
        for attribute in left_out {
            let name = &saved.spec.name;
            let sentence = format!("{name}: {attribute} is not supported yet, ignored");
            if !dump.left_out.contains(&sentence) {
                dump.left_out.push(sentence);
            }
        }
        of_pm2.push(dump.programs.len());
        dump.programs.push(saved);
    }
    number_instances(&mut dump.programs, &of_pm2);
    Ok(dump)
}

/// Counts and numbers the instances of each program: pm2 saves them as separate programs.
fn number_instances(programs: &mut [Saved], of_pm2: &[usize]) {
    let mut open: Vec<usize> = of_pm2.to_vec();
    while let Some(first) = open.first().and_then(|at| programs.get(*at)) {
        let spec = Rc::clone(&first.spec);
        let same = |at: &usize| programs.get(*at).is_some_and(|p| p.spec == spec);
        let (group, rest): (Vec<usize>, Vec<usize>) = open.iter().partition(|at| same(at));
        open = rest;
        let mut counted = Spec::clone(&spec);
        counted.instances = u32::try_from(group.len()).unwrap_or(u32::MAX);
        let counted = Rc::new(counted);
        for (instance, at) in (0..).zip(group) {
            if let Some(program) = programs.get_mut(at) {
                program.instance = instance;
                program.spec = Rc::clone(&counted);
            }
        }
    }
}

/// A program of rpm, with every field under its own name.
fn program(node: &Node) -> std::result::Result<Saved, Fault> {
    let mut spec = Spec::default();
    for field in FIELDS {
        if let Some(value) = node.get(field.name) {
            settings::read(&mut spec, field, value)
                .map_err(|why| (value.at, format!("{}: {why}", field.name)))?;
        }
    }
    if spec.script.is_empty() || spec.name.is_empty() {
        return Err((
            node.at,
            "expected a program with a name and a script".to_owned(),
        ));
    }
    let mut assignments = Vec::new();
    for member in node.get("env").map_or(&[][..], Node::members) {
        let value = member.node.scalar().ok_or_else(|| {
            let why = format!("env: expected a string, found {}", member.node.kind());
            (member.node.at, why)
        })?;
        assignments.push(assignment(member, &value)?);
    }
    let all = assignments.iter().map(Vec::as_slice);
    spec.env = Rc::new(Environment::from_assignments(all));
    let instance = node.get("instance").and_then(Node::scalar);
    let instance = instance.and_then(|text| String::from_utf8(text).ok()?.parse().ok());
    let instance = instance.filter(|number: &u32| *number < spec.instances);
    let instance = instance.ok_or_else(|| {
        let why = format!(
            "expected an instance from 0 to {}",
            spec.instances.saturating_sub(1)
        );
        (node.get("instance").map_or(node.at, |n| n.at), why)
    })?;
    let want = node.get("want").and_then(Node::string).and_then(read_want);
    let want = want.ok_or_else(|| (node.at, "expected \"want\": \"up\" or \"down\"".to_owned()))?;
    Ok(Saved {
        spec: Rc::new(spec),
        instance,
        want,
    })
}
