//! The log writer is killed at each system call of its work: nothing of what it was at is lost or doubled.
//!
//! Some of the system calls in an ordinary run, every one with `RPM_TEST_EVERY=1`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rpm::sys::signal::Signal;

use crate::harness::killer::{Call, Killer, PrintOnFailure, cannot_trace, some_of};
use crate::harness::logs::{whole_text, without_stamps};
use crate::harness::{Home, assert_same_bytes, proc, skip, wait_until};

/// Of so many system calls an ordinary run takes one.
const STRIDE: usize = 7;

/// So many system calls of the log writer are several times all those of its work.
const WRITER_CALLS: usize = 50;

#[test]
fn the_log_writer_at_its_work() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    let text = "at=0\nwhile ! [ -e done ]; do echo $at; at=$((at + 1)); done\n\
                echo end\ntouch printed\nexec sleep 1000\n";
    let pid = home.start("x", text, &[]).pid;
    let written = || fs::metadata(home.log_path("x-out.log")).map_or(0, |file| file.len());
    let writes = || {
        let before = written();
        wait_until("it writes", || written() > before);
    };
    writes();
    let watched = Killer::of(&home, home.log_writer().unwrap(), None);
    // One write takes few calls, where much has come.
    (0..WRITER_CALLS).for_each(|_| writes());
    let mut calls = watched.end(false).calls;
    calls.truncate(WRITER_CALLS);
    let calls = some_of(calls, STRIDE, 4);
    let mut killed = 0;
    for call in &calls {
        let killer = Killer::of(&home, home.log_writer().unwrap(), Some(call));
        let before = written();
        // Not each time is a call made as often as the first time.
        wait_until("it is killed, or has written much", || {
            killer.is_over() || written() > before + 100_000
        });
        killed += usize::from(killer.end(false).killed);
        writes();
    }
    assert!(killed * 2 > calls.len(), "{killed} of {}", calls.len());
    fs::write(home.base.join("done"), "").unwrap();
    wait_until("all is printed", || home.base.join("printed").exists());
    assert_eq!(home.program("x").pid, pid);
    home.rpm(&["stop", "x"]).ok();
    let log = home.log("x-out.log");
    let count = log.iter().filter(|b| **b == b'\n').count() - 1;
    let lines: String = (0..count).map(|at| format!("{at}\n")).collect();
    assert_same_bytes(&log, format!("{lines}end\n").as_bytes(), "the log");
}

/// Four lines in one write go to four files: whichever system call the log writer dies at, each is there once.
#[test]
fn the_log_writer_while_it_sets_files_aside() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    let text = "n=0\ntrap 'n=$((n + 1)); printf \"$n a\\n$n b\\n$n c\\n$n d\\n\"' USR1\n\
                echo ready >&2\nwhile :; do sleep 1000 & wait; kill $!; done\n";
    let flags = ["--time", "--log-max-size", "30", "--log-max-files", "9"];
    let pid = home.start("x", text, &flags).pid;
    home.wait_for_log("x-error.log", "ready\n");
    let path = home.log_path("x-out.log");
    let mut round = 0;
    let mut once = |call: Option<&Call>| {
        round += 1;
        let killer = Killer::of(&home, home.log_writer().unwrap(), call);
        proc::kill(pid, Signal::USR1);
        let last = format!(": {round} d\n");
        wait_until("the last line is written", || {
            fs::read(&path).is_ok_and(|log| log.ends_with(last.as_bytes()))
        });
        // It may be killed by this, and is asked again.
        home.rpm(&["reloadLogs", "x"]).ok();
        let end = killer.end(false);
        let _told = PrintOnFailure(format!("{call:?}\n{}", end.shown));
        home.rpm(&["reloadLogs", "x"]).ok();
        let lines = ["a", "b", "c", "d"].map(|letter| format!("{round} {letter}\n"));
        let text = without_stamps(&whole_text(&path));
        assert_same_bytes(&text, lines.concat().as_bytes(), "the files together");
        home.rpm(&["flush", "x"]).ok();
        end
    };
    let calls = some_of(once(None).calls, STRIDE, 1);
    let killed = calls.iter().filter(|call| once(Some(call)).killed).count();
    assert!(killed * 2 > calls.len(), "{killed} of {}", calls.len());
}

/// A file that took nothing takes lines again: whichever system call the log writer dies at, what is missing is said
/// once, and the lines behind it are there once.
#[test]
fn the_log_writer_while_it_says_what_is_missing() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    let text = "n=0\ntrap 'n=$((n + 1)); echo $n' USR1\n\
                echo ready >&2\nwhile :; do sleep 1000 & wait; kill $!; done\n";
    let (log, real) = (home.base.join("x.log"), home.base.join("real.log"));
    symlink("/dev/full", &log).unwrap();
    let pid = home.start("x", text, &["-o", "x.log", "--time"]).pid;
    home.wait_for_log("x-error.log", "ready\n");
    let leads_to = |target: &Path| {
        fs::remove_file(&log).unwrap();
        symlink(target, &log).unwrap();
        home.rpm(&["reloadLogs", "x"]).ok();
    };
    let mut round = 0;
    let mut once = |call: Option<&Call>| {
        round += 3;
        leads_to(Path::new("/dev/full"));
        proc::kill(pid, Signal::USR1);
        wait_until("it is lost", || home.program("x").lost > 0);
        let missing = home.program("x").lost;
        leads_to(&real);
        let killer = Killer::of(&home, home.log_writer().unwrap(), call);
        proc::kill(pid, Signal::USR1);
        let written = |number: usize| {
            let last = format!(": {number}\n");
            wait_until("a line is written", || {
                fs::read(&real).is_ok_and(|log| log.ends_with(last.as_bytes()))
            });
            home.rpm(&["reloadLogs", "x"]).ok();
        };
        written(round - 1);
        let end = killer.end(false);
        proc::kill(pid, Signal::USR1);
        written(round);
        let _told = PrintOnFailure(format!("{call:?}\n{}", end.shown));
        let text = String::from_utf8(without_stamps(&fs::read(&real).unwrap())).unwrap();
        let begin = format!("rpm: {missing} bytes are missing here, from ");
        let (said, lines): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with(&begin));
        assert!(text.starts_with(&begin), "{begin}: {text}");
        assert_eq!(
            lines,
            [(round - 1).to_string(), round.to_string()],
            "{text}"
        );
        // One that has died before it could tell that it had said so has it said once more.
        assert!(
            said.len() == 1 || said.len() == 2 && call.is_some(),
            "{text}"
        );
        assert_eq!(home.program("x").lost, missing);
        home.rpm(&["flush", "x"]).ok();
        end
    };
    let calls = some_of(once(None).calls, STRIDE, 2);
    let killed = calls.iter().filter(|call| once(Some(call)).killed).count();
    assert!(killed * 2 > calls.len(), "{killed} of {}", calls.len());
}
