//! Joins changes that come close together into one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::tree::Batch;

/// The time without a change that ends it, in ms.
const QUIET: u64 = 150;
/// The longest it may take, in ms.
const MOST: u64 = 2_000;

/// Changes that were not handled yet.
#[derive(Debug, Default)]
pub struct Debounce {
    /// The files, each with its place in the order of the changes.
    files: BTreeMap<PathBuf, usize>,
    /// Files that were created.
    made: BTreeSet<PathBuf>,
    lost: bool,
    /// When the first and the last change came, in ms.
    times: Option<(u64, u64)>,
}

/// The changes as one.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    /// The file that changed first; none where that could not be told.
    pub first: Option<PathBuf>,
    others: usize,
    lost: bool,
}

impl Debounce {
    /// Adds changes at the time `now`.
    pub fn add(&mut self, batch: Batch, now: u64) {
        self.made.extend(batch.made);
        if batch.files.is_empty() && !batch.lost {
            return;
        }
        let begun = self.times.map_or(now, |(begun, _)| begun);
        self.times = Some((begun, now));
        self.lost |= batch.lost;
        for file in batch.files {
            let place = self.files.len();
            self.files.entry(file).or_insert(place);
        }
    }

    /// When they are to be handled.
    pub fn due(&self) -> Option<u64> {
        self.times
            .map(|(begun, last)| (last + QUIET).min(begun + MOST))
    }

    /// Takes the changes; none where nothing is left. A file that was created and removed in between is no change: editors
    /// write such files before they rename them.
    pub fn take(&mut self, exists: impl Fn(&Path) -> bool) -> Option<Changed> {
        let Debounce {
            mut files,
            made,
            lost,
            ..
        } = std::mem::take(self);
        files.retain(|file, _| !made.contains(file) || exists(file));
        let others = files.len().saturating_sub(1);
        let first = files.into_iter().min_by_key(|(_, place)| *place);
        let first = first.map(|(file, _)| file);
        (first.is_some() || lost).then_some(Changed {
            first,
            others,
            lost,
        })
    }
}

impl Changed {
    /// The changes as text, with paths relative to `folder`.
    pub fn sentence(&self, folder: &Path) -> String {
        let others = match self.others {
            _ if self.lost => " and more than could be told".to_owned(),
            0 => String::new(),
            1 => " and 1 other file".to_owned(),
            many => format!(" and {many} other files"),
        };
        match &self.first {
            Some(path) => {
                let path = path.strip_prefix(folder).unwrap_or(path);
                format!("{}{others} changed", path.display())
            }
            None => "more files changed than could be told".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(files: &[&str], made: &[&str]) -> Batch {
        let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect();
        Batch {
            files: paths(files),
            made: paths(made),
            lost: false,
        }
    }

    #[test]
    fn it_is_due_after_quiet_or_the_longest_time() {
        let mut debounce = Debounce::default();
        debounce.add(batch(&[], &["/x"]), 5);
        assert_eq!(debounce.due(), None);
        debounce.add(batch(&["/a"], &[]), 1000);
        assert_eq!(debounce.due(), Some(1000 + QUIET));
        debounce.add(batch(&["/b"], &[]), 1100);
        assert_eq!(debounce.due(), Some(1100 + QUIET));
        debounce.add(batch(&["/b"], &[]), 2950);
        assert_eq!(debounce.due(), Some(1000 + MOST));
        assert!(debounce.take(|_| true).is_some());
        assert!(debounce.due().is_none() && debounce.take(|_| true).is_none());
    }

    #[test]
    fn the_first_file_is_named_and_the_others_are_counted() {
        let sentence = |all: &[&[&str]]| {
            let mut debounce = Debounce::default();
            all.iter()
                .for_each(|files| debounce.add(batch(files, &[]), 0));
            debounce
                .take(|_| false)
                .unwrap()
                .sentence(Path::new("/srv"))
        };
        assert_eq!(sentence(&[&["/srv/b/c"], &["/srv/b/c"]]), "b/c changed");
        assert_eq!(
            sentence(&[&["/srv/b"], &["/srv/a"]]),
            "b and 1 other file changed"
        );
        assert_eq!(
            sentence(&[&["/x", "/y", "/x", "/z"]]),
            "/x and 2 other files changed"
        );
    }

    #[test]
    fn a_file_created_and_removed_is_no_change() {
        let mut debounce = Debounce::default();
        debounce.add(
            batch(&["/temporary", "/a", "/gone"], &["/temporary", "/a"]),
            0,
        );
        let changed = debounce.take(|path| path == Path::new("/a")).unwrap();
        assert_eq!(
            changed.sentence(Path::new("/")),
            "a and 1 other file changed"
        );
        debounce.add(batch(&["/temporary"], &["/temporary"]), 0);
        assert_eq!(debounce.take(|_| false), None);
    }

    #[test]
    fn lost_changes_are_a_change() {
        let mut debounce = Debounce::default();
        let lost = Batch {
            lost: true,
            ..Batch::default()
        };
        debounce.add(lost, 0);
        let changed = debounce.take(|_| false).unwrap();
        assert_eq!(
            changed.sentence(Path::new("/")),
            "more files changed than could be told"
        );
    }
}
