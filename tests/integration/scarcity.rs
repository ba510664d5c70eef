//! No more processes, no more descriptors: a sentence, and life goes on.

use rpm::model::life::State;
use rpm::protocol::process::Process;
use rpm::sys::signal::Signal;

use crate::harness::wait::wait_for_end;
use crate::harness::wire::Wire;
use crate::harness::{Home, has, is_root, proc, skip, wait_until};

/// Launches a daemon that has this limit.
fn launch_limited(home: &Home, limit: &str) {
    let daemon = home.daemon();
    home.run(home.command(&["prlimit", limit, &daemon])).ok();
}

#[test]
fn without_processes_left_start_fails_with_a_sentence_and_the_daemon_recovers() {
    if !has("prlimit") {
        return skip("prlimit is not installed");
    }
    if !is_root() || !has("setpriv") {
        return skip("only root, with setpriv, can become a user of whom it knows every process");
    }
    let home = Home::of_another_user();
    // The three daemons, and four more.
    launch_limited(&home, "--nproc=7:7");
    let sleep = ["start", "sleep", "--", "1000"];
    let mut wire = home.wire();
    let refused = wire.ask("start script=/bin/sleep args=1000 cwd=/ instances=10");
    let message = refused.last.text("message").unwrap_or_default().to_owned();
    for part in ["creating a process", "Resource temporarily unavailable"] {
        assert!(message.contains(part), "{message}");
    }
    drop(wire);
    assert!(home.list().is_empty());
    wait_until("no pipes", || home.with_pipes().is_empty());
    home.rpm(&sleep).ok();
    assert_eq!(home.program("sleep").state, State::Online);
    home.rpm(&["restart", "sleep"]).ok();
}

#[test]
fn without_descriptors_left_start_fails_with_a_sentence_and_the_daemon_recovers() {
    if !has("prlimit") {
        return skip("prlimit is not installed");
    }
    let home = Home::new();
    launch_limited(&home, "--nofile=22:22");
    home.rpm(&["start", "sleep", "-i", "10", "--", "1000"])
        .fails(&["Too many open files"]);
    assert!(home.list().is_empty());
    wait_until("no pipes", || home.with_pipes().is_empty());
    home.rpm(&["start", "sleep", "--", "1000"]).ok();
    assert_eq!(home.program("sleep").state, State::Online);
    home.rpm(&["restart", "sleep"]).ok();
}

#[test]
fn without_descriptors_left_clients_are_told_and_served_again_afterwards() {
    if !has("prlimit") {
        return skip("prlimit is not installed");
    }
    let home = Home::new();
    launch_limited(&home, "--nofile=22:22");
    let program = home.start_sleep("x");
    let mut served = Vec::new();
    loop {
        let mut wire = Wire::connect(&home.root);
        let _ = wire.try_send("ping\n");
        let answer = wire.answer();
        if answer.last.tag == "error" {
            answer.refused("busy", "no descriptors left");
            break;
        }
        served.push(wire);
        assert!(served.len() < 20);
    }
    for wire in &mut served {
        let listed = wire.ask("list").ok().processes();
        assert_eq!((listed.len(), listed[0].pid), (1, program.pid));
    }
    drop(served);
    home.rpm(&["restart", "x"]).ok();
}

#[test]
fn a_program_that_crashes_while_clients_have_all_descriptors_but_the_reserve_is_started_again() {
    if !has("prlimit") {
        return skip("prlimit is not installed");
    }
    let home = Home::new();
    launch_limited(&home, "--nofile=22:22");
    let first = home.start_sleep("x");
    let mut served = vec![home.events()];
    loop {
        let mut wire = Wire::connect(&home.root);
        let _ = wire.try_send("ping\n");
        match wire.answer().last.tag.as_str() {
            "ok" => served.push(wire),
            _ => break,
        }
    }
    let mut events = served.remove(0);
    proc::kill(first.pid, Signal::KILL);
    events.wait_for("online again", |p| {
        p.state == State::Online && p.pid != first.pid
    });
    // What is wanted of it is on record, too: the commands of those who are served already are carried out.
    served[0].ask("stop target=x").ok();
    served[0].ask("sync").ok();
}

/// How many descriptors the supervisor holds besides those of programs and clients, at most.
const OWN_DESCRIPTORS: usize = 14;

#[test]
fn at_the_limit_all_programs_are_stopped_restarted_adopted_and_ended() {
    if !has("prlimit") {
        return skip("prlimit is not installed");
    }
    let home = Home::new();
    launch_limited(&home, "--nofile=64:64");
    for at in 0..20 {
        home.start_sleep(&format!("a{at}"));
    }
    let held = proc::descriptors(home.supervisor()).len();
    assert!(held <= OWN_DESCRIPTORS + 2 * 20 + 8, "{held} descriptors");
    let pids = |home: &Home| -> Vec<i32> { home.list().iter().map(|p| p.pid).collect() };
    home.rpm(&["stop", "all"]).ok();
    home.rpm(&["restart", "all"]).ok();
    assert!(home.list().iter().all(|p| p.state == State::Online));
    let before = pids(&home);
    // The next supervisor holds nothing that this one did not need, and adopts them all.
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
    home.run(home.command(&["prlimit", "--nofile=64:64", &home.client(), "list"]))
        .ok();
    assert_eq!(pids(&home), before);
    assert!(
        !home
            .entries("run")
            .iter()
            .any(|name| name.contains("damaged"))
    );
    // Those without a descriptor are missed too when they end.
    for pid in &before {
        proc::kill(*pid, Signal::KILL);
    }
    wait_until("all are online again", || {
        let all = home.list();
        let anew = |p: &Process| p.state == State::Online && !before.contains(&p.pid);
        all.len() == before.len() && all.iter().all(anew)
    });
    home.rpm(&["stop", "all"]).ok();
    home.rpm(&["sync"]).ok();
    home.rpm(&["restart", "all"]).ok();
    home.rpm(&["kill"]).ok();
    let left = proc::named(&home.root, "sleep");
    assert!(left.is_empty(), "{left:?} live");
}
