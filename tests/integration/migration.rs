//! The state of the release before this one is read: its daemon is taken over with all programs, and its home, its list
//! and its saved list are understood.
//!
//! `tests/fixtures/home-before` is a home as that release left it on disk, in another boot. What needs its programs runs
//! where `RPM_TEST_BEFORE` names the folder with its `rpm` and `rpmd`: `make migration` builds them. A clone without
//! that commit cannot, so these tests are passed over without the variable even with `RPM_TEST_ALL=1`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rpm::model::life::{Exit, State, Want};
use rpm::protocol::line::Line;
use rpm::protocol::process::Process;
use rpm::sys::signal::Signal;

use crate::harness::logs::without_stamps;
use crate::harness::run::write_executable;
use crate::harness::visitor::{Server, Visitors};
use crate::harness::wait::wait_for_end;
use crate::harness::{Home, app, assert_same_bytes, has, proc, project, skip, steady_text};

/// The folder with the programs of the release before.
fn before() -> Option<PathBuf> {
    let folder = std::env::var_os("RPM_TEST_BEFORE").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: RPM_TEST_BEFORE is not set; make migration sets it");
    }
    folder
}

/// Puts the programs of `from` into the place of those of a home, as an installation does.
fn install(home: &Home, from: &Path) {
    for place in [home.client(), home.daemon()].map(PathBuf::from) {
        let new = place.with_extension("new");
        write_executable(|| fs::copy(from.join(place.file_name().unwrap()), &new));
        fs::rename(&new, &place).unwrap();
    }
}

/// Puts the present programs into the place of the old ones, which run on.
fn install_present(home: &Home) {
    let present = Path::new(env!("CARGO_BIN_EXE_rpmd")).parent().unwrap();
    install(home, present);
}

/// The start of a run after an adoption is that of its process, which the kernel knows to a tick.
const TICK_MS: u64 = 10;

/// The rows of the list as the protocol has them. Usage is left out: it grows as programs run.
fn rows(home: &Home) -> Vec<Line> {
    let mut rows = home.wire().ask("list").ok().rows;
    for row in &mut rows {
        row.fields
            .retain(|(key, _)| key != "cpu" && key != "memory");
    }
    rows
}

/// Whether a row says what it said before. A release may say more than the one before.
#[track_caller]
fn assert_says_the_same(before: &Line, after: &Line) {
    for (key, value) in &before.fields {
        if key == "since" {
            let [then, now] = [before, after].map(|row| row.number::<u64>(key).unwrap());
            assert!(then.abs_diff(now) <= 2 * TICK_MS, "since {then}, now {now}");
            continue;
        }
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let (then, now) = (text(value), after.get(key).map(text));
        assert_eq!(
            now.as_ref(),
            Some(&then),
            "{key} of {:?}",
            before.text("name")
        );
    }
}

/// A home whose daemon, log writer and programs are of the release before.
struct Scene {
    home: Home,
    rows: Vec<Line>,
    visitors: Vec<Visitors>,
    old_writer: i32,
}

/// A port that nobody listens at just now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Scene {
    /// Starts them, with the programs that this machine can run. None without the programs of that release.
    fn start() -> Option<Scene> {
        let before = before()?;
        let home = Home::with_own_programs();
        install(&home, &before);
        let Some(steady) = home.compiled("steady.c") else {
            skip("there is no C compiler");
            return None;
        };
        let mut visitors = Vec::new();
        for (name, flags) in [
            ("plain", &[][..]),
            ("stamped", &["--time"]),
            ("both", &["-l", "both.log"]),
        ] {
            let words = ["start", &steady, "--name", name];
            home.rpm(&[&words, flags, &["--", "2", "500"]].concat())
                .ok();
        }
        for name in ["halted", "held"] {
            home.start_sleep(name);
        }
        home.rpm(&["stop", "halted"]).ok();
        home.rpm(&["pause", "held"]).ok();
        home.rpm(&["start", "exit 3", "--name", "broken", "--max-restarts", "0"])
            .ok();
        home.wait_for_state("broken", State::Errored);
        home.rpm(&[
            "start",
            "exit 0",
            "--name",
            "later",
            "--restart-delay",
            "1h",
        ])
        .ok();
        home.wait_for_state("later", State::Waiting);
        if has("python3") {
            let port = free_port();
            let place = format!("tcp:127.0.0.1:{port}");
            home.rpm(&[
                "start",
                &app("activated.py"),
                "--name",
                "socket",
                "--listen",
                &place,
            ])
            .ok();
            home.wait_for_log("socket-out.log", "serving");
            visitors.push(Visitors::begin(port, Server::Plain));
        }
        if has("node") {
            let port = free_port().to_string();
            home.rpm(&[
                "start",
                &app("cluster.js"),
                "--name",
                "node",
                "-i",
                "2",
                "--",
                &port,
            ])
            .ok();
            let ids: Vec<u32> = home
                .list()
                .iter()
                .filter(|p| p.name == "node")
                .map(|p| p.id)
                .collect();
            for id in ids {
                home.wait_for_log(&format!("node-out-{id}.log"), "listening");
            }
            visitors.push(Visitors::begin(port.parse().unwrap(), Server::Http));
        }
        visitors.iter().for_each(Visitors::are_answered);
        let (rows, old_writer) = (rows(&home), home.log_writer().unwrap());
        Some(Scene {
            home,
            rows,
            visitors,
            old_writer,
        })
    }

    /// The present release serves, and every program is as it was.
    #[track_caller]
    fn is_taken_over(&self) {
        let home = &self.home;
        let present = fs::canonicalize(home.daemon()).unwrap();
        let executed = fs::read_link(format!("/proc/{}/exe", home.supervisor())).unwrap();
        assert_eq!(
            executed, present,
            "the supervisor is of the present release"
        );
        let after = rows(home);
        for (before, after) in self.rows.iter().zip(&after) {
            assert_says_the_same(before, after);
        }
        assert_eq!(self.rows.len(), after.len(), "{after:?}");
        self.visitors.iter().for_each(Visitors::are_answered);
    }

    /// The programs can be commanded, nobody was refused, and their output is whole.
    #[track_caller]
    fn goes_on(self) {
        let home = &self.home;
        fs::write(home.base.join("enough"), "").unwrap();
        let printing = ["plain", "stamped", "both"];
        for name in printing {
            home.wait_for_log(&format!("{name}-out.log"), "end ");
        }
        for visitors in self.visitors {
            let (refused, lost) = visitors.end();
            assert_eq!((refused, lost), (0, 0), "clients of a port");
        }
        home.rpm(&["resume", "held"]).ok();
        home.wait_for_state("held", State::Online);
        home.rpm(&["restart", "halted", "later", "held"]).ok();
        home.rpm(&["stop", "all"]).ok();
        for row in &self.rows {
            let pid: i32 = row.number("pid").unwrap();
            assert!(pid == 0 || !proc::lives(pid), "{row:?}");
        }
        let stopped = |p: &Process| (p.state, p.want) == (State::Stopped, Want::Down);
        assert!(home.list().iter().all(stopped), "{:?}", home.list());
        for name in printing {
            let log = home.log(&format!("{name}-out.log"));
            let log = if name == "stamped" {
                without_stamps(&log)
            } else {
                log
            };
            assert_same_bytes(&log, &steady_text(&log), name);
        }
        let both = fs::read(home.base.join("both.log")).unwrap();
        assert_same_bytes(&both, &steady_text(&both), "both.log");
    }
}

#[test]
fn an_update_takes_over_the_release_before() {
    let Some(scene) = Scene::start() else { return };
    let supervisor = scene.home.supervisor();
    install_present(&scene.home);
    scene.home.rpm(&["update"]).ok();
    assert_eq!(scene.home.supervisor(), supervisor, "the same process");
    wait_for_end(scene.old_writer);
    scene.is_taken_over();
    scene.goes_on();
}

#[test]
fn a_client_that_waits_for_the_release_before_gets_its_answer_from_the_present_one() {
    let Some(before) = before() else { return };
    let home = Home::with_own_programs();
    install(&home, &before);
    let deaf = "trap '' INT TERM\necho ready\nwhile ! [ -e go ]; do sleep 0.01; done\n";
    home.start("deaf", deaf, &["--kill-timeout", "1h"]);
    home.wait_for_log("deaf-out.log", "ready\n");
    let [mut stop, mut restart, mut events] = [home.wire(), home.wire(), home.events()];
    stop.send("stop target=deaf\nping\n");
    events.wait_for("stopping", |p| p.state == State::Stopping);
    restart.send("restart target=deaf\n");
    install_present(&home);
    home.rpm(&["update"]).ok();
    fs::write(home.base.join("go"), "").unwrap();
    stop.answer();
    stop.answer().ok();
    restart.answer().ok();
    assert!(home.program("deaf").restarts > 0);
}

#[test]
fn a_supervisor_of_the_release_before_that_is_killed_is_followed_by_the_present_one() {
    let Some(scene) = Scene::start() else { return };
    let supervisor = scene.home.supervisor();
    install_present(&scene.home);
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
    scene.home.rpm(&["ping"]).ok();
    scene.is_taken_over();
    // The log writer may be the old one until then.
    scene.home.rpm(&["update"]).ok();
    wait_for_end(scene.old_writer);
    scene.is_taken_over();
    scene.goes_on();
}

#[test]
fn both_daemons_of_the_release_before_are_killed_and_the_present_ones_adopt_the_programs() {
    let Some(scene) = Scene::start() else { return };
    install_present(&scene.home);
    scene.home.kill_daemons();
    scene.home.rpm(&["ping"]).ok();
    scene.is_taken_over();
    scene.goes_on();
}

#[test]
fn a_list_that_the_release_before_saved_is_started() {
    let Some(before) = before() else { return };
    let home = Home::with_own_programs();
    install(&home, &before);
    home.rpm(&[
        "start",
        "sleep",
        "--name",
        "two words",
        "-i",
        "2",
        "--",
        "1000",
    ])
    .ok();
    home.start_sleep("halted");
    home.rpm(&["stop", "halted"]).ok();
    home.rpm(&["save"]).ok();
    home.rpm(&["kill"]).ok();
    install_present(&home);
    home.rpm(&["resurrect"]).ok();
    let list = home.list();
    let shown: Vec<_> = list
        .iter()
        .map(|p| (p.name.as_str(), p.instance, p.state))
        .collect();
    let expected = [
        ("two words", 0, State::Online),
        ("two words", 1, State::Online),
        ("halted", 0, State::Stopped),
    ];
    assert_eq!(shown, expected);
}

/// Copies a folder, with the home of a test in the place of the one that the files name.
fn copy(from: &Path, to: &Path, base: &str) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to, base);
            continue;
        }
        let text = fs::read_to_string(&from).unwrap();
        fs::write(&to, text.replace("/srv/app", base)).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// A home as the release before left it. It is of another boot: none of its processes lives.
fn home_before() -> Home {
    let home = Home::new();
    let fixture = project().join("tests/fixtures/home-before");
    copy(&fixture, &home.root, home.base.to_str().unwrap());
    home
}

/// What the release before had in its list: name, namespace and state once all is settled.
const LIST_BEFORE: [(&str, &str, State); 9] = [
    ("web", "default", State::Online),
    ("two words", "jobs", State::Online),
    ("two words", "jobs", State::Online),
    ("halted", "default", State::Stopped),
    ("broken", "default", State::Errored),
    ("later", "default", State::Waiting),
    ("done", "default", State::Stopped),
    ("held", "default", State::Online),
    ("never", "default", State::Stopped),
];

fn shown(list: &[Process]) -> Vec<(&str, &str, State)> {
    let rows = list.iter();
    rows.map(|p| (p.name.as_str(), p.namespace.as_str(), p.state))
        .collect()
}

#[test]
fn a_home_of_the_release_before_is_read_after_a_reboot() {
    let home = home_before();
    let said = home.rpm(&["ping"]).ok();
    assert_eq!(
        said.stderr.lines().count(),
        1,
        "no warning: {}",
        said.stderr
    );
    home.wait_for_state("broken", State::Errored);
    home.wait_for_state("later", State::Waiting);
    let list = home.list();
    assert_eq!(shown(&list), LIST_BEFORE);
    let ids: Vec<u32> = list.iter().map(|p| p.id).collect();
    assert_eq!(ids, (0..9).collect::<Vec<_>>());
    let created: Vec<u64> = list.iter().map(|p| p.created / 1000).collect();
    assert_eq!((created[0], created[8]), (1_795_916_274, 1_795_916_275));
    assert_eq!(list[3].exit, Some(Exit::Signal(2)));
    assert_eq!(list[6].exit, Some(Exit::Code(0)));
    // What it was started with is what it was configured with then.
    let environment = proc::environment_of_live(list[0].pid);
    assert!(environment.contains(&"GREETING=hello  wörld".as_bytes().to_vec()));
    let details = home.rpm(&["describe", "web", "held"]).ok().stdout;
    for part in ["kill timeout       3000", "time               true", "json"] {
        assert!(details.contains(part), "{part} is not in {details}");
    }
    let log = home.wait_for_log("web-out.log", "up\n2");
    assert_eq!(
        log.lines().count(),
        2,
        "the new line follows the old one: {log}"
    );
    home.rpm(&["stop", "all"]).ok();
    home.start_sleep("new");
    assert_eq!(home.program("new").id, 9, "no id is given twice");
}

#[test]
fn a_saved_list_of_the_release_before_is_read() {
    let home = home_before();
    fs::rename(home.root.join("dump.json"), home.base.join("dump.json")).unwrap();
    fs::remove_dir_all(&home.root).unwrap();
    home.rpm(&["resurrect", "dump.json"]).ok();
    home.wait_for_state("broken", State::Errored);
    home.wait_for_state("later", State::Waiting);
    assert_eq!(shown(&home.list()), LIST_BEFORE);
}
