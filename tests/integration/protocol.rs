//! The protocol as anybody can speak it.

use rpm::model::life::State;
use rpm::protocol::line::Line;

use crate::harness::{Home, has, skip};

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    let mut wire = home.wire();
    wire.send(
        "start script=sleep arg=1000 args=1000 name=x\nping\nlist\nstart script=sleep args=1000 name=x\n\
         stop target=x\nlist\ndelete target=x\nlist\nnonsense\n",
    );
    wire.answer().refused("bad-request", "arg");
    assert!(wire.answer().ok().last.text("pid").is_some());
    assert!(wire.answer().ok().rows.is_empty());
    assert_eq!(wire.answer().ok().processes()[0].state, State::Online);
    assert_eq!(wire.answer().ok().processes()[0].state, State::Stopped);
    assert_eq!(wire.answer().ok().processes()[0].state, State::Stopped);
    assert_eq!(wire.answer().ok().last.text("count"), Some("1"));
    assert!(wire.answer().ok().rows.is_empty());
    wire.answer().refused("bad-request", "nonsense");
}

#[test]
fn a_client_that_sends_no_more_still_gets_its_answers() {
    let home = Home::new();
    home.start_sleep("x");
    let mut wire = home.wire();
    wire.send("restart target=x\nstop target=x\nlist");
    wire.end_sending();
    assert_eq!(wire.answer().ok().processes()[0].state, State::Online);
    assert_eq!(wire.answer().ok().processes()[0].state, State::Stopped);
    assert_eq!(wire.answer().ok().processes().len(), 1);
    assert_eq!(wire.line(), None);
}

#[test]
fn what_a_client_has_asked_for_is_done_even_if_it_does_not_wait() {
    let home = Home::new();
    home.start_sleep("x");
    let mut wire = home.wire();
    wire.send("stop target=x\n");
    drop(wire);
    home.wait_for_state("x", State::Stopped);
}

#[test]
fn lines_that_people_type_are_understood() {
    let home = Home::new();
    home.start_sleep("x");
    let mut wire = home.wire();
    wire.send("\r\n   \nlist   target=x \r\n");
    assert_eq!(wire.answer().ok().processes().len(), 1);
}

#[test]
fn a_program_started_by_hand_has_a_usable_environment() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    let words = "command -v sleep; echo home=$HOME; cd; exec sleep 1000";
    let request = Line::new("start")
        .with("script", "/bin/sh")
        .with("name", "hand")
        .with("args", "-c")
        .with("args", words)
        .with("env.COLOUR", "red");
    let mut wire = home.wire();
    wire.send(request.to_bytes());
    wire.answer().ok();
    let printed = home.wait_for_log("hand-out.log", "home=");
    assert!(printed.contains("/sleep\nhome=/"), "{printed}");
}

#[test]
fn events_tell_of_every_change_in_order() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    let mut events = home.events();
    home.start_sleep("x");
    home.rpm(&["restart", "x"]).ok();
    home.rpm(&["delete", "x"]).ok();
    let mut seen = Vec::new();
    loop {
        let line = events.line().unwrap();
        if line.text("what") == Some("deleted") {
            break;
        }
        seen.push(line.text("status").unwrap().to_owned());
    }
    let wanted = [
        "launching",
        "online",
        "stopping",
        "launching",
        "online",
        "stopping",
        "stopped",
    ];
    assert_eq!(seen, wanted);
}

#[test]
fn the_client_prints_events() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    let output = home.shell(
        "$RPM events > events & \
         until $RPM start sleep --name x -- 1000 >&2 && grep -q ' name=x .*status=online' events; do \
             $RPM delete x > /dev/null; \
         done; kill $!",
    );
    output.ok();
}

#[test]
fn a_shell_can_speak_it() {
    let home = Home::new();
    home.start_sleep("x");
    let path = home.root.join("rpmd.sock");
    let speak = match () {
        () if has("socat") => format!("socat - UNIX-CONNECT:{}", path.display()),
        () if has("nc") => format!("nc -N -U {}", path.display()),
        () => return skip("neither socat nor nc is installed"),
    };
    let output = home
        .shell(&format!("printf 'list\\nstop target=x\\n' | {speak}"))
        .ok();
    let tags: Vec<_> = output
        .stdout
        .lines()
        .map(|l| l.split(' ').next().unwrap())
        .collect();
    assert_eq!(tags, ["process", "ok", "process", "ok"]);
}
