//! The time namespace of this process, which shifts the start times in `/proc`. `time_namespaces(7)`

use std::io;
use std::sync::OnceLock;

use super::clock;

/// Whether two start times of a process in clock ticks are equal. Each may have been read in another time namespace.
pub fn same_start(one: u64, other: u64) -> bool {
    // An offset that is not a multiple of a tick changes how the kernel rounds.
    let whole = OFFSET.get().is_none_or(|offset| offset.whole);
    one.abs_diff(other) <= u64::from(!whole)
}

/// The offset of the boot time clock in this time namespace. Start times in `/proc` are shifted by it. Start times are
/// recorded without it, as in the initial namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootOffset {
    /// In clock ticks.
    pub ticks: i64,
    whole: bool,
}

static OFFSET: OnceLock<BootOffset> = OnceLock::new();

/// The offset of the time namespace of this process.
///
/// # Errors
/// `/proc/self/timens_offsets` exists and cannot be read.
pub fn boot_offset() -> io::Result<BootOffset> {
    if let Some(offset) = OFFSET.get() {
        return Ok(*offset);
    }
    let text = match std::fs::read_to_string("/proc/self/timens_offsets") {
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        other => other?,
    };
    let offset = parse_offset(&text, clock::ticks_per_second());
    Ok(*OFFSET.get_or_init(|| offset))
}

/// Parses lines of a clock name, seconds, which may be negative, and nanoseconds, which are not.
fn parse_offset(text: &str, ticks_per_second: u64) -> BootOffset {
    let line = text.lines().find_map(|line| line.strip_prefix("boottime"));
    let mut words = line.unwrap_or_default().split_ascii_whitespace();
    let mut next = || words.next().and_then(|word| word.parse::<i64>().ok());
    let (seconds, nanos) = (next().unwrap_or(0), next().unwrap_or(0));
    let per_second = i64::try_from(ticks_per_second).unwrap_or(100);
    let tick = 1_000_000_000 / per_second;
    BootOffset {
        ticks: seconds
            .saturating_mul(per_second)
            .saturating_add(nanos / tick),
        whole: nanos % tick == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_time_namespace_is_read() {
        let text = |seconds: i64, nanos: i64| {
            let text =
                format!("monotonic           7         0\nboottime {seconds:10} {nanos:9}\n");
            let offset = parse_offset(&text, 100);
            (offset.ticks, offset.whole)
        };
        assert_eq!(text(0, 0), (0, true));
        assert_eq!(text(86400, 0), (8_640_000, true));
        assert_eq!(text(-10, 20_000_000), (-998, true));
        assert_eq!(text(1, 5), (100, false));
        assert_eq!(parse_offset("", 100).ticks, 0);
    }
}
