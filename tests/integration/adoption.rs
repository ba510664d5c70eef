//! The supervisor is killed: its programs do not notice.

use rpm::model::life::{Exit, State};
use rpm::sys::signal::Signal;

use crate::harness::list_file::is_of;
use crate::harness::wait::wait_for_end;
use crate::harness::{Home, assert_same_bytes, has, is_root, proc, random_bytes, skip, wait_until};

/// Kills the supervisor and waits for its end.
fn kill_supervisor(home: &Home) {
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
}

#[test]
fn programs_live_on_and_are_in_the_list_of_the_next_daemon() {
    let home = Home::new();
    for name in ["a", "b"] {
        home.start_sleep(name);
    }
    home.start_sleep("down");
    home.rpm(&["stop", "down"]).ok();
    let before = home.list();
    kill_supervisor(&home);
    assert!(proc::lives(before[0].pid) && proc::lives(before[1].pid));
    home.rpm(&["list"]).ok();
    let after = home.list();
    assert_eq!(after.len(), 3);
    for (was, is) in before.iter().zip(&after) {
        assert_eq!(
            (
                was.id,
                &was.name,
                was.pid,
                was.state,
                was.restarts,
                was.created
            ),
            (is.id, &is.name, is.pid, is.state, is.restarts, is.created)
        );
        // The kernel counts the start of a process in hundredths of a second.
        assert!(was.since.abs_diff(is.since) < 1000, "{was:?} {is:?}");
    }
    assert_eq!(home.start_sleep("c").id, 3);
}

#[test]
fn what_is_printed_while_there_is_no_daemon_is_in_the_log() {
    let home = Home::new();
    let bytes = random_bytes(50_000, 3);
    std::fs::write(home.base.join("data"), &bytes).unwrap();
    let text = "echo ready\nwhile ! [ -e go ]; do sleep 0.01; done\ncat data\ntouch printed\nexec sleep 1000\n";
    let program = home.start("x", text, &[]);
    home.wait_for_log("x-out.log", "ready\n");
    home.kill_daemons();
    std::fs::write(home.base.join("go"), "").unwrap();
    wait_until("all is printed", || home.base.join("printed").exists());
    home.rpm(&["list"]).ok();
    assert_eq!(home.program("x").pid, program.pid);
    home.rpm(&["stop", "x"]).ok();
    let whole = [b"ready\n", bytes.as_slice()].concat();
    assert_same_bytes(&home.log("x-out.log"), &whole, "the log");
}

#[test]
fn adopted_programs_are_stopped_restarted_and_watched_like_others() {
    let home = Home::new();
    for name in ["a", "b", "c"] {
        home.start_sleep(name);
    }
    kill_supervisor(&home);
    home.rpm(&["list"]).ok();
    let before = home.list();
    home.rpm(&["stop", "a"]).ok();
    assert!(!proc::lives(before[0].pid));
    home.rpm(&["restart", "b"]).ok();
    assert!(!proc::lives(before[1].pid));
    assert_eq!(home.program("b").state, State::Online);
    let mut events = home.events();
    proc::kill(before[2].pid, Signal::KILL);
    let again = events.wait_for("online again", |p| {
        p.name == "c" && p.state == State::Online
    });
    assert_eq!(again.restarts, 1);
    assert!(
        matches!(again.exit, Some(Exit::Signal(9) | Exit::Unknown)),
        "{again:?}"
    );
}

#[test]
fn programs_that_ended_while_there_was_no_daemon_are_started_again() {
    let home = Home::new();
    let first = home.start_sleep("x");
    home.kill_daemons();
    proc::kill(first.pid, Signal::KILL);
    wait_for_end(first.pid);
    home.rpm(&["list"]).ok();
    let again = home.wait_for_state("x", State::Online);
    assert_ne!(again.pid, first.pid);
}

#[test]
fn a_program_that_was_being_stopped_is_stopped_by_the_next_daemon() {
    let home = Home::new();
    let text = "trap '' INT TERM\necho ready\nwhile :; do sleep 1000; done\n";
    home.start("deaf", text, &["--kill-timeout", "1000"]);
    home.wait_for_log("deaf-out.log", "ready\n");
    let mut events = home.events();
    let mut wire = home.wire();
    wire.send("stop target=deaf\n");
    let pid = events
        .wait_for("stopping", |p| p.state == State::Stopping)
        .pid;
    kill_supervisor(&home);
    assert!(proc::lives(pid));
    home.rpm(&["list"]).ok();
    home.wait_for_state("deaf", State::Stopped);
    assert!(!proc::lives(pid));
}

#[test]
fn the_daemon_may_die_again_and_again() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    for _ in 0..5 {
        kill_supervisor(&home);
        home.rpm(&["ping"]).ok();
        let program = home.program("x");
        assert_eq!(
            (program.pid, program.state, program.restarts),
            (pid, State::Online, 0)
        );
    }
}

#[test]
fn kill_ends_the_programs_of_a_daemon_that_was_killed() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    home.kill_daemons();
    home.rpm(&["kill"]).ok();
    let left = proc::lives(pid);
    // So that nothing is left in any case.
    home.rpm(&["list"]).ok();
    home.rpm(&["kill"]).ok();
    assert!(!left, "rpm kill has left the program running");
}

/// Where the first process of a container reaps nobody, the dead stay zombies, and they are dead all the same.
#[test]
fn adopted_programs_can_be_stopped_where_nobody_reaps_them() {
    if !is_root() || !has("unshare") {
        return skip("only root, with unshare, can make a pid namespace");
    }
    let home = Home::new();
    home.script(
        "inside",
        "#!/bin/sh\n$RPM start sleep -- 1000 && kill -9 $(cat $RPM_HOME/rpmd.pid)\n\
         $RPM list\ntimeout 5 $RPM stop sleep\necho stop=$?\n\
         timeout 5 $RPM start sleep\necho start=$?\n\
         timeout 5 $RPM kill\necho kill=$?\n",
    );
    // The first process is a `cat` that prints what the script says to its end, and waits for nobody.
    let output = home.shell(
        "mkfifo said; exec unshare --pid --fork --kill-child --mount-proc \
         sh -c './inside > said 2>&1 & exec cat said'",
    );
    let said = output.ok().stdout;
    for part in ["stop=0\n", "start=0\n", "kill=0\n"] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[test]
fn damaged_records_are_set_aside_and_said_and_the_others_are_served() {
    let home = Home::new();
    home.start_sleep("good");
    home.start_sleep("bad");
    home.rpm(&["stop", "bad"]).ok();
    // Both: the log writer would start a supervisor before the record is damaged.
    home.kill_daemons();
    home.with_list(|line| match is_of(line, "spec", 1) {
        true => "nonsense\n".to_owned(),
        false => line.to_owned(),
    });
    home.rpm(&["list"]).ok();
    let names: Vec<_> = home.list().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["good"]);
    home.wait_for_journal("run/1.damaged");
}
