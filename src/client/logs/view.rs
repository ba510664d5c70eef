//! Which lines are shown, and how.

use super::line::Parts;
use super::stream::{Kind, Origin};
use crate::client::display::output::Look;
use crate::config::json::Json;
use crate::model::stamp::{Form, iso};
use crate::sys::clock;
use crate::sys::regex::Regex;

/// How a line is shown.
pub enum Shape {
    /// As it stands in the file.
    Stored,
    /// Behind its date and time.
    Dated(Form),
    /// As words with an equals sign.
    Words(Form),
    /// As an object; date and time in this form, or as they stand in the file.
    Json(Option<Form>),
}

/// What was asked for.
pub struct View {
    /// How.
    pub shape: Shape,
    /// Without the name of the program.
    pub raw: bool,
    /// In which colours.
    pub look: Look,
    /// A word that is to be seen from afar; empty where there is none.
    pub highlight: Vec<u8>,
    /// Not what is older, in ms since the epoch.
    pub since: Option<u64>,
    /// Not what is newer.
    pub until: Option<u64>,
    /// Only this output, where a line says of which it is.
    pub only: Option<Kind>,
    /// Only what matches.
    pub grep: Option<Regex>,
}

/// What begins and ends reverse video, `console_codes(4)`.
const REVERSE: (&[u8], &[u8]) = (b"\x1b[7m", b"\x1b[27m");

impl View {
    /// Lines as they stand in the file.
    pub fn stored(raw: bool, look: Look) -> View {
        View {
            shape: Shape::Stored,
            raw,
            look,
            highlight: Vec::new(),
            since: None,
            until: None,
            only: None,
            grep: None,
        }
    }

    /// Whether all lines are shown, and as they stand in the file: then nothing of them needs to be known.
    pub fn takes_all(&self) -> bool {
        matches!(self.shape, Shape::Stored) && !self.chooses()
    }

    /// Whether what is shown is what stands in the file and nothing else.
    pub fn copies(&self) -> bool {
        self.takes_all() && self.raw && !self.highlights()
    }

    /// Whether not all lines are shown.
    pub fn chooses(&self) -> bool {
        self.is_timed() || self.grep.is_some()
    }

    /// Whether that depends on when they were written.
    pub fn is_timed(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    fn highlights(&self) -> bool {
        self.look.terminal && !self.highlight.is_empty()
    }

    /// Whether a line is to be shown.
    pub fn wants(&self, time: Option<u64>, parts: &Parts) -> bool {
        let in_time = !self.is_timed()
            || time.is_some_and(|time| {
                self.since.is_none_or(|since| since <= time)
                    && self.until.is_none_or(|until| time <= until)
            });
        let kind = parts.own.as_ref().and_then(|own| own.kind);
        let is_of_kind = kind.is_none() || self.only.is_none() || self.only == kind;
        let grep = self.grep.as_ref();
        in_time && is_of_kind && grep.is_none_or(|grep| grep.matches(&parts.message))
    }

    /// Writes a line, its LF included. `stored` is how it stands in the file, `time` when it was written.
    pub fn write(
        &self,
        origin: &Origin,
        stored: &[u8],
        parts: &Parts,
        time: Option<u64>,
        out: &mut Vec<u8>,
    ) {
        let origin = &*origin.of_line(parts.own.as_ref(), self.look);
        match &self.shape {
            Shape::Stored => {
                out.extend_from_slice(&origin.prefix);
                self.write_text(stored, out);
            }
            Shape::Dated(form) => {
                match time {
                    Some(time) => form.write(&clock::moment(time), out),
                    None => out.push(b'-'),
                }
                out.push(b' ');
                out.extend_from_slice(&origin.prefix);
                self.write_text(&parts.message, out);
            }
            Shape::Words(form) => {
                out.extend_from_slice(b"timestamp=");
                if let Some(time) = time {
                    form.write(&clock::moment(time), out);
                }
                let id = origin.id.map(|id| id.to_string()).unwrap_or_default();
                let (name, kind) = (&origin.name, origin.kind.word());
                out.extend_from_slice(
                    format!(" app={name} id={id} type={kind} message=").as_bytes(),
                );
                self.write_text(&parts.message, out);
            }
            Shape::Json(form) => match parts.own.is_some() {
                true => out.extend_from_slice(stored),
                false => {
                    let stamp = stamp(form.as_ref(), parts, time);
                    out.extend_from_slice(object(origin, parts, stamp).as_bytes());
                }
            },
        }
        out.push(b'\n');
    }

    /// Writes a text, the word in it that is to be seen from afar reversed.
    pub fn write_text(&self, text: &[u8], out: &mut Vec<u8>) {
        let word = self.highlight.as_slice();
        let mut rest = text;
        if self.highlights() {
            let (begin, end) = REVERSE;
            while let Some(at) = rest.windows(word.len()).position(|part| part == word) {
                let (before, behind) = rest.split_at(at);
                out.extend_from_slice(before);
                [begin, word, end]
                    .into_iter()
                    .for_each(|part| out.extend_from_slice(part));
                rest = behind.get(word.len()..).unwrap_or_default();
            }
        }
        out.extend_from_slice(rest);
    }
}

/// Date and time for an object: in this form, else as they stand in the file, else as JavaScript writes them.
fn stamp(form: Option<&Form>, parts: &Parts, time: Option<u64>) -> Option<Vec<u8>> {
    let asked_for = form.zip(time).map(|(form, time)| {
        let mut text = Vec::new();
        form.write(&clock::moment(time), &mut text);
        text
    });
    let stored = || (!parts.stamp.is_empty()).then(|| parts.stamp.to_vec());
    let plain = || time.map(|time| iso(time).into_bytes());
    asked_for.or_else(stored).or_else(plain)
}

fn object(origin: &Origin, parts: &Parts, stamp: Option<Vec<u8>>) -> String {
    let mut json = Json::new(false);
    json.object(|json| {
        json.key(b"message").string(&parts.message);
        match stamp {
            Some(stamp) => json.key(b"timestamp").string(&stamp),
            None => json.key(b"timestamp").bare("null"),
        }
        json.key(b"type").string(origin.kind.word().as_bytes());
        match origin.id {
            Some(id) => json.key(b"process_id").bare(id),
            None => json.key(b"process_id").bare("null"),
        }
        json.key(b"app_name").string(origin.name.as_bytes());
        if parts.is_partial {
            json.key(b"partial").bare(true);
        }
    });
    // The line's end is the caller's.
    let mut text = json.finish();
    text.truncate(text.trim_end().len());
    text
}
