//! A port belongs to its programs for as long as one of them is wanted up: nobody is refused, whatever ends, and nobody
//! listens any more when none is.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::list_file::is_of;
use crate::harness::visitor::{Server, Visitors};
use crate::harness::wait::wait_for_end;
use crate::harness::{Home, app, has, is_root, proc, skip, wait_until};

/// A port that nobody listens at just now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Whether a client is refused.
fn is_refused(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err()
}

/// A program that serves a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// By a socket that it is started with.
    Listen,
    /// Node workers that close their server on SIGINT.
    Graceful,
    /// Node workers that just die.
    Plain,
}

impl Kind {
    fn server(self) -> Server {
        match self {
            Kind::Listen => Server::Plain,
            Kind::Graceful | Kind::Plain => Server::Http,
        }
    }

    /// Whether it can be run here.
    fn can_run(self) -> bool {
        match self {
            Kind::Listen => has("python3"),
            Kind::Graceful | Kind::Plain => has("node"),
        }
    }

    /// Starts so many instances, and waits until each serves.
    #[track_caller]
    fn start(self, home: &Home, port: u16, count: usize, flags: &[&str]) {
        let (number, text) = (count.to_string(), port.to_string());
        let place = format!("tcp:127.0.0.1:{port}");
        let script = match self {
            Kind::Listen => app("activated.py"),
            Kind::Graceful | Kind::Plain => app("graceful.js"),
        };
        let words = ["start", &script, "--name", "web", "-i", &number];
        let own: &[&str] = match self {
            Kind::Listen => &["--listen", &place],
            Kind::Graceful => &["--", &text],
            Kind::Plain => &["--", &text, "plain"],
        };
        home.rpm(&[&words, flags, own].concat()).ok();
        for id in 0..count {
            let log = match count {
                1 => "web-out.log".to_owned(),
                _ => format!("web-out-{id}.log"),
            };
            home.wait_for_log(
                &log,
                if self == Kind::Listen {
                    "serving"
                } else {
                    "listening"
                },
            );
        }
    }
}

/// Something that happens to programs or daemons.
type Event = fn(&Home);

fn pids(home: &Home) -> Vec<i32> {
    home.list().iter().map(|p| p.pid).collect()
}

/// All of them run, none of them is one of `before`.
#[track_caller]
fn wait_for_others(home: &Home, before: &[i32]) {
    wait_until("all programs run anew", || {
        home.list()
            .iter()
            .all(|p| p.state == State::Online && !before.contains(&p.pid))
    });
}

fn restart(home: &Home) {
    home.rpm(&["restart", "web"]).ok();
}

fn kill_supervisor(home: &Home) {
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
    home.rpm(&["ping"]).ok();
}

fn kill_log_writer(home: &Home) {
    let writer = home.log_writer().unwrap();
    proc::kill(writer, Signal::KILL);
    wait_for_end(writer);
    // Its listener, the connection of the supervisor, and what it keeps. Until then only the supervisor has that.
    wait_until("another log writer keeps the sockets", || {
        home.log_writers()
            .first()
            .is_some_and(|pid| kinds(*pid).0 > 2)
    });
}

fn update(home: &Home) {
    home.rpm(&["update"]).ok();
}

/// All die at once and wait out the delay.
fn crash(home: &Home) {
    let before = pids(home);
    before.iter().for_each(|pid| proc::kill(*pid, Signal::KILL));
    wait_for_others(home, &before);
}

/// The same, and the supervisor dies while they wait.
fn crash_and_kill_supervisor(home: &Home) {
    let before = pids(home);
    before.iter().for_each(|pid| proc::kill(*pid, Signal::KILL));
    wait_until("all wait", || {
        home.list().iter().all(|p| p.state == State::Waiting)
    });
    kill_supervisor(home);
    wait_for_others(home, &before);
}

/// What happens, how often programs are ended by it, and whether only root can bear it.
const EVENTS: &[(&str, &[Event], usize)] = &[
    ("restarts", &[restart, restart, restart], 3),
    ("crash with a delay", &[crash, crash], 2),
    (
        "kill -9 of rpmd",
        &[kill_supervisor, restart, kill_supervisor, crash],
        2,
    ),
    (
        "kill -9 of rpmd while programs wait",
        &[crash_and_kill_supervisor, restart],
        2,
    ),
    (
        "kill -9 of rpmd-log",
        &[
            kill_log_writer,
            restart,
            kill_log_writer,
            kill_supervisor,
            restart,
        ],
        2,
    ),
    (
        "kill -9 of both",
        &[Home::kill_daemons, restart, kill_supervisor, restart],
        2,
    ),
    (
        "update",
        &[update, restart, update, kill_supervisor, restart],
        2,
    ),
];

/// Whatever happens, nobody is refused, and no more is lost than what ended programs held.
#[track_caller]
fn stays_open(kind: Kind, count: usize) {
    if !kind.can_run() {
        return skip("the server of this test is not installed");
    }
    let home = Home::new();
    let port = free_port();
    kind.start(&home, port, count, &["--restart-delay", "300"]);
    let mut wrong = Vec::new();
    for (name, events, ends) in EVENTS {
        // Only root may take from a process what nobody has kept.
        if *name == "kill -9 of both" && !is_root() {
            continue;
        }
        let visitors = Visitors::begin(port, kind.server());
        visitors.are_answered();
        for event in *events {
            event(&home);
            visitors.are_answered();
        }
        let (refused, lost) = visitors.end();
        eprintln!("{kind:?} {name}: {refused} refused, {lost} lost");
        // Each of the two visitors may be with a program that is ended.
        let most = if kind == Kind::Graceful && *name == "restarts" {
            0
        } else {
            ends * 2
        };
        if refused > 0 || lost > most {
            wrong.push(format!("{name}: {refused} refused, {lost} lost"));
        }
    }
    assert!(wrong.is_empty(), "{kind:?} × {count}: {wrong:#?}");
    home.rpm(&["stop", "web"]).ok();
    assert!(is_refused(port));
    home.rpm(&["delete", "web"]).ok();
}

#[test]
fn sockets_of_listen_stay_open() {
    stays_open(Kind::Listen, 1);
}

#[test]
fn a_port_of_one_graceful_worker_stays_open() {
    stays_open(Kind::Graceful, 1);
}

#[test]
fn a_port_of_graceful_workers_stays_open() {
    stays_open(Kind::Graceful, 3);
}

#[test]
fn a_port_of_plain_workers_stays_open() {
    stays_open(Kind::Plain, 2);
}

/// A program that is started with a socket and serves it, by its name.
fn start_listening(home: &Home, name: &str, place: &str, flags: &[&str]) {
    let script = app("activated.py");
    let words = ["start", &script, "--name", name, "--listen", place];
    home.rpm(&[&words, flags].concat()).ok();
}

#[test]
fn stop_and_delete_close_a_port_whoever_has_kept_it() {
    if !has("python3") || !has("node") {
        return skip("python3 and node are not both installed");
    }
    for kind in [Kind::Listen, Kind::Graceful] {
        for way in ["stop", "delete"] {
            let home = Home::new();
            let port = free_port();
            kind.start(&home, port, 2, &[]);
            kill_supervisor(&home);
            home.rpm(&[way, "web"]).ok();
            assert!(is_refused(port), "{kind:?} {way}");
            kill_supervisor(&home);
            assert!(is_refused(port), "{kind:?} {way}, by the next supervisor");
        }
    }
}

#[test]
fn a_log_writer_that_hangs_keeps_no_port_open_and_costs_no_descriptors() {
    if !has("python3") {
        return skip("python3 is not installed");
    }
    let home = Home::new();
    let port = free_port();
    start_listening(&home, "web", &format!("tcp:127.0.0.1:{port}"), &[]);
    home.wait_for_log("web-out.log", "serving");
    let writer = home.log_writer().unwrap();
    proc::stop(writer);
    home.rpm(&["stop", "web"]).ok();
    assert!(is_refused(port));
    let before = proc::descriptors(home.supervisor()).len();
    for _ in 0..3 {
        home.rpm(&["start", "web"]).ok();
        home.rpm(&["stop", "web"]).ok();
    }
    assert!(is_refused(port));
    // The connection of the last command may take a moment to be closed.
    wait_until("no more descriptors than before", || {
        proc::descriptors(home.supervisor()).len() <= before
    });
    proc::go_on(writer);
    home.rpm(&["start", "web"]).ok();
    assert!(!is_refused(port));
}

#[test]
fn the_path_of_a_socket_is_there_while_it_is_wanted_and_gone_afterwards() {
    if !has("python3") || !has("node") {
        return skip("python3 and node are not both installed");
    }
    let home = Home::new();
    let (one, two) = (home.base.join("py.sock"), home.base.join("web.sock"));
    start_listening(
        &home,
        "py",
        &format!("unix:{}", one.display()),
        &["--restart-delay", "300"],
    );
    let script = app("graceful.js");
    home.rpm(&[
        "start",
        &script,
        "--name",
        "web",
        "-i",
        "1",
        "--",
        two.to_str().unwrap(),
    ])
    .ok();
    home.wait_for_log("web-out.log", "listening");
    // A socket that was made anew would be another file.
    let number = |path: &Path| std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
    let before = (number(&one), number(&two));
    let same = |what: &str| {
        assert_eq!((number(&one), number(&two)), before, "{what}");
        for path in [&one, &two] {
            UnixStream::connect(path).unwrap_or_else(|e| panic!("{what}: {e}"));
        }
    };
    home.rpm(&["restart", "all"]).ok();
    same("restart");
    kill_supervisor(&home);
    home.rpm(&["restart", "all"]).ok();
    same("restart by the next supervisor");
    proc::kill(home.program("py").pid, Signal::KILL);
    home.wait_for_state("py", State::Waiting);
    kill_supervisor(&home);
    same("kill -9 of the supervisor while a program waits");
    update(&home);
    same("update");
    home.rpm(&["stop", "all"]).ok();
    assert!(!one.exists() && !two.exists());
    home.rpm(&["start", "all"]).ok();
    home.rpm(&["delete", "all"]).ok();
    assert!(!one.exists() && !two.exists());
}

#[test]
fn what_both_daemons_left_with_no_program_alive_is_bound_anew() {
    if !has("python3") || !has("node") {
        return skip("python3 and node are not both installed");
    }
    let home = Home::new();
    let (port, path) = (free_port(), home.base.join("web.sock"));
    start_listening(&home, "py", &format!("tcp:127.0.0.1:{port}"), &[]);
    let script = app("graceful.js");
    home.rpm(&[
        "start",
        &script,
        "--name",
        "web",
        "-i",
        "1",
        "--",
        path.to_str().unwrap(),
    ])
    .ok();
    home.wait_for_log("web-out.log", "listening");
    home.wait_for_log("py-out.log", "serving");
    let before = pids(&home);
    before.iter().for_each(|pid| proc::stop(*pid));
    home.kill_daemons();
    before.iter().for_each(|pid| proc::kill(*pid, Signal::KILL));
    before.iter().for_each(|pid| wait_for_end(*pid));
    // Nobody has it: the port is closed, and the path leads nowhere.
    assert!(is_refused(port));
    assert!(UnixStream::connect(&path).is_err());
    home.rpm(&["ping"]).ok();
    wait_until("both are served again", || {
        !is_refused(port) && UnixStream::connect(&path).is_ok()
    });
}

#[test]
fn a_socket_of_a_program_that_was_removed_while_no_supervisor_ran_is_closed() {
    if !has("python3") {
        return skip("python3 is not installed");
    }
    let home = Home::new();
    let (port, path) = (free_port(), home.base.join("s"));
    let (one, two) = (
        format!("tcp:127.0.0.1:{port}"),
        format!("unix:{}", path.display()),
    );
    start_listening(&home, "web", &one, &["--listen", &two]);
    home.wait_for_log("web-out.log", "serving");
    home.start_sleep("other");
    let (writer, pid) = (home.log_writer().unwrap(), home.program("web").pid);
    proc::stop(writer);
    proc::kill(home.supervisor(), Signal::KILL);
    proc::kill(pid, Signal::KILL);
    wait_for_end(pid);
    assert!(!is_refused(port), "the log writer keeps it");
    wait_until("no writer of the list", || home.list_writers().is_empty());
    home.edit_list(
        |line| match is_of(line, "spec", 0) || is_of(line, "status", 0) {
            true => String::new(),
            false => line.to_owned(),
        },
    );
    proc::go_on(writer);
    wait_until("the port is closed", || is_refused(port));
    wait_until("the path is removed", || !path.exists());
    assert_eq!(home.list().len(), 1);
}

#[test]
fn a_restart_with_other_sockets_closes_those_before() {
    if !has("python3") {
        return skip("python3 is not installed");
    }
    let home = Home::new();
    let ports = [free_port(), free_port(), free_port()];
    let file = home.base.join("apps.json");
    let script = app("activated.py");
    let write = |ports: &[u16]| {
        let places: Vec<String> = ports
            .iter()
            .map(|port| format!("\"tcp:127.0.0.1:{port}\""))
            .collect();
        let places = places.join(",");
        let text = format!(
            "{{\"apps\":[{{\"name\":\"web\",\"script\":\"{script}\",\"instances\":2,\"listen\":[{places}]}}]}}"
        );
        std::fs::write(&file, text).unwrap();
    };
    write(&ports[..2]);
    home.rpm(&["start", "apps.json"]).ok();
    assert!(!is_refused(ports[0]) && !is_refused(ports[1]));
    write(&ports[1..]);
    let visitors = Visitors::begin(ports[1], Server::Plain);
    home.rpm(&["restart", "apps.json"]).ok();
    let open = ports.map(|port| !is_refused(port));
    assert_eq!(open, [false, true, true]);
    // It is the first socket now, which is the one that is served.
    visitors.are_answered();
    assert_eq!(visitors.end().0, 0, "of the port that both have");
    kill_supervisor(&home);
    let open = ports.map(|port| !is_refused(port));
    assert_eq!(open, [false, true, true]);
    home.rpm(&["delete", "web"]).ok();
    assert!(ports.into_iter().all(is_refused));
}

#[test]
fn programs_that_share_a_port_close_it_with_the_last_of_them() {
    if !has("node") {
        return skip("node is not installed");
    }
    let home = Home::new();
    let port = free_port();
    Kind::Graceful.start(&home, port, 1, &[]);
    let (script, text) = (app("graceful.js"), port.to_string());
    let words = [
        "start", &script, "--name", "web", "-f", "-i", "1", "--", &text,
    ];
    home.rpm(&words).ok();
    wait_until("both listen", || {
        let said = home.log("web-out.log");
        said.split(|b| *b == b'\n')
            .filter(|line| line.starts_with(b"listening"))
            .count()
            == 2
    });
    let visitors = Visitors::begin(port, Server::Http);
    visitors.are_answered();
    home.rpm(&["stop", "0"]).ok();
    visitors.are_answered();
    kill_supervisor(&home);
    home.rpm(&["start", "0"]).ok();
    home.rpm(&["delete", "1"]).ok();
    visitors.are_answered();
    assert_eq!(visitors.end(), (0, 0));
    home.rpm(&["stop", "0"]).ok();
    assert!(is_refused(port));
}

#[test]
fn the_port_of_a_program_that_fails_too_often_is_closed_and_that_is_said() {
    let home = Home::new();
    let port = free_port();
    let place = format!("tcp:127.0.0.1:{port}");
    home.start(
        "web",
        "#!/bin/sh\nsleep 0.01; exit 1\n",
        &["--listen", &place, "--max-restarts", "2"],
    );
    home.wait_for_state("web", State::Errored);
    assert!(is_refused(port));
    home.wait_for_journal("giving up; its sockets are closed until it is started again");
    kill_supervisor(&home);
    assert!(is_refused(port));
}

/// How many descriptors of each kind a process has.
fn kinds(pid: i32) -> (usize, usize) {
    let all = proc::descriptors(pid);
    let sockets = all
        .iter()
        .filter(|(_, to)| to.to_string_lossy().starts_with("socket:"));
    (sockets.count(), all.len())
}

#[test]
fn after_many_restarts_nothing_is_kept_twice() {
    if !has("python3") || !has("node") {
        return skip("python3 and node are not both installed");
    }
    let home = Home::new();
    let (one, two) = (free_port(), free_port());
    Kind::Graceful.start(&home, one, 2, &[]);
    start_listening(&home, "py", &format!("tcp:127.0.0.1:{two}"), &[]);
    home.wait_for_log("py-out.log", "serving");
    let count = || (kinds(home.log_writer().unwrap()), kinds(home.supervisor()));
    let before = count();
    for round in 0..100 {
        match round % 10 {
            0 => restart(&home),
            5 => kill_supervisor(&home),
            7 => update(&home),
            _ => {
                home.rpm(&["restart", "py"]).ok();
            }
        }
    }
    // What has just ended may be on its way to be closed.
    home.rpm(&["sync"]).ok();
    wait_until("as many descriptors as before", || {
        let now = count();
        now.0.0 <= before.0.0 && now.1.0 <= before.1.0
    });
    let now = count();
    assert_eq!(now.0.0, before.0.0, "sockets of the log writer");
    // Fewer where a log file is not open yet.
    assert!(now.0.1 <= before.0.1, "descriptors of the log writer");
    assert_eq!(now.1.0, before.1.0, "sockets of the supervisor");
    home.rpm(&["delete", "all"]).ok();
    // Its listener, and the connection of the supervisor.
    wait_until("nothing is kept", || {
        kinds(home.log_writer().unwrap()).0 == 2
    });
}
