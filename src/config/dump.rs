//! The saved list, `dump.json`: an array with an object for each program, under the names that pm2 has in its own.
//!
//! Beside those names each field stands under its own, so that what is read back is the same to the last byte: bytes
//! that are not UTF-8 come back too (see [`super::json`]). `instance` is the number of a program among its instances,
//! `want` what is wanted of it. The list of pm2, `dump.pm2`, can be read as well.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::json::{Member, Node, Source, Value, parse};
use super::{limit, pm2, settings, text};
use crate::error::{Context, Error, Result};
use crate::model::field::FIELDS;
use crate::model::life::Want;
use crate::model::spec::{Environment, Spec, name_of};
use crate::paths::Home;
use crate::protocol::line::printable;
use crate::protocol::process::read_want;
use crate::sys::place::Place;
use crate::sys::rights::Acting;
use crate::sys::{lock, open};

/// What an object of ours is known by.
pub const MARK: &str = "rpm_version";

/// One program of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// What it is.
    pub spec: Rc<Spec>,
    /// Which of its instances it is, from 0.
    pub instance: u32,
    /// What is wanted of it.
    pub want: Want,
}

/// A list that was read.
#[derive(Debug, Default)]
pub struct Dump {
    /// The programs, in order.
    pub programs: Vec<Saved>,
    /// What of pm2's is left out, a sentence each.
    pub left_out: Vec<String>,
    /// Which programs are refused, and why: a sentence each.
    pub refused: Vec<String>,
}

/// Where a program cannot be read, and why.
pub type Fault = (usize, String);

/// Replaces the saved list of a home by a text, which ends up there whole or not at all. What it replaces is kept: as
/// the backup where it is a list, else under a name of its own, as the backup may be the last good list. The sentence
/// says so.
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

/// What is wrong with the list that is there, where there is one.
///
/// # Errors
///
/// It could not be looked at: that says nothing of it.
fn fault(dump: &Path) -> Result<Option<Error>> {
    let doing = || format!("reading {}", dump.display());
    match open::read(dump, text::LONGEST) {
        Ok(bytes) => Ok(read_text(dump, &bytes, &Spec::default()).err()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        // Something else than a file, or far too long.
        Err(e) if open::is_unfit(&e) => Ok(Some(Error::io(doing(), &e))),
        Err(e) => Err(Error::io(doing(), &e)),
    }
}

/// Root saves the list of another user with the rights of that user: the list is that user's to read, and a link that
/// takes the place of the home meanwhile leads to no file of root's.
fn with_rights_of_owner(home: &Home) -> Result<Acting> {
    let new = home.dump_new();
    let taken = Place::find(&new).and_then(|place| place.rights().take());
    taken.doing(|| format!("writing {}", new.display()))
}

/// A lock: one at a time writes the list of a home, or starts what is in it. It is that of a folder which is there in
/// every home and which nobody else locks.
pub fn hold(home: &Home) -> Result<File> {
    let folder = home.logs();
    let doing = || format!("opening {}", folder.display());
    let folder = open::folder(&folder).doing(doing)?;
    lock::wait_for(&folder).doing(doing)?;
    Ok(folder)
}

/// Gives the file a second name, so that it is never missing under its own; it loses that where no file can have two.
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

/// Removes the saved list and the one before. Whether there was one.
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

/// Reads a list, ours or pm2's. `base` is what a program is told that is told nothing.
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
    let mut theirs = Vec::new();
    for item in items {
        if let Some(why) = limit::refusal_of_saved(item) {
            let name = item.get("name").and_then(Node::string).unwrap_or_default();
            let name = printable(name);
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
            let sentence = format!("{name}: {attribute} is not supported yet and left out");
            if !dump.left_out.contains(&sentence) {
                dump.left_out.push(sentence);
            }
        }
        theirs.push(dump.programs.len());
        dump.programs.push(saved);
    }
    number_instances(&mut dump.programs, &theirs);
    Ok(dump)
}

/// pm2 saves each instance by itself: those that are the same are counted, and numbered in their order.
fn number_instances(programs: &mut [Saved], theirs: &[usize]) {
    let mut open: Vec<usize> = theirs.to_vec();
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

/// A program of ours: every field under its own name.
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

/// `NAME=value` of a member, where it can be a variable.
pub fn assignment(member: &Member, value: &[u8]) -> std::result::Result<Vec<u8>, Fault> {
    let assignment = [member.key.as_slice(), b"=", value].concat();
    if member.key.is_empty() || name_of(&assignment) != member.key || assignment.contains(&0) {
        let why = "env: a variable has a name without '=' and no NUL byte";
        return Err((member.at, why.to_owned()));
    }
    Ok(assignment)
}
