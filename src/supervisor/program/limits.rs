//! What the daemon has changed for itself, as it was: programs get it back. One that is executed by another supervisor or
//! by the log writer is told, as it cannot see it any more.

use std::fmt;

use crate::error::{Context, Result};
use crate::sys::{fd, priority};

/// As it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The limits of open descriptors, soft then hard.
    pub nofile: (u64, u64),
    /// The nice value.
    pub nice: i32,
}

impl Limits {
    /// Raises what this process may have.
    pub fn raise() -> Result<Limits> {
        let nofile = fd::raise_nofile()
            .or_else(|_| fd::nofile_limit())
            .doing(|| "reading the limit of open files")?;
        Ok(Limits {
            nofile,
            nice: priority::raise(),
        })
    }

    /// Reads what was written.
    pub fn parse(text: &str) -> Option<Limits> {
        let mut words = text.split(':');
        let mut next = || words.next();
        Some(Limits {
            nofile: (next()?.parse().ok()?, next()?.parse().ok()?),
            nice: next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (soft, hard) = self.nofile;
        write!(f, "{soft}:{hard}:{}", self.nice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_they_are_written() {
        let limits = Limits {
            nofile: (1024, u64::MAX),
            nice: -5,
        };
        assert_eq!(Limits::parse(&limits.to_string()), Some(limits));
        for wrong in ["", "1:2", "1:2:x"] {
            assert_eq!(Limits::parse(wrong), None);
        }
    }
}
