//! Log files that are set aside: `FILE.1` is what `FILE` was, `FILE.2` what `FILE.1` was, and so on.
//!
//! No step is done twice whoever is killed in between: files move up only as far as the first number that is free.

use std::fs;
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::Path;

use crate::sys::place::Place;
use crate::sys::raw_bytes::RawBytes;

/// A file becomes larger than it may by at most so much, in bytes, when that saves a line from being split.
const SLACK: u64 = 64 << 10;

/// Where the bytes that come next are cut.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    /// So many of them belong to this file.
    pub at: usize,
    /// Then it is set aside.
    pub rotate: bool,
}

/// Where a file of this size that may have `max` bytes is left. `at_line_end`: it does not end within a line.
pub fn cut(next: RawBytes, size: u64, max: u64, at_line_end: bool) -> Cut {
    let length = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).min(next.len());
    let all = Cut {
        at: next.len(),
        rotate: false,
    };
    let room = max.saturating_sub(size);
    if next.len() as u64 <= room {
        return all;
    }
    let within = |to: usize| next.split_at(to).0;
    if let Some(at) = within(length(room)).find_last(b'\n') {
        return Cut {
            at: at + 1,
            rotate: true,
        };
    }
    if at_line_end && size > 0 {
        return Cut {
            at: 0,
            rotate: true,
        };
    }
    let most = length(max.saturating_add(SLACK).saturating_sub(size));
    match within(most).find(b'\n') {
        Some(at) => Cut {
            at: at + 1,
            rotate: true,
        },
        // A line without an end.
        None if most < next.len() => Cut {
            at: most,
            rotate: true,
        },
        None => all,
    }
}

/// Sets a file aside, the older ones with it, and removes those that are too many. Afterwards its name is free.
pub fn set_aside(place: &Place, max_files: u32) -> io::Result<()> {
    let most = max_files.max(1);
    let taken = |number: &u32| place.stat(*number).is_ok();
    let free = (1..most).find(|number| !taken(number)).unwrap_or(most);
    for number in (1..free).rev() {
        place.renumber(number, number + 1)?;
    }
    place.renumber(0, 1)?;
    remove_older(place, max_files);
    Ok(())
}

/// Removes the older files but the youngest so many.
pub fn remove_older(place: &Place, but: u32) {
    let mut number = but.saturating_add(1);
    while place.remove_older(number).is_ok() {
        number = number.saturating_add(1);
    }
}

/// How large the file of this number is that has this name, or had it: it may be in the same folder under another one,
/// whoever gave it that. Only looked at, and no more than its number and size counts: any path will do.
pub fn size_of(path: &Path, inode: u64) -> Option<u64> {
    let meta = path.symlink_metadata().ok();
    if let Some(meta) = meta.filter(|meta| meta.ino() == inode) {
        return Some(meta.len());
    }
    let folder = fs::read_dir(path.parent()?).ok()?;
    let mut entries = folder.filter_map(io::Result::ok);
    let moved = entries.find(|entry| entry.ino() == inode)?;
    Some(moved.metadata().ok()?.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths;

    fn set_aside(path: &Path, max_files: u32) -> io::Result<()> {
        super::set_aside(&Place::find(path)?, max_files)
    }

    fn cut_of(next: &str, size: u64, max: u64, at_line_end: bool) -> (usize, bool) {
        let cut = cut(next.as_bytes().into(), size, max, at_line_end);
        (cut.at, cut.rotate)
    }

    #[test]
    fn a_file_is_left_between_two_lines() {
        assert_eq!(cut_of("abc\nde\nf", 0, 8, true), (8, false));
        assert_eq!(cut_of("abc\nde\nfgh\n", 0, 8, true), (7, true));
        assert_eq!(cut_of("abc\nde\n", 8, 10, true), (0, true));
        // A line has been begun: its end is waited for.
        assert_eq!(cut_of("abc\nde\n", 8, 10, false), (4, true));
        assert_eq!(cut_of("abc", 8, 10, false), (3, false));
        // A line that is longer than a file may be.
        assert_eq!(cut_of("abcdef\ng\n", 0, 2, true), (7, true));
    }

    #[test]
    fn a_line_that_does_not_end_is_split_at_last() {
        let long = "x".repeat(70_000);
        assert_eq!(cut_of(&long, 0, 1000, true), (1000 + (64 << 10), true));
        assert_eq!(cut_of(&long, 66_536, 1000, false), (0, true));
        assert_eq!(cut_of(&long, 1 << 30, 1000, false), (0, true));
        assert_eq!(cut_of(&long[..60_000], 0, 1000, true), (60_000, false));
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("rpm-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn texts(path: &Path) -> Vec<String> {
        let read = |number| fs::read_to_string(paths::older(path, number)).unwrap_or("-".into());
        (1..=5).map(read).collect()
    }

    #[test]
    fn the_oldest_goes_when_there_are_enough() {
        let folder = folder("rotate");
        let path = folder.join("log");
        for text in ["a", "b", "c", "d", "e"] {
            fs::write(&path, text).unwrap();
            set_aside(&path, 3).unwrap();
            assert!(!path.exists());
        }
        assert_eq!(texts(&path), ["e", "d", "c", "-", "-"]);
        fs::write(&path, "f").unwrap();
        set_aside(&path, 1).unwrap();
        assert_eq!(texts(&path), ["f", "-", "-", "-", "-"]);
        fs::write(&path, "g").unwrap();
        set_aside(&path, 0).unwrap();
        assert_eq!(texts(&path), ["-"; 5]);
        assert!(set_aside(&path, 3).is_err(), "there is none");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_was_interrupted_costs_no_file() {
        let folder = folder("gap");
        let path = folder.join("log");
        // Killed after FILE.2 had become FILE.3.
        for (name, text) in [("log", "4"), ("log.1", "3"), ("log.3", "2"), ("log.4", "1")] {
            fs::write(folder.join(name), text).unwrap();
        }
        set_aside(&path, 4).unwrap();
        assert_eq!(texts(&path), ["4", "3", "2", "1", "-"]);
        let inode = folder.join("log.3").metadata().unwrap().ino();
        assert_eq!(size_of(&path, inode), Some(1));
        fs::rename(folder.join("log.3"), folder.join("mine")).unwrap();
        assert_eq!(size_of(&path, inode), Some(1));
        assert_eq!(size_of(&path, 0), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
