//! The default names of the log and pid files of a program. Different program names or streams never have the same file.
//!
//! ```text
//! NAME-out.log  NAME-out-ID.log      standard output; with the id if instances have separate files
//! NAME-error.log  NAME-error-ID.log  standard error
//! NAME.log  NAME-ID.log              both
//! NAME-ID.pid                        the pid
//! ```
//!
//! In NAME, letters, digits, `.`, `_` and `-` are kept. Every other byte is written `%XX`, and so is a leading `.` or `-`:
//! no file is hidden or looks like an option. The end of a file name determines its form. If NAME itself has such an
//! ending, its `-` is written `%2D` in the name of the file of both streams. A NAME that is too long is cut, and ends in
//! `%%` and a digest of the whole name.

use std::fmt::Write as _;

/// The stream of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
    /// Both.
    Both,
}

/// The longest NAME, in bytes. A file name has at most 255 (NAME_MAX of limits.h), including what follows NAME.
const MOST: usize = 160;
/// The bytes of a longer name that are kept before the digest.
const KEPT: usize = 120;

/// The name of a log file. `number` is the id of the program, if instances have separate files.
pub fn log(name: &str, output: Output, number: Option<u32>) -> String {
    let mut file = of(name);
    match output {
        Output::Out => file.push_str("-out"),
        Output::Error => file.push_str("-error"),
        Output::Both => {
            if let Some(at) = ambiguous_end(&file) {
                file.replace_range(at..=at, "%2D");
            }
        }
    }
    if let Some(number) = number {
        let _ = write!(file, "-{number}");
    }
    file.push_str(".log");
    file
}

/// The name of a pid file.
pub fn pid(name: &str, id: u32) -> String {
    format!("{}-{id}.pid", of(name))
}

/// The NAME of a program name.
pub fn of(name: &str) -> String {
    let mut file = String::new();
    let mut cut = 0;
    for (at, c) in name.char_indices() {
        let plain = c.is_alphanumeric() || c == '_' || matches!(c, '.' | '-') && at > 0;
        if plain {
            file.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(file, "%{byte:02X}");
            }
        }
        if file.len() <= KEPT {
            cut = file.len();
        }
        if file.len() > MOST {
            file.truncate(cut);
            let _ = write!(file, "%%{:032x}", digest(name.as_bytes()));
            break;
        }
    }
    file
}

/// The position of the `-` of an ending that looks like that of another form.
fn ambiguous_end(file: &str) -> Option<usize> {
    let (before, end) = file.rsplit_once('-')?;
    let number = !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
    (number || matches!(end, "out" | "error")).then_some(before.len())
}

/// The 128-bit FNV-1a hash. draft-eastlake-fnv, sections 2 and 5
fn digest(bytes: &[u8]) -> u128 {
    let basis = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    bytes.iter().fold(basis, |hash: u128, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn plain_names_are_kept_and_others_escaped() {
        for (name, file) in [
            ("api_2", "api_2"),
            ("a-b.c", "a-b.c"),
            ("日本é", "日本é"),
            ("a b", "a%20b"),
            ("a/b", "a%2Fb"),
            ("a%20b", "a%2520b"),
            ("../etc/x y", "%2E.%2Fetc%2Fx%20y"),
            ("@services", "%40services"),
            ("-rf", "%2Drf"),
            (".", "%2E"),
            ("\u{1f600}", "%F0%9F%98%80"),
        ] {
            assert_eq!(of(name), file, "{name}");
        }
        assert_eq!(log("api", Output::Out, None), "api-out.log");
        assert_eq!(log("api", Output::Error, Some(7)), "api-error-7.log");
        assert_eq!(log("api", Output::Both, None), "api.log");
        assert_eq!(pid("api-2", 7), "api-2-7.pid");
    }

    #[test]
    fn an_ambiguous_ending_is_escaped() {
        assert_eq!(log("a-out", Output::Both, None), "a%2Dout.log");
        assert_eq!(log("a-out-3", Output::Both, None), "a-out%2D3.log");
        assert_eq!(log("a-error", Output::Both, Some(3)), "a%2Derror-3.log");
        assert_eq!(log("a-", Output::Both, None), "a-.log");
        // Files of one stream have an ending of their own.
        assert_eq!(log("a-out", Output::Out, None), "a-out-out.log");
    }

    #[test]
    fn no_name_is_too_long() {
        for name in [
            "x".repeat(160),
            "x".repeat(4000),
            " ".repeat(4000),
            "日".repeat(4000),
        ] {
            let files = [
                log(&name, Output::Error, Some(u32::MAX)) + ".4294967295",
                pid(&name, u32::MAX),
            ];
            for file in files {
                assert!(file.len() < 255, "{file}");
            }
        }
        let (one, other) = ("x".repeat(300) + "1", "x".repeat(300) + "2");
        assert_ne!(of(&one), of(&other));
        assert_eq!(of("x".repeat(160).as_str()).len(), 160);
        // The test vectors of the draft for "" and "a".
        assert_eq!(digest(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(digest(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    /// Names of parts that could be ambiguous.
    fn names() -> Vec<String> {
        const PIECES: [&str; 20] = [
            "a", "-", "out", "-out", "error", "-error", "3", "-3", "-13", ".", ".log", ".1", "%",
            "%2D", "%2F", "%%", " ", "/", "@", "é",
        ];
        let mut names: Vec<String> = Vec::new();
        for one in PIECES {
            names.push(one.to_owned());
            for two in PIECES {
                names.push([one, two].concat());
                for three in PIECES {
                    names.push([one, two, three].concat());
                }
            }
        }
        let mut state = 7_u64;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(state >> 33).unwrap_or(0) % below
        };
        for _ in 0..5000 {
            let length = 3 + next(90);
            names.push((0..length).map(|_| PIECES[next(PIECES.len())]).collect());
        }
        names.sort();
        names.dedup();
        names
    }

    #[test]
    fn no_two_names_streams_or_numbers_have_the_same_file() {
        let mut seen: BTreeMap<String, (String, Output, Option<u32>)> = BTreeMap::new();
        for name in names() {
            for output in [Output::Out, Output::Error, Output::Both] {
                for number in [None, Some(3), Some(13)] {
                    let file = log(&name, output, number);
                    assert!(!file.contains('/') && !file.starts_with(['.', '-']));
                    let whose = (name.clone(), output, number);
                    let other = seen.insert(file.clone(), whose.clone());
                    assert_eq!(other, None, "{file} is that of {whose:?} too");
                }
            }
        }
    }
}
