//! Where output goes, and what of it is lost.

use super::line::Line;
use crate::model::spec::{LOG_MAX_FILES, LOG_MAX_SIZE};
use crate::model::value::{Bytes, LogType};

/// Where the output of a program goes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The file of its standard output; an empty path means no file, here and below.
    pub out: Bytes,
    /// The file of its standard error.
    pub err: Bytes,
    /// The file of both.
    pub both: Bytes,
    /// What the program is called.
    pub name: String,
    /// The form of date and time before each line; empty: none.
    pub date_format: String,
    /// What the lines of the files are.
    pub log_type: LogType,
    /// Other instances write to the same files: lines are kept together from the first on.
    pub merged: bool,
    /// How large a file may become, in bytes; 0: as large as it likes.
    pub max_size: u64,
    /// How many older files are kept.
    pub max_files: u32,
}

impl Output {
    /// The output of a program that has no settings for it.
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

    /// Adds the fields to a line; what is as it is most often is left out.
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

    /// Takes the fields of a line.
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

/// Output that could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// How much of it, in bytes.
    pub bytes: u64,
    /// When the first of it was dropped, ms since the epoch.
    pub first: u64,
    /// When the last of it was dropped, ms since the epoch.
    pub last: u64,
}

/// The keys of what was lost of standard output and standard error.
pub const LOST: [&str; 2] = ["lost_out", "lost_err"];

impl Loss {
    /// As one word.
    pub fn to_text(self) -> String {
        format!("{}:{}:{}", self.bytes, self.first, self.last)
    }

    /// What the word means.
    pub fn read(text: &str) -> Option<Loss> {
        let mut numbers = text.splitn(3, ':').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Loss {
            bytes: next()?,
            first: next()?,
            last: next()?,
        })
    }
}
