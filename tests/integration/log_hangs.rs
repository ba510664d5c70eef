//! A disk that hangs, as a log writer that is stopped: the daemon serves on, programs wait only where their pipe is full,
//! and what was printed meanwhile is written when the disk is back.

use std::fs;
use std::time::Instant;

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::logs::finish;
use crate::harness::{Home, assert_same_bytes, proc, skip, steady_text, wait_until};

/// A log writer that does not go on until this is dropped.
struct Hangs(i32);

impl Hangs {
    #[track_caller]
    fn of(home: &Home) -> Hangs {
        let writer = home.log_writer().unwrap();
        proc::stop(writer);
        Hangs(writer)
    }
}

impl Drop for Hangs {
    fn drop(&mut self) {
        proc::go_on(self.0);
    }
}

#[test]
fn the_daemon_serves_on_and_what_was_noted_meanwhile_comes_later() {
    let home = Home::new();
    home.start("x", "echo run\nexec sleep 1000\n", &[]);
    home.wait_for_log("x-out.log", "run\n");
    let hangs = Hangs::of(&home);
    home.rpm(&["ping"]).ok();
    home.start("y", "echo other\nexec sleep 1000\n", &["--time"]);
    let pid = home.program("x").pid;
    proc::kill(pid, Signal::KILL);
    home.wait_for("x", "it runs again", |x| {
        x.state == State::Online && x.pid != pid
    });
    home.rpm(&["list"]).ok();
    home.rpm(&["describe", "x"]).ok();
    assert_eq!(home.log("x-out.log"), b"run\n");
    assert!(!home.log_path("y-out.log").exists());
    assert!(!home.journal().contains("was ended by SIGKILL"));
    drop(hangs);
    home.wait_for_log("x-out.log", "run\nrun\n");
    home.wait_for_log("y-out.log", ": other\n");
    home.wait_for_journal("x (0) was ended by SIGKILL");
}

#[test]
fn stop_and_its_like_say_after_two_seconds_that_output_waits() {
    let home = Home::new();
    for name in ["x", "y", "z"] {
        home.start(
            name,
            "echo run; trap 'echo last; exit' INT; while :; do sleep 0.05; done\n",
            &[],
        );
        home.wait_for_log(&format!("{name}-out.log"), "run\n");
    }
    let hangs = Hangs::of(&home);
    let waits = "rpm: some output may not be in the log files yet";
    let refused = "rpm: the log writer does not answer";
    for (code, words, sentence) in [
        (0, ["stop", "x"], waits),
        (0, ["restart", "y"], waits),
        (0, ["delete", "z"], waits),
        (1, ["logrotate", "x"], refused),
        (1, ["flush", "y"], refused),
    ] {
        let begin = Instant::now();
        let said = home.rpm(&words);
        let took = begin.elapsed().as_millis();
        assert!(took >= 1900, "{took} ms, {}", said.shown());
        assert_eq!(said.code, code, "{}", said.shown());
        assert!(said.stderr.starts_with(sentence), "{}", said.shown());
    }
    assert_eq!(home.program("x").state, State::Stopped);
    assert_eq!(home.program("y").state, State::Online);
    drop(hangs);
    home.wait_for_log("z-out.log", "run\nlast\n");
    wait_until("x is set aside", || home.log_path("x-out.log.1").exists());
    assert_eq!(home.log("x-out.log.1"), b"run\nlast\n");
}

#[test]
fn a_restart_with_other_files_loses_nothing_of_either() {
    let home = Home::new();
    let text = "echo $1\ntrap 'echo \"last of $1\"; exit' INT\nwhile :; do sleep 0.05; done\n";
    home.script("x.sh", text);
    home.rpm(&["start", "./x.sh", "--", "one"]).ok();
    home.wait_for_log("x-out.log", "one\n");
    let hangs = Hangs::of(&home);
    let file = r#"{"name": "x", "script": "./x.sh", "args": "two", "out_file": "other.log", "time": true}"#;
    home.script("x.json", file);
    home.rpm(&["restart", "x.json"]);
    assert_eq!(home.program("x").state, State::Online);
    drop(hangs);
    let other = home.base.join("other.log");
    let both = || {
        let log = String::from_utf8(home.log("x-out.log")).unwrap();
        log + &fs::read_to_string(&other).unwrap_or_default()
    };
    // The pipe is the same: what the second run prints while the first still waits in it may go the same way.
    wait_until("all is written", || both().ends_with("two\n"));
    let words = both();
    let words = words.lines().map(|line| line.rsplit(": ").next().unwrap());
    assert_eq!(words.collect::<Vec<_>>(), ["one", "last of one", "two"]);
    home.rpm(&["restart", "x"]).ok();
    wait_until("what comes now is in the other file", || {
        fs::read_to_string(&other).is_ok_and(|log| log.ends_with(": two\n"))
    });
    assert!(
        fs::read_to_string(&other)
            .unwrap()
            .contains(": last of two\n")
    );
}

#[test]
fn programs_wait_when_their_pipe_is_full_and_nothing_is_lost() {
    let home = Home::new();
    let Some(steady) = home.compiled("steady.c") else {
        return skip("there is no C compiler");
    };
    home.rpm(&["start", &steady, "--", "50", "500"]).ok();
    let path = home.log_path("steady-out.log");
    let written = || fs::metadata(&path).map_or(0, |meta| meta.len());
    let pid = home.program("steady").pid;
    for _ in 0..4 {
        let before = written();
        wait_until("it writes", || written() > before + 2000);
        let hangs = Hangs::of(&home);
        let wait = || fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
        wait_until("it waits for its pipe", || wait().contains("pipe_write"));
        home.rpm(&["ping"]).ok();
        drop(hangs);
    }
    finish(&home, "steady");
    assert_eq!(home.program("steady").lost, 0);
    let log = fs::read(&path).unwrap();
    assert_same_bytes(&log, &steady_text(&log), "the log");
}

#[test]
fn a_log_writer_that_hangs_and_is_killed_leaves_all_of_it_to_the_next() {
    let home = Home::new();
    home.start("x", "echo run\nexec sleep 1000\n", &["--log-type", "json"]);
    home.wait_for_log("x-out.log", "\"run\"");
    let hangs = Hangs::of(&home);
    home.start("y", "echo other\nexec sleep 1000\n", &[]);
    let pid = home.program("x").pid;
    proc::kill(pid, Signal::KILL);
    home.wait_for("x", "it runs again", |x| {
        x.state == State::Online && x.pid != pid
    });
    proc::kill(hangs.0, Signal::KILL);
    std::mem::forget(hangs);
    home.wait_for_log("y-out.log", "other\n");
    wait_until("both runs", || {
        String::from_utf8(home.log("x-out.log"))
            .unwrap()
            .matches("\"run\"")
            .count()
            == 2
    });
    home.wait_for_journal("the log writer has ended; starting another");
}

#[test]
fn what_has_ended_before_an_update_is_written_when_the_disk_is_back() {
    let home = Home::new();
    home.start_sleep("x");
    let hangs = Hangs::of(&home);
    home.start("y", "echo in the dark\n", &["--no-autorestart"]);
    home.wait_for_state("y", State::Stopped);
    home.rpm(&["update"]).ok();
    drop(hangs);
    home.wait_for_log("y-out.log", "in the dark\n");
}
