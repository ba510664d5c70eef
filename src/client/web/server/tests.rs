//! The server in the process of the test, with limits that are short.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use super::*;

/// How long anything may take before a test fails.
const LIMIT: Duration = Duration::from_secs(20);

/// Serves with these limits for as long as the test runs, for a home that a daemon may be played in.
fn serve(name: &str, limits: Limits) -> (SocketAddr, Home) {
    let root = std::env::temp_dir().join(format!("rpm-web-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(&root).unwrap();
    let home = Home::new(root);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let access = Access {
        address: address.ip(),
        names: Vec::new(),
        token: None,
    };
    let theirs = home.clone();
    std::thread::spawn(move || {
        let mut server = Server::new(listener, access, limits, theirs).unwrap();
        loop {
            server.turn(None).unwrap();
        }
    });
    (address, home)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// All that comes until the server hangs up.
fn rest(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => break,
            Err(e) => panic!("it does not hang up: {e}"),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const GET: &str = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends a request and reads the first line of what it is answered.
fn status(mut stream: &TcpStream, request: &str) -> String {
    let mut line = String::new();
    // One that was refused at once may be closed already, its answer lost.
    if stream.write_all(request.as_bytes()).is_ok() {
        let _ = BufReader::new(stream).read_line(&mut line);
    }
    line
}

fn answered(address: SocketAddr) {
    let line = status(&connect(address), GET);
    assert_eq!(line, "HTTP/1.1 404 Not Found\r\n");
}

#[test]
fn one_that_sends_a_head_byte_by_byte_is_told_that_its_time_is_over() {
    let limits = Limits {
        head: 300,
        ..Limits::default()
    };
    let (address, home) = serve("slow", limits);
    let mut slow = connect(address);
    let mut bytes = std::iter::repeat(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ".iter()).flatten();
    // It goes on sending until nobody listens any more.
    let mut served = 0;
    while slow.write_all(&[*bytes.next().unwrap()]).is_ok() {
        served += usize::from(status(&connect(address), GET).contains("404"));
    }
    assert!(served > 0, "others are served meanwhile");
    let silent = connect(address);
    assert_eq!(rest(&silent), "", "one that says nothing is not spoken to");
    let mut half = connect(address);
    half.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    assert!(rest(&half).starts_with("HTTP/1.1 408 "));
    std::fs::remove_dir_all(home.root()).unwrap();
}

#[test]
fn a_connection_is_kept_for_a_while_and_no_longer() {
    let limits = Limits {
        idle: 100,
        ..Limits::default()
    };
    let (address, home) = serve("idle", limits);
    let mut stream = connect(address);
    stream.write_all(GET.as_bytes()).unwrap();
    let text = rest(&stream);
    assert!(text.contains("Connection: keep-alive") && text.ends_with("here\n"));
    std::fs::remove_dir_all(home.root()).unwrap();
}

#[test]
fn connections_past_the_limit_are_refused_and_idle_ones_make_room() {
    let limits = Limits {
        connections: 3,
        ..Limits::default()
    };
    let (address, home) = serve("many", limits);
    // What a client has been answered, the server has seen.
    let idle = connect(address);
    assert!(status(&idle, GET).contains("404"));
    let begun = [(); 3].map(|()| {
        let stream = connect(address);
        assert!(status(&stream, &format!("{GET}GET ")).contains("404"));
        stream
    });
    rest(&idle);
    let refused = rest(&connect(address));
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("too many connections"));
    drop(begun);
    // That they have hung up is seen in the same turn as the next connection, or in the one behind it.
    assert!((0..1000).any(|_| status(&connect(address), GET).contains("404")));
    std::fs::remove_dir_all(home.root()).unwrap();
}

#[test]
fn a_daemon_that_does_not_answer_holds_up_nobody_else() {
    let limits = Limits {
        answer: 300,
        ..Limits::default()
    };
    let (address, home) = serve("stuck", limits);
    // It listens and never accepts.
    let _daemon = UnixListener::bind(home.socket()).unwrap();
    let mut waiting = connect(address);
    waiting
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    answered(address);
    let text = rest(&waiting);
    assert!(
        text.starts_with("HTTP/1.1 503 ") && text.contains("does not answer"),
        "{text}"
    );
    std::fs::remove_dir_all(home.root()).unwrap();
}

#[test]
fn nonsense_from_the_daemon_is_no_answer() {
    let (address, home) = serve("nonsense", Limits::default());
    let daemon = UnixListener::bind(home.socket()).unwrap();
    let mut asking = connect(address);
    asking
        .write_all(b"GET /api/processes HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let (mut server, _) = daemon.accept().unwrap();
    server.write_all(b"ok\nok\nprocess nonsense\n").unwrap();
    drop(daemon);
    assert!(rest(&asking).starts_with("HTTP/1.1 503 "));
    std::fs::remove_dir_all(home.root()).unwrap();
}

/// A list of many programs, as a daemon would send it.
fn rows(count: usize) -> String {
    let row = |id| {
        format!(
            "process id={id} name={} namespace=default status=online want=up pid={} since=1 created=1 restarts=0 \
             unstable=0\n",
            "x".repeat(500),
            id + 1000
        )
    };
    (0..count).map(row).collect::<String>() + "ok\n"
}

#[test]
fn followers_that_do_not_read_are_cut_and_others_are_told() {
    let limits = Limits {
        followers: 2,
        ..Limits::default()
    };
    let (address, home) = serve("followers", limits);
    let daemon = UnixListener::bind(home.socket()).unwrap();
    let follow = || {
        let mut stream = connect(address);
        stream
            .write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        stream
    };
    let (deaf, reading) = (follow(), follow());
    let (mut server, _) = daemon.accept().unwrap();
    let mut asked = BufReader::new(server.try_clone().unwrap()).lines();
    server.write_all(b"ok\nok\n").unwrap();
    assert_eq!(
        asked
            .find(|line| line.as_ref().unwrap() == "list")
            .unwrap()
            .unwrap(),
        "list"
    );
    // Large enough to fill every buffer of the kernel in a few rounds.
    server.write_all(rows(2000).as_bytes()).unwrap();
    let mut lines = BufReader::new(&reading).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("data: {\"now\":")));
    let third = follow();
    // Both are following only once both were answered by the same list, which they were.
    assert!(rest(&third).starts_with("HTTP/1.1 503 "));
    let event = format!(
        "event what=state id=1 name={} namespace=default status=errored want=up pid=0 since=0 created=1 restarts=1 \
         unstable=1\n",
        "y".repeat(100_000)
    );
    for _ in 0..200 {
        // One after the other: this follower keeps up.
        server.write_all(event.as_bytes()).unwrap();
        assert!(lines.any(|line| line == "event: change"));
    }
    drop(server);
    let heard = rest(&deaf);
    assert!(heard.matches("event: change").count() < 200);
    std::fs::remove_dir_all(home.root()).unwrap();
}

#[test]
fn one_that_sends_many_requests_is_served_a_few_in_a_turn() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let access = Access {
        address: address.ip(),
        names: Vec::new(),
        token: None,
    };
    let home = Home::new("/nonexistent".into());
    let mut server = Server::new(listener, access, Limits::default(), home).unwrap();
    let mut stream = connect(address);
    stream.write_all(GET.repeat(20).as_bytes()).unwrap();
    let mut turns = 0;
    let mut answers = 0;
    while answers < 20 {
        server.turn(None).unwrap();
        turns += 1;
        stream
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let mut chunk = [0; 64 << 10];
        let n = stream.read(&mut chunk).unwrap_or(0);
        let new = String::from_utf8_lossy(&chunk[..n])
            .matches("HTTP/1.1 404")
            .count();
        answers += new;
        assert!(
            answers <= turns * REQUESTS_A_TURN,
            "{answers} in {turns} turns"
        );
    }
}
