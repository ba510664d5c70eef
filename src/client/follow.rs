//! Following log files: what is appended is printed, whatever happens to the file meanwhile.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::output;
use super::tail;
use crate::error::{Context, Result};
use crate::sys::inotify::Watcher;
use crate::sys::poll::{Interest, PollSet};

/// How much is read, and printed, at once.
const CHUNK: usize = 64 << 10;

/// A log file.
pub struct Source {
    path: PathBuf,
    /// What stands before each line.
    prefix: Vec<u8>,
    /// The file, where there is one, and up to where it has been printed.
    open: Option<(File, u64)>,
    /// The watches that tell of it, each with the name that it has in that folder.
    watches: Vec<(i32, OsString)>,
    /// What is further from the end is passed over, in bytes.
    most: u64,
}

/// Prints lines of several files in turn.
pub struct Printer<'a> {
    sink: &'a mut dyn Write,
    out: Vec<u8>,
    /// The file whose last line has no LF yet.
    unfinished: Option<usize>,
}

impl Printer<'_> {
    /// A printer to `sink`, which is standard output but for tests.
    pub fn new(sink: &mut dyn Write) -> Printer<'_> {
        Printer {
            sink,
            out: Vec::new(),
            unfinished: None,
        }
    }

    /// Prints what was read of file number `of`.
    fn print(&mut self, of: usize, prefix: &[u8], bytes: &[u8]) -> Result<()> {
        self.out.clear();
        if self.unfinished.is_some_and(|other| other != of) {
            self.out.push(b'\n');
            self.unfinished = None;
        }
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            if self.unfinished.is_none() {
                self.out.extend_from_slice(prefix);
            }
            self.out.extend_from_slice(piece);
            self.unfinished = (!piece.ends_with(b"\n")).then_some(of);
        }
        self.flush()
    }

    /// Ends a line that was left open.
    pub fn finish(&mut self) -> Result<()> {
        match self.unfinished.take() {
            Some(_) => {
                self.out = b"\n".to_vec();
                self.flush()
            }
            None => Ok(()),
        }
    }

    /// Prints a line that stands for itself, its LF included.
    pub fn print_line(&mut self, line: &str) -> Result<()> {
        self.finish()?;
        self.out = line.as_bytes().to_vec();
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let done = self
            .sink
            .write_all(&self.out)
            .and_then(|()| self.sink.flush());
        done.doing(|| "writing to standard output")
    }
}

impl Source {
    /// The file at `path`, which need not be there yet.
    pub fn new(path: PathBuf, prefix: Vec<u8>) -> Source {
        Source {
            path,
            prefix,
            open: None,
            watches: Vec::new(),
            most: u64::MAX,
        }
    }

    /// The same, but where more than so many bytes are new only the last of them are printed: a screen shows the end,
    /// and must not wait for the rest.
    pub fn reading_at_most(mut self, bytes: u64) -> Source {
        self.most = bytes;
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Prints the last lines of the file, which is number `of`.
    pub fn print_last_lines(
        &mut self,
        of: usize,
        lines: usize,
        printer: &mut Printer,
    ) -> Result<()> {
        let Some(file) = self.open_file()? else {
            return Ok(());
        };
        let reading = || format!("reading {}", self.path.display());
        let size = file.metadata().doing(reading)?.len();
        let start = tail::start_of_last_lines(&file, size, lines).doing(reading)?;
        self.open = Some((file, start));
        self.print_new(of, printer)
    }

    /// Opens the file; none where there is none. A log may be a FIFO or a terminal, whose opening would wait and
    /// whose reading would take bytes from others: those are left alone.
    fn open_file(&self) -> Result<Option<File>> {
        let opening = || format!("opening {}", self.path.display());
        match self.path.metadata() {
            Ok(found) if found.is_file() => {}
            _ => return Ok(None),
        }
        match File::open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).doing(opening),
        }
    }

    /// Prints what has been appended since.
    fn print_new(&mut self, of: usize, printer: &mut Printer) -> Result<()> {
        let Some((file, at)) = &mut self.open else {
            return Ok(());
        };
        let reading = || format!("reading {}", self.path.display());
        let size = file.metadata().doing(reading)?.len();
        if size < *at {
            // Truncated: it begins anew.
            *at = 0;
        }
        *at = (*at).max(size.saturating_sub(self.most));
        let mut chunk = vec![0; CHUNK];
        // Not further than to where it ended when we looked: a busy program must not keep the others from being read.
        while *at < size {
            let n = file.read_at(&mut chunk, *at).doing(reading)?;
            if n == 0 {
                break;
            }
            *at += u64::try_from(n).unwrap_or(0);
            printer.print(of, &self.prefix, chunk.get(..n).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Prints what is new, also when another file has taken the place of this one.
    pub fn catch_up(&mut self, of: usize, printer: &mut Printer) -> Result<()> {
        self.print_new(of, printer)?;
        let identity = |found: &std::fs::Metadata| (found.dev(), found.ino());
        let Ok(there) = self.path.metadata() else {
            return Ok(());
        };
        let held = self
            .open
            .as_ref()
            .and_then(|(file, _)| file.metadata().ok());
        if held.as_ref().map(identity) != Some(identity(&there)) {
            if let Some(file) = self.open_file()? {
                self.open = Some((file, 0));
                self.print_new(of, printer)?;
            }
        }
        Ok(())
    }

    /// Whether changes to it are heard of.
    pub fn is_watched(&self) -> bool {
        !self.watches.is_empty()
    }

    /// Watches the folder that the file is in, and where it is a link that of the file itself.
    pub fn watch(&mut self, watcher: &Watcher) -> Result<()> {
        let paths = [Some(self.path.clone()), self.path.canonicalize().ok()];
        for path in paths.into_iter().flatten() {
            if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
                let watch = watcher.add(folder);
                let watch = watch.doing(|| format!("watching {}", folder.display()))?;
                self.watches.push((watch, name.to_owned()));
            }
        }
        Ok(())
    }
}

/// Prints the last lines, then what is new, until standard output is closed.
pub fn follow(sources: &mut [Source], lines: usize, printer: &mut Printer) -> Result<()> {
    let watcher = Watcher::new().doing(|| "watching log files")?;
    for (at, source) in sources.iter_mut().enumerate() {
        // Watched before it is read, so that nothing is missed in between.
        if let Err(error) = source.watch(&watcher) {
            output::complain(error);
        }
        source.print_last_lines(at, lines, printer)?;
    }
    let stdout = io::stdout();
    let mut set = PollSet::default();
    loop {
        set.clear();
        set.push(watcher.fd(), Interest::READ, true);
        set.push(stdout.as_fd(), Interest::default(), false);
        set.wait(None).doing(|| "waiting for log files to change")?;
        let closed = set.ready().any(|(is_watcher, _)| !is_watcher);
        if closed {
            return Ok(());
        }
        for at in changed(sources.iter(), &watcher)?.into_iter().flatten() {
            if let Some(source) = sources.get_mut(at) {
                source.catch_up(at, printer)?;
            }
        }
    }
}

/// Which files something happened to; none where nothing has happened at all.
pub fn changed<'a>(
    sources: impl Iterator<Item = &'a Source> + Clone,
    watcher: &Watcher,
) -> Result<Option<BTreeSet<usize>>> {
    let mut found = BTreeSet::new();
    let changes = watcher.read().doing(|| "waiting for log files to change")?;
    for change in &changes {
        for (at, source) in sources.clone().enumerate() {
            let told =
                |(watch, name): &(i32, OsString)| *watch == change.watch && *name == change.name;
            if change.watch < 0 || source.watches.iter().any(told) {
                found.insert(at);
            }
        }
    }
    Ok((!changes.is_empty()).then_some(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    fn caught_up(source: &mut Source) -> String {
        let mut sink = Vec::new();
        source.catch_up(0, &mut Printer::new(&mut sink)).unwrap();
        String::from_utf8(sink).unwrap()
    }

    #[test]
    fn truncated_replaced_and_late_files_are_followed() {
        let folder = std::env::temp_dir().join(format!("rpm-follow-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("log");
        let mut source = Source::new(path.clone(), b"p ".to_vec());
        assert_eq!(caught_up(&mut source), "");
        fs::write(&path, "late\n").unwrap();
        assert_eq!(caught_up(&mut source), "p late\n");
        let mut file = fs::File::options().append(true).open(&path).unwrap();
        file.write_all(b"one\n").unwrap();
        assert_eq!(caught_up(&mut source), "p one\n");
        fs::write(&path, "2\n").unwrap();
        assert_eq!(caught_up(&mut source), "p 2\n");
        let mut old = fs::File::options().append(true).open(&path).unwrap();
        fs::write(folder.join("new"), "new\n").unwrap();
        fs::rename(folder.join("new"), &path).unwrap();
        old.write_all(b"old\n").unwrap();
        assert_eq!(caught_up(&mut source), "p old\np new\n");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn of_what_is_new_only_the_end_is_printed_where_that_is_wanted() {
        let path = std::env::temp_dir().join(format!("rpm-follow-end-{}", std::process::id()));
        fs::write(&path, "0123456789").unwrap();
        let mut source = Source::new(path.clone(), Vec::new()).reading_at_most(4);
        assert_eq!(caught_up(&mut source), "6789");
        let mut file = fs::File::options().append(true).open(&path).unwrap();
        file.write_all(b"ab").unwrap();
        assert_eq!(caught_up(&mut source), "ab");
        file.write_all(b"cdefgh").unwrap();
        assert_eq!(caught_up(&mut source), "efgh");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_line_that_is_not_finished_is_not_mixed_with_others() {
        let mut sink = Vec::new();
        let mut printer = Printer::new(&mut sink);
        printer.print(0, b"a ", b"1\n2").unwrap();
        printer.print(0, b"a ", b"2\n3").unwrap();
        printer.print(1, b"b ", b"x\n").unwrap();
        printer.print(0, b"a ", b"3").unwrap();
        printer.finish().unwrap();
        printer.finish().unwrap();
        assert_eq!(sink, b"a 1\na 22\na 3\nb x\na 3\n");
    }

    #[test]
    fn a_source_is_told_of_by_its_folder() {
        let folder = std::env::temp_dir().join(format!("rpm-watch-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let watcher = Watcher::new().unwrap();
        let mut sources = [
            Source::new(folder.join("a"), Vec::new()),
            Source::new(folder.join("b"), Vec::new()),
        ];
        for source in &mut sources {
            source.watch(&watcher).unwrap();
        }
        fs::write(folder.join("b"), "x").unwrap();
        let found = changed(sources.iter(), &watcher).unwrap();
        assert_eq!(found, Some(BTreeSet::from([1])));
        assert_eq!(changed(sources.iter(), &watcher).unwrap(), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
