//! Text as a terminal shows it: harmless, and of a known width.

use crate::units::is_harmful;

/// Characters that take two cells: East Asian wide and full-width ones, and emoji. Unicode Standard Annex 11
#[rustfmt::skip]
const WIDE: &[(u32, u32)] = &[
    (0x1100, 0x115f), (0x231a, 0x231b), (0x2329, 0x232a), (0x23e9, 0x23ec), (0x23f0, 0x23f0), (0x23f3, 0x23f3),
    (0x25fd, 0x25fe), (0x2614, 0x2615), (0x2648, 0x2653), (0x267f, 0x267f), (0x2693, 0x2693), (0x26a1, 0x26a1),
    (0x26aa, 0x26ab), (0x26bd, 0x26be), (0x26c4, 0x26c5), (0x26ce, 0x26ce), (0x26d4, 0x26d4), (0x26ea, 0x26ea),
    (0x26f2, 0x26f3), (0x26f5, 0x26f5), (0x26fa, 0x26fa), (0x26fd, 0x26fd), (0x2705, 0x2705), (0x270a, 0x270b),
    (0x2728, 0x2728), (0x274c, 0x274c), (0x274e, 0x274e), (0x2753, 0x2755), (0x2757, 0x2757), (0x2795, 0x2797),
    (0x27b0, 0x27b0), (0x27bf, 0x27bf), (0x2b1b, 0x2b1c), (0x2b50, 0x2b50), (0x2b55, 0x2b55), (0x2e80, 0x303e),
    (0x3041, 0x4dbf), (0x4e00, 0xa4cf), (0xa960, 0xa97f), (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xfe10, 0xfe19),
    (0xfe30, 0xfe6f), (0xff01, 0xff60), (0xffe0, 0xffe6), (0x16fe0, 0x18cff), (0x1aff0, 0x1b2fb),
    (0x1f004, 0x1f004), (0x1f0cf, 0x1f0cf), (0x1f18e, 0x1f18e), (0x1f191, 0x1f19a), (0x1f200, 0x1f320),
    (0x1f32d, 0x1f335), (0x1f337, 0x1f37c), (0x1f37e, 0x1f393), (0x1f3a0, 0x1f3ca), (0x1f3cf, 0x1f3d3),
    (0x1f3e0, 0x1f3f0), (0x1f3f4, 0x1f3f4), (0x1f3f8, 0x1f43e), (0x1f440, 0x1f440), (0x1f442, 0x1f4fc),
    (0x1f4ff, 0x1f53d), (0x1f54b, 0x1f54e), (0x1f550, 0x1f567), (0x1f57a, 0x1f57a), (0x1f595, 0x1f596),
    (0x1f5a4, 0x1f5a4), (0x1f5fb, 0x1f64f), (0x1f680, 0x1f6c5), (0x1f6cc, 0x1f6cc), (0x1f6d0, 0x1f6d2),
    (0x1f6d5, 0x1f6df), (0x1f6eb, 0x1f6ec), (0x1f6f4, 0x1f6fc), (0x1f7e0, 0x1f7eb), (0x1f7f0, 0x1f7f0),
    (0x1f90c, 0x1f93a), (0x1f93c, 0x1f945), (0x1f947, 0x1f9ff), (0x1fa70, 0x1faff), (0x20000, 0x3fffd),
];

/// Marks that are put on the character before them.
#[rustfmt::skip]
const COMBINING: &[(u32, u32)] = &[
    (0x300, 0x36f), (0x483, 0x489), (0x591, 0x5bd), (0x610, 0x61a), (0x64b, 0x65f), (0xe31, 0xe31), (0xe34, 0xe3a),
    (0xe47, 0xe4e), (0x1ab0, 0x1aff), (0x1dc0, 0x1dff), (0x20d0, 0x20ff), (0x302a, 0x302d), (0x3099, 0x309a),
    (0xfe00, 0xfe0f), (0xfe20, 0xfe2f),
];

/// What cannot be seen and changes how the rest is: joiners, marks and overrides of direction.
#[rustfmt::skip]
const INVISIBLE: &[(u32, u32)] = &[
    (0xad, 0xad), (0x61c, 0x61c), (0x180e, 0x180e), (0x200b, 0x200f), (0x2028, 0x202e), (0x2060, 0x206f),
    (0xfeff, 0xfeff), (0xfff9, 0xfffb), (0xe0000, 0xe0fff),
];

fn among(ranges: &[(u32, u32)], c: char) -> bool {
    let c = u32::from(c);
    let at = ranges.partition_point(|(_, last)| *last < c);
    ranges.get(at).is_some_and(|(first, _)| *first <= c)
}

/// How many cells a character takes.
pub fn width(c: char) -> usize {
    match c {
        ' '..='~' => 1,
        c if among(COMBINING, c) => 0,
        c if among(WIDE, c) => 2,
        _ => 1,
    }
}

/// How many cells a text takes.
pub fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// The text with everything replaced that would move the cursor or change the rest of the line, and without UTF-8
/// everything that is not ASCII.
pub fn harmless(text: &str, utf8: bool) -> String {
    let seen = |c: char| match c {
        ' '..='~' => c,
        c if !utf8 || is_harmful(c) || among(INVISIBLE, c) => '?',
        c => c,
    };
    text.chars().map(seen).collect()
}

/// A line of a log: escape sequences left out, tabs as blanks, the rest harmless.
pub fn of_log(line: &[u8], utf8: bool) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\r', '\n']);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\x1b', '\t']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        rest = match from.strip_prefix('\t') {
            Some(behind) => {
                let blanks = 8 - columns(&out) % 8;
                out.extend(std::iter::repeat_n(' ', blanks));
                behind
            }
            None => behind_escape(from),
        };
    }
    out.push_str(rest);
    harmless(&out, utf8)
}

/// What follows the escape sequence that the text begins with. ECMA-48, 5.3 to 5.6
fn behind_escape(text: &str) -> &str {
    let body = text.get(1..).unwrap_or_default();
    let behind = |at: Option<usize>| at.and_then(|at| body.get(at..)).unwrap_or_default();
    match body.bytes().next() {
        Some(b'[') => {
            let last = body
                .bytes()
                .skip(1)
                .position(|b| !(0x20..0x40).contains(&b));
            match last.and_then(|at| body.get(at + 1..)) {
                // The last byte of a sequence is one of these; anything else does not belong to it.
                Some(end) if end.starts_with(|c| ('@'..='~').contains(&c)) => {
                    end.get(1..).unwrap_or_default()
                }
                Some(end) => end,
                None => "",
            }
        }
        Some(b']' | b'P' | b'_' | b'^' | b'X') => {
            let end = body.find(['\x07', '\x1b']);
            let rest = behind(end);
            let rest = rest.strip_prefix("\x1b\\").or(rest.strip_prefix('\x07'));
            rest.unwrap_or(behind(end))
        }
        Some(0x20..=0x7e) => behind(Some(1)),
        _ => body,
    }
}

/// The text without its first `skip` cells, as far as it fits into `room`, and the width of that. What does not fit
/// is shown by the mark `more` at its end.
pub fn cut(text: &str, skip: usize, room: usize, more: char) -> (String, usize) {
    let mut out = String::new();
    let (mut at, mut used) = (0, 0);
    // Where the text would end if the mark had to follow.
    let mut fallback = (0, 0);
    for c in text.chars() {
        let wide = width(c);
        at += wide;
        if at <= skip && (wide > 0 || at < skip || out.is_empty()) {
            continue;
        }
        // Half of a wide character is a blank.
        let (c, wide) = match at - skip {
            seen if seen < wide => (' ', seen),
            _ => (c, wide),
        };
        if used + wide > room {
            let (length, width) = fallback;
            out.truncate(length);
            if width < room {
                out.push(more);
                return (out, width + 1);
            }
            return (out, width);
        }
        out.push(c);
        used += wide;
        if used < room {
            fallback = (out.len(), used);
        }
    }
    (out, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sorted_for_the_search() {
        for ranges in [WIDE, COMBINING, INVISIBLE] {
            assert!(ranges.iter().all(|(first, last)| first <= last));
            assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    #[test]
    fn cells_are_counted() {
        for (text, cells) in [
            ("abc", 3),
            ("é", 1),
            ("e\u{301}", 1),
            ("日本", 4),
            ("🚀", 2),
            ("█▁│", 3),
            ("", 0),
        ] {
            assert_eq!(columns(text), cells, "{text}");
        }
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(harmless("a\x1b[2J\n\u{9b}b\u{202e}", true), "a?[2J??b?");
        assert_eq!(harmless("né", false), "n?");
        assert_eq!(of_log(b"\x1b[1;32mok\x1b[0m\tx\r\n", true), "ok      x");
        assert_eq!(
            of_log(b"\x1b]0;title\x07a\x1b]8;;x\x1b\\b\x1bcc\x1b", true),
            "abc"
        );
        assert_eq!(of_log(b"\x1b[31", true), "");
        assert_eq!(of_log(b"\x1b[3\x01x\x08", true), "?x?");
        assert_eq!(of_log(b"\xff\xc3", true), "\u{fffd}\u{fffd}");
        let mut seed = 7u32;
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bytes.push(
                    b"\x1b[]\\;0m\x07\x9b\xc2\t\x18a\xe2\x80\xae"[(seed >> 16) as usize % 15],
                );
            }
            assert!(
                !of_log(&bytes, true)
                    .chars()
                    .any(|c| c.is_control() || c == '\u{202e}')
            );
        }
    }

    #[test]
    fn a_text_is_cut_to_its_room() {
        let cut = |text, skip, room| super::cut(text, skip, room, '…');
        assert_eq!(cut("hello", 0, 9), ("hello".into(), 5));
        assert_eq!(cut("hello", 0, 5), ("hello".into(), 5));
        assert_eq!(cut("hello", 0, 4), ("hel…".into(), 4));
        assert_eq!(cut("hello", 2, 3), ("llo".into(), 3));
        assert_eq!(cut("hello", 9, 3), (String::new(), 0));
        assert_eq!(cut("日本語", 0, 5), ("日本…".into(), 5));
        assert_eq!(cut("日本語", 0, 4), ("日…".into(), 3));
        assert_eq!(cut("日本語", 1, 6), (" 本語".into(), 5));
        assert_eq!(cut("e\u{301}e", 1, 6), ("e".into(), 1));
        assert_eq!(cut("x", 0, 0), (String::new(), 0));
        for room in 0..12 {
            for skip in 0..12 {
                let (text, used) = cut("a日b本e\u{301}c語", skip, room);
                assert_eq!(columns(&text), used);
                assert!(used <= room);
            }
        }
    }
}
