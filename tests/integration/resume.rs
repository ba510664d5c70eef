//! A supervisor that dies is replaced by the log writer, and the list is what it was.

use std::fs;
use std::time::Duration;

use rpm::model::life::{Exit, State};
use rpm::sys::signal::Signal;

use crate::harness::list_file::{is_of, sealed};
use crate::harness::run::Running;
use crate::harness::wait::{ended_within, wait_for_end};
use crate::harness::wire::Wire;
use crate::harness::{Home, proc, wait_until};

/// Kills the supervisor and waits, without any command, until another one serves.
fn kill_and_wait(home: &Home) -> i32 {
    let old = home.supervisor();
    proc::kill(old, Signal::KILL);
    wait_for_end(old);
    wait_until("another supervisor", || {
        Wire::try_connect(&home.root)
            .is_ok_and(|mut wire| wire.try_send("ping\n").is_ok() && wire.line().is_some())
    });
    home.supervisor()
}

#[test]
fn the_next_supervisor_comes_by_itself_and_the_list_is_the_same() {
    let home = Home::new();
    home.rpm(&["start", "sleep", "-i", "3", "--", "1000"]).ok();
    home.start_sleep("down");
    home.rpm(&["stop", "down"]).ok();
    home.rpm(&["restart", "0"]).ok();
    let before = home.list();
    let writer = home.log_writer();
    for _ in 0..4 {
        kill_and_wait(&home);
        let after = home.list();
        assert_eq!(before.len(), after.len());
        for (was, is) in before.iter().zip(after) {
            // The kernel counts the start of a process in hundredths of a second.
            assert!(was.since.abs_diff(is.since) < 1000, "{was:?} {is:?}");
            let since = was.since;
            assert_eq!(was, &rpm::protocol::process::Process { since, ..is });
        }
    }
    assert_eq!(home.log_writer(), writer, "it stays");
    assert_eq!(home.start_sleep("next").id, 4);
}

#[test]
fn in_the_foreground_init_is_the_one_that_starts_it_again() {
    let home = Home::new();
    let mut first = Running::start(home.command(&[&home.daemon(), "--foreground"]));
    first.wait_for_line("serves");
    home.start(
        "x",
        "echo one\nwhile ! [ -e go ]; do sleep 0.01; done\necho two\nexec sleep 1000\n",
        &[],
    );
    let writer = home.log_writer().unwrap();
    let pid = home.program("x").pid;
    proc::kill(first.pid(), Signal::KILL);
    first.wait();
    // The log writer goes on writing for whoever comes.
    fs::write(home.base.join("go"), "").unwrap();
    home.wait_for_log("x-out.log", "one\ntwo\n");
    assert!(
        Wire::try_connect(&home.root).is_err(),
        "it is not the log writer's to do"
    );
    let mut second = Running::start(home.command(&[&home.daemon(), "--foreground"]));
    second.wait_for_line("serves");
    assert_eq!(
        (home.program("x").pid, home.log_writer()),
        (pid, Some(writer))
    );
    home.rpm(&["kill"]).ok();
    second.wait();
}

#[test]
fn programs_that_end_meanwhile_are_treated_by_their_restart_policy() {
    let home = Home::new();
    let once = "while ! [ -e go ]; do sleep 0.01; done\nexit 3\n";
    home.start("once", once, &["--no-autorestart"]);
    home.start(
        "again",
        "[ -e go ] && exec sleep 1000\necho waits\nwhile ! [ -e go ]; do sleep 0.01; done\nexit 3\n",
        &[],
    );
    home.wait_for_log("again-out.log", "waits\n");
    let pids: Vec<i32> = home.list().iter().map(|p| p.pid).collect();
    home.kill_daemons();
    fs::write(home.base.join("go"), "").unwrap();
    pids.iter().for_each(|pid| wait_for_end(*pid));
    home.rpm(&["ping"]).ok();
    let once = home.wait_for_state("once", State::Stopped);
    assert_eq!((once.pid, once.restarts), (0, 0));
    // Known as long as the parent that it got has not reaped it.
    let known = matches!(once.exit, Some(Exit::Code(3) | Exit::Unknown));
    assert!(known, "{once:?}");
    let again = home.wait_for_state("again", State::Online);
    assert_eq!(again.restarts, 1);
    // What has been dealt with is not dealt with again.
    kill_and_wait(&home);
    assert_eq!(home.program("once").state, State::Stopped);
    assert_eq!(home.program("again").restarts, 1);
}

#[test]
fn the_count_of_restarts_survives_a_storm() {
    let home = Home::new();
    let flags = ["--max-restarts", "100000", "--restart-delay", "1"];
    home.start("storm", "exit 1\n", &flags);
    let mut most = 0;
    for _ in 0..4 {
        home.wait_for("storm", "more restarts", |p| p.restarts > most + 5);
        let before = home.program("storm").restarts;
        kill_and_wait(&home);
        most = home.program("storm").restarts;
        assert!(most >= before, "{most} after {before}");
    }
}

#[test]
fn a_number_is_never_used_twice() {
    let home = Home::new();
    for name in ["a", "b", "c"] {
        home.start_sleep(name);
    }
    home.rpm(&["delete", "b", "c"]).ok();
    kill_and_wait(&home);
    assert_eq!(home.start_sleep("d").id, 3);
    home.rpm(&["kill"]).ok();
    assert_eq!(
        home.start_sleep("a").id,
        0,
        "a list that was emptied begins anew"
    );
}

#[test]
fn kill_keep_leaves_the_programs_to_the_next_daemon() {
    let home = Home::new();
    let text = "echo one\nwhile ! [ -e go ]; do sleep 0.01; done\necho two\ntouch printed\nexec sleep 1000\n";
    let pid = home.start("x", text, &[]).pid;
    home.wait_for_log("x-out.log", "one\n");
    let daemons = [home.supervisor(), home.log_writer().unwrap()];
    let said = home.rpm(&["kill", "--keep"]).ok().stdout;
    assert!(said.contains("run on"), "{said}");
    for daemon in daemons {
        wait_for_end(daemon);
    }
    fs::write(home.base.join("go"), "").unwrap();
    wait_until("it has printed", || home.base.join("printed").exists());
    assert_eq!(home.log("x-out.log"), b"one\n");
    home.rpm(&["list"]).ok();
    assert_eq!(home.program("x").pid, pid);
    home.wait_for_log("x-out.log", "one\ntwo\n");
    // Without a daemon there is nothing to end, and nothing is started to end it.
    home.rpm(&["kill", "--keep"]).ok();
    let again = home.rpm(&["kill", "--keep"]).ok();
    assert!(again.stderr.contains("no daemon runs"), "{again:?}");
    assert!(proc::lives(pid));
    home.rpm(&["kill"]).ok();
    assert!(!proc::lives(pid));
}

/// The records as they are after the machine was started anew: those of another boot.
fn reboot(home: &Home) {
    home.rpm(&["sync"]).ok();
    home.kill_daemons();
    for pid in home.list_offline() {
        proc::kill(pid, Signal::KILL);
        assert!(ended_within(pid, Duration::from_secs(10)));
    }
    wait_until("no writer of the list", || home.list_writers().is_empty());
    let state = home.root.join("rpmd.state");
    let text = fs::read_to_string(&state).unwrap();
    fs::write(&state, text.replace("boot=", "boot=other")).unwrap();
}

#[test]
fn in_a_new_boot_what_was_wanted_up_is_started_and_nothing_else() {
    let home = Home::new();
    home.start_sleep("up");
    home.start_sleep("down");
    home.rpm(&["stop", "down"]).ok();
    home.start("done", "exit 0\n", &["--no-autorestart"]);
    home.wait_for_state("done", State::Stopped);
    home.start("broken", "exit 1\n", &["--max-restarts", "1"]);
    home.wait_for_state("broken", State::Errored);
    reboot(&home);
    // The number of a program is a bystander's now.
    let bystander = home.base.join("bystander");
    let mut other = Running::start(home.command(&["sleep", "1000"]));
    fs::write(&bystander, "").unwrap();
    let start = &proc::stat(other.pid())[19];
    let record = format!("pid id=0 pid={} start={start} run=1", other.pid());
    home.edit_list(|line| match is_of(line, "pid", 0) {
        true => sealed(&record),
        false => line.to_owned(),
    });
    home.rpm(&["list"]).ok();
    assert_ne!(home.wait_for_state("up", State::Online).pid, other.pid());
    assert_eq!(home.program("down").state, State::Stopped);
    assert_eq!(home.program("done").state, State::Stopped);
    // It was wanted up: it has its chances again.
    home.wait_for_state("broken", State::Errored);
    wait_until("both are noted", || {
        home.journal().matches("giving up").count() == 2
    });
    home.rpm(&["stop", "all"]).ok();
    assert!(proc::lives(other.pid()));
    proc::kill(other.pid(), Signal::KILL);
    other.wait();
}

#[test]
fn records_of_a_newer_release_are_not_touched() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    home.rpm(&["kill", "--keep"]).ok();
    let state = home.root.join("rpmd.state");
    let text = fs::read_to_string(&state).unwrap();
    fs::write(&state, text.replace("version=2", "version=3")).unwrap();
    home.rpm(&["list"]).fails(&["newer rpmd"]);
    let mut check = home.command(&[&home.daemon(), "--self-check"]);
    check.env("RPM_HOME", &home.root);
    home.run(check).fails(&["newer rpmd"]);
    fs::write(&state, text).unwrap();
    assert_eq!(home.rpm(&["pid", "x"]).ok().stdout.trim(), pid.to_string());
}

#[test]
fn damaged_records_are_said_by_list_until_they_are_removed() {
    let home = Home::new();
    home.start_sleep("good");
    home.start_sleep("bad");
    home.rpm(&["stop", "bad"]).ok();
    home.with_list(|line| match is_of(line, "status", 1) {
        true => line.replace("want=", "want=x"),
        false => line.to_owned(),
    });
    let output = home.rpm(&["list"]).ok();
    assert!(
        output.stderr.contains("run/1.damaged are damaged"),
        "{output:?}"
    );
    assert!(output.stdout.contains("good") && !output.stdout.contains("bad"));
    kill_and_wait(&home);
    assert!(home.rpm(&["list"]).ok().stderr.contains("run/1.damaged"));
    fs::remove_file(home.root.join("run/1.damaged")).unwrap();
    assert_eq!(home.rpm(&["list"]).ok().stderr, "");
}
