//! Ages and shares, all seen from one moment.

use crate::protocol::process::Process;
use crate::sys::clock;

/// The moment that a listing is made at.
pub struct Meter {
    now: u64,
}

impl Meter {
    /// This moment.
    pub fn new() -> Meter {
        Meter {
            now: clock::wall_ms(),
        }
    }

    /// How long ago, in ms, a moment of the wall clock was; none where it never was.
    pub fn age(&self, moment: u64) -> Option<u64> {
        (moment > 0).then(|| self.now.saturating_sub(moment))
    }

    /// How long the present run of a program has lasted, in ms.
    pub fn uptime(&self, process: &Process) -> Option<u64> {
        self.age(process.since).filter(|_| process.pid > 0)
    }

    /// The processor time of a program's process as a share of its uptime, in tenths of a percent, as ps shows it.
    pub fn cpu(&self, process: &Process) -> Option<u64> {
        Some(share(process.cpu, self.uptime(process)?))
    }

    /// The resident memory of a program's process, in bytes.
    pub fn memory(&self, process: &Process) -> Option<u64> {
        (process.memory > 0).then_some(process.memory)
    }
}

fn share(used_ms: u64, uptime_ms: u64) -> u64 {
    used_ms
        .saturating_mul(1000)
        .checked_div(uptime_ms)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_in_tenths_of_a_percent() {
        assert_eq!(share(500, 1000), 500);
        assert_eq!(share(2000, 1000), 2000);
        assert_eq!(share(7, 0), 0);
        assert_eq!(share(1, 3_600_000), 0);
    }
}
