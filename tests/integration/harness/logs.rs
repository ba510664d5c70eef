//! Log files with their rotated files, their lines without time stamps, and `rpm logs`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rpm::sys::signal::Signal;

use super::run::Running;
use super::{Home, proc, wait_until};

/// The path of a rotated file.
pub fn older(path: &Path, number: usize) -> PathBuf {
    PathBuf::from(format!("{}.{number}", path.display()))
}

/// The number of rotated files, without a gap.
pub fn count_older(path: &Path) -> usize {
    (1..).take_while(|n| older(path, *n).exists()).count()
}

/// The contents of the rotated files and the log file, oldest first.
#[track_caller]
pub fn files(path: &Path) -> Vec<Vec<u8>> {
    let paths = (1..=count_older(path)).rev().map(|n| older(path, n));
    let all = paths.chain([path.to_owned()]);
    all.map(|path| fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        .collect()
}

/// The contents of all of them together. Asserts that each but the newest ends with a whole line.
#[track_caller]
pub fn whole_text(path: &Path) -> Vec<u8> {
    let files = files(path);
    let (_, aside) = files.split_last().unwrap();
    for (at, file) in aside.iter().enumerate() {
        let end = &file[file.len().saturating_sub(80)..];
        let end = String::from_utf8_lossy(end);
        assert!(end.ends_with('\n'), "file {at} of {path:?} ends in {end:?}");
    }
    files.concat()
}

/// The lines without their time stamps, each of which ends with the first `": "`.
#[track_caller]
pub fn without_stamps(text: &[u8]) -> Vec<u8> {
    let bare = |line: &[u8]| {
        let at = line.windows(2).position(|pair| pair == b": ");
        let at = at.unwrap_or_else(|| panic!("no stamp: {}", String::from_utf8_lossy(line)));
        line[at + 2..].to_vec()
    };
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.flat_map(bare).collect()
}

/// The messages of JSON lines in which nothing is escaped.
#[track_caller]
pub fn without_json(text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap();
    let bare = |line: &str| {
        let inner = line.strip_prefix("{\"message\":\"");
        let inner = inner.and_then(|line| line.split_once("\",\"timestamp\":\""));
        let (message, rest) = inner.unwrap_or_else(|| panic!("no object: {line}"));
        assert!(rest.ends_with("\"}\n"), "{line}");
        format!("{message}\n")
    };
    let lines = text.split_inclusive('\n');
    lines.map(bare).collect::<String>().into_bytes()
}

/// Stops a program of [`super::Home::compiled`], and waits until its output is written.
#[track_caller]
pub fn finish(home: &Home, name: &str) {
    fs::write(home.base.join("enough"), "").unwrap();
    wait_until("all is printed", || home.base.join("printed").exists());
    home.rpm(&["stop", name]).ok();
    // It may lag by more than the timeout of a command, as each rotation renames hundreds of files.
    let mut wire = home.wire();
    wait_until("the log writer is done", || {
        wire.ask("reopen").last.tag == "ok"
    });
}

/// Kills the log writer, and waits for the next one.
#[track_caller]
pub fn kill_log_writer(home: &Home) {
    let writer = home.log_writer().unwrap();
    proc::kill(writer, Signal::KILL);
    wait_until("another log writer", || {
        home.log_writers().iter().any(|other| *other != writer)
    });
}

/// The format of log lines.
#[derive(Clone, Copy)]
pub enum Form {
    /// As printed.
    Plain,
    /// With date and time.
    Stamped,
    /// As JSON objects.
    Json,
}

impl Form {
    /// The flags for this format.
    pub fn flags(self) -> &'static [&'static str] {
        match self {
            Form::Plain => &[],
            Form::Stamped => &["--time"],
            Form::Json => &["--log-type", "json"],
        }
    }

    /// The printed text.
    #[track_caller]
    pub fn bare(self, text: &[u8]) -> Vec<u8> {
        match self {
            Form::Plain => text.to_vec(),
            Form::Stamped => without_stamps(text),
            Form::Json => without_json(text),
        }
    }
}

/// Runs `rpm logs` in the background; its output is read line by line.
pub fn follow(home: &Home, words: &str) -> Running {
    let command = format!("exec {} logs {words} >&2", home.client());
    Running::start(home.command(&["sh", "-c", &command]))
}

/// Starts a program that prints nothing, with a log file in the directory of the test.
pub fn quiet(home: &Home, name: &str, flags: &[&str]) {
    let file = format!("{name}.log");
    let words = ["start", "sleep", "--name", name, "-o", &file, "-e", "NULL"];
    home.rpm(&[&words, flags, &["--", "1000"]].concat()).ok();
}

/// Appends to a file, which is created if it does not exist.
pub fn append(path: &Path, text: &str) {
    let mut options = fs::File::options();
    let file = options.append(true).create(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// The output of `rpm logs --nostream`.
#[track_caller]
pub fn printed(home: &Home, words: &[&str]) -> String {
    home.rpm(&[&["logs", "--nostream"], words].concat())
        .ok()
        .stdout
}
