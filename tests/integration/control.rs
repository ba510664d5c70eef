//! `stop`, `restart` and `delete`.

use std::fs;

use rpm::model::life::State;

use crate::harness::{Home, proc, wait_until};

fn states(home: &Home) -> Vec<(String, State)> {
    home.list().into_iter().map(|p| (p.name, p.state)).collect()
}

/// A home with the programs `a` (id 0), `b` (1) and `c` (2).
fn three() -> Home {
    let home = Home::new();
    for name in ["a", "b", "c"] {
        home.start_sleep(name);
    }
    home
}

#[test]
fn programs_are_stopped_by_id_by_name_and_all() {
    let home = three();
    let pids: Vec<i32> = home.list().iter().map(|p| p.pid).collect();
    let output = home.rpm(&["stop", "1"]).ok();
    assert_eq!(output.stdout, "rpm: stopped b (id 1)\n");
    assert!(!proc::lives(pids[1]) && proc::lives(pids[0]) && proc::lives(pids[2]));
    home.rpm(&["stop", "a"]).ok();
    assert!(!proc::lives(pids[0]) && proc::lives(pids[2]));
    home.rpm(&["stop", "all"]).ok();
    assert!(!proc::lives(pids[2]));
    assert!(
        states(&home)
            .iter()
            .all(|(_, state)| *state == State::Stopped)
    );
    // Once more is no mistake.
    home.rpm(&["stop", "all"]).ok();
}

#[test]
fn programs_are_restarted_by_id_by_name_and_all() {
    let home = three();
    let first = home.list();
    home.rpm(&["restart", "0", "b"]).ok();
    let second = home.list();
    assert_eq!(second[2], first[2]);
    for at in 0..2 {
        assert_ne!(second[at].pid, first[at].pid);
        assert!(!proc::lives(first[at].pid));
        assert_eq!((second[at].state, second[at].restarts), (State::Online, 1));
    }
    home.rpm(&["stop", "c"]).ok();
    home.rpm(&["restart", "all"]).ok();
    let third = home.list();
    for at in 0..3 {
        assert_eq!(third[at].state, State::Online);
        assert_ne!(third[at].pid, second[at].pid);
    }
}

#[test]
fn programs_are_deleted_by_id_by_name_and_all() {
    let home = three();
    let pids: Vec<i32> = home.list().iter().map(|p| p.pid).collect();
    fs::write(home.log_path("a-out.log"), "x").unwrap();
    home.rpm(&["delete", "c", "1"]).ok();
    assert_eq!(states(&home), [("a".to_owned(), State::Online)]);
    assert!(!proc::lives(pids[1]) && !proc::lives(pids[2]));
    home.rpm(&["delete", "all"]).ok();
    assert!(home.list().is_empty());
    assert!(home.with_pipes().is_empty() && home.entries("pids").is_empty());
    assert_eq!(home.entries("logs"), ["a-out.log"], "log files stay");
    // Numbers are not used twice.
    assert_eq!(home.start_sleep("d").id, 3);
}

#[test]
fn an_unknown_word_refuses_the_whole_request() {
    let home = three();
    let before = home.list();
    for verb in ["stop", "restart", "delete", "describe", "pid"] {
        home.rpm(&[verb, "a", "nobody", "b"]).fails(&["nobody"]);
        home.rpm(&[verb, "17"]).fails(&["17"]);
    }
    assert_eq!(home.list(), before);
}

#[test]
fn all_of_no_programs_is_an_error() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    for verb in ["stop", "restart", "delete"] {
        home.rpm(&[verb, "all"]).fails(&["there are no programs"]);
    }
    home.rpm(&["list"]).ok();
}

#[test]
fn a_wrong_command_line_is_refused_with_status_2() {
    let home = Home::new();
    for words in [
        &["strat"][..],
        &["stop"],
        &["start", "x", "--nmae", "y"],
        &["ping", "x"],
    ] {
        let output = home.rpm(words);
        assert_eq!(output.code, 2, "{}", output.shown());
        assert!(output.stderr.starts_with("rpm: "), "{}", output.shown());
    }
    assert!(
        !home.root.exists(),
        "a wrong command line launches no daemon"
    );
}

#[test]
fn list_says_by_its_status_whether_programs_are_online() {
    let home = three();
    home.rpm(&["list", "a", "b"]).ok();
    home.rpm(&["stop", "b"]).ok();
    assert_eq!(home.rpm(&["list", "a"]).code, 0);
    assert_eq!(home.rpm(&["list", "a", "b"]).code, 3);
    assert_eq!(home.rpm(&["list"]).code, 0);
    home.rpm(&["list", "nobody"]).fails(&["nobody"]);
}

#[test]
fn pid_and_id_print_numbers_for_scripts() {
    let home = three();
    let pid = home.program("b").pid;
    assert_eq!(home.rpm(&["pid", "b"]).ok().stdout, format!("{pid}\n"));
    assert_eq!(home.rpm(&["id", "b"]).ok().stdout, "1\n");
    home.rpm(&["stop", "b"]).ok();
    home.rpm(&["pid", "b"]).fails(&["b is not running"]);
    home.rpm(&["id", "nobody"]).fails(&["nobody"]);
    let file = home.root.join("pids/a-0.pid");
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(text.trim(), home.program("a").pid.to_string());
}

#[test]
fn several_clients_at_once_are_all_served() {
    let home = three();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            for _ in 0..2 {
                let home = &home;
                scope.spawn(move || {
                    for _ in 0..3 {
                        home.rpm(&["restart", name]).ok();
                        home.rpm(&["list"]).ok();
                    }
                });
            }
        }
    });
    let list = home.list();
    assert!(
        list.iter()
            .all(|p| p.state == State::Online && proc::lives(p.pid)),
        "{list:?}"
    );
    let sleeps = proc::of_home(&home.root);
    let sleeps = sleeps.iter().filter(|pid| proc::name(**pid) == "sleep");
    assert_eq!(sleeps.count(), 3);
}

#[test]
fn stop_and_start_of_one_program_by_two_clients_end_in_a_state_that_is_true() {
    let home = Home::new();
    home.start_sleep("a");
    std::thread::scope(|scope| {
        for verb in ["stop", "restart", "stop", "restart"] {
            let home = &home;
            scope.spawn(move || {
                for _ in 0..5 {
                    let output = home.rpm(&[verb, "a"]);
                    // Another one may have it run again before it has stopped, which is said.
                    if !output.stderr.contains("wanted up again") {
                        output.ok();
                    }
                }
            });
        }
    });
    let program = home.program("a");
    let sleeps = proc::of_home(&home.root);
    let sleeps = sleeps
        .iter()
        .filter(|pid| proc::name(**pid) == "sleep")
        .count();
    match program.state {
        State::Online => assert_eq!(sleeps, 1),
        State::Stopped => assert_eq!(sleeps, 0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_paused_program_holds_still_with_all_of_its_tree_until_it_is_resumed() {
    let home = Home::new();
    let text = "sleep 1000 & setsid sleep 1000 & echo ready\nwait\n";
    let pid = home.start("x", text, &[]).pid;
    home.wait_for_log("x-out.log", "ready\n");
    wait_until("the tree", || proc::descendants(pid).len() == 2);
    let all: Vec<i32> = std::iter::once(pid).chain(proc::descendants(pid)).collect();
    let states = |wanted: &str| all.iter().all(|pid| proc::stat(*pid)[0] == wanted);
    home.rpm(&["pause", "x"]).ok();
    assert_eq!(
        (home.program("x").state, home.program("x").pid),
        (State::Paused, pid)
    );
    wait_until("all of it holds still", || states("T"));
    assert_eq!(home.rpm(&["list", "x"]).code, 3);
    home.rpm(&["update"]).ok();
    assert_eq!(home.program("x").state, State::Paused);
    home.rpm(&["resume", "x"]).ok();
    wait_until("all of it goes on", || states("S"));
    assert_eq!(home.program("x").state, State::Online);
    home.rpm(&["pause", "x"]).ok();
    // The next daemon sees by the process that it was paused.
    home.kill_daemons();
    home.rpm(&["ping"]).ok();
    assert_eq!(home.program("x").state, State::Paused);
    home.rpm(&["stop", "x"]).ok();
    assert!(all.iter().all(|pid| !proc::lives(*pid)));
    home.rpm(&["pause", "x"]).fails(&["x is not running"]);
    home.rpm(&["resume", "nobody"]).fails(&["nobody"]);
}

#[test]
fn a_signal_reaches_the_program() {
    let home = Home::new();
    let text =
        "trap 'echo hup' HUP\ntrap 'exit 7' USR2\necho ready\nwhile :; do sleep 0.01; done\n";
    home.start("x", text, &["--stop-exit-codes", "7"]);
    home.wait_for_log("x-out.log", "ready\n");
    let mut told = 0;
    for word in ["HUP", "SIGHUP", "1"] {
        home.rpm(&["sendSignal", word, "x"]).ok();
        told += 1;
        home.wait_for_log("x-out.log", &"hup\n".repeat(told));
    }
    home.rpm(&["sendSignal", "SIGNONE", "x"])
        .fails(&["not a signal"]);
    home.rpm(&["sendSignal", "USR2", "x"]).ok();
    let ended = home.wait_for_state("x", State::Stopped);
    assert_eq!(ended.exit, Some(rpm::model::life::Exit::Code(7)));
    home.rpm(&["sendSignal", "HUP", "x"])
        .fails(&["not running"]);
}

#[test]
fn everything_is_stopped_and_restarted_by_one_word() {
    let home = Home::new();
    home.rpm(&["stopAll"]).fails(&["no programs"]);
    home.start_sleep("a");
    home.start_sleep("b");
    home.rpm(&["stopAll"]).ok();
    assert!(home.list().iter().all(|p| p.state == State::Stopped));
    home.rpm(&["restartAll"]).ok();
    assert!(home.list().iter().all(|p| p.state == State::Online));
}
