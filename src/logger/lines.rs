//! What a log file gets of what a program prints: the bytes as they are, or line by line with date and time, or as JSON.
//! The same bytes of the same moment always become the same text: so a batch that was begun can be finished.

use crate::model::stamp::{self, Form};
use crate::model::value::LogType;
use crate::protocol::output::Output;
use crate::sys::clock;
use crate::sys::raw_bytes::RawBytes;

/// How the lines of a program are written.
#[derive(Debug)]
pub enum Style {
    /// As they are.
    Plain,
    /// With date and time before each.
    Stamped(Form),
    /// As an object each.
    Json {
        /// The date and time; else that of JavaScript.
        form: Option<Form>,
        /// What an object ends with, from behind the date and time.
        end: Vec<u8>,
    },
}

/// A run of bytes that are written to a file together.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// What was printed.
    pub bytes: RawBytes<'a>,
    /// When it was read, ms since the epoch.
    pub time: u64,
    /// Nothing more comes: a line that is changed and has no end gets one.
    pub last: bool,
    /// It begins with the rest of a line that is in the file already.
    pub continues: bool,
}

impl Style {
    /// The style of a stream of a program.
    pub fn of(id: u32, which: usize, output: &Output) -> Style {
        let form = Some(&output.date_format)
            .filter(|form| !form.is_empty())
            .map(|form| Form::new(form));
        match (output.log_type, form) {
            (LogType::Raw, None) => Style::Plain,
            (LogType::Raw, Some(form)) => Style::Stamped(form),
            (LogType::Json, form) => {
                let word = if which == 0 { "out" } else { "err" };
                let begin = format!("\",\"type\":\"{word}\",\"process_id\":{id},\"app_name\":\"");
                let mut end = begin.into_bytes();
                escape(output.name.as_bytes(), &mut end);
                end.push(b'"');
                Style::Json { form, end }
            }
        }
    }

    /// Whether each line becomes another one.
    pub fn changes_lines(&self) -> bool {
        !matches!(self, Style::Plain)
    }

    /// Whether the rest of a line that is in a file already may be written behind it.
    pub fn continues_lines(&self) -> bool {
        !matches!(self, Style::Json { .. })
    }

    /// How many of these bytes are whole lines that become no more than so many, if they are read at this moment.
    pub fn fits(&self, bytes: RawBytes, time: u64, most: usize) -> usize {
        let (mut fits, mut length) = (0, 0);
        for line in lines(bytes).filter(|line| line.last() == Some(b'\n')) {
            let piece = Piece {
                bytes: line,
                time,
                last: false,
                continues: false,
            };
            self.write(&piece, 0, &mut |written| length += written.len());
            if length > most {
                break;
            }
            fits += line.len();
        }
        fits
    }

    /// Gives what is written, but for its first `from` bytes, in pieces to `to`.
    pub fn write(&self, piece: &Piece, from: u64, to: &mut dyn FnMut(RawBytes)) {
        let mut text = Text {
            skip: usize::try_from(from).unwrap_or(usize::MAX),
            buffer: Vec::new(),
            to,
        };
        match self {
            Style::Plain => text.pass(piece.bytes),
            Style::Stamped(form) => stamped(form, piece, &mut text),
            Style::Json { form, end } => {
                return as_json(form.as_ref(), end, piece, &mut text);
            }
        }
        text.flush();
    }
}

fn stamped(form: &Form, piece: &Piece, text: &mut Text) {
    let mut stamp = Vec::new();
    form.write(&clock::moment(piece.time), &mut stamp);
    stamp.extend_from_slice(b": ");
    let mut continues = piece.continues;
    for line in lines(piece.bytes) {
        if !std::mem::take(&mut continues) {
            text.push(stamp.as_slice().into());
        }
        text.push(line);
    }
    if piece.last && piece.bytes.last() != Some(b'\n') {
        text.push(b"\n"[..].into());
    }
}

/// A line that is longer than a batch becomes several objects; all but the last of them say so.
fn as_json(form: Option<&Form>, end: &[u8], piece: &Piece, text: &mut Text) {
    let mut middle = b"\",\"timestamp\":\"".to_vec();
    match form {
        Some(form) => {
            let mut stamp = Vec::new();
            form.write(&clock::moment(piece.time), &mut stamp);
            escape(&stamp, &mut middle);
        }
        None => middle.extend_from_slice(stamp::iso(piece.time).as_bytes()),
    }
    middle.extend_from_slice(end);
    let (mut line, mut escaped) = (Vec::new(), Vec::new());
    for raw in lines(piece.bytes) {
        line.clear();
        raw.append_to(&mut line);
        let (line, whole) = match line.strip_suffix(b"\n") {
            Some(line) => (line, true),
            None => (line.as_slice(), piece.last),
        };
        escaped.clear();
        escape(line, &mut escaped);
        let end: &[u8] = if whole {
            b"}\n"
        } else {
            b",\"partial\":true}\n"
        };
        for part in [b"{\"message\":\"", escaped.as_slice(), &middle, end] {
            text.push(part.into());
        }
    }
    text.flush();
}

/// The lines, each with its LF; the last one may have none.
fn lines(mut rest: RawBytes) -> impl Iterator<Item = RawBytes> {
    std::iter::from_fn(move || {
        let end = rest.find(b'\n').map_or(rest.len(), |at| at + 1);
        let (line, next) = rest.split_at(end);
        rest = next;
        (!line.is_empty()).then_some(line)
    })
}

/// Writes what stands between the quotes of a JSON string. A byte that is not UTF-8 is taken for Latin-1, whose numbers
/// are those of Unicode: so every byte can be told, and no reader of JSON refuses it. RFC 8259, section 7
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid().as_bytes();
        let mut plain = 0;
        for (at, byte) in valid.iter().enumerate() {
            let special = *byte < b' ' || matches!(*byte, b'"' | b'\\' | 0x7f);
            if special {
                out.extend_from_slice(valid.get(plain..at).unwrap_or_default());
                plain = at + 1;
                match byte {
                    b'"' => out.extend_from_slice(b"\\\""),
                    b'\\' => out.extend_from_slice(b"\\\\"),
                    b'\t' => out.extend_from_slice(b"\\t"),
                    b'\r' => out.extend_from_slice(b"\\r"),
                    b'\n' => out.extend_from_slice(b"\\n"),
                    other => unicode(*other, out),
                }
            }
        }
        out.extend_from_slice(valid.get(plain..).unwrap_or_default());
        chunk.invalid().iter().for_each(|byte| unicode(*byte, out));
    }
}

fn unicode(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
}

/// So much is collected before it is given on, in bytes.
const TOGETHER: usize = 64 << 10;

/// Text on its way, without what is passed over.
struct Text<'a> {
    skip: usize,
    buffer: Vec<u8>,
    to: &'a mut dyn FnMut(RawBytes),
}

impl Text<'_> {
    fn push(&mut self, bytes: RawBytes) {
        let bytes = self.behind_skipped(bytes);
        if self.buffer.len() + bytes.len() > TOGETHER {
            self.flush();
        }
        bytes.append_to(&mut self.buffer);
    }

    /// The same without collecting.
    fn pass(&mut self, bytes: RawBytes) {
        let bytes = self.behind_skipped(bytes);
        if !bytes.is_empty() {
            (self.to)(bytes);
        }
    }

    fn behind_skipped<'b>(&mut self, bytes: RawBytes<'b>) -> RawBytes<'b> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        bytes.split_at(skipped).1
    }

    fn flush(&mut self) {
        if !self.buffer.is_empty() {
            (self.to)(self.buffer.as_slice().into());
            self.buffer.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(bytes: &[u8]) -> Piece<'_> {
        Piece {
            bytes: bytes.into(),
            time: 1_700_000_000_123,
            last: false,
            continues: false,
        }
    }

    fn text(style: &Style, piece: &Piece, from: u64) -> String {
        let mut text = Vec::new();
        style.write(piece, from, &mut |bytes| bytes.append_to(&mut text));
        String::from_utf8(text).unwrap()
    }

    fn json(name: &str, form: &str) -> Style {
        let output = Output {
            log_type: LogType::Json,
            date_format: form.to_owned(),
            ..Output::new(name, b"", b"")
        };
        Style::of(3, 1, &output)
    }

    #[test]
    fn a_stamp_stands_before_each_line_and_nowhere_else() {
        let style = Style::Stamped(Form::new("X"));
        assert_eq!(
            text(&style, &piece(b"a\n\nb"), 0),
            "1700000000: a\n1700000000: \n1700000000: b"
        );
        let rest = Piece {
            continues: true,
            last: true,
            ..piece(b"rest\nc")
        };
        assert_eq!(text(&style, &rest, 0), "rest\n1700000000: c\n");
        assert_eq!(text(&Style::Plain, &rest, 0), "rest\nc");
    }

    #[test]
    fn as_many_whole_lines_are_taken_as_fit_when_they_are_written() {
        let stamped = Style::Stamped(Form::new("X"));
        let fits = |style: &Style, text: &str, most| style.fits(text.as_bytes().into(), 1000, most);
        for (text, most, plain, with_stamp) in [
            ("", 10, 0, 0),
            ("abc", 10, 0, 0),
            ("abc\nde\nf", 10, 7, 4),
            ("abc\nde\n", 3, 0, 0),
            ("abc\nde\n", 6, 4, 0),
            ("abc\nde\n", 13, 7, 7),
        ] {
            assert_eq!(fits(&Style::Plain, text, most), plain, "{text:?} {most}");
            assert_eq!(fits(&stamped, text, most), with_stamp, "{text:?} {most}");
        }
    }

    #[test]
    fn every_byte_is_told_in_json() {
        let said = text(
            &json("a\"b", ""),
            &piece(b"x\t\"\\\x1b\xc3\xa9\xe9\x7f\r\nrest"),
            0,
        );
        let end = r#"","timestamp":"2023-11-14T22:13:20.123Z","type":"err","process_id":3,"app_name":"a\"b""#;
        let first = r#"{"message":"x\t\"\\\u001bé\u00e9\u007f\r"#;
        let second = r#"{"message":"rest"#;
        assert_eq!(
            said,
            format!("{first}{end}}}\n{second}{end},\"partial\":true}}\n")
        );
        let last = Piece {
            last: true,
            ..piece(b"rest")
        };
        assert!(text(&json("x", "[\"]X"), &last, 0).contains(r#""timestamp":"\"1700000000","#));
        assert!(!text(&json("x", ""), &last, 0).contains("partial"));
    }

    #[test]
    fn whatever_was_written_already_the_rest_is_the_same() {
        let lines: Vec<u8> = (0..9000)
            .flat_map(|n| format!("line {n}\n").into_bytes())
            .collect();
        for style in [Style::Plain, Style::Stamped(Form::new("x")), json("x", "")] {
            let whole = text(&style, &piece(&lines), 0);
            for from in [0, 1, 20, 65_535, 65_536, whole.len() - 1, whole.len()] {
                assert_eq!(text(&style, &piece(&lines), from as u64), whole[from..]);
            }
        }
    }
}
