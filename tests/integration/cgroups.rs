//! The cgroups of programs: where they are, whose they are, and when they go.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rpm::sys::cgroup::{self, Cgroup};
use rpm::sys::signal::Signal;

use crate::harness::run::spawn;
use crate::harness::{Home, proc, skip, wait_until};

/// The folder that this process may make groups in; none, and the test is passed over, where it may not.
fn own_folder() -> Option<PathBuf> {
    // Once for all tests: they are threads of one process, and would make the same group.
    static USABLE: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let own = cgroup::own_folder()?;
        let group = Cgroup::at(own.join(format!("rpm-try-{}", std::process::id())));
        let made = group.make();
        group.remove();
        made.is_ok().then_some(own)
    });
    if USABLE.is_none() {
        skip("no cgroup can be made here");
    }
    USABLE.clone()
}

/// Where the groups of a home's programs are.
fn folder_of(own: &Path, home: &Home) -> PathBuf {
    let meta = fs::metadata(&home.root).unwrap();
    own.join(format!("rpmd.{:x}-{:x}", meta.dev(), meta.ino()))
}

/// The path of the cgroup of a process.
fn cgroup_of(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let own = text.lines().find_map(|line| line.strip_prefix("0::"));
    own.unwrap().to_owned()
}

/// A process that only its cgroup links to the program, and its number in the file `hidden`.
const HIDDEN: &str = "(setsid env -i sh -c 'echo $$ > hidden; exec sleep 1000' > /dev/null 2>&1 &)\n\
                      exec sleep 1000\n";

/// The number that a program has written to a file.
fn number_in(home: &Home, file: &str) -> i32 {
    let mut pid = None;
    wait_until("the number of the hidden process", || {
        let text = fs::read_to_string(home.base.join(file)).unwrap_or_default();
        pid = text.trim().parse().ok();
        pid.is_some()
    });
    pid.unwrap()
}

#[test]
fn every_program_has_a_group_while_it_is_in_the_list_and_the_daemon_has_none_of_them() {
    let Some(own) = own_folder() else { return };
    let home = Home::new();
    let pid = home.start("x", HIDDEN, &[]).pid;
    let folder = folder_of(&own, &home);
    let group = Cgroup::at(folder.join("0"));
    let hidden = number_in(&home, "hidden");
    let mut members: Vec<i32> = group.pids().unwrap().iter().map(|pid| pid.get()).collect();
    members.sort_unstable();
    let mut expected = [pid, hidden];
    expected.sort_unstable();
    assert_eq!(members, expected);
    home.rpm(&["stop", "x"]).ok();
    assert!(!proc::lives(hidden) && group.exists());
    home.rpm(&["delete", "x"]).ok();
    assert!(!group.exists() && folder.exists());
    home.start_sleep("y");
    home.rpm(&["kill"]).ok();
    assert!(!folder.exists());
}

#[test]
fn the_next_daemon_finds_the_groups_wherever_it_is_started_itself() {
    let Some(own) = own_folder() else { return };
    let home = Home::new();
    let other = Cgroup::at(own.join(format!("rpm-other-{}", std::process::id())));
    other.make().unwrap();
    let join = format!("echo 0 > {}; exec $RPMD", other.members_file().display());
    home.shell(&join).ok();
    home.start("x", HIDDEN, &[]);
    let folder = folder_of(other.folder(), &home);
    let hidden = number_in(&home, "hidden");
    assert!(Cgroup::at(folder.join("0")).is_populated().unwrap());
    home.kill_daemons();
    home.rpm(&["stop", "x"]).ok();
    assert!(!proc::lives(hidden), "{}", proc::describe(hidden));
    home.rpm(&["kill"]).ok();
    assert!(!folder.exists());
    other.remove();
    assert!(!other.exists());
}

#[test]
fn who_lives_in_the_group_of_a_program_and_is_not_of_it_is_not_touched() {
    let Some(own) = own_folder() else { return };
    let home = Home::new();
    home.start_sleep("first");
    let group = Cgroup::at(folder_of(&own, &home).join("1"));
    group.make().unwrap();
    let join = format!(
        "echo 0 > {}; exec sleep 1000",
        group.members_file().display()
    );
    let mut stranger = std::process::Command::new("sh");
    let mut stranger = spawn(stranger.args(["-c", &join])).unwrap();
    let pid = i32::try_from(stranger.id()).unwrap();
    wait_until("a stranger", || group.is_populated().unwrap());
    home.start_sleep("second");
    for command in ["restart", "stop", "delete"] {
        home.rpm(&[command, "second"]).ok();
        assert!(proc::lives(pid), "{command}");
    }
    home.rpm(&["kill"]).ok();
    assert!(proc::lives(pid));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    group.remove();
    let _ = fs::remove_dir(folder_of(&own, &home));
}

#[test]
fn a_daemon_that_a_program_launches_is_not_part_of_the_program() {
    let Some(_) = own_folder() else { return };
    let (home, inner) = (Home::new(), Home::new());
    let text = format!(
        "RPM_HOME={} {} start sleep --name deep -- 1000\necho done\nexec sleep 1000\n",
        inner.root.display(),
        home.client()
    );
    let program = home.start("deploy", &text, &[]);
    home.wait_for_log("deploy-out.log", "done\n");
    let deep = inner
        .wait_for_state("deep", rpm::model::life::State::Online)
        .pid;
    assert!(cgroup_of(program.pid).contains("rpmd."));
    for pid in [inner.supervisor(), inner.log_writer().unwrap()] {
        assert!(!cgroup_of(pid).contains("rpmd."), "{}", proc::describe(pid));
    }
    home.rpm(&["stop", "deploy"]).ok();
    home.rpm(&["kill"]).ok();
    inner.rpm(&["ping"]).ok();
    assert!(proc::lives(deep) && proc::lives(inner.supervisor()));
}

#[test]
fn a_group_that_is_taken_away_costs_nothing_but_itself() {
    let Some(own) = own_folder() else { return };
    let home = Home::new();
    home.start_sleep("x");
    let folder = folder_of(&own, &home);
    home.rpm(&["stop", "x"]).ok();
    fs::remove_dir(folder.join("0")).unwrap();
    fs::remove_dir(&folder).unwrap();
    home.rpm(&["restart", "x"]).ok();
    let pid = home.program("x").pid;
    assert!(!cgroup_of(pid).contains("rpmd."));
    proc::kill(pid, Signal::KILL);
    home.wait_for("x", "another process", |p| p.pid != 0 && p.pid != pid);
    home.rpm(&["stop", "x"]).ok();
}

#[test]
fn what_leaves_the_group_is_found_all_the_same() {
    let Some(own) = own_folder() else { return };
    let home = Home::new();
    let other = Cgroup::at(own.join(format!("rpm-scope-{}", std::process::id())));
    other.make().unwrap();
    // As systemd-run --scope does it.
    let text = format!(
        "echo 0 > {}\n(setsid sh -c 'echo $$ > hidden.'$$'; exec sleep 1000' > /dev/null 2>&1 &)\nexec sleep 1000\n",
        other.members_file().display()
    );
    home.start("x", &text, &[]);
    for end in ["stop", "kill -9 of the leader", "delete"] {
        home.rpm(&["restart", "x"]).ok();
        let leader = home.program("x").pid;
        let hidden = number_in(&home, &format!("hidden.{leader}"));
        assert!(!cgroup_of(hidden).contains("rpmd."));
        match end {
            "delete" | "stop" => drop(home.rpm(&[end, "x"]).ok()),
            _ => {
                proc::kill(leader, Signal::KILL);
                home.wait_for("x", "another process", |p| p.pid != 0 && p.pid != leader);
            }
        }
        assert!(!proc::lives(hidden), "{end}: {}", proc::describe(hidden));
    }
    other.remove();
}

#[test]
fn a_child_that_leaves_the_group_is_found_while_its_leader_stays() {
    let Some(own) = own_folder() else { return };
    let home = Home::new();
    let other = Cgroup::at(own.join(format!("rpm-session-{}", std::process::id())));
    other.make().unwrap();
    // As su with pam_systemd does it.
    let text = format!(
        "sh -c 'echo 0 > {}; echo $$ > hidden.'$$'; exec sleep 1000' > /dev/null 2>&1 &\nexec sleep 1000\n",
        other.members_file().display()
    );
    home.start("x", &text, &[]);
    for end in ["stop", "crash", "restart", "delete"] {
        if end != "stop" {
            home.rpm(&["restart", "x"]).ok();
        }
        let leader = home.program("x").pid;
        let hidden = number_in(&home, &format!("hidden.{leader}"));
        assert!(cgroup_of(leader).contains("rpmd.") && !cgroup_of(hidden).contains("rpmd."));
        if end == "crash" {
            proc::kill(leader, Signal::KILL);
            home.wait_for("x", "another process", |p| p.pid != 0 && p.pid != leader);
        } else {
            home.rpm(&[end, "x"]).ok();
        }
        assert!(!proc::lives(hidden), "{end}: {}", proc::describe(hidden));
    }
    other.remove();
}

#[test]
fn what_left_the_group_and_has_no_mark_is_named() {
    let Some(own) = own_folder() else { return };
    let home = Home::new();
    let other = Cgroup::at(own.join(format!("rpm-unmarked-{}", std::process::id())));
    other.make().unwrap();
    let join = format!("echo 0 > {}\n", other.members_file().display());
    home.start("x", &(join + HIDDEN), &[]);
    let hidden = number_in(&home, "hidden");
    // Nothing but its cgroup linked it to the program.
    home.rpm(&["stop", "x"])
        .fails(&[&format!("pid {hidden} (sleep")]);
    // Nor does the end of the daemon say that nothing is left.
    home.rpm(&["kill"])
        .fails(&[&format!("pid {hidden} (sleep")]);
    proc::kill(hidden, Signal::KILL);
    wait_until("its group is empty", || !other.is_populated().unwrap());
    other.remove();
}

/// Below its group a program makes two, and in one of them more than are followed: then it goes on in the other.
const FOLDERS: &str = "(setsid env -i /bin/sh -c '
    cd \"$0\" && mkdir a b
    # The order of a hash: whichever comes first is filled.
    first=$(ls -U -d */ | head -n 1)
    last=$(ls -U -d */ | tail -n 1)
    (cd $first && seq 1100 | xargs mkdir)
    mkdir $last/x && echo 0 > $last/x/cgroup.procs
    cd \"$1\" && echo $$ > hidden
    exec sleep 1000' \"$GROUP\" \"$PWD\" > /dev/null 2>&1 &)
exec sleep 1000
";

#[test]
fn more_groups_than_are_followed_hide_nobody() {
    let Some(own) = own_folder() else { return };
    let home = Home::new();
    home.start_sleep("first");
    let group = folder_of(&own, &home).join("1");
    let text = format!("GROUP={}\n{FOLDERS}", group.display());
    home.start("x", &text, &[]);
    let hidden = number_in(&home, "hidden");
    assert!(cgroup_of(hidden).ends_with("/x"));
    home.rpm(&["stop", "x"]).ok();
    assert!(!proc::lives(hidden), "{}", proc::describe(hidden));
}
