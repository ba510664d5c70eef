//! A look that fails is neither a death nor damage: system calls fail by `strace(1)`, "Tampering", while programs are
//! adopted and while they are served.
//!
//! Some of the failures in an ordinary run, every one with `RPM_TEST_EVERY=1`.

use rpm::model::life::{Exit, State};
use rpm::sys::signal::Signal;

use crate::harness::killer::{cannot_trace, every};
use crate::harness::run::Running;
use crate::harness::wait::wait_for_end;
use crate::harness::wire::Wire;
use crate::harness::{Home, has, proc, skip, wait_until};

/// A fault: the system call, the path that it is about where it is about one, the error, and how often.
type Fault = (&'static str, &'static str, &'static str, &'static str);

/// Each time, and the first times.
const ALWAYS: &str = "1+";
const AT_FIRST: &str = "1..2";

/// What can fail while programs are adopted. `HOME` and `PID` stand for the home and the pid of the first program.
const FAULTS: &[Fault] = &[
    ("pidfd_open", "", "ENOSYS", ALWAYS),
    ("pidfd_open", "", "EPERM", ALWAYS),
    ("pidfd_open", "", "EMFILE", ALWAYS),
    ("pidfd_open", "", "ENOMEM", AT_FIRST),
    ("openat", "/proc/PID/stat", "EMFILE", AT_FIRST),
    ("openat", "/proc/PID/stat", "ENFILE", AT_FIRST),
    ("openat", "/proc/PID/stat", "ENOMEM", AT_FIRST),
    ("openat", "/proc/PID/stat", "EACCES", AT_FIRST),
    ("openat", "/proc/1/stat", "EMFILE", AT_FIRST),
    (
        "openat",
        "/proc/sys/kernel/random/boot_id",
        "EMFILE",
        AT_FIRST,
    ),
    ("openat", "HOME/run/list", "EMFILE", AT_FIRST),
    ("openat", "HOME/run/list", "EIO", AT_FIRST),
    ("openat", "HOME/run/list", "ENFILE", AT_FIRST),
    ("read", "HOME/run/list", "EIO", AT_FIRST),
    ("read", "HOME/run/list", "ENOMEM", AT_FIRST),
    ("statx", "HOME/run/list", "EIO", AT_FIRST),
    ("flock", "HOME/pids", "ENOLCK", AT_FIRST),
    ("memfd_create", "", "EMFILE", AT_FIRST),
    ("openat", "HOME/run/0.out", "EMFILE", AT_FIRST),
    ("openat", "HOME/run/0.err", "ENOMEM", AT_FIRST),
    ("openat", "HOME/rpmd.state", "EIO", AT_FIRST),
    ("openat", "HOME/log.batch", "EMFILE", AT_FIRST),
    ("getdents64", "HOME/run", "EIO", AT_FIRST),
    ("accept4", "", "EMFILE", AT_FIRST),
    ("accept4", "", "ENOMEM", AT_FIRST),
    ("accept4", "", "EPERM", AT_FIRST),
    ("fork", "", "EAGAIN", AT_FIRST),
    ("clone", "", "EAGAIN", AT_FIRST),
    ("ppoll", "", "ENOMEM", AT_FIRST),
    ("ppoll", "", "EINVAL", ALWAYS),
];

/// A supervisor in the foreground, some of whose system calls fail.
fn supervisor_with(home: &Home, fault: &Fault, pid: i32) -> Running {
    let (call, path, error, when) = *fault;
    let inject = format!("inject={call}:error={error}:when={when}");
    let trace = home.base.join("trace");
    let path = path.replace("HOME", home.root.to_str().unwrap());
    let path = path.replace("PID", &pid.to_string());
    let mut words = vec!["strace", "-f", "-o", trace.to_str().unwrap(), "-e", &inject];
    if !path.is_empty() {
        words.extend(["-P", &path]);
    }
    let daemon = home.daemon();
    words.extend([&daemon, "--foreground"]);
    Running::start(home.command(&words))
}

/// The processes of programs and their numbers, from the system and not from the daemon.
fn sleepers(home: &Home) -> Vec<i32> {
    let mut pids = proc::named(&home.root, "sleep");
    pids.sort_unstable();
    pids
}

fn answers(home: &Home) -> bool {
    let Ok(mut wire) = Wire::try_connect(&home.root) else {
        return false;
    };
    wire.try_send("ping\n").is_ok() && wire.line().is_some_and(|line| line.tag == "ok")
}

#[track_caller]
fn is_as_before(home: &Home, before: &[i32], fault: &Fault) {
    let mut listed = Vec::new();
    // Where the first look failed it is tried again: nothing that is missing for a moment is missing for good.
    wait_until(&format!("all programs after {fault:?}"), || {
        listed = home.list();
        listed.len() == before.len()
    });
    let mut pids: Vec<i32> = listed.iter().map(|p| p.pid).collect();
    pids.sort_unstable();
    assert_eq!(pids, before, "{fault:?}: {listed:#?}");
    assert!(listed.iter().all(|p| p.restarts == 0), "{fault:?}");
    assert_eq!(sleepers(home), before, "{fault:?}: another copy");
    let run = home.entries("run");
    assert!(
        !run.iter().any(|name| name.contains("damaged")),
        "{fault:?}: {run:?}"
    );
}

#[test]
fn whatever_fails_at_adoption_no_program_is_doubled_dropped_or_set_aside() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    for fault in every(FAULTS, 5) {
        let home = Home::new();
        for name in ["a", "b"] {
            home.start_sleep(name);
        }
        let before = sleepers(&home);
        let first = home.program("a").pid;
        home.kill_daemons();
        let mut traced = supervisor_with(&home, fault, first);
        wait_until(&format!("a supervisor with {fault:?}"), || {
            answers(&home) || !proc::lives(traced.pid())
        });
        if !proc::lives(traced.pid()) {
            // It did not serve, and said why; the next one finds all as it was.
            assert_eq!(traced.wait(), 1, "{fault:?}");
            home.rpm(&["list"]).ok();
        }
        is_as_before(&home, &before, fault);
        // In spite of the fault, what is asked for is done.
        home.rpm(&["stop", "b"]).ok();
        assert_eq!(sleepers(&home), [first], "{fault:?}");
        // Each process counts its own calls: what a program needs before it executes fails for a new one as well.
        let for_all = ["run/0.out", "run/0.err"];
        if !for_all.iter().any(|path| fault.1.ends_with(path)) {
            home.rpm(&["restart", "all"]).ok();
            let mut after = sleepers(&home);
            after.retain(|pid| !before.contains(pid));
            assert_eq!(after.len(), 2, "{fault:?}");
        }
        home.rpm(&["kill"]).ok();
        assert!(sleepers(&home).is_empty(), "{fault:?}");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_told_of_and_nothing_is_started_in_its_place() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    for name in ["a", "b"] {
        home.start_sleep(name);
    }
    let before = sleepers(&home);
    home.kill_daemons();
    let fault = ("openat", "HOME/run/0.out", "EIO", ALWAYS);
    let mut traced = supervisor_with(&home, &fault, 0);
    wait_until("a supervisor", || answers(&home));
    let listed = home.rpm(&["list"]).ok();
    for part in ["run/0.out", "Input/output error", "tries again"] {
        assert!(listed.stderr.contains(part), "{}", listed.shown());
    }
    home.rpm(&["stop", "a"])
        .fails(&["no program", "could not be read"]);
    home.rpm(&["start", "sleep", "--name", "a", "--", "1000"])
        .fails(&["could not be read", "-f"]);
    home.wait_for_journal("program 0 cannot be adopted yet");
    // Said once, however often it is tried.
    home.rpm(&["list"]).ok();
    assert_eq!(home.journal().matches("cannot be adopted").count(), 1);
    assert_eq!(sleepers(&home), before);
    // The end is not reported as complete.
    home.rpm(&["kill"])
        .fails(&["could not be read", "look for processes that still run"]);
    traced.wait();
    home.rpm(&["list"]).ok();
    assert_eq!(home.program("a").pid, before[0]);
}

#[test]
fn the_exit_status_of_an_adopted_program_is_known_and_decides() {
    let home = Home::new();
    let text = "#!/bin/sh\necho ready\nwhile ! [ -e $1 ]; do sleep 0.01; done\nexit $2\n";
    let file = home.script("waits", text);
    for (name, code) in [("done", "0"), ("failed", "3")] {
        let flags = ["start", &file, "--name", name, "--stop-exit-codes", "0"];
        home.rpm(
            &[
                &flags[..],
                &["--", &format!("{}/{name}", home.base.display()), code],
            ]
            .concat(),
        )
        .ok();
        home.wait_for_log(&format!("{name}-out.log"), "ready\n");
    }
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
    home.rpm(&["list"]).ok();
    let mut events = home.events();
    std::fs::write(home.base.join("failed"), "").unwrap();
    let again = events.wait_for("failed is started again", |p| {
        p.name == "failed" && p.restarts > 0
    });
    assert_eq!(again.exit, Some(Exit::Code(3)));
    std::fs::write(home.base.join("done"), "").unwrap();
    let done = events.wait_for("done is at rest", |p| p.name == "done" && p.pid == 0);
    assert_eq!(
        (done.state, done.exit),
        (State::Stopped, Some(Exit::Code(0)))
    );
}

#[test]
fn without_pidfds_deaths_are_noticed() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    let first = home.start_sleep("a");
    home.kill_daemons();
    let fault = ("pidfd_open", "", "ENOSYS", ALWAYS);
    let mut traced = supervisor_with(&home, &fault, 0);
    wait_until("a supervisor", || answers(&home));
    let mut events = home.events();
    proc::kill(first.pid, Signal::KILL);
    events.wait_for("online again", |p| {
        p.state == State::Online && p.pid != first.pid
    });
    home.rpm(&["kill"]).ok();
    traced.wait();
}

#[test]
fn a_wait_that_fails_all_the_time_costs_little_and_is_said_once() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    let first = home.start_sleep("a");
    home.kill_daemons();
    let fault = ("ppoll", "", "EINVAL", ALWAYS);
    let mut traced = supervisor_with(&home, &fault, 0);
    wait_until("a supervisor", || answers(&home));
    assert_eq!(home.program("a").pid, first.pid);
    let mut events = home.events();
    proc::kill(first.pid, Signal::KILL);
    events.wait_for("online again", |p| {
        p.state == State::Online && p.pid != first.pid
    });
    home.wait_for_journal("polling for events");
    assert!(home.journal().matches("polling for events").count() <= 1);
    let trace = std::fs::read_to_string(home.base.join("trace")).unwrap();
    let turns = trace.matches("ppoll(").count();
    assert!(turns < 1000, "{turns} turns");
    home.rpm(&["kill"]).ok();
    traced.wait();
}

#[test]
fn a_death_whose_signal_is_lost_is_noticed_with_the_next_request() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    let trace = home.base.join("trace");
    let daemon = home.daemon();
    // No handler is installed: SIGCHLD has its default action, which is none.
    let words = ["strace", "-f", "-o", trace.to_str().unwrap(), "-e"];
    let inject = ["inject=rt_sigaction:retval=0", &daemon, "--foreground"];
    let mut traced = Running::start(home.command(&[&words[..], &inject].concat()));
    wait_until("a supervisor", || answers(&home));
    let first = home.start_sleep("a");
    proc::kill(first.pid, Signal::KILL);
    home.wait_for("a", "online again", |p| {
        p.state == State::Online && p.pid != first.pid
    });
    home.rpm(&["kill"]).ok();
    traced.wait();
}

#[test]
fn a_supervisor_in_another_time_namespace_finds_the_processes_of_before() {
    let words = ["unshare", "--time", "--boottime", "864000", "true"];
    let home = Home::new();
    if !has("unshare") || home.run(home.command(&words)).code != 0 {
        return skip("no time namespace can be made here");
    }
    let before = home.start_sleep("a");
    for namespace in ["864000", "1000000"] {
        home.kill_daemons();
        let daemon = home.daemon();
        home.run(home.command(&["unshare", "--time", "--boottime", namespace, &daemon]))
            .ok();
        let after = home.program("a");
        assert_eq!((after.pid, after.restarts), (before.pid, 0));
        // Its age is what it was, however the clocks differ.
        assert!(after.since.abs_diff(before.since) < 2000, "{after:?}");
    }
    // One that was started there is found by one elsewhere.
    let inside = home.start_sleep("b");
    home.kill_daemons();
    home.rpm(&["list"]).ok();
    assert_eq!(home.program("b").pid, inside.pid);
    assert_eq!(home.program("a").pid, before.pid);
}
