//! What does not end though it is killed, and what puts itself out of reach: the commands answer in time, with a
//! sentence that names it.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rpm::model::life::{Exit, State};
use rpm::sys::signal::Signal;

use crate::harness::run::{Output, Running, write_executable};
use crate::harness::{Home, has, is_root, proc, skip, wait_until};

/// A home of another user, with a program in it that becomes root: its daemon may not signal that.
fn setuid_program() -> Option<(Home, i32)> {
    if !is_root() || !has("cc") || !has("setpriv") {
        skip("only root, with cc and setpriv, can make a program that becomes root");
        return None;
    }
    let home = Home::of_another_user();
    let program = home.compiled("suid.c").unwrap();
    std::os::unix::fs::chown(&program, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).unwrap();
    home.rpm(&["start", &program, "--name", "s", "--kill-timeout", "300"])
        .ok();
    let pid = home.program("s").pid;
    wait_until("a program of root", || {
        proc::status(pid, "Uid").starts_with("0\t0")
    });
    Some((home, pid))
}

/// The answer to a command, in time.
fn answer(home: &Home, words: &[&str]) -> Output {
    let begin = Instant::now();
    let output = home.rpm(words);
    let took = begin.elapsed();
    // The kill timeout and two seconds, and something for a busy machine.
    assert!(took < Duration::from_millis(300 + 2000 + 1500), "{took:?}");
    output
}

#[test]
fn a_program_that_may_not_be_signalled_is_named_and_tried_again_ever_less_often() {
    let Some((home, pid)) = setuid_program() else {
        return;
    };
    let named = format!("pid {pid} (");
    let parts = [
        "s (id 0) cannot be ended",
        &named,
        "Operation not permitted; it runs as root",
    ];
    for command in ["stop", "restart", "delete"] {
        answer(&home, &[command, "s"]).fails(&parts);
        let program = home.program("s");
        assert_eq!((program.state, program.pid), (State::Stopping, pid));
    }
    // Nobody else has to wait for it.
    home.rpm(&["ping"]).ok();
    let lines = |home: &Home, text: &str| home.journal().matches(text).count();
    home.wait_for_journal("cannot be ended");
    assert_eq!(lines(&home, "killing it"), 1, "{}", home.journal());
    assert_eq!(lines(&home, "cannot be ended"), 1, "{}", home.journal());
    proc::kill(pid, Signal::KILL);
    home.wait_for_state("s", State::Stopped);
    home.wait_for_journal("has now ended");
    home.rpm(&["delete", "s"]).ok();
}

#[test]
fn the_daemon_ends_though_a_program_cannot_be_and_the_next_one_goes_on_ending_it() {
    let Some((home, pid)) = setuid_program() else {
        return;
    };
    let named = format!("pid {pid} (");
    answer(&home, &["kill"]).fails(&["s (id 0) cannot be ended", &named]);
    assert!(!home.root.join("rpmd.sock").exists() && proc::lives(pid));
    // It is still known, and not wanted.
    let program = home.rpm(&["list"]).ok();
    assert!(program.stdout.contains("stopping"), "{}", program.shown());
    proc::kill(pid, Signal::KILL);
    home.wait_for_state("s", State::Stopped);
}

#[test]
fn sigterm_in_the_foreground_ends_in_time_and_says_what_is_left() {
    let Some((home, pid)) = setuid_program() else {
        return;
    };
    home.rpm(&["kill", "--keep"]).ok();
    let mut daemon = Running::start(home.command(&[&home.daemon(), "--foreground"]));
    daemon.wait_for_line("serves");
    let begin = Instant::now();
    // What runs here is `setpriv`, which has become the daemon.
    proc::kill(home.supervisor(), Signal::TERM);
    assert_eq!(daemon.wait(), 1);
    assert!(begin.elapsed() < Duration::from_millis(300 + 2000 + 2500));
    daemon.wait_for_line(&format!("rpmd: s (id 0) cannot be ended: pid {pid} ("));
    assert!(proc::lives(pid));
    proc::kill(pid, Signal::KILL);
}

#[test]
fn a_program_that_puts_itself_in_the_background_is_told_how_to_stay() {
    let home = Home::new();
    let text = "setsid sleep 1000 < /dev/null > /dev/null 2>&1 &\nexit 0\n";
    let file = home.script("nginx.sh", text);
    // Perhaps it has started by the time it goes, perhaps not.
    let flags = [
        "--max-restarts",
        "2",
        "--min-uptime",
        "1000",
        "--name",
        "web",
    ];
    let started = home.rpm(&[&["start", &file], &flags[..]].concat());
    if started.code != 0 {
        started.fails(&["web (id 0) is in the list", "background", "daemon off;"]);
    }
    home.wait_for_state("web", State::Errored);
    let described = home.rpm(&["describe", "web"]).ok().stdout;
    for part in ["put itself in the background", "daemon off;"] {
        assert!(described.contains(part), "{described}");
    }
    home.wait_for_journal("web (0) has put itself in the background");
    // Each of them was ended before the next began, and the last as well.
    let of_home = proc::of_home(&home.root).into_iter();
    let left: Vec<i32> = of_home.filter(|pid| proc::name(*pid) == "sleep").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_end_after_a_while_is_no_background() {
    let home = Home::new();
    let flags = ["--min-uptime", "0", "--no-autorestart"];
    home.start("x", "setsid sleep 1000 &\nexit 0\n", &flags);
    home.wait_for_state("x", State::Stopped);
    let described = home.rpm(&["describe", "x"]).ok().stdout;
    assert!(!described.contains("background"), "{described}");
}

#[test]
fn who_ignores_the_kill_signal_is_asked_by_sigterm() {
    let home = Home::new();
    // As any shell does without job control, it has SIGINT ignored in what runs in the background.
    let server = "trap 'echo saved; exit 0' TERM\necho up\nwhile :; do sleep 0.05; done\n";
    let server = home.script("server", server);
    let text = format!("sh {server} &\nwait\n");
    home.start("r", &text, &["--kill-timeout", "1h"]);
    home.wait_for_log("r-out.log", "up\n");
    home.rpm(&["stop", "r"]).ok();
    assert_eq!(home.log("r-out.log"), b"up\nsaved\n");
    assert_eq!(home.program("r").exit, Some(Exit::Signal(2)));
}

#[test]
fn describe_says_why_a_program_cannot_be_executed() {
    let home = Home::new();
    let tool = home.base.join("tool");
    write_executable(|| std::fs::copy("/bin/sleep", &tool));
    let file = tool.to_str().unwrap();
    let words = ["start", file, "--name", "t", "--restart-delay", "1h"];
    home.rpm(&[&words[..], &["--", "1000"]].concat()).ok();
    std::fs::remove_file(&tool).unwrap();
    home.rpm(&["restart", "t"]).fails(&["No such file"]);
    home.wait_for_state("t", State::Waiting);
    let described = home.rpm(&["describe", "t"]).ok().stdout;
    let why = described.lines().find(|line| line.starts_with("failure "));
    let why = why.unwrap_or_else(|| panic!("{described}"));
    assert!(why.contains(file) && why.contains("No such file"), "{why}");
}

#[test]
fn a_pause_is_answered_when_all_of_the_program_has_stopped() {
    let home = Home::new();
    let text = "for i in $(seq 50); do setsid sleep 1000 & done\nwhile :; do :; done\n";
    let leader = home.start("busy", text, &[]).pid;
    let mut all = Vec::new();
    wait_until("fifty-one processes", || {
        all = proc::descendants(leader);
        all.push(leader);
        let sleeping = all.iter().filter(|pid| proc::name(**pid) == "sleep");
        sleeping.count() == 50
    });
    for _ in 0..10 {
        home.rpm(&["pause", "busy"]).ok();
        let states: Vec<String> = all.iter().map(|pid| proc::stat(*pid)[0].clone()).collect();
        assert!(states.iter().all(|state| state == "T"), "{states:?}");
        home.rpm(&["resume", "busy"]).ok();
    }
    home.rpm(&["stop", "busy"]).ok();
}

#[test]
fn a_program_that_has_ended_keeps_no_descriptor_of_its_process() {
    let home = Home::new();
    let words = ["start", "sleep", "--name", "s", "-i", "8", "--", "1000"];
    home.rpm(&words).ok();
    let held = || {
        let all = proc::descriptors(home.supervisor()).into_iter();
        let of_processes = all.filter(|(_, path)| path.to_string_lossy().contains("pidfd"));
        of_processes.count()
    };
    home.rpm(&["stop", "s"]).ok();
    assert_eq!(held(), 0, "its own children");
    home.rpm(&["start", "s"]).ok();
    home.kill_daemons();
    home.rpm(&["ping"]).ok();
    home.rpm(&["stop", "s"]).ok();
    assert_eq!(held(), 0, "adopted ones");
}

#[test]
fn a_restart_of_all_waits_for_descriptors_that_come_back() {
    let home = Home::new();
    let start =
        "ulimit -n 64; for i in $(seq 20); do $RPM -s start sleep --name a$i -- 1000 || exit; done";
    home.shell(start).ok();
    for command in ["stop", "restart", "restart"] {
        home.rpm(&[command, "all"]).ok();
    }
    assert!(home.list().iter().all(|p| p.state == State::Online));
}
