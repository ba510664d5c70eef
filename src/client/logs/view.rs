//! Which lines are shown, and in which format.

use super::line::{Output, Parts};
use super::source::Source;
use crate::client::display::output::Look;
use crate::config::json::Json;
use crate::model::stamp::{Form, iso};
use crate::sys::clock;
use crate::sys::regex::Regex;

/// The format of a line.
pub enum Format {
    /// As it is in the file.
    Stored,
    /// With date and time in front.
    Dated(Form),
    /// `key=value`, for log tools.
    KeyValue(Form),
    /// A JSON object; with date and time in this form, without one as they are in the file.
    Json(Option<Form>),
}

/// Selection and format.
pub struct View {
    /// The format.
    pub format: Format,
    /// Without the name of the program.
    pub raw: bool,
    /// The colours.
    pub look: Look,
    /// A text to highlight; empty where there is none.
    pub highlight: Vec<u8>,
    /// Only lines from then on, in ms since the epoch.
    pub since: Option<u64>,
    /// Only lines up to then.
    pub until: Option<u64>,
    /// Only lines of this output, where a line names its own.
    pub only: Option<Output>,
    /// Only lines whose message matches.
    pub grep: Option<Regex>,
}

/// What begins and ends reverse video. `console_codes(4)`
const REVERSE: (&[u8], &[u8]) = (b"\x1b[7m", b"\x1b[27m");

impl View {
    /// All lines as they are in the file.
    pub fn stored(raw: bool, look: Look) -> View {
        View {
            format: Format::Stored,
            raw,
            look,
            highlight: Vec::new(),
            since: None,
            until: None,
            only: None,
            grep: None,
        }
    }

    /// Whether lines are shown as they are in the file.
    pub fn is_stored(&self) -> bool {
        matches!(self.format, Format::Stored)
    }

    /// Whether lines of every kind of file are selected from.
    pub fn selects(&self) -> bool {
        self.is_timed() || self.grep.is_some()
    }

    /// Whether the selection depends on the time.
    pub fn is_timed(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// Whether the time is one of those selected. A line without a time is not.
    pub fn is_in_time(&self, time: Option<u64>) -> bool {
        let is_in = |time| self.until.is_none_or(|until| time <= until);
        !self.is_timed() || (!self.is_too_old(time) && time.is_some_and(is_in))
    }

    /// Whether the time is before those selected.
    pub fn is_too_old(&self, time: Option<u64>) -> bool {
        self.since
            .zip(time)
            .is_some_and(|(since, time)| time < since)
    }

    /// Whether a line is selected by its content.
    pub fn matches(&self, parts: &Parts) -> bool {
        let output = parts.fields.as_ref().and_then(|fields| fields.output);
        let is_of_output = output.is_none() || self.only.is_none() || self.only == output;
        let grep = self.grep.as_ref();
        is_of_output && grep.is_none_or(|grep| grep.matches(&parts.message))
    }

    /// Writes a line, which is `stored` in the file, without a LF.
    pub fn write(&self, source: &Source, stored: &[u8], parts: &Parts, out: &mut Vec<u8>) {
        let source = &*source.of_line(parts.fields.as_ref(), self.look);
        let write_time = |form: &Form, out: &mut Vec<u8>, none: &[u8]| match parts.time {
            Some(time) => form.write(&clock::moment(time), out),
            None => out.extend_from_slice(none),
        };
        match &self.format {
            Format::Stored => {
                out.extend_from_slice(&source.prefix);
                self.write_text(stored, out);
            }
            Format::Dated(form) => {
                write_time(form, out, b"-");
                out.push(b' ');
                out.extend_from_slice(&source.prefix);
                self.write_text(&parts.message, out);
            }
            Format::KeyValue(form) => {
                out.extend_from_slice(b"timestamp=");
                write_time(form, out, b"");
                let id = source.id.map(|id| id.to_string()).unwrap_or_default();
                let (name, output) = (&source.name, source.output.word());
                let fields = format!(" app={name} id={id} type={output} message=");
                out.extend_from_slice(fields.as_bytes());
                self.write_text(&parts.message, out);
            }
            Format::Json(_) if parts.fields.is_some() => out.extend_from_slice(stored),
            Format::Json(form) => {
                let stamp = stamp(form.as_ref(), parts);
                out.extend_from_slice(object(source, parts, stamp).trim_end().as_bytes());
            }
        }
    }

    /// Writes a text, on a terminal with the highlighted part reversed.
    pub fn write_text(&self, text: &[u8], out: &mut Vec<u8>) {
        let part = self.highlight.as_slice();
        let mut rest = text;
        if self.look.terminal && !part.is_empty() {
            let (begin, end) = REVERSE;
            while let Some(at) = rest.windows(part.len()).position(|found| found == part) {
                let (before, behind) = rest.split_at(at);
                for piece in [before, begin, part, end] {
                    out.extend_from_slice(piece);
                }
                rest = behind.get(part.len()..).unwrap_or_default();
            }
        }
        out.extend_from_slice(rest);
    }
}

/// Date and time of an object: in this form, else as in the file, else as JavaScript writes them.
fn stamp(form: Option<&Form>, parts: &Parts) -> Option<Vec<u8>> {
    if let Some((form, time)) = form.zip(parts.time) {
        let mut text = Vec::new();
        form.write(&clock::moment(time), &mut text);
        return Some(text);
    }
    if !parts.stamp.is_empty() {
        return Some(parts.stamp.to_vec());
    }
    parts.time.map(|time| iso(time).into_bytes())
}

fn object(source: &Source, parts: &Parts, stamp: Option<Vec<u8>>) -> String {
    let mut json = Json::new(false);
    json.object(|json| {
        json.key(b"message").string(&parts.message);
        match stamp {
            Some(stamp) => json.key(b"timestamp").string(&stamp),
            None => json.key(b"timestamp").bare("null"),
        }
        json.key(b"type").string(source.output.word().as_bytes());
        match source.id {
            Some(id) => json.key(b"process_id").bare(id),
            None => json.key(b"process_id").bare("null"),
        }
        json.key(b"app_name").string(source.name.as_bytes());
        if parts.is_partial {
            json.key(b"partial").bare(true);
        }
    });
    json.finish()
}
