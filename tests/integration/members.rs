//! Whatever a program starts ends with it, or is named: every shape of a program against everything that ends one, with
//! cgroups and without.
//!
//! A sample of the cells in an ordinary run, every one with `RPM_TEST_EVERY=1`.

use std::time::{Duration, Instant};

use rpm::model::life::State;
use rpm::sys::cgroup::own_folder;
use rpm::sys::signal::Signal;

use crate::harness::killer::{cannot_trace, some_of};
use crate::harness::run::{Output, Running};
use crate::harness::wait::readable;
use crate::harness::{Home, has, is_root, proc, skip, wait_until};

/// Of so many cells an ordinary run takes one.
const STRIDE: usize = 11;

/// A program: its name, what it does, and how many processes with the mark there are when it has done so. Every script
/// ends with the leader.
const SHAPES: [(&str, &str, usize); 14] = [
    ("plain", "exec sleep $M", 1),
    ("fork", "sleep $M & exec sleep $M", 2),
    ("setsid", "setsid sleep $M & exec sleep $M", 2),
    ("setpgid", "set -m; sleep $M & exec sleep $M", 2),
    ("double fork", "(sleep $M &); exec sleep $M", 2),
    (
        "setsid and double fork",
        "(setsid sleep $M &); exec sleep $M",
        2,
    ),
    (
        "ignores INT and TERM",
        "trap '' INT TERM; (setsid sleep $M &); exec sleep $M",
        2,
    ),
    (
        "SIGSTOPped",
        "(setsid sh -c 'kill -STOP $$; exec sleep '$M sleep $M &); exec sleep $M",
        2,
    ),
    (
        "100 children",
        "for i in $(seq 99); do setsid sleep $M & done; exec sleep $M",
        100,
    ),
    (
        "forks on while it is killed",
        "(setsid sh ./chain $M sleep $M &); exec sleep $M",
        2,
    ),
    (
        "cleared environment",
        "(setsid env -i sleep $M >/dev/null 2>&1 &); exec sleep $M",
        2,
    ),
    (
        "cleared environment alone",
        "(setsid env -i sleep $M &); exec sleep $M",
        2,
    ),
    (
        "parent long dead",
        "setsid sh -c \"setsid sleep $M & exit\"; exec sleep $M",
        2,
    ),
    (
        "daemonizes on SIGINT",
        "trap 'setsid sleep '$M' & exit 0' INT; sleep $M & wait",
        1,
    ),
];

/// Each process of it starts the next and ends.
const CHAIN: &str = "trap '' INT TERM\n[ -e stop ] || setsid sh ./chain \"$@\" &\n";

const ENDS: [&str; 7] = [
    "stop",
    "restart",
    "delete",
    "kill",
    "crash",
    "SIGTERM in the foreground",
    "stop after kill -9 of the daemons",
];

/// Starts a daemon, in the foreground or not, that has no cgroups where it should have none.
fn daemon_command(home: &Home, cgroups: bool, flags: &str) -> std::process::Command {
    let start = match cgroups {
        true => format!("exec \"$RPMD\" {flags}"),
        // Nothing of that version is mounted where this daemon lives.
        false => format!(
            "exec unshare -m sh -c 'while read -r _ place kind _; do [ $kind != cgroup2 ] || umount -l $place; done \
             < /proc/mounts; exec \"$RPMD\" {flags}'"
        ),
    };
    let mut command = home.command(&["bash", "-c", &start]);
    command.env("RPMD", home.daemon());
    command
}

/// The processes that have this mark among their arguments.
fn marked(mark: &str) -> Vec<i32> {
    let mut pids = proc::all();
    pids.retain(|pid| proc::arguments(*pid).iter().any(|word| word == mark) && proc::lives(*pid));
    pids
}

/// One cell of the matrix: what is wrong with it.
fn cell(shape: usize, end: usize, cgroups: bool) -> Option<String> {
    let (name, script, count) = SHAPES[shape];
    let what = format!("{name} × {}, cgroups: {cgroups}", ENDS[end]);
    let home = Home::new();
    let number = home.base.extension().unwrap().to_str().unwrap();
    let mark = format!("1{number:0>4}{:0>8}", std::process::id());
    home.script("chain", CHAIN);
    // The second run is a plain one, of another mark.
    let text = format!("[ -e ran ] && exec sleep 1000\n: > ran\nM={mark}\n{script}\n");
    let file = home.script("program.sh", &text);
    let mut foreground = None;
    if ENDS[end].contains("foreground") {
        let mut daemon = Running::start(daemon_command(&home, cgroups, "--foreground"));
        daemon.wait_for_line("serves");
        foreground = Some(daemon);
    } else {
        home.run(daemon_command(&home, cgroups, "")).ok();
    }
    let words = ["start", &file, "--name", "x", "--kill-timeout", "400"];
    home.rpm(&words).ok();
    wait_until(&what, || {
        let mut found = marked(&mark);
        if name == "SIGSTOPped" {
            found.retain(|pid| proc::name(*pid) == "sleep" || proc::stat(*pid)[0] == "T");
        }
        found.len() >= count
    });
    let before = home.program("x");
    let begin = Instant::now();
    let said = carry_out(&home, ENDS[end], cgroups, before.pid, foreground);
    let took = begin.elapsed();
    // What was told to end may need a moment to do so only where nobody has waited for it.
    let lives = marked(&mark);
    let named = |pid: &i32| said.shown().contains(&format!("pid {pid} "));
    // A chain is another process at every look.
    let chain = name.contains("forks on");
    let is_told = said.code == 1 && (lives.iter().all(named) || chain && named_any(&said));
    // Only these may live, and only without a cgroup: nothing links them to the program, or they fork too fast.
    let excused = !cgroups && (name == "cleared environment" || chain);
    // Not even that it may be a program's can be known once its parent and its daemon are gone.
    let unknowable = excused && !chain && ENDS[end].contains("-9");
    let right = match lives.is_empty() {
        true => said.code == 0 || excused,
        false => excused && (is_told || unknowable),
    };
    let in_time = took < Duration::from_millis(400 + 2000 + 3000);
    let wrong = (!right || !in_time).then(|| {
        let lives: Vec<String> = lives.iter().map(|pid| proc::describe(*pid)).collect();
        format!("{what}: after {took:?} {lives:#?}; {}", said.shown())
    });
    std::fs::write(home.base.join("stop"), "").unwrap();
    wait_until("the end of what is left", || {
        let left = marked(&mark);
        for pid in &left {
            let pid = rpm::sys::pid::Pid::new(*pid).unwrap();
            let _ = rpm::sys::signal::kill(pid, Signal::KILL);
        }
        left.is_empty()
    });
    // What was left is gone, and the home ends as any other.
    if home.root.join("rpmd.sock").exists() {
        home.rpm(&["kill"]);
    }
    wrong
}

fn named_any(said: &Output) -> bool {
    said.shown().contains("pid ")
}

/// Ends the program, and gives what the one who did so was told.
fn carry_out(
    home: &Home,
    end: &str,
    cgroups: bool,
    leader: i32,
    foreground: Option<Running>,
) -> Output {
    if let Some(mut daemon) = foreground {
        proc::kill(home.supervisor(), Signal::TERM);
        let code = daemon.wait();
        if code == 1 {
            daemon.wait_for_line("rpmd: ");
        }
        return Output {
            code,
            stdout: String::new(),
            stderr: daemon.heard().join("\n"),
            command: end.to_owned(),
        };
    }
    if end == "crash" {
        let mut events = home.events();
        proc::kill(leader, Signal::KILL);
        events.wait_for("online again", |p| {
            p.state == State::Online && p.pid != leader
        });
        // What is wrong is in the log, and nobody waits for an answer.
        let mut journal = home.journal();
        let until = Instant::now() + Duration::from_millis(500);
        while !journal.contains("left behind") && Instant::now() < until {
            readable(&[], Duration::from_millis(20));
            journal = home.journal();
        }
        return Output {
            code: i32::from(journal.contains("left behind")),
            stdout: String::new(),
            stderr: journal,
            command: end.to_owned(),
        };
    }
    if end.contains("-9") {
        home.kill_daemons();
        home.run(daemon_command(home, cgroups, "")).ok();
        return home.rpm(&["stop", "x"]);
    }
    match end {
        "kill" => home.rpm(&["kill"]),
        verb => home.rpm(&[verb, "x"]),
    }
}

fn matrix(cgroups: bool) {
    if !is_root() || !has("unshare") {
        return skip("only root, with unshare, can take cgroups away");
    }
    let cells: Vec<(usize, usize)> = (0..SHAPES.len())
        .flat_map(|shape| (0..ENDS.len()).map(move |end| (shape, end)))
        .collect();
    // Another part of them without cgroups.
    let first = if cgroups { 0 } else { STRIDE / 2 };
    let chosen = some_of(cells, STRIDE, first).into_iter();
    let wrong: Vec<String> = chosen
        .filter_map(|(shape, end)| cell(shape, end, cgroups))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_outlives_a_program_that_has_a_cgroup() {
    matrix(true);
}

#[test]
fn nothing_outlives_a_program_without_being_named() {
    matrix(false);
}

/// How often the daemon looks at all processes while something is done.
fn scans(home: &Home, what: impl FnOnce()) -> usize {
    let trace = home.base.join("trace");
    let pid = home.supervisor().to_string();
    let words = ["strace", "-e", "trace=openat", "-o"];
    let file = trace.to_str().unwrap();
    let mut strace = Running::start(home.command(&[&words[..], &[file, "-p", &pid]].concat()));
    strace.wait_for_line("attached");
    what();
    proc::kill(strace.pid(), Signal::INT);
    strace.wait();
    let text = std::fs::read_to_string(&trace).unwrap();
    text.lines()
        .filter(|line| line.contains("\"/proc\""))
        .count()
}

#[test]
fn one_look_at_all_processes_serves_many_programs_and_none_is_taken_without_need() {
    if let Some(why) = cannot_trace() {
        return skip(why);
    }
    if !is_root() || !has("unshare") {
        return skip("only root, with unshare, can take cgroups away");
    }
    for cgroups in [true, false] {
        let home = Home::new();
        home.run(daemon_command(&home, cgroups, "")).ok();
        let has_some = own_folder().is_some() && cgroups;
        home.rpm(&["start", "sleep", "--name", "s", "-i", "40", "--", "1000"])
            .ok();
        let idle = scans(&home, || {
            home.start_sleep("another");
            home.rpm(&["list"]).ok();
            home.rpm(&["describe", "s"]).ok();
        });
        assert_eq!(idle, 0, "nothing has ended");
        let looks = scans(&home, || {
            home.rpm(&["stop", "s"]).ok();
        });
        if has_some {
            assert_eq!(looks, 1, "for those that have left their cgroup");
        } else {
            // One for the signals, and one for each turn in which some have ended.
            assert!((2..40).contains(&looks), "{looks}");
        }
    }
}

#[test]
fn a_look_that_fails_is_no_end() {
    if let Some(why) = cannot_trace() {
        return skip(why);
    }
    if !is_root() || !has("unshare") {
        return skip("only root, with unshare, can take cgroups away");
    }
    let home = Home::new();
    home.run(daemon_command(&home, false, "")).ok();
    let text = "setsid sleep 1000 & echo ready\nwait\n";
    home.start("x", text, &["--kill-timeout", "300"]);
    home.wait_for_log("x-out.log", "ready\n");
    let pid = home.supervisor().to_string();
    let words = "strace -P /proc -e trace=openat -e inject=openat:error=EMFILE -o /dev/null -p";
    let words: Vec<&str> = words.split(' ').collect();
    let mut strace = Running::start(home.command(&[&words[..], &[&pid]].concat()));
    strace.wait_for_line("attached");
    home.rpm(&["stop", "x"]).fails(&[
        "x (id 0) cannot be ended",
        "looking for its processes: Too many open files",
    ]);
    assert_eq!(home.program("x").state, State::Stopping);
    proc::kill(strace.pid(), Signal::INT);
    strace.wait();
    home.rpm(&["stop", "x"]).ok();
    let left = proc::named(&home.root, "sleep");
    assert!(left.is_empty(), "{left:?}");
}
