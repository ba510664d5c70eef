//! POSIX extended regular expressions of the C library. `regex(7)`

use std::cell::RefCell;
use std::ffi::{CStr, CString};

/// A compiled regular expression. It matches bytes, not characters.
pub struct Regex {
    compiled: Box<libc::regex_t>,
    /// A buffer for the text with its terminating NUL.
    text: RefCell<Vec<u8>>,
}

impl Regex {
    /// Compiles a regular expression. `regcomp(3)`
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub fn new(pattern: &str) -> Result<Regex, String> {
        if let Some(why) = costs_too_much(pattern) {
            return Err(why.to_owned());
        }
        let pattern = CString::new(pattern).map_err(|_| "it contains a NUL byte".to_owned())?;
        // SAFETY: a regex_t is plain data that regcomp fills in, and is not moved afterwards; the pattern ends in NUL and
        // lives during the call. On failure nothing needs to be freed; regerror writes at most the given length.
        unsafe {
            let mut compiled: Box<libc::regex_t> = Box::new(std::mem::zeroed());
            let flags = libc::REG_EXTENDED | libc::REG_NOSUB;
            let failed = libc::regcomp(&raw mut *compiled, pattern.as_ptr(), flags);
            if failed != 0 {
                let mut why = [0u8; 128];
                libc::regerror(
                    failed,
                    &raw const *compiled,
                    why.as_mut_ptr().cast(),
                    why.len(),
                );
                let why = CStr::from_bytes_until_nul(&why).unwrap_or_default();
                return Err(why.to_string_lossy().into_owned());
            }
            Ok(Regex {
                compiled,
                text: RefCell::default(),
            })
        }
    }

    /// Whether a part of the text matches. `regexec(3)`
    pub fn matches(&self, text: &[u8]) -> bool {
        let Ok(mut copy) = self.text.try_borrow_mut() else {
            return false;
        };
        copy.clear();
        // For the C library the text ends at the first NUL, so each NUL in it is replaced.
        copy.extend(text.iter().map(|b| if *b == 0 { 1 } else { *b }));
        copy.push(0);
        // SAFETY: the expression is compiled, and freed only on drop; the text ends in NUL; with REG_NOSUB no array for
        // matches is needed.
        let found = unsafe {
            let none = std::ptr::null_mut();
            libc::regexec(&raw const *self.compiled, copy.as_ptr().cast(), 0, none, 0)
        };
        found == 0
    }
}

/// The longest pattern in bytes, and the largest product of its interval bounds. The C library expands intervals.
const LONGEST: usize = 4096;
const MOST_COPIES: usize = 10_000;

/// Why a valid pattern is refused: the C library would take too long to compile or match it.
fn costs_too_much(pattern: &str) -> Option<&'static str> {
    if pattern.len() > LONGEST {
        return Some("it is longer than 4096 bytes");
    }
    let intervals = pattern.split('{').skip(1);
    let most = intervals.map(|rest| {
        let inside = rest.split('}').next().unwrap_or_default();
        let numbers = inside.split(',').filter_map(|number| number.parse().ok());
        numbers.max().unwrap_or(1).max(1)
    });
    if most.fold(1, usize::saturating_mul) > MOST_COPIES {
        return Some("its intervals {m,n} repeat more than 10000 times in total");
    }
    let escaped = pattern
        .split("\\\\")
        .flat_map(|part| part.split('\\').skip(1));
    let refers = |part: &str| part.starts_with(|c: char| ('1'..='9').contains(&c));
    // An extension of the C library, with exponential time.
    if escaped.into_iter().any(refers) {
        return Some("it has a back-reference (a backslash and a digit), which is not supported");
    }
    None
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: it is compiled, and freed only here.
        unsafe { libc::regfree(&raw mut *self.compiled) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expensive_patterns_are_refused() {
        for wrong in [
            "x".repeat(5000).as_str(),
            "((((a{1,99}){1,99}){1,99}){1,99}){1,99}",
            "a{20000}",
            r"(a*)*\1",
        ] {
            assert!(Regex::new(wrong).is_err());
        }
        for right in ["a{2,3}", r"\\1", r"a\.b", "x{0,255}"] {
            assert!(Regex::new(right).is_ok(), "{right}");
        }
    }

    #[test]
    fn a_pattern_matches_anywhere_in_the_text() {
        let regex = Regex::new("^api-[0-9]+$|w(eb|orker)").unwrap();
        for (text, found) in [
            (&b"api-12"[..], true),
            (b"my worker 3", true),
            (b"api-", false),
            (b"", false),
            (b"a\0web", true),
            (b"\xff web \xff", true),
        ] {
            assert_eq!(regex.matches(text), found, "{text:?}");
        }
        assert!(Regex::new("").unwrap().matches(b"x"));
    }

    #[test]
    fn an_invalid_pattern_is_an_error_with_a_reason() {
        for wrong in ["[a", "a(b", "a\0"] {
            let why = Regex::new(wrong).err().unwrap();
            assert!(why.len() > 5, "{wrong}: {why}");
        }
    }
}
