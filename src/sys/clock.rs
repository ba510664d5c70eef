//! Clocks, local time, and the boot id.

use std::io;

use super::check;
use super::lookup::Lookup;
use super::pid::Pid;
use crate::model::stamp::{Moment, Reading};

fn read(clock: libc::clockid_t) -> io::Result<libc::timespec> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    Ok(time)
}

fn millis(time: libc::timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1000)
        .saturating_add(nanos / 1_000_000)
}

/// The time in ms of a clock that is never set, for timers. `clock_gettime(2)` CLOCK_MONOTONIC
pub fn monotonic_ms() -> u64 {
    read(libc::CLOCK_MONOTONIC).map_or(0, millis)
}

/// The time in ms since boot, including suspend. `clock_gettime(2)` CLOCK_BOOTTIME
pub fn boottime_ms() -> u64 {
    read(libc::CLOCK_BOOTTIME).map_or(0, millis)
}

/// The wall clock time in ms since the epoch. `clock_gettime(2)` CLOCK_REALTIME
pub fn wall_ms() -> u64 {
    read(libc::CLOCK_REALTIME).map_or(0, millis)
}

/// The processor time of all threads of a process, in ns. One system call, where reading `/proc` takes three.
/// `clock_getcpuclockid(3)`
///
/// # Errors
/// `ESRCH` if the process does not exist or was reaped.
pub fn process_cpu_ns(pid: Pid) -> io::Result<u64> {
    // The clock id of a process, as the C library computes it; CPUCLOCK_SCHED is 2.
    let time = read((!pid.get()) << 3 | 2)?;
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Ok(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Clock ticks per second, the unit of times in `/proc`. `sysconf(3)` _SC_CLK_TCK
pub fn ticks_per_second() -> u64 {
    // SAFETY: sysconf takes only a number.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).unwrap_or(100).max(1)
}

/// A wall clock time in ms since the epoch, as a local date and time of day. `localtime_r(3)`
pub fn moment(wall_ms: u64) -> Moment {
    let seconds = libc::time_t::try_from(wall_ms / 1000).unwrap_or(0);
    // SAFETY: a tm is plain data; localtime_r writes it and keeps no pointer.
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        libc::localtime_r(&raw const seconds, &raw mut tm);
        tm
    };
    let part = |value: libc::c_int| u32::try_from(value).unwrap_or(0);
    Moment {
        ms: wall_ms,
        year: tm.tm_year + 1900,
        month: part(tm.tm_mon + 1),
        day: part(tm.tm_mday),
        hour: part(tm.tm_hour),
        minute: part(tm.tm_min),
        second: part(tm.tm_sec),
        weekday: part(tm.tm_wday),
        yearday: part(tm.tm_yday + 1),
        offset: i32::try_from(tm.tm_gmtoff / 60).unwrap_or(0),
    }
}

/// The time that was read from a time stamp, in ms since the epoch; `None` before the epoch. In the hour that local
/// time repeats when summer time ends, either time is returned. `mktime(3)`
pub fn since_epoch(reading: &Reading) -> Option<u64> {
    let civil = match reading {
        Reading::At(ms) => return Some(*ms),
        Reading::Local(civil) => civil,
    };
    let part = |value: u32| libc::c_int::try_from(value).unwrap_or(0);
    // SAFETY: a tm is plain data; mktime reads and writes it and keeps no pointer.
    let seconds = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        tm.tm_year = civil.year - 1900;
        tm.tm_mon = part(civil.month) - 1;
        tm.tm_mday = part(civil.day);
        tm.tm_hour = part(civil.hour);
        tm.tm_min = part(civil.minute);
        tm.tm_sec = part(civil.second);
        tm.tm_isdst = -1;
        libc::mktime(&raw mut tm)
    };
    let ms = u64::try_from(seconds).ok()?.checked_mul(1000)?;
    Some(ms + u64::from(civil.milli))
}

/// The boot id, from `/proc/sys/kernel/random/boot_id`. `random(4)`
pub fn boot_id() -> Lookup<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    Lookup::of(text, &[libc::ENOENT]).map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stamp::Civil;

    #[test]
    fn clocks_have_plausible_times() {
        assert!(monotonic_ms() > 0 && wall_ms() > 1_600_000_000_000);
        assert!(boottime_ms() + 1000 >= monotonic_ms());
        let own = Pid::new(Pid::own()).unwrap();
        assert!(process_cpu_ns(own).unwrap() > 0);
        assert!(process_cpu_ns(Pid::new(4_194_303).unwrap()).is_err());
    }

    #[test]
    fn local_times_are_read_back() {
        // Every three hours for a year, across the changes of summer time.
        for hours in 0..3000 {
            let ms = 1_700_000_000_123 + hours * 3 * 3_600_000;
            let at = moment(ms);
            let local = Civil {
                year: at.year,
                month: at.month,
                day: at.day,
                hour: at.hour,
                minute: at.minute,
                second: at.second,
                milli: 123,
            };
            assert_eq!(local.as_utc() - i64::from(at.offset) * 60_000, ms as i64);
            let back = since_epoch(&Reading::Local(local)).unwrap();
            assert!(back.abs_diff(ms) == 0 || back.abs_diff(ms) == 3_600_000);
        }
        assert_eq!(since_epoch(&Reading::At(5)), Some(5));
    }

    #[test]
    fn a_local_time_is_displayed_as_iso_8601() {
        let text = moment(1_700_000_000_123).to_string();
        assert_eq!((text.len(), &text[19..23]), (29, ".123"));
    }
}
