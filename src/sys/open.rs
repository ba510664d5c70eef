//! Opens files without blocking. A path may lead to a FIFO or a device, which would block the open or be changed by it.
//! So everything is opened with O_NONBLOCK and checked with `fstat(2)` before it is used. The daemons open files in no
//! other way. `open(2)`

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
    /// Writing over what is there.
    Write,
    /// Writing behind what is there.
    Append,
}

/// Without waiting, and never as a controlling terminal; closed when another program is executed.
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
/// It cannot be opened, or something else is in its place: [`io::ErrorKind::InvalidInput`] and a sentence.
pub fn regular(path: &Path, access: Access) -> io::Result<File> {
    checked(options(access).open(path))
}

/// Opens a regular file, which is made with these permissions where there is none.
///
/// # Errors
///
/// As [`regular`].
pub fn or_create(path: &Path, access: Access, mode: u32) -> io::Result<File> {
    checked(options(access).create(true).mode(mode).open(path))
}

/// Makes a file for writing; a link in its place is not followed.
///
/// # Errors
///
/// It cannot be made, or there is something already.
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

/// Opens whatever takes output: a file, which is made with these permissions where there is none, a FIFO, a device. The
/// caller looks at what it is.
///
/// # Errors
///
/// It cannot be opened at once: a FIFO has no reader, a folder is in its place.
pub fn output(path: &Path, mode: u32) -> io::Result<File> {
    options(Access::Append).create(true).mode(mode).open(path)
}

/// Opens a folder, to lock it or to bring it to the disk.
///
/// # Errors
///
/// It cannot be opened, or is no folder.
pub fn folder(path: &Path) -> io::Result<File> {
    options(Access::Read)
        .custom_flags(FLAGS | libc::O_DIRECTORY)
        .open(path)
}

/// All that is in a regular file.
///
/// # Errors
///
/// As [`regular`]; or it is longer than `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_all(regular(path, Access::Read)?, most)
}

/// All that is in a regular file that a user named.
///
/// # Errors
///
/// As [`read`].
pub fn read_place(place: &Place, most: u64) -> io::Result<Vec<u8>> {
    let opened = place.open(libc::O_RDONLY).map(|opened| opened.file);
    read_all(checked(opened)?, most)
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

/// Whether something was read or opened and is not what it should be, rather than that it could not be: damage, which
/// another look will find again.
pub fn is_unfit(e: &io::Error) -> bool {
    e.raw_os_error().is_none()
}

fn checked(opened: io::Result<File>) -> io::Result<File> {
    let file = match opened {
        Ok(file) => file,
        // A FIFO without a reader, or a socket.
        Err(e) if e.raw_os_error() == Some(libc::ENXIO) => return Err(unfit("a FIFO or a socket")),
        Err(e) => return Err(e),
    };
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(unfit(if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }))
}

fn unfit(kind: &str) -> io::Error {
    let sentence = format!("it is {kind} and not a regular file; move it away");
    io::Error::new(io::ErrorKind::InvalidInput, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fifo;
    use std::os::unix::net::UnixListener;

    #[test]
    fn nothing_but_a_file_is_taken_for_one_and_nothing_is_waited_for() {
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
        // A reader does not make a file of it.
        let _reader = fifo::open(&at("fifo")).unwrap();
        let why = regular(&at("fifo"), Access::Write).unwrap_err();
        assert_eq!(
            why.to_string(),
            "it is a FIFO and not a regular file; move it away"
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
