//! Where the output of a program goes, and what of it was dropped.

use super::line::Line;
use crate::model::spec::{LOG_MAX_FILES, LOG_MAX_SIZE};
use crate::model::value::{Bytes, LogType};

/// Where the output of a program goes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The file of its standard output. An empty path means no file, here and below.
    pub out: Bytes,
    /// The file of its standard error.
    pub err: Bytes,
    /// The file of both.
    pub both: Bytes,
    /// The name of the program.
    pub name: String,
    /// The format of the date and time before each line; empty: none.
    pub date_format: String,
    /// The format of the lines.
    pub log_type: LogType,
    /// Other instances write to the same files, so that only whole lines are written.
    pub merged: bool,
    /// The maximum size of a file, in bytes; 0: no limit.
    pub max_size: u64,
    /// The number of rotated files that are kept.
    pub max_files: u32,
}

impl Output {
    /// The output of a program with the default settings.
    pub fn new(name: &str, out: &[u8], err: &[u8]) -> Output {
        Output {
            out: out.to_vec(),
            err: err.to_vec(),
            both: Bytes::new(),
            name: name.to_owned(),
            date_format: String::new(),
            log_type: LogType::Raw,
            merged: false,
            max_size: LOG_MAX_SIZE,
            max_files: LOG_MAX_FILES,
        }
    }

    /// Adds the fields to a line, except those that have their default.
    pub(super) fn put(&self, line: Line) -> Line {
        let mut line = line.with("name", &self.name).with("out", &self.out);
        line.push("err", &self.err);
        if !self.both.is_empty() {
            line.push("both", &self.both);
        }
        if !self.date_format.is_empty() {
            line.push("date_format", &self.date_format);
        }
        if self.log_type != LogType::Raw {
            line.push("log_type", self.log_type.word());
        }
        if self.merged {
            line.push("merged", "true");
        }
        if self.max_size != LOG_MAX_SIZE {
            line.push("max_size", self.max_size.to_string());
        }
        if self.max_files != LOG_MAX_FILES {
            line.push_number("max_files", self.max_files);
        }
        line
    }

    /// The fields of a line.
    pub(super) fn of(line: &Line) -> Option<Output> {
        let mut output = Output::new(line.text("name")?, line.get("out")?, line.get("err")?);
        output.both = line.get("both").unwrap_or_default().to_vec();
        output.date_format = line.text("date_format").unwrap_or_default().to_owned();
        if line.get("log_type").is_some() {
            output.log_type = LogType::Json;
        }
        output.merged = line.flag("merged").ok()?;
        output.max_size = line.number("max_size").unwrap_or(LOG_MAX_SIZE);
        output.max_files = line.number("max_files").unwrap_or(LOG_MAX_FILES);
        Some(output)
    }
}

/// A stream of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Both, in the order of their numbers.
    pub const BOTH: [Stream; 2] = [Stream::Out, Stream::Err];

    /// 0 for standard output, 1 for standard error.
    pub fn index(self) -> usize {
        match self {
            Stream::Out => 0,
            Stream::Err => 1,
        }
    }

    /// The stream of a number; every other number means standard error.
    pub fn from_index(index: u64) -> Stream {
        if index == 0 { Stream::Out } else { Stream::Err }
    }

    /// `out` or `err`, as in the log lines of pm2.
    pub fn word(self) -> &'static str {
        match self {
            Stream::Out => "out",
            Stream::Err => "err",
        }
    }
}

/// Output that could not be written and was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// How much of it, in bytes.
    pub bytes: u64,
    /// When the first of it was dropped, ms since the epoch.
    pub first: u64,
    /// When the last of it was dropped, ms since the epoch.
    pub last: u64,
}

/// The keys of the dropped standard output and standard error in records and orders.
const DROPPED: [&str; 2] = ["lost_out", "lost_err"];

impl Dropped {
    /// Adds more.
    pub fn add(&mut self, more: Dropped) {
        if self.bytes == 0 {
            *self = more;
        } else if more.bytes > 0 {
            self.bytes = self.bytes.saturating_add(more.bytes);
            self.first = self.first.min(more.first);
            self.last = self.last.max(more.last);
        }
    }

    /// What was dropped of both streams, in the fields of a line.
    pub fn of_line(line: &Line) -> [Dropped; 2] {
        let of = |key| line.text(key).and_then(Dropped::parse).unwrap_or_default();
        DROPPED.map(of)
    }

    /// Adds the fields of both streams to a line.
    pub fn put(both: &[Dropped; 2], line: &mut Line) {
        for (dropped, key) in both.iter().zip(DROPPED) {
            if dropped.bytes > 0 {
                line.push(key, dropped.to_text());
            }
        }
    }

    /// As one word.
    pub fn to_text(self) -> String {
        format!("{}:{}:{}", self.bytes, self.first, self.last)
    }

    /// Parses the word.
    pub fn parse(text: &str) -> Option<Dropped> {
        let mut numbers = text.splitn(3, ':').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Dropped {
            bytes: next()?,
            first: next()?,
            last: next()?,
        })
    }
}
