//! The lines of a file from its end to its beginning, read block by block, however large the file is.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use super::stream::LONGEST;

/// How much is read at once, in bytes.
const BLOCK: u64 = 64 << 10;

/// Reads lines backward.
pub struct Backward<'a> {
    file: &'a File,
    /// The part of the file from `start` on that has not been given yet, and the last line that was.
    buffer: Vec<u8>,
    start: u64,
    /// Where the last line begins in the buffer.
    line: usize,
}

impl Backward<'_> {
    /// The lines before byte `end`.
    pub fn new(file: &File, end: u64) -> Backward<'_> {
        Backward {
            file,
            buffer: Vec::new(),
            start: end,
            line: 0,
        }
    }

    /// Goes to the line before, the first time to the last one. Gives where it begins; none where there is none. What
    /// follows the last LF is a line too.
    pub fn step(&mut self) -> io::Result<Option<u64>> {
        self.buffer.truncate(self.line);
        let mut unsearched = self.buffer.len();
        let mut is_end = true;
        loop {
            let mut before = self.buffer.get(..unsearched).unwrap_or_default();
            if is_end && !before.is_empty() {
                // Its own LF does not end the line before it.
                before = before.strip_suffix(b"\n").unwrap_or(before);
                is_end = false;
            }
            if let Some(at) = before.iter().rposition(|b| *b == b'\n') {
                self.line = at + 1;
                return Ok(Some(self.start + u64::try_from(self.line).unwrap_or(0)));
            }
            unsearched = self.read_block()?;
            if unsearched == 0 {
                self.line = 0;
                return Ok((!self.buffer.is_empty()).then_some(self.start));
            }
        }
    }

    /// The line, without its LF. Of a very long one, its beginning.
    pub fn line(&self) -> &[u8] {
        let line = self.buffer.get(self.line..).unwrap_or_default();
        line.strip_suffix(b"\n").unwrap_or(line)
    }

    /// Puts the block before in front of the buffer. Gives its length; 0 where there is none.
    fn read_block(&mut self) -> io::Result<usize> {
        let from = self.start.saturating_sub(BLOCK);
        let length = usize::try_from(self.start - from).unwrap_or(0);
        let mut block = vec![0; length];
        match self.file.read_exact_at(&mut block, from) {
            Ok(()) => {}
            // It was truncated meanwhile: what is there now is new, and comes when it is followed.
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                (self.start, self.line) = (0, 0);
                self.buffer.clear();
                return Ok(0);
            }
            Err(e) => return Err(e),
        }
        block.append(&mut self.buffer);
        block.truncate(LONGEST + usize::try_from(BLOCK).unwrap_or(0));
        (self.buffer, self.start) = (block, from);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom, Write};

    fn file(name: &str) -> File {
        let path = std::env::temp_dir().join(format!("rpm-backward-{name}-{}", std::process::id()));
        let mut options = File::options();
        let options = options.create(true).truncate(true).read(true).write(true);
        let file = options.open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file
    }

    fn lines(name: &str, content: &[u8]) -> Vec<Vec<u8>> {
        let mut file = file(name);
        file.write_all(content).unwrap();
        let mut lines = Backward::new(&file, content.len() as u64);
        let mut all = Vec::new();
        while let Some(begin) = lines.step().unwrap() {
            assert!(content[begin as usize..].starts_with(lines.line()));
            all.push(lines.line().to_vec());
        }
        all
    }

    #[test]
    fn every_line_is_given_once() {
        for (content, expected) in [
            (&b"a\nb\nc\n"[..], &[&b"c"[..], b"b", b"a"][..]),
            (b"a\nb\nc", &[b"c", b"b", b"a"]),
            (b"a\nb\n\n", &[b"", b"b", b"a"]),
            (b"\xff\xfe\n\xff", &[b"\xff", b"\xff\xfe"]),
            (b"\n", &[b""]),
            (b"\n\n", &[b"", b""]),
            (b"", &[]),
        ] {
            assert_eq!(lines("once", content), expected, "{content:?}");
        }
    }

    #[test]
    fn blocks_are_joined_wherever_a_line_ends() {
        for extra in [0, 1, 2] {
            let mut content = b"first\n".to_vec();
            content.resize(6 + BLOCK as usize * 2 + extra, b'x');
            content.extend_from_slice(b"\nlast\n");
            let expected = [b"last", &content[6..content.len() - 6], b"first"];
            assert!(lines("blocks", &content) == expected);
        }
        for length in [BLOCK as usize - 1, BLOCK as usize, BLOCK as usize + 1] {
            let mut content = vec![b'y'; length];
            content.push(b'\n');
            assert!(lines("exact", &content) == [&content[..length]]);
        }
    }

    #[test]
    fn of_a_very_long_line_the_beginning_is_given() {
        let mut content = b"a\nbegin".to_vec();
        content.resize(LONGEST * 3, b'x');
        content.extend_from_slice(b"\nend");
        let lines = lines("long", &content);
        assert_eq!(
            (lines.len(), &lines[2][..], &lines[0][..]),
            (3, &b"a"[..], &b"end"[..])
        );
        assert!(lines[1].starts_with(b"beginxxx") && lines[1].len() >= LONGEST);
    }

    #[test]
    fn a_sparse_file_of_gigabytes_is_read_from_its_end() {
        let mut file = file("sparse");
        file.seek(SeekFrom::Start(5 << 30)).unwrap();
        file.write_all(b"\na\nb").unwrap();
        let mut lines = Backward::new(&file, file.metadata().unwrap().len());
        assert_eq!(lines.step().unwrap(), Some((5 << 30) + 3));
        assert_eq!(lines.step().unwrap(), Some((5 << 30) + 1));
    }
}
