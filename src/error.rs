//! Errors are sentences: what failed, on what, and why.

use std::fmt;
use std::io;

/// An error, as the sentence that a user reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

/// The result of a fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with this sentence.
    pub fn new(sentence: impl Into<String>) -> Error {
        Error(sentence.into())
    }

    /// "DOING: REASON", as in `opening /srv/api.log: Permission denied`.
    pub fn io(doing: impl fmt::Display, reason: &io::Error) -> Error {
        Error(format!("{doing}: {}", Reason(reason)))
    }

    /// The same error, prefixed with the operation that failed: "DOING: REASON".
    #[must_use]
    pub fn while_doing(self, doing: impl fmt::Display) -> Error {
        Error(format!("{doing}: {}", self.0))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Displays an I/O error without the "(os error N)" that the standard library appends.
pub struct Reason<'a>(pub &'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error ").next().unwrap_or(&text))
    }
}

/// Converts an `io::Result` by adding the operation that failed.
pub trait Context<T> {
    /// Adds the operation; the closure runs only on failure.
    ///
    /// # Errors
    /// The same error, as "DOING: REASON".
    fn doing<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| Error::io(doing(), &e))
    }
}
