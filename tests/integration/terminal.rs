//! Closing the terminal.

use rpm::model::life::State;

use crate::harness::{Home, proc, skip};

#[test]
fn programs_and_daemon_live_on_when_their_terminal_is_hung_up() {
    let home = Home::new();
    let Some(hangup) = home.compiled("hangup.c") else {
        return skip("there is no C compiler");
    };
    let script = format!(
        "{} start sleep -- 1000; echo READY; sleep 1000; echo survived",
        home.client()
    );
    let output = home
        .run(home.command(&[&hangup, "bash", "-c", &script]))
        .ok();
    assert!(
        output.stdout.starts_with("signal 1\n"),
        "{}",
        output.shown()
    );
    assert!(
        output.stdout.contains("started sleep"),
        "{}",
        output.shown()
    );
    let program = home.program("sleep");
    assert_eq!((program.state, program.restarts), (State::Online, 0));
    assert!(proc::lives(program.pid));
    // Neither daemon has a terminal, or could get one again: field 7 is the terminal, 6 the session.
    for pid in [home.supervisor(), home.log_writer().unwrap(), program.pid] {
        assert_eq!(proc::stat(pid)[4], "0", "{}", proc::describe(pid));
    }
    assert_ne!(
        proc::stat(home.supervisor())[3],
        home.supervisor().to_string()
    );
}

#[test]
fn on_a_terminal_news_is_followed_by_the_table() {
    let home = Home::new();
    let Some(hangup) = home.compiled("hangup.c") else {
        return skip("there is no C compiler");
    };
    let script = format!(
        "{} start sleep -- 1000; echo READY; sleep 1000",
        home.client()
    );
    let output = home
        .run(home.command(&[&hangup, "bash", "-c", &script]))
        .ok();
    assert!(
        output.stdout.contains("│") && output.stdout.contains("online"),
        "{}",
        output.shown()
    );
    let plain = home.rpm(&["restart", "sleep"]).ok();
    assert!(!plain.stdout.contains("online"), "{}", plain.shown());
}
