//! What the machine is and how busy it is, as `/proc` says. `proc(5)`

use std::fs;

use crate::config::json::Json;
use crate::sys::clock;
use crate::sys::interfaces;
use crate::sys::user;
use crate::units;

/// The figures that change from moment to moment.
#[derive(Debug, Default, PartialEq)]
pub struct System {
    /// How many processes wanted a processor in the last 1, 5 and 15 minutes, as the kernel writes it.
    pub load: Vec<String>,
    /// Memory in bytes.
    pub total_memory: u64,
    /// What of it a program could still have, in bytes.
    pub free_memory: u64,
    /// How many processors there are.
    pub processors: usize,
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

impl System {
    /// As it is now.
    pub fn now() -> System {
        let processors = std::thread::available_parallelism();
        System {
            processors: processors.map_or(1, usize::from),
            ..System::parse(&read("/proc/loadavg"), &read("/proc/meminfo"))
        }
    }

    fn parse(loadavg: &str, meminfo: &str) -> System {
        let words = loadavg.split_ascii_whitespace().take(3);
        let bytes = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
            let kib =
                line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or(0).saturating_mul(1024)
        };
        System {
            // Only what is a number in JSON too.
            load: words
                .filter(|word| units::parse_millis(word).is_some())
                .map(str::to_owned)
                .collect(),
            total_memory: bytes("MemTotal:"),
            free_memory: bytes("MemAvailable:"),
            processors: 0,
        }
    }

    /// The load as an array.
    pub fn write_load(&self, json: &mut Json) {
        json.array(|json| self.load.iter().for_each(|load| json.bare(load)));
    }
}

/// `system_info` of pm2.
pub fn write_info(json: &mut Json) {
    json.object(|json| {
        json.key(b"hostname").string(user::host_name().as_bytes());
        json.key(b"uptime").bare(clock::boottime_ms() / 1000);
    });
}

/// `monit` of pm2: what Node's `os` tells.
pub fn write_monit(json: &mut Json) {
    let system = System::now();
    json.object(|json| {
        system.write_load(json.key(b"loadavg"));
        json.key(b"total_mem").bare(system.total_memory);
        json.key(b"free_mem").bare(system.free_memory);
        write_processors(
            json.key(b"cpu"),
            &read("/proc/stat"),
            &read("/proc/cpuinfo"),
        );
        write_interfaces(json.key(b"interfaces"));
    });
}

/// An object for each processor, as `os.cpus()` has it: the model, the clock in MHz, and times in ms since boot.
fn write_processors(json: &mut Json, stat: &str, cpuinfo: &str) {
    let mut models = values(cpuinfo, "model name");
    let mut clocks = values(cpuinfo, "cpu MHz");
    let tick = 1000 / clock::ticks_per_second().min(1000);
    json.array(|json| {
        for line in stat.lines() {
            let mut words = line.split_ascii_whitespace();
            let name = words.next().unwrap_or_default();
            let number = name.strip_prefix("cpu").unwrap_or_default();
            if number.is_empty() {
                continue;
            }
            let times: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
            let ms = |at: usize| times.get(at).copied().unwrap_or(0).saturating_mul(tick);
            json.object(|json| {
                json.key(b"model")
                    .string(models.next().unwrap_or("unknown").as_bytes());
                let clock = clocks
                    .next()
                    .and_then(|mhz| mhz.split('.').next()?.parse().ok());
                json.key(b"speed").bare(clock.unwrap_or(0u32));
                json.key(b"times").object(|json| {
                    for (name, at) in [
                        ("user", 0),
                        ("nice", 1),
                        ("sys", 2),
                        ("idle", 3),
                        ("irq", 5),
                    ] {
                        json.key(name.as_bytes()).bare(ms(at));
                    }
                });
            });
        }
    });
}

/// What stands behind the colons of the lines of this name.
fn values<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let named = pairs.filter(move |(key, _)| key.trim() == name);
    named.map(|(_, value)| value.trim())
}

/// The addresses of each interface, as `os.networkInterfaces()` has them.
fn write_interfaces(json: &mut Json) {
    let all = interfaces::all().unwrap_or_default();
    let mut names: Vec<&str> = Vec::new();
    for one in &all {
        if !names.contains(&one.name.as_str()) {
            names.push(&one.name);
        }
    }
    json.object(|json| {
        for name in names {
            let mac = read(&format!("/sys/class/net/{name}/address"));
            json.key(name.as_bytes()).array(|json| {
                for one in all.iter().filter(|one| one.name == name) {
                    json.object(|json| {
                        json.key(b"address")
                            .string(one.address.to_string().as_bytes());
                        let mask = one.netmask.map(|mask| mask.to_string());
                        json.key(b"netmask")
                            .string(mask.unwrap_or_default().as_bytes());
                        let family = if one.address.is_ipv4() {
                            "IPv4"
                        } else {
                            "IPv6"
                        };
                        json.key(b"family").string(family.as_bytes());
                        json.key(b"mac").string(mac.trim().as_bytes());
                        json.key(b"internal").bare(one.internal);
                    });
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_read() {
        let meminfo = "MemTotal:  2048 kB\nMemFree:  1 kB\nMemAvailable:  1024 kB\n";
        let system = System::parse("0.10 nan 2.25 1/99 1234\n", meminfo);
        assert_eq!(system.load, ["0.10", "2.25"]);
        assert_eq!(
            (system.total_memory, system.free_memory),
            (2 << 20, 1 << 20)
        );
        let now = System::now();
        assert!(now.load.len() == 3 && now.total_memory > now.free_memory && now.processors > 0);
    }

    #[test]
    fn each_processor_has_an_object_of_its_own() {
        let mut json = Json::new(false);
        let stat = "cpu  9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7\ncpu1 8 0 0 0 0 0\nintr 1\n";
        write_processors(
            &mut json,
            stat,
            "processor\t: 0\nmodel name\t: X 1: y\ncpu MHz\t\t: 2000.1\n",
        );
        let expected = r#"[{"model":"X 1: y","speed":2000,"times":{"user":10,"nice":20,"sys":30,"idle":40,"irq":60}},"#;
        let text = json.finish();
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains(r#"{"model":"unknown","speed":0,"times":{"user":80,"#),
            "{text}"
        );
    }
}
