//! Homes and daemons of other users: nothing is made there, and nothing told to them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use crate::harness::run::spawn;
use crate::harness::{Home, has, is_root, skip, wait_until};

const ALICE: u32 = 4321;

fn give(path: &Path) {
    lchown(path, Some(ALICE), Some(ALICE)).unwrap();
}

/// Whether it is as it was made: nothing in it, mode 0755.
#[track_caller]
fn is_untouched(folder: &Path) {
    let mode = folder.metadata().unwrap().mode() & 0o7777;
    let inside = fs::read_dir(folder).unwrap().count();
    assert_eq!((mode, inside), (0o755, 0), "{}", folder.display());
}

fn folder(path: &Path) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Every way to have a home.
#[track_caller]
fn all_refuse(home: &Home, parts: &[&str]) {
    let daemon = home.daemon();
    home.rpm(&["list"]).fails(parts);
    home.rpm(&["start", "sleep", "--", "1000"]).fails(parts);
    for words in [&[daemon.as_str()][..], &[&daemon, "--foreground"]] {
        home.run(home.command(words)).fails(parts);
    }
}

#[test]
fn a_home_that_somebody_elses_link_leads_to_is_left_as_it_is() {
    if !is_root() {
        return skip("only root can give links away");
    }
    let home = Home::new();
    let target = home.base.join("target");
    folder(&target);
    symlink(&target, &home.root).unwrap();
    give(&home.root);
    all_refuse(&home, &["belongs to 4321", "RPM_HOME"]);
    is_untouched(&target);
    // A link of one's own is one's own business.
    lchown(&home.root, Some(0), Some(0)).unwrap();
    home.rpm(&["ping"]).ok();
    assert_eq!(target.metadata().unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn a_home_below_the_folder_of_another_user_is_refused_to_root() {
    if !is_root() {
        return skip("only root can give folders away");
    }
    let mut home = Home::new();
    let alice = home.base.join("alice");
    folder(&alice);
    give(&alice);
    home.root = alice.join(".rpm");
    let shown = alice.to_str().unwrap().to_owned();
    all_refuse(&home, &[&shown, "belongs to 4321", "sudo -H"]);
    is_untouched(&alice);
    // Also where sudo has made it already.
    fs::create_dir(&home.root).unwrap();
    all_refuse(&home, &[&shown, "belongs to 4321", "sudo -H"]);
    assert!(fs::read_dir(&home.root).unwrap().next().is_none());
    // No folder of another user is needed for a refusal.
    let open = home.base.join("open");
    folder(&open);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    home.root = open.join("h");
    all_refuse(&home, &[open.to_str().unwrap(), "everybody may write"]);
    assert!(!home.root.exists());
}

#[test]
fn a_user_is_told_whose_home_it_is_where_root_has_made_it() {
    if !is_root() || !has("setpriv") {
        return skip("only root, with setpriv, can become another user");
    }
    let mut home = Home::of_another_user();
    home.root = home.base.join(".rpm");
    fs::create_dir(&home.root).unwrap();
    fs::set_permissions(&home.root, fs::Permissions::from_mode(0o700)).unwrap();
    let whose = format!("{} belongs to root, and you are", home.root.display());
    for command in ["list", "ping", "kill"] {
        let output = home.rpm(&[command]);
        let said = output.stderr.clone();
        output.fails(&[&whose, "sudo chown -R"]);
        assert!(!said.contains("the daemon"), "no daemon runs: {said}");
    }
    fs::remove_dir(&home.root).unwrap();
}

/// Something that listens at the home's socket as Alice, and writes down what it is sent.
const LISTENER: &str = "use IO::Socket::UNIX; my ($at, $log) = @ARGV; \
    my $l = IO::Socket::UNIX->new(Local => $at, Listen => 9) or die; chmod 0777, $at; \
    open(my $f, '>', $log); $f->autoflush(1); \
    while (my $c = $l->accept) { if (!fork) { $c->autoflush(1); while (my $line = <$c>) { print $f $line; \
    print $c $line =~ /^hello/ ? \"ok pid=1 version=0.1.0 protocol=1\\n\" : \"ok\\n\" } exit } }";

#[test]
fn no_environment_is_told_to_the_daemon_of_somebody_else() {
    if !is_root() || !has("setpriv") || !has("perl") {
        return skip("only root, with setpriv and perl, can have a daemon of somebody else");
    }
    let home = Home::new();
    folder(&home.root);
    give(&home.root);
    let (socket, log) = (home.root.join("rpmd.sock"), home.root.join("received"));
    let mut command = home.command(&[
        "setpriv",
        &format!("--reuid={ALICE}"),
        &format!("--regid={ALICE}"),
        "--clear-groups",
        "perl",
        "-e",
        LISTENER,
        socket.to_str().unwrap(),
        log.to_str().unwrap(),
    ]);
    let mut listener = spawn(&mut command).unwrap();
    wait_until("the listener", || log.exists());
    let file = home.base.join("app.json");
    fs::write(
        &file,
        r#"{"name": "x", "script": "/bin/sleep", "args": "1000"}"#,
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let run = |words: &[&str]| {
        let client = home.client();
        let all = [&[client.as_str()], words].concat();
        let mut command = home.command(&all);
        command.env("SECRET", "of-root");
        home.run(command)
    };
    for words in [
        &["start", "sleep", "--name", "x", "--", "1000"][..],
        &["start", file],
        &["restart", "x", "--update-env"],
    ] {
        run(words).fails(&["belongs to 4321", "environment", "sudo -H"]);
    }
    // What root may do is done.
    run(&["stop", "x"]).ok();
    let received = fs::read_to_string(&log).unwrap();
    assert!(received.contains("stop target=x"), "{received}");
    assert!(
        !received.contains("of-root") && !received.contains("env."),
        "{received}"
    );
    // Somebody who is not root says nothing at all.
    if let Some(other) = Some(Home::of_another_user()) {
        fs::write(&log, "").unwrap();
        for words in [&["list"][..], &["start", "sleep"], &["kill"]] {
            let client = other.client();
            let mut command = other.command(&[&[client.as_str()], words].concat());
            command.env("RPM_HOME", &home.root);
            other.run(command).fails(&["belongs to 4321, and you are"]);
        }
        assert_eq!(fs::read_to_string(&log).unwrap(), "");
    }
    listener.kill().unwrap();
    listener.wait().unwrap();
    fs::remove_file(&socket).unwrap();
}

#[test]
fn root_may_see_and_end_the_programs_of_a_user() {
    if !is_root() || !has("setpriv") {
        return skip("only root, with setpriv, can become another user");
    }
    let home = Home::of_another_user();
    home.start_sleep("x");
    let as_root = |words: &str| home.shell_as_root(words);
    let listed = as_root("$RPM list").ok();
    assert!(listed.stdout.contains(" x "), "{}", listed.shown());
    as_root("$RPM start sleep --name y -- 1000").fails(&["belongs to", "environment"]);
    as_root("$RPM stop x; $RPM kill").ok();
    // And starts none there.
    as_root("$RPM list").fails(&["belongs to", "sudo -H"]);
    assert!(!home.root.join("rpmd.sock").exists());
}

#[test]
fn the_list_that_root_saves_for_a_user_is_that_users() {
    if !is_root() || !has("setpriv") {
        return skip("only root, with setpriv, can become another user");
    }
    let home = Home::of_another_user();
    home.start_sleep("x");
    home.shell_as_root("$RPM save").ok();
    let saved = home.root.join("dump.json").metadata().unwrap();
    let uid = home.base.metadata().unwrap().uid();
    assert_eq!((saved.uid(), saved.mode() & 0o777), (uid, 0o600));
    home.rpm(&["save"]).ok();
    home.rpm(&["delete", "x"]).ok();
    home.rpm(&["resurrect"]).ok();
}

#[test]
fn a_home_that_a_user_has_exchanged_for_a_link_leads_to_no_list_of_roots() {
    if !is_root() {
        return skip("only root can give links away");
    }
    let mut home = Home::new();
    let (alice, roots) = (home.base.join("alice"), home.base.join("roots"));
    fs::set_permissions(&home.base, fs::Permissions::from_mode(0o755)).unwrap();
    for path in [&alice, &roots, &roots.join("logs")] {
        folder(path);
    }
    fs::set_permissions(&roots, fs::Permissions::from_mode(0o700)).unwrap();
    let lists = ["dump.json", "dump.json.bak"].map(|name| roots.join(name));
    lists.iter().for_each(|list| fs::write(list, "[]").unwrap());
    home.root = alice.join(".rpm");
    symlink(&roots, &home.root).unwrap();
    give(&alice);
    give(&home.root);
    // The client looked before; the link came while it waited for the answer.
    let path = rpm::paths::Home::new(home.root.clone());
    for result in [
        rpm::config::dump::write(&path, "[ ]").map(|_| ()),
        rpm::config::dump::clear(&path).map(|_| ()),
    ] {
        let why = result.unwrap_err().to_string();
        assert!(why.contains("Permission denied"), "{why}");
    }
    for list in &lists {
        assert_eq!(fs::read_to_string(list).unwrap(), "[]");
    }
}

#[test]
fn a_program_that_was_to_be_somebody_else_is_not_started() {
    let home = Home::new();
    let me = rpm::sys::user::effective_uid();
    let write = |name: &str, more: &str| {
        let path = home.base.join(name);
        let text = format!(r#"{{"name": "x", "script": "/bin/sleep", "args": "1000"{more}}}"#);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    home.rpm(&["ping"]).ok();
    for (more, part) in [
        (
            r#", "uid": 4444"#,
            "uid: programs cannot run as another user",
        ),
        (r#", "user": "nobody-such""#, "user: programs cannot"),
        (
            r#", "gid": "4444""#,
            "gid: programs cannot run in another group",
        ),
        (
            r#", "no_new_privs": true"#,
            "no_new_privs: this limit is not supported yet",
        ),
        (
            r#", "limit_nofile": 10"#,
            "limit_nofile: this limit is not supported yet",
        ),
        (
            r#", "chroot": "/srv""#,
            "chroot: this limit is not supported yet",
        ),
    ] {
        let file = write("app.json", more);
        home.rpm(&["start", &file]).fails(&["app.json:1:", part]);
        assert!(home.list().is_empty(), "{more}");
    }
    for flag in ["--uid", "--gid", "--user", "--no-new-privs"] {
        home.rpm(&["start", "sleep", flag, "4444"])
            .misused(&format!(
                "no flag {flag}: programs run as the user of their daemon"
            ));
    }
    let mut wire = home.wire();
    wire.ask("start script=/bin/sleep args=1000 cwd=/ uid=4444")
        .refused("bad-request", "uid");
    // Who it is anyway, it may be; and what is decoration stays one.
    let file = write("app.json", &format!(r#", "uid": {me}, "comment": "x""#));
    let started = home.rpm(&["start", &file]).ok();
    assert!(started.stderr.contains("comment"), "{}", started.shown());
    // A file that starts nothing may have it.
    let file = write("app.json", r#", "uid": 4444"#);
    home.rpm(&["delete", &file]).ok();
}

#[test]
fn no_list_brings_such_a_program_back() {
    let home = Home::new();
    home.start_sleep("a");
    home.start_sleep("b");
    home.rpm(&["save"]).ok();
    home.rpm(&["delete", "all"]).ok();
    // As a release may write it that knows users.
    let dump = home.root.join("dump.json");
    let text = fs::read_to_string(&dump).unwrap();
    let text = text.replacen("\"name\":\"a\"", "\"uid\":4444,\"name\":\"a\"", 1);
    let text = text.replacen("\"name\": \"a\"", "\"uid\": 4444, \"name\": \"a\"", 1);
    assert!(text.contains("4444"), "{text}");
    fs::write(&dump, text).unwrap();
    home.rpm(&["resurrect"])
        .fails(&["cannot restore a: uid: programs cannot run as another user"]);
    let names: Vec<_> = home.list().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["b"]);
    let pm2 = home.base.join("dump.pm2");
    let text = r#"[{"name": "c", "pm_exec_path": "/bin/sleep", "exec_interpreter": "none", "args": ["1000"],
        "pm_cwd": "/", "gid": 4444, "env": {}}]"#;
    fs::write(&pm2, text).unwrap();
    home.rpm(&["resurrect", pm2.to_str().unwrap()])
        .fails(&["cannot restore c: gid: programs cannot run in another group"]);
    assert_eq!(home.list().len(), 1);
}

#[test]
fn neither_the_client_nor_the_web_server_shows_what_a_link_of_somebody_leads_to() {
    if !is_root() {
        return skip("only root acts on what belongs to others");
    }
    let home = Home::new();
    let secret = home.base.join("secret");
    fs::write(&secret, "of-root\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let alice = home.base.join("alice");
    folder(&alice);
    give(&alice);
    let log = alice.join("log");
    home.start(
        "x",
        "echo line\nexec sleep 1000\n",
        &["-o", log.to_str().unwrap()],
    );
    wait_until("the line", || fs::read(&log).is_ok_and(|t| t == b"line\n"));
    let logs = || home.rpm(&["logs", "x", "--nostream"]);
    assert!(logs().ok().stdout.contains("line"));
    let site = home.web(&[]);
    site.get("/api/logs/0").is(200, "line");
    fs::remove_file(&log).unwrap();
    symlink(&secret, &log).unwrap();
    give(&log);
    let shown = logs();
    assert!(!shown.stdout.contains("of-root"), "{}", shown.shown());
    let served = site.get("/api/logs/0");
    assert!(!served.body.contains("of-root"), "{served:?}");
}
