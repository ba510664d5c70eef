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

/// The settings that have rows of their own. Others are shown if they differ from their defaults.
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

/// The details of a program, one per line.
pub fn block(program: &ProgramInfo, meter: &mut Meter, look: Look) -> String {
    let rows = rows(program, meter);
    let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut out = String::new();
    for (key, value) in rows {
        let tint = match key.as_str() {
            "status" => look.tint(tint(program.process.state)),
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

/// The exit of a program as text.
pub fn exit_text(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => units::signal_name(signal),
        Exit::Unknown => "unknown: the daemon was not its parent".to_owned(),
    }
}

/// The size of lost output, and since when output is being lost.
fn lost_text(program: &ProgramInfo) -> Option<String> {
    let lost = program.process.lost;
    let size = units::format_bytes(lost);
    let text = match program.losing_since {
        Some(first) => {
            // In seconds: the date and the time of `2026-11-25T12:00:00.000+01:00`.
            let moment = clock::moment(first).to_string();
            let (date, time) = moment.split_once('T')?;
            let time = time.split('.').next()?;
            format!("{size} in all, at present since {date} {time}")
        }
        None => format!("{size} in all"),
    };
    (lost > 0).then_some(text)
}

/// The details of a program, as pairs of key and value.
pub fn rows(program: &ProgramInfo, meter: &mut Meter) -> Vec<(String, String)> {
    let (process, spec) = (&program.process, &program.spec);
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
        ("mode", Some(program.process.mode.word().to_owned())),
        ("script", Some(lossy(&spec.script))),
        ("args", some(words(&spec.args))),
        (
            "interpreter",
            Some(command::interpreter_shown(spec).to_owned()),
        ),
        ("cwd", Some(lossy(&spec.cwd))),
        ("out log", some(lossy(&program.out_path))),
        ("error log", some(lossy(&program.error_path))),
        ("pid file", some(lossy(&program.pid_path))),
    ] {
        rows.push((key.to_owned(), value.unwrap_or_else(|| "-".to_owned())));
    }
    // Rows that most programs do not have.
    for (key, value) in [
        ("log file", some(lossy(&program.log_path))),
        ("lost output", lost_text(program)),
        ("failure", some(program.failure.clone())),
        ("left behind", some(program.left.clone())),
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
    fn settings_that_differ_from_their_defaults_are_shown() {
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
    fn log_files_and_lost_output_are_shown() {
        let mut program = program_info::sample();
        program.log_path = b"/l/api.log".to_vec();
        program.spec.log_file = b"/l/api.log".to_vec();
        program.process.lost = 12_900_000;
        let shown = |program: &ProgramInfo| {
            let text = block(program, &mut Meter::new(), Look::default());
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
        assert_eq!(shown(&program), expected);
        program.losing_since = Some(1_700_000_000_123);
        let moment = clock::moment(1_700_000_000_123).to_string();
        let now = format!(
            "lost output 12.3mb in all, at present since {} {}",
            &moment[..10],
            &moment[11..19]
        );
        expected[3] = &now;
        assert_eq!(shown(&program), expected);
    }
}
