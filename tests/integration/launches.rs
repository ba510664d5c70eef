//! What stands in the place of a file, and file systems that hang: nobody waits for them, and the sentence names them.

use std::fs;
use std::path::Path;

use rpm::model::life::State;
use rpm::sys::signal::Signal;
use rpm::sys::{fifo, lock::Lock};

use crate::harness::killer::cannot_trace;
use crate::harness::run::Running;
use crate::harness::wire::Wire;
use crate::harness::{Home, proc, skip, wait_until};

/// Puts a FIFO that nobody reads in the place of a file.
fn put_fifo(path: &Path) {
    let _ = fs::remove_file(path);
    fifo::make(path).unwrap();
}

#[test]
fn a_pid_file_that_is_no_file_fails_the_start_and_stays() {
    let home = Home::new();
    let path = home.base.join("pid");
    fifo::make(&path).unwrap();
    let link = home.base.join("device");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    for name in ["pid", "device"] {
        home.rpm(&["start", "sleep", "-p", name, "--", "1000"])
            .fails(&[&format!("/{name}: it is a FIFO, a device or a socket")]);
    }
    let reader = fifo::open(&path).unwrap();
    home.rpm(&["start", "sleep", "-p", "pid", "--", "1000"])
        .fails(&["/pid: it is a FIFO"]);
    drop(reader);
    home.rpm(&["start", "sleep", "-p", ".", "--", "1000"])
        .fails(&["Is a directory"]);
    assert!(path.exists() && link.symlink_metadata().is_ok());
    assert!(home.list().is_empty());
}

#[test]
fn the_pid_file_of_a_user_is_made_with_its_folder_and_removed_unless_it_is_another_one_by_then() {
    let home = Home::new();
    home.rpm(&["start", "sleep", "-n", "a", "-p", "x/y/a.pid", "--", "1000"])
        .ok();
    let path = home.base.join("x/y/a.pid");
    let pid = home.program("a").pid;
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{pid}\n"));
    home.rpm(&["stop", "a"]).ok();
    assert!(!path.exists());
    home.rpm(&["start", "a"]).ok();
    fs::write(&path, "somebody else's\n").unwrap();
    home.rpm(&["delete", "a"]).ok();
    assert_eq!(fs::read_to_string(&path).unwrap(), "somebody else's\n");
}

#[test]
fn fifos_in_the_place_of_the_homes_files_hold_nobody_up() {
    let home = Home::new();
    home.start_sleep("a");
    let pid = home.program("a").pid;
    home.rpm(&["save"]).ok();
    home.kill_daemons();
    for name in ["rpmd.log", "dump.json", "rpmd.gave-up"] {
        put_fifo(&home.root.join(name));
    }
    assert_eq!(home.rpm(&["list"]).ok().code, 0);
    assert_eq!(home.program("a").pid, pid);
    // The test reads it, too.
    fs::remove_file(home.root.join("rpmd.log")).unwrap();
    home.rpm(&["resurrect"])
        .fails(&["dump.json", "it is a FIFO"]);
    home.rpm(&["sync"]).ok();
    put_fifo(&home.root.join("run/list"));
    home.rpm(&["sync"]).fails(&["the file was removed"]);
    home.rpm(&["sync"]).ok();
    put_fifo(&home.root.join("pids/a-0.pid"));
    home.rpm(&["restart", "a"]).ok();
    home.rpm(&["kill"]);
}

/// The children of a daemon are stopped in a system call before they execute a program: nothing but SIGKILL moves them.
struct Hang(Running);

impl Hang {
    fn at(home: &Home, call: &str) -> Hang {
        let pid = home.supervisor().to_string();
        let inject = format!("inject={call}:signal=STOP");
        let trace = home.base.join("trace");
        let trace = trace.to_str().unwrap();
        let words = ["strace", "-f", "-o", trace, "-e", &inject, "-p", &pid];
        let mut strace = Running::start(home.command(&words));
        strace.wait_for_line("attached");
        Hang(strace)
    }

    fn end(mut self) {
        proc::kill(self.0.pid(), Signal::TERM);
        self.0.wait();
    }
}

#[test]
fn a_child_that_hangs_before_it_executes_holds_nothing_and_is_ended_at_once() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    home.start_sleep("other");
    home.rpm(&["start", "sleep", "-n", "hangs", "-k", "1h", "--", "1000"])
        .ok();
    home.rpm(&["stop", "hangs"]).ok();
    let hang = Hang::at(&home, "chdir");
    let mut waits = home.wire();
    waits.send("restart target=hangs\n");
    let child = home.wait_for("hangs", "a child", |p| p.pid != 0).pid;
    wait_until("the child hangs", || proc::name(child) == "rpmd-cwd");
    assert_eq!(home.program("hangs").state, State::Launching);
    // Others are served, and the kill signal, which it has blocked, is not waited for: that would take an hour.
    home.rpm(&["stop", "other"]).ok();
    home.rpm(&["stop", "hangs"]).ok();
    assert_eq!(home.program("hangs").state, State::Stopped);
    assert!(!proc::lives(child));
    let mut waits = home.wire();
    waits.send("restart target=hangs\n");
    let child = home.wait_for("hangs", "a child", |p| p.pid != 0).pid;
    wait_until("the child hangs", || proc::name(child) == "rpmd-cwd");
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::KILL);
    wait_until("the lock is free, though the child lives", || {
        proc::lives(child) && matches!(Lock::acquire(&home.root), Ok(Some(_)))
            || home.supervisor() != supervisor
    });
    hang.end();
}

#[test]
fn a_launch_that_hangs_fails_after_its_time() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    home.start_sleep("other");
    let hang = Hang::at(&home, "chdir");
    let mut wire = home.wire();
    wire.send("start script=/bin/sleep args=1000 cwd=/srv\n");
    wire.answer().refused(
        "exec-failed",
        "entering /srv: it took more than 20 s; the file system may hang",
    );
    assert_eq!(home.list().len(), 1);
    hang.end();
}

/// The file system of a path that a user named may hang. The children of the daemon are not traced: they may wait.
#[test]
fn the_daemon_itself_looks_at_no_path_that_a_user_named() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    let named = home.base.join("of-the-user");
    fs::create_dir(&named).unwrap();
    let file = |name: &str| named.join(name).to_str().unwrap().to_owned();
    fs::write(file("x.sh"), "echo hello\nexec sleep 1000\n").unwrap();
    std::os::unix::fs::symlink(file("target.log"), file("link.log")).unwrap();
    let trace = home.base.join("trace");
    let serve = || {
        let mut words = vec!["strace", "-A", "-o", trace.to_str().unwrap()];
        let daemon = home.daemon();
        words.extend(["-e", "trace=%file,bind,connect", &daemon, "--foreground"]);
        let rpmd = Running::start(home.command(&words));
        wait_until("a daemon", || {
            let wire = Wire::try_connect(&home.root);
            wire.is_ok_and(|mut wire| {
                wire.try_send("ping\n").is_ok() && wire.line().is_some_and(|l| l.tag == "ok")
            })
        });
        rpmd
    };
    let first = serve();
    let (out, err, both, pid) = (file("o.log"), file("e.log"), file("link.log"), file("pid"));
    let flags = ["-o", &out, "-e", &err, "-l", &both, "-p", &pid];
    let (folder, script) = (named.to_str().unwrap(), file("x.sh"));
    let start = ["start", &script, "-n", "x", "--cwd", folder];
    home.rpm(&[&start[..], &flags].concat()).ok();
    let place = format!("unix:{}", file("socket"));
    let listen = [
        "start", "sleep", "-n", "l", "--listen", &place, "--", "1000",
    ];
    home.rpm(&listen).ok();
    assert!(named.join("socket").exists());
    home.rpm(&["delete", "l"]).ok();
    assert!(!named.join("socket").exists());
    home.rpm(&["restart", "x"]).ok();
    home.rpm(&[
        "restart",
        "x",
        "-o",
        &file("other.log"),
        "-p",
        &file("pid2"),
    ])
    .ok();
    proc::kill(home.program("x").pid, Signal::KILL);
    home.wait_for_state("x", State::Online);
    for request in ["flush", "rotate", "reopen", "describe target=x", "sync"] {
        home.wire().ask(request).ok();
    }
    home.rpm(&["stop", "x"]).ok();
    home.rpm(&["start", "x"]).ok();
    // The next one adopts it.
    let running = home.program("x").pid;
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::KILL);
    // Until then it has the lock, and the next one is refused.
    wait_until("the end of the daemon", || !proc::lives(supervisor));
    drop(first);
    let second = serve();
    assert_eq!(home.program("x").pid, running);
    home.rpm(&["delete", "x"]).ok();
    home.rpm(&["kill"]).ok();
    drop(second);
    let calls = fs::read_to_string(&trace).unwrap();
    assert!(calls.contains("rpmd.state"), "nothing was traced: {calls}");
    let looks: Vec<&str> = calls.lines().filter(|l| l.contains(folder)).collect();
    assert!(looks.is_empty(), "{looks:#?}");
}

/// The disk of the home may hang, too. What a supervisor does before it serves is not meant.
#[test]
fn while_it_serves_the_daemon_itself_touches_no_file_of_the_home() {
    if let Some(reason) = cannot_trace() {
        return skip(reason);
    }
    let home = Home::new();
    home.start_sleep("x");
    let supervisor = home.supervisor();
    let trace = home.base.join("trace");
    // Without the bytes that are read and written: paths are in them.
    let words = [
        "strace",
        "-y",
        "-s",
        "0",
        "-o",
        trace.to_str().unwrap(),
        "-p",
    ];
    let pid = supervisor.to_string();
    let mut strace = Running::start(home.command(&[&words[..], &[&pid]].concat()));
    strace.wait_for_line("attached");
    home.start_sleep("y");
    for _ in 0..2 {
        home.rpm(&["restart", "all"]).ok();
        let before = home.program("x").pid;
        proc::kill(before, Signal::KILL);
        home.wait_for("x", "another process", |p| {
            p.state == State::Online && p.pid != before
        });
        home.wire().ask("restart target=x env.A=1").ok();
        for request in [
            "flush",
            "rotate",
            "reopen",
            "describe target=x",
            "sync",
            "ping",
        ] {
            home.wire().ask(request).ok();
        }
        home.rpm(&["save"]).ok();
        home.rpm(&["stop", "x"]).ok();
        home.rpm(&["start", "x"]).ok();
        home.rpm(&["update"]).ok();
    }
    home.rpm(&["delete", "y"]).ok();
    home.rpm(&["list"]).ok();
    proc::kill(strace.pid(), Signal::TERM);
    strace.wait();
    let calls = fs::read_to_string(&trace).unwrap();
    assert!(calls.contains("clone") || calls.contains("fork"), "{calls}");
    let root = home.root.to_str().unwrap();
    // Pipes are in no file system, but for their names; they arrive by the socket of the process that made them.
    let of_pipes = ["recvmsg(", "close(", "ioctl(", "tee(", "fstat(", "fcntl("];
    let mut starting = false;
    let touching = calls.lines().filter(|call| {
        starting |= call.starts_with("execve(");
        starting &= !call.starts_with("ppoll(");
        let is_pipe = of_pipes.iter().any(|begin| call.starts_with(begin));
        // Its lock is handed over to the next release.
        let is_lock = call.starts_with("fcntl(") && call.contains("F_SETFD");
        // Where a log writer has ended, here as it was of another release, the next one is made by this path.
        let is_logger = call.contains("/log.sock\"");
        let allowed = is_pipe && call.contains("/run/") || is_lock || is_logger;
        !starting && call.contains(root) && !allowed
    });
    let touching: Vec<&str> = touching.collect();
    assert!(touching.is_empty(), "{touching:#?}");
}
