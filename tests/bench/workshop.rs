//! What every measurement needs: folders on disk and in memory, the programs to manage, and the certainty
//! that nothing of it stays behind.

use crate::measure::succeeded;
use rpm::error::{Context, Error, Result};
use std::cell::Cell;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

/// Where a folder lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The temporary folder, which is on a disk on most machines.
    Disk,
    /// `/dev/shm`.
    Memory,
}

/// The sources of the C programs, and the sweeper.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/programs");

/// The environment variable by which the sweeper knows the processes of this run.
const MARK: &str = "RPM_BENCH_RUN";

/// One run of the benchmark.
pub struct Workshop {
    /// Fewer runs.
    quick: bool,
    binaries: PathBuf,
    disk: PathBuf,
    memory: PathBuf,
    mark: String,
    made: Cell<u32>,
    sweeper: Child,
}

impl Workshop {
    /// Makes the folders, copies the binaries, compiles the programs.
    pub fn open(quick: bool) -> Result<Workshop> {
        let binaries = env::var_os("RPM_BIN_DIR").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release"),
            PathBuf::from,
        );
        if !binaries.join("rpm").exists() || !binaries.join("rpmd").exists() {
            return Err(Error::new(format!(
                "there is no rpm and rpmd in {}: run `cargo build --release`, or set RPM_BIN_DIR",
                binaries.display()
            )));
        }
        let name = format!("rpmb.{}", process::id());
        let shm = Path::new("/dev/shm");
        let disk = env::temp_dir().join(&name);
        // Without a /dev/shm the disk must do: the heading shows it.
        let memory = if shm.is_dir() {
            shm.join(&name)
        } else {
            disk.join("m")
        };
        let since = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_nanos());
        let mark = format!("{name}.{since}");
        for folder in [&disk, &memory, &disk.join("bin")] {
            fs::create_dir(folder).doing(|| format!("making the folder {}", folder.display()))?;
        }
        // From here on everything is swept up, even when the benchmark is killed.
        let sweeper = sweeper(&mark, &disk.join("bin/rpm"), &[&disk, &memory])?;
        let workshop = Workshop {
            quick,
            binaries,
            disk,
            memory,
            mark,
            made: Cell::new(0),
            sweeper,
        };
        // Copies: nobody can rebuild them under our hands, and no other daemon shares their memory.
        for name in ["rpm", "rpmd"] {
            let from = workshop.binaries.join(name);
            fs::copy(&from, workshop.program(name))
                .doing(|| format!("copying {}", from.display()))?;
        }
        for name in ["noop", "pauser", "fleet", "mortal", "reviver", "flood"] {
            workshop.compile(name)?;
        }
        Ok(workshop)
    }

    /// What is measured, and where.
    pub fn describe(&self) -> String {
        format!(
            "binaries of {}; disk is {} ({}), tmpfs is {} ({})",
            self.binaries.display(),
            env::temp_dir().display(),
            filesystem(&self.disk),
            self.memory.parent().unwrap_or(&self.memory).display(),
            filesystem(&self.memory),
        )
    }

    /// The bytes of a binary.
    pub fn size(&self, name: &str) -> Result<u64> {
        let path = self.binaries.join(name);
        Ok(fs::metadata(&path)
            .doing(|| format!("looking at {}", path.display()))?
            .len())
    }

    /// `full` runs, or `quick` ones if that was asked for.
    pub fn runs(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// A binary or program of this run.
    pub fn program(&self, name: &str) -> PathBuf {
        self.disk.join("bin").join(name)
    }

    /// A path that nobody used yet. It stays short: a socket's address has room for 108 bytes.
    pub fn fresh(&self, place: Place) -> PathBuf {
        self.made.set(self.made.get() + 1);
        let folder = match place {
            Place::Disk => &self.disk,
            Place::Memory => &self.memory,
        };
        folder.join(format!("h{}", self.made.get()))
    }

    /// A command with nothing on stdin, its output thrown away, and our mark.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let mut path = self.disk.join("bin").into_os_string();
        if let Some(rest) = env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        command.env(MARK, &self.mark).env("PATH", path);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        command
    }

    /// Whether the environment of a process, as the kernel shows it, says that it belongs to this run.
    pub fn owns(&self, environment: &[u8]) -> bool {
        let entry = format!("{MARK}={}", self.mark);
        environment
            .split(|byte| *byte == 0)
            .any(|found| found == entry.as_bytes())
    }

    /// Waits until ext4 may use inodes again that were freed a moment ago: for 5 s it looks for others
    /// instead, and everything that makes files in the meantime takes up to ten times as long.
    pub fn settle(&self, place: Place) {
        if place == Place::Disk {
            thread::sleep(Duration::from_secs(6));
        }
    }

    /// Kills every process of this run.
    pub fn kill_all(&self) {
        match sweeper(&self.mark, &self.program("rpm"), &[]) {
            Ok(mut sweeper) => finish(&mut sweeper),
            Err(error) => eprintln!("{error}"),
        }
    }

    fn compile(&self, name: &str) -> Result<()> {
        let source = Path::new(PROGRAMS).join(format!("{name}.c"));
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-static", "-o"])
            .arg(self.program(name))
            .arg(&source);
        let status = cc.status().doing(|| "running the C compiler, cc")?;
        succeeded(&cc, &status)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        finish(&mut self.sweeper);
    }
}

/// A shell that waits for our end, in a process group that the terminal's Ctrl-C does not reach.
fn sweeper(mark: &str, client: &Path, folders: &[&Path]) -> Result<Child> {
    Command::new("sh")
        .arg(Path::new(PROGRAMS).join("sweep.sh"))
        .arg(format!("{MARK}={mark}"))
        .arg(client)
        .args(folders)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .doing(|| "starting the shell that cleans up")
}

fn finish(sweeper: &mut Child) {
    drop(sweeper.stdin.take());
    let _ = sweeper.wait();
}

/// The type of the file system that a path lies on, as in `ext4`.
fn filesystem(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let fields = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    fields
        .filter(|mount| mount.len() > 2 && path.starts_with(mount[1]))
        .max_by_key(|mount| mount[1].len())
        .map_or("unknown".to_string(), |mount| mount[2].to_string())
}
