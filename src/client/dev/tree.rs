//! Watches folders and all folders below them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::rules::Rules;
use crate::client::display::output;
use crate::error::{Context, Error, Reason, Result};
use crate::sys::inotify::{self, Change, Watcher};

/// The watches.
pub struct Tree {
    watcher: Watcher,
    rules: Rules,
    roots: Vec<PathBuf>,
    folders: BTreeMap<i32, Folder>,
    /// The kernel watches no more.
    full: bool,
}

/// One folder.
struct Folder {
    path: PathBuf,
    /// Where only some files in it are watched, and nothing below: these.
    only: Option<Vec<OsString>>,
}

/// Changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The changed files in the order of the changes; a file may be there twice.
    pub files: Vec<PathBuf>,
    /// Files that were created and not written yet.
    pub made: Vec<PathBuf>,
    /// The queue of the kernel overflowed.
    pub lost: bool,
}

impl Tree {
    /// Watches these folders, with all that are below them, and files.
    pub fn new(roots: Vec<PathBuf>, rules: Rules) -> Result<Tree> {
        let mut tree = Tree {
            watcher: inotify::watcher("watching files")?,
            rules,
            roots,
            folders: BTreeMap::new(),
            full: false,
        };
        tree.add_roots();
        match tree.folders.is_empty() {
            true => Err(Error::new("nothing can be watched")),
            false => Ok(tree),
        }
    }

    /// The watched paths as text.
    pub fn shown(&self) -> String {
        let roots = self.roots.iter().map(|root| root.to_string_lossy());
        let roots = roots.collect::<Vec<_>>().join(", ");
        match self.folders.len() {
            1 => roots,
            many => format!("{roots} ({many} folders)"),
        }
    }

    /// What to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watcher.fd()
    }

    fn add_roots(&mut self) {
        for root in self.roots.clone() {
            match (root.is_dir(), root.parent(), root.file_name()) {
                (false, Some(folder), Some(name)) => {
                    self.watch(folder, Some(name.to_owned()));
                }
                _ => self.add(root, &mut |_| {}),
            }
        }
    }

    /// Watches a folder and all that are below it, and hands over the files in them.
    fn add(&mut self, folder: PathBuf, found: &mut dyn FnMut(PathBuf)) {
        let mut left = vec![folder];
        while let Some(folder) = left.pop() {
            // Watched before it is read, so that no change in between is missed.
            if !self.watch(&folder, None) {
                continue;
            }
            for entry in folder.read_dir().into_iter().flatten().flatten() {
                let path = entry.path();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                match self.rules.leaves_out(&path, is_folder) {
                    true => {}
                    false if is_folder => left.push(path),
                    false => found(path),
                }
            }
        }
    }

    /// Watches one folder. Whether that could be done.
    fn watch(&mut self, path: &Path, only: Option<OsString>) -> bool {
        if self.full {
            return false;
        }
        let watch = match self.watcher.add_for_work(path) {
            Ok(watch) => watch,
            Err(why) => {
                self.cannot_watch(path, &why);
                return false;
            }
        };
        let only = only.map(|name| vec![name]);
        match self.folders.entry(watch) {
            Entry::Vacant(place) => {
                let path = path.to_owned();
                place.insert(Folder { path, only });
            }
            Entry::Occupied(mut there) => {
                let there = there.get_mut();
                there.path = path.to_owned();
                there.only = there.only.take().zip(only).map(|(mut some, more)| {
                    some.extend(more);
                    some
                });
            }
        }
        true
    }

    fn cannot_watch(&mut self, path: &Path, why: &io::Error) {
        let path = path.display();
        match why.kind() {
            // It was removed meanwhile.
            ErrorKind::NotFound | ErrorKind::NotADirectory => {}
            // inotify_add_watch(2): the limit of this user.
            ErrorKind::StorageFull => {
                self.full = true;
                output::complain(format!(
                    "watching {path}: the limit of watches is reached, and changes there and in more folders are not \
                     seen; raise it with sysctl fs.inotify.max_user_watches, or watch less with --watch"
                ));
            }
            _ => {
                let why = Reason(why);
                output::complain(format!(
                    "watching {path}: {why}; changes in it are not seen"
                ));
            }
        }
    }

    /// The changes since the last call.
    pub fn batch(&mut self) -> Result<Batch> {
        let mut batch = Batch::default();
        let changes = self
            .watcher
            .read()
            .doing(|| "waiting for files to change")?;
        for change in changes {
            if change.watch < 0 {
                batch.lost = true;
                self.add_roots();
            } else if change.is_last() {
                self.forget(change.watch);
            } else if let Some(path) = self.path_of(&change) {
                self.take(&change, path, &mut batch);
            }
        }
        Ok(batch)
    }

    /// A watched folder was removed.
    fn forget(&mut self, watch: i32) {
        let gone = self.folders.remove(&watch);
        let root = gone.filter(|gone| gone.only.is_some() || self.roots.contains(&gone.path));
        if let Some(root) = root {
            let path = root.path.display();
            output::complain(format!("{path} has gone, and is watched no longer"));
        }
    }

    /// The path of a change, where it is watched.
    fn path_of(&self, change: &Change) -> Option<PathBuf> {
        let folder = self.folders.get(&change.watch)?;
        let mut only = folder.only.iter().flatten();
        if folder.only.is_some() && !only.any(|name| *name == change.name) {
            return None;
        }
        let path = folder.path.join(&change.name);
        let left_out = self.rules.leaves_out(&path, change.of_folder());
        (!change.name.is_empty() && !left_out).then_some(path)
    }

    fn take(&mut self, change: &Change, path: PathBuf, batch: &mut Batch) {
        match change.of_folder() {
            // An empty folder is no change, and what was in one that was removed was removed before.
            true if change.was_made() || change.came() => {
                self.add(path, &mut |file| batch.files.push(file));
            }
            true if change.left() => {
                self.drop_below(&path);
                batch.files.push(path);
            }
            true => {}
            // One that was opened, to be written, will be closed.
            false if change.was_made() && !path.is_symlink() => batch.made.push(path),
            false => batch.files.push(path),
        }
    }

    fn drop_below(&mut self, path: &Path) {
        self.folders.retain(|watch, folder| {
            let below = folder.path.starts_with(path);
            if below {
                self.watcher.remove(*watch);
            }
            !below
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Home;
    use std::fs;

    struct Scene(PathBuf);

    impl Scene {
        fn new(name: &str) -> Scene {
            let folder =
                std::env::temp_dir().join(format!("rpm-tree-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(folder.join("a/b")).unwrap();
            fs::create_dir_all(folder.join("node_modules/x")).unwrap();
            fs::write(folder.join("a/file"), "").unwrap();
            Scene(folder)
        }

        fn tree(&self, roots: &[&str]) -> Tree {
            let home = Home::new(self.0.join("home"));
            let rules = Rules::new(home, self.0.clone(), &[]).unwrap();
            let roots = roots.iter().map(|root| self.0.join(root)).collect();
            Tree::new(roots, rules).unwrap()
        }

        fn write(&self, file: &str) {
            fs::write(self.0.join(file), "x").unwrap();
        }

        /// What the tree tells, from the folder of the test on.
        fn told(&self, tree: &mut Tree) -> Vec<String> {
            let mut files: Vec<String> = Vec::new();
            loop {
                let batch = tree.batch().unwrap();
                let short =
                    |path: &PathBuf| path.strip_prefix(&self.0).unwrap().display().to_string();
                let more: Vec<String> = batch.files.iter().map(short).collect();
                if more.is_empty() {
                    files.dedup();
                    return files;
                }
                files.extend(more);
            }
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn changes_in_every_folder_are_reported() {
        let scene = Scene::new("files");
        let mut tree = scene.tree(&[""]);
        assert_eq!(tree.folders.len(), 3);
        assert!(scene.told(&mut tree).is_empty());
        for file in ["new", "a/file", "a/b/c", "node_modules/x/y", "a/.b.swp"] {
            scene.write(file);
        }
        assert_eq!(scene.told(&mut tree), ["new", "a/file", "a/b/c"]);
        fs::rename(scene.0.join("new"), scene.0.join("a/old")).unwrap();
        fs::remove_file(scene.0.join("a/file")).unwrap();
        std::os::unix::fs::symlink("nowhere", scene.0.join("link")).unwrap();
        assert_eq!(scene.told(&mut tree), ["new", "a/old", "a/file", "link"]);
    }

    #[test]
    fn folders_may_be_created_moved_and_removed() {
        let scene = Scene::new("folders");
        let mut tree = scene.tree(&[""]);
        fs::create_dir_all(scene.0.join("n/e/w")).unwrap();
        fs::create_dir_all(scene.0.join(".git/e")).unwrap();
        assert!(scene.told(&mut tree).is_empty());
        scene.write("n/e/w/x");
        assert_eq!(scene.told(&mut tree), ["n/e/w/x"]);
        // What is in a folder before it is watched is new.
        fs::create_dir(scene.0.join("late")).unwrap();
        scene.write("late/x");
        assert_eq!(scene.told(&mut tree), ["late/x"]);
        fs::rename(scene.0.join("n/e"), scene.0.join("f")).unwrap();
        assert_eq!(scene.told(&mut tree), ["n/e", "f/w/x"]);
        scene.write("f/w/x");
        assert_eq!(scene.told(&mut tree), ["f/w/x"]);
        let outside = scene.0.join("node_modules/f");
        fs::rename(scene.0.join("f"), &outside).unwrap();
        assert_eq!(scene.told(&mut tree), ["f"]);
        scene.write("node_modules/f/w/x");
        assert!(scene.told(&mut tree).is_empty());
        let before = tree.folders.len();
        fs::remove_dir_all(scene.0.join("a")).unwrap();
        assert_eq!(scene.told(&mut tree), ["a/file"]);
        assert_eq!(tree.folders.len(), before - 2);
    }

    #[test]
    fn of_a_single_file_only_its_changes_are_reported() {
        let scene = Scene::new("only");
        let mut tree = scene.tree(&["a/file", "a/other"][..1]);
        for file in ["a/other", "a/b/x", "a/file"] {
            scene.write(file);
        }
        assert_eq!(scene.told(&mut tree), ["a/file"]);
        // As editors save it.
        scene.write("a/next");
        fs::rename(scene.0.join("a/next"), scene.0.join("a/file")).unwrap();
        assert_eq!(scene.told(&mut tree), ["a/file"]);
        // The folder of it too, whichever comes first.
        for roots in [["a/file", "a"], ["a", "a/file"]] {
            let mut tree = scene.tree(&roots);
            scene.write("a/other");
            assert_eq!(scene.told(&mut tree), ["a/other"]);
        }
    }

    #[test]
    fn an_overflow_of_the_queue_is_reported() {
        let scene = Scene::new("lost");
        let mut tree = scene.tree(&[""]);
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        for at in 0..=limit {
            // Two in turn: one that is as the last is not queued twice.
            scene.write(if at % 2 == 0 { "one" } else { "two" });
        }
        fs::create_dir(scene.0.join("new")).unwrap();
        let mut lost = false;
        loop {
            let batch = tree.batch().unwrap();
            lost |= batch.lost;
            if batch == Batch::default() {
                break;
            }
        }
        assert!(lost);
        scene.write("new/x");
        assert_eq!(scene.told(&mut tree), ["new/x"]);
    }
}
