//! Files that hold a log, where nothing else is known of them.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::rotation;
use crate::error::{Context, Result};
use crate::sys::shared_output::is_of_proc;

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
    let mut options = File::options();
    options
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
            options.open(path)
        }
        other => other,
    }
}

/// Empties the log file at this path, where there is one, and removes the older ones. A FIFO or a device has nothing
/// that could be taken back, and what somebody has open is not ours to empty.
pub fn empty(path: &Path) -> Result<()> {
    if !path.is_file() || is_of_proc(path) {
        return Ok(());
    }
    let mut options = File::options();
    options.write(true).custom_flags(libc::O_NONBLOCK);
    let emptied = options.open(path).and_then(|file| file.set_len(0));
    emptied.doing(|| format!("emptying {}", path.display()))?;
    rotation::remove_older(&real(path), 0);
    Ok(())
}
