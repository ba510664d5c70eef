//! What is missing in a log file, because it did not take it.

use crate::protocol::output::Loss;
use crate::sys::clock;

/// What was dropped, and why.
#[derive(Debug, Default)]
pub struct Dropped {
    lost: Loss,
    why: String,
}

impl Dropped {
    /// How much, and when.
    pub fn loss(&self) -> Loss {
        self.lost
    }

    /// More, that another log writer has dropped.
    pub fn add(&mut self, more: Loss) {
        if more.bytes > 0 {
            let first = match self.lost.bytes {
                0 => more.first,
                _ => self.lost.first.min(more.first),
            };
            self.lost = Loss {
                bytes: self.lost.bytes.saturating_add(more.bytes),
                first,
                last: self.lost.last.max(more.last),
            };
        }
    }

    /// So many bytes have been dropped now.
    pub fn dropped(&mut self, bytes: u64) -> u64 {
        let now = clock::wall_ms();
        self.add(Loss {
            bytes,
            first: now,
            last: now,
        });
        bytes
    }

    /// Takes the reason; whether there was none yet.
    pub fn because(&mut self, why: &str) -> bool {
        let first = self.lost.bytes == 0 && self.why.is_empty();
        why.clone_into(&mut self.why);
        first
    }

    /// The line that says it in the file.
    pub fn notice(&self) -> String {
        let Loss { bytes, first, last } = self.lost;
        let (first, last) = (clock::moment(first), clock::moment(last));
        let why = match self.why.as_str() {
            "" => String::new(),
            why => [": ", why].concat(),
        };
        format!("rpm: {bytes} bytes are missing here, from {first} to {last}{why}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_added_up_and_said_with_its_reason() {
        let mut missing = Dropped::default();
        assert!(missing.because("writing /x: no") && missing.dropped(3) == 3);
        assert!(!missing.because("writing /x: still no"));
        missing.add(Loss {
            bytes: 4,
            first: 1000,
            last: 2000,
        });
        missing.add(Loss::default());
        assert_eq!((missing.loss().bytes, missing.loss().first), (7, 1000));
        let notice = missing.notice();
        assert!(notice.starts_with("rpm: 7 bytes are missing here, from 1970-01-01T"));
        assert!(notice.ends_with(": writing /x: still no\n"));
    }
}
