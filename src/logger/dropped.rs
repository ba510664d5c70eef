//! What is missing in a log file because it could not be written.

use crate::protocol::output::Dropped;
use crate::sys::clock;

/// What was dropped without a notice in the file so far, and why.
#[derive(Debug, Default)]
pub struct DropCounter {
    total: Dropped,
    reason: String,
}

impl DropCounter {
    /// How much, and when.
    pub fn total(&self) -> Dropped {
        self.total
    }

    /// Adds what a previous log writer dropped.
    pub fn add(&mut self, more: Dropped) {
        self.total.add(more);
    }

    /// Counts bytes that are dropped now, and returns their number.
    pub fn count(&mut self, bytes: u64) -> u64 {
        let now = clock::wall_ms();
        self.total.add(Dropped {
            bytes,
            first: now,
            last: now,
        });
        bytes
    }

    /// Sets the reason. Whether it is the first since the last notice.
    pub fn set_reason(&mut self, reason: &str) -> bool {
        let first = self.total.bytes == 0 && self.reason.is_empty();
        reason.clone_into(&mut self.reason);
        first
    }

    /// Starts again at nothing.
    pub fn clear(&mut self) {
        *self = DropCounter::default();
    }

    /// The line for the file.
    pub fn notice(&self) -> String {
        let Dropped { bytes, first, last } = self.total;
        let (first, last) = (clock::moment(first), clock::moment(last));
        let separator = if self.reason.is_empty() { "" } else { ": " };
        let reason = &self.reason;
        format!("rpm: {bytes} bytes are missing here, from {first} to {last}{separator}{reason}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_has_the_sum_and_the_reason() {
        let mut dropped = DropCounter::default();
        assert!(dropped.set_reason("writing /x: no") && dropped.count(3) == 3);
        assert!(!dropped.set_reason("writing /x: still no"));
        dropped.add(Dropped {
            bytes: 4,
            first: 1000,
            last: 2000,
        });
        dropped.add(Dropped::default());
        assert_eq!((dropped.total().bytes, dropped.total().first), (7, 1000));
        let notice = dropped.notice();
        assert!(notice.starts_with("rpm: 7 bytes are missing here, from 1970-01-01T"));
        assert!(notice.ends_with(": writing /x: still no\n"));
    }
}
