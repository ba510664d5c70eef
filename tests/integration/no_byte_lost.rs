//! The daemons are killed under a stream of output: not a byte of it is lost, doubled or out of its place.

use std::fs;
use std::time::Duration;

use rpm::sys::signal::Signal;

use crate::harness::wait::{ended_within, wait_for_end};
use crate::harness::{Home, assert_same_bytes, proc, random_bytes, skip, steady_text, wait_until};

/// Who is killed.
#[derive(Clone, Copy, PartialEq)]
enum Victim {
    LogWriter,
    Supervisor,
    Both,
    /// The supervisor, while the log writer is stopped: it notices nothing, and is served all the same.
    SupervisorOfAStoppedLogWriter,
}

/// What is printed meanwhile: how many lines at a time, and the pause between, in microseconds.
struct Stream {
    per: &'static str,
    micros: &'static str,
}

const STEADY: Stream = Stream {
    per: "4",
    micros: "500",
};

const FLOOD: Stream = Stream {
    per: "1000",
    micros: "1000",
};

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

/// Starts the stream, kills so many times while it runs, and compares every byte.
#[track_caller]
fn survives(stream: &Stream, victim: Victim, times: usize) {
    let home = Home::new();
    let Some(steady) = home.compiled("steady.c") else {
        return skip("there is no C compiler");
    };
    // One file, however long the kills take on a busy machine.
    let flags = ["start", &steady, "--log-max-size", "0", "--"];
    home.rpm(&[&flags[..], &[stream.per, stream.micros]].concat())
        .ok();
    kill_meanwhile(&home, "steady", victim, times);
    let log = home.log("steady-out.log");
    assert_same_bytes(&log, &steady_text(&log), "the log");
}

/// The same with a program that prints as fast as it can: the log writer is behind most of the time.
#[track_caller]
fn torrent_survives(victim: Victim, times: usize) {
    let home = Home::new();
    let bytes = random_bytes(10_000_000, 5);
    fs::write(home.base.join("data"), &bytes).unwrap();
    let script = "count=0\nuntil [ -e enough ]; do cat data; count=$((count + 1)); sleep 0.01; done\n\
                  echo $count > count; touch printed\nexec sleep 1000\n";
    home.start("torrent", script, &["--log-max-size", "0"]);
    kill_meanwhile(&home, "torrent", victim, times);
    let count = fs::read_to_string(home.base.join("count")).unwrap();
    let log = home.log("torrent-out.log");
    let length = count.trim().parse::<usize>().unwrap() * bytes.len();
    assert_eq!(log.len(), length, "{count} times the data");
    for piece in log.chunks(bytes.len()) {
        assert_same_bytes(piece, &bytes, "the log");
    }
}

/// Kills so many times while a program prints; then it has printed enough, and is stopped.
#[track_caller]
fn kill_meanwhile(home: &Home, name: &str, victim: Victim, times: usize) {
    let file = home.log_path(&format!("{name}-out.log"));
    let pid = home.program(name).pid;
    let written = || fs::metadata(&file).map_or(0, |m| m.len());
    for _ in 0..times {
        let before = written();
        wait_until("it has written", || written() > before + 2000);
        kill_once(home, victim);
    }
    fs::write(home.base.join("enough"), "").unwrap();
    wait_until("all is printed", || home.base.join("printed").exists());
    assert_eq!(home.program(name).pid, pid, "it noticed nothing");
    home.rpm(&["stop", name]).ok();
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
