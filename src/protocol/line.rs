//! The codec of one line.
//!
//! ```text
//! line  = tag *( SP key "=" value ) LF
//! tag   = 1*( a-z "-" )          key = 1*( A-Z a-z 0-9 "_" "." "-" )
//! value = bytes; SP, LF, "%", control bytes and DEL are written %XX (upper-case hex); "" is the empty value
//! ```
//!
//! The reader takes lower-case hex too, several spaces where one would do, and a CR before the LF, because
//! people type these lines by hand.

use std::borrow::Cow;

use crate::model::value::read_bool;

/// The longest line in bytes, its LF included.
pub const MAX_LINE: usize = 1 << 20;

/// One line: a tag and its fields in order. A key may come several times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// The first word.
    pub tag: String,
    /// Key and raw value, decoded, in the order they were written.
    pub fields: Vec<(String, Vec<u8>)>,
}

/// Why a line could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

fn is_tag(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|b| b.is_ascii_lowercase() || *b == b'-')
}

/// Whether `word` can be a key.
pub fn is_key(word: &[u8]) -> bool {
    !word.is_empty()
        && word
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

impl Line {
    /// A line of `tag` without fields.
    pub fn new(tag: &str) -> Line {
        Line {
            tag: tag.to_owned(),
            fields: Vec::new(),
        }
    }

    /// The same line with one more field.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl AsRef<[u8]>) -> Line {
        self.push(key, value);
        self
    }

    /// Adds a field.
    pub fn push(&mut self, key: &str, value: impl AsRef<[u8]>) {
        self.fields.push((key.to_owned(), value.as_ref().to_vec()));
    }

    /// Adds a field whose value is a number.
    pub fn push_number(&mut self, key: &str, value: impl Into<i64>) {
        self.push(key, value.into().to_string());
    }

    /// The last value of `key`.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let found = self.fields.iter().rev().find(|(k, _)| k == key);
        found.map(|(_, value)| value.as_slice())
    }

    /// The last value of `key`, where it is UTF-8.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|v| std::str::from_utf8(v).ok())
    }

    /// The last value of `key`, where it is a number.
    pub fn number<N: std::str::FromStr>(&self, key: &str) -> Option<N> {
        self.text(key).and_then(|v| v.parse().ok())
    }

    /// The boolean of `key`: false where there is none.
    ///
    /// # Errors
    ///
    /// A value that is no boolean, in a sentence that completes "TAG: …".
    pub fn flag(&self, key: &str) -> Result<bool, Malformed> {
        let read = |value| read_bool(value).map_err(|why| Malformed(format!("{key}: {why}")));
        self.get(key).map_or(Ok(false), read)
    }

    /// Every value of `key`, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let matching = self.fields.iter().filter(move |(k, _)| k == key);
        matching.map(|(_, value)| value.as_slice())
    }

    /// Appends the line, its LF included, to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = LineWriter::begin(out, &self.tag);
        for (key, value) in &self.fields {
            writer.field(key, value);
        }
        writer.end();
    }

    /// The line as bytes, its LF included.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Reads one line; a LF or CR LF at its end is optional.
    pub fn decode(bytes: &[u8]) -> Result<Line, Malformed> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let mut words = bytes.split(|b| *b == b' ').filter(|word| !word.is_empty());
        let tag = words.next().unwrap_or_default();
        if !is_tag(tag) {
            return Err(Malformed("a line begins with a word of a-z and '-'".into()));
        }
        let mut line = Line::new(&String::from_utf8_lossy(tag));
        for word in words {
            let (key, value) = decode_field(word)?;
            let key = String::from_utf8_lossy(key).into_owned();
            line.fields.push((key, value.into_owned()));
        }
        Ok(line)
    }
}

/// Writes a line straight into a buffer: what answers of many lines are made with.
pub struct LineWriter<'a>(&'a mut Vec<u8>);

impl<'a> LineWriter<'a> {
    /// Begins a line.
    pub fn begin(out: &'a mut Vec<u8>, tag: &str) -> LineWriter<'a> {
        out.extend_from_slice(tag.as_bytes());
        LineWriter(out)
    }

    /// Adds a field.
    pub fn field(&mut self, key: &str, value: &[u8]) {
        self.0.push(b' ');
        self.0.extend_from_slice(key.as_bytes());
        self.0.push(b'=');
        encode_value(value, self.0);
    }

    /// Adds a field whose value is a number.
    pub fn number(&mut self, key: &str, value: i64) {
        use std::io::Write as _;
        self.0.push(b' ');
        self.0.extend_from_slice(key.as_bytes());
        self.0.push(b'=');
        let _ = write!(self.0, "{value}");
    }

    /// Ends the line.
    pub fn end(self) {
        self.0.push(b'\n');
    }
}

/// Appends `value` as it stands in a line.
fn encode_value(value: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &b in value {
        if b <= b' ' || b == b'%' || b == 0x7f {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'%', digit(b >> 4), digit(b & 15)]);
        } else {
            out.push(b);
        }
    }
}

/// A key and its decoded value.
pub(super) type Field<'a> = (&'a [u8], Cow<'a, [u8]>);

/// Decodes `key=value`.
pub(super) fn decode_field(word: &[u8]) -> Result<Field<'_>, Malformed> {
    let at = word.iter().position(|b| *b == b'=');
    let parts = at.and_then(|at| Some((word.get(..at)?, word.get(at + 1..)?)));
    let Some((key, value)) = parts else {
        return Err(Malformed(format!("'{}' is not key=value", printable(word))));
    };
    if !is_key(key) {
        return Err(Malformed(format!("'{}' cannot be a key", printable(key))));
    }
    Ok((key, decode_value(value)?))
}

fn decode_value(value: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    let is_plain = |b: &u8| *b >= b' ' && !matches!(*b, b'%' | 0x7f);
    if value.iter().all(is_plain) {
        return Ok(value.into());
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.iter();
    while let Some(&b) = rest.next() {
        match b {
            b'%' => {
                let mut nibble = || {
                    let digit = rest.next().and_then(|d| char::from(*d).to_digit(16));
                    digit.and_then(|d| u8::try_from(d).ok())
                };
                match (nibble(), nibble()) {
                    (Some(high), Some(low)) => out.push(high << 4 | low),
                    _ => return Err(Malformed("'%' is followed by two hex digits".into())),
                }
            }
            0..b' ' | 0x7f => {
                return Err(Malformed("control bytes in a value are written %XX".into()));
            }
            _ => out.push(b),
        }
    }
    Ok(out.into())
}

/// The beginning of hostile input, fit to be shown in a sentence.
pub fn printable(bytes: &[u8]) -> String {
    crate::units::excerpt(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rng::test_rng;

    #[test]
    fn a_line_comes_back_as_it_went() {
        let line = Line::new("start")
            .with("name", "my app")
            .with("arg", "")
            .with("arg", "100%\n\0\x7f=ü")
            .with("env.PATH", [0xff, 0xfe]);
        let bytes = line.to_bytes();
        assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), 1);
        assert_eq!(Line::decode(&bytes), Ok(line));
    }

    #[test]
    fn lines_typed_by_hand_are_forgiven() {
        let line = Line::decode(b"stop  target=a%20b \r\n").unwrap();
        assert_eq!(line, Line::new("stop").with("target", "a b"));
        assert_eq!(Line::decode(b"list").unwrap(), Line::new("list"));
        assert_eq!(Line::decode(b"x a=%0a").unwrap().get("a"), Some(&b"\n"[..]));
    }

    #[test]
    fn a_boolean_is_one_of_eight_words() {
        for (word, meaning) in [
            ("true", true),
            ("yes", true),
            ("on", true),
            ("1", true),
            ("false", false),
            ("no", false),
            ("off", false),
            ("0", false),
        ] {
            assert_eq!(Line::new("x").with("a", word).flag("a"), Ok(meaning));
        }
        assert_eq!(Line::new("x").flag("a"), Ok(false));
        for wrong in ["", "TRUE", "y", "2", "tru", " true", "true "] {
            let why = Line::new("x").with("a", wrong).flag("a").unwrap_err();
            assert!(why.0.starts_with("a: '"), "{why:?}");
        }
    }

    #[test]
    fn malformed_lines_are_refused() {
        for wrong in [
            &b""[..],
            b" ",
            b"LIST",
            b"x a",
            b"x =1",
            b"x a=%",
            b"x a=%2",
            b"x a=%zz",
            b"x a=\x01",
            b"x a b=1",
            b"x \xff=1",
            b"\xff",
        ] {
            assert!(Line::decode(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_million_random_and_truncated_lines_never_panic() {
        let mut next = test_rng();
        let whole = Line::new("start")
            .with("name", "a b%c")
            .with("env.X", "ü\n")
            .to_bytes();
        let alphabet = b"ab-= %2F\r\n\0\xff.=_Z";
        for round in 0..1_000_000u32 {
            if round % 2 == 0 {
                let length = (next() % 24) as usize;
                let bytes: Vec<u8> = (0..length)
                    .map(|_| alphabet[next() as usize % alphabet.len()])
                    .collect();
                if let Ok(line) = Line::decode(&bytes) {
                    assert_eq!(Line::decode(&line.to_bytes()), Ok(line));
                }
            } else {
                let mut bytes = whole[..next() as usize % whole.len()].to_vec();
                if !bytes.is_empty() {
                    let at = next() as usize % bytes.len();
                    bytes[at] = next() as u8;
                }
                let _ = Line::decode(&bytes);
            }
        }
    }
}
