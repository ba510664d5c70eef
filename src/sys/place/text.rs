//! A path in a fixed buffer, so that nothing allocates.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use crate::sys::at;

/// The longest path with its NUL, in bytes. PATH_MAX of `limits.h`
const MOST: usize = 4096;

/// A path without NUL bytes, followed by a NUL in the buffer.
#[derive(Debug, Clone)]
pub struct Text {
    buffer: [u8; MOST],
    length: usize,
}

fn too_long() -> io::Error {
    io::Error::from_raw_os_error(libc::ENAMETOOLONG)
}

impl Text {
    const fn empty() -> Text {
        Text {
            buffer: [0; MOST],
            length: 0,
        }
    }

    /// A copy of a path.
    ///
    /// # Errors
    /// `EINVAL` if it contains a NUL byte, `ENAMETOOLONG` if it is too long.
    pub fn of(bytes: &[u8]) -> io::Result<Text> {
        let mut text = Text::empty();
        text.push(bytes)?;
        Ok(text)
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// As `readlinkat(2)`; `ENAMETOOLONG` if it is too long.
    pub fn of_link(link: BorrowedFd) -> io::Result<Text> {
        let mut text = Text::empty();
        text.length = at::read_link(link, &mut text.buffer)?;
        if text.length >= MOST {
            return Err(too_long());
        }
        Ok(text)
    }

    /// The path.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let end = self.length + bytes.len();
        if end >= MOST {
            return Err(too_long());
        }
        let room = self.buffer.get_mut(self.length..end).unwrap_or_default();
        room.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }

    /// The path from an offset on, as a C string.
    ///
    /// # Errors
    /// `ENAMETOOLONG` if the offset is out of range.
    pub fn name(&self, from: usize) -> io::Result<&CStr> {
        let bytes = self.buffer.get(from..=self.length).unwrap_or_default();
        CStr::from_bytes_with_nul(bytes)
            .map_err(|_| io::Error::from_raw_os_error(libc::ENAMETOOLONG))
    }

    /// Removes and returns the first component; empty if none is left. A trailing slash requires a directory, and leaves
    /// the component `.`.
    ///
    /// # Errors
    /// Does not happen: a part of a path is not too long.
    pub fn take_component(&mut self) -> io::Result<Text> {
        let bytes = self.bytes();
        let begin = bytes.iter().position(|b| *b != b'/');
        let Some(begin) = begin else {
            self.length = 0;
            return Ok(Text::empty());
        };
        let path = bytes.get(begin..).unwrap_or_default();
        let end = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
        let (component, rest) = path.split_at_checked(end).unwrap_or((path, b""));
        let left = match rest {
            b"" => Text::empty(),
            slashes if slashes.iter().all(|b| *b == b'/') => Text::of(b".")?,
            rest => Text::of(rest)?,
        };
        let component = Text::of(component)?;
        *self = left;
        Ok(component)
    }

    /// This path joined with the rest of another.
    ///
    /// # Errors
    /// `ENAMETOOLONG`.
    pub fn before(mut self, rest: &Text) -> io::Result<Text> {
        if !rest.bytes().is_empty() {
            self.push(b"/")?;
            self.push(rest.bytes())?;
        }
        Ok(self)
    }

    /// Appends a component, and returns its offset.
    ///
    /// # Errors
    /// `ENAMETOOLONG`.
    pub fn push_component(&mut self, component: &[u8]) -> io::Result<usize> {
        if !self.bytes().ends_with(b"/") {
            self.push(b"/")?;
        }
        let at = self.length;
        self.push(component)?;
        Ok(at)
    }

    /// Removes the last component; no effect on `/`.
    pub fn drop_component(&mut self) {
        let at = self.bytes().iter().rposition(|b| *b == b'/').unwrap_or(0);
        self.length = at.max(1);
        if let Some(rest) = self.buffer.get_mut(self.length..) {
            rest.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(path: &[u8]) -> Vec<String> {
        let mut rest = Text::of(path).unwrap();
        let mut found = Vec::new();
        loop {
            let component = rest.take_component().unwrap();
            if component.bytes().is_empty() {
                return found;
            }
            found.push(String::from_utf8(component.bytes().to_vec()).unwrap());
        }
    }

    #[test]
    fn a_path_is_split_into_components() {
        assert_eq!(components(b"/a//b/../c.log"), ["a", "b", "..", "c.log"]);
        assert_eq!(components(b"/a/b/"), ["a", "b", "."]);
        assert_eq!(components(b"//"), [""; 0]);
    }

    #[test]
    fn components_are_appended_and_removed() {
        let mut path = Text::of(b"/").unwrap();
        path.push_component(b"a").unwrap();
        assert_eq!(path.push_component(b"bc").unwrap(), 3);
        assert_eq!(path.name(3).unwrap(), c"bc");
        path.drop_component();
        assert_eq!(path.name(0).unwrap(), c"/a");
        path.drop_component();
        path.drop_component();
        assert_eq!(path.bytes(), b"/");
        let link = Text::of(b"../x")
            .unwrap()
            .before(&Text::of(b"/y").unwrap())
            .unwrap();
        assert_eq!(link.bytes(), b"../x//y");
        assert!(Text::of(&[b'x'; MOST]).is_err() && Text::of(b"a\0b").is_err());
    }
}
