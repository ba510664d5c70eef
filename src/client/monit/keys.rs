//! Decodes the bytes of a terminal into keys. xterm's "Control Sequences", ECMA-48

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Key {
    Char(char),
    /// A letter together with Control, in lower case.
    Control(char),
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Backspace,
    Tab,
    Escape,
    /// Any other key.
    Other,
}

/// The longest sequence of a key.
const LONGEST: usize = 32;

const ESC: u8 = 0x1b;

/// Bytes that were read and are not decoded yet.
#[derive(Debug, Default)]
pub struct Decoder(Vec<u8>);

impl Decoder {
    /// Adds bytes that were read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next complete key.
    pub fn next_key(&mut self) -> Option<Key> {
        let (key, length) = first(&self.0)?;
        self.0.drain(..length.min(self.0.len()));
        Some(key)
    }

    /// Whether an incomplete key is left: an ESC may be the key itself, or begin the sequence of another.
    pub fn is_waiting(&self) -> bool {
        !self.0.is_empty()
    }

    /// Decodes an incomplete key when no more bytes come: an ESC is the key itself, half a sequence is none.
    pub fn finish(&mut self) -> Option<Key> {
        let alone = self.0 == [ESC];
        self.0.clear();
        alone.then_some(Key::Escape)
    }
}

/// The key that the bytes begin with, and how many of them it takes.
fn first(bytes: &[u8]) -> Option<(Key, usize)> {
    let byte = *bytes.first()?;
    let key = match byte {
        ESC => return escape(bytes),
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x08 | 0x7f => Key::Backspace,
        1..=26 => Key::Control(char::from(byte + b'a' - 1)),
        b' '..=b'~' => Key::Char(char::from(byte)),
        0x80.. => return character(bytes),
        _ => Key::Other,
    };
    Some((key, 1))
}

/// A character of UTF-8. A byte that belongs to none is skipped.
fn character(bytes: &[u8]) -> Option<(Key, usize)> {
    let length = match bytes.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let begun = bytes.get(..length.min(bytes.len()))?;
    match std::str::from_utf8(begun) {
        Ok(text) => Some((Key::Char(text.chars().next()?), length)),
        Err(e) if e.error_len().is_none() => None,
        Err(_) => Some((Key::Other, 1)),
    }
}

fn escape(bytes: &[u8]) -> Option<(Key, usize)> {
    let (body, begun) = match bytes.get(1)? {
        b'[' => (bytes.get(2..)?, 2),
        b'O' => {
            let last = *bytes.get(2)?;
            return Some((letter(last), 3));
        }
        // Escape and, right after it, another key.
        _ => return Some((Key::Escape, 1)),
    };
    // The console of Linux sends ESC [ [ A for F1.
    if body.first() == Some(&b'[') {
        body.get(1)?;
        return Some((Key::Other, begun + 2));
    }
    match body.iter().position(|b| !(0x20..0x40).contains(b)) {
        Some(at) => {
            let last = *body.get(at)?;
            let key = match (last, body.get(..at)?) {
                (b'~' | b'$' | b'^', parameters) => number(parameters),
                // With Shift, Control and so on it is the same key.
                (last, _) => letter(last),
            };
            // A byte that cannot end a sequence begins another key.
            match (0x40..0x7f).contains(&last) {
                true => Some((key, begun + at + 1)),
                false => Some((Key::Other, begun + at)),
            }
        }
        None if bytes.len() > LONGEST => Some((Key::Other, bytes.len())),
        None => None,
    }
}

/// `ESC [ A` and `ESC O A`
fn letter(last: u8) -> Key {
    match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        _ => Key::Other,
    }
}

/// `ESC [ 5 ~`
fn number(parameters: &[u8]) -> Key {
    match parameters.split(|b| *b == b';').next() {
        Some(b"1" | b"7") => Key::Home,
        Some(b"4" | b"8") => Key::End,
        Some(b"5") => Key::PageUp,
        Some(b"6") => Key::PageDown,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8], step: usize) -> Vec<Key> {
        let mut decoder = Decoder::default();
        let mut keys = Vec::new();
        for piece in bytes.chunks(step) {
            decoder.push(piece);
            keys.extend(std::iter::from_fn(|| decoder.next_key()));
        }
        keys.extend(decoder.finish());
        keys
    }

    #[test]
    fn keys_are_decoded_in_pieces_of_any_size() {
        use Key::*;
        for (bytes, expected) in [
            (
                &b"q\r\n\t\x7f\x08"[..],
                &[Char('q'), Enter, Enter, Tab, Backspace, Backspace][..],
            ),
            (b"\x03\x1a\x0c", &[Control('c'), Control('z'), Control('l')]),
            (b"\x1b[A\x1bOB\x1b[1;5C\x1b[D", &[Up, Down, Right, Left]),
            (
                b"\x1b[5~\x1b[6~\x1b[H\x1bOF\x1b[1~\x1b[8~",
                &[PageUp, PageDown, Home, End, Home, End],
            ),
            (
                b"\x1b[3~\x1b[15~\x1b[[A\x1bOP\x00",
                &[Other, Other, Other, Other, Other],
            ),
            ("é日🚀".as_bytes(), &[Char('é'), Char('日'), Char('🚀')]),
            (b"\xff\xc3(a", &[Other, Other, Char('('), Char('a')]),
            (b"\x1b\x1b[A", &[Escape, Up]),
            (b"\x1bq", &[Escape, Char('q')]),
            (b"\x1b", &[Escape]),
            (b"\x1b[1;", &[]),
            (b"\x1b[1\x1b[A", &[Other, Up]),
            (b"\xe6\x97", &[]),
        ] {
            for step in 1..=bytes.len() {
                assert_eq!(keys(bytes, step), expected, "{bytes:?} by {step}");
            }
        }
    }

    #[test]
    fn a_lone_escape_waits_and_an_endless_sequence_does_not() {
        let mut decoder = Decoder::default();
        decoder.push(b"\x1b");
        assert_eq!((decoder.next_key(), decoder.is_waiting()), (None, true));
        assert_eq!(decoder.finish(), Some(Key::Escape));
        assert!(!decoder.is_waiting());
        let mut bytes = b"\x1b[".to_vec();
        bytes.resize(100, b';');
        decoder.push(&bytes);
        assert_eq!(
            (decoder.next_key(), decoder.is_waiting()),
            (Some(Key::Other), false)
        );
    }

    #[test]
    fn random_bytes_are_always_consumed() {
        let mut seed = 1u32;
        let mut decoder = Decoder::default();
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            decoder.push(&[b"\x1b[O;5~A\xc3\xa9\xf0\x00q["[(seed >> 16) as usize % 13]]);
            while decoder.next_key().is_some() {}
            assert!(decoder.0.len() <= LONGEST);
        }
    }
}
