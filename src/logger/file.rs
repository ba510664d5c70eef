//! Files that hold a log, where nothing else is known of them.

use std::io;
use std::path::{Path, PathBuf};

use super::rotation;
use crate::error::{Context, Error, Reason, Result};
use crate::sys::place::{self, Opened, Place};
use crate::sys::rights::{self, Rights};
use crate::sys::shared_output::is_of_proc;

/// Which file a path means: two paths that mean the same are one file. What somebody else's link makes of a path never
/// is what another path is by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// Where it is, or will be, whatever links lead there.
    pub path: PathBuf,
    rights: Rights,
}

/// What a path means now.
pub fn meaning(path: &Path) -> Meaning {
    let own = |path| Meaning {
        path,
        rights: Rights::Own,
    };
    if !rights::is_root() {
        return own(real(path));
    }
    Place::find(path).map_or_else(|_| own(path.to_owned()), |place| meaning_of(&place))
}

fn meaning_of(place: &Place) -> Meaning {
    Meaning {
        path: place.path().to_owned(),
        rights: place.rights(),
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

/// Where a log file is, to give it another name or to remove it.
pub fn place(path: &Path) -> io::Result<Place> {
    if rights::is_root() {
        Place::find(path)
    } else {
        Place::find(&real(path))
    }
}

/// Opens a log file for appending, mode 0600, making missing folders; a FIFO in its place must not block.
pub fn open(path: &Path) -> io::Result<(Opened, Meaning)> {
    let place = Place::make(path)?;
    let opened = append(&place)?;
    let meaning = if rights::is_root() {
        meaning_of(&place)
    } else {
        meaning(path)
    };
    Ok((opened, meaning))
}

/// Checks whether a log file that is missing can be created, making missing folders.
pub fn check(path: &Path) -> io::Result<Meaning> {
    let place = Place::make(path)?;
    place.check_create()?;
    Ok(if rights::is_root() {
        meaning_of(&place)
    } else {
        meaning(path)
    })
}

/// Opens the log file at a place for appending.
pub fn append(place: &Place) -> io::Result<Opened> {
    place.open(libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT)
}

/// Empties the log file at this path, where there is one, and removes the older ones. A FIFO or a device has nothing
/// that could be taken back, and what somebody has open is not ours to empty.
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

/// The error of something that was done to a log file.
pub fn failed(doing: &str, why: &io::Error) -> Error {
    Error::new(explained(doing, why))
}

/// The sentence of it.
pub fn explained(doing: &str, why: &io::Error) -> String {
    format!("{doing}: {}{}", Reason(why), place::hint(why))
}
