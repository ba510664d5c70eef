//! The daemons are killed under a stream of output: not a byte of it is lost, doubled or out of its place.

use std::fs;
use std::time::Duration;

use rpm::sys::signal::Signal;

use crate::harness::wait::{ended_within, wait_for_end};
use crate::harness::{Home, assert_same_bytes, noise, proc, skip, wait_until};

/// Who is killed.
#[derive(Clone, Copy, PartialEq)]
enum Victim {
    LogWriter,
    Supervisor,
    Both,
    /// The supervisor, while the log writer is stopped: it notices nothing, and is served all the same.
    SupervisorOfAStoppedLogWriter,
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
    let writer = home.log_writer().expect("a log writer");
    match victim {
        Victim::LogWriter => proc::kill(writer, Signal::KILL),
        Victim::Both => home.kill_daemons(),
        Victim::SupervisorOfAStoppedLogWriter => proc::stop(writer),
        Victim::Supervisor => {}
    }
    if matches!(
        victim,
        Victim::Supervisor | Victim::SupervisorOfAStoppedLogWriter
    ) {
        proc::kill(supervisor, Signal::KILL);
        wait_for_end(supervisor);
    }
    if victim != Victim::LogWriter {
        home.rpm(&["ping"]).ok();
    }
    if victim == Victim::SupervisorOfAStoppedLogWriter {
        // Time for another one to come in between, if the next supervisor does not find this one.
        ended_within(writer, Duration::from_millis(5));
        proc::go_on(writer);
    }
    match victim {
        Victim::LogWriter | Victim::Both => {
            wait_until("another log writer", || {
                home.log_writers().iter().any(|other| *other != writer)
            });
        }
        Victim::Supervisor | Victim::SupervisorOfAStoppedLogWriter => {
            assert_eq!(home.log_writers(), [writer], "the log writer stays");
        }
    }
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
    compare(&home, "steady", &text(stream.lines), victim, times);
}

/// The same with a program that prints as fast as it can: the log writer is behind all the time.
#[track_caller]
fn torrent_survives(victim: Victim, times: usize) {
    let home = Home::new();
    let bytes = noise(100_000_000, 5);
    fs::write(home.base.join("data"), &bytes).unwrap();
    let script = "cat data\ntouch printed\nexec sleep 1000\n";
    home.start("torrent", script, &[]);
    compare(&home, "torrent", &bytes, victim, times);
}

#[track_caller]
fn compare(home: &Home, name: &str, wanted: &[u8], victim: Victim, times: usize) {
    let file = format!("{name}-out.log");
    let pid = home.program(name).pid;
    let written = || fs::metadata(home.log_path(&file)).map_or(0, |m| m.len());
    let printed = || home.base.join("printed").exists();
    let mut killed = 0;
    for _ in 0..times {
        let before = written();
        wait_until("it has written", || written() > before + 2000 || printed());
        if !printed() {
            kill_once(home, victim);
            killed += 1;
        }
    }
    assert!(killed > 0, "the stream was over too soon");
    wait_until("all is printed", printed);
    assert_eq!(home.program(name).pid, pid, "it noticed nothing");
    home.rpm(&["stop", name]).ok();
    assert_same_bytes(&home.log(&file), wanted, "the log");
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

#[test]
fn the_death_of_both_daemons_costs_no_byte_of_a_steady_stream() {
    survives(&STEADY, Victim::Both, 8);
}

#[test]
fn the_death_of_both_daemons_costs_no_byte_of_a_flood() {
    survives(&FLOOD, Victim::Both, 8);
}

#[test]
fn the_death_of_the_log_writer_costs_no_byte_of_a_torrent() {
    torrent_survives(Victim::LogWriter, 6);
}

#[test]
fn the_death_of_the_supervisor_costs_no_byte_of_a_torrent() {
    torrent_survives(Victim::Supervisor, 6);
}

#[test]
fn the_death_of_both_daemons_costs_no_byte_of_a_torrent() {
    torrent_survives(Victim::Both, 6);
}

#[test]
fn a_log_writer_that_hangs_while_its_supervisor_dies_is_the_next_ones() {
    torrent_survives(Victim::SupervisorOfAStoppedLogWriter, 6);
}
