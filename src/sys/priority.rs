//! Who gets the processor first.

use std::io;

use super::check;

/// By how much the daemons go before programs that take every processor: then they need a few milliseconds to come back,
/// not a few hundred.
const BY: i32 = 10;

/// The nice value of this process. `getpriority(2)`
pub fn nice() -> i32 {
    // SAFETY: takes numbers. -1 is an answer too; there is no failure for the process itself.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Sets the nice value of this process. `setpriority(2)`
fn set_nice(value: i32) -> io::Result<()> {
    // SAFETY: takes numbers.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) }).map(drop)
}

/// Goes before others, where that is allowed, and returns the nice value that was: what programs get back. The kernel
/// may weigh whole sessions against each other, which has a value of its own. `sched(7)` autogroup
pub fn raise() -> i32 {
    let before = nice();
    if set_nice(before.saturating_sub(BY)).is_ok() {
        let _ = std::fs::write(
            "/proc/self/autogroup",
            format!("{}", before.saturating_sub(BY)),
        );
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::daemonize::{Fork, exit_now, fork};
    use crate::sys::wait;

    #[test]
    fn what_was_is_returned_and_more_is_had_where_it_is_allowed() {
        let own = nice();
        let Fork::Parent(child) = fork().unwrap() else {
            let before = raise();
            let allowed = set_nice(nice()).is_ok();
            let gone_before = nice() == (own - BY).max(-20) || nice() == own;
            exit_now(i32::from(!(before == own && allowed && gone_before)));
        };
        assert_eq!(
            wait::wait_for(child),
            Some(crate::model::life::Exit::Code(0))
        );
    }
}
