//! POSIX extended regular expressions, as the C library has them. `regex(7)`

use std::cell::RefCell;
use std::ffi::{CStr, CString};

/// A regular expression. It looks at bytes, not at characters.
pub struct Regex {
    compiled: Box<libc::regex_t>,
    /// The text that is looked at, with the NUL that ends it.
    text: RefCell<Vec<u8>>,
}

impl Regex {
    /// Reads a regular expression; what is wrong with it, where it is none. `regcomp(3)`
    pub fn new(pattern: &str) -> Result<Regex, String> {
        if let Some(why) = costs_too_much(pattern) {
            return Err(why.to_owned());
        }
        let pattern = CString::new(pattern).map_err(|_| "it contains a NUL byte".to_owned())?;
        // SAFETY: a regex_t is plain data that regcomp fills in, at an address where it stays; the pattern ends in NUL
        // and lives during the call. Where it fails nothing is to be freed, and regerror writes no more than fits.
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

    /// Whether something in the text matches. `regexec(3)`
    pub fn matches(&self, text: &[u8]) -> bool {
        let Ok(mut copy) = self.text.try_borrow_mut() else {
            return false;
        };
        copy.clear();
        // The text ends at its first NUL for the C library; another byte stands for one in its middle.
        copy.extend(text.iter().map(|b| if *b == 0 { 1 } else { *b }));
        copy.push(0);
        // SAFETY: the expression was compiled, and is freed only when this is dropped; the text ends in NUL; no place
        // for parts is given, and none is needed.
        let found = unsafe {
            let none = std::ptr::null_mut();
            libc::regexec(&raw const *self.compiled, copy.as_ptr().cast(), 0, none, 0)
        };
        found == 0
    }
}

/// The longest pattern, in bytes, and the most copies of a part that its intervals may ask for together: the C library
/// writes each of them out.
const LONGEST: usize = 4096;
const MOST_COPIES: usize = 10_000;

/// Why a pattern is refused that is an expression, but one which the C library takes for ever to read or to look for.
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
    // POSIX has no such thing in extended expressions, and the time that it takes grows without bounds.
    if escaped.into_iter().any(refers) {
        return Some("it has a back-reference (a backslash and a digit), which is not supported");
    }
    None
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: it was compiled, and this is the only time that it is freed.
        unsafe { libc::regfree(&raw mut *self.compiled) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_that_costs_too_much_is_refused() {
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
    fn what_matches_is_found_anywhere() {
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
    fn what_is_wrong_is_said() {
        for wrong in ["[a", "a(b", "a\0"] {
            let why = Regex::new(wrong).err().unwrap();
            assert!(why.len() > 5, "{wrong}: {why}");
        }
    }
}
