//! When a program is started again, and when not.

use std::fs;

use rpm::model::life::{Exit, State, Want};
use rpm::sys::signal::Signal;

use crate::harness::{Home, proc};

#[test]
fn a_program_that_crashes_is_started_again() {
    let home = Home::new();
    let first = home.start_sleep("x");
    let mut events = home.events();
    proc::kill(first.pid, Signal::KILL);
    let again = events.wait_for("online again", |p| p.state == State::Online);
    assert_ne!(again.pid, first.pid);
    assert_eq!((again.restarts, again.exit), (1, Some(Exit::Signal(9))));
    assert!(proc::lives(again.pid));
}

#[test]
fn a_program_that_ends_well_is_started_again_too() {
    let home = Home::new();
    home.start("x", "exit 0\n", &[]);
    let again = home.wait_for("x", "a second restart", |p| p.restarts > 1);
    assert_eq!(again.exit, Some(Exit::Code(0)));
}

#[test]
fn a_crash_loop_ends_in_errored() {
    let home = Home::new();
    let flags = ["--max-restarts", "2", "--restart-delay", "1"];
    home.start("loop", "echo run\nexit 3\n", &flags);
    let program = home.wait_for_state("loop", State::Errored);
    assert_eq!((program.restarts, program.unstable, program.pid), (2, 3, 0));
    assert_eq!(program.exit, Some(Exit::Code(3)));
    home.rpm(&["stop", "loop"]).ok();
    assert_eq!(home.log("loop-out.log"), b"run\nrun\nrun\n");
    home.wait_for_journal("giving up");
}

#[test]
fn an_errored_program_can_be_restarted_by_hand() {
    let home = Home::new();
    let text = "[ -e fixed ] && exec sleep 1000\nexit 1\n";
    home.start("x", text, &["--max-restarts", "1", "--restart-delay", "1"]);
    home.wait_for_state("x", State::Errored);
    assert_eq!(home.rpm(&["list", "x"]).code, 3);
    fs::write(home.base.join("fixed"), "").unwrap();
    home.rpm(&["restart", "x"]).ok();
    let program = home.program("x");
    assert_eq!((program.state, program.unstable), (State::Online, 0));
}

#[test]
fn a_crash_loop_slows_down_by_itself() {
    let home = Home::new();
    home.start("loop", "exit 1\n", &[]);
    let waiting = home.wait_for("loop", "a wait", |p| p.state == State::Waiting);
    assert!(waiting.unstable >= 2, "the first restart is at once");
}

#[test]
fn an_exit_code_that_means_done_stops_it() {
    let home = Home::new();
    let text = "[ -e again ] && exit 7\ntouch again\nexit 5\n";
    home.start("x", text, &["--stop-exit-codes", "6,7"]);
    let program = home.wait_for_state("x", State::Stopped);
    assert_eq!((program.restarts, program.exit), (1, Some(Exit::Code(7))));
    assert_eq!(program.want, Want::Down);
}

#[test]
fn without_autorestart_it_runs_once() {
    let home = Home::new();
    for (name, text, code) in [("good", "exit 0\n", 0), ("bad", "exit 9\n", 9)] {
        home.start(name, text, &["--no-autorestart"]);
        let program = home.wait_for_state(name, State::Stopped);
        assert_eq!(
            (program.restarts, program.exit),
            (0, Some(Exit::Code(code)))
        );
    }
}

#[test]
fn a_restart_delay_is_waited_for() {
    let home = Home::new();
    let mut events = {
        home.rpm(&["ping"]).ok();
        home.events()
    };
    let begin = std::time::Instant::now();
    home.start("x", "exit 1\n", &["--restart-delay", "300"]);
    events.wait_for("the second run", |p| p.restarts == 1);
    assert!(begin.elapsed().as_millis() >= 300);
}
