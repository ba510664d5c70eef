//! A parser of JSON and JSON5. It returns a tree of values with their offsets in the text.

use super::Source;
use crate::error::Result;
use crate::units::excerpt;

/// The deepest nesting of arrays and objects.
const DEPTH: usize = 100;

/// A value and its offset in the text, in bytes.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Node {
    pub at: usize,
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Null,
    Bool(bool),
    /// A number in JSON notation, or `Infinity`, `-Infinity`, `NaN`.
    Number(String),
    /// The decoded bytes.
    String(Vec<u8>),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Member {
    /// The offset of the key, in bytes.
    pub at: usize,
    pub key: Vec<u8>,
    pub node: Node,
}

impl Node {
    /// The member of an object; of several with this key the last, as in JavaScript.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let found = self
            .members()
            .iter()
            .rev()
            .find(|m| m.key == key.as_bytes());
        found.map(|member| &member.node)
    }

    /// The members of an object; empty for other values.
    pub fn members(&self) -> &[Member] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    /// The bytes of a string; `None` for other values.
    pub fn string(&self) -> Option<&[u8]> {
        match &self.value {
            Value::String(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A number, string or boolean as text; `None` for other values.
    pub fn scalar(&self) -> Option<Vec<u8>> {
        match &self.value {
            Value::Bool(given) => Some(given.to_string().into_bytes()),
            Value::Number(text) => Some(text.clone().into_bytes()),
            Value::String(bytes) => Some(bytes.clone()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The kind of value, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

/// Parses a text.
///
/// # Errors
/// The first fault, with line and column.
pub fn parse(source: &Source) -> Result<Node> {
    let fault = match std::str::from_utf8(source.text) {
        Ok(text) => match Reader::new(text).document() {
            Ok(node) => return Ok(node),
            Err(fault) => fault,
        },
        Err(e) => {
            let at = e.valid_up_to();
            let byte = source.text.get(at).copied().unwrap_or_default();
            Fault(at, format!("the byte 0x{byte:02x} is not UTF-8"))
        }
    };
    Err(source.error(fault.0, &fault.1))
}

/// White space of JSON5.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// Whether it ends a line, and so a comment.
fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

/// Whether it may be part of an identifier of JavaScript.
pub(super) fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii()
}

/// An offset and what is wrong there.
pub(super) struct Fault(usize, String);

pub(super) struct Reader<'a> {
    text: &'a str,
    pub(super) at: usize,
    depth: usize,
}

pub(super) type Read<T> = std::result::Result<T, Fault>;

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Reader<'a> {
        // Skip a byte order mark.
        let at = if text.starts_with('\u{feff}') { 3 } else { 0 };
        Reader { text, at, depth: 0 }
    }

    fn document(&mut self) -> Read<Node> {
        self.blank()?;
        let node = self.value()?;
        self.blank()?;
        match self.peek() {
            None => Ok(node),
            Some(_) => Err(self.expected("the end of the text")),
        }
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips the next byte if it is this one; whether it was.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn fault<T>(&self, at: usize, why: impl Into<String>) -> Read<T> {
        Err(Fault(at, why.into()))
    }

    pub(super) fn expected(&self, what: &str) -> Fault {
        let found = match self.rest().chars().next() {
            None => "the end of the text".to_owned(),
            Some(c) if c.is_alphanumeric() => {
                let word = self
                    .rest()
                    .split(|c: char| !c.is_alphanumeric() && c != '_');
                let word = word.take(1).collect::<String>();
                format!("'{}'", excerpt(word.as_bytes()))
            }
            Some(c) => format!("'{}'", excerpt(c.encode_utf8(&mut [0; 4]).as_bytes())),
        };
        Fault(self.at, format!("expected {what}, found {found}"))
    }

    /// Skips white space and comments.
    fn blank(&mut self) -> Read<()> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(is_blank);
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find(ends_line).unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                match trimmed.find("*/") {
                    Some(end) => self.at += end + 2,
                    None => {
                        return self.fault(self.at, "the comment that begins here is not closed");
                    }
                }
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self) -> Read<Node> {
        let at = self.at;
        let value = match self.peek() {
            Some(b'{') => self.nested(Reader::object)?,
            Some(b'[') => self.nested(Reader::array)?,
            Some(quote @ (b'"' | b'\'')) => Value::String(self.string(quote)?),
            Some(b'-' | b'+' | b'.' | b'0'..=b'9') => self.number()?,
            _ => self.name()?,
        };
        Ok(Node { at, value })
    }

    /// The identifier at this position; empty if there is none.
    pub(super) fn word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    fn name(&mut self) -> Read<Value> {
        let word = self.word();
        let value = match word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            "Infinity" | "NaN" => Value::Number(word.to_owned()),
            _ => return Err(self.expected("a value")),
        };
        self.at += word.len();
        Ok(value)
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Read<Value>) -> Read<Value> {
        if self.depth == DEPTH {
            return self.fault(self.at, format!("nested more than {DEPTH} levels deep"));
        }
        self.depth += 1;
        self.at += 1;
        let value = inner(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Read<Value> {
        let mut items = Vec::new();
        loop {
            self.blank()?;
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            items.push(self.value()?);
            self.blank()?;
            if !self.take(b',') && self.peek() != Some(b']') {
                return Err(self.expected("',' or ']'"));
            }
        }
    }

    fn object(&mut self) -> Read<Value> {
        let mut members = Vec::new();
        loop {
            self.blank()?;
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            let at = self.at;
            let key = self.key()?;
            self.blank()?;
            if !self.take(b':') {
                return Err(self.expected("':' after the key"));
            }
            self.blank()?;
            let node = self.value()?;
            members.push(Member { at, key, node });
            self.blank()?;
            if !self.take(b',') && self.peek() != Some(b'}') {
                return Err(self.expected("',' or '}'"));
            }
        }
    }
}
