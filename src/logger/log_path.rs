//! Log files by path: resolves, opens, checks and empties them.

use std::io;
use std::path::{Path, PathBuf};

use super::rotation;
use crate::error::{Context, Error, Reason, Result};
use crate::sys::place::{self, Opened, Place};
use crate::sys::rights::{self, Rights};
use crate::sys::shared_output::is_of_proc;

/// The file that a path resolves to: two paths that resolve to the same are one file. A path through a link of another
/// user never equals a path without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Its path without links. The file need not exist.
    pub path: PathBuf,
    rights: Rights,
}

impl Resolved {
    /// Whether it is this path, opened with the rights of this process.
    pub fn is(&self, path: &Path) -> bool {
        self.rights == Rights::Own && self.path.as_os_str() == path.as_os_str()
    }

    /// None where it is this path: most are, and need no memory.
    pub fn unless_is(self, path: &Path) -> Option<Box<Resolved>> {
        (!self.is(path)).then(|| Box::new(self))
    }
}

/// Resolves a path.
pub fn resolve(path: &Path) -> Resolved {
    let own = |path| Resolved {
        path,
        rights: Rights::Own,
    };
    if !rights::is_root() {
        return own(real(path));
    }
    Place::find(path).map_or_else(|_| own(path.to_owned()), |place| resolved_of(&place))
}

fn resolved_of(place: &Place) -> Resolved {
    Resolved {
        path: place.path().to_owned(),
        rights: place.rights(),
    }
}

fn resolved_at(path: &Path, place: &Place) -> Resolved {
    if rights::is_root() {
        resolved_of(place)
    } else {
        resolve(path)
    }
}

fn real(path: &Path) -> PathBuf {
    let folder = || {
        let folder = path.parent()?.canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    let real = path.canonicalize().ok().or_else(folder);
    real.unwrap_or(path.to_owned())
}

/// The place of a log file, to rename or remove it.
pub fn place(path: &Path) -> io::Result<Place> {
    if rights::is_root() {
        Place::find(path)
    } else {
        Place::find(&real(path))
    }
}

/// Opens a log file for appending, and creates it, mode 0600, and its folders. A FIFO does not block.
pub fn open(path: &Path) -> io::Result<(Opened, Resolved)> {
    let place = Place::make(path)?;
    let opened = append(&place)?;
    let resolved = resolved_at(path, &place);
    Ok((opened, resolved))
}

/// Checks whether a missing log file can be created, and creates its folders.
pub fn check(path: &Path) -> io::Result<Resolved> {
    let place = Place::make(path)?;
    place.check_create()?;
    Ok(resolved_at(path, &place))
}

/// Opens the log file at a place for appending.
pub fn append(place: &Place) -> io::Result<Opened> {
    place.open(libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT)
}

/// Empties the log file at this path, if there is one, and removes the rotated ones. FIFOs, devices and descriptors of
/// processes are left alone.
pub fn empty(path: &Path) -> Result<()> {
    if !path.is_file() || is_of_proc(path) {
        return Ok(());
    }
    let emptying = format!("emptying {}", path.display());
    let place = place(path).map_err(|e| failed(&emptying, &e))?;
    let opened = place.open(libc::O_WRONLY);
    let file = opened.map_err(|e| failed(&emptying, &e))?.file;
    if file.metadata().doing(|| emptying.clone())?.is_file() {
        file.set_len(0).doing(|| emptying)?;
    }
    rotation::remove_older(&place, 0);
    Ok(())
}

/// The error of an operation on a log file.
pub fn failed(doing: &str, why: &io::Error) -> Error {
    Error::new(explained(doing, why))
}

/// The sentence of that error.
pub fn explained(doing: &str, why: &io::Error) -> String {
    format!("{doing}: {}{}", Reason(why), place::hint(why))
}
