//! How busy all programs were in the last minutes.

use std::collections::{BTreeMap, VecDeque};

use crate::client::daemon::feed::{SPAN, Table};

/// How many samples are kept.
const SAMPLES: usize = 60;

/// Processor use in tenths of a percent, where it was measured, and memory in KiB.
pub type Sample = (Option<u32>, u32);

/// The samples of all programs.
#[derive(Debug, Default)]
pub struct History {
    /// When the samples were taken, in ms of the monotonic clock, the last one last.
    pub times: VecDeque<u64>,
    /// The samples of each program, by its id, since it has been there.
    programs: BTreeMap<u32, VecDeque<Sample>>,
}

impl History {
    /// Takes a sample of all programs, unless the last one was taken just now.
    pub fn sample(&mut self, table: &Table, now: u64) {
        self.programs.retain(|id, _| table.get(*id).is_some());
        let last = self.times.back();
        if last.is_some_and(|last| now.saturating_sub(*last) < SPAN) {
            return;
        }
        push(&mut self.times, now);
        for program in table.programs() {
            let kib = u32::try_from(program.process.memory >> 10).unwrap_or(u32::MAX);
            let samples = self.programs.entry(program.process.id).or_default();
            push(samples, (program.cpu, kib));
        }
    }

    /// The samples of a program, the last one last.
    pub fn of(&self, id: u32) -> impl Iterator<Item = Sample> {
        self.programs.get(&id).into_iter().flatten().copied()
    }
}

fn push<T>(samples: &mut VecDeque<T>, sample: T) {
    samples.push_back(sample);
    if samples.len() > SAMPLES {
        samples.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::process::Process;
    use crate::protocol::program_info;

    fn process(id: u32, cpu: u64) -> Process {
        let mut process = program_info::sample().process;
        (process.id, process.pid, process.cpu, process.memory) = (id, 5, cpu, 2048);
        process
    }

    #[test]
    fn samples_have_a_distance_and_belong_to_programs_that_are_there() {
        let (mut table, mut history) = (Table::default(), History::default());
        let mut sample = |now, processes: Vec<Process>| {
            table.replace(processes, now);
            history.sample(&table, now);
            let one: Vec<_> = history.of(1).collect();
            (one, history.of(2).count(), history.times.len())
        };
        assert_eq!(sample(0, vec![process(1, 0)]), (vec![(None, 2)], 0, 1));
        assert_eq!(sample(500, vec![process(1, 9)]).2, 1, "too soon");
        let (one, two, times) = sample(2000, vec![process(1, 1000), process(2, 0)]);
        assert_eq!((one, two, times), (vec![(None, 2), (Some(500), 2)], 1, 2));
        assert_eq!(sample(4000, vec![process(2, 0)]), (vec![], 2, 3));
    }

    #[test]
    fn the_history_is_bounded() {
        let (mut table, mut history) = (Table::default(), History::default());
        for turn in 0..200 {
            table.replace(vec![process(1, turn)], turn * SPAN);
            history.sample(&table, turn * SPAN);
        }
        assert_eq!(history.of(1).count(), SAMPLES);
        assert_eq!(history.times.len(), SAMPLES);
        assert_eq!(history.times.back(), Some(&(199 * SPAN)));
    }
}
