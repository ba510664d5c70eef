//! Clients that mean no good, or know no better. Nobody else is hurt.

use std::time::Instant;

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::{Home, proc, random_bytes};

fn scene() -> Home {
    let home = Home::new();
    home.start_sleep("good");
    home
}

/// What everybody else still finds.
#[track_caller]
fn assert_well(home: &Home) {
    let program = home.program("good");
    assert_eq!((program.state, program.restarts), (State::Online, 0));
    home.rpm(&["ping"]).ok();
}

#[test]
fn a_line_of_a_million_bytes_is_taken() {
    let home = scene();
    let mut wire = home.wire();
    let word = "x".repeat(1_000_000);
    wire.ask(&format!("list target={word}"))
        .refused("not-found", "xxx");
    wire.ask("list").ok();
    assert_well(&home);
}

#[test]
fn a_line_of_two_mebibytes_is_too_long() {
    let home = scene();
    let mut wire = home.wire();
    let mut other = home.wire();
    // The daemon stops reading on its way, so not all of it may be taken.
    let _ = wire.try_send("x".repeat(2 << 20));
    let _ = wire.try_send("\nlist\n");
    wire.answer().refused("too-long", "1 MiB");
    assert_eq!(wire.line(), None);
    other.ask("list").ok();
    assert_well(&home);
}

#[test]
fn a_value_with_a_field_too_many_or_too_few_is_refused() {
    let home = scene();
    let mut wire = home.wire();
    for (request, part) in [
        ("stop", "which program"),
        ("start", "script=PATH"),
        ("start script=x instances=0", "instances"),
        ("start script=x instances=4000000000", "instances"),
        ("start script=x instances=-1", "instances"),
        ("start script=x%00y", "NUL"),
        ("start script=x env.A=%00", "NUL"),
        ("list target=%zz", "hex"),
        ("LIST", "a-z"),
        ("=", "a-z"),
    ] {
        wire.ask(request).refused("bad-request", part);
    }
    assert_well(&home);
}

#[test]
fn garbage_is_answered_with_errors() {
    let home = scene();
    let mut wire = home.wire();
    let mut garbage: Vec<u8> = random_bytes(60_000, 7);
    // No bare line breaks, so that the number of answers is known.
    for byte in &mut garbage {
        if byte.is_ascii_whitespace() {
            *byte = 0xff;
        }
    }
    let lines = 40;
    for piece in garbage.chunks(garbage.len() / lines).take(lines) {
        wire.send(piece);
        wire.send("\n");
    }
    for _ in 0..lines {
        assert_eq!(wire.answer().last.text("code"), Some("bad-request"));
    }
    wire.ask("list").ok();
    assert_well(&home);
}

#[test]
fn past_256_connections_the_surplus_is_told_that_it_is_busy() {
    let home = scene();
    home.start(
        "stays",
        "trap '' INT TERM\nwhile :; do sleep 1; done",
        &["-k", "1h"],
    );
    let all: Vec<_> = (0..256).map(|_| home.events()).collect();
    // The place that is kept for the owner is taken by one who waits.
    let mut waits = home.wire();
    waits.send("stop target=stays\n");
    for _ in 0..40 {
        let mut wire = home.wire();
        // One that was refused is closed already.
        let _ = wire.try_send("ping\n");
        wire.answer().refused("busy", "256 clients");
    }
    // However soon the daemon has closed the connection, the client tells its reason.
    for _ in 0..20 {
        home.rpm(&["list"])
            .fails(&["256 clients are connected already"]);
    }
    drop(all);
    // The hang-ups were there before this connection.
    assert_well(&home);
    let pid = home.program("stays").pid;
    proc::kill(pid, Signal::KILL);
    waits.answer().ok();
}

#[test]
fn what_is_asked_behind_a_large_answer_is_answered() {
    let home = scene();
    let large = "x".repeat(100_000);
    home.shell(&format!(
        "LARGE={large} $RPM start sleep --name large -- 1000"
    ))
    .ok();
    let mut wire = home.wire();
    wire.send("describe\nping\ndescribe\nlist\n");
    assert_eq!(wire.answer().ok().rows.len(), 2);
    assert!(wire.answer().ok().last.text("pid").is_some());
    assert_eq!(wire.answer().ok().rows.len(), 2);
    assert_eq!(wire.answer().ok().rows.len(), 2);
}

#[test]
fn a_client_that_never_reads_costs_little_and_holds_nobody_up() {
    let home = scene();
    let large = "x".repeat(100_000);
    home.shell(&format!(
        "LARGE={large} $RPM start sleep -i 20 --name large -- 1000"
    ))
    .ok();
    let before = resident_kib(&home);
    let mut wire = home.wire();
    wire.send("describe\n".repeat(50));
    let begin = Instant::now();
    for _ in 0..20 {
        home.wire().ask("list").ok();
    }
    assert!(
        begin.elapsed().as_secs() < 5,
        "others wait: {:?}",
        begin.elapsed()
    );
    let grown = resident_kib(&home).saturating_sub(before);
    assert!(grown < 8 << 10, "the daemon has grown by {grown} KiB");
    assert_well(&home);
    // And when it reads at last, all is there.
    for _ in 0..50 {
        assert_eq!(wire.answer().ok().rows.len(), 21);
    }
}

fn resident_kib(home: &Home) -> u64 {
    let text = proc::status(home.supervisor(), "VmRSS");
    text.trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_client_that_hangs_up_in_the_middle_of_an_answer_is_forgotten() {
    let home = scene();
    let large = "x".repeat(100_000);
    home.shell(&format!(
        "LARGE={large} $RPM start sleep -i 20 --name large -- 1000"
    ))
    .ok();
    for _ in 0..20 {
        let mut wire = home.wire();
        wire.send("describe\n".repeat(5));
        wire.line().unwrap();
    }
    assert_well(&home);
    let open = proc::descriptors(home.supervisor());
    let sockets = open
        .iter()
        .filter(|(_, path)| path.to_string_lossy().starts_with("socket:"));
    // The listener, the pair to the log writer, and perhaps the last client.
    assert!(sockets.count() <= 4, "{open:?}");
}

#[test]
fn a_client_may_send_byte_by_byte() {
    let home = scene();
    let mut slow = home.wire();
    let mut other = home.wire();
    for byte in b"list target=good\n" {
        slow.send([*byte]);
        other.ask("ping").ok();
    }
    assert_eq!(slow.answer().ok().processes().len(), 1);
    assert_well(&home);
}

#[test]
fn another_version_of_the_protocol_is_refused_with_a_sentence() {
    let home = scene();
    let mut wire = home.wire();
    wire.ask("hello protocol=999")
        .refused("bad-request", "speaks protocol 1, not 999");
    assert_eq!(wire.line(), None);
    let mut wire = home.wire();
    let answer = wire.ask("hello protocol=1").ok();
    assert_eq!(answer.last.text("version"), Some(env!("CARGO_PKG_VERSION")));
    wire.ask("list").ok();
    assert_well(&home);
}

#[test]
fn many_clients_that_ask_for_the_same_are_all_answered() {
    let home = scene();
    let mut wires: Vec<_> = (0..100).map(|_| home.wire()).collect();
    for wire in &mut wires {
        wire.send("restart target=good\n");
    }
    for wire in &mut wires {
        assert_eq!(wire.answer().ok().processes().len(), 1);
    }
    assert_eq!(home.program("good").state, State::Online);
}
