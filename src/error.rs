//! Errors are sentences: what was being done, to what, why it failed.

use std::fmt;
use std::io;

/// A failure, as the sentence that a user reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

/// What a fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that is a whole sentence already.
    pub fn new(sentence: impl Into<String>) -> Error {
        Error(sentence.into())
    }

    /// "DOING: REASON", as in `opening /srv/api.log: Permission denied`.
    pub fn io(doing: impl fmt::Display, reason: &io::Error) -> Error {
        Error(format!("{doing}: {}", Reason(reason)))
    }

    /// The same error with what was being attempted in front of it.
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

/// The text of an operating system error without the "(os error N)" that the standard library adds.
pub struct Reason<'a>(pub &'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error ").next().unwrap_or(&text))
    }
}

/// Turns an `io::Result` into ours by saying what was being done.
pub trait Context<T> {
    /// Adds what was being done; the closure runs only on failure.
    fn doing<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| Error::io(doing(), &e))
    }
}
