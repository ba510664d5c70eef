//! The end of a run: everything is accounted for, and nothing is left.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use rpm::model::life::State;
use rpm::paths::older;
use rpm::protocol::process::Process;

use crate::program;
use crate::scene::{Scene, environment, lives, processes};

/// What was found.
#[derive(Default)]
pub struct Found {
    pub lines: u64,
    pub bytes: u64,
    pub crashes: u32,
}

/// Every line of every writer, in its order and once.
pub fn lines(scene: &Scene, writers: usize) -> Found {
    let mut found = Found::default();
    for number in 0..writers {
        let streams: &[&str] = if program::prints_errors(number as u64) {
            &["out", "error"]
        } else {
            &["out"]
        };
        for stream in streams {
            let path = scene.root.join(format!("logs/w{number}-{stream}.log"));
            let checked = whole(&path).map_err(|e| e.to_string());
            let checked = checked.and_then(|(mut log, bytes)| {
                found.bytes += bytes;
                program::check(number as u64, &mut log)
            });
            match checked {
                Ok(lines) => found.lines += lines,
                Err(sentence) => scene.fail(format!("{}: {sentence}", path.display())),
            }
        }
    }
    found
}

/// Files that are read one after the other.
struct Files(VecDeque<File>);

impl Read for Files {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(file) = self.0.front_mut() {
            match file.read(buffer)? {
                0 => self.0.pop_front(),
                n => return Ok(n),
            };
        }
        Ok(0)
    }
}

/// A log with all that was set aside of it, the oldest first, and how many bytes that are.
fn whole(path: &Path) -> io::Result<(impl BufRead, u64)> {
    let mut files = VecDeque::from([File::open(path)?]);
    let older = (1..).map(|number| older(path, number));
    for file in older.map_while(|path| File::open(path).ok()) {
        files.push_front(file);
    }
    let sizes = files
        .iter()
        .map(|file| file.metadata().map(|meta| meta.len()));
    let bytes = sizes.sum::<io::Result<u64>>()?;
    Ok((BufReader::new(Files(files)), bytes))
}

/// The list and the processes: one of each program that is online, and none of any other.
pub fn processes_of(scene: &Scene, list: &BTreeMap<String, Process>) {
    let mut found: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for pid in processes(&scene.root).into_iter().filter(|pid| lives(*pid)) {
        let block = environment(pid);
        let ids = block
            .split(|b| *b == 0)
            .filter_map(|a| a.strip_prefix(b"RPM_ID="));
        for id in ids {
            let id = String::from_utf8_lossy(id).into_owned();
            found.entry(id).or_default().push(pid);
        }
    }
    for process in list.values().filter(|p| p.state == State::Online) {
        let pids = found.remove(&process.id.to_string()).unwrap_or_default();
        if pids != [process.pid] {
            scene.fail(format!(
                "{} has the processes {pids:?}: {process:?}",
                process.name
            ));
        }
    }
    if !found.is_empty() {
        scene.fail(format!("processes of no program, by RPM_ID: {found:?}"));
    }
}

/// After `rpm kill`: no process, and no memory that was shared.
pub fn nothing_is_left(scene: &Scene, supervisors: &[i32]) {
    let mut left = Vec::new();
    scene.wait_until("no process of this home is left", || {
        left = processes(&scene.root);
        left.is_empty()
    });
    for pid in left {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        scene.fail(format!("process {pid} is left: {words}"));
    }
    // proc_sysvipc(5): the creator's pid is the sixth but one word of a line, behind key, shmid, perms and size.
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    // Pids come again: a segment that is older than the home is somebody else's.
    let born = fs::metadata(&scene.root).and_then(|home| home.created());
    let born = born.map_or(0, |time| {
        let since = time.duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    });
    for line in table.lines().skip(1) {
        let number = |at| line.split_ascii_whitespace().nth(at)?.parse::<u64>().ok();
        let creator = number(4).and_then(|pid| i32::try_from(pid).ok());
        let is_new = number(13).is_some_and(|changed| changed >= born);
        if is_new && creator.is_some_and(|pid| supervisors.contains(&pid)) {
            scene.fail(format!("a segment of shared memory is left: {line}"));
        }
    }
}
