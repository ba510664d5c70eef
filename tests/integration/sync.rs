//! `sync`: ok is true, whatever the disk has said before.

use std::fs;

use rpm::sys::signal::Signal;

use crate::harness::killer::cannot_trace;
use crate::harness::run::Running;
use crate::harness::{Home, proc, skip};

/// Traces the daemon, the writer of its list and their children, with something injected.
fn trace(home: &Home, inject: &str) -> Running {
    let pid = home.supervisor().to_string();
    let writer = home.list_writers()[0].to_string();
    let to = home.base.join("trace");
    let to = to.to_str().unwrap();
    let words = [
        "strace", "-f", "-y", "-o", to, "-e", inject, "-p", &pid, "-p", &writer,
    ];
    let mut strace = Running::start(home.command(&words));
    for _ in 0..2 {
        strace.wait_for_line("attached");
    }
    strace
}

fn end(mut strace: Running) {
    proc::kill(strace.pid(), Signal::TERM);
    strace.wait();
}

#[test]
fn an_ok_after_a_failure_is_given_when_the_records_have_been_written_anew() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    home.start_sleep("a");
    let mut wire = home.wire();
    wire.ask("sync").ok();
    // An inode may be reused for the next file; with the time of its change it identifies a file.
    let inode = || {
        use std::os::unix::fs::MetadataExt;
        let list = fs::metadata(home.root.join("run/list")).unwrap();
        (list.ino(), list.ctime(), list.ctime_nsec())
    };
    let strace = trace(&home, "inject=fdatasync:error=EIO");
    home.start_sleep("b");
    wire.ask("restart target=a env.X=1").ok();
    let before = inode();
    for _ in 0..2 {
        wire.ask("sync").refused("internal", "to disk failed");
    }
    end(strace);
    // The first fsync(2) of what stood there would succeed now: the kernel has told of the failure.
    wire.ask("sync").ok();
    assert_ne!(before, inode(), "not written anew");
    wire.ask("sync").ok();
}

#[test]
fn without_a_process_to_write_it_sync_says_so_and_the_log_once() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    home.start_sleep("a");
    let mut wire = home.wire();
    wire.ask("sync").ok();
    let strace = trace(&home, "inject=clone,?fork:error=EAGAIN");
    for writer in home.list_writers() {
        proc::kill(writer, Signal::KILL);
    }
    home.wait_for_journal("the process that writes the list has ended");
    for _ in 0..3 {
        wire.ask("sync").refused("internal", "forking a process");
    }
    end(strace);
    wire.ask("sync").ok();
    let log = fs::read_to_string(home.root.join("rpmd.log")).unwrap();
    let lines = log.matches("forking a process for it").count();
    assert_eq!(lines, 1, "{log}");
}

#[test]
fn a_broken_list_never_replaces_the_backup() {
    let home = Home::new();
    home.start_sleep("a");
    home.rpm(&["save"]).ok();
    home.rpm(&["save"]).ok();
    let good = fs::read(home.root.join("dump.json.bak")).unwrap();
    for broken in ["", "[{\"rpm_version\": 1", "{}", "\0\0\0\0"] {
        fs::write(home.root.join("dump.json"), broken).unwrap();
        let output = home.rpm(&["save"]).ok();
        assert!(output.stderr.contains("kept as"), "{}", output.stderr);
        let kept = fs::read_to_string(home.root.join("dump.json.broken"));
        assert_eq!(kept.unwrap(), broken);
        assert_eq!(fs::read(home.root.join("dump.json.bak")).unwrap(), good);
        assert!(fs::read(home.root.join("dump.json")).unwrap().len() > 10);
    }
    // Something that is no file at all is no list either.
    fs::remove_file(home.root.join("dump.json")).unwrap();
    rpm::sys::fifo::make(&home.root.join("dump.json")).unwrap();
    home.rpm(&["save"]).ok();
    assert_eq!(fs::read(home.root.join("dump.json.bak")).unwrap(), good);
    home.rpm(&["resurrect"]).ok();
}
