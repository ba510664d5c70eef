//! A program in pm2's saved list, `dump.pm2`.
//!
//! Since 0.9 an object holds the attributes, the resolved paths (`pm_exec_path`, `pm_cwd`, …), and the environment
//! under `env`; each variable, and what pm2 counts, stands beside them once more. Before, the environment stood only
//! beside them, `args` was one string, and there was neither an interpreter nor a folder.

use super::attribute::{self, Fate};
use super::dump::{Fault, Saved, assignment};
use super::json::{Member, Node, Value};
use super::{limit, settings};
use crate::model::field::{self, Field};
use crate::model::life::Want;
use crate::model::spec::{BESIDE, Environment, Spec};
use crate::model::value::Bytes;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

/// Names in an object of pm2's that are neither attributes nor variables of the environment.
#[rustfmt::skip]
const INTERNAL: [&str; 37] = [
    "NODE_APP_INSTANCE", "_pm2_version", "_tree_pids", "args", "command", "created_at", "current_conf",
    "cwd", "env", "exec_mode", "exit_code", "fileError", "fileOutput", "instances", "km_link", "max", "node_args",
    "node_version", "options", "pidFile", "pm2_env", "prev_restart_delay", "restart_time", "script",
    "started_as_module", "started_inside", "status", "unique_id", "unstable_restarts", "version", "versioning",
    "vizion_running", "windowsHide", "autostart", "append_env_to_name", "port", "force",
];

/// How such names begin.
const PREFIXES: [&str; 5] = ["PM2_", "axm_", "env_", "km_", "pm_"];

/// The program of an object, and what of it is left out. `base` is what a program is told that is told nothing.
pub fn program(node: &Node, base: &Spec) -> Result<(Saved, Vec<String>), Fault> {
    let mut spec = base.clone();
    let mut left_out = Vec::new();
    let text = |key: &str| node.get(key).and_then(Node::string);
    let first = |keys: [&str; 2]| keys.into_iter().find_map(text);
    let script = first(["pm_exec_path", "script"]).ok_or_else(|| {
        let why = "expected a program of pm2, with pm_exec_path, or of rpm, with rpm_version";
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
    spec.cwd = first(["pm_cwd", "cwd"]).or(folder).unwrap_or(b"/").to_vec();
    if let Some(args) = node.get("args") {
        spec.args = arguments(args).map_err(|why| (args.at, format!("args: {why}")))?;
    }
    if node.get("exec_interpreter").is_none() && spec.interpreter.is_empty() {
        spec.interpreter = "node".to_owned();
    }
    // pm2 has its own cluster of Node processes: until there is one here, each is an ordinary instance.
    spec.instances = 1;
    let merged = spec.merge_logs;
    spec.out_file = output(node, &["pm_out_log_path", "fileOutput"], merged);
    spec.error_file = output(node, &["pm_err_log_path", "fileError"], merged);
    if text("pm_log_path").is_some() {
        let path = output(node, &["pm_log_path"], merged);
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
        "args",
        "cwd",
        "instances",
        "pid_file",
        "out_file",
        "error_file",
        "log_file",
    ];
    field::find(name).filter(|field| !others.contains(&field.name))
}

/// `args`: an array; or a string of words; or, before 0.9, a string that is the JavaScript of an array.
fn arguments(node: &Node) -> Result<Vec<Bytes>, String> {
    let mut spec = Spec::default();
    let field = field::find("args").ok_or("there is no such field")?;
    if let Some(text) = node.string().filter(|text| text.starts_with(b"[")) {
        let source = super::json::Source {
            name: "the array in the string",
            text,
            literal: true,
        };
        let array = super::json::parse(&source).map_err(|e| e.to_string())?;
        settings::read(&mut spec, field, &array)?;
    } else if node.value != Value::Null {
        settings::read(&mut spec, field, node)?;
    }
    Ok(spec.args)
}

/// Where a stream goes, empty for where it goes by default: pm2's own folder of logs is no place for others. The
/// number of the process that pm2 puts into the name is taken out again.
fn output(node: &Node, keys: &[&str], merged: bool) -> Bytes {
    let found = keys.iter().find_map(|key| node.get(key)?.string());
    let path = found.unwrap_or_default();
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

/// The environment, without what pm2 puts there for itself.
fn environment(node: &Node, base: &Spec) -> Result<Environment, Fault> {
    let own = node.get("env").filter(|env| !env.members().is_empty());
    let name = node.get("name").and_then(Node::string).unwrap_or_default();
    let mut assignments: Vec<Vec<u8>> = match own {
        // The program would have inherited what is missing from the daemon.
        None => base.env.assignments().map(<[u8]>::to_vec).collect(),
        Some(_) => Vec::new(),
    };
    for member in own.unwrap_or(node).members() {
        if let Some(value) = member.node.scalar() {
            if is_variable(member, own.is_some(), name) {
                assignments.push(assignment(member, &value)?);
            }
        }
    }
    let all = assignments.iter().map(Vec::as_slice);
    Ok(Environment::from_assignments(all))
}

/// Whether a member is a variable. In an object of nothing else, only names of pm2's are not; a module's settings stand
/// under the name of the program.
fn is_variable(member: &Member, apart: bool, program: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(&member.key) else {
        return true;
    };
    let internal = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let settings = member.key == program && member.node.string() == Some(b"{}");
    let known = matches!(name, "NODE_APP_INSTANCE" | "unique_id" | "vizion_running");
    if apart {
        return !known && !settings && (!internal || name.starts_with("env_"));
    }
    let attribute = field::find(name).is_some() || attribute::fate(name).is_some();
    let attribute = attribute || limit::is_one(name);
    !internal && !INTERNAL.contains(&name) && !attribute
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::dump::{self, Dump};
    use crate::model::value::LogType;

    fn fixture(name: &str) -> Dump {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let mut base = Spec::default();
        base.set("env.PRESENT", b"yes").unwrap();
        dump::read(&folder.join(name), &base).unwrap()
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
    fn a_list_of_pm2_0_4_is_read() {
        let Dump {
            programs, left_out, ..
        } = fixture("dump-0.4.pm2");
        assert!(left_out.is_empty(), "{left_out:?}");
        let spec = |at: usize| &*programs[at].spec;
        assert_eq!(
            (
                programs[0].instance,
                programs[1].instance,
                spec(1).instances
            ),
            (0, 1, 2)
        );
        assert_eq!(
            (spec(0).name.as_str(), spec(0).interpreter.as_str()),
            ("server", "node")
        );
        assert_eq!(
            (spec(0).cwd.as_slice(), spec(0).out_file.as_slice()),
            (&b"/srv/app"[..], &b"/srv/log/out.log"[..])
        );
        assert!(spec(0).error_file.is_empty() && spec(0).pid_file.is_empty());
        assert_eq!(texts(&spec(0).args), ["--port", "3000"]);
        assert_eq!(
            variables(spec(0)),
            [
                "PRESENT=yes",
                "TERM=xterm",
                "SHELL=/bin/bash",
                "USER=app",
                "PATH=/usr/local/bin:/usr/bin:/bin",
                "PWD=/srv/app",
                "LANG=C.UTF-8",
                "HOME=/home/app",
                "http_proxy=http://proxy:3128",
                "_=/usr/local/bin/pm2",
            ]
        );
        assert_eq!(texts(&spec(2).args), ["--queue", "a b"]);
        assert_eq!(
            (programs[2].want, spec(2).cwd.as_slice()),
            (Want::Up, &b"/srv/app/jobs"[..])
        );
    }

    #[test]
    fn what_pm2_was_told_about_log_files_is_taken() {
        let program = |json: &str| {
            let text = format!("{{\"name\": \"a\", \"pm_exec_path\": \"/a.js\", {json}}}");
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
            String::from_utf8(output(&node, &["p", "q"], merged)).unwrap()
        };
        assert_eq!(path("/l/api-12.log", false), "/l/api.log");
        assert_eq!(path("/l/api-12.log", true), "/l/api-12.log");
        assert_eq!(path("/l/api2.log", false), "/l/api2.log");
        assert_eq!(path("/l/api-3", false), "/l/api");
        assert_eq!(path("/dev/null", false), "/dev/null");
        assert_eq!(path("/home/u/.pm2/logs/api-out-0.log", false), "");
    }
}
