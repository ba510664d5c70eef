//! The daemon executes another release of itself: nobody notices but by the version.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rpm::model::life::{Exit, State};
use rpm::sys::signal::Signal;

use crate::harness::run::Running;
use crate::harness::{Home, proc};

#[test]
fn everything_goes_on_in_the_same_process() {
    let home = Home::new();
    home.rpm(&["start", "sleep", "-i", "5", "--", "1000"]).ok();
    let supervisor = home.supervisor();
    let before = home.list();
    let writer = home.log_writer().unwrap();
    for _ in 0..5 {
        let said = home.rpm(&["update"]).ok().stdout;
        assert!(said.contains("rpmd 0."), "{said}");
        assert_eq!(home.list(), before);
    }
    assert_eq!(home.supervisor(), supervisor);
    assert_ne!(home.log_writer(), Some(writer), "it runs the new code too");
    // They are still children: their exit status is heard.
    let mut events = home.events();
    proc::kill(before[0].pid, Signal::KILL);
    let again = events.wait_for("online again", |p| p.id == 0 && p.state == State::Online);
    assert_eq!((again.restarts, again.exit), (1, Some(Exit::Signal(9))));
}

#[test]
fn whoever_waits_for_an_answer_gets_it_from_the_new_release() {
    let home = Home::new();
    let deaf = "trap '' INT TERM\necho ready\nwhile ! [ -e go ]; do sleep 0.01; done\n";
    home.start("deaf", deaf, &["--kill-timeout", "1h"]);
    home.wait_for_log("deaf-out.log", "ready\n");
    let mut events = home.events();
    let [mut stop, mut half, mut quiet] = [(); 3].map(|()| home.wire());
    // Another request behind it, and the first half of one more.
    stop.send("stop target=deaf\nping\nli");
    half.send("lis");
    events.wait_for("stopping", |p| p.state == State::Stopping);
    home.rpm(&["update"]).ok();
    home.rpm(&["update"]).ok();
    half.send("t\n");
    assert_eq!(half.answer().ok().rows.len(), 1);
    quiet.ask("ping").ok();
    fs::write(home.base.join("go"), "").unwrap();
    let answer = stop.answer().ok();
    assert_eq!(answer.processes()[0].state, State::Stopped);
    stop.answer().ok();
    stop.send("st\n");
    assert_eq!(stop.answer().ok().rows.len(), 1);
    events.wait_for("stopped", |p| p.state == State::Stopped);
}

#[test]
fn a_release_that_does_not_prove_itself_is_not_executed() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    let supervisor = home.supervisor();
    let mut wire = home.wire();
    for (text, part) in [
        ("#!/bin/sh\necho no\n", "it says: no"),
        ("#!/bin/sh\nexit 1\n", "does not prove itself"),
        (
            "#!/bin/sh\necho ok release=9 state=0 handover=2\n",
            "does not know the records",
        ),
        ("#!/proc/none\n", "No such file"),
        ("no program", "Exec format error"),
        ("#!/bin/sh\nexec yes\n", "talks without end"),
    ] {
        let path = home.script("rpmd-new", text);
        let answer = wire.ask(&format!("update program={path}"));
        answer.refused("exec-failed", part);
        answer.refused("exec-failed", "goes on");
    }
    wire.ask("update program=/proc/none/rpmd")
        .refused("exec-failed", "No such file");
    fs::set_permissions(
        home.base.join("rpmd-new"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let path = home.base.join("rpmd-new");
    wire.ask(&format!("update program={}", path.display()))
        .refused("exec-failed", "Permission denied");
    assert_eq!(
        (home.supervisor(), home.program("x").pid),
        (supervisor, pid)
    );
}

#[test]
fn one_that_proves_itself_and_then_fails_is_followed_by_one_from_the_records() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    let liar = home.script(
        "rpmd-new",
        "#!/bin/sh\n[ \"$1\" = --self-check ] && echo ok release=9 state=2 handover=2\n",
    );
    let supervisor = home.supervisor();
    home.wire().send(format!("update program={liar}\n"));
    // The log writer executes what it was told to by the last one that was a supervisor.
    crate::harness::wait::wait_for_end(supervisor);
    home.rpm(&["ping"]).ok();
    assert_eq!(home.program("x").pid, pid);
}

#[test]
fn one_update_at_a_time() {
    let home = Home::new();
    let slow = home.script("rpmd-slow", "#!/bin/sh\nexec sleep 1000\n");
    home.rpm(&["ping"]).ok();
    let [mut one, mut other] = [(); 2].map(|()| home.wire());
    one.send(format!("update program={slow}\n"));
    crate::harness::wait_until("the first is asked", || {
        !proc::named(&home.root, "sleep").is_empty()
    });
    other
        .ask(&format!("update program={slow}"))
        .refused("busy", "another update");
    other.ask("ping").ok();
    for prover in proc::named(&home.root, "sleep") {
        proc::kill(prover, Signal::KILL);
    }
    one.answer().refused("exec-failed", "does not prove itself");
}

#[test]
fn in_the_foreground_it_stays_there() {
    let home = Home::new();
    let mut daemon = Running::start(home.command(&[&home.daemon(), "--foreground"]));
    daemon.wait_for_line("serves");
    home.start_sleep("x");
    home.rpm(&["update"]).ok();
    daemon.wait_for_line("goes on");
    home.rpm(&["stop", "x"]).ok();
    proc::kill(daemon.pid(), Signal::TERM);
    daemon.wait_for_line("ended");
    assert_eq!(daemon.wait(), 0);
}

#[test]
fn without_a_daemon_there_is_nothing_to_update() {
    let home = Home::new();
    home.rpm(&["update"]).fails(&["no daemon runs"]);
    assert!(!home.root.exists());
}

#[test]
fn hundreds_of_updates_under_commands_and_a_storm_cost_nothing() {
    let home = Home::new();
    home.start_sleep("steady");
    home.start(
        "storm",
        "exit 1\n",
        &["--max-restarts", "1000000", "--restart-delay", "2"],
    );
    home.rpm(&["start", "sleep", "--name", "cycled", "--", "1000"])
        .ok();
    let steady = home.program("steady");
    let commands = home.base.join("commands.sh");
    fs::write(
        &commands,
        "while ! [ -e done ]; do $RPM restart cycled && $RPM list && $RPM stop cycled || exit 9; done\n",
    )
    .unwrap();
    let mut command = home.command(&["sh", "commands.sh"]);
    command.env("RPM", home.client());
    let mut stream = Running::start(command);
    let mut wire = home.wire();
    for _ in 0..200 {
        wire.ask("update").ok();
    }
    fs::write(home.base.join("done"), "").unwrap();
    assert_eq!(stream.wait(), 0, "a command has failed");
    let after = home.program("steady");
    assert_eq!((after.pid, after.restarts), (steady.pid, 0));
    assert!(home.program("storm").restarts > 10);
}
