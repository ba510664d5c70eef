//! The details of a program that `rpm describe` prints.

use super::output::{Look, Tint, harmless};
use super::process_table::{percent, tint};
use super::shell::quoted;
use super::usage::Meter;
use super::users::Users;
use crate::model::command;
use crate::model::field::FIELDS;
use crate::model::life::Exit;
use crate::model::spec::Spec;
use crate::model::value::Bytes;
use crate::protocol::program_info::ProgramInfo;
use crate::sys::clock;
use crate::units;

/// The fields that a block shows by itself, before those that differ from their default.
const SHOWN: [&str; 9] = [
    "name",
    "namespace",
    "script",
    "args",
    "cwd",
    "interpreter",
    "out_file",
    "error_file",
    "log_file",
];

/// The details of a program, a line each.
pub fn block(record: &ProgramInfo, meter: &mut Meter, look: Look) -> String {
    let rows = rows(record, meter);
    let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut out = String::new();
    for (key, value) in rows {
        let tint = match key.as_str() {
            "status" => look.tint(tint(record.process.state)),
            _ => "",
        };
        let end = if tint.is_empty() { "" } else { look.plain() };
        let (heading, plain) = (look.tint(Tint::Heading), look.plain());
        let value = harmless(&value);
        out.push_str(&format!(
            "{heading}{key:<width$}{plain}  {tint}{value}{end}\n"
        ));
    }
    out
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn words(words: &[Bytes]) -> String {
    words
        .iter()
        .map(|word| quoted(&lossy(word)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// How a program ended.
pub fn exit_text(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => units::signal_name(signal),
        Exit::Unknown => "unknown: the daemon was not its parent".to_owned(),
    }
}

/// How much output could not be written, and since when where that is so at present.
fn lost_text(record: &ProgramInfo) -> Option<String> {
    let lost = record.process.lost;
    let size = units::format_bytes(lost);
    let text = match record.losing_since {
        Some(first) => {
            // To the second: the date and the time of `2026-11-25T12:00:00.000+01:00`.
            let moment = clock::moment(first).to_string();
            let (date, time) = moment.split_once('T')?;
            let time = time.split('.').next()?;
            format!("{size} in all, at present since {date} {time}")
        }
        None => format!("{size} in all"),
    };
    (lost > 0).then_some(text)
}

/// All that is known of a program, a pair each.
pub fn rows(record: &ProgramInfo, meter: &mut Meter) -> Vec<(String, String)> {
    let (process, spec) = (&record.process, &record.spec);
    let ago = |age: Option<u64>| age.map(|age| format!("{} ago", units::format_age(age)));
    let exit = process.exit.map(exit_text);
    let some = |text: String| (!text.is_empty()).then_some(text);
    let mut rows: Vec<(String, String)> = Vec::new();
    for (key, value) in [
        ("id", Some(process.id.to_string())),
        ("name", Some(process.name.clone())),
        ("namespace", Some(process.namespace.clone())),
        ("status", Some(process.state.word().to_owned())),
        ("pid", (process.pid > 0).then(|| process.pid.to_string())),
        ("uptime", meter.uptime(process).map(units::format_age)),
        ("cpu", meter.cpu(process).map(percent)),
        ("memory", meter.memory(process).map(units::format_bytes)),
        ("restarts", Some(process.restarts.to_string())),
        ("unstable restarts", Some(process.unstable.to_string())),
        ("last end", exit),
        ("created", ago(meter.age(process.created))),
        ("user", Some(Users::default().name(process.uid).to_owned())),
        ("mode", Some(record.process.mode.word().to_owned())),
        ("script", Some(lossy(&spec.script))),
        ("args", some(words(&spec.args))),
        (
            "interpreter",
            Some(command::interpreter_shown(spec).to_owned()),
        ),
        ("cwd", Some(lossy(&spec.cwd))),
        ("out log", some(lossy(&record.out_path))),
        ("error log", some(lossy(&record.error_path))),
        ("pid file", some(lossy(&record.pid_path))),
    ] {
        rows.push((key.to_owned(), value.unwrap_or_else(|| "-".to_owned())));
    }
    // What most have none of is no row.
    for (key, value) in [
        ("log file", some(lossy(&record.log_path))),
        ("lost output", lost_text(record)),
        ("failure", some(record.failure.clone())),
        ("left behind", some(record.left.clone())),
    ] {
        rows.extend(value.map(|value| (key.to_owned(), value)));
    }
    let default = Spec::default();
    for field in FIELDS.iter().filter(|field| !SHOWN.contains(&field.name)) {
        let values = (field.write)(spec);
        if values != (field.write)(&default) {
            rows.push((field.name.replace('_', " "), words(&values)));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::program_info;

    #[test]
    fn a_block_shows_what_differs_from_the_default() {
        let text = block(&program_info::sample(), &mut Meter::new(), Look::default());
        let row = |key: &str| {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{key}  ")));
            line.map(|line| line[key.len()..].trim().to_owned())
        };
        assert_eq!(row("status").as_deref(), Some("online"));
        assert_eq!(row("last end").as_deref(), Some("SIGKILL"));
        assert_eq!(row("args").as_deref(), Some("--port '30 00'"));
        assert_eq!(row("autorestart").as_deref(), Some("false"));
        assert_eq!(row("kill timeout").as_deref(), Some("3000"));
        assert_eq!(row("min uptime"), None);
        assert_eq!((row("log file"), row("lost output")), (None, None));
        assert!(text.starts_with("id "));
    }

    #[test]
    fn log_files_and_what_was_lost_of_them_are_shown() {
        let mut record = program_info::sample();
        record.log_path = b"/l/api.log".to_vec();
        record.spec.log_file = b"/l/api.log".to_vec();
        record.process.lost = 12_900_000;
        let shown = |record: &ProgramInfo| {
            let text = block(record, &mut Meter::new(), Look::default());
            let lines = text
                .lines()
                .filter(|l| l.contains("log") || l.contains("lost"));
            let lines =
                lines.map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
            lines.collect::<Vec<_>>()
        };
        let mut expected = vec![
            "out log /l/api-out.log",
            "error log /l/api-error.log",
            "log file /l/api.log",
            "lost output 12.3mb in all",
        ];
        assert_eq!(shown(&record), expected);
        record.losing_since = Some(1_700_000_000_123);
        let moment = clock::moment(1_700_000_000_123).to_string();
        let now = format!(
            "lost output 12.3mb in all, at present since {} {}",
            &moment[..10],
            &moment[11..19]
        );
        expected[3] = &now;
        assert_eq!(shown(&record), expected);
    }
}
