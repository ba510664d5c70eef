//! The daemons are killed under a stream of output: not a byte of it is lost, doubled or out of its place.

use std::fs;

use rpm::sys::signal::Signal;

use crate::harness::wait::wait_for_end;
use crate::harness::{Home, assert_same_bytes, proc, skip, wait_until};

/// Who is killed.
#[derive(Clone, Copy, PartialEq)]
enum Victim {
    LogWriter,
    Supervisor,
}

/// What is printed meanwhile: lines, how many at a time, and the pause between, in microseconds.
struct Stream {
    lines: usize,
    per: &'static str,
    micros: &'static str,
}

const STEADY: Stream = Stream {
    lines: 20_000,
    per: "4",
    micros: "500",
};

const FLOOD: Stream = Stream {
    lines: 1_500_000,
    per: "1000",
    micros: "1000",
};

/// What `steady` prints.
fn text(lines: usize) -> Vec<u8> {
    let lines = (0..lines).map(|at| format!("{at:09} and some text behind it\n"));
    let all: String = lines.chain(["end\n".to_owned()]).collect();
    all.into_bytes()
}

fn kill_once(home: &Home, victim: Victim) {
    let supervisor = home.supervisor();
    let mut writer = None;
    wait_until("a log writer", || {
        writer = home.log_writer();
        writer.is_some()
    });
    let writer = writer.unwrap();
    if victim != Victim::Supervisor {
        proc::kill(writer, Signal::KILL);
    }
    if victim != Victim::LogWriter {
        proc::kill(supervisor, Signal::KILL);
        wait_for_end(supervisor);
        home.rpm(&["ping"]).ok();
    }
    wait_until("another log writer", || {
        home.log_writer().is_some_and(|other| other != writer)
    });
}

/// Starts the stream, kills `times` over while it runs, and compares every byte.
#[track_caller]
fn survives(stream: &Stream, victim: Victim, times: usize) {
    let home = Home::new();
    let Some(steady) = home.compiled("steady.c") else {
        return skip("there is no C compiler");
    };
    let lines = stream.lines.to_string();
    let words = ["start", &steady, "--", &lines, stream.per, stream.micros];
    home.rpm(&words).ok();
    let pid = home.program("steady").pid;
    let written = || fs::metadata(home.log_path("steady-out.log")).map_or(0, |m| m.len());
    let printed = || home.base.join("printed").exists();
    let mut killed = 0;
    for _ in 0..times {
        let before = written();
        wait_until("it has written", || written() > before + 2000 || printed());
        if !printed() {
            kill_once(&home, victim);
            killed += 1;
        }
    }
    assert!(killed > 0, "the stream was over too soon");
    wait_until("all is printed", printed);
    assert_eq!(home.program("steady").pid, pid, "it noticed nothing");
    home.rpm(&["stop", "steady"]).ok();
    let log = home.log("steady-out.log");
    assert_same_bytes(&log, &text(stream.lines), "the log");
}

#[test]
fn the_death_of_the_log_writer_costs_no_byte_of_a_steady_stream() {
    survives(&STEADY, Victim::LogWriter, 4);
}

#[test]
fn the_death_of_the_log_writer_costs_no_byte_of_a_flood() {
    survives(&FLOOD, Victim::LogWriter, 4);
}

#[test]
fn the_death_of_the_supervisor_costs_no_byte_of_a_steady_stream() {
    survives(&STEADY, Victim::Supervisor, 8);
}

#[test]
fn the_death_of_the_supervisor_costs_no_byte_of_a_flood() {
    survives(&FLOOD, Victim::Supervisor, 8);
}
