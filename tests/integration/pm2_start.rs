//! What `rpm start` makes of the words that pm2's users give it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};

use rpm::model::life::State;

use crate::harness::run::write_executable;
use crate::harness::{Home, has, proc, skip, wait_until};

/// Whether all of these are installed; the test is skipped where one is not.
fn have(tools: &[&str]) -> bool {
    match tools.iter().find(|tool| !has(tool)) {
        Some(missing) => {
            skip(&format!("{missing} is not installed"));
            false
        }
        None => true,
    }
}

/// Writes a file into the test's folder, in folders that are made for it.
fn write(home: &Home, name: &str, text: &str, mode: u32) {
    let path = home.base.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_executable(|| fs::write(&path, text));
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Says so once it listens on `PORT`.
const SERVER: &str = "require('http').createServer((_, a) => a.end('x'))\
    .listen(process.env.PORT, '127.0.0.1', () => console.log('listening', process.execArgv.join()))\n";

#[test]
fn a_script_that_names_node_in_its_first_line_is_a_cluster_on_one_port() {
    if !have(&["node"]) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let home = Home::new();
    let first_lines = [
        ("env", "#!/usr/bin/env node", 0o755, ""),
        (
            "split",
            "#!/usr/bin/env -S node --no-warnings",
            0o755,
            "--no-warnings",
        ),
        ("plain", "#!/usr/bin/env node", 0o644, ""),
    ];
    for (name, line, mode, arguments) in first_lines {
        write(
            &home,
            &format!("bin/{name}"),
            &format!("{line}\n{SERVER}"),
            mode,
        );
        home.shell(&format!("PORT={port} $RPM start bin/{name} -i 2"))
            .ok();
        for worker in home.list() {
            let log = format!("{name}-out-{}.log", worker.id);
            let said = home.wait_for_log(&log, "listening");
            assert_eq!(said.trim_end(), format!("listening {arguments}").trim_end());
        }
        let row = home
            .wire()
            .ask(&format!("describe target={name}"))
            .ok()
            .rows
            .remove(0);
        assert_eq!(
            (row.text("mode"), row.text("interpreter")),
            (Some("cluster"), Some("node")),
            "{row:?}"
        );
        home.rpm(&["delete", name]).ok();
    }
    // So is one that is found in PATH.
    write(
        &home,
        "bin/serve-it",
        &format!("#!/usr/bin/env node\n{SERVER}"),
        0o755,
    );
    home.shell(&format!(
        "PATH=$PWD/bin:$PATH PORT={port} $RPM start serve-it -i 2"
    ))
    .ok();
    for worker in home.list() {
        home.wait_for_log(&format!("serve-it-out-{}.log", worker.id), "listening");
    }
}

#[test]
fn a_restart_follows_the_link_by_which_the_shell_came() {
    let home = Home::new();
    for release in ["1", "2"] {
        let text = format!("echo release {release} in $PWD; exec sleep 1000\n");
        write(&home, &format!("r/{release}/app.sh"), &text, 0o644);
        write(
            &home,
            &format!("r/{release}/f.json"),
            r#"{"name": "file", "script": "app.sh"}"#,
            0o644,
        );
    }
    symlink("r/1", home.base.join("current")).unwrap();
    let starts = "cd current; $RPM start ./app.sh --name cwd --cwd . \
                  && $RPM start f.json && $RPM start app.sh --name shell --interpreter bash";
    home.shell(starts).ok();
    let names = ["cwd", "file", "shell"];
    let base = home.base.display().to_string();
    for name in names {
        home.wait_for_log(
            &format!("{name}-out.log"),
            &format!("release 1 in {base}/current\n"),
        );
    }
    home.shell("ln -sfn r/2 current; $RPM restart all").ok();
    for name in names {
        home.wait_for_log(
            &format!("{name}-out.log"),
            &format!("release 2 in {base}/current\n"),
        );
    }
    // A PWD that is wrong counts for nothing.
    home.shell("cd r/1; PWD=/tmp $RPM start app.sh --name lie")
        .ok();
    home.wait_for_log("lie-out.log", &format!("release 1 in {base}/r/1\n"));
}

#[test]
fn a_shell_command_is_one_of_bash() {
    if !have(&["bash"]) {
        return;
    }
    let home = Home::new();
    write(&home, "venv/bin/activate", "export VENV=on\n", 0o644);
    let command = "source venv/bin/activate && [[ $VENV == o* ]] && echo \"venv $VENV $1\" && exec sleep 1000";
    home.rpm(&["start", command, "--name", "api", "--", "x y"])
        .ok();
    assert_eq!(home.wait_for_log("api-out.log", "\n"), "venv on x y\n");
    // As a script of a process file, also where it has no interpreter on purpose.
    let file = r#"[{"name": "none", "script": "echo one && echo two && exec sleep 1000", "interpreter": "none"},
                   {"name": "bash", "script": "source venv/bin/activate; echo $VENV; exec sleep 1000"}]"#;
    write(&home, "f.json", file, 0o644);
    home.rpm(&["start", "f.json"]).ok();
    assert_eq!(home.wait_for_log("none-out.log", "two\n"), "one\ntwo\n");
    home.wait_for_log("bash-out.log", "on\n");
    home.rpm(&["start", "a b; c", "--interpreter", "python3"])
        .fails(&[
            "a b; c: No such file",
            "a shell command needs no interpreter",
        ]);
    // Without bash it is sh that runs commands.
    home.shell(
        "mkdir empty; PATH=$PWD/empty $RPM start 'while :; do read x; done < /dev/zero' --name sh",
    )
    .ok();
    let arguments = proc::arguments(home.program("sh").pid);
    assert_eq!(arguments[0], "/bin/sh", "{arguments:?}");
}

#[test]
fn the_tilde_is_the_home_directory_in_files_and_flags() {
    let home = Home::new();
    write(
        &home,
        "u/.bun/bin/bun",
        "#!/bin/sh\necho \"bun runs $1\"; exec sleep 1000\n",
        0o755,
    );
    write(&home, "u/x.sh", "exec sleep 1000\n", 0o644);
    write(&home, "index.ts", "", 0o644);
    let file = r#"{"name": "api", "script": "index.ts", "interpreter": "~/.bun/bin/bun"}"#;
    write(&home, "f.json", file, 0o644);
    home.shell("HOME=$PWD/u; export HOME; $RPM start f.json")
        .ok();
    home.wait_for_log("api-out.log", "bun runs /");
    let flags = "--interpreter='~/.bun/bin/bun' --cwd='~' -o'~/o.log'";
    home.shell(&format!(
        "HOME=$PWD/u; export HOME; $RPM start index.ts --name flags {flags}"
    ))
    .ok();
    let base = home.base.display().to_string();
    wait_until("output in the home directory", || {
        fs::read_to_string(home.base.join("u/o.log"))
            .is_ok_and(|text| text.starts_with("bun runs /"))
    });
    let cwd = fs::read_link(format!("/proc/{}/cwd", home.program("flags").pid)).unwrap();
    assert_eq!(cwd, home.base.join("u"));
    // From the folder where the command is given.
    home.rpm(&[
        "start",
        "index.ts",
        "--name",
        "rel",
        "--interpreter",
        "u/.bun/bin/bun",
        "--cwd",
        "/",
    ])
    .ok();
    home.wait_for_log("rel-out.log", &format!("bun runs {base}/index.ts"));
}

#[test]
fn a_command_in_path_is_read_by_its_interpreter() {
    if !have(&["python3"]) {
        return;
    }
    let home = Home::new();
    let text = "import sys, time\nprint('served', sys.argv[1])\ntime.sleep(1000)\n";
    write(&home, "bin/uvicorn-x", text, 0o755);
    let file =
        r#"{"name": "api", "script": "uvicorn-x", "args": "index:app", "interpreter": "python3"}"#;
    write(&home, "f.json", file, 0o644);
    home.shell("PATH=$PWD/bin:$PATH; export PATH; $RPM start f.json && $RPM start uvicorn-x --name word --interpreter python3 -- x").ok();
    home.wait_for_log("api-out.log", "served index:app\n");
    home.wait_for_log("word-out.log", "served x\n");
    home.rpm(&["start", "no-such-command-x", "--interpreter", "python3"])
        .fails(&["no-such-command-x: No such file or directory, and no such command is in PATH"]);
}

#[test]
fn what_python_prints_is_in_its_log_at_once() {
    if !have(&["python3", "bash"]) {
        return;
    }
    let home = Home::new();
    let text = "import time\nprint('hello')\ntime.sleep(1000)\n";
    write(&home, "p.py", text, 0o644);
    write(
        &home,
        "tool",
        &format!("#!/usr/bin/env python3\n{text}"),
        0o755,
    );
    write(
        &home,
        "plain",
        &format!("#!/usr/bin/env python3\n{text}"),
        0o644,
    );
    fs::create_dir_all(home.base.join("venv/bin")).unwrap();
    home.shell("printf '#!/bin/sh\\nexec python3 \"$@\"\\n' > venv/bin/python3.9; chmod +x venv/bin/python3.9").ok();
    let ways = [
        ("ending", "p.py"),
        ("named", "p.py --interpreter python3"),
        ("venv", "p.py --interpreter venv/bin/python3.9"),
        ("line", "./tool"),
        ("read", "./plain"),
        ("command", "python3 -- p.py"),
        ("shell", "'cd . && python3 p.py'"),
    ];
    for (name, words) in ways {
        let words = words.replacen(" -- ", &format!(" --name {name} -- "), 1);
        let flags = if words.contains(" -- ") {
            String::new()
        } else {
            format!("--name {name}")
        };
        home.shell(&format!(
            "unset PYTHONUNBUFFERED; $RPM start {words} {flags}"
        ))
        .ok();
        home.wait_for_log(&format!("{name}-out.log"), "hello\n");
    }
    home.rpm(&["restart", "all", "--update-env"]).ok();
    let log = || String::from_utf8(home.log("ending-out.log")).unwrap();
    wait_until("output after the restart", || {
        log().matches("hello").count() == 2
    });
    // What was set otherwise is left as it is.
    home.shell("PYTHONUNBUFFERED= $RPM start p.py --name own")
        .ok();
    let all = proc::environment_of_live(home.program("own").pid);
    assert!(all.contains(&b"PYTHONUNBUFFERED=".to_vec()));
}

#[test]
fn a_directory_is_the_package_in_it() {
    if !have(&["node"]) {
        return;
    }
    let home = Home::new();
    let text = "console.log('bot is up', process.cwd()); setInterval(() => {}, 1000)";
    write(
        &home,
        "bot/package.json",
        r#"{"name": "@x/bot", "main": "src/bot"}"#,
        0o644,
    );
    write(&home, "bot/src/bot.js", text, 0o644);
    write(&home, "plain/index.js", text, 0o644);
    write(
        &home,
        "f.json",
        r#"{"name": "file", "script": ".", "cwd": "bot"}"#,
        0o644,
    );
    home.shell("cd bot; $RPM start . --name here").ok();
    home.rpm(&["start", "bot", "./plain/", "f.json"]).ok();
    let base = home.base.display().to_string();
    for (name, cwd) in [
        ("here", "/bot"),
        ("bot", ""),
        ("plain", ""),
        ("file", "/bot"),
    ] {
        home.wait_for_log(
            &format!("{name}-out.log"),
            &format!("bot is up {base}{cwd}\n"),
        );
    }
    // A command of this name in PATH is what a word without a slash means.
    write(&home, "sleep/index.js", text, 0o644);
    home.rpm(&["start", "sleep", "--name", "word", "--", "1000"])
        .ok();
    assert_eq!(proc::arguments(home.program("word").pid), ["sleep", "1000"]);
    write(
        &home,
        "app/package.json",
        r#"{"scripts": {"start": "next start"}}"#,
        0o644,
    );
    write(
        &home,
        "b/npm",
        "#!/bin/sh\necho npm $* in $PWD; exec sleep 1000\n",
        0o755,
    );
    home.shell("PATH=$PWD/b:$PATH $RPM start ./app -- -p 80")
        .ok();
    home.wait_for_log(
        "app-out.log",
        &format!("npm start -- -p 80 in {base}/app\n"),
    );
    write(&home, "none/a.js", text, 0o644);
    home.rpm(&["start", "./none"])
        .fails(&["none is a directory without package.json"]);
}

#[test]
fn every_ending_of_typescript_has_an_interpreter() {
    let home = Home::new();
    write(
        &home,
        "bin/tsx",
        "#!/bin/sh\necho \"tsx runs $1\"; exec sleep 1000\n",
        0o755,
    );
    for ending in ["ts", "mts", "cts", "tsx", "jsx"] {
        write(&home, &format!("{ending}.{ending}"), "", 0o644);
        home.shell(&format!("PATH=$PWD/bin:$PATH $RPM start {ending}.{ending}"))
            .ok();
        home.wait_for_log(&format!("{ending}-out.log"), "tsx runs");
    }
}

#[test]
fn a_script_without_execute_bit_is_run_by_its_first_line() {
    let home = Home::new();
    write(
        &home,
        "www",
        "#!/bin/sh -e\necho $- $1; exec sleep 1000\n",
        0o644,
    );
    home.rpm(&["start", "./www", "--", "x"]).ok();
    let said = home.wait_for_log("www-out.log", "\n");
    assert!(said.contains('e') && said.ends_with(" x\n"), "{said}");
    let row = home.wire().ask("describe target=www").ok().rows.remove(0);
    assert_eq!(row.text("interpreter"), Some("/bin/sh"));
}

#[test]
fn a_shell_in_a_removed_directory_can_do_all_that_needs_none() {
    let home = Home::new();
    write(&home, "app/a.sh", "exec sleep 1000\n", 0o644);
    write(
        &home,
        "app/p.json",
        r#"{"name": "file", "script": "a.sh"}"#,
        0o644,
    );
    home.start_sleep("word");
    home.rpm(&["stop", "word"]).ok();
    let gone = |words: &str| {
        home.shell(&format!(
            "A=$PWD/app; mkdir gone; cd gone; rmdir ../gone; {words}"
        ))
    };
    gone("$RPM start $A/p.json && $RPM start word").ok();
    gone("$RPM restart $A/p.json --update-env && $RPM list && $RPM logs word --nostream && $RPM env word").ok();
    gone("$RPM start $A/a.sh --name given --cwd $A -o $A/o.log").ok();
    for name in ["file", "word", "given"] {
        assert_eq!(home.program(name).state, State::Online);
    }
    gone("$RPM start $A/a.sh --name lost").fails(&[
        "the working directory has been removed; change to another one, or name one with --cwd",
    ]);
    gone("$RPM start $A/a.sh -o o.log").misused("the working directory has been removed");
    gone("$RPM stop all && $RPM delete all && $RPM kill && $RPM ping").ok();
}
