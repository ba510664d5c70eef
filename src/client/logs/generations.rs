//! A log file and its older generations: FILE, FILE.1, FILE.2, … the higher the number, the older.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::sys::place::{self, Place};
use crate::sys::rights::{self, Rights};

/// Identifies a file under any name: device and inode.
pub type Identity = (u64, u64);

/// The identity of the file with this metadata.
pub fn identity(found: &Metadata) -> Identity {
    (found.dev(), found.ino())
}

/// Identifies a generation that is no longer written to. Another file that is given its inode differs in size or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Device and inode.
    pub identity: Identity,
    size: u64,
    modified: (i64, i64),
}

impl Mark {
    fn of(found: &Metadata) -> Mark {
        Mark {
            identity: identity(found),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

/// One generation, and where it was found.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Its path.
    pub path: PathBuf,
    /// The file.
    pub mark: Mark,
    /// The rights to open it with: those of the owner of the links that lead to it.
    rights: Rights,
}

/// At most so many numbers are tried.
const MOST: u32 = 10_000;
/// As many links as the kernel follows. `path_resolution(7)`
const LINKS: u32 = 40;

/// The generations of a file, newest first. A rotation moves files to higher numbers only, so looking in that order
/// misses none that stays; one that moves meanwhile may be met twice. During a rotation one number is free; two in a row
/// are the end.
///
/// Only regular files: opening a FIFO would wait, and reading a terminal would take bytes from other readers.
///
/// # Errors
/// It cannot be told whether there are any, as in a folder that cannot be entered.
pub fn all(path: &Path) -> io::Result<Vec<Generation>> {
    let (path, rights) = resolve(path)?;
    let mut found: Vec<Generation> = Vec::new();
    let mut free = 0;
    for number in 0..MOST {
        let path = numbered(&path, number);
        match path.metadata() {
            Ok(there) if there.is_file() => {
                free = 0;
                let mark = Mark::of(&there);
                found.retain(|before| before.mark.identity != mark.identity);
                found.push(Generation { path, mark, rights });
            }
            Ok(_) if number == 0 => return Ok(found),
            Err(e) if number == 0 && e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => free += 1,
        }
        if free == 2 {
            break;
        }
    }
    Ok(found)
}

/// The path behind links: the file is rotated there. It need not exist.
pub fn real(path: &Path) -> PathBuf {
    let mut real = path.to_owned();
    for _ in 0..LINKS {
        let Ok(target) = real.read_link() else {
            break;
        };
        real = real.parent().unwrap_or(Path::new("")).join(target);
    }
    real
}

/// The path behind links, and the rights to open it with: a user's link must not show root more than the user may read.
fn resolve(path: &Path) -> io::Result<(PathBuf, Rights)> {
    if !rights::is_root() {
        return Ok((real(path), Rights::Own));
    }
    match Place::find(path) {
        Ok(place) => Ok((place.path().to_owned(), place.rights())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok((real(path), Rights::Own)),
        Err(e) => Err(e),
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if number > 0 {
        name.push(format!(".{number}"));
    }
    name.into()
}

/// The index of the generation that comes after `own`. Where `own` is not among them, the oldest that was not seen.
pub fn newer(all: &[Generation], own: Option<Identity>, seen: &[Mark]) -> Option<usize> {
    let place = all.iter().position(|one| Some(one.mark.identity) == own);
    match place {
        Some(place) => place.checked_sub(1),
        None => all.iter().rposition(|one| !seen.contains(&one.mark)),
    }
}

/// The generation that comes before `own`; the newest without one.
pub fn older(all: &[Generation], own: Option<Identity>) -> Option<&Generation> {
    match own {
        None => all.first(),
        Some(own) => {
            let place = all.iter().position(|one| one.mark.identity == own)?;
            all.get(place + 1)
        }
    }
}

/// Opens a generation where it was found; none where another file is there now.
pub fn open(generation: &Generation) -> io::Result<Option<File>> {
    let file = match place::read_as(&generation.path, generation.rights) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let found = identity(&file.metadata()?);
    Ok((found == generation.mark.identity).then_some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(ino: u64, size: u64) -> Generation {
        let mark = Mark {
            identity: (1, ino),
            size,
            modified: (0, 0),
        };
        Generation {
            path: PathBuf::new(),
            mark,
            rights: Rights::Own,
        }
    }

    #[test]
    fn the_next_newer_generation_follows() {
        let all = [30, 20, 10].map(|ino| generation(ino, 5));
        assert_eq!(newer(&all, Some((1, 30)), &[]), None);
        assert_eq!(newer(&all, Some((1, 20)), &[]), Some(0));
        assert_eq!(newer(&all, Some((1, 10)), &[]), Some(1));
        assert_eq!(newer(&[], Some((1, 10)), &[]), None);
        let before = |own| older(&all, own).map(|one| one.mark.identity.1);
        assert_eq!(before(None), Some(30));
        assert_eq!(before(Some((1, 30))), Some(20));
        assert_eq!(before(Some((1, 10))), None);
    }

    #[test]
    fn seen_generations_are_skipped_where_the_own_file_was_dropped() {
        let all = [40, 30, 20, 10].map(|ino| generation(ino, 5));
        let seen = [all[2].mark, all[3].mark];
        assert_eq!(newer(&all, Some((1, 7)), &seen), Some(1));
        assert_eq!(newer(&all, None, &[]), Some(3));
        // The inode of a file that was seen, with other content: another file.
        let reused = [generation(20, 6)];
        assert_eq!(newer(&reused, Some((1, 7)), &seen), Some(0));
    }

    #[test]
    fn generations_are_found_by_number_across_one_gap() {
        let folder = std::env::temp_dir().join(format!("rpm-generations-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("log");
        for name in ["log", "log.1", "log.3", "log.6", "log.x"] {
            std::fs::write(folder.join(name), name).unwrap();
        }
        let names = || -> Vec<String> {
            let all = all(&path).unwrap().into_iter();
            all.map(|one| std::fs::read_to_string(one.path).unwrap())
                .collect()
        };
        assert_eq!(names(), ["log", "log.1", "log.3"]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(names(), ["log.1", "log.3"]);
        std::fs::create_dir(&path).unwrap();
        assert!(all(&path).unwrap().is_empty());
        assert!(all(&folder.join("log.1/log")).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
