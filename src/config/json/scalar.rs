//! Keys, numbers and strings of JSON and JSON5. <https://spec.json5.org/>

use super::ESCAPED_BYTE;
use super::read::{Read, Reader, Value};

impl<'a> Reader<'a> {
    /// A key of an object: a string or an identifier.
    pub(super) fn key(&mut self) -> Read<Vec<u8>> {
        if let Some(quote @ (b'"' | b'\'')) = self.peek() {
            return self.string(quote);
        }
        let mut key = Vec::new();
        loop {
            let word = self.word();
            key.extend_from_slice(word.as_bytes());
            self.at += word.len();
            if !self.rest().starts_with("\\u") {
                break;
            }
            self.escape(&mut key)?;
        }
        match key.first() {
            None => Err(self.expected("a key or '}'")),
            Some(b'0'..=b'9') => self.fault(
                self.at - key.len(),
                "a key that begins with a digit needs quotes",
            ),
            Some(_) => Ok(key),
        }
    }

    /// A number, converted to JSON notation.
    pub(super) fn number(&mut self) -> Read<Value> {
        let begin = self.at;
        let minus = self.take(b'-');
        let _ = minus || self.take(b'+');
        let sign = if minus { "-" } else { "" };
        if let word @ ("Infinity" | "NaN") = self.word() {
            self.at += word.len();
            return Ok(Value::Number([sign, word].concat()));
        }
        if self.rest().starts_with("0x") || self.rest().starts_with("0X") {
            return self.hexadecimal(begin, sign);
        }
        let whole = self.digits();
        if whole.len() > 1 && whole.starts_with('0') {
            return self.fault(begin, "a number needs digits, and no leading 0");
        }
        let point = self.take(b'.');
        let fraction = if point { self.digits() } else { "" };
        if whole.is_empty() && fraction.is_empty() {
            return self.fault(begin, "a number needs digits, and no leading 0");
        }
        let mut text = [sign, if whole.is_empty() { "0" } else { whole }].concat();
        if !fraction.is_empty() {
            text.push('.');
            text.push_str(fraction);
        }
        let exponent = self.at;
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            if self.digits().is_empty() {
                return self.fault(begin, "a number needs digits in its exponent");
            }
            text.push_str(self.since(exponent));
        }
        self.ended(begin, text)
    }

    fn hexadecimal(&mut self, begin: usize, sign: &str) -> Read<Value> {
        self.at += 2;
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_hexdigit());
        let digits = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.at += digits.len();
        match u64::from_str_radix(digits, 16) {
            Ok(number) => self.ended(begin, format!("{sign}{number}")),
            Err(_) if digits.is_empty() => self.fault(begin, "0x needs hexadecimal digits"),
            Err(_) => self.fault(begin, "the hexadecimal number has more than 16 digits"),
        }
    }

    /// Checks that no letter follows the number.
    fn ended(&self, begin: usize, text: String) -> Read<Value> {
        match self.word() {
            "" => Ok(Value::Number(text)),
            _ => self.fault(begin, "letters follow a number; text needs quotes"),
        }
    }

    /// The text from an offset to this position.
    fn since(&self, begin: usize) -> &'a str {
        self.text().get(begin..self.at).unwrap_or_default()
    }

    /// Skips and returns digits.
    fn digits(&mut self) -> &'a str {
        let begin = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.since(begin)
    }

    /// A string in this kind of quotes.
    pub(super) fn string(&mut self, quote: u8) -> Read<Vec<u8>> {
        let begin = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                None => return self.fault(begin, "the string that begins here is not closed"),
                Some(b) if b == quote => {
                    self.at += 1;
                    return Ok(bytes);
                }
                Some(b'\\') => self.escape(&mut bytes)?,
                Some(b'\n' | b'\r') => {
                    return self.fault(
                        begin,
                        "the string is not closed on its line; write a line break as \\n",
                    );
                }
                Some(b) if b < b' ' => {
                    let why = format!(
                        "the control byte 0x{b:02x} in a string must be written \\u{b:04x}"
                    );
                    return self.fault(self.at, why);
                }
                Some(b) => {
                    bytes.push(b);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Read<()> {
        let begin = self.at;
        self.at += 1;
        let Some(c) = self.rest().chars().next() else {
            return self.fault(begin, "unknown escape; a backslash is written \\\\");
        };
        self.at += c.len_utf8();
        let plain = match c {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'u' => return self.unicode(begin, bytes),
            'x' => match self.hex_digits(2) {
                Some(code) => char::from_u32(code).unwrap_or_default(),
                None => return self.fault(begin, "\\x needs two hexadecimal digits"),
            },
            '0' if !self.peek().is_some_and(|b| b.is_ascii_digit()) => '\0',
            // JavaScript drops such a backslash; more likely it is part of a path or a pattern.
            _ if c.is_ascii_alphanumeric() => {
                return self.fault(begin, "unknown escape; a backslash is written \\\\");
            }
            // A line continuation.
            '\r' => {
                let _ = self.take(b'\n');
                return Ok(());
            }
            '\n' | '\u{2028}' | '\u{2029}' => return Ok(()),
            other => other,
        };
        bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    /// `\uXXXX`, or two of them for a surrogate pair.
    fn unicode(&mut self, begin: usize, bytes: &mut Vec<u8>) -> Read<()> {
        let unit = self.four_digits(begin)?;
        let code = match unit {
            0xd800..0xdc00 if self.rest().starts_with("\\u") => {
                let second = self.at;
                self.at += 2;
                match self.four_digits(second)? {
                    low @ 0xdc00..0xe000 => 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00),
                    _ => unit,
                }
            }
            _ => unit,
        };
        if let Some(c) = char::from_u32(code) {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(());
        }
        match u8::try_from(code.wrapping_sub(ESCAPED_BYTE)) {
            Ok(byte @ 0x80..) => bytes.push(byte),
            _ => return self.fault(begin, "half of a surrogate pair is not a character"),
        }
        Ok(())
    }

    fn four_digits(&mut self, begin: usize) -> Read<u32> {
        match self.hex_digits(4) {
            Some(unit) => Ok(unit),
            None => self.fault(begin, "\\u needs four hexadecimal digits"),
        }
    }

    /// Skips this number of hexadecimal digits and returns their value; `None` if there are fewer.
    fn hex_digits(&mut self, count: usize) -> Option<u32> {
        let digits = self.rest().get(..count)?;
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| hex)?;
        self.at += count;
        Some(number)
    }
}
