//! Watches several log files for changes. `inotify(7)`

use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::generations;
use crate::sys::inotify::{self, Change, Watcher};

/// The most reads in one call: files that nobody follows may change often.
const READS: usize = 256;

/// The watches of files, each of which has a number.
pub struct Watches {
    watcher: Watcher,
    files: Vec<Watched>,
}

struct Watched {
    number: usize,
    path: PathBuf,
    watches: Vec<(i32, Object)>,
}

/// What a watch is of.
enum Object {
    /// The file itself, or the one before it, for what is written: other files of the folder wake nobody up.
    File,
    /// The folder in which it has this name.
    Folder(OsString),
    /// A folder further up, in which a folder of the path has this name.
    Ancestor(OsString),
}

impl Watches {
    /// No watches yet.
    pub fn new() -> io::Result<Watches> {
        Ok(Watches {
            watcher: Watcher::new()?,
            files: Vec::new(),
        })
    }

    /// What to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watcher.fd()
    }

    /// Whether changes to file `number` are noticed.
    pub fn has(&self, number: usize) -> bool {
        self.files.iter().any(|one| one.number == number)
    }

    /// Watches the file at `path`, which need not exist, as file `number`. On failure it is not watched.
    pub fn add(&mut self, number: usize, path: &Path) -> io::Result<()> {
        let known = self.files.iter().position(|one| one.number == number);
        let before = known.map(|at| self.files.swap_remove(at).watches);
        let watches = watches(&self.watcher, path, before.unwrap_or_default())?;
        self.files.push(Watched {
            number,
            path: path.to_owned(),
            watches,
        });
        Ok(())
    }

    /// The numbers of the files that may have changed, in the order of the changes. Some may not be watched any more.
    pub fn changed(&mut self) -> io::Result<Vec<usize>> {
        let mut changed = Vec::new();
        for _ in 0..READS {
            let changes = self.watcher.read()?;
            if changes.is_empty() {
                break;
            }
            for change in &changes {
                self.take(change, &mut changed);
            }
        }
        Ok(changed)
    }

    fn take(&mut self, change: &Change, changed: &mut Vec<usize>) {
        let mut moved = Vec::new();
        for file in self.files.iter_mut().filter(|file| file.concerns(change)) {
            if !changed.contains(&file.number) {
                changed.push(file.number);
            }
            let is_file = |(watch, object): &(i32, Object)| {
                *watch == change.watch && matches!(object, Object::File)
            };
            if !file.watches.iter().any(is_file) {
                moved.push((file.number, file.path.clone()));
            } else if change.is_last() {
                file.watches.retain(|(watch, _)| *watch != change.watch);
            }
        }
        let before: Vec<i32> = self.all().collect();
        for (number, path) in moved {
            // One that cannot be watched any more is looked at from time to time.
            let _ = self.add(number, &path);
        }
        // A watch that no file needs must not wake anybody up.
        for watch in before {
            if self.all().all(|used| used != watch) {
                self.watcher.remove(watch);
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = i32> {
        let all = self.files.iter().flat_map(|file| &file.watches);
        all.map(|(watch, _)| *watch)
    }
}

impl Watched {
    /// Whether a change may be one of the file, or of its older generations.
    fn concerns(&self, change: &Change) -> bool {
        // The folder itself was moved or removed, or its permissions have changed.
        let itself = change.name.is_empty();
        let concerns = |(watch, object): &(i32, Object)| {
            *watch == change.watch
                && match object {
                    Object::File => true,
                    Object::Ancestor(own) => itself || change.name == *own,
                    // FILE.1 or FILE-20261126 too.
                    Object::Folder(own) => {
                        let rest = change.name.as_bytes().strip_prefix(own.as_bytes());
                        itself || rest.is_some_and(|rest| matches!(rest, [] | [b'.' | b'-', ..]))
                    }
                }
        };
        // Without a watch: changes were lost.
        change.watch < 0 || self.watches.iter().any(concerns)
    }
}

/// Watches a file, its folder, and where it is a link the folder of its target.
fn watches(
    watcher: &Watcher,
    path: &Path,
    before: Vec<(i32, Object)>,
) -> io::Result<Vec<(i32, Object)>> {
    let mut watches = Vec::new();
    let real = generations::real(path);
    let real = Some(real).filter(|real| real != path);
    for path in [path.to_owned()].into_iter().chain(real) {
        watches.push(nearest(watcher, &path, &path)?);
        // Where the file does not exist, its folder may be removed too, which not every file system reports: the folder
        // above is watched as well.
        let exists = |folder: &&Path| folder.exists();
        if let Some(folder) = path.ancestors().find(exists).filter(|it| *it != path) {
            if folder.parent().is_some() {
                watches.push(nearest(watcher, folder, &path)?);
            }
        }
    }
    // After the folder, for the file may be replaced at any moment. Where it does not exist the folder reports it; that
    // it cannot be read is reported by the reader.
    let own = match watcher.add_for_writing(path) {
        Err(e) if inotify::limit(&e).is_some() => return Err(e),
        own => own.ok(),
    };
    let mut files = before
        .into_iter()
        .filter(|(_, object)| matches!(object, Object::File));
    let previous = files.find(|(watch, _)| Some(*watch) != own);
    watches.extend(own.map(|watch| (watch, Object::File)));
    watches.extend(previous);
    Ok(watches)
}

/// Watches the nearest folder above `path` that exists, for the file at `file`.
fn nearest(watcher: &Watcher, path: &Path, file: &Path) -> io::Result<(i32, Object)> {
    let mut missing = None;
    loop {
        let mut below = path;
        let watched = loop {
            let (Some(folder), Some(name)) = (below.parent(), below.file_name()) else {
                return Err(io::ErrorKind::NotFound.into());
            };
            match watcher.add_for_names(folder) {
                Ok(watch) if below == file => break (watch, Object::Folder(name.to_owned())),
                Ok(watch) => break (watch, Object::Ancestor(name.to_owned())),
                Err(e) if e.kind() == io::ErrorKind::NotFound => below = folder,
                Err(e) => return Err(e),
            }
        };
        // It may have been made before it was watched for. A folder that exists and cannot be entered stays so.
        if below == path || !below.exists() || missing.as_deref() == Some(below) {
            return Ok(watched);
        }
        missing = Some(below.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Watches this file, of a folder of its own, and gives what changes it.
    fn watch(name: &str, path: &str) -> (Watches, PathBuf) {
        let folder = std::env::temp_dir().join(format!("rpm-watch-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let mut watches = Watches::new().unwrap();
        watches.add(7, &folder.join(path)).unwrap();
        (watches, folder)
    }

    #[test]
    fn a_folder_reports_its_file_and_an_ancestor_its_folder() {
        let (mut watches, folder) = watch("deep", "x/y/log");
        let deep = folder.join("x/y");
        let mut changes = |what: io::Result<()>| {
            what.unwrap();
            watches.changed().unwrap() == [7]
        };
        assert!(!changes(fs::write(folder.join("log"), "")));
        assert!(changes(fs::create_dir(folder.join("x"))));
        assert!(changes(fs::create_dir(&deep)));
        assert!(changes(fs::write(deep.join("log"), "a")));
        assert!(!changes(fs::write(deep.join("logs"), "")));
        assert!(changes(fs::write(deep.join("log.1"), "")));
        // The folder is moved away, and another one takes its place.
        assert!(changes(fs::rename(&deep, folder.join("x/z"))));
        assert!(changes(fs::create_dir(&deep)));
        assert!(changes(fs::write(deep.join("log"), "b")));
        assert!(changes(fs::write(deep.join("log"), "c")));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_folder_behind_a_link_is_watched_too() {
        let (mut watches, folder) = watch("link", "link");
        fs::create_dir(folder.join("real")).unwrap();
        std::os::unix::fs::symlink("real/log", folder.join("link")).unwrap();
        assert_eq!(watches.changed().unwrap(), [7]);
        fs::write(folder.join("real/log"), "a").unwrap();
        assert_eq!(watches.changed().unwrap(), [7]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
