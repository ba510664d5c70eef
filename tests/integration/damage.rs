//! Files of the home are damaged or removed: no program runs twice, none is lost sight of, and what could not be done
//! is said.

use std::fs;

use rpm::model::life::State;
use rpm::sys::fifo;
use rpm::sys::signal::Signal;

use crate::harness::list_file::is_of;
use crate::harness::wait::{ended_within, wait_for_end};
use crate::harness::wire::Wire;
use crate::harness::{Home, LIMIT, is_root, proc, skip, wait_until};

/// The live processes called `sleep` of this home.
fn sleeps(home: &Home) -> Vec<i32> {
    proc::named(&home.root, "sleep")
}

fn next_supervisor(home: &Home) {
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
    home.rpm(&["ping"]).ok();
}

#[test]
fn a_state_file_that_says_nothing_costs_no_second_process() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    for text in ["", "garbage \u{1}\n", "state version=1\n"] {
        fs::write(home.root.join("rpmd.state"), text).unwrap();
        next_supervisor(&home);
        assert_eq!((home.program("x").pid, sleeps(&home)), (pid, vec![pid]));
    }
}

#[test]
fn a_lost_record_of_a_process_costs_no_second_one() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    for damage in [0, 1, 2] {
        home.with_list(|line| match damage {
            _ if !is_of(line, "pid", 0) => line.to_owned(),
            0 => String::new(),
            1 => line.replace("start=", "start=1"),
            _ => "garbage\n".to_owned(),
        });
        assert_eq!((home.program("x").pid, sleeps(&home)), (pid, vec![pid]));
    }
    home.rpm(&["restart", "x"]).ok();
    assert_eq!(sleeps(&home), [home.program("x").pid]);
}

#[test]
fn a_lost_status_is_said_and_nothing_is_removed() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    home.with_list(|line| match is_of(line, "status", 0) {
        true => String::new(),
        false => line.to_owned(),
    });
    let said = home.rpm(&["list"]).ok().stderr;
    assert!(
        said.contains("run/0.damaged") && said.contains(&pid.to_string()),
        "{said}"
    );
    proc::kill(pid, Signal::KILL);
    wait_for_end(pid);
}

#[test]
fn a_fifo_in_the_place_of_a_record_holds_nobody_up() {
    for record in ["rpmd.state", "rpmd.pid", "run/list"] {
        let home = Home::new();
        let pid = home.start_sleep("x").pid;
        home.kill_with_list_writer();
        let record = home.root.join(record);
        fs::remove_file(&record).unwrap();
        fifo::make(&record).unwrap();
        home.log_writer_goes_on();
        home.rpm(&["ping"]).ok();
        assert_eq!(sleeps(&home), [pid]);
        proc::kill(pid, Signal::KILL);
        wait_for_end(pid);
    }
}

#[test]
fn a_lost_pipe_is_made_anew() {
    let home = Home::new();
    home.start_sleep("x");
    home.rpm(&["stop", "x"]).ok();
    fs::remove_file(home.root.join("run/0.out")).unwrap();
    next_supervisor(&home);
    home.rpm(&["start", "x"]).ok();
    assert_eq!(home.rpm(&["list"]).ok().stderr, "");
}

#[test]
fn without_its_pid_file_and_socket_there_is_still_one_daemon() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    let supervisor = home.supervisor();
    for name in ["rpmd.pid", "rpmd.sock"] {
        fs::remove_file(home.root.join(name)).unwrap();
    }
    // The one that holds the lock makes both again.
    home.rpm(&["list"]).ok();
    assert_eq!(sleeps(&home), [pid]);
    assert_eq!(home.supervisor(), supervisor);
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
    home.rpm(&["list"]).ok();
    assert_eq!(home.program("x").pid, pid);
}

#[test]
fn without_its_socket_the_log_writer_is_found_all_the_same_or_leaves() {
    let home = Home::new();
    home.start("x", "i=0\nwhile :; do i=$((i+1)); echo $i; done\n", &[]);
    let socket = home.root.join("log.sock");
    for damage in ["missing", "file"] {
        fs::remove_file(&socket).unwrap();
        if damage == "file" {
            fs::write(&socket, "").unwrap();
        }
        next_supervisor(&home);
        wait_until("one log writer", || {
            proc::named(&home.root, "rpmd-log").len() == 1
        });
    }
    home.rpm(&["stop", "x"]).ok();
    let log = String::from_utf8(home.log("x-out.log")).unwrap();
    for (at, line) in log.lines().enumerate() {
        assert_eq!(line, (at + 1).to_string());
    }
}

#[test]
fn what_is_in_the_way_of_the_log_writer_is_named_and_nobody_waits_for_ever() {
    let home = Home::new();
    home.start_sleep("x");
    home.kill_daemons();
    let socket = home.root.join("log.sock");
    fs::remove_file(&socket).unwrap();
    fs::create_dir(&socket).unwrap();
    let output = home.rpm(&["stop", "x"]).ok();
    assert!(
        output
            .stderr
            .contains("some output may not be in the log files yet"),
        "{output:?}"
    );
    let shown = format!("listening at {}", socket.display());
    home.wait_for_journal(&shown);
    fs::remove_dir(&socket).unwrap();
    wait_until("a log writer", || home.log_writer().is_some());
}

#[test]
fn a_folder_of_records_that_cannot_be_read_is_said() {
    if !is_root() || !crate::harness::has("setpriv") {
        return skip("only root, with setpriv, can become another user");
    }
    let home = Home::of_another_user();
    let pid = home.start_sleep("x").pid;
    home.kill_daemons();
    let run = home.root.join("run");
    let mode = |bits| {
        let bits = std::os::unix::fs::PermissionsExt::from_mode(bits);
        fs::set_permissions(&run, bits).unwrap();
    };
    mode(0);
    home.rpm(&["list"])
        .fails(&["reading", "run", "Permission denied"]);
    mode(0o700);
    home.rpm(&["list"]).ok();
    assert_eq!(home.program("x").pid, pid);
}

#[test]
fn what_could_not_be_recorded_is_no_success() {
    if !is_root() {
        return skip("only root can make a file system");
    }
    let home = Home::new();
    let run = home.root.join("run");
    fs::create_dir_all(&run).unwrap();
    let mount = |words: &[&str]| home.run(home.command(words)).ok();
    let path = run.to_str().unwrap();
    mount(&["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path]);
    home.start_sleep("a");
    home.start_sleep("b");
    home.rpm(&["sync"]).ok();
    let full = run.join("full");
    // A page of a file is filled before another is missing: the list is made longer than that.
    let _ = fs::write(&full, vec![b'x'; 64 << 10]);
    for value in 0..20 {
        let value = format!("env.FULL={value}{}", "x".repeat(1000));
        home.wire().ask(&format!("restart target=a {value}"));
    }
    let full_disk = "No space left on device";
    home.rpm(&["stop", "a"])
        .fails(&["a is stopped, but the next daemon will not know", full_disk]);
    home.rpm(&["delete", "b"])
        .fails(&["b is stopped", full_disk]);
    home.rpm(&["sync"]).fails(&[full_disk]);
    home.rpm(&["start", "sleep", "-n", "c", "--", "1000"])
        .fails(&[full_disk]);
    fs::remove_file(full).unwrap();
    home.rpm(&["sync"]).ok();
    home.rpm(&["delete", "b"]).ok();
    next_supervisor(&home);
    assert_eq!(home.program("a").state, State::Stopped);
    assert_eq!(home.list().len(), 1);
    // The daemons have files open there.
    mount(&["umount", "-l", path]);
}

#[test]
fn a_stop_that_another_client_overtakes_is_no_success() {
    let home = Home::new();
    let deaf = "trap '' INT TERM\necho ready\nwhile ! [ -e go ]; do sleep 0.01; done\n";
    home.start("deaf", deaf, &["--kill-timeout", "1h"]);
    home.wait_for_log("deaf-out.log", "ready\n");
    let mut events = home.events();
    let [mut stop, mut start] = [(); 2].map(|()| home.wire());
    stop.send("stop target=deaf\n");
    events.wait_for("stopping", |p| p.state == State::Stopping);
    start.send("restart target=deaf\n");
    stop.answer().refused("busy", "wanted up again");
    fs::write(home.base.join("go"), "").unwrap();
    start.answer().ok();
}

#[test]
fn an_orderly_end_counts_no_restart() {
    let home = Home::new();
    home.start_sleep("x");
    for _ in 0..2 {
        let both = [home.supervisor(), home.log_writer().unwrap()];
        proc::kill(both[0], Signal::TERM);
        assert!(both.iter().all(|pid| ended_within(*pid, LIMIT)));
        assert!(Wire::try_connect(&home.root).is_err());
        home.rpm(&["ping"]).ok();
        let program = home.wait_for_state("x", State::Online);
        assert_eq!((program.restarts, program.unstable), (0, 0));
    }
}
