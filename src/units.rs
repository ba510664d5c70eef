//! Sizes, durations and signal names in text, and text that is safe to print.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Parses a size in bytes: a number, optionally with `K`, `M`, `G` or `T` (powers of 1024), optionally followed by `B`.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let bare = text.strip_suffix(['b', 'B']).unwrap_or(text);
    let (digits, factor) = match bare.char_indices().last()? {
        (at, 'k' | 'K') => (bare.get(..at)?, 1 << 10),
        (at, 'm' | 'M') => (bare.get(..at)?, 1 << 20),
        (at, 'g' | 'G') => (bare.get(..at)?, 1 << 30),
        (at, 't' | 'T') => (bare.get(..at)?, 1 << 40),
        _ => (bare, 1),
    };
    scaled(digits, factor)
}

/// Parses a duration into milliseconds: `1500`, `1500ms`, `30s`, `5m`, `2h`, `1d` or `1w`.
pub fn parse_millis(text: &str) -> Option<u64> {
    let text = text.trim();
    for (suffix, factor) in [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 604_800_000),
    ] {
        if let Some(digits) = text.strip_suffix(suffix) {
            return scaled(digits, factor);
        }
    }
    scaled(text, 1)
}

/// A non-negative decimal number, possibly with a fraction, times `factor`.
fn scaled(digits: &str, factor: u64) -> Option<u64> {
    let digits = digits.trim();
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole
        .bytes()
        .chain(fraction.bytes())
        .all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    let fraction = fraction.get(..fraction.len().min(9))?;
    let scale = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(factor)? / scale;
    whole.checked_add(part)
}

/// A size for a table, as pm2 prints it: `0b`, `812.0kb`, `32.4mb`, `1.2gb`.
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)];
    for (unit, size) in UNITS {
        if bytes >= size {
            let tenths = bytes.saturating_mul(10) / size;
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes}b")
}

/// An age for a table in its largest whole unit, as pm2 prints it: `45s`, `3m`, `2h`, `4D`.
pub fn format_age(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}D", seconds / 86_400),
    }
}

/// Signal names without `SIG`, and their numbers on Linux. `signal(7)`
const SIGNALS: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The number of a signal given as `SIGTERM`, `term` or `15`.
pub fn parse_signal(text: &str) -> Option<i32> {
    let upper = text.trim().to_ascii_uppercase();
    if let Ok(number) = upper.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    SIGNALS
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, number)| *number)
}

/// The name of a signal, such as `SIGTERM`; of a real-time signal, such as `SIG40`.
pub fn signal_name(number: i32) -> String {
    match SIGNALS.iter().find(|(_, n)| *n == number) {
        Some((name, _)) => format!("SIG{name}"),
        None => format!("SIG{number}"),
    }
}

/// Text in which each control character is replaced by '?'. All untrusted text that goes to a terminal, a log file or
/// a metric passes through here.
pub fn harmless(text: &str) -> Cow<'_, str> {
    // The fast path for printable ASCII.
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) || !text.contains(is_harmful) {
        text.into()
    } else {
        text.replace(is_harmful, "?").into()
    }
}

/// Whether a character may move the cursor, colour the screen, end a line, or change the direction of text.
pub fn is_harmful(c: char) -> bool {
    // LINE SEPARATOR and PARAGRAPH SEPARATOR, and the explicit directional formatting characters of UAX #9.
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends text as it stands between the quotes of a JSON string. RFC 8259, section 7
///
/// Characters that could change a terminal are escaped too.
pub fn push_json(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_harmful(c) => push_json_unit(c.into(), out),
            c => out.push(c),
        }
    }
}

/// Appends a UTF-16 code unit as a JSON escape, `\uXXXX`.
pub fn push_json_unit(unit: u32, out: &mut String) {
    let _ = write!(out, "\\u{unit:04x}");
}

/// The longest excerpt of untrusted input in a message, in bytes.
const EXCERPT: usize = 100;

/// The beginning of untrusted input, safe to print in a message.
pub fn excerpt(bytes: &[u8]) -> String {
    let shown = bytes.get(..bytes.len().min(EXCERPT)).unwrap_or_default();
    let mut text = harmless(&String::from_utf8_lossy(shown)).into_owned();
    if shown.len() < bytes.len() {
        text.push('…');
    }
    text
}

/// The longest word for which [`nearest`] searches, in characters. No known word is longer.
const LONGEST_WORD: usize = 64;

/// The word of `known` that is most similar to `word`, if one is similar enough to be a misspelling. The work is bounded
/// by `LONGEST_WORD` squared for each candidate.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().take(LONGEST_WORD + 1).count();
    if length > LONGEST_WORD {
        return None;
    }
    let limit = (length / 3).max(1) + 1;
    known
        .into_iter()
        .filter_map(|candidate| Some((edit_distance(word, candidate, limit)?, candidate)))
        .filter(|(distance, candidate)| *distance < candidate.len().max(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The Levenshtein distance of two words. `None` if it is more than `limit`.
fn edit_distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    // A character has one to four bytes, so such a difference in length alone is more than `limit`.
    if a.len() > 4 * (b.len() + limit) || b.len() > 4 * (a.len() + limit) {
        return None;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut least = left;
        for (cell, cb) in row.iter_mut().skip(1).zip(&b) {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = *cell;
            left = substituted.min(diagonal + 1).min(left + 1);
            *cell = left;
            least = least.min(left);
        }
        if least > limit {
            return None;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().filter(|distance| *distance <= limit)
}

/// Whether a version such as `1.2.3` is newer than another. A part that is not a number counts as 0.
pub fn is_newer(one: &str, other: &str) -> bool {
    let numbers = |version: &str| -> Vec<u32> {
        let words = version.split(['.', '-']);
        words.map(|word| word.parse().unwrap_or(0)).collect()
    };
    !other.is_empty() && numbers(one) > numbers(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed_with_and_without_units() {
        assert_eq!(parse_bytes("300K"), Some(300 << 10));
        assert_eq!(parse_bytes("20M"), Some(20 << 20));
        assert_eq!(parse_bytes("1.5gb"), Some(3 << 29));
        assert_eq!(parse_bytes("17"), Some(17));
        for wrong in ["", "M", "-1", "1X", "99999999999G", "1.2.3"] {
            assert_eq!(parse_bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_are_parsed_with_and_without_units() {
        assert_eq!(parse_millis("1500"), Some(1500));
        assert_eq!(parse_millis("1500ms"), Some(1500));
        assert_eq!(parse_millis("30s"), Some(30_000));
        assert_eq!(parse_millis("1.5h"), Some(5_400_000));
        assert_eq!(parse_millis("s"), None);
        assert_eq!(parse_millis("-5"), None);
    }

    #[test]
    fn ages_and_sizes_are_printed_as_pm2_does() {
        assert_eq!(format_age(59_999), "59s");
        assert_eq!(format_age(86_400_000 * 3), "3D");
        assert_eq!(format_bytes(1 << 20), "1.0mb");
        assert_eq!(format_bytes(0), "0b");
    }

    #[test]
    fn signals_have_one_name_and_one_number() {
        assert_eq!(parse_signal("sigterm"), Some(15));
        assert_eq!(parse_signal("INT"), Some(2));
        assert_eq!(parse_signal("9"), Some(9));
        assert_eq!(parse_signal("0"), None);
        assert_eq!(parse_signal("NOPE"), None);
        for (_, number) in SIGNALS {
            assert_eq!(parse_signal(&signal_name(number)), Some(number));
        }
    }

    #[test]
    fn the_most_similar_word_is_suggested() {
        let known = ["start", "stop", "restart", "list", "logs"];
        assert_eq!(nearest("strat", known), Some("start"));
        assert_eq!(nearest("lst", known), Some("list"));
        assert_eq!(nearest("xyzzy", known), None);
    }

    #[test]
    fn a_huge_word_is_not_compared() {
        // Comparing these would need a table of 2^40 cells.
        let (long, other) = ("x".repeat(1 << 20), "y".repeat(1 << 20));
        assert_eq!(nearest(&long, [other.as_str(), "start"]), None);
        assert_eq!(nearest("start", [other.as_str()]), None);
        assert_eq!(edit_distance("start", &other, 2), None);
        assert_eq!(edit_distance("kitten", "sitting", 3), Some(3));
        assert_eq!(edit_distance("kitten", "sitting", 2), None);
        assert_eq!(edit_distance("é", "e", 1), Some(1));
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(harmless("a\x1b[31mb\n\u{9b}\u{202e}é"), "a?[31mb???é");
        assert!(matches!(harmless("plain"), Cow::Borrowed("plain")));
        assert_eq!(excerpt(&[b'x'; 101]), format!("{}…", "x".repeat(100)));
        assert_eq!(excerpt(b"\x07\xff"), "?\u{fffd}");
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_newer("0.10.0", "0.9.9") && is_newer("1.0", "0.9.9"));
        assert!(!is_newer("0.1.0", "0.1.0") && !is_newer("0.1.0", "0.2.0") && !is_newer("1.0", ""));
    }
}
