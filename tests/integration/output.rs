//! What programs print is in their log files, every byte of it.

use std::fs;

use rpm::model::life::State;

use crate::harness::{Home, assert_same_bytes, random_bytes, wait_until};

/// Prints `out.bin` and `err.bin` when it is asked to end.
const LAST_WORDS: &str = "trap '{ kill -9 $!; wait $!; } 2> /dev/null; cat out.bin; cat err.bin >&2; printf end; exit 0' INT\n\
                          echo ready\n\
                          while :; do sleep 1000 & wait $!; done\n";

fn last_words(words: &[&str]) {
    let home = Home::new();
    let (out, err) = (random_bytes(3_000_000, 1), random_bytes(2_000_000, 2));
    fs::write(home.base.join("out.bin"), &out).unwrap();
    fs::write(home.base.join("err.bin"), &err).unwrap();
    home.start("x", LAST_WORDS, &["--kill-timeout", "20s"]);
    home.wait_for_log("x-out.log", "ready\n");
    home.rpm(words).ok();
    let whole = [b"ready\n", out.as_slice(), b"end"].concat();
    let log = home.log("x-out.log");
    // A restarted program may have begun to print again.
    let log = &log[..log.len().min(whole.len())];
    assert_same_bytes(log, &whole, words[0]);
    assert_same_bytes(&home.log("x-error.log"), &err, words[0]);
}

#[test]
fn when_stop_has_answered_all_that_was_printed_is_in_the_files() {
    last_words(&["stop", "x"]);
}

#[test]
fn when_restart_has_answered_all_that_was_printed_is_in_the_files() {
    last_words(&["restart", "x"]);
}

#[test]
fn when_delete_has_answered_all_that_was_printed_is_in_the_files() {
    last_words(&["delete", "x"]);
}

#[test]
fn when_kill_has_answered_all_that_was_printed_is_in_the_files() {
    last_words(&["kill"]);
}

#[test]
fn a_last_line_without_end_is_kept() {
    let home = Home::new();
    home.start(
        "x",
        "printf 'no end'\nprintf 'nor here' >&2\n",
        &["--no-autorestart"],
    );
    home.wait_for_state("x", State::Stopped);
    home.rpm(&["stop", "x"]).ok();
    assert_eq!(home.log("x-out.log"), b"no end");
    assert_eq!(home.log("x-error.log"), b"nor here");
}

#[test]
fn logs_are_appended_to() {
    let home = Home::new();
    home.start("x", "echo run\nexec sleep 1000\n", &[]);
    home.wait_for_log("x-out.log", "run\n");
    home.rpm(&["restart", "x"]).ok();
    home.wait_for_log("x-out.log", "run\nrun\n");
    home.rpm(&["kill"]).ok();
    home.rpm(&["start", "./x.sh"]).ok();
    home.wait_for_log("x-out.log", "run\nrun\nrun\n");
}

#[test]
fn log_files_can_be_named_and_their_folders_are_made() {
    let home = Home::new();
    home.start(
        "x",
        "echo out\necho err >&2\nexec sleep 1000\n",
        &["-o", "new/one.log", "-e", "NULL"],
    );
    let file = home.base.join("new/one.log");
    wait_until("a line in new/one.log", || {
        fs::read(&file).is_ok_and(|b| b == b"out\n")
    });
    assert!(home.entries("logs").is_empty());
}

#[test]
fn two_streams_may_share_a_file() {
    let home = Home::new();
    home.start(
        "x",
        "echo out\necho err >&2\nexec sleep 1000\n",
        &["-o", "both.log", "-e", "both.log"],
    );
    let file = home.base.join("both.log");
    wait_until("both lines", || {
        fs::read(&file).is_ok_and(|text| text == b"out\nerr\n")
    });
}

#[test]
fn a_program_may_close_its_output() {
    let home = Home::new();
    home.start(
        "x",
        "echo first\nexec 1>&-\necho second >&2\nexec sleep 1000\n",
        &[],
    );
    home.wait_for_log("x-error.log", "second\n");
    assert_eq!(home.program("x").state, State::Online);
    home.rpm(&["stop", "x"]).ok();
    assert_eq!(home.log("x-out.log"), b"first\n");
    assert_eq!(home.log("x-error.log"), b"second\n");
}

#[test]
fn a_program_whose_log_disk_is_full_goes_on_running() {
    let home = Home::new();
    let text = "head -c 300000 /dev/zero\necho through >&2\nexec sleep 1000\n";
    home.start("x", text, &["-o", "/dev/full"]);
    home.wait_for_log("x-error.log", "through\n");
    assert_eq!(home.program("x").state, State::Online);
    home.rpm(&["restart", "x"]).ok();
    wait_until("a line about it", || {
        home.journal()
            .contains("/dev/full: No space left on device")
    });
}

#[test]
fn logs_prints_the_last_lines_with_the_name() {
    let home = Home::new();
    home.start("x", "seq 1 40\necho oops >&2\nexec sleep 1000\n", &[]);
    home.wait_for_log("x-out.log", "40\n");
    home.wait_for_log("x-error.log", "oops\n");
    let output = home.rpm(&["logs", "--nostream", "--lines", "3", "x"]).ok();
    for part in ["38", "39", "40", "oops", "x"] {
        assert!(output.stdout.contains(part), "{}", output.shown());
    }
    assert!(!output.stdout.contains("37"), "{}", output.shown());
    let raw = home
        .rpm(&["logs", "--nostream", "--lines", "2", "--raw", "--out", "x"])
        .ok();
    assert_eq!(raw.stdout, "39\n40\n");
}

#[test]
fn no_name_reaches_a_terminal_a_metric_or_the_journal_as_it_is() {
    let home = Home::new();
    let name = "ev\x1b[31mil\nrpm: forged\r\x07\u{9b}\u{202e}";
    home.rpm(&[
        "start",
        "sleep",
        "-n",
        name,
        "--namespace",
        name,
        "--",
        "1000",
    ])
    .ok();
    let mut said = String::new();
    for words in [
        &["list"][..],
        &["describe", "0"],
        &["metrics"],
        &["logs", "0", "--nostream"],
        &["jlist"],
        &["prettylist"],
        &["restart", "0"],
        &["signal", "HUP", name],
        &["stop", "0", name],
        &["stop", "no such\x1b[2J\nrpm: forged"],
        &["start", "/no\x1b[2J\nrpm: forged"],
        &[
            "start",
            "sleep",
            "-n",
            "x\x1b[2Jrpm: forged",
            "--cwd",
            "/no\x1b[2J",
        ],
        &["flush", "0"],
        &["reset\x1b[2J"],
        &["list", "--no\x1b[2J"],
        &["delete", "0"],
    ] {
        let output = home.rpm(words);
        said += &output.stdout;
        said += &output.stderr;
    }
    said += &home.journal();
    let harmful = |c: char| c != '\n' && rpm::units::is_harmful(c);
    for line in said.lines() {
        assert!(!line.contains(harmful), "{line:?}");
        assert!(!line.starts_with("rpm: forged"), "{line:?}");
    }
}
