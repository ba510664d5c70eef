//! `rpm flush` and `rpm reloadLogs`: log files are emptied, and opened anew, while programs print.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rpm::sys::signal::Signal;

use crate::harness::{Home, assert_same_bytes, is_root, proc, skip, steady_text, wait_until};

/// Prints its first argument, then a line whenever it is signalled.
const ECHO: &str = "echo first; echo wrong >&2\n\
    trap 'n=$((n + 1)); echo \"again $n\"' USR1\n\
    while :; do sleep 1000 & wait; kill $!; done\n";

/// A program that has printed its first lines.
fn echo(home: &Home, name: &str) {
    home.start(name, ECHO, &[]);
    home.wait_for_log(&format!("{name}-out.log"), "first\n");
    home.wait_for_log(&format!("{name}-error.log"), "wrong\n");
}

#[test]
fn flush_empties_the_files_of_those_that_are_named() {
    let home = Home::new();
    for name in ["a", "b", "c"] {
        echo(&home, name);
    }
    let said = home.rpm(&["flush", "a"]).ok().stdout;
    assert!(
        said.starts_with("rpm: emptied the logs of a (id 0"),
        "{said}"
    );
    assert!(home.log("a-out.log").is_empty() && home.log("a-error.log").is_empty());
    assert_eq!(home.log("b-out.log"), b"first\n");
    home.rpm(&["sendSignal", "USR1", "a"]).ok();
    assert_eq!(home.wait_for_log("a-out.log", "again 1\n"), "again 1\n");
    // One that does not run, and whose files the log writer has not opened.
    home.rpm(&["stop", "b"]).ok();
    home.kill_daemons();
    home.rpm(&["flush"]).ok();
    for name in ["a", "b", "c"] {
        assert!(home.log(&format!("{name}-out.log")).is_empty());
        assert!(home.log(&format!("{name}-error.log")).is_empty());
    }
    home.rpm(&["flush", "nobody"])
        .fails(&["no program, id or namespace is called nobody"]);
}

#[test]
fn flush_has_nothing_to_do_where_there_are_no_programs_or_files() {
    let home = Home::new();
    assert_eq!(home.rpm(&["flush"]).ok().stdout, "");
    home.start(
        "quiet",
        "exec sleep 1000\n",
        &["-o", "NULL", "-e", "/dev/full"],
    );
    home.rpm(&["flush", "quiet"]).ok();
    home.rpm(&["reloadLogs"]).ok();
    home.start_sleep("x");
    home.rpm(&["flush", "x"]).ok();
    home.rpm(&["reloadLogs"]).ok();
    home.rpm(&["logrotate", "x"]).ok();
    assert!(!home.log_path("x-out.log").exists());
}

#[test]
fn a_file_that_cannot_be_emptied_fails_the_flush() {
    let home = match is_root() {
        true => Home::of_another_user(),
        false => Home::new(),
    };
    for name in ["a", "b"] {
        echo(&home, name);
    }
    let path = home.log_path("a-error.log");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let why = format!("emptying {}: Permission denied", path.display());
    home.rpm(&["flush"]).fails(&[&why]);
    assert_eq!(home.log("a-error.log"), b"wrong\n");
    assert!(home.log("b-error.log").is_empty(), "the others are emptied");
    home.rpm(&["reloadLogs", "a"])
        .fails(&[&format!("opening {}", path.display())]);
}

#[test]
fn logs_go_on_being_followed_across_a_flush() {
    let home = Home::new();
    echo(&home, "a");
    let client = home.client();
    let follow = format!("exec {client} logs a --raw >&2");
    let mut logs = crate::harness::run::Running::start(home.command(&["sh", "-c", &follow]));
    logs.wait_for_line("first");
    home.rpm(&["flush", "a"]).ok();
    home.rpm(&["sendSignal", "USR1", "a"]).ok();
    logs.wait_for_line("again 1");
}

#[test]
fn a_log_writer_that_dies_before_it_has_flushed_leaves_that_to_the_next() {
    let home = Home::new();
    echo(&home, "a");
    let writer = home.log_writer().unwrap();
    proc::stop(writer);
    let mut wire = home.wire();
    wire.send("flush target=a\n");
    // The supervisor has taken the request when it answers another client.
    home.rpm(&["ping"]).ok();
    assert_eq!(home.log("a-out.log"), b"first\n", "nothing is done yet");
    proc::kill(writer, Signal::KILL);
    wire.answer().ok();
    assert!(home.log("a-out.log").is_empty());
}

#[test]
fn what_a_busy_program_prints_after_a_flush_is_there_whole() {
    let home = Home::new();
    let Some(steady) = home.compiled("steady.c") else {
        return skip("there is no C compiler");
    };
    home.rpm(&["start", &steady, "--", "4", "500"]).ok();
    for victim in [None, Some("rpmd-log"), None, Some("rpmd-log")] {
        let path = home.log_path("steady-out.log");
        wait_until("it has written", || {
            fs::metadata(&path).is_ok_and(|m| m.len() > 2000)
        });
        for pid in victim.iter().flat_map(|name| proc::named(&home.root, name)) {
            proc::kill(pid, Signal::KILL);
        }
        home.rpm(&["flush", "steady"]).ok();
    }
    fs::write(home.base.join("enough"), "").unwrap();
    wait_until("all is printed", || home.base.join("printed").exists());
    home.rpm(&["stop", "steady"]).ok();
    let log = home.log("steady-out.log");
    let text = steady_text(&log);
    assert!(log.len() < text.len() - 8000, "{} bytes", log.len());
    assert_same_bytes(&log, &text[text.len() - log.len()..], "the log");
}

#[test]
fn files_that_are_moved_away_and_opened_anew_hold_every_byte() {
    let home = Home::new();
    let Some(steady) = home.compiled("steady.c") else {
        return skip("there is no C compiler");
    };
    home.rpm(&["start", &steady, "--", "4", "500"]).ok();
    let path = home.log_path("steady-out.log");
    let mut moved = Vec::new();
    for at in 0..5 {
        wait_until("it has written", || {
            fs::metadata(&path).is_ok_and(|m| m.len() > 2000)
        });
        let away = home.log_path(&format!("steady-out.log.{at}"));
        fs::rename(&path, &away).unwrap();
        home.rpm(&["reloadLogs", "steady"]).ok();
        let size = fs::metadata(&away).unwrap().len();
        moved.push((away, size));
    }
    fs::write(home.base.join("enough"), "").unwrap();
    wait_until("all is printed", || home.base.join("printed").exists());
    home.rpm(&["stop", "steady"]).ok();
    let mut all = Vec::new();
    for (away, size) in moved {
        let bytes = fs::read(&away).unwrap();
        assert_eq!(bytes.len() as u64, size, "nothing comes after the answer");
        all.extend(bytes);
    }
    all.extend(home.log("steady-out.log"));
    assert_same_bytes(&all, &steady_text(&all), "the logs together");
}
