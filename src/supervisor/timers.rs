//! Deadlines, in one heap. No timer, no wake-up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::model::life::Deadline;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A deadline of a program.
    Program(u32, Deadline),
    /// Looking again at programs whose leader has ended and others of them have not.
    Remains,
    /// Looking at processes that no descriptor is held of.
    Look,
    /// Reading records again that could not be read.
    Unread,
    /// Looking at the home.
    Home,
    /// Looking again whether paused programs have stopped.
    Pause,
    /// Accepting connections again after descriptors ran out.
    Accept,
    /// Starting another log writer.
    Logger,
    /// Another release has had its time to prove itself.
    Check,
    /// Closing sockets that nobody asks for any more.
    Sockets,
    /// Asking the log writer again for what it keeps.
    Recall,
    /// Answers have waited long enough for the log writer.
    Patience,
    /// Bringing changes of the list to the disk.
    Sync,
    /// Giving up waiting for clients at the end.
    Farewell,
}

/// At most one deadline for each [`Timer`], in ms of the monotonic clock.
#[derive(Debug, Default)]
pub struct Timers {
    /// May hold entries that were replaced or cancelled: `armed` decides.
    heap: BinaryHeap<Reverse<(u64, Timer)>>,
    armed: BTreeMap<Timer, u64>,
}

impl Timers {
    /// Sets, moves or cancels a deadline.
    pub fn set(&mut self, timer: Timer, at: Option<u64>) {
        match at {
            None => {
                self.armed.remove(&timer);
            }
            Some(at) => {
                if self.armed.insert(timer, at) != Some(at) {
                    self.heap.push(Reverse((at, timer)));
                }
            }
        }
    }

    /// When it is set for.
    pub fn at(&self, timer: Timer) -> Option<u64> {
        self.armed.get(&timer).copied()
    }

    /// Whether the deadline is set.
    pub fn is_set(&self, timer: Timer) -> bool {
        self.armed.contains_key(&timer)
    }

    /// The earliest deadline.
    pub fn next(&mut self) -> Option<u64> {
        while let Some(Reverse((at, timer))) = self.heap.peek() {
            if self.armed.get(timer) == Some(at) {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes one deadline that has come.
    pub fn pop(&mut self, now: u64) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, timer)) = self.heap.pop()?;
        self.armed.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_only_the_last_word_counts() {
        let mut timers = Timers::default();
        let [one, two] = [1, 2].map(|id| Timer::Program(id, Deadline::RestartDelay));
        timers.set(one, Some(30));
        timers.set(two, Some(10));
        timers.set(one, Some(20));
        timers.set(Timer::Remains, Some(15));
        timers.set(Timer::Remains, None);
        assert_eq!(timers.next(), Some(10));
        assert_eq!(timers.pop(9), None);
        assert_eq!(timers.pop(25), Some(two));
        assert_eq!(timers.pop(25), Some(one));
        assert_eq!((timers.pop(99), timers.next()), (None, None));
    }
}
