//! A writer of JSON.

use std::fmt::{Display, Write as _};

use super::{ESCAPED_BYTE, Node, Value};
use crate::units;

/// JSON text that is being written.
pub struct Json {
    out: String,
    /// Whether each open array or object has an item yet.
    open: Vec<bool>,
    /// A key has been written and its value has not.
    keyed: bool,
    indented: bool,
    exact: bool,
}

impl Json {
    /// Nothing yet; `indented` for people.
    pub fn new(indented: bool) -> Json {
        Json {
            out: String::new(),
            open: Vec::new(),
            keyed: false,
            indented,
            exact: false,
        }
    }

    /// The same, but no byte of a string is lost: what is not UTF-8 is written as lone surrogates.
    #[must_use]
    pub fn exact(mut self) -> Json {
        self.exact = true;
        self
    }

    /// The text, a LF at its end.
    pub fn finish(mut self) -> String {
        self.out.push('\n');
        self.out
    }

    /// An array of what `items` writes.
    pub fn array(&mut self, items: impl FnOnce(&mut Json)) {
        self.nested('[', ']', items);
    }

    /// An object of what `members` writes, a key before each value.
    pub fn object(&mut self, members: impl FnOnce(&mut Json)) {
        self.nested('{', '}', members);
    }

    /// The key of the next value.
    pub fn key(&mut self, name: &[u8]) -> &mut Json {
        self.string(name);
        self.out.push(':');
        if self.indented {
            self.out.push(' ');
        }
        self.keyed = true;
        self
    }

    /// A string; what is not UTF-8 becomes U+FFFD, unless the text is exact.
    pub fn string(&mut self, bytes: &[u8]) {
        self.separate();
        self.out.push('"');
        for chunk in bytes.utf8_chunks() {
            units::push_json(chunk.valid(), &mut self.out);
            if self.exact {
                for byte in chunk.invalid() {
                    units::push_json_unit(ESCAPED_BYTE + u32::from(*byte), &mut self.out);
                }
            } else if !chunk.invalid().is_empty() {
                self.out.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.out.push('"');
    }

    /// A number, `true`, `false` or `null`: what is JSON as it stands.
    pub fn bare(&mut self, value: impl Display) {
        self.shown(&value);
    }

    /// One piece of code for values of all types.
    fn shown(&mut self, value: &dyn Display) {
        self.separate();
        let _ = write!(self.out, "{value}");
    }

    /// A value that was read.
    pub fn node(&mut self, node: &Node) {
        match &node.value {
            Value::Null => self.bare("null"),
            Value::Bool(given) => self.bare(given),
            // As JSON.stringify has it.
            Value::Number(text) if text.ends_with(['y', 'N']) => self.bare("null"),
            Value::Number(text) => self.bare(text),
            Value::String(bytes) => self.string(bytes),
            Value::Array(items) => self.array(|json| items.iter().for_each(|item| json.node(item))),
            Value::Object(members) => self.object(|json| {
                for member in members {
                    json.key(&member.key).node(&member.node);
                }
            }),
        }
    }

    fn nested(&mut self, left: char, right: char, inner: impl FnOnce(&mut Json)) {
        self.begin(left);
        inner(self);
        self.end(right);
    }

    fn begin(&mut self, left: char) {
        self.separate();
        self.out.push(left);
        self.open.push(false);
    }

    fn end(&mut self, right: char) {
        if self.open.pop() == Some(true) {
            self.new_line();
        }
        self.out.push(right);
    }

    /// What stands between the value before and the next one.
    fn separate(&mut self) {
        if std::mem::take(&mut self.keyed) {
            return;
        }
        let Some(filled) = self.open.last_mut() else {
            return;
        };
        if std::mem::replace(filled, true) {
            self.out.push(',');
        }
        self.new_line();
    }

    fn new_line(&mut self) {
        if self.indented {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", self.open.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(indented: bool) -> String {
        let mut json = Json::new(indented);
        json.array(|json| {
            json.object(|json| {
                json.key(b"a").bare(1);
                json.key(b"b").array(|json| {
                    json.string(b"x");
                    json.bare("null");
                });
            });
            json.object(|_| {});
        });
        json.finish()
    }

    #[test]
    fn values_are_separated() {
        assert_eq!(sample(false), "[{\"a\":1,\"b\":[\"x\",null]},{}]\n");
        let expected =
            "[\n  {\n    \"a\": 1,\n    \"b\": [\n      \"x\",\n      null\n    ]\n  },\n  {}\n]\n";
        assert_eq!(sample(true), expected);
    }

    #[test]
    fn strings_hold_anything() {
        let mut json = Json::new(false);
        json.string(b"\"\\\n\r\t\0\x1b\x7f\xff \xc3\xa9");
        let expected = "\"\\\"\\\\\\n\\r\\t\\u0000\\u001b\\u007f\u{fffd} é\"\n";
        assert_eq!(json.finish(), expected);
    }
}
