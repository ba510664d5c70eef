//! Clients that hang up, say nothing, do not read or ask too much: what they have asked for is done, and others are
//! served meanwhile.

use rpm::model::life::State;

use crate::harness::{Home, proc, wait_until};

fn scene(names: &[&str]) -> Home {
    let home = Home::new();
    for name in names {
        home.start_sleep(name);
    }
    home
}

#[test]
fn all_that_a_client_has_sent_is_carried_out_though_it_hangs_up() {
    let names = ["a", "b", "c", "d"];
    let home = scene(&names);
    let mut wire = home.wire();
    // The answers that nobody reads are in the way of the requests behind them.
    let mut text = "list\n".repeat(500);
    for name in names {
        text += &format!("stop target={name}\ndescribe\n");
    }
    wire.send(text + "delete target=a\n");
    drop(wire);
    for name in &names[1..] {
        home.wait_for_state(name, State::Stopped);
    }
    wait_until("a has gone", || {
        home.list().iter().all(|program| program.name != "a")
    });
}

#[test]
fn half_a_request_of_a_client_that_has_gone_is_none() {
    let home = scene(&["api", "api-old"]);
    let mut wire = home.wire();
    wire.send("stop target=api-old\ndelete target=api");
    drop(wire);
    home.wait_for_state("api-old", State::Stopped);
    assert_eq!(home.program("api").state, State::Online);
    // One that only sends no more still waits for the answer.
    let mut wire = home.wire();
    wire.send("stop target=api");
    wire.end_sending();
    wire.answer().ok();
    assert_eq!(home.program("api").state, State::Stopped);
}

#[test]
fn a_boolean_that_is_none_costs_no_program() {
    let home = scene(&["good"]);
    let mut wire = home.wire();
    for request in ["kill keep=maybe", "kill kep=true", "kill keep=true now=yes"] {
        let answer = wire.ask(request);
        assert_eq!(answer.last.text("code"), Some("bad-request"), "{request}");
    }
    let pid = home.program("good").pid;
    wire.ask("kill keep=yes").ok();
    assert_eq!(wire.line(), None);
    assert!(proc::lives(pid));
    home.rpm(&["list"]).ok();
    assert_eq!(home.program("good").pid, pid);
}

#[test]
fn those_who_say_nothing_make_room() {
    let home = scene(&["good"]);
    let mut silent: Vec<_> = (0..256).map(|_| home.wire()).collect();
    // Half a request is nothing.
    silent[1].send("sto");
    let mut busy = home.events();
    for _ in 0..300 {
        home.wire().ask("ping").ok();
    }
    home.rpm(&["restart", "good"]).ok();
    busy.wait_for("the restart", |p| p.state == State::Online);
    silent[0].answer().refused("busy", "to make room");
    assert_eq!(silent[0].line(), None);
}

#[test]
fn those_who_do_not_read_make_room() {
    let home = scene(&["good"]);
    let large = "x".repeat(100_000);
    home.shell(&format!(
        "LARGE={large} $RPM start sleep -i 4 --name large -- 1000"
    ))
    .ok();
    let all: Vec<_> = (0..257)
        .map(|_| {
            let mut wire = home.wire();
            // Much more than a socket holds.
            wire.send("describe\n".repeat(20));
            wire
        })
        .collect();
    wait_until("one of those makes room", || {
        home.wire().try_send("ping\n").is_ok() && home.rpm(&["ping"]).code == 0
    });
    drop(all);
}

#[test]
fn a_place_is_kept_for_the_owner() {
    let home = scene(&["good"]);
    let _all: Vec<_> = (0..256).map(|_| home.events()).collect();
    home.rpm(&["stop", "good"]).ok();
    let mut wire = home.wire();
    wire.ask("events").refused("busy", "256 clients");
    // Whoever has the place and does nothing makes room for the next.
    home.rpm(&["list"]).ok();
    wire.answer().refused("busy", "to make room");
    let mut wire = home.wire();
    wire.send("restart target=good\n");
    wire.answer().ok();
}

/// A list of stopped programs whose rows have more than 4 MiB.
fn long_names(home: &Home) -> usize {
    let mut wire = home.wire();
    let name = "n".repeat(20_000);
    let request = format!("start script=/bin/true name={name} instances=300 want=down");
    assert_eq!(wire.ask(&request).ok().rows.len(), 300);
    300
}

#[test]
fn no_answer_is_too_long_for_a_client_that_reads() {
    let home = scene(&["good"]);
    let count = long_names(&home);
    let mut wire = home.wire();
    assert_eq!(wire.ask("list").ok().rows.len(), count + 1);
    assert_eq!(wire.ask("stop target=all").ok().rows.len(), count + 1);
    assert_eq!(wire.ask("flush").ok().rows.len(), count + 1);
    let answer = wire.ask("delete target=all").ok();
    assert_eq!(answer.last.text("count"), Some("301"));
    assert_eq!(answer.processes().len(), count + 1);
    assert!(home.list().is_empty());
}

#[test]
fn a_follower_that_does_not_read_is_told_the_last_of_each_program() {
    let home = scene(&["good"]);
    let count = long_names(&home);
    let mut slow = home.events();
    let mut wire = home.wire();
    for _ in 0..20 {
        wire.ask("restart target=good").ok();
    }
    assert_eq!(wire.ask("delete target=default").ok().rows.len(), count + 1);
    let mut deleted = 0;
    while deleted <= count {
        let line = slow.line().unwrap();
        deleted += usize::from(line.text("what") == Some("deleted"));
    }
}
