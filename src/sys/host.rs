//! The load and memory of the machine. `proc(5)`

use std::fs;

/// The load averages of the last 1, 5 and 15 minutes, in hundredths. `proc_loadavg(5)`
pub fn load() -> Option<[u64; 3]> {
    parse_load(&fs::read_to_string("/proc/loadavg").ok()?)
}

/// The used and the total memory, in bytes. Memory that is available without swapping is not used. `proc_meminfo(5)`
pub fn memory() -> Option<(u64, u64)> {
    parse_memory(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse_load(text: &str) -> Option<[u64; 3]> {
    let mut words = text.split(' ');
    let mut next = || {
        let (whole, part) = words.next()?.split_once('.')?;
        Some(whole.parse::<u64>().ok()? * 100 + part.get(..2)?.parse::<u64>().ok()?)
    };
    Some([next()?, next()?, next()?])
}

fn parse_memory(text: &str) -> Option<(u64, u64)> {
    let bytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib = line.trim_start_matches(':').trim().strip_suffix(" kB")?;
        Some(kib.parse::<u64>().ok()? << 10)
    };
    let total = bytes("MemTotal")?;
    // MemAvailable exists since Linux 3.14.
    let free = bytes("MemAvailable").or_else(|| bytes("MemFree"))?;
    Some((total.saturating_sub(free), total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loadavg_and_meminfo_are_parsed() {
        assert_eq!(
            parse_load("0.05 12.30 3.00 1/200 4711\n"),
            Some([5, 1230, 300])
        );
        assert_eq!(parse_load("nonsense"), None);
        let text = "MemTotal:        4000 kB\nMemFree:  10 kB\nMemAvailable:    1000 kB\n";
        assert_eq!(parse_memory(text), Some((3000 << 10, 4000 << 10)));
        assert_eq!(parse_memory("MemTotal: 4 kB\n"), None);
        assert!(load().is_some() && memory().is_some_and(|(used, total)| used <= total));
    }
}
