//! `rpm monit`, in a terminal that can be looked at.

use std::path::Path;

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::tmux::Tmux;
use crate::harness::wait::wait_for_end;
use crate::harness::{Home, has, proc, skip, wait_until};

/// A home and a terminal; none without tmux.
fn with_terminal(test: impl FnOnce(&Home, &Tmux)) {
    if !has("tmux") {
        return skip("tmux is not installed");
    }
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    let tmux = Tmux::start(&home, 80, 24, &[]);
    test(&home, &tmux);
}

/// Starts monit on what is there and waits until it shows it.
#[track_caller]
fn start_monit(tmux: &Tmux) {
    tmux.type_line("clear; stty -g > stty.before; echo before; $RPM monit; echo \"left $?\"");
    tmux.wait_for_text("q quit");
}

/// The terminal must be as it was: screen, cursor, settings. `left` is the exit status of monit.
#[track_caller]
fn is_restored(home: &Home, tmux: &Tmux, left: &str) {
    let screen = tmux.wait_for_text(&format!("left {left}"));
    assert!(
        screen.contains("before") && !screen.contains("q quit"),
        "{screen}"
    );
    assert_eq!(
        tmux.format("#{cursor_flag}#{wrap_flag}#{alternate_on}"),
        "110"
    );
    assert_same_settings(home, tmux);
}

#[track_caller]
fn assert_same_settings(home: &Home, tmux: &Tmux) {
    let after = home.base.join("stty.after");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    tmux.type_line("stty -g > stty.after");
    wait_until("stty has written", || read(&after).ends_with('\n'));
    assert_eq!(read(&after), read(&home.base.join("stty.before")));
    std::fs::remove_file(after).unwrap();
}

#[test]
fn it_shows_programs_and_follows_the_logs_of_the_selected_one() {
    with_terminal(|home, tmux| {
        home.start("talker", "echo first words\nsleep 1000\n", &[]);
        home.start_sleep("sleeper");
        home.start("complainer", "echo bad luck >&2\nsleep 1000\n", &[]);
        start_monit(tmux);
        let screen = tmux.wait_for_text("first words");
        let lines: Vec<&str> = screen.lines().collect();
        assert!(
            lines[0].contains("3 online") && lines[0].contains("load "),
            "{screen}"
        );
        assert!(lines[2].starts_with(">  0 talker"), "{screen}");
        assert!(
            lines[3].starts_with("   1 sleeper") && lines[3].contains("online"),
            "{screen}"
        );
        assert!(lines[5].starts_with("── talker (id 0): log"), "{screen}");
        // A line that comes while it is looked at.
        home.shell("echo later >> $RPM_HOME/logs/talker-out.log")
            .ok();
        tmux.wait_for_text("\n  later\n");
        tmux.press(&["Down", "Down"]);
        let screen = tmux.wait_for_text("bad luck");
        assert!(
            screen.contains("\n! bad luck") && !screen.contains("first words"),
            "{screen}"
        );
        tmux.press(&["q"]);
        is_restored(home, tmux, "0");
    });
}

#[test]
fn processor_time_and_memory_are_those_of_the_program() {
    with_terminal(|home, tmux| {
        home.start("busy", "while :; do :; done\n", &[]);
        start_monit(tmux);
        // Whatever share of this machine it gets, it is more than nothing, and so is its bar.
        let screen = tmux.wait_for("a busy program", |screen| {
            let row = screen.lines().nth(2).unwrap_or_default();
            row.contains("% ")
                && !row.contains(" 0.0%")
                && !row.contains("% ·")
                && row.contains("mb ▏")
        });
        // How high it is depends on the share that it got; that it is there does not.
        let row = screen.lines().nth(2).unwrap();
        let last = row.trim_end().chars().last();
        assert!(
            last.is_some_and(|c| ('▁'..='█').contains(&c)),
            "the curve of {row}"
        );
        home.rpm(&["stop", "busy"]).ok();
        tmux.wait_for_text("stopped    0    -      -               -");
    });
}

#[test]
fn keys_restart_and_stop_after_a_yes() {
    with_terminal(|home, tmux| {
        let before = home.start_sleep("one");
        home.start_sleep("two");
        start_monit(tmux);
        tmux.press(&["r"]);
        tmux.wait_for_text("restart one (id 0)? y/n");
        tmux.press(&["n"]);
        tmux.wait_for_text("q quit");
        tmux.press(&["r"]);
        tmux.wait_for_text("restart one (id 0)? y/n");
        tmux.press(&["y"]);
        tmux.wait_for_text("restarted one (id 0)");
        let after = home.program("one");
        assert_eq!((after.state, after.restarts), (State::Online, 1));
        assert_ne!(after.pid, before.pid);
        tmux.press(&["Down", "s"]);
        tmux.wait_for_text("stop two (id 1)? y/n");
        tmux.press(&["y"]);
        tmux.wait_for_text("stopped two (id 1)");
        assert_eq!(home.program("two").state, State::Stopped);
        tmux.wait_for_text("1 online  1 down");
        tmux.press(&["r"]);
        tmux.wait_for_text("start two (id 1)? y/n");
        tmux.press(&["Enter"]);
        tmux.wait_for_text("started two (id 1)");
        assert_eq!(home.program("one").restarts, 1, "the other was left alone");
        tmux.press(&["p"]);
        tmux.wait_for_text("pause two (id 1)? y/n");
        tmux.press(&["y"]);
        tmux.wait_for_text("1 online  1 paused");
        assert_eq!(home.program("two").state, State::Paused);
        tmux.press(&["p"]);
        tmux.wait_for_text("resume two (id 1)? y/n");
        tmux.press(&["y"]);
        tmux.wait_for_text("2 online");
    });
}

#[test]
fn details_help_and_search_open_and_close() {
    with_terminal(|home, tmux| {
        home.start_sleep("api");
        home.start_sleep("worker");
        start_monit(tmux);
        tmux.press(&["Enter"]);
        let screen = tmux.wait_for_text("error log");
        assert!(screen.contains("name               api"), "{screen}");
        tmux.press(&["Escape"]);
        tmux.wait_for_text("q quit");
        tmux.press(&["?"]);
        tmux.wait_for_text("select another program");
        tmux.press(&["q"]);
        tmux.wait_for_text("q quit");
        tmux.press(&["/", "w", "o", "Enter"]);
        let screen = tmux.wait_for_text("only wo");
        assert!(
            screen.contains(">  1 worker") && !screen.contains(" api "),
            "{screen}"
        );
        tmux.press(&["/", "x"]);
        tmux.wait_for_text("nothing matches wox");
        tmux.press(&["Escape"]);
        tmux.wait_for_text("\n   0 api");
    });
}

#[test]
fn it_follows_the_size_of_the_terminal() {
    with_terminal(|home, tmux| {
        home.start_sleep("api");
        start_monit(tmux);
        tmux.resize(40, 10);
        tmux.wait_for("a smaller screen", |screen| {
            screen.lines().count() == 10
                && screen.contains("q quit")
                && screen.contains("  id name")
        });
        tmux.resize(30, 8);
        tmux.wait_for_text("terminal too small");
        tmux.resize(120, 30);
        tmux.wait_for("a larger screen", |screen| {
            screen.contains("last 5 min")
                && screen.lines().nth(29).is_some_and(|l| l.contains("q quit"))
        });
        tmux.press(&["C-c"]);
        is_restored(home, tmux, "0");
    });
}

#[test]
fn a_signal_restores_the_terminal_and_is_told_to_the_shell() {
    for (signal, status) in [
        (Signal::TERM, "143"),
        (Signal::INT, "130"),
        (Signal::HUP, "129"),
    ] {
        with_terminal(|home, tmux| {
            home.start_sleep("api");
            tmux.type_line("trap : INT");
            start_monit(tmux);
            proc::kill(tmux.child("rpm"), signal);
            is_restored(home, tmux, status);
        });
    }
}

#[test]
fn it_can_be_suspended_and_resumed() {
    with_terminal(|home, tmux| {
        home.start_sleep("api");
        tmux.type_line("clear; stty -g > stty.before; echo before; $RPM monit");
        tmux.wait_for_text("q quit");
        let monit = tmux.child("rpm");
        tmux.press(&["C-z"]);
        let screen = tmux.wait_for_text("Stopped");
        assert!(
            screen.contains("before") && !screen.contains("q quit"),
            "{screen}"
        );
        assert_same_settings(home, tmux);
        // In the background it stops rather than draw over the shell.
        tmux.type_line("bg; while [[ $(jobs) != *Stopped* ]]; do :; done; echo stopped again");
        tmux.wait_for_text("\nstopped again");
        assert!(!tmux.screen().contains("q quit"));
        tmux.type_line("fg");
        tmux.wait_for_text("q quit");
        // A stop that it cannot see, after which the shell has used the terminal.
        proc::kill(monit, Signal::new(19).unwrap());
        tmux.wait_for_text("Stopped");
        tmux.type_line("fg; echo \"left $?\"");
        tmux.wait_for("the whole screen again", |screen| {
            screen.contains("q quit") && !screen.contains("Stopped")
        });
        tmux.press(&["q"]);
        is_restored(home, tmux, "0");
        // Suspended, and ended meanwhile.
        tmux.type_line("clear; $RPM monit");
        tmux.wait_for_text("q quit");
        tmux.press(&["C-z"]);
        tmux.wait_for_text("Stopped");
        let monit = tmux.child("rpm");
        tmux.type_line("kill %1");
        wait_for_end(monit);
        assert_same_settings(home, tmux);
    });
}

#[test]
fn a_thousand_programs_can_be_walked_through() {
    with_terminal(|home, tmux| {
        // Not all at once: a slow disk takes its time for each.
        for _ in 0..10 {
            let request = "start script=/bin/true name=many want=down instances=100 force=true";
            home.wire().ask(request).ok();
        }
        start_monit(tmux);
        tmux.wait_for_text("1000 down");
        tmux.press(&["-N", "300", "Down"]);
        let screen = tmux.wait_for_text(" 301/1000 ");
        assert!(screen.contains("\n> 300 many"), "{screen}");
        tmux.press(&["End"]);
        let screen = tmux.wait_for_text(" 1000/1000 ");
        assert!(
            screen.contains("\n  998 many") && screen.contains("\n> 999 many"),
            "{screen}"
        );
        tmux.press(&["PPage", "Home"]);
        tmux.wait_for_text(" 1/1000 ");
        tmux.press(&["/", "5", "0", "0", "Enter"]);
        tmux.wait_for_text("> 500 many");
        home.rpm(&["delete", "all"]).ok();
        tmux.wait_for_text("nothing matches 500");
        tmux.press(&["q"]);
        is_restored(home, tmux, "0");
    });
}

#[test]
fn a_daemon_that_ends_is_waited_for() {
    with_terminal(|home, tmux| {
        let program = home.start_sleep("api");
        start_monit(tmux);
        tmux.wait_for_text(">  0 api");
        home.kill_daemons();
        let screen = tmux.wait_for_text("waiting for");
        assert!(screen.contains(">  0 api"), "{screen}");
        home.rpm(&["ping"]).ok();
        tmux.wait_for_text("q quit");
        assert_eq!(home.program("api").pid, program.pid);
        // One that is there and does not answer: keys work all the same.
        let daemon = home.supervisor();
        proc::kill(daemon, Signal::new(19).unwrap());
        tmux.wait_for_text("the daemon has not answered");
        tmux.press(&["?"]);
        tmux.wait_for_text("select another program");
        proc::kill(daemon, Signal::CONT);
        tmux.press(&["q"]);
        tmux.wait_for_text("q quit");
    });
}

#[test]
fn names_and_logs_cannot_disturb_the_screen() {
    with_terminal(|home, tmux| {
        home.wire()
            .ask("start script=/bin/sh args=-c args=printf%20'\\033[31mred\\033[0m\\007\\033[2Jend\\n';sleep%201000 name=a%1B[2J%0Ab cwd=/tmp")
            .ok();
        start_monit(tmux);
        let screen = tmux.wait_for_text("red?end");
        assert!(
            screen.contains(">  0 a?[2J?b") && screen.contains("  id name"),
            "{screen}"
        );
        assert_eq!(screen.matches("q quit").count(), 1);
    });
}

#[test]
fn colour_and_utf8_are_used_where_they_are_wanted() {
    if !has("tmux") {
        return skip("tmux is not installed");
    }
    let home = Home::new();
    home.start_sleep("api");
    let colours = ["\x1b[31m", "\x1b[32m", "\x1b[90m", "\x1b[36m"];
    {
        let tmux = Tmux::start(&home, 80, 24, &[]);
        start_monit(&tmux);
        let screen = tmux.coloured_screen();
        assert!(
            colours.iter().any(|colour| screen.contains(colour)),
            "{screen:?}"
        );
        assert!(!screen.is_ascii());
    }
    let tmux = Tmux::start(&home, 80, 24, &[("NO_COLOR", "1"), ("LANG", "C")]);
    start_monit(&tmux);
    tmux.wait_for_text("0.0% ......");
    let screen = tmux.coloured_screen();
    assert!(
        !colours.iter().any(|colour| screen.contains(colour)),
        "{screen:?}"
    );
    assert!(
        screen.contains("\x1b[7m") && screen.is_ascii(),
        "{screen:?}"
    );
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let home = Home::new();
    home.rpm(&["monit"])
        .fails(&["rpm: monit needs a terminal", "rpm list"]);
    assert!(!home.root.exists(), "no daemon was launched for it");
    if !has("tmux") {
        return skip("tmux is not installed");
    }
    let tmux = Tmux::start(&home, 80, 24, &[]);
    tmux.type_line("TERM=dumb $RPM monit; echo \"left $?\"");
    let screen = tmux.wait_for_text("left 1");
    assert!(screen.contains("TERM names none"), "{screen}");
    tmux.type_line("clear; $RPM monit nothing-like-it; echo \"ended $?\"");
    let screen = tmux.wait_for_text("\nended 1");
    assert!(
        screen.contains("no program, id or namespace is called nothing-like-it"),
        "{screen}"
    );
}
