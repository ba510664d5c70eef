//! The life of the daemon itself.

use std::fs;
use std::sync::Barrier;

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::run::{Running, spawn};
use crate::harness::wait::wait_for_end;
use crate::harness::{Home, proc, wait_until};

const NEWS: &str = "starting the daemon";

#[test]
fn the_first_command_launches_the_daemon_and_says_so_once() {
    let home = Home::new();
    let first = home.rpm(&["list"]).ok();
    assert_eq!(first.stderr.matches(NEWS).count(), 1, "{}", first.shown());
    assert_eq!(first.stderr.lines().count(), 1, "{}", first.shown());
    for words in [&["list"][..], &["ping"], &["jlist"]] {
        assert_eq!(home.rpm(words).ok().stderr, "");
    }
}

#[test]
fn silent_launches_the_daemon_without_a_word() {
    let home = Home::new();
    let output = home.rpm(&["--silent", "start", "sleep", "--", "1000"]).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
}

#[test]
fn rpmd_alone_becomes_a_daemon_and_is_ready_when_it_returns() {
    let home = Home::new();
    let output = home.run(home.command(&[home.daemon()])).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    let pid = home.supervisor();
    assert_eq!(proc::name(pid), "rpmd");
    assert_eq!(
        std::fs::read_link(format!("/proc/{pid}/cwd"))
            .unwrap()
            .to_str(),
        Some("/")
    );
    for (number, path) in proc::descriptors(pid) {
        assert!(
            number > 2 || path.to_str() == Some("/dev/null"),
            "{number}: {}",
            path.display()
        );
    }
    assert_eq!(home.rpm(&["ping"]).ok().stderr, "");
}

#[test]
fn a_second_daemon_for_the_same_home_is_refused() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    let pid = home.supervisor();
    let daemon = home.daemon();
    for words in [&[daemon.as_str()][..], &[&daemon, "--foreground"]] {
        let served = format!("serves {} already (pid {pid})", home.root.display());
        home.run(home.command(words)).fails(&["rpmd: ", &served]);
    }
    assert_eq!(home.rpm(&["ping"]).ok().stderr, "");
    assert_eq!(home.supervisor(), pid);
}

#[test]
fn in_the_foreground_it_stays_and_ends_orderly_on_sigterm_and_sigint() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let daemon = home.daemon();
        let mut rpmd = Running::start(home.command(&[daemon.as_str(), "--foreground"]));
        rpmd.wait_for_line("serves");
        assert_eq!(home.supervisor(), rpmd.pid());
        let text = "trap '{ kill -9 $!; wait $!; } 2> /dev/null; echo bye; exit 0' INT\necho ready\nwhile :; do sleep 1000 & wait $!; done\n";
        let program = home.start("x", text, &[]);
        home.wait_for_log("x-out.log", "ready\n");
        proc::kill(rpmd.pid(), signal);
        assert_eq!(rpmd.wait(), 0);
        assert!(!proc::lives(program.pid));
        assert_eq!(home.log("x-out.log"), b"ready\nbye\n");
        assert_eq!(proc::of_home(&home.root), []);
        assert!(!home.root.join("rpmd.sock").exists());
    }
}

#[test]
fn the_next_daemon_starts_what_was_wanted_up_when_the_last_ended_by_a_signal() {
    let home = Home::new();
    home.start_sleep("up");
    home.start_sleep("down");
    home.rpm(&["stop", "down"]).ok();
    let first = home.program("up").pid;
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::TERM);
    wait_for_end(supervisor);
    assert!(!proc::lives(first));
    home.rpm(&["list"]).ok();
    home.wait_for_state("up", State::Online);
    assert_eq!(home.program("down").state, State::Stopped);
    assert_eq!(home.program("up").id, 0);
}

#[test]
fn two_clients_at_the_same_moment_launch_one_daemon() {
    let home = Home::new();
    for _ in 0..20 {
        let together = Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    together.wait();
                    let output = home.rpm(&["ping"]).ok();
                    assert_eq!(output.stdout, "pong\n");
                });
            }
        });
        // The one that came too late may still be on its way out.
        wait_until("there is one daemon", || {
            proc::named(&home.root, "rpmd") == [home.supervisor()]
        });
        home.rpm(&["kill"]).ok();
    }
}

#[test]
fn a_client_that_loses_the_race_to_launch_has_nothing_to_complain_of() {
    let home = Home::new();
    for _ in 0..10 {
        let together = Barrier::new(3);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    together.wait();
                    let output = home.rpm(&["ping"]).ok();
                    let others = output.stderr.lines().filter(|line| !line.contains(NEWS));
                    assert_eq!(others.count(), 0, "{}", output.shown());
                });
            }
        });
        home.rpm(&["kill"]).ok();
    }
}

#[test]
fn kill_ends_everything_before_it_answers() {
    let home = Home::new();
    for name in ["a", "b", "c"] {
        home.start_sleep(name);
    }
    fs::write(home.log_path("a-out.log"), "x").unwrap();
    home.rpm(&["stop", "b"]).ok();
    home.rpm(&["kill"]).ok();
    let left: Vec<String> = proc::of_home(&home.root)
        .into_iter()
        .map(proc::describe)
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(home.with_pipes().is_empty() && home.entries("pids").is_empty());
    assert!(!home.root.join("rpmd.sock").exists());
    assert_eq!(home.entries("logs"), ["a-out.log"]);
    home.rpm(&["kill"]).ok();
    assert_eq!(home.rpm(&["jlist"]).ok().stdout.trim(), "[]");
}

#[test]
fn a_command_after_kill_never_meets_the_daemon_that_is_ending() {
    let home = Home::new();
    for _ in 0..20 {
        home.rpm(&["start", "sleep", "--", "1000"]).ok();
        assert_eq!(home.list().len(), 1);
        home.rpm(&["kill"]).ok();
    }
}

#[test]
fn kill_answers_every_client_that_waits() {
    let home = Home::new();
    let text = "trap '' INT TERM\necho ready\nwhile :; do sleep 1000; done\n";
    home.start("deaf", text, &["--kill-timeout", "300"]);
    home.wait_for_log("deaf-out.log", "ready\n");
    let mut events = home.events();
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| home.rpm(&["stop", "deaf"]));
        events.wait_for("stopping", |p| p.state == State::Stopping);
        home.rpm(&["kill"]).ok();
        stop.join().unwrap().ok();
    });
}

#[test]
fn a_daemon_that_was_killed_leaves_a_socket_that_is_no_obstacle() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
    assert!(home.root.join("rpmd.sock").exists());
    home.rpm(&["ping"]).ok();
    assert_ne!(home.supervisor(), supervisor);
}

#[test]
fn the_daemon_says_what_it_does_when_asked() {
    let home = Home::new();
    let daemon = home.daemon();
    let help = home.run(home.command(&[daemon.as_str(), "--help"])).ok();
    assert!(help.stdout.contains("--foreground"), "{}", help.shown());
    let version = home.run(home.command(&[daemon.as_str(), "--version"])).ok();
    assert_eq!(
        version.stdout,
        format!("rpmd {}\n", env!("CARGO_PKG_VERSION"))
    );
    let wrong = home.run(home.command(&[daemon.as_str(), "--nonsense"]));
    assert_eq!(wrong.code, 2, "{}", wrong.shown());
    assert!(!home.root.exists());
}

#[test]
fn a_foreground_daemon_whose_stderr_nobody_reads_serves_on() {
    let home = Home::new();
    let mut command = home.command(&[&home.daemon(), "--foreground"]);
    command.stderr(std::process::Stdio::piped());
    let mut daemon = spawn(&mut command).unwrap();
    wait_until("it serves", || home.root.join("rpmd.sock").exists());
    // Each crash is a line: the pipe is full soon.
    let mut wire = home.wire();
    let flags = "restart_delay=1 max_restarts=1000000";
    let name = "n".repeat(2000);
    wire.ask(&format!("start script=/bin/false name={name} {flags}"))
        .ok();
    wait_until("more was noted than a pipe holds", || {
        home.journal().len() > 300_000
    });
    wire.ask("ping").ok();
    home.rpm(&["kill"]).ok();
    assert!(daemon.wait().unwrap().success());
}
