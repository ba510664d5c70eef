//! A line of a log file, taken apart: when it was written, and what was printed.

use std::borrow::Cow;

use crate::app::spec::Spec;
use crate::app::stamp::{Civil, Form, Moment, Reading};
use crate::app::value::LogType;
use crate::config::json::{self, Source};
use crate::sys::clock;

/// How the lines of a file tell when they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stamp {
    /// Not at all.
    None,
    /// They begin with it; then this comes, then what was printed.
    Before(Form, &'static [u8]),
    /// They are objects. Without a form it is that of [`crate::app::stamp::iso`].
    Json(Option<Form>),
}

/// What a line holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// When it was written, in ms since the epoch, where it tells.
    pub time: Option<u64>,
    /// The same as it stands there; empty where it does not tell.
    pub stamp: Cow<'a, [u8]>,
    /// What was printed.
    pub message: Cow<'a, [u8]>,
    /// It is an object that tells all of it.
    pub is_json: bool,
}

/// The forms of toISOString of JavaScript, but for the Z at its end.
const ISO: &str = "YYYY-MM-DDTHH:mm:ss.SSS";
/// How the daemons' own log has it.
const OF_DAEMON: &str = "YYYY-MM-DDTHH:mm:ss.SSSZ";

impl Stamp {
    /// How the lines of a program's files tell.
    pub fn of(spec: &Spec) -> Stamp {
        let form = Some(spec.date_format()).filter(|text| !text.is_empty());
        let form = form.map(Form::new);
        match (spec.log_type, form) {
            (LogType::Json, form) => Stamp::Json(form),
            (LogType::Raw, Some(form)) if tells_all(&form) => Stamp::Before(form, b": "),
            (LogType::Raw, _) => Stamp::None,
        }
    }

    /// How those of the daemons' own log tell.
    pub fn of_daemon() -> Stamp {
        Stamp::Before(Form::new(OF_DAEMON), b" ")
    }

    /// Whether they tell at all.
    pub fn tells(&self) -> bool {
        match self {
            Stamp::None => false,
            Stamp::Before(..) | Stamp::Json(None) => true,
            Stamp::Json(Some(form)) => tells_all(form),
        }
    }
}

/// Whether a form tells a whole date and time.
fn tells_all(form: &Form) -> bool {
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

/// Takes the lines of one file apart.
#[derive(Debug)]
pub struct Reader {
    stamp: Stamp,
    /// The last minute that was asked for, and when it was: the C library looks at the time zone's file each time.
    minute: Option<(Civil, u64)>,
}

impl Reader {
    /// For lines that tell it so.
    pub fn new(stamp: Stamp) -> Reader {
        Reader {
            stamp,
            minute: None,
        }
    }

    /// How they tell.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// The parts of a line without its LF.
    pub fn split<'a>(&mut self, line: &'a [u8]) -> Parts<'a> {
        let parts = match &self.stamp {
            Stamp::None => None,
            Stamp::Before(..) => self.split_text(line),
            Stamp::Json(_) => self.split_json(line),
        };
        parts.unwrap_or(Parts {
            time: None,
            stamp: Cow::Borrowed(&[]),
            message: Cow::Borrowed(line),
            is_json: false,
        })
    }

    fn split_text<'a>(&mut self, line: &'a [u8]) -> Option<Parts<'a>> {
        let Stamp::Before(form, between) = &self.stamp else {
            return None;
        };
        let (reading, rest) = form.read(line)?;
        let message = rest.strip_prefix(*between)?;
        let stamp = line.get(..line.len() - rest.len())?;
        Some(Parts {
            time: self.since_epoch(reading),
            stamp: Cow::Borrowed(stamp),
            message: Cow::Borrowed(message),
            is_json: false,
        })
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
            is_json: true,
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

/// What toISOString of JavaScript has written.
fn iso_time(stamp: &[u8]) -> Option<u64> {
    match Form::new(ISO).read(stamp)? {
        (Reading::Local(civil), b"Z") => u64::try_from(civil.as_utc()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::stamp::iso;

    const NOW: u64 = 1_795_610_096_789;

    fn parts(stamp: Stamp, line: &[u8]) -> (Option<u64>, String, String, bool) {
        let mut reader = Reader::new(stamp);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let parts = reader.split(line);
        (
            parts.time,
            text(&parts.stamp),
            text(&parts.message),
            parts.is_json,
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
    fn a_stamp_stands_before_a_colon() {
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
    fn an_object_is_taken_apart() {
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
        assert!(!dated.tells());
        assert_eq!(parts(dated, form.as_bytes()).0, None);
    }

    #[test]
    fn a_form_without_date_tells_nothing() {
        assert_eq!(of("HH:mm:ss", LogType::Raw), Stamp::None);
        assert_eq!(of("", LogType::Raw), Stamp::None);
        assert!(of("x", LogType::Raw).tells() && of("", LogType::Json).tells());
    }

    #[test]
    fn the_daemons_log_has_a_blank() {
        let line = format!("{} rpmd[12]: ready", clock::moment(NOW));
        let (time, _, message, _) = parts(Stamp::of_daemon(), line.as_bytes());
        assert_eq!((time, message.as_str()), (Some(NOW), "rpmd[12]: ready"));
    }
}
