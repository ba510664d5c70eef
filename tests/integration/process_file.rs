//! Process files: what is in them is started, restarted, stopped and deleted, or nothing at all.

use std::fs;

use rpm::model::life::State;

use crate::harness::{Home, has, proc, skip};

fn states(home: &Home) -> Vec<(String, u32, State)> {
    let shown = home
        .list()
        .into_iter()
        .map(|p| (p.name, p.instance, p.state));
    shown.collect()
}

fn online(names: &[(&str, u32)]) -> Vec<(String, u32, State)> {
    let all = names
        .iter()
        .map(|(name, number)| ((*name).to_owned(), *number, State::Online));
    all.collect()
}

/// A variable of the process of a program.
fn variable(pid: i32, name: &str) -> Option<String> {
    let begin = format!("{name}=");
    let all = proc::environment_of_live(pid);
    let found = all.iter().find_map(|a| a.strip_prefix(begin.as_bytes()));
    found.map(|value| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn what_is_in_a_file_is_started_and_then_restarted_as_the_file_has_it_now() {
    let home = Home::new();
    home.script("a.sh", "echo in $PWD as $0 $*; exec sleep 1000");
    fs::create_dir(home.base.join("sub")).unwrap();
    home.script(
        "f.json",
        r#"// comment
        {"apps": [
            {"name": "a", "script": "a.sh", "args": "x 'y z'", "env": {"V": 1}, "env_x": {"V": 2}},
            {"name": "b", "script": "sleep", "args": ["1000"], "instances": 3, "cwd": "sub"},
        ]}"#,
    );
    // From another folder: paths are relative to that of the file.
    let output = home.shell("cd /; $RPM start $OLDPWD/f.json").ok();
    assert_eq!(
        output.stdout.matches("rpm: started ").count(),
        4,
        "{}",
        output.shown()
    );
    assert_eq!(
        states(&home),
        online(&[("a", 0), ("b", 0), ("b", 1), ("b", 2)])
    );
    let folder = home.base.to_str().unwrap();
    home.wait_for_log(
        "a-out.log",
        &format!("in {folder} as {folder}/a.sh x y z\n"),
    );
    let first = home.list();
    assert_eq!(variable(first[0].pid, "V").as_deref(), Some("1"));
    let cwd = fs::read_link(format!("/proc/{}/cwd", first[1].pid)).unwrap();
    assert_eq!(cwd, home.base.join("sub"));

    let text = fs::read_to_string(home.base.join("f.json")).unwrap();
    let text = text.replace("'y z'", "new").replace(
        "\"instances\": 3",
        "\"instances\": 2, \"kill_timeout\": \"5s\"",
    );
    home.script("f.json", &text);
    let output = home.rpm(&["start", "f.json", "--env", "x"]).ok();
    assert!(
        output
            .stderr
            .contains("f.json:4:13: b: there is no env_x in it"),
        "{}",
        output.shown()
    );
    let second = home.list();
    assert_eq!(states(&home), online(&[("a", 0), ("b", 0), ("b", 1)]));
    for (now, before) in second.iter().zip(&first) {
        assert_eq!((now.id, now.restarts), (before.id, 1));
        assert_ne!(now.pid, before.pid);
    }
    assert_eq!(variable(second[0].pid, "V").as_deref(), Some("2"));
    home.wait_for_log("a-out.log", "a.sh x new\n");
    let row = home.wire().ask("describe target=b").ok().rows.remove(0);
    assert_eq!(
        (row.text("kill_timeout"), row.text("instances")),
        (Some("5000"), Some("2"))
    );

    // What was deleted is started again, and only that runs anew that is meant.
    home.rpm(&["delete", "1"]).ok();
    home.rpm(&["restart", "f.json", "--only", "b"]).ok();
    let third = home.list();
    assert_eq!(third[0], second[0]);
    assert_eq!(states(&home), online(&[("a", 0), ("b", 1), ("b", 0)]));
    home.rpm(&["stop", "f.json"]).ok();
    assert!(home.list().iter().all(|p| p.state == State::Stopped));
    home.rpm(&["startOrRestart", "f.json"]).ok();
    assert_eq!(states(&home), online(&[("a", 0), ("b", 1), ("b", 0)]));
    home.rpm(&["delete", "f.json", "--only", "b"]).ok();
    home.rpm(&["delete", "f.json"]).ok();
    assert!(home.list().is_empty());
    home.rpm(&["stop", "f.json"])
        .fails(&["none of the programs of f.json is in the list"]);
}

#[test]
fn what_a_restart_changes_survives_the_daemon() {
    let home = Home::new();
    home.script(
        "f.json",
        r#"{"name": "a", "script": "echo one; exec sleep 1000"}"#,
    );
    home.rpm(&["start", "f.json"]).ok();
    home.wait_for_log("a-out.log", "one\n");
    home.script(
        "f.json",
        r#"{"name": "a", "script": "echo two $V; exec sleep 1000", "out_file": "logs/new.log", "pid": "p/a.pid",
            "env": {"V": "2"}}"#,
    );
    home.rpm(&["restart", "f.json"]).ok();
    let before = home.program("a");
    let new = home.base.join("logs/new.log");
    crate::harness::wait_until("a line in the new file", || {
        fs::read(&new).is_ok_and(|text| text.ends_with(b"\n"))
    });
    assert_eq!(fs::read_to_string(&new).unwrap(), "two 2\n");
    assert_eq!(home.log("a-out.log"), b"one\n");
    assert_eq!(
        fs::read_to_string(home.base.join("p/a.pid"))
            .unwrap()
            .trim(),
        before.pid.to_string()
    );
    assert!(home.entries("pids").is_empty());
    proc::kill(home.supervisor(), rpm::sys::signal::Signal::KILL);
    assert_eq!(
        home.rpm(&["pid", "a"]).ok().stdout,
        format!("{}\n", before.pid)
    );
    home.rpm(&["restart", "a"]).ok();
    crate::harness::wait_until("two once more", || {
        fs::read(&new).is_ok_and(|text| text == b"two 2\ntwo 2\n")
    });
}

#[test]
fn a_file_with_a_mistake_starts_nothing() {
    let home = Home::new();
    home.script(
        "good.json",
        r#"{"name": "good", "script": "sleep", "args": "1000"}"#,
    );
    for (text, parts) in [
        (
            "{\"script\": \"sleep\",\n  \"args\" [1]}",
            &["bad.json:2:10: expected ':' after the key, found '['"][..],
        ),
        ("", &["bad.json:1:1: expected a value, found the end"]),
        (
            "[{\"name\": \"a\", \"script\": \"sleep\", \"args\": \"1000\"},\n {\"name\": \"b\", \"script\": \"./gone\"},\n \
             {\"name\": \"c\", \"script\": \"sleep\", \"kill_timeout\": \"soon\"}]",
            &[
                "bad.json:2:2: b: script: /",
                "/gone: No such file",
                "bad.json:3:51: c: kill_timeout: 'soon' is not",
            ],
        ),
        (
            "{\"script\": \"no-such-command\"}",
            &["no command no-such-command in PATH"],
        ),
        (
            "{\"script\": \"x\", \"cwd\": \"gone\"}",
            &["bad.json:1:24: cwd: /", "gone: No such file"],
        ),
    ] {
        home.script("bad.json", text);
        for command in ["start", "restart"] {
            home.rpm(&[command, "good.json", "bad.json"]).fails(parts);
        }
    }
    home.rpm(&["start", "missing.json"])
        .fails(&["reading missing.json: No such file"]);
    home.rpm(&["start", "eco.yaml"])
        .fails(&["YAML is not read"]);
    home.rpm(&["start", "good.json", "--only", "goof"])
        .fails(&["no program is called goof (did you mean good?)"]);
    let output = home.rpm(&["start", "sleep", "--only", "a"]);
    assert_eq!(output.code, 2, "{}", output.shown());
    assert!(!home.root.exists(), "no daemon is launched for nothing");
}

#[test]
fn one_that_fails_keeps_no_other_from_being_started() {
    let home = Home::new();
    home.script("x", "not a script");
    fs::write(home.base.join("x"), b"\x7fELF nonsense").unwrap();
    home.script(
        "f.json",
        r#"[{"name": "a", "script": "./x"}, {"name": "b", "script": "sleep", "args": "1000"}]"#,
    );
    home.rpm(&["start", "f.json"]).fails(&["cannot start a: "]);
    assert_eq!(states(&home), online(&[("b", 0)]));
}

#[test]
fn standard_input_and_a_procfile_are_process_files_too() {
    let home = Home::new();
    home.script(
        "Procfile",
        "# two\nweb: echo \"on $PORT\"; exec sleep 1000\nwork: sleep 1000\n",
    );
    home.shell("PORT=80 $RPM start Procfile").ok();
    assert_eq!(states(&home), online(&[("web", 0), ("work", 0)]));
    home.wait_for_log("web-out.log", "on 80\n");
    home.shell("echo '{\"name\": \"in\", \"script\": \"sleep\", \"args\": [1000]}' | $RPM start -")
        .ok();
    home.shell("echo '{\"name\": \"in\", \"script\": \"gone\"}' | $RPM delete - Procfile")
        .ok();
    assert!(home.list().is_empty());
    let output = home.shell("echo '[1' | $RPM start -");
    output.fails(&["standard input:2:1: expected ',' or ']'"]);
}

#[test]
fn a_module_is_evaluated_by_node() {
    let home = Home::new();
    if !has("node") {
        return skip("node is not installed");
    }
    home.script(
        "eco.config.js",
        "console.log('noise'); setInterval(() => {}, 1000);
         module.exports = { apps: [{ name: 'a', script: 'sleep', args: '1000', env: { N: 1 + 1, F() {} } }] };",
    );
    home.rpm(&["start", "eco.config.js"]).ok();
    assert_eq!(variable(home.program("a").pid, "N").as_deref(), Some("2"));
    home.script(
        "esm.config.mjs",
        "export default [{ name: 'b', script: 'sleep', args: '1000' }]",
    );
    home.rpm(&["start", "esm.config.mjs"]).ok();
    for (text, parts) in [
        (
            "module.exports = { apps: [{ name:",
            &["bad.config.js:1", "SyntaxError", "node failed"][..],
        ),
        (
            "throw new Error('boom')",
            &["boom", "node failed (exit status: 1)"],
        ),
        (
            "module.exports = () => 1",
            &["the module exports function", "node failed"],
        ),
        (
            "module.exports = [{ name: 'c', script: './gone' }]",
            &["bad.config.js: c: script: /"],
        ),
        ("process.exit(0)", &["bad.config.js: expected a value"]),
    ] {
        home.script("bad.config.js", text);
        home.rpm(&["start", "bad.config.js"]).fails(parts);
    }
    let mut command = home.command(&[home.client()]);
    command
        .args(["start", "eco.config.js"])
        .env("PATH", "/nonexistent");
    home.run(command).fails(&["node is not in PATH"]);
    assert_eq!(states(&home), online(&[("a", 0), ("b", 0)]));
}

#[test]
fn what_was_started_can_be_written_as_a_file() {
    let home = Home::new();
    home.script("a.sh", "exec sleep 1000");
    home.rpm(&[
        "start", "a.sh", "-i", "2", "-w", "-k", "5s", "--", "x", "y z",
    ])
    .ok();
    let output = home.rpm(&["start", "a.sh", "--name", "a", "-f", "-w"]);
    output.fails(&["a.config.json is there already"]);
    assert_eq!(home.list().len(), 2);
    let before = home.wire().ask("describe target=0").ok().rows.remove(0);
    home.rpm(&["delete", "all"]).ok();
    home.rpm(&["start", "a.config.json"]).ok();
    let after = home.wire().ask("describe target=a").ok().rows.remove(0);
    for key in [
        "script",
        "cwd",
        "args",
        "kill_timeout",
        "instances",
        "umask",
    ] {
        let values =
            |row: &rpm::protocol::line::Line| row.all(key).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(values(&after), values(&before), "{key}");
    }
    home.rpm(&["start", "a", "-w"]).fails(&["managed already"]);
}

#[test]
fn a_sample_starts_as_it_is() {
    let home = Home::new();
    for (words, file, name) in [
        (&["generate"][..], "processes.json", "clock"),
        (&["init", "my app"], "my app.json", "my app"),
        (&["ecosystem", "x.json"], "x.json", "x"),
    ] {
        home.rpm(words).ok();
        let output = home.rpm(&["start", file]).ok();
        assert_eq!(
            output
                .stderr
                .lines()
                .filter(|l| !l.contains("starting the daemon"))
                .count(),
            0,
            "{}",
            output.shown()
        );
        assert_eq!(home.program(name).state, State::Online);
        let before = fs::read(home.base.join(file)).unwrap();
        home.rpm(words).fails(&[file, "exists already"]);
        assert_eq!(fs::read(home.base.join(file)).unwrap(), before);
    }
    home.rpm(&["generate", "no/such/folder"])
        .fails(&["writing no/such/folder.json: No such file"]);
    home.rpm(&["start", "processes.json", "--env", "production"])
        .ok();
    assert_eq!(
        variable(home.program("clock").pid, "GREETING").as_deref(),
        Some("Good day")
    );
}

#[test]
fn a_restart_of_the_protocol_replaces_all_but_the_name() {
    let home = Home::new();
    home.start_sleep("a");
    let mut wire = home.wire();
    wire.ask("restart target=a script=/bin/sleep args=999 name=b namespace=c cwd=/tmp kill_timeout=3s env.V=1").ok();
    let row = wire.ask("describe target=a").ok().rows.remove(0);
    assert_eq!(
        (
            row.text("namespace"),
            row.text("cwd"),
            row.text("kill_timeout")
        ),
        (Some("default"), Some("/tmp"), Some("3000"))
    );
    assert_eq!(
        proc::arguments(home.program("a").pid),
        ["/bin/sleep", "999"]
    );
    wire.ask("restart target=a kill_timeout=1s")
        .refused("bad-request", "no field kill_timeout without script=PATH");
    wire.ask("restart target=a script=/bin/sleep instances=0")
        .refused("bad-request", "instances is 1 to 10000");
    wire.ask("restart target=a script=/nowhere/x")
        .refused("exec-failed", "/nowhere/x");
}
