//! Watches of the folders that a log file is in, or will be.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use crate::sys::inotify::Watcher;

/// A watch that tells of the file.
pub struct Watched {
    /// Its number.
    pub watch: i32,
    /// What it is of.
    pub of: Of,
}

/// What a watch is of.
pub enum Of {
    /// The file itself, or the one before, for what is written: what others write beside it wakes nobody up.
    File,
    /// The folder in which it has this name.
    Folder(OsString),
    /// A folder above that, in which a folder on the way has this name.
    Above(OsString),
}

/// Watches for a file. Where it is not there, its folder may be removed too, which not every file system tells of: so
/// the folder above is watched as well.
pub fn watched(path: &Path, watcher: &Watcher) -> io::Result<Vec<Watched>> {
    let mut all = vec![nearest(path, path, watcher)?];
    if !path.exists() {
        let missing = path.ancestors().skip(1).find(|folder| folder.exists());
        if let Some(folder) = missing.filter(|folder| folder.parent().is_some()) {
            all.push(nearest(folder, path, watcher)?);
        }
    }
    Ok(all)
}

/// Watches the nearest folder that there is above a path, for the sake of a file.
fn nearest(path: &Path, file: &Path, watcher: &Watcher) -> io::Result<Watched> {
    let mut missing = None;
    loop {
        let mut below = path;
        let watched = loop {
            let (Some(folder), Some(name)) = (below.parent(), below.file_name()) else {
                return Err(io::ErrorKind::NotFound.into());
            };
            match watcher.add_for_names(folder) {
                Ok(watch) => {
                    let name = name.to_owned();
                    let of = match below == file {
                        true => Of::Folder(name),
                        false => Of::Above(name),
                    };
                    break Watched { watch, of };
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => below = folder,
                Err(e) => return Err(e),
            }
        };
        // It may have been made before it was watched for. What is there and cannot be entered stays so.
        if below == path || !below.exists() || missing.as_deref() == Some(below) {
            return Ok(watched);
        }
        missing = Some(below.to_owned());
    }
}
