//! A program that writes its log as fast as it can, and how long it takes until every byte is there.

use crate::home::Home;
use crate::measure::wait_until;
use crate::workshop::{Place, Workshop};
use rpm::error::{Context, Error, Result};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// How much is written, and how.
#[derive(Clone, Copy)]
pub struct Volume {
    /// All of it.
    pub bytes: u64,
    /// What each write has.
    pub chunk: u64,
    /// What each line has, its end included; a chunk is a whole number of lines.
    pub line: u64,
    /// What the log has more of each line.
    pub stamp: u64,
}

/// The program and its log.
pub struct Flood {
    pub program: PathBuf,
    /// A folder of the log's own: files that were set aside lie there too.
    pub folder: PathBuf,
    /// Where the log goes. The caller has the program started with it.
    pub log: PathBuf,
    volume: Volume,
    gate: PathBuf,
}

/// What has come in.
#[derive(Default)]
struct Seen {
    /// The file that is being written to.
    current: u64,
    /// The bytes of all others.
    before: u64,
}

impl Flood {
    /// A program that has not been started.
    pub fn new(workshop: &Workshop, volume: Volume) -> Result<Flood> {
        let (folder, gate) = (workshop.fresh(Place::Disk), workshop.fresh(Place::Memory));
        fs::create_dir(&folder).doing(|| format!("making the folder {}", folder.display()))?;
        Ok(Flood {
            program: workshop.program("flood"),
            log: folder.join("current"),
            folder,
            volume,
            gate,
        })
    }

    /// Its arguments.
    pub fn arguments(&self) -> [String; 4] {
        let Volume {
            bytes, chunk, line, ..
        } = self.volume;
        [
            bytes.to_string(),
            chunk.to_string(),
            line.to_string(),
            self.gate.to_string_lossy().into_owned(),
        ]
    }

    /// Has it started by a daemon, with these flags.
    pub fn start(&self, home: &Home, flags: &[&str]) -> Result<()> {
        let (program, log) = (self.program.to_string_lossy(), self.log.to_string_lossy());
        let arguments = self.arguments();
        // Every file that is set aside is kept, so that all bytes can be counted.
        let mut words = vec!["start", &program, "--name", "flood", "-o", &log];
        words.extend(["--log-max-files", "9999"]);
        words.extend(flags);
        words.push("--");
        words.extend(arguments.iter().map(String::as_str));
        home.run(&words).map(drop)
    }

    /// Waits until the program is there.
    pub fn wait(&self) -> Result<()> {
        let (limit, pause) = (Duration::from_secs(10), Duration::from_millis(1));
        wait_until("the writing program", limit, pause, || self.gate.exists())
    }

    /// Opens the gate and gives the seconds until every byte is in the log.
    pub fn seconds(&self) -> Result<f64> {
        self.wait()?;
        let (limit, pause) = (Duration::from_secs(10), Duration::from_millis(1));
        let mut seen = Seen::default();
        let settings = self.count_all(&mut seen);
        let lines = self.volume.bytes / self.volume.line;
        let wanted = settings + self.volume.bytes + lines * self.volume.stamp;
        // The program reads the gate until it is closed. This blocks until both sides are there.
        let gate = OpenOptions::new().write(true).open(&self.gate);
        let begin = Instant::now();
        drop(gate.doing(|| format!("opening {}", self.gate.display()))?);

        let (mut there, mut last) = (0, begin);
        while there < wanted {
            thread::sleep(pause);
            let now = self.count(&mut seen, there);
            if now > there {
                (there, last) = (now, Instant::now());
            } else if last.elapsed() > limit {
                let log = self.log.display();
                return Err(Error::new(format!(
                    "{log} stays at {there} of {wanted} bytes"
                )));
            }
        }
        Ok(begin.elapsed().as_secs_f64())
    }

    /// The bytes in all files. A look at one file is enough as long as that grows.
    fn count(&self, seen: &mut Seen, known: u64) -> u64 {
        if let Ok(current) = self.log.metadata() {
            let now = seen.before + current.len();
            if current.ino() == seen.current && now > known {
                return now;
            }
        }
        self.count_all(seen)
    }

    fn count_all(&self, seen: &mut Seen) -> u64 {
        // By their numbers: one that gets another name meanwhile may be met twice.
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let files = entries.filter_map(|entry| entry.metadata().ok());
        let mut sizes: Vec<(u64, u64)> = files.map(|file| (file.ino(), file.len())).collect();
        sizes.sort_unstable();
        sizes.dedup_by_key(|(number, _)| *number);
        seen.current = self.log.metadata().map_or(0, |file| file.ino());
        let sum = |is_current: bool| {
            let sizes = sizes.iter();
            let of = sizes.filter(|(number, _)| (*number == seen.current) == is_current);
            of.map(|(_, size)| size).sum::<u64>()
        };
        let (current, before) = (sum(true), sum(false));
        seen.before = before;
        before + current
    }
}

impl Drop for Flood {
    /// The log goes at once: it is large.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
