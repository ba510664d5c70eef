//! `rpm dev`: a program is run while somebody works on it.

use std::fs;
use std::process::Stdio;

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::run::{Running, spawn};
use crate::harness::tmux::Tmux;
use crate::harness::wait::wait_for_end;
use crate::harness::{Home, has, proc, skip, wait_until};

/// Says that it runs, and in the end that it ends.
const APP: &str = "trap 'echo bye; kill $!; exit 0' INT TERM\n\
    echo \"hello $$\"; echo oops >&2\n\
    while :; do sleep 1000 & wait; done\n";

/// `rpm dev` with these words, in the folder `work` of the test. What it prints is heard too.
fn dev(home: &Home, words: &str) -> Running {
    let script = format!("cd work && exec {} dev {words} >&2", home.client());
    Running::start(home.command(&["sh", "-c", &script]))
}

/// A folder `work` with `app.sh` and a folder `lib`.
fn scene() -> Home {
    let home = Home::new();
    fs::create_dir_all(home.base.join("work/lib")).unwrap();
    home.script("work/app.sh", APP);
    home
}

fn write(home: &Home, file: &str) {
    fs::write(home.base.join("work").join(file), "x").unwrap();
}

/// Waits until it serves; its pid.
#[track_caller]
fn wait_for_start(home: &Home, dev: &mut Running) -> i32 {
    dev.wait_for_line("^C ends it");
    home.program("dev-app").pid
}

/// Ends it as somebody at a terminal does.
#[track_caller]
fn end(home: &Home, dev: &mut Running, name: &str) {
    let pid = home.program(name).pid;
    proc::kill(dev.pid(), Signal::INT);
    dev.wait_for_line(&format!("rpm: {name} is stopped and removed"));
    assert_eq!(dev.wait(), 0);
    assert!(home.list().is_empty() && !proc::lives(pid));
}

#[test]
fn output_is_shown_a_change_restarts_and_the_end_removes() {
    let home = scene();
    // What an earlier run has printed is not shown again.
    fs::create_dir_all(home.root.join("logs")).unwrap();
    fs::write(home.log_path("dev-app-out.log"), "earlier\n").unwrap();
    let mut dev = dev(&home, "app.sh");
    let pid = wait_for_start(&home, &mut dev);
    dev.wait_for_line("0|dev-app | hello");
    write(&home, "lib/part");
    dev.wait_for_line("rpm: lib/part changed; restarting");
    dev.wait_for_line("0|dev-app | bye");
    dev.wait_for_line("0|dev-app | hello");
    let program = home.program("dev-app");
    assert!(program.pid != pid && program.restarts == 1 && program.state == State::Online);
    proc::kill(dev.pid(), Signal::INT);
    dev.wait_for_line("0|dev-app | bye");
    dev.wait_for_line("rpm: dev-app is stopped and removed");
    assert_eq!(dev.wait(), 0);
    assert!(home.list().is_empty() && !proc::lives(program.pid));
    assert!(dev.heard().iter().any(|line| line == "0|dev-app | oops"));
    assert!(!dev.heard().iter().any(|line| line.contains("earlier")));
}

#[test]
fn a_burst_is_one_restart_and_what_is_left_out_is_none() {
    let home = scene();
    let work = home.base.join("work");
    fs::create_dir_all(work.join("node_modules/x")).unwrap();
    fs::create_dir_all(work.join(".git")).unwrap();
    let mut dev = dev(
        &home,
        "app.sh --ignore-watch '*.db' --ignore-watch lib/cache -o out.txt",
    );
    wait_for_start(&home, &mut dev);
    for file in [
        "node_modules/x/y",
        ".git/z",
        ".app.sh.swp",
        "app.sh~",
        "4913",
        "a.db",
    ] {
        write(&home, file);
    }
    fs::create_dir_all(work.join("lib/cache/deep")).unwrap();
    write(&home, "lib/cache/deep/file");
    fs::create_dir_all(work.join("new/er")).unwrap();
    // All of it is there before it looks, however slow this machine is.
    proc::stop(dev.pid());
    for at in 0..50 {
        write(&home, &format!("new/er/{at}"));
    }
    proc::go_on(dev.pid());
    dev.wait_for_line(" and 49 other files changed; restarting");
    // A folder that has come since, and one that has moved.
    write(&home, "new/er/0");
    dev.wait_for_line("rpm: new/er/0 changed; restarting");
    fs::rename(work.join("new/er"), work.join("moved")).unwrap();
    dev.wait_for_line("rpm: new/er and 50 other files changed; restarting");
    write(&home, "moved/7");
    dev.wait_for_line("rpm: moved/7 changed; restarting");
    // As editors save: what they write first under another name is nobody's business.
    proc::stop(dev.pid());
    write(&home, "temporary");
    fs::rename(work.join("temporary"), work.join("app.js")).unwrap();
    proc::go_on(dev.pid());
    dev.wait_for_line("rpm: app.js changed; restarting");
    fs::remove_file(work.join("app.js")).unwrap();
    dev.wait_for_line("rpm: app.js changed; restarting");
    let six = |p: &rpm::protocol::process::Process| p.restarts == 6 && p.state == State::Online;
    home.wait_for("dev-app", "the sixth restart", six);
    end(&home, &mut dev, "dev-app");
}

#[test]
fn other_folders_and_files_are_watched_where_they_are_named() {
    let home = scene();
    fs::create_dir_all(home.base.join("other/deep")).unwrap();
    write(&home, "one");
    let mut dev = dev(
        &home,
        "app.sh --watch ../other --watch one --name mine --raw -- a b",
    );
    dev.wait_for_line("^C ends it");
    dev.wait_for_line("hello");
    assert!(dev.heard().last().unwrap().starts_with("hello"), "raw");
    for file in ["two", "lib/x", "../other/deep/x"] {
        write(&home, file);
    }
    dev.wait_for_line("other/deep/x changed; restarting");
    write(&home, "two");
    write(&home, "one");
    dev.wait_for_line("rpm: one changed; restarting");
    end(&home, &mut dev, "mine");
    for (words, part) in [
        ("--watch nowhere", "watching "),
        ("--ignore-watch /", "'/' is no pattern"),
        (
            "--name x two.json",
            "two.json is a process file; start takes those",
        ),
    ] {
        let script =
            format!("cd work; exec $RPM dev app.sh {words}").replace("app.sh --name", "--name");
        let output = home.shell(&script);
        assert!(
            output.code > 0 && output.stderr.contains(part),
            "{}",
            output.shown()
        );
    }
    assert!(home.list().is_empty());
}

#[test]
fn the_folder_of_a_script_elsewhere_is_watched() {
    let home = scene();
    let script = home.base.join("work/app.sh");
    // The daemons' home is the present folder here: what they write there is no change.
    fs::create_dir_all(&home.root).unwrap();
    let words = format!("cd ../h && exec {} dev", home.client());
    let words = format!("{words} {} >&2", script.display());
    let mut elsewhere = Running::start(home.command(&["sh", "-c", &format!("cd work && {words}")]));
    wait_for_start(&home, &mut elsewhere);
    write(&home, "x");
    elsewhere.wait_for_line("/work/x changed; restarting");
    end(&home, &mut elsewhere, "dev-app");
    fs::copy(&script, home.root.join("app.sh")).unwrap();
    let words = format!("cd h && exec {} dev app.sh >&2", home.client());
    let mut inside = Running::start(home.command(&["sh", "-c", &words]));
    wait_for_start(&home, &mut inside);
    home.start_sleep("other");
    home.rpm(&["save"]).ok();
    home.rpm(&["delete", "other"]).ok();
    fs::write(home.root.join("mine"), "x").unwrap();
    inside.wait_for_line("rpm: mine changed; restarting");
    home.wait_for("dev-app", "one restart", |p| {
        p.restarts == 1 && p.state == State::Online
    });
    end(&home, &mut inside, "dev-app");
}

#[test]
fn a_program_that_has_ended_waits_for_the_next_change() {
    let home = scene();
    let mut dev = dev(&home, "app.sh");
    wait_for_start(&home, &mut dev);
    home.script("work/app.sh", "echo broken >&2; exit 3\n");
    dev.wait_for_line("rpm: app.sh changed; restarting");
    dev.wait_for_line("rpm: dev-app has ended: exit code 3; the next change starts it again");
    assert_eq!(home.program("dev-app").state, State::Stopped);
    home.script("work/app.sh", APP);
    dev.wait_for_line("0|dev-app | hello");
    let pid = home.program("dev-app").pid;
    proc::kill(pid, Signal::KILL);
    dev.wait_for_line("rpm: dev-app has ended: SIGKILL; the next change starts it again");
    fs::remove_file(home.base.join("work/app.sh")).unwrap();
    dev.wait_for_line("rpm: app.sh changed; restarting");
    dev.wait_for_line("app.sh: No such file or directory; the next change tries again");
    home.script("work/app.sh", APP);
    dev.wait_for_line("0|dev-app | hello");
    end(&home, &mut dev, "dev-app");
}

#[test]
fn a_program_that_cannot_be_started_leaves_nothing() {
    let home = scene();
    write(&home, "data");
    home.rpm(&["ping"]).ok();
    for (words, part) in [
        ("./missing.sh", "missing.sh: No such file"),
        ("./data", "data is not executable"),
        ("nosuchcommand", "not found in PATH"),
        ("app.sh --cwd /nowhere", "/nowhere: No such file"),
    ] {
        let output = home
            .shell(&format!("cd work; exec $RPM dev {words}"))
            .fails(&[part]);
        assert!(!output.stdout.contains("started"), "{}", output.shown());
        assert!(home.list().is_empty(), "{words}");
    }
    let mut dev = dev(&home, "app.sh");
    let pid = wait_for_start(&home, &mut dev);
    home.shell("cd work; exec $RPM dev app.sh")
        .fails(&["dev-app is in the list already"]);
    assert_eq!(home.program("dev-app").pid, pid);
    end(&home, &mut dev, "dev-app");
}

#[test]
fn whatever_ends_it_the_program_is_not_left_behind() {
    let home = scene();
    for signal in [Signal::TERM, Signal::HUP] {
        let mut dev = dev(&home, "app.sh");
        let pid = wait_for_start(&home, &mut dev);
        proc::kill(dev.pid(), signal);
        assert_eq!(dev.wait(), -1, "as a program that the signal has ended");
        assert!(home.list().is_empty() && !proc::lives(pid));
    }
    let output = home
        .shell("cd work; $RPM dev app.sh | head -n 1; echo ${PIPESTATUS[0]}")
        .ok();
    assert!(
        output.stdout.starts_with("rpm: started dev-app"),
        "{}",
        output.shown()
    );
    assert!(output.stdout.ends_with("\n0\n"), "{}", output.shown());
    assert!(home.list().is_empty());
}

#[test]
fn output_that_nobody_reads_does_not_keep_it_from_ending() {
    let home = scene();
    home.script(
        "work/flood.sh",
        "while :; do echo 'a line that is long enough to fill a pipe'; done\n",
    );
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = home.command(&[home.client().as_str(), "dev", "flood.sh", "-s"]);
        command
            .current_dir(home.base.join("work"))
            .stdout(Stdio::piped());
        let mut child = spawn(&mut command).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let waits = || fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        wait_until("the pipe is full", || {
            let full = fs::metadata(home.log_path("dev-flood-out.log")).map_or(0, |m| m.len());
            full > 1 << 20 && waits().split(' ').count() > 3
        });
        proc::kill(pid, signal);
        wait_for_end(pid);
        let status = child.wait().unwrap();
        assert_eq!(status.code(), (signal == Signal::INT).then_some(0));
        assert!(home.list().is_empty());
        fs::remove_file(home.log_path("dev-flood-out.log")).unwrap();
    }
}

#[test]
fn it_goes_on_when_daemons_die_and_ends_when_the_program_is_deleted() {
    let home = scene();
    let mut dev = dev(&home, "app.sh");
    let pid = wait_for_start(&home, &mut dev);
    proc::kill(home.supervisor(), Signal::KILL);
    write(&home, "one");
    dev.wait_for_line("rpm: one changed; restarting");
    dev.wait_for_line("bye");
    dev.wait_for_line("hello");
    home.kill_daemons();
    write(&home, "two");
    dev.wait_for_line("rpm: two changed; restarting");
    dev.wait_for_line("bye");
    dev.wait_for_line("hello");
    assert_ne!(home.program("dev-app").pid, pid);
    // Its number may be another's by then.
    home.rpm(&["delete", "dev-app"]).ok();
    dev.wait_for_line("rpm: dev-app is not in the list any more");
    assert_eq!(dev.wait(), 1);
    let mut again = self::dev(&home, "app.sh");
    wait_for_start(&home, &mut again);
    home.rpm(&["kill"]).ok();
    again.wait_for_line("rpm: dev-app is not in the list any more");
    assert_eq!(again.wait(), 1);
}

#[test]
fn a_restart_that_takes_long_does_not_keep_changes_from_being_seen() {
    let home = scene();
    let slow = "trap 'echo asked' INT\necho hello\nuntil [ -e go ]; do sleep 0.05; done\n";
    home.script("work/app.sh", slow);
    let mut dev = dev(
        &home,
        "app.sh --kill-timeout 60s --ignore-watch go --no-treekill",
    );
    wait_for_start(&home, &mut dev);
    dev.wait_for_line("hello");
    write(&home, "one");
    dev.wait_for_line("rpm: one changed; restarting");
    dev.wait_for_line("asked");
    for file in ["two", "three"] {
        write(&home, file);
    }
    home.script("work/app.sh", APP);
    write(&home, "go");
    dev.wait_for_line("rpm: two and 2 other files changed; restarting");
    dev.wait_for_line("hello");
    home.wait_for("dev-app", "two restarts", |p| {
        p.restarts == 2 && p.state == State::Online
    });
    end(&home, &mut dev, "dev-app");
}

#[test]
fn a_file_that_the_program_writes_itself_is_suspected() {
    let home = scene();
    home.script("work/app.sh", "echo x > own.txt\nexec sleep 1000\n");
    let mut dev = dev(&home, "app.sh");
    dev.wait_for_line("rpm: own.txt changed; restarting");
    dev.wait_for_line("leave it out with --ignore-watch own.txt");
    end(&home, &mut dev, "dev-app");
}

#[test]
fn killed_outright_it_leaves_the_program_in_the_list() {
    let home = scene();
    let mut dev = dev(&home, "app.sh");
    wait_for_start(&home, &mut dev);
    proc::kill(dev.pid(), Signal::KILL);
    dev.wait();
    assert_eq!(home.program("dev-app").state, State::Online);
    home.rpm(&["delete", "dev-app"]).ok();
}

#[test]
fn a_node_program_at_a_terminal_has_colours() {
    if !has("tmux") || !has("node") {
        return skip("tmux or node is not installed");
    }
    let home = scene();
    let text = "process.on('SIGINT', () => { console.log('closing'); process.exit(0); });\n\
        console.log('number', 42);\n\
        setInterval(() => {}, 1000);\n";
    home.script("work/server.js", text);
    let tmux = Tmux::start(&home, 100, 30, &[]);
    tmux.type_line("cd work; $RPM dev server.js");
    tmux.wait_for_text("0|dev-server | number 42");
    let screen = tmux.coloured_screen();
    let line = |part: &str| screen.lines().find(|line| line.contains(part)).unwrap();
    assert!(line("0|dev-server").contains("[32m"), "{screen}");
    assert!(line("number").contains("[33m42"), "{screen}");
    write(&home, "lib/x");
    tmux.wait_for("the next run", |screen| {
        screen.matches("number 42").count() == 2
    });
    tmux.wait_for_text("rpm: lib/x changed; restarting");
    tmux.press(&["C-c"]);
    tmux.wait_for_text("rpm: dev-server is stopped and removed");
    assert!(tmux.screen().matches("closing").count() == 2);
    tmux.type_line("echo code $?; NO_COLOR=1 $RPM dev server.js");
    tmux.wait_for_text("code 0");
    tmux.wait_for("a run without colours", |screen| {
        screen.matches("number 42").count() == 3
    });
    let screen = tmux.coloured_screen();
    let plain = screen.rsplit("code 0").next().unwrap();
    assert!(plain.contains("1|dev-server | number 42"), "{plain}");
    // The terminal goes.
    drop(tmux);
    wait_until("the program is removed", || home.list().is_empty());
}
