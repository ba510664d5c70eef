//! The record of repeated supervisor deaths: written by the log writer, reported by the next command.

use super::line::Line;
use crate::units;

/// A row of deaths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deaths {
    /// How many.
    pub count: u32,
    /// When the first one died, ms since the epoch.
    pub since: u64,
    /// When the next one is started, ms since the epoch.
    pub next: u64,
}

impl Deaths {
    /// As a line.
    pub fn to_line(self) -> Line {
        Line::new("deaths")
            .with("count", self.count.to_string())
            .with("since", self.since.to_string())
            .with("next", self.next.to_string())
    }

    /// What a file with that line says.
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

    /// The sentence about it, `now` in ms since the epoch.
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
    fn a_row_of_deaths_comes_back_and_is_said() {
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
        // It is time, or the clock was set.
        assert_eq!(deaths.sentence(14_000), "rpmd died 4 times in the last 13s");
        assert!(deaths.sentence(0).contains("last 0s"));
    }
}
