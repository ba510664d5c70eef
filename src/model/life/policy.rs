//! When and how often a program is started again.

use crate::model::spec::Spec;

/// How a program is ended and started again; the fields have the names of [`Spec`]. Milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Policy {
    pub autorestart: bool,
    pub max_restarts: u32,
    pub min_uptime: u64,
    pub restart_delay: u64,
    pub exp_backoff_restart_delay: u64,
    pub stop_exit_codes: Vec<i32>,
    pub kill_timeout: u64,
}

impl Policy {
    /// The policy that a spec asks for.
    pub fn of(spec: &Spec) -> Policy {
        Policy {
            autorestart: spec.autorestart,
            max_restarts: spec.max_restarts,
            min_uptime: spec.min_uptime.0,
            restart_delay: spec.restart_delay.0,
            exp_backoff_restart_delay: spec.exp_backoff_restart_delay.0,
            stop_exit_codes: spec.stop_exit_codes.0.clone(),
            kill_timeout: spec.kill_timeout.0,
        }
    }

    /// How long to wait before the next launch, after `unstable` short runs in a row.
    pub fn delay(&self, unstable: u32) -> u64 {
        if self.restart_delay > 0 {
            return self.restart_delay;
        }
        if self.exp_backoff_restart_delay > 0 {
            let mut delay = self.exp_backoff_restart_delay;
            for _ in 1..unstable.min(64) {
                delay = delay.saturating_mul(3) / 2;
            }
            return delay.min(EXP_BACKOFF_MAX.max(self.exp_backoff_restart_delay));
        }
        match unstable {
            0 | 1 => 0,
            more => (BACKOFF_FIRST << (more - 2).min(16)).min(BACKOFF_MAX),
        }
    }
}

/// The first wait of the back-off that applies where none is configured; it doubles. ms
const BACKOFF_FIRST: u64 = 50;
/// The longest wait of that back-off. ms
pub(super) const BACKOFF_MAX: u64 = 5_000;
/// The longest wait of `exp_backoff_restart_delay`, as in pm2. ms
pub(super) const EXP_BACKOFF_MAX: u64 = 15_000;
