//! The end of a log file.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

use crate::error::{Context, Result};

/// How much of a file is in memory at once.
const BLOCK: u64 = 64 << 10;

/// Where the last `lines` lines of a file of this size begin, and how many the file lacks. What follows the last LF is a
/// line too. The file is read from its end, block by block, however large it is.
pub fn start_of_last_lines(
    file: &File,
    size: u64,
    lines: usize,
    stop: &dyn Fn() -> Result<()>,
    reading: &dyn Fn() -> String,
) -> Result<(u64, usize)> {
    let mut left = lines;
    if left == 0 || size == 0 {
        return Ok((size, left));
    }
    let mut block = vec![0; usize::try_from(BLOCK.min(size)).unwrap_or(0)];
    let mut end = size;
    while end > 0 {
        stop()?;
        let start = end.saturating_sub(BLOCK);
        let length = usize::try_from(end - start).unwrap_or(0);
        let mut rest = block.get_mut(..length).unwrap_or_default();
        match file.read_exact_at(rest, start) {
            Ok(()) => {}
            // It was truncated meanwhile: what is there now is all new.
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok((0, 0)),
            Err(e) => return Err(e).doing(reading),
        }
        while let Some(at) = rest.iter().rposition(|b| *b == b'\n') {
            let behind = start + u64::try_from(at).unwrap_or(0) + 1;
            if behind < size {
                left -= 1;
                if left == 0 {
                    return Ok((behind, 0));
                }
            }
            rest = rest.get_mut(..at).unwrap_or_default();
        }
        end = start;
    }
    // The first line has nothing before it that ends another.
    Ok((0, left - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom, Write};

    fn start_of(file: &File, size: u64, lines: usize) -> (u64, usize) {
        start_of_last_lines(file, size, lines, &|| Ok(()), &String::new).unwrap()
    }

    fn last(content: &[u8], lines: usize) -> Vec<u8> {
        let path = std::env::temp_dir().join(format!(
            "rpm-tail-{}-{lines}-{}",
            std::process::id(),
            content.len()
        ));
        std::fs::write(&path, content).unwrap();
        let file = File::open(&path).unwrap();
        let (start, missing) = start_of(&file, content.len() as u64, lines);
        std::fs::remove_file(&path).unwrap();
        let found = content[start as usize..].split_inclusive(|b| *b == b'\n');
        assert_eq!(found.count() + missing, lines);
        content[start as usize..].to_vec()
    }

    #[test]
    fn the_last_lines_are_counted_from_the_end() {
        assert_eq!(last(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(last(b"a\nb\nc", 2), b"b\nc");
        assert_eq!(last(b"a\nb\n\n", 2), b"b\n\n");
        assert_eq!(last(b"a\nb\n", 9), b"a\nb\n");
        assert_eq!(last(b"\xff\xfe\n\xff", 1), b"\xff");
        assert_eq!(last(b"a\n", 0), b"");
        assert_eq!(last(b"", 3), b"");
        assert_eq!(last(b"\n", 1), b"\n");
    }

    #[test]
    fn blocks_are_joined_wherever_a_line_ends() {
        for extra in [0, 1, 2] {
            let mut content = b"first\n".to_vec();
            content.resize(6 + BLOCK as usize * 2 + extra, b'x');
            content.extend_from_slice(b"\nlast\n");
            assert_eq!(last(&content, 2), content[6..]);
            assert_eq!(last(&content, 1), b"last\n");
            assert_eq!(last(&content, 3), content);
        }
    }

    #[test]
    fn a_sparse_file_of_gigabytes_is_read_from_its_end() {
        let path = std::env::temp_dir().join(format!("rpm-tail-sparse-{}", std::process::id()));
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        std::fs::remove_file(&path).unwrap();
        file.seek(SeekFrom::Start(5 << 30)).unwrap();
        file.write_all(b"\na\nb").unwrap();
        let size = file.metadata().unwrap().len();
        assert_eq!(start_of(&file, size, 2), ((5 << 30) + 1, 0));
    }
}
