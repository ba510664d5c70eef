//! The log files of a folder at a moment, with their sizes. What they held then was not printed by programs that start
//! later.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::generations::{self, Identity};
use super::tail::Tail;
use crate::error::{Context, Result};

/// The most attempts to open a file that keeps being moved.
const ATTEMPTS: u32 = 100;

/// The birth time tells a file from a later one that was given its inode.
type Key = (Identity, Option<SystemTime>);

/// The files of a folder, as they were.
pub struct Baseline {
    folder: PathBuf,
    sizes: HashMap<Key, u64>,
}

impl Baseline {
    /// The files in this folder now; none where it does not exist.
    pub fn of(folder: &Path) -> Baseline {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        // Through links, as the files will be read.
        let found = entries.filter_map(|entry| entry.path().metadata().ok());
        let files = found.filter(Metadata::is_file);
        Baseline {
            folder: folder.to_owned(),
            sizes: files.map(|one| (key(&one), one.len())).collect(),
        }
    }

    /// Whether a file is in this folder.
    pub fn covers(&self, path: &Path) -> bool {
        let real = |folder: &Path| folder.canonicalize().ok();
        let own = path.parent().and_then(real);
        own.is_some() && own == real(&self.folder)
    }

    /// Has a tail go on behind what its file held then.
    pub fn skip(&self, tail: &mut Tail) -> Result<()> {
        let reading = tail.reading();
        for _ in 0..ATTEMPTS {
            let all = generations::all(tail.path()).doing(|| &reading)?;
            let known = all.iter().find_map(|one| {
                let size = self.sizes.get(&key(&one.path.metadata().ok()?))?;
                Some((one, *size))
            });
            let Some((newest, size)) = known else {
                // All of them are new.
                return Ok(());
            };
            if let Some(file) = generations::open(newest).doing(|| &reading)? {
                let was_truncated = file.metadata().doing(|| &reading)?.len() < size;
                let at = if was_truncated { 0 } else { size };
                return tail.start_at(&all, Some((file, at)));
            }
        }
        Ok(())
    }
}

fn key(found: &Metadata) -> Key {
    (generations::identity(found), found.created().ok())
}

#[cfg(test)]
mod tests {
    use super::super::tail::Piece;
    use super::*;

    fn new_bytes(baseline: &Baseline, path: &Path) -> String {
        let mut tail = Tail::new(path.to_owned());
        baseline.skip(&mut tail).unwrap();
        let mut read = Vec::new();
        let done = tail.read_new(&mut |piece| {
            if let Piece::Bytes(bytes) = piece {
                read.extend_from_slice(bytes);
            }
            Ok(())
        });
        done.unwrap();
        String::from_utf8(read).unwrap()
    }

    #[test]
    fn exactly_the_earlier_content_is_skipped() {
        let folder = std::env::temp_dir().join(format!("rpm-baseline-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        for name in ["a", "a.1", "moved", "moved.1", "cut"] {
            fs::write(path(name), "old\n").unwrap();
        }
        let baseline = Baseline::of(&folder);
        assert!(baseline.covers(&path("new")) && !baseline.covers(&folder));
        fs::write(path("a"), "old\na\n").unwrap();
        fs::write(path("new.1"), "1 ").unwrap();
        fs::write(path("new"), "2").unwrap();
        // It has grown, and was rotated twice.
        fs::rename(path("moved.1"), path("moved.3")).unwrap();
        fs::write(path("moved"), "old\n1 ").unwrap();
        fs::rename(path("moved"), path("moved.2")).unwrap();
        fs::write(path("moved.1"), "2 ").unwrap();
        fs::write(path("moved"), "3").unwrap();
        fs::write(path("cut"), "x\n").unwrap();
        let all =
            ["a", "new", "moved", "cut", "none"].map(|name| new_bytes(&baseline, &path(name)));
        assert_eq!(all, ["a\n", "1 2", "1 2 3", "x\n", ""]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
