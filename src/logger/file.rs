//! Files that hold a log, where nothing else is known of them.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::rotation;
use crate::error::{Context, Result};
use crate::sys::open::{self, Access};

/// Where a file is, or will be, whatever links lead there.
pub fn real(path: &Path) -> PathBuf {
    let folder = || {
        let folder = path.parent()?.canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    let real = path.canonicalize().ok().or_else(folder);
    real.unwrap_or(path.to_owned())
}

/// Opens a log file for appending, mode 0600, making missing folders; a FIFO in its place must not block.
pub fn open(path: &Path) -> io::Result<File> {
    match open::output(path, 0o600) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
            open::output(path, 0o600)
        }
        other => other,
    }
}

/// Empties the log file at this path, where there is one, and removes the older ones. A FIFO or a device has nothing
/// that could be taken back.
pub fn empty(path: &Path) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let file = open::regular(path, Access::Write);
    let emptied = file.and_then(|file| file.set_len(0));
    emptied.doing(|| format!("emptying {}", path.display()))?;
    rotation::remove_older(&real(path), 0);
    Ok(())
}
