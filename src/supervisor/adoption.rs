//! Finding programs again: what the records know is taken over by the next supervisor.

use super::records;
use super::server::Supervisor;
use crate::app::life::{Event, Life, State, Want};
use crate::sys::clock;
use crate::sys::pidfd::PidFd;

impl Supervisor {
    /// Takes over the programs that the records know: those that live are adopted, those that should are started.
    pub(super) fn take_over(&mut self) {
        for id in self.recorded_ids() {
            self.next_id = self.next_id.max(id.saturating_add(1));
            match records::load(&self.home, id) {
                Ok(Some(found)) => self.take_over_one(found),
                Ok(None) => {
                    let _ = std::fs::remove_dir_all(self.home.records(id).folder());
                }
                Err(e) => {
                    let aside = records::set_aside(&self.home, id);
                    let aside = aside.map_or_else(|e| e.to_string(), |p| p.display().to_string());
                    self.journal.note(format_args!(
                        "program {id} is left out: {e}; set aside: {aside}"
                    ));
                }
            }
        }
    }

    fn recorded_ids(&self) -> Vec<u32> {
        let entries = std::fs::read_dir(self.home.run())
            .into_iter()
            .flatten()
            .flatten();
        let mut ids: Vec<u32> = entries
            .filter_map(|entry| super::program::id_of(&entry.file_name()))
            .collect();
        ids.sort_unstable();
        ids
    }

    fn take_over_one(&mut self, found: records::Found) {
        let mut program = found.program;
        let id = program.id;
        // Whatever its FIFOs hold is to be saved.
        program.logged = true;
        let spec = std::rc::Rc::make_mut(&mut program.spec);
        spec.env = self.share_environment(std::rc::Rc::clone(&spec.env));
        let held = found.last.and_then(|(pid, start)| {
            let held = PidFd::open(pid).ok()?;
            // Looked at after it is held: the number cannot be another's any more.
            self.proc
                .as_ref()
                .is_some_and(|proc| proc.is(pid, start))
                .then_some((pid, start, held))
        });
        let want = program.life.want;
        let errored = program.life.state == State::Errored;
        if let Some((pid, start, held)) = held {
            let started = start.saturating_mul(1000) / clock::ticks_per_second();
            let age = clock::boottime_ms().saturating_sub(started);
            program.since = clock::wall_ms().saturating_sub(age);
            let life = std::mem::take(&mut program.life);
            program.life = Life::adopted(life, pid.get(), self.now.saturating_sub(age));
            program.group = Some(pid);
            program.adopted = Some(held);
            program.foreign = true;
        }
        let lives = program.adopted.is_some();
        self.programs.insert(id, program);
        match (want, lives) {
            (Want::Down, true) => self.feed(id, Event::Stop),
            (Want::Up, false) if !errored => self.feed(id, Event::Start),
            _ => {}
        }
    }
}
