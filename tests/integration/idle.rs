//! At rest the daemons do nothing at all.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::run::Running;
use crate::harness::{Home, has, proc, skip};

#[test]
fn with_100_programs_at_rest_the_daemons_make_no_system_call() {
    if !has("strace") {
        return skip("strace is not installed");
    }
    let home = Home::new();
    home.rpm(&[
        "start", "sleep", "-i", "100", "--name", "many", "--", "1000",
    ])
    .ok();
    assert!(home.list().iter().all(|p| p.state == State::Online));
    home.rpm(&["sync"]).ok();
    let list_writer = home.list_writers()[0];
    let daemons = [home.supervisor(), home.log_writer().unwrap(), list_writer];
    let trace = home.base.join("trace");
    let [one, other, third] = daemons.map(|pid| pid.to_string());
    let words = [
        "strace",
        "-f",
        "-o",
        trace.to_str().unwrap(),
        "-p",
        &one,
        "-p",
        &other,
        "-p",
        &third,
    ];
    let mut strace = Running::start(home.command(&words));
    for _ in daemons {
        strace.wait_for_line("attached");
    }
    // What the last client and the last start left to do is done by now, or shows.
    assert!(strace.hears_nothing_for(Duration::from_secs(10)));
    proc::kill(strace.pid(), Signal::INT);
    strace.wait();
    let text = fs::read_to_string(&trace).unwrap();
    let mut calls: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        let (pid, call) = line.split_once(' ').unwrap();
        calls.entry(pid).or_default().push(call);
    }
    // The one call that each was in, and still is.
    for (pid, calls) in &calls {
        assert_eq!(calls.len(), 1, "{pid}: {calls:#?}");
        assert!(
            calls[0].contains("poll")
                && (calls[0].contains("detached") || calls[0].contains("unfinished")),
            "{calls:?}"
        );
    }
    assert_eq!(calls.len(), 3, "{text}");
}
