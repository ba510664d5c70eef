//! A program in pm2's saved list, `dump.pm2`.
//!
//! An object holds the attributes, the resolved paths (`pm_exec_path`, `pm_cwd`, …), and the environment under `env`.
//! Each variable, and pm2's counters, are repeated beside them. Lists of pm2 before 0.9 have another form and are not
//! read.

use super::attribute::{self, Fate};
use super::dump::{Fault, Saved, assignment};
use super::json::{Member, Node, Value};
use super::settings;
use crate::model::field::{self, Field};
use crate::model::life::Want;
use crate::model::spec::{BESIDE, Environment, Spec};
use crate::model::value::Bytes;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

/// How the names begin that pm2 itself puts into an environment.
const PREFIXES: [&str; 4] = ["PM2_", "axm_", "km_", "pm_"];

/// The program of an object, and what of it is left out. `base` is what a program is told that is told nothing.
pub fn program(node: &Node, base: &Spec) -> Result<(Saved, Vec<String>), Fault> {
    let mut spec = base.clone();
    let mut left_out = Vec::new();
    let text = |key: &str| node.get(key).and_then(Node::string);
    let known = node.get("env").and_then(|_| text("pm_exec_path"));
    let script = known.ok_or_else(|| {
        let why = "expected a program of pm2 0.9 or later, with pm_exec_path and env, or of rpm, with rpm_version";
        (node.at, why.to_owned())
    })?;
    for member in node.members() {
        let Ok(name) = std::str::from_utf8(&member.key) else {
            continue;
        };
        match (field_of(name), attribute::fate(name)) {
            // Of what is no switch, false says nothing.
            (Some(field), _) if member.node.value == Value::Bool(false) && !field.is_switch() => {}
            (Some(field), _) if member.node.value != Value::Null => {
                settings::read(&mut spec, field, &member.node)
                    .map_err(|why| (member.node.at, format!("{name}: {why}")))?;
            }
            (None, Some(Fate::Missing)) if attribute::asks(name, &member.node) => {
                left_out.push(name.to_owned());
            }
            _ => {}
        }
    }
    let path = Path::new(OsStr::from_bytes(script));
    if spec.name.is_empty() {
        let stem = path.file_stem().unwrap_or_default();
        spec.name = stem.to_string_lossy().into_owned();
    }
    spec.script = script.to_vec();
    let folder = path.parent();
    let folder = folder.map(|folder| folder.as_os_str().as_bytes());
    spec.cwd = text("pm_cwd").or(folder).unwrap_or(b"/").to_vec();
    if node.get("exec_interpreter").is_none() && spec.interpreter.is_empty() {
        spec.interpreter = "node".to_owned();
    }
    // pm2 has its own cluster of Node processes: until there is one here, each is an ordinary instance.
    spec.instances = 1;
    let merged = spec.merge_logs;
    spec.out_file = output(node, "pm_out_log_path", merged);
    spec.error_file = output(node, "pm_err_log_path", merged);
    if text("pm_log_path").is_some() {
        let path = output(node, "pm_log_path", merged);
        spec.log_file = if path.is_empty() {
            BESIDE.to_vec()
        } else {
            path
        };
    }
    spec.env = Rc::new(environment(node, base)?);
    let want = match text("status") {
        Some(b"stopped") => Want::Down,
        _ => Want::Up,
    };
    let saved = Saved {
        spec: Rc::new(spec),
        instance: 0,
        want,
    };
    Ok((saved, left_out))
}

/// The field of an attribute that means the same here as there.
fn field_of(name: &str) -> Option<&'static Field> {
    let others = [
        "script",
        "cwd",
        "instances",
        "pid_file",
        "out_file",
        "error_file",
        "log_file",
    ];
    field::find(name).filter(|field| !others.contains(&field.name))
}

/// Where a stream goes, empty for where it goes by default: pm2's own folder of logs is no place for others. The
/// number of the process that pm2 puts into the name is taken out again.
fn output(node: &Node, key: &str, merged: bool) -> Bytes {
    let path = node.get(key).and_then(Node::string).unwrap_or_default();
    let folder = node.get("PM2_HOME").and_then(Node::string);
    let own = match folder {
        Some(folder) => path.starts_with(&[folder, b"/logs/"].concat()),
        None => path.windows(11).any(|part| part == b"/.pm2/logs/"),
    };
    if own {
        return Bytes::new();
    }
    let dot = path.iter().rposition(|b| *b == b'.').unwrap_or(path.len());
    let (stem, ending) = path.split_at(dot);
    let digits = stem.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (bare, _) = stem.split_at(stem.len() - digits);
    match bare.strip_suffix(b"-") {
        Some(bare) if digits > 0 && !merged => [bare, ending].concat(),
        _ => path.to_vec(),
    }
}

/// The environment, without pm2's own variables. That of `base` if none is given.
fn environment(node: &Node, base: &Spec) -> Result<Environment, Fault> {
    let members = node.get("env").map_or(&[][..], Node::members);
    if members.is_empty() {
        return Ok(Environment::clone(&base.env));
    }
    let name = node.get("name").and_then(Node::string).unwrap_or_default();
    let mut assignments = Vec::new();
    for member in members.iter().filter(|member| is_variable(member, name)) {
        if let Some(value) = member.node.scalar() {
            assignments.push(assignment(member, &value)?);
        }
    }
    let all = assignments.iter().map(Vec::as_slice);
    Ok(Environment::from_assignments(all))
}

/// Whether a member of `env` is a variable, and neither pm2's own nor the settings of a pm2 module, which are under the
/// name of the program.
fn is_variable(member: &Member, program: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(&member.key) else {
        return true;
    };
    let settings = member.key == program && member.node.string() == Some(b"{}");
    let internal = matches!(name, "NODE_APP_INSTANCE" | "unique_id" | "vizion_running")
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    !settings && !internal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::dump::{self, Dump};
    use crate::model::value::LogType;

    fn fixture(name: &str) -> Dump {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        dump::read(&folder.join(name), &Spec::default()).unwrap()
    }

    fn texts(words: &[Bytes]) -> Vec<&str> {
        words
            .iter()
            .map(|w| std::str::from_utf8(w).unwrap())
            .collect()
    }

    fn variables(spec: &Spec) -> Vec<String> {
        let all = spec.env.assignments();
        all.map(|a| String::from_utf8_lossy(a).into_owned())
            .collect()
    }

    #[test]
    fn a_list_of_pm2_7_is_read() {
        let Dump {
            programs, left_out, ..
        } = fixture("dump-7.pm2");
        let shown: Vec<_> = programs
            .iter()
            .map(|p| {
                let spec = &p.spec;
                (
                    spec.name.as_str(),
                    spec.namespace.as_str(),
                    p.instance,
                    spec.instances,
                    p.want,
                )
            })
            .collect();
        let expected = [
            ("api", "default", 0, 2, Want::Up),
            ("py", "jobs", 0, 1, Want::Down),
            ("sh", "default", 0, 1, Want::Up),
            ("api", "default", 1, 2, Want::Up),
            ("shell", "default", 0, 1, Want::Up),
        ];
        assert_eq!(shown, expected);
        let spec = |at: usize| &*programs[at].spec;
        assert_eq!(texts(&spec(0).args), ["--port", "30 00"]);
        assert_eq!(
            (spec(0).script.as_slice(), spec(0).cwd.as_slice()),
            (&b"/srv/app/app.js"[..], &b"/srv/app"[..])
        );
        assert_eq!(
            (spec(0).interpreter.as_str(), spec(0).kill_timeout.0),
            ("node", 3000)
        );
        assert_eq!(
            (spec(0).out_file.as_slice(), spec(0).pid_file.as_slice()),
            (&b""[..], &b""[..])
        );
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        assert_eq!(
            variables(spec(0)),
            [path, "HOME=/home/app", "LANG=C", "PORT=3000"]
        );
        assert_eq!(texts(&spec(1).args), ["-u", "a b", "c"]);
        assert_eq!(texts(&spec(1).interpreter_args), ["-u"]);
        assert_eq!(
            (spec(1).out_file.as_slice(), spec(1).autorestart),
            (&b"/srv/app/logs/o.log"[..], false)
        );
        assert_eq!(variables(spec(1))[3..], ["PYTHONUNBUFFERED=1"]);
        assert_eq!(
            (spec(2).restart_delay.0, &spec(2).stop_exit_codes.0[..]),
            (500, &[0, 3][..])
        );
        assert_eq!(
            (spec(4).script.as_slice(), spec(4).interpreter.as_str()),
            (&b"/usr/bin/bash"[..], "none")
        );
        assert_eq!(variables(spec(4)), [path, "HOME=/home/app", "LANG=C"]);
        assert_eq!(
            left_out,
            [
                "api: max_memory_restart is not supported yet and left out",
                "py: cron_restart is not supported yet and left out",
            ]
        );
    }

    #[test]
    fn a_list_of_pm2_before_0_9_is_refused() {
        let json =
            br#"[{"name": "a", "pm_exec_path": "/a.js", "args": "[\"x\"]", "PATH": "/bin"}]"#;
        let source = super::super::json::Source {
            name: "f",
            text: json,
            literal: true,
        };
        let node = super::super::json::parse(&source).unwrap();
        let Value::Array(items) = &node.value else {
            panic!("an array");
        };
        let (_, why) = program(&items[0], &Spec::default()).unwrap_err();
        assert!(why.contains("pm2 0.9 or later"), "{why}");
    }

    #[test]
    fn what_pm2_was_told_about_log_files_is_taken() {
        let program = |json: &str| {
            let text =
                format!("{{\"name\": \"a\", \"pm_exec_path\": \"/a.js\", \"env\": {{}}, {json}}}");
            let source = super::super::json::Source {
                name: "f",
                text: text.as_bytes(),
                literal: true,
            };
            let node = super::super::json::parse(&source).unwrap();
            let (saved, left_out) = program(&node, &Spec::default()).unwrap();
            assert!(left_out.is_empty(), "{left_out:?}");
            Spec::clone(&saved.spec)
        };
        let spec = program(
            r#""log_type": "json", "log_date_format": "YYYY-MM-DDTHH:mm:ss", "time": true, "merge_logs": true,
               "pm_log_path": "/srv/both.log", "pm_out_log_path": "/home/u/.pm2/logs/a-out.log",
               "pm_err_log_path": "/dev/null", "disable_logs": false"#,
        );
        assert_eq!(
            (spec.log_type, spec.date_format(), spec.time),
            (LogType::Json, "YYYY-MM-DDTHH:mm:ss", true)
        );
        let files = [&spec.out_file, &spec.error_file, &spec.log_file];
        assert_eq!(files, [&b""[..], b"/dev/null", b"/srv/both.log"]);
        assert!(spec.merge_logs && !spec.disable_logs);
        let file = |json: &str| program(json).log_file;
        assert_eq!(
            file(r#""pm_log_path": "/home/u/.pm2/logs/a-1.log""#),
            BESIDE
        );
        assert_eq!(file(r#""pm_log_path": "/srv/a-1.log""#), b"/srv/a.log");
        assert_eq!(file(r#""pm_log_path": "/dev/null""#), b"/dev/null");
        assert_eq!(file(r#""pm_log_path": null"#), b"");
        assert!(program(r#""disable_logs": true"#).disable_logs);
        let spec = program(r#""interpreter": false, "namespace": false, "log_type": false"#);
        assert_eq!(
            (spec.interpreter.as_str(), spec.namespace.as_str()),
            ("node", "default")
        );
    }

    #[test]
    fn the_number_that_pm2_puts_into_a_path_is_taken_out() {
        let path = |json: &str, merged: bool| {
            let text = format!("{{\"p\": \"{json}\"}}");
            let source = super::super::json::Source {
                name: "f",
                text: text.as_bytes(),
                literal: true,
            };
            let node = super::super::json::parse(&source).unwrap();
            String::from_utf8(output(&node, "p", merged)).unwrap()
        };
        assert_eq!(path("/l/api-12.log", false), "/l/api.log");
        assert_eq!(path("/l/api-12.log", true), "/l/api-12.log");
        assert_eq!(path("/l/api2.log", false), "/l/api2.log");
        assert_eq!(path("/l/api-3", false), "/l/api");
        assert_eq!(path("/dev/null", false), "/dev/null");
        assert_eq!(path("/home/u/.pm2/logs/api-out-0.log", false), "");
    }
}
