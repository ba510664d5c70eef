//! The beginning of a line, where lines are kept whole: it appears when nothing more of it comes.

use std::fs;
use std::time::{Duration, Instant};

use rpm::sys::signal::Signal;

use crate::harness::logs::{kill_log_writer, printed};
use crate::harness::run::Running;
use crate::harness::{Home, has, proc, skip, wait_until};

const STAMPED: [&str; 2] = ["--log-date-format", "[at]"];
/// Asks, and goes on when the file `go` is there.
const PROMPT: &str =
    "printf 'Password: '\nuntil [ -e go ]; do sleep 0.01; done\necho thanks\nexec sleep 1000\n";

#[track_caller]
fn wait_for_bytes(home: &Home, file: &str, wanted: &str) {
    let read = || fs::read_to_string(home.log_path(file)).unwrap_or_default();
    wait_until(&format!("{wanted:?} in {file}, not {:?}", read()), || {
        read() == wanted
    });
}

#[test]
fn a_prompt_appears_after_a_second_and_the_answer_stands_behind_it() {
    let home = Home::new();
    let begin = Instant::now();
    home.start("x", PROMPT, &STAMPED);
    wait_for_bytes(&home, "x-out.log", "at: Password: ");
    assert!(
        begin.elapsed() >= Duration::from_secs(1),
        "{:?}",
        begin.elapsed()
    );
    assert!(printed(&home, &["x"]).contains("Password: "));
    fs::write(home.base.join("go"), "").unwrap();
    wait_for_bytes(&home, "x-out.log", "at: Password: thanks\n");
}

#[test]
fn in_json_it_is_an_object_that_says_that_it_is_a_part() {
    let home = Home::new();
    home.start("x", PROMPT, &["--log-type", "json"]);
    let log = home.wait_for_log("x-out.log", "\"partial\":true}\n");
    assert!(log.starts_with("{\"message\":\"Password: \","), "{log}");
    fs::write(home.base.join("go"), "").unwrap();
    let log = home.wait_for_log("x-out.log", "thanks");
    assert_eq!(log.matches("partial").count(), 1);
    assert!(log.contains("\n{\"message\":\"thanks\","), "{log}");
}

#[test]
fn in_a_shared_file_the_rest_is_a_line_of_its_own_where_another_came_between() {
    let home = Home::new();
    let text = "printf 'one '; until [ -e first ]; do sleep 0.01; done\n\
                echo between >&2; until [ -e second ]; do sleep 0.01; done\n\
                printf 'two '; until [ -e third ]; do sleep 0.01; done; echo three; exec sleep 1000\n";
    home.start("x", text, &["-l", "all.log"]);
    let all = home.base.join("all.log");
    for (wanted, go) in [
        ("one ", "first"),
        ("one \nbetween\n", "second"),
        ("one \nbetween\ntwo ", "third"),
        ("one \nbetween\ntwo three\n", "end"),
    ] {
        wait_until(&format!("{wanted:?}"), || {
            fs::read_to_string(&all).is_ok_and(|text| text == wanted)
        });
        fs::write(home.base.join(go), "").unwrap();
    }
}

#[test]
fn a_program_that_ends_within_a_line_that_is_shown_ends_it() {
    let home = Home::new();
    let text = "echo x >> runs\n[ $(wc -l < runs) -gt 2 ] && exec sleep 1000\n\
                printf half; until [ -e go ]; do sleep 0.01; done; rm go\nexit 1\n";
    home.start("x", text, &STAMPED);
    for wanted in ["at: half", "at: half\nat: half"] {
        wait_for_bytes(&home, "x-out.log", wanted);
        fs::write(home.base.join("go"), "").unwrap();
    }
    wait_for_bytes(&home, "x-out.log", "at: half\nat: half\n");
}

#[test]
fn a_program_that_ends_while_no_daemon_sees_it_ends_its_line_too() {
    let home = Home::new();
    home.start(
        "x",
        "printf half; exec sleep 1000\n",
        &[&STAMPED[..], &["--no-autorestart"]].concat(),
    );
    wait_for_bytes(&home, "x-out.log", "at: half");
    let pid = home.program("x").pid;
    home.kill_daemons();
    proc::kill(pid, Signal::KILL);
    home.rpm(&["restart", "x"]).ok();
    wait_for_bytes(&home, "x-out.log", "at: half\nat: half");
}

#[test]
fn whichever_daemon_dies_a_line_is_shown_once() {
    let home = Home::new();
    let text = "printf 'one '; echo first >&2; until [ -e first ]; do sleep 0.01; done\n\
                printf 'two '; until [ -e second ]; do sleep 0.01; done; echo three; exec sleep 1000\n";
    home.start("x", text, &STAMPED);
    home.wait_for_log("x-error.log", "first\n");
    // While it waits in the pipe.
    kill_log_writer(&home);
    wait_for_bytes(&home, "x-out.log", "at: one ");
    // While it stands in the file.
    kill_log_writer(&home);
    fs::write(home.base.join("first"), "").unwrap();
    wait_for_bytes(&home, "x-out.log", "at: one two ");
    home.kill_daemons();
    home.rpm(&["ping"]).ok();
    fs::write(home.base.join("second"), "").unwrap();
    wait_for_bytes(&home, "x-out.log", "at: one two three\n");
}

#[test]
fn a_character_that_is_not_whole_is_waited_for_longer() {
    let home = Home::new();
    let text = "printf 'a\\303'; until [ -e go ]; do sleep 0.01; done; printf '\\251\\n'; exec sleep 1000\n";
    home.start("x", text, &STAMPED);
    wait_for_bytes(&home, "x-out.log", "at: a");
    fs::write(home.base.join("go"), "").unwrap();
    wait_for_bytes(&home, "x-out.log", "at: aé\n");
}

#[test]
fn nobody_is_woken_for_a_line_that_is_shown_or_for_none() {
    if !has("strace") {
        return skip("strace is not installed");
    }
    let home = Home::new();
    home.start("x", PROMPT, &STAMPED);
    home.start("y", "echo whole; exec sleep 1000\n", &STAMPED);
    wait_for_bytes(&home, "x-out.log", "at: Password: ");
    home.rpm(&["sync"]).ok();
    let writer = home.log_writer().unwrap();
    let trace = home.base.join("trace");
    let pid = writer.to_string();
    let words = ["strace", "-o", trace.to_str().unwrap(), "-p", &pid];
    let mut strace = Running::start(home.command(&words));
    strace.wait_for_line("attached");
    assert!(strace.is_silent_for(Duration::from_secs(4)));
    proc::kill(strace.pid(), Signal::INT);
    strace.wait();
    let text = fs::read_to_string(&trace).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("poll"), "{text}");
}
