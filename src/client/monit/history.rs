//! The last minutes of a number.

/// How long one entry is, in ms.
const ENTRY: u64 = 5_000;

/// How many entries are kept: five minutes.
pub const ENTRIES: usize = 60;

/// What stands for "there was nothing to measure".
const NOTHING: u32 = u32::MAX;

/// The highest value of each entry, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    entries: [u32; ENTRIES],
    /// The number of the newest entry since the clock began.
    newest: u64,
}

impl History {
    /// A history that begins now.
    pub fn new(now_ms: u64) -> History {
        History {
            entries: [NOTHING; ENTRIES],
            newest: now_ms / ENTRY,
        }
    }

    /// Notes what was measured, if anything was.
    pub fn note(&mut self, now_ms: u64, value: Option<u32>) {
        let number = now_ms / ENTRY;
        let passed = usize::try_from(number.saturating_sub(self.newest)).unwrap_or(ENTRIES);
        for _ in 0..passed.min(ENTRIES) {
            self.entries.rotate_left(1);
            if let Some(last) = self.entries.last_mut() {
                *last = NOTHING;
            }
        }
        self.newest = self.newest.max(number);
        if let (Some(last), Some(value)) = (self.entries.last_mut(), value) {
            *last = match *last {
                NOTHING => value.min(NOTHING - 1),
                known => known.max(value.min(NOTHING - 1)),
            };
        }
    }

    /// All of it in so many points, each the highest of its span; none where nothing was measured.
    pub fn points(&self, count: usize) -> impl Iterator<Item = Option<u32>> {
        let span = ENTRIES.div_ceil(count.max(1));
        let spans = self.entries.chunks(span);
        spans.map(|span| span.iter().copied().filter(|value| *value != NOTHING).max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_stay_and_gaps_are_gaps() {
        let mut history = History::new(10_000);
        history.note(10_000, Some(3));
        history.note(11_000, Some(9));
        history.note(12_000, None);
        history.note(26_000, Some(1));
        let last: Vec<_> = history.points(ENTRIES).skip(56).collect();
        assert_eq!(last, [Some(9), None, None, Some(1)]);
        assert_eq!(history.points(10).last(), Some(Some(9)));
        assert_eq!(history.points(10).count(), 10);
        assert_eq!(history.points(1).collect::<Vec<_>>(), [Some(9)]);
    }

    #[test]
    fn after_a_long_silence_it_is_empty() {
        let mut history = History::new(0);
        history.note(0, Some(u32::MAX));
        assert_eq!(history.points(1).next(), Some(Some(u32::MAX - 1)));
        history.note(u64::MAX, None);
        assert_eq!(history.points(1).next(), Some(None));
        // A clock that stands still or steps back changes nothing.
        history.note(5, Some(2));
        assert_eq!(history.points(ENTRIES).last(), Some(Some(2)));
    }
}
