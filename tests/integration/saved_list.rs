//! `save`, `resurrect` and `cleardump`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rpm::model::life::{State, Want};
use rpm::protocol::process::Process;

use crate::harness::{Home, has, is_root, proc, project, skip};

/// What of a program a saved list keeps.
fn kept(home: &Home) -> Vec<(String, String, u32, Want)> {
    let kept = |p: Process| (p.name, p.namespace, p.instance, p.want);
    home.list().into_iter().map(kept).collect()
}

/// What all programs were told, a line of the protocol each, without what is counted or numbered anew.
fn specs(home: &Home) -> Vec<String> {
    let counted = [
        "id",
        "pid",
        "since",
        "created",
        "restarts",
        "unstable",
        "cpu",
        "memory",
        "exit_code",
        "exit_signal",
        "out_path",
        "error_path",
        "pid_path",
    ];
    let mut rows = home.wire().ask("describe").ok().rows;
    for row in &mut rows {
        row.fields
            .retain(|(key, _)| !counted.contains(&key.as_str()));
    }
    let lines = rows
        .iter()
        .map(|row| row.to_bytes().escape_ascii().to_string());
    lines.collect()
}

fn dump(home: &Home) -> PathBuf {
    home.root.join("dump.json")
}

fn backup(home: &Home) -> PathBuf {
    home.root.join("dump.json.bak")
}

/// Forgets all programs and ends the daemon.
fn forget(home: &Home) {
    home.rpm(&["kill"]).ok();
}

#[test]
fn what_was_saved_comes_back_the_same() {
    let home = Home::new();
    home.start(
        "plain",
        "exec sleep 1000",
        &["--no-autorestart", "--namespace", "jobs", "-k", "3s"],
    );
    home.start_sleep("down");
    home.rpm(&["stop", "down"]).ok();
    home.rpm(&["start", "sleep", "--name", "four", "-i", "4", "--", "1000"])
        .ok();
    // Bytes that are no UTF-8: in paths, an argument and the environment.
    home.script("sleep.sh", "exec sleep 1000");
    home.shell(
        "d=$(printf 'd\\377'); mkdir \"$d\"; cd \"$d\"; export X=$(printf '\\200\\303\\251\"')
         $RPM start ../sleep.sh --name bytes -o \"$(printf 'o\\376.log')\" -- \"$X\" '' && $RPM stop 3 5 && $RPM delete 4",
    )
    .ok();
    let (before, before_specs) = (kept(&home), specs(&home));
    assert_eq!(before.len(), 6);
    let output = home.rpm(&["save"]).ok();
    assert_eq!(
        output.stdout,
        format!("rpm: saved 6 programs in {}\n", dump(&home).display())
    );
    let mode = fs::metadata(dump(&home)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    forget(&home);
    let output = home.rpm(&["resurrect"]).ok();
    assert_eq!(
        output
            .stdout
            .lines()
            .filter(|l| l.starts_with("rpm: restored "))
            .count(),
        6
    );
    assert_eq!(kept(&home), before);
    for (now, before) in specs(&home).iter().zip(&before_specs) {
        assert!(now == before, "{now}\nwas\n{before}");
    }
    assert!(
        before_specs[5].contains("X=\\x80\\xc3\\xa9"),
        "{}",
        before_specs[5]
    );
    for program in home.list() {
        let state = match program.want {
            Want::Up => State::Online,
            Want::Down => State::Stopped,
        };
        assert_eq!((program.state, program.restarts), (state, 0), "{program:?}");
    }
    home.rpm(&["dump"]).ok();
    let (last, first) = (
        fs::read_to_string(dump(&home)),
        fs::read_to_string(backup(&home)),
    );
    assert!(first.unwrap() != last.unwrap(), "the list before is kept");
}

#[test]
fn what_was_never_to_run_does_not_run_for_a_moment() {
    let home = Home::new();
    home.rpm(&["start", "sleep", "--name", "pair", "-i", "2", "--", "1000"])
        .ok();
    home.rpm(&["stop", "1"]).ok();
    home.rpm(&["save"]).ok();
    home.rpm(&["delete", "all"]).ok();
    home.rpm(&["resurrect"]).ok();
    let list = home.list();
    assert_eq!(
        (list[0].state, list[1].state),
        (State::Online, State::Stopped)
    );
    // One that ran and was stopped would tell how it ended.
    assert_eq!((list[1].exit, list[1].instance), (None, 1));
}

#[test]
fn what_runs_is_left_alone() {
    let home = Home::new();
    home.start_sleep("a");
    home.rpm(&["start", "sleep", "--name", "b", "-i", "3", "--", "1000"])
        .ok();
    home.rpm(&["save"]).ok();
    let before = home.list();
    let output = home.rpm(&["resurrect"]).ok();
    assert!(
        output.stdout.contains("rpm: left alone a (id 0, pid"),
        "{}",
        output.stdout
    );
    assert_eq!(home.list(), before);
    // What is missing comes back: an instance, and a namesake in another namespace.
    home.rpm(&["delete", "2", "a"]).ok();
    home.rpm(&[
        "start",
        "sleep",
        "--name",
        "a",
        "--namespace",
        "other",
        "--",
        "1000",
    ])
    .ok();
    home.rpm(&["resurrect"]).ok();
    let mut now = kept(&home);
    now.sort_by(|a, b| (&a.0, &a.1, a.2).cmp(&(&b.0, &b.1, b.2)));
    let names: Vec<_> = now
        .iter()
        .map(|(n, s, i, _)| (n.as_str(), s.as_str(), *i))
        .collect();
    let expected = [
        ("a", "default", 0),
        ("a", "other", 0),
        ("b", "default", 0),
        ("b", "default", 1),
        ("b", "default", 2),
    ];
    assert_eq!(names, expected);
}

#[test]
fn two_at_once_start_nothing_twice() {
    let home = Home::new();
    for name in ["a", "b", "c"] {
        home.start_sleep(name);
    }
    home.rpm(&["save"]).ok();
    home.rpm(&["delete", "all"]).ok();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| home.rpm(&["resurrect"]).ok());
        }
    });
    assert_eq!(kept(&home).len(), 3);
}

#[test]
fn an_empty_list_is_saved_only_by_force() {
    let home = Home::new();
    home.rpm(&["resurrect"])
        .fails(&["there is no saved list in", "rpm save"]);
    home.start_sleep("a");
    home.rpm(&["save"]).ok();
    home.rpm(&["delete", "all"]).ok();
    let before = fs::read(dump(&home)).unwrap();
    home.rpm(&["save"])
        .fails(&["there are no programs", "--force"]);
    assert_eq!(fs::read(dump(&home)).unwrap(), before);
    home.rpm(&["save", "--force"]).ok();
    assert_eq!(fs::read(dump(&home)).unwrap(), b"[]\n");
    home.rpm(&["resurrect"]).ok();
    assert!(home.list().is_empty());
    home.rpm(&["cleardump"]).ok();
    assert!(!dump(&home).exists() && !backup(&home).exists());
    home.rpm(&["cleardump"]).ok();
}

#[test]
fn a_damaged_list_gives_way_to_the_one_before() {
    let home = Home::new();
    home.start_sleep("a");
    home.rpm(&["save"]).ok();
    home.start_sleep("b");
    home.rpm(&["save"]).ok();
    forget(&home);
    let whole = fs::read(dump(&home)).unwrap();
    fs::write(dump(&home), &whole[..whole.len() / 2]).unwrap();
    let output = home.rpm(&["resurrect"]).ok();
    assert!(
        output.stderr.contains("dump.json:") && output.stderr.contains("dump.json.bak"),
        "{}",
        output.stderr
    );
    assert_eq!(kept(&home).len(), 1);
    fs::remove_file(dump(&home)).unwrap();
    home.rpm(&["resurrect"]).ok();
    fs::write(dump(&home), "[{]").unwrap();
    fs::write(backup(&home), "[\n{\"rpm_version\": 1}]").unwrap();
    home.rpm(&["resurrect"])
        .fails(&["dump.json:1:3: expected", "dump.json.bak:2:1: expected"]);
    assert_eq!(kept(&home).len(), 1);
}

#[test]
fn one_that_cannot_be_started_keeps_no_other_from_it() {
    let home = Home::new();
    let gone = home.script("gone.sh", "#!/bin/sh\nexec sleep 1000\n");
    home.rpm(&["start", &gone, "--interpreter", "none"]).ok();
    home.start_sleep("a");
    home.rpm(&["save"]).ok();
    forget(&home);
    fs::remove_file(gone).unwrap();
    home.rpm(&["resurrect"])
        .fails(&["cannot restore gone", "No such file"]);
    assert_eq!(home.program("a").state, State::Online);
    assert_eq!(kept(&home).len(), 1);
}

#[test]
fn the_list_of_pm2_is_read() {
    if !has("node") {
        return skip("node is not installed");
    }
    let home = Home::new();
    let app = home.script("app.js", "setInterval(() => {}, 1000)");
    let shell = home.script("s.sh", "exec sleep 1000");
    let given = fs::read_to_string(project().join("tests/fixtures/dump-7.pm2")).unwrap();
    let folder = home.base.to_str().unwrap();
    let path = std::env::var("PATH").unwrap();
    let given = given
        .replace("/srv/app/app.js", &app)
        .replace("/srv/app/s.sh", &shell)
        .replace("/srv/app", folder)
        .replace(
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            &path,
        );
    fs::write(home.base.join("dump.pm2"), given).unwrap();
    let output = home.rpm(&["resurrect", "dump.pm2"]).ok();
    assert!(
        output
            .stderr
            .contains("py: cron_restart is not supported yet"),
        "{}",
        output.stderr
    );
    let list = home.list();
    let shown: Vec<_> = list
        .iter()
        .map(|p| (p.name.as_str(), p.instance, p.state))
        .collect();
    let expected = [
        ("api", 0, State::Online),
        ("api", 1, State::Online),
        ("py", 0, State::Stopped),
        ("sh", 0, State::Online),
        ("shell", 0, State::Online),
    ];
    assert_eq!(shown, expected);
    let names: Vec<String> = proc::environment_of_live(list[0].pid)
        .iter()
        .map(|a| {
            String::from_utf8_lossy(a)
                .split('=')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    // It was a worker of a cluster there, and is one here.
    names.retain(|name| !name.starts_with("NODE_CHANNEL_") && *name != "NODE_UNIQUE_ID");
    let own = ["RPM_HOME", "RPM_ID", "RPM_NAME", "name", "pm_id"];
    let expected = [
        &["HOME", "LANG", "NODE_APP_INSTANCE", "PATH", "PORT", "PWD"][..],
        &own,
    ]
    .concat();
    assert_eq!(names, expected);
    let arguments = proc::arguments(list[0].pid);
    assert_eq!(arguments[1..], [app.as_str(), "--port", "30 00"]);
    home.rpm(&["resurrect", "missing.pm2"])
        .fails(&["missing.pm2", "No such file"]);
}

#[test]
fn a_save_that_is_killed_leaves_the_list_as_it_was() {
    if !has("strace") {
        return skip("strace is not installed");
    }
    let home = Home::new();
    home.start_sleep("a");
    home.rpm(&["save"]).ok();
    home.start_sleep("b");
    let before = fs::read(dump(&home)).unwrap();
    let killed = home.shell(
        "strace -qq -o /dev/null -e trace=rename,renameat,renameat2 \
         -e inject=rename,renameat,renameat2:signal=KILL $RPM save",
    );
    assert_ne!(killed.code, 0, "{}", killed.shown());
    assert_eq!(fs::read(dump(&home)).unwrap(), before);
    assert!(
        home.root.join("dump.json.new").exists(),
        "it was killed before the rename"
    );
    home.rpm(&["save"]).ok();
    assert!(
        fs::read_to_string(dump(&home))
            .unwrap()
            .contains("\"name\": \"b\"")
    );
    assert!(!home.root.join("dump.json.new").exists());
}

/// Runs a script that has the home, where the program `a` runs and is saved, on a small file system of its own.
fn on_a_small_disk(home: &Home, script: &str) {
    if !is_root() || !has("unshare") {
        return skip("only root, with unshare, can mount a file system");
    }
    let all = format!(
        "set -e; mkdir $RPM_HOME; mount -t tmpfs -o size=512k,mode=700 tmpfs $RPM_HOME || exit 99
         trap '$RPM kill' EXIT
         $RPM start sleep --name a -- 1000; $RPM save; cp $RPM_HOME/dump.json before; $RPM start sleep --name b -- 1000
         {script}
         cmp $RPM_HOME/dump.json before; test ! -e $RPM_HOME/dump.json.new"
    );
    let command = home.command(&["unshare", "-m", "bash", "-c", &all]);
    let mut command = command;
    command.env("RPM", home.client());
    let output = home.run(command);
    match output.code {
        99 => skip("nothing can be mounted here"),
        _ if output.stderr.starts_with("unshare:") => skip("nothing may be mounted here"),
        _ => drop(output.ok()),
    }
}

#[test]
fn a_full_disk_leaves_the_list_as_it_was() {
    let home = Home::new();
    on_a_small_disk(
        &home,
        "head -c 1M /dev/zero > $RPM_HOME/filler 2>/dev/null || true
         ! $RPM save 2> said; cat said; grep -q 'dump.json.new: No space left on device' said
         rm $RPM_HOME/filler; $RPM save; grep -q '\"name\": \"b\"' $RPM_HOME/dump.json
         cmp $RPM_HOME/dump.json.bak before; cp before $RPM_HOME/dump.json",
    );
}

#[test]
fn a_home_that_cannot_be_written_leaves_the_list_as_it_was() {
    let home = Home::new();
    on_a_small_disk(
        &home,
        // After a restart the log writer has opened its files; then it is busy as long as the daemon is just writing one.
        "$RPM restart b; mount --bind $RPM_HOME $RPM_HOME
         n=0; until mount -o remount,bind,ro $RPM_HOME; do n=$((n + 1)); test $n -lt 1000; done
         ! $RPM save 2> said; cat said; grep -q 'dump.json.new: Read-only file system' said
         ! $RPM cleardump 2> said; cat said; grep -q 'removing .*dump.json.*: Read-only file system' said
         $RPM resurrect; umount $RPM_HOME",
    );
}
