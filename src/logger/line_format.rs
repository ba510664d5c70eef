//! How output is written to a log file: as it is, line by line with date and time, or as JSON. The same bytes and time
//! always give the same text, so that another log writer can finish a batch.

use super::channel::ChannelId;
use crate::model::stamp::{self, Form};
use crate::model::value::LogType;
use crate::protocol::output::Output;
use crate::sys::clock;
use crate::sys::raw_bytes::RawBytes;

/// The format of the lines of a stream.
#[derive(Debug)]
pub enum LineFormat {
    /// As they are.
    Plain,
    /// With date and time before each.
    Stamped(Form),
    /// An object per line.
    Json {
        /// The format of date and time; by default that of JavaScript.
        form: Option<Form>,
        /// The end of an object, after the date and time.
        end: Vec<u8>,
    },
}

/// Bytes that are written to a file together.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// The output.
    pub bytes: RawBytes<'a>,
    /// When it was read, ms since the epoch.
    pub time: u64,
    /// No more will come: a partial line gets an end if lines are changed.
    pub last: bool,
    /// It begins with the rest of a line that is in the file.
    pub continues: bool,
}

impl LineFormat {
    /// The format of a stream.
    pub fn of(id: ChannelId, output: &Output) -> LineFormat {
        let form = Some(&output.date_format)
            .filter(|form| !form.is_empty())
            .map(|form| Form::new(form));
        match (output.log_type, form) {
            (LogType::Raw, None) => LineFormat::Plain,
            (LogType::Raw, Some(form)) => LineFormat::Stamped(form),
            (LogType::Json, form) => {
                let (word, program) = (id.stream.word(), id.program);
                let begin =
                    format!("\",\"type\":\"{word}\",\"process_id\":{program},\"app_name\":\"");
                let mut end = begin.into_bytes();
                escape(output.name.as_bytes(), &mut end);
                end.push(b'"');
                LineFormat::Json { form, end }
            }
        }
    }

    /// Whether it changes lines.
    pub fn changes_lines(&self) -> bool {
        !matches!(self, LineFormat::Plain)
    }

    /// Whether the rest of a line that is in a file can be appended to it.
    pub fn continues_lines(&self) -> bool {
        !matches!(self, LineFormat::Json { .. })
    }

    /// The bytes of whole lines that become at most `most` bytes, if they are read at this time.
    pub fn fits(&self, bytes: RawBytes, time: u64, most: usize) -> usize {
        let (mut fits, mut length) = (0, 0);
        for line in lines(bytes).filter(|line| line.last() == Some(b'\n')) {
            let chunk = Chunk {
                bytes: line,
                time,
                last: false,
                continues: false,
            };
            self.write(&chunk, 0, &mut |written| length += written.len());
            if length > most {
                break;
            }
            fits += line.len();
        }
        fits
    }

    /// Passes the text of a chunk, without its first `from` bytes, in parts to `to`.
    pub fn write(&self, chunk: &Chunk, from: u64, to: &mut dyn FnMut(RawBytes)) {
        let mut text = Text {
            skip: usize::try_from(from).unwrap_or(usize::MAX),
            buffer: Vec::new(),
            to,
        };
        match self {
            LineFormat::Plain => text.pass(chunk.bytes),
            LineFormat::Stamped(form) => stamped(form, chunk, &mut text),
            LineFormat::Json { form, end } => {
                return as_json(form.as_ref(), end, chunk, &mut text);
            }
        }
        text.flush();
    }
}

fn stamped(form: &Form, chunk: &Chunk, text: &mut Text) {
    let mut stamp = Vec::new();
    form.write(&clock::moment(chunk.time), &mut stamp);
    stamp.extend_from_slice(b": ");
    let mut continues = chunk.continues;
    for line in lines(chunk.bytes) {
        if !std::mem::take(&mut continues) {
            text.push(stamp.as_slice().into());
        }
        text.push(line);
    }
    if chunk.last && chunk.bytes.last() != Some(b'\n') {
        text.push(b"\n"[..].into());
    }
}

/// A line that is longer than a batch becomes several objects; all but the last are marked as partial.
fn as_json(form: Option<&Form>, end: &[u8], chunk: &Chunk, text: &mut Text) {
    let mut middle = b"\",\"timestamp\":\"".to_vec();
    match form {
        Some(form) => {
            let mut stamp = Vec::new();
            form.write(&clock::moment(chunk.time), &mut stamp);
            escape(&stamp, &mut middle);
        }
        None => middle.extend_from_slice(stamp::iso(chunk.time).as_bytes()),
    }
    middle.extend_from_slice(end);
    let (mut line, mut escaped) = (Vec::new(), Vec::new());
    for raw in lines(chunk.bytes) {
        line.clear();
        raw.append_to(&mut line);
        let (line, whole) = match line.strip_suffix(b"\n") {
            Some(line) => (line, true),
            None => (line.as_slice(), chunk.last),
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

/// The lines, each with its LF; the last may have none.
fn lines(mut rest: RawBytes) -> impl Iterator<Item = RawBytes> {
    std::iter::from_fn(move || {
        let end = rest.find(b'\n').map_or(rest.len(), |at| at + 1);
        let (line, next) = rest.split_at(end);
        rest = next;
        (!line.is_empty()).then_some(line)
    })
}

/// Writes the inside of a JSON string. A byte that is not UTF-8 is taken for Latin-1, which has the code points of
/// Unicode: so every byte is kept, and the JSON is valid. RFC 8259, section 7
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

/// The size of the parts of changed text, in bytes.
const PART: usize = 64 << 10;

/// Collects text, and skips its beginning.
struct Text<'a> {
    skip: usize,
    buffer: Vec<u8>,
    to: &'a mut dyn FnMut(RawBytes),
}

impl Text<'_> {
    fn push(&mut self, bytes: RawBytes) {
        let bytes = self.after_skipped(bytes);
        if self.buffer.len() + bytes.len() > PART {
            self.flush();
        }
        bytes.append_to(&mut self.buffer);
    }

    /// Passes text on without collecting it.
    fn pass(&mut self, bytes: RawBytes) {
        let bytes = self.after_skipped(bytes);
        if !bytes.is_empty() {
            (self.to)(bytes);
        }
    }

    fn after_skipped<'b>(&mut self, bytes: RawBytes<'b>) -> RawBytes<'b> {
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
    use crate::protocol::output::Stream;

    fn chunk(bytes: &[u8]) -> Chunk<'_> {
        Chunk {
            bytes: bytes.into(),
            time: 1_700_000_000_123,
            last: false,
            continues: false,
        }
    }

    fn text(format: &LineFormat, chunk: &Chunk, from: u64) -> String {
        let mut text = Vec::new();
        format.write(chunk, from, &mut |bytes| bytes.append_to(&mut text));
        String::from_utf8(text).unwrap()
    }

    fn json(name: &str, form: &str) -> LineFormat {
        let output = Output {
            log_type: LogType::Json,
            date_format: form.to_owned(),
            ..Output::new(name, b"", b"")
        };
        let id = ChannelId {
            program: 3,
            stream: Stream::Err,
        };
        LineFormat::of(id, &output)
    }

    #[test]
    fn each_line_gets_one_stamp() {
        let format = LineFormat::Stamped(Form::new("X"));
        assert_eq!(
            text(&format, &chunk(b"a\n\nb"), 0),
            "1700000000: a\n1700000000: \n1700000000: b"
        );
        let rest = Chunk {
            continues: true,
            last: true,
            ..chunk(b"rest\nc")
        };
        assert_eq!(text(&format, &rest, 0), "rest\n1700000000: c\n");
        assert_eq!(text(&LineFormat::Plain, &rest, 0), "rest\nc");
    }

    #[test]
    fn whole_lines_are_counted_that_fit_when_written() {
        let stamped = LineFormat::Stamped(Form::new("X"));
        let fits =
            |format: &LineFormat, text: &str, most| format.fits(text.as_bytes().into(), 1000, most);
        for (text, most, plain, with_stamp) in [
            ("", 10, 0, 0),
            ("abc", 10, 0, 0),
            ("abc\nde\nf", 10, 7, 4),
            ("abc\nde\n", 3, 0, 0),
            ("abc\nde\n", 6, 4, 0),
            ("abc\nde\n", 13, 7, 7),
        ] {
            assert_eq!(
                fits(&LineFormat::Plain, text, most),
                plain,
                "{text:?} {most}"
            );
            assert_eq!(fits(&stamped, text, most), with_stamp, "{text:?} {most}");
        }
    }

    #[test]
    fn json_keeps_every_byte() {
        let said = text(
            &json("a\"b", ""),
            &chunk(b"x\t\"\\\x1b\xc3\xa9\xe9\x7f\r\nrest"),
            0,
        );
        let end = r#"","timestamp":"2023-11-14T22:13:20.123Z","type":"err","process_id":3,"app_name":"a\"b""#;
        let first = r#"{"message":"x\t\"\\\u001bé\u00e9\u007f\r"#;
        let second = r#"{"message":"rest"#;
        assert_eq!(
            said,
            format!("{first}{end}}}\n{second}{end},\"partial\":true}}\n")
        );
        let last = Chunk {
            last: true,
            ..chunk(b"rest")
        };
        assert!(text(&json("x", "[\"]X"), &last, 0).contains(r#""timestamp":"\"1700000000","#));
        assert!(!text(&json("x", ""), &last, 0).contains("partial"));
    }

    #[test]
    fn the_rest_is_the_same_however_much_was_written() {
        let lines: Vec<u8> = (0..9000)
            .flat_map(|n| format!("line {n}\n").into_bytes())
            .collect();
        for format in [
            LineFormat::Plain,
            LineFormat::Stamped(Form::new("x")),
            json("x", ""),
        ] {
            let whole = text(&format, &chunk(&lines), 0);
            for from in [0, 1, 20, 65_535, 65_536, whole.len() - 1, whole.len()] {
                assert_eq!(text(&format, &chunk(&lines), from as u64), whole[from..]);
            }
        }
    }
}
