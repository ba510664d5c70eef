//! How programs are ended: all of them, in time, and nobody else waits for it.

use std::time::{Duration, Instant};

use rpm::model::life::{Exit, State};
use rpm::sys::signal::Signal;

use crate::harness::{Home, app, proc, wait_until};

/// Starts the program with children and grandchildren and gives all of its six processes.
fn start_tree(home: &Home, flags: &[&str]) -> Vec<i32> {
    let tree = app("tree.sh");
    home.rpm(&[&["start", &tree, "--name", "tree"], flags].concat())
        .ok();
    let leader = home.program("tree").pid;
    let mut all = Vec::new();
    wait_until("six processes, three of them sleeping", || {
        all = proc::descendants(leader);
        all.push(leader);
        let sleeping = all.iter().filter(|pid| proc::name(**pid) == "sleep");
        sleeping.count() == 3 && all.len() == 6
    });
    home.wait_for_log("tree-out.log", "ready\n");
    all
}

#[track_caller]
fn assert_gone(pids: &[i32]) {
    for pid in pids {
        assert!(!proc::lives(*pid), "it lives: {}", proc::describe(*pid));
    }
}

#[test]
fn a_program_that_ignores_the_signal_is_killed_after_its_time_with_all_of_its_tree() {
    let home = Home::new();
    let all = start_tree(&home, &["--kill-timeout", "500"]);
    let begin = Instant::now();
    home.rpm(&["stop", "tree"]).ok();
    assert!(begin.elapsed() >= Duration::from_millis(500));
    assert_gone(&all);
    let program = home.program("tree");
    assert_eq!(
        (program.state, program.exit),
        (State::Stopped, Some(Exit::Signal(9)))
    );
}

#[test]
fn while_a_program_takes_its_time_to_end_other_clients_are_served() {
    let home = Home::new();
    let all = start_tree(&home, &["--kill-timeout", "2000"]);
    let mut events = home.events();
    std::thread::scope(|scope| {
        let stopped = scope.spawn(|| home.rpm(&["stop", "tree"]).ok());
        events.wait_for("stopping", |p| p.state == State::Stopping);
        home.rpm(&["ping"]).ok();
        home.start_sleep("other");
        home.rpm(&["restart", "other"]).ok();
        home.rpm(&["delete", "other"]).ok();
        assert_eq!(home.program("tree").state, State::Stopping);
        assert!(!stopped.is_finished());
        stopped.join().unwrap();
    });
    assert_gone(&all);
}

#[test]
fn restart_delete_and_kill_leave_nothing_of_the_tree_either() {
    let home = Home::new();
    let flags = ["--kill-timeout", "100"];
    let first = start_tree(&home, &flags);
    home.rpm(&["restart", "tree"]).ok();
    assert_gone(&first);
    home.rpm(&["delete", "tree"]).ok();
    let second = start_tree(&home, &flags);
    home.rpm(&["delete", "tree"]).ok();
    assert_gone(&second);
    let third = start_tree(&home, &flags);
    home.rpm(&["kill"]).ok();
    assert_gone(&third);
}

#[test]
fn what_a_crashed_program_leaves_behind_is_ended_before_it_runs_again() {
    let home = Home::new();
    let first = start_tree(&home, &["--kill-timeout", "100"]);
    let leader = first[5];
    let mut events = home.events();
    proc::kill(leader, Signal::KILL);
    events.wait_for("online again", |p| {
        p.state == State::Online && p.pid != leader
    });
    assert_gone(&first);
}

#[test]
fn without_treekill_only_the_program_itself_is_ended() {
    let home = Home::new();
    let all = start_tree(&home, &["--kill-timeout", "100", "--no-treekill"]);
    home.rpm(&["stop", "tree"]).ok();
    let (leader, children) = all.split_last().unwrap();
    assert_gone(&[*leader]);
    for child in children {
        assert!(proc::lives(*child));
        proc::kill(*child, Signal::KILL);
    }
}

#[test]
fn a_stopped_program_can_be_stopped() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    proc::stop(pid);
    wait_until("stopped by SIGSTOP", || proc::stat(pid)[0] == "T");
    home.rpm(&["stop", "x"]).ok();
    assert_gone(&[pid]);
    // It went on and saw the signal: nobody had to kill it.
    assert_eq!(home.program("x").exit, Some(Exit::Signal(2)));
}

#[test]
fn the_kill_signal_and_the_exit_code_are_the_programs_own() {
    let home = Home::new();
    let text = "trap '{ kill -9 $!; wait $!; } 2> /dev/null; echo bye; exit 5' TERM\necho ready\nwhile :; do sleep 1000 & wait $!; done\n";
    home.start("polite", text, &["--kill-signal", "SIGTERM"]);
    home.wait_for_log("polite-out.log", "ready\n");
    home.rpm(&["stop", "polite"]).ok();
    assert_eq!(home.log("polite-out.log"), b"ready\nbye\n");
    assert_eq!(home.program("polite").exit, Some(Exit::Code(5)));
}

#[test]
fn a_program_that_waits_for_its_restart_is_stopped_at_once() {
    let home = Home::new();
    home.start("x", "exit 1\n", &["--restart-delay", "1000000"]);
    home.wait_for_state("x", State::Waiting);
    home.rpm(&["stop", "x"]).ok();
    assert_eq!(home.program("x").state, State::Stopped);
}

#[test]
fn orphans_of_programs_are_reaped() {
    let home = Home::new();
    home.start(
        "parent",
        "(sleep 1000 & echo \"orphan=$!\")\nexec sleep 1000\n",
        &[],
    );
    let printed = home.wait_for_log("parent-out.log", "\n");
    let orphan: i32 = printed
        .trim()
        .strip_prefix("orphan=")
        .unwrap()
        .parse()
        .unwrap();
    let supervisor = home.supervisor().to_string();
    wait_until("the daemon is its parent", || {
        proc::stat(orphan)[1] == supervisor
    });
    proc::kill(orphan, Signal::KILL);
    wait_until("it is reaped", || proc::stat(orphan).is_empty());
    assert_eq!(home.program("parent").state, State::Online);
}

#[test]
fn a_program_that_ends_leaves_no_zombie() {
    let home = Home::new();
    home.start("x", "exit 0\n", &["--no-autorestart"]);
    home.wait_for_state("x", State::Stopped);
    let supervisor = home.supervisor();
    let mut children = proc::descendants(supervisor);
    children.sort_unstable();
    let mut daemons = [home.log_writer().unwrap(), home.list_writers()[0]];
    daemons.sort_unstable();
    assert_eq!(children, daemons);
}
