//! Splits a line of a log file into its time and its message.

use std::borrow::Cow;

use crate::client::display::output::harmless;
use crate::config::json::{self, Node, Source};
use crate::model::spec::Spec;
use crate::model::stamp::{Civil, Form, Moment, Reading};
use crate::model::value::LogType;
use crate::sys::clock;

/// An output of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Output {
    /// The word in log lines.
    pub fn word(self) -> &'static str {
        match self {
            Output::Out => "out",
            Output::Err => "err",
        }
    }

    fn from_word(word: &[u8]) -> Option<Output> {
        let mut both = [Output::Out, Output::Err].into_iter();
        both.find(|output| output.word().as_bytes() == word)
    }
}

/// How the lines of a file carry their times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stamp {
    /// They do not.
    None,
    /// In front: the time, this separator, the message.
    Prefix(Form, &'static [u8]),
    /// They are JSON objects. Without a form it is that of [`crate::model::stamp::iso`].
    Json(Option<Form>),
}

/// The parts of a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// When it was written, in ms since the epoch; none where the line does not say.
    pub time: Option<u64>,
    /// The same as text; empty where the line does not say.
    pub stamp: Cow<'a, [u8]>,
    /// What the program printed.
    pub message: Cow<'a, [u8]>,
    /// The source that the line names; none where it is no JSON object.
    pub fields: Option<Fields>,
    /// The rest of the line follows.
    pub is_partial: bool,
}

/// The source that a JSON line names, as far as it does.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The output.
    pub output: Option<Output>,
    /// The program's id.
    pub id: Option<u32>,
    /// Its name.
    pub name: Option<String>,
}

impl Fields {
    fn of(object: &Node) -> Fields {
        let text = |key| object.get(key).and_then(Node::string);
        let id = object.get("process_id").and_then(Node::scalar);
        let name = text("app_name").map(String::from_utf8_lossy);
        Fields {
            output: text("type").and_then(Output::from_word),
            id: id.and_then(|id| String::from_utf8(id).ok()?.parse().ok()),
            name: name.map(|name| harmless(&name).into_owned()),
        }
    }

    /// Whether it has all fields that the log writer writes.
    fn is_complete(&self) -> bool {
        self.output.is_some() && self.id.is_some() && self.name.is_some()
    }
}

/// The form of JavaScript's toISOString, without the Z at its end.
const ISO: &str = "YYYY-MM-DDTHH:mm:ss.SSS";
/// The form of `--time`, as pm2 has it, and the first bytes of the log writer's objects: a file may have lines from before
/// its program was configured otherwise.
const TIME: &str = "YYYY-MM-DDTHH:mm:ss";
const OBJECT: &[u8] = b"{\"message\":";
/// The separator between time and message.
const SEPARATOR: &[u8] = b": ";
/// The form of the daemon's log.
const OF_DAEMON: &str = "YYYY-MM-DDTHH:mm:ss.SSSZ";

impl Stamp {
    /// How the lines of a program's files carry their times.
    pub fn of(spec: &Spec) -> Stamp {
        let form = Some(spec.date_format()).filter(|text| !text.is_empty());
        let form = form.map(Form::new);
        match (spec.log_type, form) {
            (LogType::Json, form) => Stamp::Json(form),
            (LogType::Raw, Some(form)) if is_full(&form) => Stamp::Prefix(form, SEPARATOR),
            (LogType::Raw, _) => Stamp::None,
        }
    }

    /// The same of the daemon's log.
    pub fn of_daemon() -> Stamp {
        Stamp::Prefix(Form::new(OF_DAEMON), b" ")
    }

    /// Whether the lines have times.
    pub fn has_times(&self) -> bool {
        match self {
            Stamp::None => false,
            Stamp::Prefix(..) | Stamp::Json(None) => true,
            Stamp::Json(Some(form)) => is_full(form),
        }
    }
}

/// Whether a form has both date and time.
fn is_full(form: &Form) -> bool {
    let mut sample = Vec::new();
    let at = Moment {
        year: 2000,
        month: 1,
        day: 1,
        yearday: 1,
        ms: 946_684_800_000,
        ..Moment::default()
    };
    form.write(&at, &mut sample);
    form.read(&sample).is_some()
}

/// Splits the lines of one file.
#[derive(Debug)]
pub struct Reader {
    stamp: Stamp,
    /// Another form that its lines may have.
    other: Form,
    /// The last minute that was converted, and its time: the C library looks at the time zone's file each time.
    minute: Option<(Civil, u64)>,
}

impl Reader {
    /// A reader of lines with this stamp.
    pub fn new(stamp: Stamp) -> Reader {
        Reader {
            stamp,
            other: Form::new(TIME),
            minute: None,
        }
    }

    /// The stamp of the lines.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// The parts of a line without its LF.
    pub fn split<'a>(&mut self, line: &'a [u8]) -> Parts<'a> {
        let parts = match &self.stamp {
            Stamp::None => None,
            Stamp::Prefix(form, separator) => split_prefix(form, separator, line),
            Stamp::Json(_) => self.split_json(line).map(|parts| (parts, None)),
        };
        let parts = parts.or_else(|| self.split_other(line));
        let (mut parts, reading) = parts.unwrap_or((Parts::of_message(line), None));
        if let Some(reading) = reading {
            parts.time = self.since_epoch(reading);
        }
        parts
    }

    /// The parts of a line from before the program was configured as it is now.
    fn split_other<'a>(&mut self, line: &'a [u8]) -> Option<(Parts<'a>, Option<Reading>)> {
        let is_complete = |parts: &Parts| parts.fields.as_ref().is_some_and(Fields::is_complete);
        match line.first()? {
            b'{' if line.starts_with(OBJECT) => {
                let parts = self.split_json(line).filter(is_complete);
                parts.map(|parts| (parts, None))
            }
            b'0'..=b'9' => split_prefix(&self.other, SEPARATOR, line),
            _ => None,
        }
    }

    fn split_json<'a>(&mut self, line: &[u8]) -> Option<Parts<'a>> {
        if !line.starts_with(b"{") {
            return None;
        }
        let source = Source {
            name: "",
            text: line,
            literal: false,
        };
        let object = json::parse(&source).ok()?;
        let text = |key| object.get(key).and_then(|node| node.string());
        let (message, stamp) = (text("message")?, text("timestamp")?);
        // pm2 keeps the end of the line in the message.
        let message = message.strip_suffix(b"\n").unwrap_or(message).to_vec();
        let stamp = stamp.to_vec();
        Some(Parts {
            time: self.time_of_json(&stamp),
            stamp: Cow::Owned(stamp),
            message: Cow::Owned(message),
            fields: Some(Fields::of(&object)),
            is_partial: false,
        })
    }

    fn time_of_json(&mut self, stamp: &[u8]) -> Option<u64> {
        let reading = match &self.stamp {
            Stamp::Json(Some(form)) => form.read(stamp).filter(|(_, rest)| rest.is_empty()),
            _ => None,
        };
        match reading {
            Some((reading, _)) => self.since_epoch(reading),
            None => iso_time(stamp),
        }
    }

    fn since_epoch(&mut self, reading: Reading) -> Option<u64> {
        let Reading::Local(civil) = reading else {
            return clock::since_epoch(&reading);
        };
        let minute = Civil {
            second: 0,
            milli: 0,
            ..civil
        };
        let began = match self.minute {
            Some((last, began)) if last == minute => began,
            _ => clock::since_epoch(&Reading::Local(minute))?,
        };
        self.minute = Some((minute, began));
        Some(began + u64::from(civil.second) * 1000 + u64::from(civil.milli))
    }
}

impl Parts<'_> {
    /// The parts of a line that is only a message.
    fn of_message(line: &[u8]) -> Parts<'_> {
        Parts {
            time: None,
            stamp: Cow::Borrowed(&[]),
            message: Cow::Borrowed(line),
            fields: None,
            is_partial: false,
        }
    }
}

fn split_prefix<'a>(
    form: &Form,
    separator: &[u8],
    line: &'a [u8],
) -> Option<(Parts<'a>, Option<Reading>)> {
    let (reading, rest) = form.read(line)?;
    let stamp = line.get(..line.len() - rest.len())?;
    let parts = Parts {
        stamp: Cow::Borrowed(stamp),
        ..Parts::of_message(rest.strip_prefix(separator)?)
    };
    Some((parts, Some(reading)))
}

/// The time of a text that JavaScript's toISOString has written.
fn iso_time(stamp: &[u8]) -> Option<u64> {
    match Form::new(ISO).read(stamp)? {
        (Reading::Local(civil), b"Z") => u64::try_from(civil.as_utc()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stamp::iso;

    const NOW: u64 = 1_795_610_096_789;

    fn parts(stamp: Stamp, line: &[u8]) -> (Option<u64>, String, String, bool) {
        let mut reader = Reader::new(stamp);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let parts = reader.split(line);
        (
            parts.time,
            text(&parts.stamp),
            text(&parts.message),
            parts.fields.is_some(),
        )
    }

    fn of(date_format: &str, log_type: LogType) -> Stamp {
        Stamp::of(&Spec {
            log_date_format: date_format.to_owned(),
            log_type,
            ..Spec::default()
        })
    }

    #[test]
    fn a_time_ends_at_a_colon() {
        let form = "YYYY-MM-DD HH:mm:ss.SSS";
        let mut line = Vec::new();
        Form::new(form).write(&clock::moment(NOW), &mut line);
        let stamp = String::from_utf8(line.clone()).unwrap();
        line.extend_from_slice(b": a: b");
        let stamped = parts(of(form, LogType::Raw), &line);
        assert_eq!(stamped, (Some(NOW), stamp, "a: b".to_owned(), false));
        let plain = (None, String::new(), "    at x".to_owned(), false);
        assert_eq!(parts(of(form, LogType::Raw), b"    at x"), plain);
    }

    #[test]
    fn the_second_line_of_a_minute_has_its_own_time() {
        let mut reader = Reader::new(of("YYYY-MM-DD HH:mm:ss", LogType::Raw));
        let mut times = ["12:00:01", "12:00:59", "12:01:02", "11:00:00"].map(|time| {
            let line = format!("2026-11-25 {time}: x");
            reader.split(line.as_bytes()).time.unwrap() / 1000
        });
        let first = times[0];
        times
            .iter_mut()
            .for_each(|time| *time = *time + 3601 - first);
        assert_eq!(times, [3601, 3659, 3662, 0]);
    }

    #[test]
    fn an_object_is_split() {
        let line = format!(
            r#"{{"message":"a \"b\"\n","timestamp":"{}","type":"out","process_id":3,"app_name":"x"}}"#,
            iso(NOW)
        );
        let expected = (Some(NOW), iso(NOW), "a \"b\"".to_owned(), true);
        assert_eq!(parts(of("", LogType::Json), line.as_bytes()), expected);
        for other in ["{\"message\":1}", "{", "text", ""] {
            let plain = (None, String::new(), other.to_owned(), false);
            assert_eq!(parts(of("", LogType::Json), other.as_bytes()), plain);
        }
        let form = r#"{"message":"m","timestamp":"25.11.2026"}"#;
        let dated = of("DD.MM.YYYY", LogType::Json);
        assert!(!dated.has_times());
        assert_eq!(parts(dated, form.as_bytes()).0, None);
    }

    #[test]
    fn a_form_without_a_date_is_no_stamp() {
        assert_eq!(of("HH:mm:ss", LogType::Raw), Stamp::None);
        assert_eq!(of("", LogType::Raw), Stamp::None);
        assert!(of("x", LogType::Raw).has_times() && of("", LogType::Json).has_times());
    }

    #[test]
    fn lines_of_earlier_settings_are_split_too() {
        let object = format!(
            r#"{{"message":"m","timestamp":"{}","type":"err","process_id":3,"app_name":"x"}}"#,
            iso(NOW)
        );
        let mut text = Vec::new();
        Form::new(TIME).write(&clock::moment(NOW), &mut text);
        let stamp = String::from_utf8(text).unwrap();
        let line = format!("{stamp}: text");
        let forms = ["", "YYYY-MM-DD HH:mm:ss"].map(|form| of(form, LogType::Raw));
        for present in forms.into_iter().chain([of("", LogType::Json)]) {
            let found = parts(present.clone(), object.as_bytes());
            assert_eq!(found, (Some(NOW), iso(NOW), "m".to_owned(), true));
            let found = parts(present.clone(), line.as_bytes());
            let whole = NOW - NOW % 1000;
            assert_eq!(
                found,
                (Some(whole), stamp.clone(), "text".to_owned(), false)
            );
        }
        // An object of somebody else.
        let other = r#"{"message":"m","timestamp":"2026-11-25T12:34:56.789Z","level":3}"#;
        let plain = (None, String::new(), other.to_owned(), false);
        assert_eq!(parts(Stamp::None, other.as_bytes()), plain);
    }

    #[test]
    fn the_daemon_log_separates_by_a_space() {
        let line = format!("{} rpmd[12]: ready", clock::moment(NOW));
        let (time, _, message, _) = parts(Stamp::of_daemon(), line.as_bytes());
        assert_eq!((time, message.as_str()), (Some(NOW), "rpmd[12]: ready"));
    }
}
