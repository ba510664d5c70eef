//! Reading a whole text up to a maximum length.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Context, Error, Result};

/// The longest text in bytes; enough for thousands of programs with large environments.
pub const LONGEST: u64 = 256 << 20;

/// The contents of a file.
///
/// # Errors
/// It cannot be read, or is too long.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let doing = || format!("reading {}", path.display());
    let file = File::open(path).doing(doing)?;
    read_all(file, &path.display().to_string())
}

/// The contents of a reader; `name` is for messages.
///
/// # Errors
/// It cannot be read, or is too long.
pub fn read_all(reader: impl Read, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = reader.take(LONGEST + 1).read_to_end(&mut bytes);
    let length = read.doing(|| format!("reading {name}"))?;
    match u64::try_from(length) {
        Ok(0..=LONGEST) => Ok(bytes),
        _ => Err(Error::new(format!(
            "reading {name}: it is longer than {} MiB",
            LONGEST >> 20
        ))),
    }
}
