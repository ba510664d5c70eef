//! Opens files without blocking. `open(2)`
//!
//! A path may lead to a FIFO or a device, whose open can block or have an effect. So every file is opened with
//! O_NONBLOCK and checked with `fstat(2)` before use. The daemons open files only in this way.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::place::Place;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Overwriting.
    Write,
    /// Appending.
    Append,
}

/// Do not block; do not acquire a controlling terminal; close on exec.
const FLAGS: i32 = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;

fn options(access: Access) -> std::fs::OpenOptions {
    let mut options = File::options();
    match access {
        Access::Read => options.read(true),
        Access::Write => options.write(true),
        Access::Append => options.append(true),
    };
    options.custom_flags(FLAGS);
    options
}

/// Opens a regular file.
///
/// # Errors
///
/// It cannot be opened, or is not a regular file: [`io::ErrorKind::InvalidInput`] with a sentence.
pub fn regular(path: &Path, access: Access) -> io::Result<File> {
    check_regular(options(access).open(path))
}

/// Opens a regular file, and creates it with these permissions if it does not exist.
///
/// # Errors
///
/// As [`regular`].
pub fn or_create(path: &Path, access: Access, mode: u32) -> io::Result<File> {
    check_regular(options(access).create(true).mode(mode).open(path))
}

/// Creates a file for writing. A symbolic link is not followed.
///
/// # Errors
///
/// It cannot be created, or the name exists.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    options(Access::Write)
        .create_new(true)
        .mode(mode)
        .open(path)
}

/// Writes a new file beside a path, under the name `PATH.new` and with mode 0600, and returns it with that name. A file
/// that an earlier attempt left there is removed. Not synced to the disk.
///
/// # Errors
///
/// It cannot be made or written. Then there is no `PATH.new`.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<(File, PathBuf)> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let _ = std::fs::remove_file(&new);
    let mut file = create_new(&new, 0o600)?;
    if let Err(e) = file.write_all(bytes) {
        let _ = std::fs::remove_file(&new);
        return Err(e);
    }
    Ok((file, new))
}

/// Replaces a file by a new one with mode 0600 in one step: a reader finds the old text or the new one, never a part.
/// Not synced to the disk.
///
/// # Errors
///
/// As [`write_new`], or `rename(2)` fails. Then the old file stays.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (_, new) = write_new(path, bytes)?;
    let renamed = std::fs::rename(&new, path);
    if renamed.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    renamed
}

/// Opens an output of any kind for appending: a FIFO, a device or a file, which is created with these permissions if it
/// does not exist. The caller checks the kind.
///
/// # Errors
///
/// It cannot be opened, or would block: a FIFO without a reader.
pub fn output(path: &Path, mode: u32) -> io::Result<File> {
    options(Access::Append).create(true).mode(mode).open(path)
}

/// Opens a directory, to lock it or to sync it to the disk.
///
/// # Errors
///
/// It cannot be opened, or is not a directory.
pub fn folder(path: &Path) -> io::Result<File> {
    options(Access::Read)
        .custom_flags(FLAGS | libc::O_DIRECTORY)
        .open(path)
}

/// The contents of a regular file of at most `most` bytes.
///
/// # Errors
///
/// As [`regular`]; or `InvalidData` if it is longer than `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_all(regular(path, Access::Read)?, most)
}

/// The contents of a regular file at a path that a user named.
///
/// # Errors
///
/// As [`read`].
pub fn read_place(place: &Place, most: u64) -> io::Result<Vec<u8>> {
    let opened = place.open(libc::O_RDONLY).map(|opened| opened.file);
    read_all(check_regular(opened)?, most)
}

fn read_all(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= most => Ok(bytes),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is longer than {most} bytes"),
        )),
    }
}

/// Whether an error of this module means that the file is wrong (another kind, too long), not that a system call failed.
/// Trying again is useless.
pub fn is_unfit(e: &io::Error) -> bool {
    e.raw_os_error().is_none()
}

fn check_regular(opened: io::Result<File>) -> io::Result<File> {
    let file = match opened {
        Ok(file) => file,
        // ENXIO: a FIFO without a reader, or a socket.
        Err(e) if e.raw_os_error() == Some(libc::ENXIO) => {
            return Err(not_regular("a FIFO or a socket"));
        }
        Err(e) => return Err(e),
    };
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(not_regular(if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }))
}

fn not_regular(kind: &str) -> io::Error {
    let sentence = format!("it is {kind}, not a regular file; move it away");
    io::Error::new(io::ErrorKind::InvalidInput, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fifo;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_regular_files_are_opened_and_nothing_blocks() {
        let base = std::env::temp_dir().join(format!("rpm-open-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&base);
        std::fs::create_dir(&base).unwrap();
        let at = |name: &str| base.join(name);
        fifo::make(&at("fifo")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("/dev/tty", at("device")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        for name in ["fifo", "socket", "device", "zero", "."] {
            for access in [Access::Read, Access::Write, Access::Append] {
                assert!(regular(&at(name), access).is_err(), "{name}");
                assert!(or_create(&at(name), access, 0o600).is_err(), "{name}");
            }
            assert!(create_new(&at(name), 0o600).is_err(), "{name}");
            assert!(read(&at(name), 10).is_err(), "{name}");
        }
        // Also not while the FIFO has a reader.
        let _reader = fifo::open(&at("fifo")).unwrap();
        let why = regular(&at("fifo"), Access::Write).unwrap_err();
        assert_eq!(
            why.to_string(),
            "it is a FIFO, not a regular file; move it away"
        );
        assert!(output(&at("fifo"), 0o600).is_ok());
        std::fs::write(at("file"), "0123456789").unwrap();
        assert_eq!(read(&at("file"), 10).unwrap(), b"0123456789");
        assert!(
            read(&at("file"), 9)
                .unwrap_err()
                .to_string()
                .contains("9 bytes")
        );
        assert!(folder(&at("file")).is_err() && folder(&base).is_ok());
        std::fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn a_file_is_replaced_whole_or_stays() {
        let base = std::env::temp_dir().join(format!("rpm-replace-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&base);
        std::fs::create_dir_all(base.join("folder/inner")).unwrap();
        let file = base.join("a.b");
        std::fs::write(base.join("a.b.new"), "left behind").unwrap();
        for text in ["first", "second"] {
            replace(&file, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        assert!(replace(&base.join("folder"), b"x").is_err());
        assert!(replace(&base.join("none/x"), b"x").is_err());
        assert_eq!(std::fs::read_dir(&base).unwrap().count(), 2, "no .new");
        std::fs::remove_dir_all(&base).unwrap();
    }
}
