//! Processes that `/proc` does not show: they run all the same.

use rpm::sys::signal::Signal;

use crate::harness::run::Running;
use crate::harness::{Home, proc, skip};

#[test]
fn a_program_that_proc_does_not_show_is_not_taken_for_ended() {
    let home = Home::new();
    // A `/proc` that shows this supervisor and what all have, and none of its programs.
    let hide = "mount --bind \"$EMPTY\" /proc/$PID";
    let words = ["unshare", "-m", "true"];
    if !home.command(&words).status().is_ok_and(|s| s.success()) {
        return skip("no mount namespace can be made here");
    }
    let empty = home.base.join("empty");
    std::fs::create_dir(&empty).unwrap();
    let pid = home.start_sleep("a").pid;
    home.kill_daemons();
    let script = format!("{hide} && exec $RPMD --foreground");
    let mut command = home.command(&["unshare", "-m", "sh", "-c", &script]);
    command.env("EMPTY", &empty).env("PID", pid.to_string());
    command.env("RPMD", home.daemon());
    let mut supervisor = Running::start(command);
    home.wait_for_journal("is hidden in /proc; treating it as running");
    assert_eq!(home.program("a").pid, pid);
    assert!(proc::lives(pid));
    proc::kill(supervisor.pid(), Signal::KILL);
    supervisor.wait();
    home.rpm(&["stop", "a"]).ok();
    assert!(!proc::lives(pid));
}
