//! A port belongs to its programs for as long as one of them is wanted up: nobody is refused, whatever ends, and nobody
//! listens any more when none is.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rpm::app::life::State;
use rpm::sys::signal::Signal;

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
    home.rpm(&["ping"]).ok();
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
