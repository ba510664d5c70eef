//! Patterns as the shell has them. `fnmatch(3)`

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

/// A pattern with `*`, `?` and `[…]`.
#[derive(Debug)]
pub struct Pattern(CString);

impl Pattern {
    /// The pattern of this text; none where it has a NUL byte, which no name has.
    pub fn new(text: &str) -> Option<Pattern> {
        CString::new(text).ok().map(Pattern)
    }

    /// Whether it is about paths, not about names in any folder.
    pub fn has_slash(&self) -> bool {
        self.0.as_bytes().contains(&b'/')
    }

    /// Whether all of the text is so. A `*` stands for slashes too.
    pub fn matches(&self, text: &OsStr) -> bool {
        let Ok(text) = CString::new(text.as_bytes()) else {
            return false;
        };
        // SAFETY: both end in NUL and live during the call, which only reads them.
        unsafe { libc::fnmatch(self.0.as_ptr(), text.as_ptr(), 0) == 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_is_matched() {
        let matches = |pattern, text: &str| Pattern::new(pattern).unwrap().matches(text.as_ref());
        assert!(matches("*.log", "a.log") && matches("a/*/b", "a/x/y/b") && matches("[ab]?", "b1"));
        assert!(!matches("*.log", "a.logs") && !matches("a", "A") && !matches("a", "ab"));
        assert!(Pattern::new("a\0").is_none());
        assert!(
            Pattern::new("a/b").unwrap().has_slash() && !Pattern::new("a").unwrap().has_slash()
        );
    }
}
