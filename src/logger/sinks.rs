//! The log files by their paths: streams that end in the same one share it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use super::sink::Sink;

/// All log files that something is written to.
#[derive(Debug, Default)]
pub struct Sinks {
    all: BTreeMap<u32, Sink>,
    by_path: BTreeMap<PathBuf, u32>,
    next: u32,
    uses: u64,
}

impl Sinks {
    /// The number of the file at this path, for one more stream, with what it may become.
    pub fn acquire(&mut self, path: PathBuf, max_size: u64, max_files: u32) -> u32 {
        let number = *self.by_path.entry(path).or_insert_with_key(|path| {
            let number = self.next;
            self.next += 1;
            self.all.insert(number, Sink::new(path.clone()));
            number
        });
        if let Some(sink) = self.all.get_mut(&number) {
            sink.users += 1;
            sink.max_size = max_size;
            sink.max_files = max_files;
        }
        number
    }

    /// A stream ends here no longer.
    pub fn release(&mut self, number: u32) {
        let Some(sink) = self.all.get_mut(&number) else {
            return;
        };
        sink.users = sink.users.saturating_sub(1);
        if sink.users == 0 {
            self.by_path.remove(sink.path());
            self.all.remove(&number);
        }
    }

    /// The file of this number.
    pub fn get(&mut self, number: u32) -> Option<&mut Sink> {
        self.all.get_mut(&number)
    }

    /// The file at this path.
    pub fn at(&mut self, path: &std::path::Path) -> Option<&mut Sink> {
        let number = self.by_path.get(path)?;
        self.all.get_mut(number)
    }

    /// Whether more than one stream ends here.
    pub fn is_shared(&self, number: u32) -> bool {
        self.all.get(&number).is_some_and(|sink| sink.users > 1)
    }

    /// The file, opened where it was not or has gone; none where it cannot be.
    pub fn ready(&mut self, number: u32) -> Option<&mut Sink> {
        self.uses += 1;
        let uses = self.uses;
        let sink = self.all.get_mut(&number)?;
        sink.used = uses;
        sink.look();
        if sink.is_due() {
            if let Err(e) = self.open(number) {
                self.all.get_mut(&number)?.not_opened(&e);
            }
        }
        self.all.get_mut(&number).filter(|sink| sink.is_open())
    }

    /// Writes whole lines that are no output of a program, where the file takes them.
    pub fn write_lines(&mut self, number: u32, lines: &[u8]) {
        if let Some(sink) = self.ready(number) {
            sink.write_lines(lines);
        }
    }

    fn open(&mut self, number: u32) -> io::Result<()> {
        loop {
            let Some(sink) = self.all.get_mut(&number) else {
                return Ok(());
            };
            match sink.open() {
                Err(e) if e.raw_os_error() == Some(libc::EMFILE) && self.close_one() => {}
                other => return other,
            }
        }
    }

    /// Closes the file that was not needed for longest: it is opened again when it is. `false`: none is open.
    pub fn close_one(&mut self) -> bool {
        let open = self.all.values_mut().filter(|sink| sink.is_open());
        let oldest = open.min_by_key(|sink| sink.used);
        oldest.map(Sink::close).is_some()
    }

    /// What belongs into the daemons' log.
    pub fn take_notes(&mut self) -> Vec<String> {
        self.all
            .values_mut()
            .flat_map(|sink| std::mem::take(&mut sink.notes))
            .collect()
    }
}
