//! The record of repeated supervisor crashes. The log writer writes it, and the next command reports it.

use super::line::Line;
use crate::units;

/// A series of crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deaths {
    /// Their number.
    pub count: u32,
    /// The time of the first, in ms since the epoch.
    pub since: u64,
    /// The time of the next start, in ms since the epoch.
    pub next: u64,
}

impl Deaths {
    /// The record as a line.
    pub fn to_line(self) -> Line {
        Line::new("deaths")
            .with("count", self.count.to_string())
            .with("since", self.since.to_string())
            .with("next", self.next.to_string())
    }

    /// Parses the record; `None` if it is malformed.
    pub fn read(text: &[u8]) -> Option<Deaths> {
        let line = Line::decode(text)
            .ok()
            .filter(|line| line.tag == "deaths")?;
        Some(Deaths {
            count: line.number("count")?,
            since: line.number("since")?,
            next: line.number("next")?,
        })
    }

    /// A sentence for the user; `now` in ms since the epoch.
    pub fn sentence(&self, now: u64) -> String {
        let past = units::format_age(now.saturating_sub(self.since));
        let count = self.count;
        match self.next.saturating_sub(now) {
            0 => format!("rpmd died {count} times in the last {past}"),
            left => format!("rpmd died {count} times in the last {past}; next try in {left} ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crashes_are_read_back_and_reported() {
        let deaths = Deaths {
            count: 4,
            since: 1_000,
            next: 13_200,
        };
        assert_eq!(Deaths::read(&deaths.to_line().to_bytes()), Some(deaths));
        assert_eq!(Deaths::read(b""), None);
        assert_eq!(
            deaths.sentence(13_000),
            "rpmd died 4 times in the last 12s; next try in 200 ms"
        );
        // The time of the next start has come, or the clock was set.
        assert_eq!(deaths.sentence(14_000), "rpmd died 4 times in the last 13s");
        assert!(deaths.sentence(0).contains("last 0s"));
    }
}
