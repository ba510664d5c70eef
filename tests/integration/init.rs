//! The daemon as a service: what it tells init, and how it stands by.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;

use rpm::sys::signal::Signal;

use crate::harness::run::Running;
use crate::harness::{Home, LIMIT, proc};

/// Init, as far as a service sees it.
struct Init(UnixDatagram);

impl Init {
    fn at(address: &SocketAddr) -> Init {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Init(socket)
    }

    #[track_caller]
    fn hears(&self) -> String {
        let mut buffer = [0; 1000];
        let length = self.0.recv(&mut buffer).expect("no word of the daemon");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

fn service(home: &Home, flags: &[&str], socket: &str) -> Command {
    let daemon = home.daemon();
    let mut command = home.command(&[&[daemon.as_str()], flags].concat());
    command.env("NOTIFY_SOCKET", socket);
    command
}

#[test]
fn init_hears_when_the_daemon_serves_and_how_long_its_end_may_take() {
    let home = Home::new();
    let path = home.base.join("notify");
    let path = path.to_str().unwrap();
    let init = Init::at(&SocketAddr::from_pathname(path).unwrap());
    let mut rpmd = Running::start(service(&home, &["--foreground"], path));
    let serving = format!("READY=1\nSTATUS=serving {}", home.root.display());
    assert_eq!(init.hears(), serving);
    // Who has heard this may connect.
    let program = home.start("x", "exec sleep 1000\n", &["--kill-timeout", "7s"]);
    home.start_sleep("y");
    let environment = proc::environment_of_live(program.pid);
    assert!(!environment.iter().any(|a| a.starts_with(b"NOTIFY_SOCKET")));
    // Another release in the same process has the same init.
    home.rpm(&["update"]).ok();
    proc::kill(rpmd.pid(), Signal::TERM);
    let ending = "STOPPING=1\nEXTEND_TIMEOUT_USEC=17000000\nSTATUS=stopping all programs";
    assert_eq!(init.hears(), ending);
    assert_eq!(rpmd.wait(), 0);
}

#[test]
fn a_daemon_that_a_client_launched_has_nothing_to_say_to_init() {
    let home = Home::new();
    let name = format!("rpmt-{}-launched", std::process::id());
    let init = Init::at(&SocketAddr::from_abstract_name(&name).unwrap());
    let client = home.client();
    let mut command = home.command(&[client.as_str(), "ping"]);
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    home.run(command).ok();
    home.rpm(&["kill"]).ok();
    init.0.set_nonblocking(true).unwrap();
    assert!(init.0.recv(&mut [0; 10]).is_err());
}

#[test]
fn the_service_stands_by_and_takes_over_the_programs_as_they_run() {
    let home = Home::new();
    let program = home.start_sleep("x");
    let first = home.supervisor();
    let name = format!("rpmt-{}-standby", std::process::id());
    let init = Init::at(&SocketAddr::from_abstract_name(&name).unwrap());
    let flags = ["--standby", "--foreground"];
    let mut rpmd = Running::start(service(&home, &flags, &format!("@{name}")));
    let standing_by = format!(
        "READY=1\nSTATUS=standing by: a supervisor serves {} already (pid {first})",
        home.root.display()
    );
    assert_eq!(init.hears(), standing_by);
    assert_eq!(home.supervisor(), first);
    home.rpm(&["kill", "--keep"]).ok();
    assert!(init.hears().contains("serving"));
    assert_eq!(home.supervisor(), rpmd.pid());
    assert_eq!(home.program("x").pid, program.pid);
    assert_eq!(home.rpm(&["list"]).ok().stderr, "");
    proc::kill(rpmd.pid(), Signal::TERM);
    assert_eq!(rpmd.wait(), 0);
    assert!(!proc::lives(program.pid));
}

#[test]
fn a_service_that_stands_by_ends_at_once_and_touches_nothing() {
    let home = Home::new();
    let program = home.start_sleep("x");
    let first = home.supervisor();
    let daemon = home.daemon();
    let mut rpmd = Running::start(home.command(&[daemon.as_str(), "--foreground", "--standby"]));
    rpmd.wait_for_line("standing by");
    proc::kill(rpmd.pid(), Signal::TERM);
    assert_eq!(rpmd.wait(), 0, "SIGTERM ends it");
    assert_eq!(home.supervisor(), first);
    assert_eq!(home.program("x").pid, program.pid);
}

#[test]
fn where_nobody_serves_there_is_nothing_to_wait_for() {
    let home = Home::new();
    let daemon = home.daemon();
    let mut rpmd = Running::start(home.command(&[daemon.as_str(), "--foreground", "--standby"]));
    rpmd.wait_for_line("serves");
    assert_eq!(home.supervisor(), rpmd.pid());
    assert_eq!(home.rpm(&["kill"]).ok().stderr, "");
    assert_eq!(rpmd.wait(), 0);
}
