//! What a program uses of the machine, read by the client: the daemon does not spend its time on it.

use crate::protocol::process::Process;
use crate::sys::clock;
use crate::sys::pid::Pid;
use crate::sys::procfs::ProcDir;

/// Looks at running programs, all at one moment.
pub struct Meter {
    now: u64,
    proc: Option<ProcDir>,
}

impl Meter {
    /// A look at this moment.
    pub fn new() -> Meter {
        Meter {
            now: clock::wall_ms(),
            proc: None,
        }
    }

    /// How long ago, in ms, a moment of the wall clock was; none where it never was.
    pub fn age(&self, moment: u64) -> Option<u64> {
        (moment > 0).then(|| self.now.saturating_sub(moment))
    }

    /// How long the present run of a program has lasted, in ms.
    pub fn uptime(&self, process: &Process) -> Option<u64> {
        Pid::new(process.pid)?;
        self.age(process.since)
    }

    /// The processor time of a program's process as a share of its uptime, in tenths of a percent, as ps shows it.
    pub fn cpu(&self, process: &Process) -> Option<u64> {
        let used = clock::process_cpu_ns(Pid::new(process.pid)?).ok()?;
        Some(share(used, self.uptime(process)?))
    }

    /// The resident memory of a program's process, in bytes.
    pub fn memory(&mut self, process: &Process) -> Option<u64> {
        let pid = Pid::new(process.pid)?;
        if self.proc.is_none() {
            self.proc = ProcDir::open().ok();
        }
        self.proc.as_ref()?.rss_bytes(pid).ok()
    }
}

fn share(used_ns: u64, uptime_ms: u64) -> u64 {
    used_ns
        .checked_div(uptime_ms.saturating_mul(1000))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_in_tenths_of_a_percent() {
        assert_eq!(share(500_000_000, 1000), 500);
        assert_eq!(share(2_000_000_000, 1000), 2000);
        assert_eq!(share(7, 0), 0);
        assert_eq!(share(1_000_000, 3_600_000), 0);
    }
}
