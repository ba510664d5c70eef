//! How programs fare, as Prometheus reads it: text format 0.0.4, base units, names by its conventions.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> <https://prometheus.io/docs/practices/naming/>

use std::fmt::Write as _;

use crate::model::life::{Exit, STATES, State};
use crate::protocol::RELEASE;
use crate::protocol::process::Process;
use crate::units::harmless;

/// What one metric says of a program; none where there is nothing to say.
type Value = fn(&Process) -> Option<Number>;

/// A value of the text format.
enum Number {
    Whole(u64),
    Signed(i64),
    /// In thousandths.
    Milli(u64),
}

/// One metric of each program.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: Value,
}

fn running(process: &Process) -> bool {
    process.pid > 0
}

/// Every metric of a program.
#[rustfmt::skip]
const METRICS: &[Metric] = &[
    Metric { name: "rpm_program_up", kind: "gauge", help: "Whether the program is online.",
        value: |p| Some(Number::Whole(u64::from(p.state == State::Online))) },
    Metric { name: "rpm_program_restarts_total", kind: "counter", help: "How often the program was started again.",
        value: |p| Some(Number::Whole(p.restarts.into())) },
    Metric { name: "rpm_program_unstable_restarts", kind: "gauge", help: "How many of the last runs in a row did not last min_uptime.",
        value: |p| Some(Number::Whole(p.unstable.into())) },
    Metric { name: "rpm_program_created_time_seconds", kind: "gauge", help: "When the program was first started, since the epoch.",
        value: |p| Some(Number::Milli(p.created)) },
    Metric { name: "rpm_program_start_time_seconds", kind: "gauge", help: "When the present run began, since the epoch.",
        value: |p| (running(p) && p.since > 0).then_some(Number::Milli(p.since)) },
    Metric { name: "rpm_program_cpu_seconds_total", kind: "counter", help: "Processor time of the present run.",
        value: |p| running(p).then_some(Number::Milli(p.cpu)) },
    Metric { name: "rpm_program_resident_memory_bytes", kind: "gauge", help: "Resident memory.",
        value: |p| running(p).then_some(Number::Whole(p.memory)) },
    Metric { name: "rpm_program_lost_output_bytes_total", kind: "counter", help: "Output that could not be written to the log files.",
        value: |p| Some(Number::Whole(p.lost)) },
    Metric { name: "rpm_program_last_exit_code", kind: "gauge", help: "The exit code of the last run; minus the number of the signal where one ended it.",
        value: |p| match p.exit? {
            Exit::Code(code) => Some(Number::Signed(code.into())),
            Exit::Signal(signal) => Some(Number::Signed(-i64::from(signal))),
            Exit::Unknown => None,
        } },
];

/// One scrape.
pub fn text(processes: &[&Process]) -> String {
    let mut out = String::new();
    family(
        &mut out,
        "rpm_build_info",
        "gauge",
        "The version of rpm, with the value 1.",
    );
    let _ = writeln!(out, "rpm_build_info{{version=\"{RELEASE}\"}} 1");
    family(
        &mut out,
        "rpm_programs",
        "gauge",
        "How many programs are in each state.",
    );
    for state in STATES {
        let count = processes.iter().filter(|p| p.state == state).count();
        let word = state.word();
        let _ = writeln!(out, "rpm_programs{{status=\"{word}\"}} {count}");
    }
    let labels: Vec<String> = processes.iter().map(|p| labels(p)).collect();
    for metric in METRICS {
        let mut begun = false;
        for (process, labels) in processes.iter().zip(&labels) {
            let Some(number) = (metric.value)(process) else {
                continue;
            };
            if !std::mem::replace(&mut begun, true) {
                family(&mut out, metric.name, metric.kind, metric.help);
            }
            let name = metric.name;
            let _ = match number {
                Number::Whole(n) => writeln!(out, "{name}{labels} {n}"),
                Number::Signed(n) => writeln!(out, "{name}{labels} {n}"),
                Number::Milli(n) => {
                    writeln!(out, "{name}{labels} {}.{:03}", n / 1000, n % 1000)
                }
            };
        }
    }
    out
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn labels(process: &Process) -> String {
    format!(
        "{{id=\"{}\",name=\"{}\",namespace=\"{}\",instance_number=\"{}\"}}",
        process.id,
        escaped(&process.name),
        escaped(&process.namespace),
        process.instance
    )
}

/// The value of a label: backslash, quote and line feed are escaped, as the format has it. Every other control
/// character is shown as '?': a scrape is read on terminals too, and some readers end a line at a CR.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive(['\\', '"', '\n']) {
        let end = part.trim_end_matches(['\\', '"', '\n']);
        out.push_str(&harmless(end));
        match part.strip_prefix(end) {
            Some("\\") => out.push_str("\\\\"),
            Some("\"") => out.push_str("\\\""),
            Some("\n") => out.push_str("\\n"),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::program_info;

    #[test]
    fn each_family_has_one_head_and_hostile_names_stay_in_their_quotes() {
        let stopped = program_info::sample().process;
        let mut running = stopped.clone();
        (running.pid, running.cpu, running.memory, running.exit) = (7, 1234, 4096, None);
        running.name = "a\"b\\c\nd\r\x1b[2J\u{9b}\u{2028}é".into();
        running.lost = 5;
        let text = text(&[&stopped, &running]);
        for line in [
            "rpm_programs{status=\"online\"} 2",
            "rpm_programs{status=\"waiting restart\"} 0",
            "rpm_program_restarts_total{id=\"3\",name=\"api\",namespace=\"web\",instance_number=\"1\"} 2",
            "rpm_program_last_exit_code{id=\"3\",name=\"api\",namespace=\"web\",instance_number=\"1\"} -9",
            r#"rpm_program_lost_output_bytes_total{id="3",name="api",namespace="web",instance_number="1"} 0"#,
            r#"rpm_program_lost_output_bytes_total{id="3",name="a\"b\\c\nd??[2J??é",namespace="web",instance_number="1"} 5"#,
            r#"rpm_program_cpu_seconds_total{id="3",name="a\"b\\c\nd??[2J??é",namespace="web",instance_number="1"} 1.234"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
        }
        for metric in METRICS {
            assert_eq!(text.matches(&format!("# TYPE {} ", metric.name)).count(), 1);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == "counter");
            assert!(metric.help.ends_with('.'));
        }
        assert_eq!(
            text.matches("rpm_program_resident_memory_bytes{").count(),
            1
        );
    }
}
