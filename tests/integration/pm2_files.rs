//! Process files as pm2's users write them.

use std::fs;

use rpm::model::life::State;

use crate::harness::{Home, has, skip};

const APPS: &str = r#"{apps: [{name: "a", script: "sleep", args: "1000"}]}"#;

#[test]
fn start_alone_takes_the_process_file_of_the_directory() {
    let home = Home::new();
    home.rpm(&["start"])
        .misused("there is no ecosystem.config.js");
    let mut files = vec![
        ("package.json", format!("{{\"name\": \"x\", {}", &APPS[1..])),
        ("processes.json", APPS.to_owned()),
        ("ecosystem.json", APPS.to_owned()),
        ("ecosystem.config.json", APPS.to_owned()),
    ];
    if has("node") {
        files.push(("pm2.config.cjs", format!("module.exports = {APPS}")));
        files.push(("ecosystem.config.mjs", format!("export default {APPS}")));
        files.push(("ecosystem.config.cjs", format!("module.exports = {APPS}")));
        files.push(("ecosystem.config.js", format!("module.exports = {APPS}")));
    }
    for (name, text) in &files {
        fs::write(
            home.base.join(name),
            text.replace("\"a\"", &format!("\"{name}\"")),
        )
        .unwrap();
        home.rpm(&["start", "--only", name]).ok();
        assert_eq!(home.program(name).state, State::Online, "{name}");
        home.rpm(&["delete", "all"]).ok();
        fs::remove_file(home.base.join(name)).unwrap();
    }
    // A package.json that names no programs is none of those.
    fs::write(
        home.base.join("package.json"),
        r#"{"name": "x", "main": "a.js"}"#,
    )
    .unwrap();
    home.rpm(&["start"]).misused("package.json with apps");
}

#[test]
fn json5_is_a_process_file() {
    let home = Home::new();
    let text = "{ // a comment\n  apps : [\n    { name : 'a', script : '/bin/sleep', args : ['1000',], kill_timeout: 0x10, env: {V: 'it\\'s'}, },\n  ],\n}\n";
    for name in ["ecosystem.json5", "ecosystem.json"] {
        home.script(name, text);
        home.rpm(&["start", name]).ok();
        let row = home.wire().ask("describe target=a").ok().rows.remove(0);
        assert_eq!(row.text("kill_timeout"), Some("16"));
        assert!(home.rpm(&["env", "a"]).ok().stdout.contains("\nV=it's\n"));
        home.rpm(&["delete", "a"]).ok();
    }
    let mut command = home.command(&[
        "bash",
        "-c",
        "printf \"{name: 'b', script: 'sleep', args: '1000'}\" | $RPM start -",
    ]);
    command.env("RPM", home.client());
    home.run(command).ok();
    assert_eq!(home.program("b").state, State::Online);
    home.script("bad.json5", "{apps: [{name: 'a', script: sleep}]}");
    home.rpm(&["start", "bad.json5"])
        .fails(&["bad.json5:1:29: expected a value, found 'sleep'"]);
}

#[test]
fn a_module_is_read_as_what_it_is_written() {
    if !has("node") {
        return skip("node is not installed");
    }
    let home = Home::new();
    let folder = home.base.display().to_string();
    for (package, name, text) in [
        ("module", "a.config.js", "module.exports = {apps: [APP]}"),
        ("module", "b.config.js", "exports.apps = [APP]"),
        (
            "module",
            "c.config.js",
            "const os = require('os'); module.exports = {apps: [APP]}",
        ),
        ("module", "d.config.js", "export default {apps: [APP]}"),
        (
            "module",
            "e.config.mjs",
            "import os from 'os'; export const apps = [APP]",
        ),
        ("module", "f.config.cjs", "module.exports = [APP]"),
        ("commonjs", "g.config.js", "module.exports = {apps: [APP]}"),
    ] {
        home.script("package.json", &format!("{{\"type\": \"{package}\"}}"));
        let app = r#"{name: "a", script: "sleep", args: "1000", env: {D: 'DIR'}}"#;
        let app = match text.contains("export ") {
            true => app.replace("'DIR'", "1"),
            false => app.replace("'DIR'", "__dirname"),
        };
        home.script(name, &text.replace("APP", &app));
        home.rpm(&["start", name]).ok();
        let printed = home.rpm(&["env", "a"]).ok().stdout;
        let expected = if text.contains("export ") {
            "1"
        } else {
            &folder
        };
        assert!(
            printed.contains(&format!("\nD={expected}\n")),
            "{name}: {printed}"
        );
        home.rpm(&["delete", "a"]).ok();
    }
    // What is wrong in it is what Node says of it.
    home.script("package.json", r#"{"type": "module"}"#);
    home.script(
        "x.config.js",
        "import os from 'os'; export default {apps: [{cwd: __dirname}]}",
    );
    home.rpm(&["start", "x.config.js"])
        .fails(&["__dirname is not defined in ES module scope", ".cjs"]);
    home.script("y.config.js", "module.exports = {apps: nothing}");
    home.rpm(&["start", "y.config.js"])
        .fails(&["nothing is not defined"]);
    home.script(
        "z.config.js",
        "module.exports = {script: 'sleep', max_restarts: Infinity}",
    );
    home.rpm(&["start", "z.config.js"])
        .fails(&["max_restarts: 'Infinity' is not a whole number"]);
}

#[test]
fn what_is_false_names_no_file_and_no_program() {
    let home = Home::new();
    home.script("s.sh", "echo out; echo err >&2; exec sleep 1000\n");
    let text = r#"{"name": "a", "script": "s.sh", "out_file": false, "error_file": "", "pid_file": false,
                   "interpreter": false, "args": false, "cwd": false}"#;
    home.script("f.json", text);
    home.rpm(&["start", "f.json"]).ok();
    home.wait_for_log("a-out.log", "out\n");
    home.wait_for_log("a-error.log", "err\n");
    assert!(!home.base.join("false").exists());
    let row = home.wire().ask("describe target=a").ok().rows.remove(0);
    assert_eq!((row.text("interpreter"), row.text("args")), (None, None));
    home.script("true.json", &text.replace("false", "true"));
    home.rpm(&["start", "true.json"]).fails(&[
        "true.json:1:45: a: out_file: expected a string, found true or false",
        "a: interpreter: expected",
        "a: args: expected",
    ]);
}

#[test]
fn the_programs_of_a_file_are_stopped_though_their_scripts_are_gone() {
    let home = Home::new();
    home.script("s.sh", "exec sleep 1000\n");
    home.script("f.json", r#"{"script": "s.sh"}"#);
    home.rpm(&["start", "f.json"]).ok();
    fs::remove_file(home.base.join("s.sh")).unwrap();
    home.rpm(&["stop", "f.json"]).ok();
    assert_eq!(home.program("s").state, State::Stopped);
    home.rpm(&["delete", "f.json"]).ok();
}
