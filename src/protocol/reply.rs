//! The lines of a reply.

use super::line::Line;

/// The kind of a failure, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Code {
    BadRequest,
    NotFound,
    Exists,
    NotRunning,
    Denied,
    TooLong,
    Busy,
    ExecFailed,
    Timeout,
    Internal,
}

/// Every code and its word.
pub const CODES: [(Code, &str); 10] = [
    (Code::BadRequest, "bad-request"),
    (Code::NotFound, "not-found"),
    (Code::Exists, "exists"),
    (Code::NotRunning, "not-running"),
    (Code::Denied, "denied"),
    (Code::TooLong, "too-long"),
    (Code::Busy, "busy"),
    (Code::ExecFailed, "exec-failed"),
    (Code::Timeout, "timeout"),
    (Code::Internal, "internal"),
];

impl Code {
    /// The word of the code.
    pub fn word(self) -> &'static str {
        let row = CODES.iter().find(|(code, _)| *code == self);
        row.map_or("internal", |(_, word)| word)
    }

    fn from_word(word: &str) -> Code {
        let row = CODES.iter().find(|(_, w)| *w == word);
        row.map_or(Code::Internal, |(code, _)| *code)
    }
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub code: Code,
    /// The sentence.
    pub message: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
        }
    }

    /// The last line of the reply.
    pub fn to_line(&self) -> Line {
        Line::new("error")
            .with("code", self.code.word())
            .with("message", &self.message)
    }
}

/// A line of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A line before the last one.
    Row(Line),
    /// The request succeeded; the line may have fields.
    Done(Line),
    /// The request failed.
    Failed(Failure),
}

impl Reply {
    /// Interprets a line.
    pub fn from_line(line: Line) -> Reply {
        match line.tag.as_str() {
            "ok" => Reply::Done(line),
            "error" => Reply::Failed(Failure::new(
                Code::from_word(line.text("code").unwrap_or_default()),
                String::from_utf8_lossy(line.get("message").unwrap_or_default()),
            )),
            _ => Reply::Row(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back() {
        for (code, word) in CODES {
            let failure = Failure::new(code, "no process called 'a b'");
            let line = Line::decode(&failure.to_line().to_bytes()).unwrap();
            assert_eq!(line.text("code"), Some(word));
            assert_eq!(Reply::from_line(line), Reply::Failed(failure));
        }
    }

    #[test]
    fn only_ok_and_error_end_a_reply() {
        let ok = Line::new("ok").with("count", "2");
        assert_eq!(Reply::from_line(ok.clone()), Reply::Done(ok));
        let row = Line::new("process");
        assert_eq!(Reply::from_line(row.clone()), Reply::Row(row));
    }
}
