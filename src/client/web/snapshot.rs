//! What was last seen of all programs, and how busy they were in the last minutes.

use std::collections::VecDeque;

use crate::protocol::process::Process;

/// How many samples are kept.
const SAMPLES: usize = 60;
/// Two samples are at least so far apart: a look in between shows the last sample's load. ms
const SPAN: u64 = 1000;

/// One program.
#[derive(Debug, Clone)]
pub struct Seen {
    /// How it fares.
    pub process: Process,
    /// How busy its processor was between the last two samples, in tenths of a percent; none before the second.
    pub cpu: Option<u32>,
    /// The processor time at the last sample, in ms.
    used: u64,
    /// Load, and memory in KiB, at the samples that it was there for, the last one last.
    pub history: VecDeque<(Option<u32>, u32)>,
}

/// All programs, as they were at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The programs, in the order of their ids.
    pub programs: Vec<Seen>,
    /// When the samples were taken, ms of the steady clock.
    pub times: VecDeque<u64>,
}

impl Snapshot {
    /// Takes in how all programs fare at a moment of the steady clock.
    pub fn update(&mut self, processes: Vec<Process>, now: u64) {
        let last = self.times.back().copied();
        let span = last.map(|last| now.saturating_sub(last));
        let sampled = span.is_none_or(|span| span >= SPAN);
        // Both lists are in the order of their ids: one that is not found is new, or has lost its history.
        let mut before = std::mem::take(&mut self.programs).into_iter().peekable();
        for process in processes {
            while before
                .next_if(|seen| seen.process.id < process.id)
                .is_some()
            {}
            let known = before.next_if(|seen| seen.process.id == process.id);
            let mut seen = known.unwrap_or_else(|| Seen {
                used: process.cpu,
                process: process.clone(),
                cpu: None,
                history: VecDeque::new(),
            });
            let same_run = (seen.process.pid, seen.process.since) == (process.pid, process.since);
            if !same_run {
                // What another run has used says nothing of this one.
                seen.cpu = None;
                seen.used = process.cpu;
            }
            seen.process = process;
            if sampled {
                seen.sample(span.filter(|_| same_run && !seen.history.is_empty()));
            }
            self.programs.push(seen);
        }
        if sampled {
            self.times.push_back(now);
            if self.times.len() > SAMPLES {
                self.times.pop_front();
            }
        }
    }
}

impl Seen {
    /// Takes a sample, `span` ms after the one before.
    fn sample(&mut self, span: Option<u64>) {
        let process = &self.process;
        self.cpu = span.filter(|_| process.pid > 0).map(|span| {
            let used = process.cpu.saturating_sub(self.used);
            let share = used.saturating_mul(1000).checked_div(span);
            u32::try_from(share.unwrap_or(0)).unwrap_or(u32::MAX)
        });
        self.used = process.cpu;
        let memory = u32::try_from(process.memory >> 10).unwrap_or(u32::MAX);
        self.history.push_back((self.cpu, memory));
        if self.history.len() > SAMPLES {
            self.history.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::program_info;

    fn process(id: u32, pid: i32, cpu: u64) -> Process {
        let mut process = program_info::sample().process;
        (process.id, process.pid, process.cpu, process.memory) = (id, pid, cpu, 2048);
        process
    }

    #[test]
    fn load_is_what_was_used_between_two_samples() {
        let mut snapshot = Snapshot::default();
        let mut look = |now, processes: Vec<Process>| {
            snapshot.update(processes, now);
            let seen = snapshot.programs.iter();
            seen.map(|seen| (seen.cpu, seen.history.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(look(0, vec![process(1, 5, 900)]), [(None, 1)]);
        assert_eq!(look(500, vec![process(1, 5, 950)]), [(None, 1)], "too soon");
        assert_eq!(look(2000, vec![process(1, 5, 1900)]), [(Some(500), 2)]);
        assert_eq!(look(2500, vec![process(1, 5, 1950)]), [(Some(500), 2)]);
        let two = vec![process(1, 5, 1900), process(2, 6, 7000)];
        assert_eq!(look(4000, two), [(Some(0), 3), (None, 1)]);
        let others = vec![process(1, 8, 10), process(2, 6, 9000)];
        assert_eq!(
            look(5000, others),
            [(None, 4), (Some(2000), 2)],
            "another run"
        );
        assert_eq!(look(6000, vec![process(2, 6, 9000)]), [(Some(0), 3)]);
    }

    #[test]
    fn the_history_is_bounded_and_as_long_as_the_times() {
        let mut snapshot = Snapshot::default();
        for turn in 0..200 {
            snapshot.update(vec![process(1, 5, turn)], turn * SPAN);
        }
        assert_eq!(snapshot.programs[0].history.len(), SAMPLES);
        assert_eq!(snapshot.times.len(), SAMPLES);
        assert_eq!(snapshot.times.back(), Some(&(199 * SPAN)));
    }
}
