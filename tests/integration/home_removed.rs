//! The home, or a part of it, is removed while the daemon runs: nothing that runs gets out of reach without a word.

use std::fs;

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::run::Running;
use crate::harness::wait::wait_for_end;
use crate::harness::{Home, proc, wait_until};

/// A program that tells the time of each line, and a sleeper.
fn scene() -> (Home, i32) {
    let home = Home::new();
    let text = "i=0\nwhile :; do i=$((i+1)); echo line $i; sleep 0.05; done\n";
    let pid = home.start("talks", text, &[]).pid;
    home.wait_for_log("talks-out.log", "line 1\n");
    (home, pid)
}

fn serves_again(home: &Home) {
    wait_until("the home is made again", || {
        home.root.join("rpmd.sock").exists() && home.list_path().exists()
    });
}

#[test]
fn a_socket_that_was_removed_is_made_again() {
    let (home, pid) = scene();
    let supervisor = home.supervisor();
    fs::remove_file(home.root.join("rpmd.sock")).unwrap();
    // Whoever comes meanwhile is served by the one that is there.
    home.rpm(&["list"]).ok();
    serves_again(&home);
    assert_eq!(home.program("talks").pid, pid);
    assert_eq!(home.supervisor(), supervisor);
    home.wait_for_journal("recreated ");
}

#[test]
fn a_home_that_was_removed_is_made_again_by_who_serves_it() {
    let (home, pid) = scene();
    let supervisor = home.supervisor();
    fs::remove_dir_all(&home.root).unwrap();
    // At once, so that another supervisor is launched: it finds that there is one.
    let listed = home.rpm(&["list"]).ok();
    assert!(listed.stdout.contains("talks"), "{}", listed.shown());
    serves_again(&home);
    assert_eq!(home.program("talks").pid, pid);
    assert_eq!(home.supervisor(), supervisor);
    home.wait_for_journal("was removed or replaced");
    // Its output goes on into a file that can be found.
    home.wait_for_log("talks-out.log", "line ");
    // The records are whole: the next supervisor finds it.
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
    home.rpm(&["list"]).ok();
    assert_eq!(home.program("talks").pid, pid);
    // Its next run prints to the new pipes, and is heard.
    home.rpm(&["restart", "talks"]).ok();
    fs::remove_file(home.log_path("talks-out.log")).unwrap();
    home.wait_for_log("talks-out.log", "line ");
    home.rpm(&["stop", "talks"]).ok();
    assert!(!proc::lives(pid));
}

#[test]
fn a_home_that_was_moved_is_made_again_and_cannot_be_served_elsewhere() {
    let (home, pid) = scene();
    let supervisor = home.supervisor();
    let elsewhere = home.base.join("elsewhere");
    fs::rename(&home.root, &elsewhere).unwrap();
    serves_again(&home);
    assert_eq!(
        (home.program("talks").pid, home.supervisor()),
        (pid, supervisor)
    );
    let mut other = home.command(&[&home.daemon(), "--foreground"]);
    other.env("RPM_HOME", &elsewhere);
    home.run(other)
        .fails(&["is locked by a supervisor", &format!("pid {supervisor}")]);
    fs::remove_dir_all(&elsewhere).unwrap();
}

#[test]
fn a_home_that_cannot_be_made_again_is_told_of_and_no_second_supervisor_serves_it() {
    let home = Home::new();
    let mut daemon = Running::start(home.command(&[&home.daemon(), "--foreground"]));
    daemon.wait_for_line("serves");
    let pid = home.start_sleep("a").pid;
    let supervisor = home.supervisor();
    assert_eq!(supervisor, daemon.pid());
    fs::remove_dir_all(&home.root).unwrap();
    // A file in its place: not even the log can be written there.
    fs::write(&home.root, "").unwrap();
    daemon.wait_for_line("no client can reach this supervisor");
    assert!(proc::lives(pid) && proc::lives(supervisor));
    fs::remove_file(&home.root).unwrap();
    // Stopped, it cannot make its home again: whoever would be the next one is told which it is.
    proc::stop(supervisor);
    home.rpm(&["list"])
        .fails(&["was removed", &format!("pid {supervisor}"), "kill -9"]);
    proc::go_on(supervisor);
    serves_again(&home);
    assert_eq!(home.program("a").pid, pid);
    assert_eq!(home.program("a").state, State::Online);
    home.rpm(&["kill"]).ok();
    daemon.wait();
}

#[test]
fn programs_that_have_lost_home_and_daemons_are_named_to_who_starts_anew() {
    let home = Home::new();
    let pid = home.start_sleep("a").pid;
    home.kill_daemons();
    fs::remove_dir_all(&home.root).unwrap();
    let listed = home.rpm(&["list"]).ok();
    let named = format!("{pid} (sleep)");
    assert!(listed.stderr.contains(&named), "{}", listed.shown());
    proc::kill(pid, Signal::KILL);
    wait_for_end(pid);
}
