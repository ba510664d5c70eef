//! What a program finds when it begins.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::wait::wait_for_end;
use crate::harness::{Home, proc, wait_until};

/// The environment of the person who starts it.
const PERSON: [(&str, &str); 4] = [
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("HOME", "/home/nobody"),
    ("GREETING", "two words\nand a line"),
    ("EMPTY", ""),
];

/// Starts `sleep` in the folder `there` with umask 027, by a client that `wrapper` has made a mess of.
fn start(home: &Home, wrapper: &str) {
    let there = home.base.join("there");
    let _ = fs::create_dir(&there);
    let script = format!(
        "umask 027; exec 9<>{}/held; exec {wrapper} {} start sleep --name tidy -- 1000",
        home.base.display(),
        home.client()
    );
    let mut command = home.command(&["/bin/sh", "-c", &script]);
    command.env_clear().envs(PERSON).env("RPM_HOME", &home.root);
    command.current_dir(&there);
    home.run(command).ok();
}

fn assert_clean(home: &Home) {
    let program = home.program("tidy");
    assert_eq!(program.state, State::Online);
    let pid = program.pid;
    for field in ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"] {
        assert_eq!(proc::status(pid, field), "0000000000000000", "{field}");
    }
    assert_eq!(proc::status(pid, "Umask"), "0027");
    let stat = proc::stat(pid);
    let own = pid.to_string();
    assert_eq!(
        stat[2..5],
        [own.as_str(), own.as_str(), "0"],
        "group, session, terminal"
    );
    let there = home.base.join("there");
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), there);
    let pipe = |name: &str| home.root.join(format!("run/{}.{name}", program.id));
    let only: Vec<(i32, PathBuf)> =
        vec![(0, "/dev/null".into()), (1, pipe("out")), (2, pipe("err"))];
    // The loader of the program has files open for a moment.
    wait_until("only the descriptors 0, 1 and 2", || {
        proc::descriptors(pid) == only
    });
    let text = |name: &str, value: &[u8]| [name.as_bytes(), b"=", value].concat();
    let mut wanted: BTreeSet<Vec<u8>> = PERSON
        .iter()
        .map(|(name, value)| text(name, value.as_bytes()))
        .collect();
    let id = program.id.to_string();
    for (name, value) in [
        ("RPM_ID", id.as_bytes()),
        ("RPM_NAME", b"tidy"),
        ("RPM_HOME", home.root.as_os_str().as_bytes()),
        ("pm_id", id.as_bytes()),
        ("name", b"tidy"),
        ("NODE_APP_INSTANCE", b"0"),
        ("PWD", there.as_os_str().as_bytes()),
    ] {
        wanted.insert(text(name, value));
    }
    let environment = proc::environment_of_live(pid);
    let count = environment.len();
    let found: BTreeSet<Vec<u8>> = environment.into_iter().collect();
    assert_eq!(count, found.len(), "a variable is there twice");
    assert_eq!(found, wanted);
}

#[test]
fn a_program_begins_with_nothing_but_what_is_its_own() {
    let home = Home::new();
    start(&home, "");
    assert_clean(&home);
}

#[test]
fn a_program_that_is_restarted_or_has_crashed_begins_like_the_first_time() {
    let home = Home::new();
    start(&home, "");
    home.rpm(&["restart", "tidy"]).ok();
    assert_clean(&home);
    let first = home.program("tidy").pid;
    let mut events = home.events();
    proc::kill(first, Signal::KILL);
    events.wait_for("the next run", |p| {
        p.state == State::Online && p.pid != first
    });
    assert_clean(&home);
}

/// The first client launches the daemon too; the second meets one that runs.
#[test]
fn a_program_inherits_no_mess_of_the_client_that_starts_it_or_the_daemon() {
    let home = Home::new();
    let mess =
        "env --ignore-signal=PIPE --ignore-signal=HUP --ignore-signal=INT --block-signal=USR1";
    start(&home, mess);
    assert_clean(&home);
    home.rpm(&["delete", "tidy"]).ok();
    start(&home, mess);
    assert_clean(&home);
    home.rpm(&["kill"]).ok();
    let daemon = home.daemon();
    let messy: Vec<&str> = mess.split(' ').chain([daemon.as_str()]).collect();
    home.run(home.command(&messy)).ok();
    start(&home, "");
    assert_clean(&home);
}

#[test]
fn the_daemons_hold_no_file_of_whoever_launched_them() {
    let home = Home::new();
    start(&home, "");
    let held = home.base.join("held");
    for pid in proc::of_home(&home.root) {
        let open = proc::descriptors(pid);
        assert!(
            open.iter().all(|(_, path)| *path != held),
            "{} holds {open:?}",
            proc::describe(pid)
        );
    }
}

/// However the daemon came to be: what it has changed for itself is not passed on.
#[test]
fn a_program_has_the_limits_and_the_nice_value_of_whoever_launched_the_daemon() {
    let home = Home::new();
    home.shell("ulimit -S -n 300; exec nice -n 2 $RPM start sleep -- 1000")
        .ok();
    let is_as_it_was = || {
        let pid = home.program("sleep").pid;
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let mut lines = limits.lines();
        let line = lines.find(|l| l.starts_with("Max open files")).unwrap();
        assert_eq!(line.split_ascii_whitespace().nth(3), Some("300"), "{line}");
        // Field 19.
        assert_eq!(proc::stat(pid)[16], "2");
    };
    is_as_it_was();
    home.rpm(&["update"]).ok();
    home.rpm(&["restart", "sleep"]).ok();
    is_as_it_was();
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
    crate::harness::wait_until("the log writer has another one", || {
        crate::harness::wire::Wire::try_connect(&home.root).is_ok()
    });
    home.rpm(&["restart", "sleep"]).ok();
    is_as_it_was();
}
