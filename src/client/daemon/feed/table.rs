//! The programs of a daemon, by id, with the processor time that each uses.

use crate::protocol::process::Process;

/// Processor use is measured over at least this time, in ms. A list that comes sooner leaves the last value in place.
pub const SPAN: u64 = 900;

/// One program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its last known status. Processor time and memory are those of the last list: events do not carry them.
    pub process: Process,
    /// The share of one processor that it used between the last two samples, in tenths of a percent; none before the
    /// second sample of a run.
    pub cpu: Option<u32>,
    /// Its processor time at the last sample, in ms.
    used: u64,
    /// When that was, on the monotonic clock, in ms.
    sampled: Option<u64>,
}

/// The programs.
#[derive(Debug, Default)]
pub struct Table {
    programs: Vec<Program>,
}

impl Program {
    fn new(process: Process) -> Program {
        Program {
            process,
            cpu: None,
            used: 0,
            sampled: None,
        }
    }

    fn is_same_run(&self, process: &Process) -> bool {
        (self.process.pid, self.process.since) == (process.pid, process.since)
    }

    fn sample(&mut self, process: Process, now: u64) {
        if !self.is_same_run(&process) {
            (self.cpu, self.sampled) = (None, None);
        }
        self.process = process;
        let span = self.sampled.map(|sampled| now.saturating_sub(sampled));
        if span.is_some_and(|span| span < SPAN) {
            return;
        }
        self.cpu = span.filter(|_| self.process.pid > 0).map(|span| {
            let used = self.process.cpu.saturating_sub(self.used);
            let share = used.saturating_mul(1000).checked_div(span);
            u32::try_from(share.unwrap_or(0)).unwrap_or(u32::MAX)
        });
        (self.used, self.sampled) = (self.process.cpu, Some(now));
    }
}

impl Table {
    /// The programs, by id.
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// The status of the program with this id.
    pub fn get(&self, id: u32) -> Option<&Process> {
        let at = self.place(id).ok()?;
        self.programs.get(at).map(|program| &program.process)
    }

    fn place(&self, id: u32) -> Result<usize, usize> {
        self.programs
            .binary_search_by_key(&id, |program| program.process.id)
    }

    /// Replaces the table by a list, which is sorted by id, of a moment of the monotonic clock.
    pub fn replace(&mut self, processes: Vec<Process>, now: u64) {
        let mut before = std::mem::take(&mut self.programs).into_iter().peekable();
        for process in processes {
            while before
                .next_if(|known| known.process.id < process.id)
                .is_some()
            {}
            let known = before.next_if(|known| known.process.id == process.id);
            let mut program = known.unwrap_or_else(|| Program::new(process.clone()));
            program.sample(process, now);
            self.programs.push(program);
        }
    }

    /// Enters what an event says of a program. A program that is not in the table is added where `add` says so.
    pub fn change(&mut self, mut process: Process, add: bool) {
        match self.place(process.id) {
            Ok(at) => {
                let Some(known) = self.programs.get_mut(at) else {
                    return;
                };
                if known.is_same_run(&process) {
                    process.cpu = known.process.cpu;
                    process.memory = known.process.memory;
                } else {
                    (known.cpu, known.sampled) = (None, None);
                }
                known.process = process;
            }
            Err(at) if add => self.programs.insert(at, Program::new(process)),
            Err(_) => {}
        }
    }

    /// Removes a program.
    pub fn remove(&mut self, id: u32) {
        self.programs.retain(|program| program.process.id != id);
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
    fn processor_use_is_measured_between_two_samples_of_one_run() {
        let mut table = Table::default();
        let mut list = |now, processes: Vec<Process>| {
            table.replace(processes, now);
            let programs = table.programs().iter();
            programs.map(|one| one.cpu).collect::<Vec<_>>()
        };
        assert_eq!(list(0, vec![process(1, 5, 900)]), [None]);
        assert_eq!(list(500, vec![process(1, 5, 950)]), [None], "too soon");
        assert_eq!(list(2000, vec![process(1, 5, 1900)]), [Some(500)]);
        assert_eq!(list(2500, vec![process(1, 5, 1950)]), [Some(500)]);
        let two = vec![process(1, 5, 1900), process(2, 6, 7000)];
        assert_eq!(list(4000, two), [Some(0), None]);
        let others = vec![process(1, 8, 10), process(2, 6, 9000)];
        assert_eq!(list(5000, others), [None, Some(2000)], "another run");
        assert_eq!(list(6000, vec![process(2, 6, 9000)]), [Some(0)]);
        assert_eq!(list(7000, vec![process(2, 0, 0)]), [None], "no run");
        assert_eq!(list(8000, vec![process(2, 0, 0)]), [None]);
    }

    #[test]
    fn an_event_changes_the_status_and_keeps_what_it_does_not_carry() {
        let mut table = Table::default();
        table.replace(vec![process(1, 5, 900), process(3, 6, 50)], 0);
        let mut event = process(1, 5, 0);
        (event.memory, event.restarts) = (0, 7);
        table.change(event, true);
        let known = table.get(1).unwrap();
        assert_eq!((known.cpu, known.memory, known.restarts), (900, 2048, 7));
        table.change(process(1, 9, 0), true);
        assert_eq!(table.get(1).unwrap().cpu, 0, "another run");
        table.change(process(2, 7, 0), false);
        assert!(table.get(2).is_none());
        table.change(process(2, 7, 0), true);
        table.remove(3);
        let ids: Vec<_> = table.programs().iter().map(|one| one.process.id).collect();
        assert_eq!(ids, [1, 2]);
    }
}
