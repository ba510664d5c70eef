//! The log files that were there before any program that starts later: what they held then is of earlier times.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::generations::{self, Generation, Identity};
use crate::error::{Context, Result};

/// How often files are looked for that are always being moved.
const TRIES: u32 = 100;

/// Which file it is. When it was made tells it from a later one that was given its inode.
type Which = (Identity, Option<SystemTime>);

/// The files of a folder as they were when it was looked at.
pub struct Before {
    folder: PathBuf,
    /// How large they were, in bytes.
    sizes: HashMap<Which, u64>,
}

/// Where in a file that comes later, or in those that it was before, one is to go on.
pub struct Place {
    /// All of them, newest first.
    pub all: Vec<Generation>,
    /// The newest that was there before, and how far it reached then; none where all are new.
    pub from: Option<(File, u64)>,
}

impl Before {
    /// The files in this folder now. One that is not there has none.
    pub fn of(folder: &Path) -> Before {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        // Through a link: what is behind it is what will be read.
        let found = entries.filter_map(|entry| entry.path().metadata().ok());
        let files = found.filter(Metadata::is_file);
        Before {
            folder: folder.to_owned(),
            sizes: files.map(|one| (which(&one), one.len())).collect(),
        }
    }

    /// Whether a file is in this folder.
    pub fn covers(&self, path: &Path) -> bool {
        let real = |folder: &Path| folder.canonicalize().ok();
        let own = path.parent().and_then(real);
        own.is_some() && own == real(&self.folder)
    }

    /// Behind what a file of the folder held before.
    pub fn end_of(&self, path: &Path) -> Result<Place> {
        let reading = || format!("reading {}", path.display());
        for _ in 0..TRIES {
            let all = generations::all(path).doing(reading)?;
            let mut known = all.iter().filter_map(|one| {
                let size = self.sizes.get(&which(&one.path.metadata().ok()?))?;
                Some((one, *size))
            });
            let Some((newest, size)) = known.next() else {
                return Ok(Place { all, from: None });
            };
            if let Some(file) = generations::open(newest).doing(reading)? {
                // One that is smaller was emptied.
                let is_emptied = file.metadata().doing(reading)?.len() < size;
                let at = if is_emptied { 0 } else { size };
                let from = Some((file, at));
                return Ok(Place { all, from });
            }
        }
        Ok(Place {
            all: Vec::new(),
            from: None,
        })
    }
}

fn which(found: &Metadata) -> Which {
    (generations::identity(found), found.created().ok())
}

#[cfg(test)]
mod tests {
    use super::super::track::{News, Track};
    use super::*;

    fn news(before: &Before, path: &Path) -> String {
        let mut track = Track::new(path.to_owned());
        let place = before.end_of(path).unwrap();
        track.go_on_behind(place).unwrap();
        let mut read = Vec::new();
        let done = track.catch_up(&mut |news| {
            if let News::Bytes(bytes) = news {
                read.extend_from_slice(bytes);
            }
            Ok(())
        });
        done.unwrap();
        String::from_utf8(read).unwrap()
    }

    #[test]
    fn what_was_there_before_is_passed_over_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("rpm-before-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        for name in ["a", "a.1", "moved", "moved.1", "cut"] {
            fs::write(path(name), "old\n").unwrap();
        }
        let before = Before::of(&folder);
        assert!(before.covers(&path("new")) && !before.covers(&folder));
        fs::write(path("a"), "old\na\n").unwrap();
        fs::write(path("new.1"), "1 ").unwrap();
        fs::write(path("new"), "2").unwrap();
        // It has gone on, and was rotated twice.
        fs::rename(path("moved.1"), path("moved.3")).unwrap();
        fs::write(path("moved"), "old\n1 ").unwrap();
        fs::rename(path("moved"), path("moved.2")).unwrap();
        fs::write(path("moved.1"), "2 ").unwrap();
        fs::write(path("moved"), "3").unwrap();
        fs::write(path("cut"), "x\n").unwrap();
        let all = ["a", "new", "moved", "cut", "none"].map(|name| news(&before, &path(name)));
        assert_eq!(all, ["a\n", "1 2", "1 2 3", "x\n", ""]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
