//! `rpm logs` where files are not as simple as they might be: older than their program, links, unreadable, of several
//! forms.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rpm::sys::signal::Signal;

use crate::harness::logs::{append, follow, older, printed, quiet};
use crate::harness::run::Running;
use crate::harness::{Home, has, is_root, proc, skip, wait_until};

#[test]
fn of_a_later_program_all_that_it_prints_is_shown_and_nothing_older() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    // A program of the same name, long ago.
    append(&home.log_path("x-out.log"), "old 1\nold 2\n");
    let mut logs = follow(&home, "--raw");
    logs.wait_for_line("waiting for one");
    proc::kill(logs.pid(), Signal::STOP);
    let script = "seq -f 'line %g' 1 100\nexec sleep 1000\n";
    for name in ["x", "y"] {
        home.start(name, script, &["--log-max-size", "300"]);
        home.wait_for_log(&format!("{name}-out.log"), "line 100");
    }
    proc::kill(logs.pid(), Signal::CONT);
    home.start("end", "echo the end\nexec sleep 1000\n", &[]);
    logs.wait_for_line("the end");
    let lines = logs.heard().iter();
    let lines = lines.filter(|line| line.starts_with("line "));
    let expected = (1..=100).map(|number| format!("line {number}"));
    let expected: Vec<_> = expected.clone().chain(expected).collect();
    assert_eq!(lines.cloned().collect::<Vec<_>>(), expected);
    assert!(logs.heard().iter().all(|line| !line.contains("old")));
}

#[test]
fn a_link_is_followed_to_where_its_file_is_rotated() {
    let home = Home::new();
    fs::create_dir(home.base.join("real")).unwrap();
    let (real, link) = (home.base.join("real/a.log"), home.base.join("x.log"));
    append(&real, "3\n");
    append(&older(&real, 1), "1\n2\n");
    symlink(&real, &link).unwrap();
    quiet(&home, "x", &["--log-max-size", "10"]);
    assert_eq!(printed(&home, &["--raw", "--lines", "2"]), "2\n3\n");
    let mut logs = follow(&home, "--raw");
    logs.wait_for_line("3");
    let script = "seq -f 'line %g' 1 20\necho end\nexec sleep 1000\n";
    let flags = [
        "-o",
        "x.log",
        "--log-max-size",
        "40",
        "--log-max-files",
        "20",
    ];
    home.start("y", script, &flags);
    logs.wait_for_line("end");
    let expected: String = (1..=20).map(|number| format!("line {number}\n")).collect();
    let heard = logs.heard().join("\n");
    assert_eq!(heard, format!("1\n2\n3\n{expected}end"));
    assert!(older(&real, 2).exists());
}

#[test]
fn a_follower_that_is_outrun_says_so() {
    let home = Home::new();
    quiet(&home, "x", &[]);
    append(&home.base.join("x.log"), "one\n");
    let mut logs = follow(&home, "--raw x");
    logs.wait_for_line("one");
    proc::kill(logs.pid(), Signal::STOP);
    let script = "seq -f 'line %g' 1 100\nexec sleep 1000\n";
    let flags = ["-o", "x.log", "--log-max-size", "90", "--log-max-files"];
    home.start("y", script, &[&flags[..], &["2"]].concat());
    wait_until("all is written", || {
        let text = fs::read_to_string(home.base.join("x.log"));
        text.is_ok_and(|text| text.ends_with("line 100\n"))
    });
    proc::kill(logs.pid(), Signal::CONT);
    logs.wait_for_line("rpm: some lines of x were rotated away before they could be printed");
    logs.wait_for_line("line 100");
    let said = logs.heard().iter().filter(|line| line.contains("rotated"));
    assert_eq!(said.count(), 1);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_cannot_be_read_is_said_and_is_shown_when_it_can_be() {
    if !is_root() || !has("setpriv") {
        return skip("only root, with setpriv, can become another user");
    }
    let home = Home::of_another_user();
    let print = |text: &str| format!("echo {text}\nexec sleep 1000\n");
    home.start("x", &print("secret"), &[]);
    home.start("y", &print("open"), &[]);
    home.wait_for_log("x-out.log", "secret");
    home.wait_for_log("y-out.log", "open");
    let file = home.log_path("x-out.log");
    let folder = home.root.join("logs");
    let denied = ["rpm: reading ", "x-out.log: Permission denied"];
    set_mode(&file, 0);
    let logs = |words: &[&str]| home.rpm(&[&["logs", "--raw"], words].concat());
    let output = logs(&["--nostream"]).fails(&denied);
    assert_eq!(output.stdout, "open\n");
    let mut follower = follow(&home, "--raw");
    follower.wait_for_line("x-out.log: Permission denied");
    set_mode(&file, 0o600);
    follower.wait_for_line("secret");
    assert_eq!(logs(&["--nostream", "x"]).ok().stdout, "secret\n");

    // A folder that others can list, but whose files they cannot reach, and one that is closed altogether.
    for mode in [0o400, 0] {
        set_mode(&folder, mode);
        let output = logs(&["--nostream", "x"]).fails(&denied);
        assert_eq!(output.stderr.lines().count(), 2, "{}", output.shown());
        let mut follower = follow(&home, "--raw x");
        follower.wait_for_line("x-out.log: Permission denied");
        set_mode(&folder, 0o700);
        follower.wait_for_line("secret");
    }
}

#[test]
fn that_standard_output_is_full_is_an_error() {
    let home = Home::new();
    quiet(&home, "x", &[]);
    append(&home.base.join("x.log"), "one\n");
    for flags in ["", "--nostream"] {
        let output = home.shell(&format!("$RPM logs {flags} >/dev/full"));
        let output = output.fails(&["rpm: writing to standard output: No space left on device"]);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.shown());
    }
}

#[test]
fn the_lines_of_one_file_may_be_of_both_streams_and_of_several_forms() {
    let home = Home::new();
    let script = "echo 1\necho 2 >&2\nexec sleep 1000\n";
    let flags = ["-o", "f.log", "-e", "f.log", "--log-type", "json"];
    home.start("x", script, &flags);
    let path = home.base.join("f.log");
    let text = || fs::read_to_string(&path).unwrap_or_default();
    wait_until("both lines", || text().lines().count() == 2);
    let objects = text();
    let (out, err): (Vec<_>, Vec<_>) = objects
        .lines()
        .partition(|line| line.contains("\"type\":\"out\""));
    assert_eq!((out.len(), err.len()), (1, 1), "{objects}");
    let only = |flag| printed(&home, &["--raw", flag, "x"]);
    assert_eq!(only("--out"), format!("{}\n", out[0]));
    assert_eq!(only("--err"), format!("{}\n", err[0]));
    let words = printed(&home, &["--format", "--err", "x"]);
    assert!(
        words.ends_with(" app=x id=0 type=err message=2\n"),
        "{words}"
    );

    // The same file without objects: what it had stays what it was.
    home.rpm(&["delete", "x"]).ok();
    home.start("y", script, &["-o", "f.log", "-e", "f.log", "--time"]);
    wait_until("four lines", || text().lines().count() == 4);
    let json = printed(&home, &["--json", "y"]);
    assert!(json.starts_with(&objects), "{json}");
    let stamps = json.lines().map(|line| line.contains("\"timestamp\":\"20"));
    assert!(stamps.eq([true; 4]), "{json}");
    assert_eq!(json.matches("\"type\":\"err\"").count(), 1);
    assert_eq!(json.matches("\"app_name\":\"x\"").count(), 2);
}

#[test]
fn of_a_program_of_which_nothing_is_kept_there_is_nothing_to_wait_for() {
    let home = Home::new();
    home.shell("mkfifo fifo").ok();
    let sleep = |name: &str, flags: &[&str]| {
        let words = ["start", "sleep", "--name", name];
        home.rpm(&[&words, flags, &["--", "1000"]].concat()).ok();
    };
    sleep("disabled", &["--disable-logs"]);
    sleep("null", &["-o", "/dev/null", "-e", "NULL"]);
    let mut reader = Running::start(home.command(&["sh", "-c", "exec cat fifo >&2"]));
    let fifo = ["fifo", "-o", "fifo", "-e", "NULL"];
    home.start(fifo[0], "echo here\nexec sleep 1000\n", &fifo[1..]);
    reader.wait_for_line("here");
    for name in ["disabled", "null", "fifo"] {
        for flags in [&[][..], &["--nostream"]] {
            let output = home.rpm(&[&["logs", name], flags].concat()).ok();
            let said = format!("rpm: no file keeps what {name} prints; there are no logs of it\n");
            assert_eq!((output.stdout, output.stderr), (String::new(), said));
        }
    }
    // Who asks for none of them in particular is not told.
    let all = home.rpm(&["logs", "--nostream"]).ok();
    assert_eq!(all.stderr, "");
    // Others are followed.
    quiet(&home, "x", &[]);
    append(&home.base.join("x.log"), "one\n");
    let mut logs = follow(&home, "null x");
    logs.wait_for_line("no file keeps what null prints");
    logs.wait_for_line("one");
}

#[test]
fn where_nothing_can_be_watched_changes_are_looked_for() {
    let limits = [
        ("instances", "Too many open files"),
        ("watches", "No space left"),
    ];
    for (limit, why) in limits {
        let home = Home::new();
        // A user namespace has limits of its own.
        let limit_it = format!("echo 0 > /proc/sys/user/max_inotify_{limit}");
        let alone = ["unshare", "-U", "-r", "sh", "-c", &limit_it];
        if !has("unshare") || home.run(home.command(&alone)).code != 0 {
            return skip("no user namespace can be made");
        }
        quiet(&home, "x", &[]);
        let path = home.base.join("x.log");
        append(&path, "one\n");
        let script = format!("{limit_it}; exec {} logs --raw >&2", home.client());
        let mut logs = Running::start(home.command(&["unshare", "-U", "-r", "sh", "-c", &script]));
        logs.wait_for_line(&format!("rpm: watching log files: {why}"));
        let said = logs.heard().last().unwrap();
        let kernel = format!("twice a second; see /proc/sys/fs/inotify/max_user_{limit}");
        assert!(said.ends_with(&kernel), "{said}");
        logs.wait_for_line("one");
        append(&path, "two\n");
        logs.wait_for_line("two");
        fs::rename(&path, older(&path, 1)).unwrap();
        append(&older(&path, 1), "three\n");
        append(&path, "four\n");
        logs.wait_for_line("four");
        assert_eq!(logs.heard()[1..], ["one", "two", "three", "four"]);
        home.kill_daemons();
        home.start("later", "echo five\nexec sleep 1000\n", &[]);
        logs.wait_for_line("five");
    }
}
