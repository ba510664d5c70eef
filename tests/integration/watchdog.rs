//! The log writer as the watchdog: a supervisor that dies again and again is started again, for ever.

use std::fs;
use std::path::Path;

use rpm::sys::signal::Signal;

use crate::harness::run::write_executable;
use crate::harness::wait::wait_for_end;
use crate::harness::wire::Wire;
use crate::harness::{Home, proc, wait_until};

fn serves(home: &Home) -> bool {
    Wire::try_connect(&home.root)
        .is_ok_and(|mut wire| wire.try_send("ping\n").is_ok() && wire.line().is_some())
}

fn kill_supervisor(home: &Home) {
    let old = home.supervisor();
    proc::kill(old, Signal::KILL);
    wait_for_end(old);
}

#[test]
fn a_supervisor_that_keeps_dying_is_started_for_ever_and_the_next_command_says_so() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    for death in 1..=8 {
        kill_supervisor(&home);
        wait_until("another supervisor", || serves(&home));
        assert_eq!(home.program("x").pid, pid);
        let said = home.rpm(&["pid", "x"]).ok().stderr;
        if death < 3 {
            assert_eq!(said, "");
        } else {
            let sentence = format!("rpmd died {death} times in the last ");
            assert!(said.contains(&sentence), "{said}");
            home.wait_for_journal(&sentence);
        }
    }
    assert_eq!(home.rpm(&["--silent", "pid", "x"]).ok().stderr, "");
    // One that lives long enough is sound again.
    let deaths = home.root.join("rpmd.deaths");
    wait_until("it is forgotten", || !deaths.exists());
    assert_eq!(home.rpm(&["pid", "x"]).ok().stderr, "");
}

/// Puts another file in the place of a program, in one step.
fn replace(program: &Path, by: &Path) {
    fs::rename(by, program).unwrap();
}

#[test]
fn a_daemon_that_cannot_start_comes_back_by_itself_once_it_is_repaired() {
    let home = Home::with_own_programs();
    let text = "echo one\nuntil [ -e go ]; do sleep 0.01; done\necho two\nexec sleep 1000\n";
    let pid = home.start("x", text, &[]).pid;
    home.wait_for_log("x-out.log", "one\n");
    let rpmd = home.base.join("bin/rpmd");
    let good = home.base.join("bin/good");
    write_executable(|| fs::copy(&rpmd, &good));
    let broken = home.script("broken", "#!/bin/sh\nexit 1\n");
    replace(&rpmd, Path::new(&broken));
    kill_supervisor(&home);
    home.wait_for_journal("rpmd died 6 times in the last ");
    home.wait_for_journal("; next try in 800 ms; programs run on");
    // The next command cannot have a daemon either, and says what is known.
    wait_until("a command between two tries", || {
        let said = home
            .rpm(&["list"])
            .fails(&["rpmd died ", "programs keep running; see"]);
        said.stderr.contains("; next try in ")
    });
    // Nothing happens to the program, or to what it prints.
    fs::write(home.base.join("go"), "").unwrap();
    home.wait_for_log("x-out.log", "one\ntwo\n");
    replace(&rpmd, &good);
    wait_until("a daemon, without any command", || serves(&home));
    assert_eq!(home.program("x").pid, pid);
}

#[test]
fn a_program_that_is_not_there_is_no_reason_to_give_up() {
    let home = Home::with_own_programs();
    let pid = home.start_sleep("x").pid;
    // What the log writer came from can still be executed: the daemon is back at once.
    let [rpmd, away] = ["bin/rpmd", "bin/away"].map(|name| home.base.join(name));
    fs::rename(&rpmd, &away).unwrap();
    kill_supervisor(&home);
    wait_until("another supervisor", || serves(&home));
    fs::rename(&away, &rpmd).unwrap();
    assert_eq!(home.program("x").pid, pid);
}
