//! What signals do to the daemons.

use std::fs;

use rpm::sys::signal::{ENDING, IGNORED, Signal};

use crate::harness::run::Running;
use crate::harness::{Home, has, is_root, proc, skip, wait_until};

const SERVES: &str = "serves";
/// Says on its way out that it was asked to end.
const POLITE: &str =
    "trap 'echo ended well; exit 0' INT\necho ready\nwhile :; do sleep 0.05; done\n";

/// The first process of a container that `unshare` has made.
fn first_process(container: &Running) -> i32 {
    let parent = container.pid().to_string();
    let mut all = proc::descendants(container.pid());
    all.retain(|pid| proc::stat(*pid).get(1) == Some(&parent));
    assert_eq!(all.len(), 1, "{all:?}");
    all[0]
}

fn start_polite(home: &Home) -> i32 {
    let pid = home.start("polite", POLITE, &["--cwd", "/"]).pid;
    home.wait_for_log("polite-out.log", "ready\n");
    pid
}

#[test]
fn each_signal_that_asks_for_the_end_stops_all_programs_first() {
    for signal in ENDING {
        let home = Home::new();
        let mut rpmd = Running::start(home.command(&[&home.daemon(), "--foreground"]));
        rpmd.wait_for_line(SERVES);
        let pid = start_polite(&home);
        proc::kill(rpmd.pid(), signal);
        assert_eq!(rpmd.wait(), 0, "{signal:?}");
        assert!(!proc::lives(pid), "{signal:?}");
        let log = fs::read_to_string(home.log_path("polite-out.log")).unwrap();
        assert!(log.contains("ended well"), "{signal:?}: {log}");
    }
}

#[test]
fn a_daemon_that_is_the_first_process_of_a_container_ends_as_it_is_asked_to() {
    if !is_root() || !has("unshare") || !has("nsenter") {
        return skip("only root may make namespaces, by unshare and nsenter");
    }
    for signal in [Signal::QUIT, Signal::TERM, Signal::HALT] {
        let home = Home::new();
        let words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
        let daemon = home.daemon();
        let mut container = home.command(&[&words[..], &[&daemon, "--foreground"]].concat());
        container.env("RPM_HOME", &home.root);
        let mut container = Running::start(container);
        container.wait_for_line(SERVES);
        let first = first_process(&container);
        let target = first.to_string();
        let script = home.script("polite.sh", POLITE);
        let client = home.client();
        let enter = ["nsenter", "-t", &target, "-p", "-m"];
        let start = [&client, "start", script.as_str(), "--name", "polite"];
        home.run(home.command(&[&enter[..], &start].concat())).ok();
        home.wait_for_log("polite-out.log", "ready\n");
        proc::kill(first, signal);
        assert_eq!(container.wait(), 0, "{signal:?}");
        let log = fs::read_to_string(home.log_path("polite-out.log")).unwrap();
        assert!(log.contains("ended well"), "{signal:?}: {log}");
    }
}

#[test]
fn what_is_no_request_to_end_ends_neither_daemon() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    let (supervisor, writer) = (home.supervisor(), home.log_writer().unwrap());
    let others = [Signal::WINCH, Signal::CONT];
    for signal in IGNORED.into_iter().chain(others) {
        proc::kill(supervisor, signal);
        proc::kill(writer, signal);
    }
    for signal in ENDING {
        proc::kill(writer, signal);
    }
    home.rpm(&["flush"]).ok();
    assert_eq!(
        (home.supervisor(), home.log_writer(), home.program("x").pid),
        (supervisor, Some(writer), pid)
    );
}

#[test]
fn one_that_stands_by_as_the_first_process_of_a_container_ends_too() {
    if !is_root() || !has("unshare") {
        return skip("only root may make namespaces, by unshare");
    }
    let home = Home::new();
    let serving = {
        home.rpm(&["ping"]).ok();
        home.supervisor()
    };
    let words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let daemon = home.daemon();
    let flags = [daemon.as_str(), "--foreground", "--standby"];
    let mut container = Running::start(home.command(&[&words[..], &flags].concat()));
    container.wait_for_line("standing by");
    let first = first_process(&container);
    proc::kill(first, Signal::QUIT);
    assert_eq!(container.wait(), 0);
    assert_eq!(home.supervisor(), serving);
    wait_until("it has gone", || !proc::lives(first));
}
