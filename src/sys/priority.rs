//! The scheduling priority of the daemons.

use std::io;

use super::check;

/// By how much the nice value of the daemons is lowered. When programs use all processors, the daemons then respond within
/// a few milliseconds instead of hundreds.
const BY: i32 = 10;

/// The nice value of this process. `getpriority(2)`
pub fn nice() -> i32 {
    // SAFETY: takes only numbers. It cannot fail for the calling process; -1 is a nice value.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Sets the nice value of this process. `setpriority(2)`
fn set_nice(value: i32) -> io::Result<()> {
    // SAFETY: takes only numbers.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) }).map(drop)
}

/// Lowers the nice value if that is permitted, and returns the old one, which programs get back. Also lowers that of the
/// autogroup, as the kernel may schedule sessions as groups. `sched(7)`
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
    fn the_old_value_is_returned_and_the_new_one_set_if_permitted() {
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
