//! A log file and what it was before: FILE, FILE.1, FILE.2, … the older the higher the number.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::sys::place::{self, Place};
use crate::sys::rights::{self, Rights};

/// Which file it is, whatever it is called at the moment: device and inode.
pub type Identity = (u64, u64);

/// The file of this metadata.
pub fn identity(found: &Metadata) -> Identity {
    (found.dev(), found.ino())
}

/// A file as it was when it was looked at. One that is not written to any more stays so; another one that is given its
/// inode does not have its size and time too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which file.
    pub identity: Identity,
    size: u64,
    modified: (i64, i64),
}

impl Mark {
    /// The file of this metadata.
    pub fn of(found: &Metadata) -> Mark {
        Mark {
            identity: identity(found),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

/// One of the files, and where it was found.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub mark: Mark,
    /// Whose links lead there.
    rights: Rights,
}

/// No more files are looked for.
const MOST: u32 = 10_000;

/// The files, newest first. They are only ever moved to higher numbers, and are looked at in that order: so none that
/// stays is missed, though one that moves meanwhile may be met twice. While they are being moved one number is free;
/// two in a row are the end.
///
/// Fails where it cannot be told whether there are any, as in a folder that cannot be entered.
///
/// Only files: the opening of a FIFO would wait, and the reading of a terminal would take bytes from others.
pub fn all(path: &Path) -> io::Result<Vec<Generation>> {
    let (path, rights) = &meaning(path)?;
    let rights = *rights;
    let mut found: Vec<Generation> = Vec::new();
    let mut free = 0;
    for number in 0..MOST {
        let path = numbered(path, number);
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

/// No more links are followed, as the kernel has it: `path_resolution(7)`.
const LINKS: u32 = 40;

/// Where the file itself is, of which the path may be a link: there it is set aside. It need not be there.
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

/// The same, and whose links they are: a user's link shows nothing that the user may not read.
fn meaning(path: &Path) -> io::Result<(PathBuf, Rights)> {
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
    match number {
        0 => path.to_owned(),
        _ => {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            name.into()
        }
    }
}

/// The place of the file that comes after `own`. Where `own` is not among the files, it is the oldest of which nothing
/// is known.
pub fn newer(all: &[Generation], own: Option<Identity>, seen: &[Mark]) -> Option<usize> {
    let place = all.iter().position(|one| Some(one.mark.identity) == own);
    match place {
        Some(place) => place.checked_sub(1),
        None => all.iter().rposition(|one| !seen.contains(&one.mark)),
    }
}

/// Opens a file where it was found. None where another one is there now.
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
    fn one_goes_on_with_the_next_newer_file() {
        let all = [30, 20, 10].map(|ino| generation(ino, 5));
        assert_eq!(newer(&all, Some((1, 30)), &[]), None);
        assert_eq!(newer(&all, Some((1, 20)), &[]), Some(0));
        assert_eq!(newer(&all, Some((1, 10)), &[]), Some(1));
        assert_eq!(newer(&[], Some((1, 10)), &[]), None);
    }

    #[test]
    fn where_the_own_file_has_gone_what_is_known_is_passed_over() {
        let all = [40, 30, 20, 10].map(|ino| generation(ino, 5));
        let seen = [all[2].mark, all[3].mark];
        assert_eq!(newer(&all, Some((1, 7)), &seen), Some(1));
        assert_eq!(newer(&all, None, &[]), Some(3));
        // The inode of a file that was seen, with other content: another file.
        let reused = [generation(20, 6)];
        assert_eq!(newer(&reused, Some((1, 7)), &seen), Some(0));
    }

    #[test]
    fn files_are_found_by_their_numbers_across_one_gap() {
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
