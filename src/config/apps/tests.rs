mod values;

use super::*;
use crate::config::process_file::{Kind, ProcessFile, read};
use crate::model::spec::TIME_FORMAT;
use crate::model::value::{LogType, Size};
use std::path::PathBuf;

/// A folder with a file `app.sh`, a folder `sub` and a process file, for one test.
struct Scene {
    folder: PathBuf,
    base: Spec,
    overrides: Spec,
}

impl Scene {
    fn new(name: &str) -> Scene {
        let folder = std::env::temp_dir().join(format!("rpm-apps-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        for file in ["app.sh", "sub/app.sh"] {
            std::fs::write(folder.join(file), "").unwrap();
        }
        let mut base = Spec::default();
        for (name, value) in [("PATH", "/usr/bin:/bin"), ("AWS_KEY", "x"), ("HOME", "/h")] {
            base.set(&format!("env.{name}"), value.as_bytes()).unwrap();
        }
        Scene {
            folder,
            base,
            overrides: Spec::default(),
        }
    }

    fn read_as<'w>(
        &'w self,
        kind: Kind,
        text: &str,
        change: impl FnOnce(&mut Options<'w>),
    ) -> Result<ProcessFile, Vec<String>> {
        let path = self.folder.join("f.json");
        std::fs::write(&path, text).unwrap();
        let mut options = Options {
            base: &self.base,
            overrides: &self.overrides,
            given: &[],
            env: None,
            only: &[],
            starts: true,
        };
        change(&mut options);
        let folder = format!("{}/", self.folder.display());
        let plain = |text: &str| text.replace(&folder, "");
        match read(path.as_os_str(), kind, &options) {
            Ok(mut file) => {
                file.warnings = file.warnings.iter().map(|w| plain(w)).collect();
                Ok(file)
            }
            Err(errors) => Err(errors.iter().map(|e| plain(&e.to_string())).collect()),
        }
    }

    fn read(&self, text: &str) -> Result<ProcessFile, Vec<String>> {
        self.read_as(Kind::Json, text, |_| {})
    }

    /// The one program of a file.
    fn app(&self, text: &str) -> App {
        let mut file = self.read(text).unwrap();
        assert_eq!(file.warnings, [""; 0]);
        assert_eq!(file.apps.len(), 1);
        file.apps.remove(0)
    }

    fn path(&self, name: &str) -> Vec<u8> {
        self.folder.join(name).as_os_str().as_bytes().to_vec()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn variables_of(app: &App) -> Vec<String> {
    let all = app.spec.env.assignments();
    all.map(|a| String::from_utf8_lossy(a).into_owned())
        .collect()
}

#[test]
fn every_attribute_is_read_under_each_of_its_names() {
    let scene = Scene::new("names");
    let app = scene.app(
        r#"{ "exec": "app.sh", "args": "-p 'a b'", "maxRestarts": 3, "min_uptime": "5s", "output": "o.log",
             "err_file": "/e.log", "pid": "p.pid", "combine_logs": true, "killTimeout": 100, "kill_signal": "SIGTERM",
             "node_args": ["-x", 1], "instances": "2", "cwd": "sub", "namespace": "n", "autostart": false,
             "force": true, "vizion": false, "watch": false, "out_file": null, "exec_mode": "fork",
             "stop_exit_codes": [0, 3], "port": 80, "treekill": false }"#,
    );
    let spec = &app.spec;
    assert_eq!((spec.name.as_str(), spec.namespace.as_str()), ("app", "n"));
    assert_eq!(
        (&spec.script, &spec.cwd),
        (&scene.path("sub/app.sh"), &scene.path("sub"))
    );
    assert_eq!(spec.args, [&b"-p"[..], b"a b"]);
    assert_eq!(spec.interpreter_args, [&b"-x"[..], b"1"]);
    assert_eq!(
        (spec.max_restarts, spec.min_uptime.0, spec.kill_timeout.0),
        (3, 5000, 100)
    );
    assert_eq!((spec.kill_signal.0, spec.instances), (15, 2));
    assert_eq!(
        (spec.out_file.as_slice(), spec.error_file.as_slice()),
        (&b"o.log"[..], &b"/e.log"[..])
    );
    assert_eq!(
        (spec.pid_file.as_slice(), spec.merge_logs, spec.treekill),
        (&b"p.pid"[..], true, false)
    );
    assert_eq!(spec.stop_exit_codes.0, [0, 3]);
    assert_eq!((app.want, app.force), (Want::Down, true));
    assert_eq!(spec.env.get(b"PORT"), Some(&b"80"[..]));
}

#[test]
fn what_is_said_of_log_files_is_read_under_each_of_its_names() {
    let scene = Scene::new("logs");
    let spec = |text: &str| {
        let text = format!("{{ \"script\": \"app.sh\", {text} }}");
        scene.app(&text).spec
    };
    let full = spec(
        r#""log": "~/all.log", "time": true, "logDateFormat": "YYYY-MM-DD HH:mm Z", "logType": "json",
           "logMaxSize": "32M", "log_max_files": 9, "combineLogs": true, "disableLogs": true"#,
    );
    let home = std::env::var("HOME").unwrap_or("~".to_owned());
    assert_eq!(full.log_file, format!("{home}/all.log").into_bytes());
    assert_eq!(full.date_format(), "YYYY-MM-DD HH:mm Z");
    assert!(full.time && full.merge_logs && full.disable_logs);
    assert_eq!(
        (full.log_type, full.log_max_size, full.log_max_files),
        (LogType::Json, Size(32 << 20), 9)
    );
    assert!(full.out_file.is_empty() && full.error_file.is_empty());
    for (text, path) in [
        (r#""log_file": "l/all.log""#, &b"l/all.log"[..]),
        (r#""logFile": "/l/all.log""#, b"/l/all.log"),
        (r#""log_file": "NULL""#, b"NULL"),
        (r#""log_file": null"#, b""),
        (r#""log": true"#, b"true"),
        (r#""log": true, "log_file": false"#, b""),
    ] {
        assert_eq!(spec(text).log_file, path, "{text}");
    }
    assert_eq!(spec(r#""time": true"#).date_format(), TIME_FORMAT);
    assert_eq!(spec(r#""time": false"#).date_format(), "");
    assert_eq!(spec(r#""log_max_size": 65536"#).log_max_size, Size(65536));
    assert_eq!(spec(r#""log_max_size": 0"#).log_max_size, Size(0));
    assert_eq!(spec(r#""log_type": "raw""#).log_type, LogType::Raw);
    for (text, why) in [
        (
            r#""log_type": "xml""#,
            "log_type: 'xml' is neither raw nor json",
        ),
        (
            r#""log_max_size": "big""#,
            "log_max_size: 'big' is not a size such as 65536, 512K or 32M",
        ),
        (
            r#""log_max_size": []"#,
            "log_max_size: expected a size such as 65536 or \"32M\", found an array",
        ),
        (r#""time": "x""#, "time: 'x' is neither true nor false"),
        (
            r#""log_file": {}"#,
            "log_file: expected a string, found an object",
        ),
    ] {
        let text = format!("{{ \"script\": \"app.sh\", {text} }}");
        let wrong = scene.read(&text).unwrap_err();
        assert!(wrong.len() == 1 && wrong[0].ends_with(why), "{wrong:?}");
    }
}

#[test]
fn a_file_is_one_program_or_several() {
    let scene = Scene::new("several");
    for text in [
        r#"{"name": "a", "script": "app.sh"}"#,
        r#"[{"name": "a", "script": "./app.sh"},]"#,
        r#"{"apps": [{"name": "a", "script": "app.sh"}], "deploy": {}}"#,
        r#"{"apps": {"name": "a", "script": "sub/../app.sh"}}"#,
        r#"{"name": "x", "version": "1", "pm2": [{"name": "a", "script": "app.sh"}]}"#,
    ] {
        assert_eq!(scene.app(text).spec.name, "a", "{text}");
    }
    let file =
        scene.read(r#"[{"script": "echo $1; x"}, {"script": "sleep"}, {"script": "app.sh"}]"#);
    let file = file.unwrap();
    let shown: Vec<_> = file
        .apps
        .iter()
        .map(|a| (a.spec.name.as_str(), a.spec.script.as_slice()))
        .collect();
    let script = scene.path("app.sh");
    let (shell, others) = shown.split_first().unwrap();
    assert_eq!(shell.0, "echo $1; x");
    assert!(shell.1.ends_with(b"/bash") || shell.1 == b"/bin/sh");
    assert_eq!(others, [("sleep", &b"sleep"[..]), ("app", &script)]);
}

#[test]
fn the_environment_is_that_of_the_command_line_and_of_the_file() {
    let scene = Scene::new("env");
    let text = r#"{"script": "app.sh", "env": {"A": 1, "B": true, "HOME": null, "O": {"x": [1, "ü"]}, "E": ""},
                  "env_production": {"A": "p"}, "env_other": {"A": "o"}, "append_env_to_name": true}"#;
    let app = scene.app(text);
    assert_eq!(
        variables_of(&app),
        [
            "PATH=/usr/bin:/bin",
            "AWS_KEY=x",
            "A=1",
            "B=true",
            "O={\"x\":[1,\"ü\"]}",
            "E="
        ]
    );
    assert_eq!(app.spec.name, "app");
    let file = scene
        .read_as(Kind::Json, text, |w| w.env = Some("production"))
        .unwrap();
    assert_eq!(file.apps[0].spec.env.get(b"A"), Some(&b"p"[..]));
    assert_eq!(file.apps[0].spec.name, "app-production");
    let file = scene
        .read_as(Kind::Json, text, |w| w.env = Some("none"))
        .unwrap();
    assert_eq!(file.warnings, ["f.json:1:1: app-none: it has no env_none"]);
    for (filter, left) in [
        ("true", &[][..]),
        ("\"HOME\"", &["PATH=/usr/bin:/bin", "AWS_KEY=x"]),
        ("[\"AWS\", \"OM\"]", &["PATH=/usr/bin:/bin"]),
    ] {
        let app = scene.app(&format!(
            "{{\"script\": \"/bin/sh\", \"filter_env\": {filter}}}"
        ));
        assert_eq!(variables_of(&app), left, "{filter}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_nothing_is_left_out() {
    let scene = Scene::new("wrong");
    for (text, wrong) in [
        ("[]", &["f.json:1:1: it has no programs"][..]),
        ("{\"apps\": []}", &["f.json:1:1: it has no programs"]),
        (
            "3",
            &["f.json:1:1: expected an object with the attributes of a program, found a number"],
        ),
        ("{}", &["f.json:1:1: a program needs a script"]),
        (
            "{\"script\": 1}",
            &["f.json:1:12: script: expected a string, found a number"],
        ),
        ("{\"script\": \"\"}", &["f.json:1:12: script: it is empty"]),
        (
            "[{\"name\": \"a\",\n \"script\": \"x.sh\"},\n {\"name\": \"b\", \"script\": \"./y\"},\n {\"script\": \"app.sh\", \"env\": []}]",
            &[
                "f.json:2:12: a: script: x.sh: No such file or directory",
                "f.json:3:2: b: script: y: No such file or directory",
                "f.json:4:30: env: expected an object of variables, found an array",
            ],
        ),
        (
            "{\"script\": \"app.sh\", \"kill_timeout\": \"soon\", \"instances\": \"many\", \"cwd\": \"gone\"}",
            &[
                "f.json:1:38: kill_timeout: 'soon' is not a time such as 1500, 30s or 5m",
                "f.json:1:59: instances: expected a number or \"max\", found 'many'",
            ],
        ),
        (
            "{\"script\": \"app.sh\", \"cwd\": \"gone\"}",
            &["f.json:1:29: cwd: gone: No such file or directory"],
        ),
        (
            "{\"script\": \"app.sh\", \"cwd\": \"app.sh\"}",
            &["f.json:1:29: cwd: app.sh is not a folder"],
        ),
        (
            "{\"script\": \"app.sh\", \"env\": {\"A=\": 1}}",
            &["f.json:1:30: env: a variable has a name without '=' and no NUL byte"],
        ),
        (
            "[{\"name\": \"a\", \"script\": \"app.sh\", \"listen\": \"tcp:1\"}, {\"name\": \"b\", \"script\": \"app.sh\", \"listen\": \"tcp:1\"}]",
            &["f.json:1:56: b: listen: another program already has tcp:1"],
        ),
        (
            "{\"script\": \"app.sh\", \"exec_mode\": \"both\"}",
            &["f.json:1:35: exec_mode: 'both' is neither fork nor cluster"],
        ),
        (
            "{\"script\": \"app.sh\", \"interpreter\": \"nope\"}",
            &["f.json:1:1: app: script: its interpreter nope is not in PATH"],
        ),
        (
            "{\"script\": \"app.sh\", \"interpreter\": \"none\"}",
            &[
                "f.json:1:12: script: app.sh is not executable; run chmod +x, or name its interpreter",
            ],
        ),
        (
            "[{\"script\": \"app.sh\"}, {\"script\": \"sub/app.sh\"}]",
            &["f.json:1:24: two programs have the name app; give each its own name"],
        ),
        (
            "{\"script\": \"app.sh\", \"name\": \"a\\u0000\"}",
            &["f.json:1:30: a\u{0}: name: the value has a NUL byte"],
        ),
    ] {
        assert_eq!(scene.read(text).unwrap_err(), wrong, "{text}");
    }
}

#[test]
fn what_is_not_taken_is_said() {
    let scene = Scene::new("warnings");
    let text = "{\"apps\": {\"name\": \"a\", \"script\": \"app.sh\", \"autorestrat\": true, \"max_memory_restart\": \"1G\",\n\
                \"cron\": \"* * * * *\", \"exec_mode\": \"cluster\", \"xyzzy\": 1}, \"static\": []}";
    let file = scene.read(text).unwrap();
    assert_eq!(
        file.warnings,
        [
            "f.json:2:59: static: ignored; programs are listed under apps",
            "f.json:1:44: a: autorestrat: no such attribute (did you mean autorestart?), ignored",
            "f.json:1:65: a: max_memory_restart: not supported yet, ignored",
            "f.json:2:1: a: cron: not supported yet, ignored",
            "f.json:2:46: a: xyzzy: no such attribute, ignored",
        ]
    );
}

#[test]
fn some_of_the_programs_may_be_meant() {
    let (known, unknown) = (["a".to_owned()], ["aa".to_owned()]);
    let scene = Scene::new("only");
    let text =
        r#"[{"name": "a", "script": "app.sh"}, {"name": "b", "script": "./gone", "watch": true}]"#;
    let file = scene
        .read_as(Kind::Json, text, |w| w.only = &known)
        .unwrap();
    assert_eq!(file.apps.len(), 1);
    assert!(file.warnings.is_empty(), "{:?}", file.warnings);
    let wrong = scene
        .read_as(Kind::Json, text, |w| w.only = &unknown)
        .unwrap_err();
    assert_eq!(
        wrong,
        ["f.json:1:1: it has no program aa (did you mean a?)"]
    );
    // Those that are only to be stopped need not be there.
    let file = scene
        .read_as(Kind::Json, text, |w| w.starts = false)
        .unwrap();
    assert_eq!(file.apps.len(), 2);
}

#[test]
fn the_command_line_counts_more() {
    let mut scene = Scene::new("over");
    scene.overrides.args = vec![b"x".to_vec()];
    scene.overrides.instances = 3;
    let text = r#"{"script": "app.sh", "args": ["a", "b"], "instances": 2, "namespace": "n"}"#;
    let file = scene
        .read_as(Kind::Json, text, |w| w.given = &["args", "instances"])
        .unwrap();
    let spec = &file.apps[0].spec;
    assert_eq!(
        (
            spec.args.as_slice(),
            spec.instances,
            spec.namespace.as_str()
        ),
        (&[b"x".to_vec()][..], 3, "n")
    );
}

#[test]
fn a_procfile_is_commands_of_the_shell() {
    let scene = Scene::new("procfile");
    let text = "# comment\nweb: ./app.sh -p $PORT\n\n  worker:  sleep 5 \n";
    let file = scene.read_as(Kind::Procfile, text, |_| {}).unwrap();
    let shown: Vec<_> = file
        .apps
        .iter()
        .map(|a| (a.spec.name.as_str(), a.spec.args[1].as_slice()))
        .collect();
    assert_eq!(
        shown,
        [("web", &b"./app.sh -p $PORT"[..]), ("worker", b"sleep 5")]
    );
    assert_eq!(file.apps[0].spec.cwd, scene.folder.as_os_str().as_bytes());
    let wrong = scene
        .read_as(Kind::Procfile, "web: x\nsleep 5\nweb: y", |_| {})
        .unwrap_err();
    assert_eq!(
        wrong,
        [
            "f.json:2:1: expected NAME: COMMAND",
            "f.json:3:1: two programs have the name web; give each its own name"
        ]
    );
    let wrong = scene.read_as(Kind::Procfile, "\n# a", |_| {}).unwrap_err();
    assert_eq!(wrong, ["f.json:1:1: it has no programs"]);
}
