//! Values that stand for nothing, and paths.

use super::*;

#[test]
fn false_and_nothing_are_no_paths() {
    let scene = Scene::new("false");
    for nothing in ["false", "null", "\"\""] {
        let text = format!(
            r#"{{ "script": "app.sh", "out_file": {nothing}, "error": {nothing}, "log_file": {nothing},
                  "pid_file": {nothing}, "interpreter": {nothing}, "cwd": {nothing}, "name": {nothing},
                  "namespace": {nothing}, "args": {nothing}, "node_args": {nothing}, "exec_mode": {nothing},
                  "log_date_format": {nothing}, "log_type": {nothing}, "port": {nothing}, "listen": {nothing},
                  "kill_signal": {nothing} }}"#
        );
        let app = scene.app(&text);
        let plain = scene.app(r#"{ "script": "app.sh" }"#);
        assert_eq!(app.spec, plain.spec, "{nothing}");
    }
    for name in [
        "out_file",
        "log_type",
        "pid",
        "interpreter",
        "cwd",
        "name",
        "args",
        "port",
    ] {
        let text = format!("{{ \"script\": \"app.sh\", \"{name}\": true }}");
        let wrong = scene.read(&text).unwrap_err();
        assert!(
            wrong[0].contains(&format!("{name}: expected a"))
                && wrong[0].ends_with("found true or false"),
            "{wrong:?}"
        );
    }
    let wrong = scene.read(r#"{"script": "app.sh", "out_file": 1}"#);
    assert_eq!(
        wrong.unwrap_err(),
        ["f.json:1:34: out_file: expected a string, found a number"]
    );
    let wrong = scene.read(r#"{"script": false}"#).unwrap_err();
    assert_eq!(
        wrong,
        ["f.json:1:12: script: expected a string, found true or false"]
    );
}

#[test]
fn the_tilde_is_the_home_directory_in_each_path() {
    let scene = Scene::new("tilde");
    let text = r#"{ "name": "a", "script": "~/x.js", "interpreter": "~/bin/x", "cwd": "~", "out_file": "~/o",
                    "error_file": "~/e", "log_file": "~/l", "pid_file": "~/p" }"#;
    let file = scene.read_as(Kind::Json, text, |w| w.starts = false);
    let spec = &file.unwrap().apps[0].spec;
    let home = std::env::var("HOME").unwrap();
    let home = |path: &str| [home.trim_end_matches('/'), path].concat();
    assert_eq!(spec.cwd, home("").into_bytes());
    let paths = [
        &spec.out_file,
        &spec.error_file,
        &spec.log_file,
        &spec.pid_file,
    ];
    for (path, expected) in paths.into_iter().zip(["/o", "/e", "/l", "/p"]) {
        assert_eq!(*path, home(expected).into_bytes());
    }
    let wrong = scene.read(text).unwrap_err();
    assert_eq!(
        wrong,
        [format!(
            "f.json:1:26: a: script: {}: No such file or directory",
            home("/x.js")
        )]
    );
    let text = text.replace("~/x.js", "sleep");
    let wrong = scene.read(&text).unwrap_err();
    assert!(!wrong[0].contains('~'), "{wrong:?}");
}

#[test]
fn programs_are_stopped_by_a_file_though_their_scripts_are_gone() {
    let scene = Scene::new("gone");
    let text = r#"[{"script": "gone.js"}, {"name": "b", "script": "./b.py", "cwd": "nowhere"},
                   {"script": "sub", "name": "c"}]"#;
    assert_eq!(scene.read(text).unwrap_err().len(), 3);
    let file = scene.read_as(Kind::Json, text, |w| w.starts = false);
    let names: Vec<_> = file
        .unwrap()
        .apps
        .into_iter()
        .map(|a| a.spec.name)
        .collect();
    assert_eq!(names, ["gone", "b", "c"]);
}
