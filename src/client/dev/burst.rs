//! Changes that come close together are one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::tree::News;

/// How long it must have been quiet, in ms.
const QUIET: u64 = 150;
/// How long quiet is waited for, in ms.
const MOST: u64 = 2_000;

/// What has changed and was not acted on.
#[derive(Debug, Default)]
pub struct Burst {
    /// The files, each with its place in the order in which they changed.
    files: BTreeMap<PathBuf, usize>,
    /// Those that were not there before.
    made: BTreeSet<PathBuf>,
    lost: bool,
    /// When it began, and when the last change was heard of, in ms.
    times: Option<(u64, u64)>,
}

/// What a burst comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    /// The file that changed first; none where that could not be told.
    pub first: Option<PathBuf>,
    others: usize,
    lost: bool,
}

impl Burst {
    /// Adds what has happened at the time `now`.
    pub fn add(&mut self, news: News, now: u64) {
        self.made.extend(news.made);
        if news.files.is_empty() && !news.lost {
            return;
        }
        let begun = self.times.map_or(now, |(begun, _)| begun);
        self.times = Some((begun, now));
        self.lost |= news.lost;
        for file in news.files {
            let place = self.files.len();
            self.files.entry(file).or_insert(place);
        }
    }

    /// When it is to be acted on.
    pub fn due(&self) -> Option<u64> {
        self.times
            .map(|(begun, last)| (last + QUIET).min(begun + MOST))
    }

    /// Ends it. None where nothing is left: what has come and gone within it is no change, as the files that editors
    /// and others write under another name first.
    pub fn take(&mut self, exists: impl Fn(&Path) -> bool) -> Option<Changed> {
        let Burst {
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
    /// What has changed, for somebody in `folder`.
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

    fn news(files: &[&str], made: &[&str]) -> News {
        let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect();
        News {
            files: paths(files),
            made: paths(made),
            lost: false,
        }
    }

    #[test]
    fn it_is_due_when_it_is_quiet_or_has_lasted_too_long() {
        let mut burst = Burst::default();
        burst.add(news(&[], &["/x"]), 5);
        assert_eq!(burst.due(), None);
        burst.add(news(&["/a"], &[]), 1000);
        assert_eq!(burst.due(), Some(1000 + QUIET));
        burst.add(news(&["/b"], &[]), 1100);
        assert_eq!(burst.due(), Some(1100 + QUIET));
        burst.add(news(&["/b"], &[]), 2950);
        assert_eq!(burst.due(), Some(1000 + MOST));
        assert!(burst.take(|_| true).is_some());
        assert!(burst.due().is_none() && burst.take(|_| true).is_none());
    }

    #[test]
    fn the_first_file_is_named_and_the_others_are_counted() {
        let sentence = |all: &[&[&str]]| {
            let mut burst = Burst::default();
            all.iter().for_each(|files| burst.add(news(files, &[]), 0));
            burst.take(|_| false).unwrap().sentence(Path::new("/srv"))
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
    fn what_came_and_went_is_no_change() {
        let mut burst = Burst::default();
        burst.add(
            news(&["/temporary", "/a", "/gone"], &["/temporary", "/a"]),
            0,
        );
        let changed = burst.take(|path| path == Path::new("/a")).unwrap();
        assert_eq!(
            changed.sentence(Path::new("/")),
            "a and 1 other file changed"
        );
        burst.add(news(&["/temporary"], &["/temporary"]), 0);
        assert_eq!(burst.take(|_| false), None);
    }

    #[test]
    fn what_was_lost_is_a_change() {
        let mut burst = Burst::default();
        let lost = News {
            lost: true,
            ..News::default()
        };
        burst.add(lost, 0);
        let changed = burst.take(|_| false).unwrap();
        assert_eq!(
            changed.sentence(Path::new("/")),
            "more files changed than could be told"
        );
    }
}
