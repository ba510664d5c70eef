//! Several instances on one port: Node's cluster, and sockets that the daemon holds.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::run::spawn;
use crate::harness::wait::wait_for_end;
use crate::harness::{Home, app, has, is_root, proc, skip, wait_until};

/// A port that nobody listens at just now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Asks over HTTP and gives the body.
fn ask(mut stream: impl Read + Write) -> std::io::Result<String> {
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let body = text.split("\r\n\r\n").nth(1);
    Ok(body.unwrap_or_default().to_owned())
}

fn ask_port(port: u16) -> std::io::Result<String> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    ask(stream)
}

/// A member of the JSON that `cluster.js` answers.
fn member(body: &str, name: &str) -> String {
    let behind = body
        .split(&format!("\"{name}\":"))
        .nth(1)
        .unwrap_or_default();
    behind
        .split([',', '}'])
        .next()
        .unwrap()
        .trim_matches('"')
        .to_owned()
}

/// The pids that answer, until these are so many.
#[track_caller]
fn who_answers(port: u16, wanted: usize) -> BTreeSet<i32> {
    let mut pids = BTreeSet::new();
    wait_until(&format!("{wanted} workers answer"), || {
        // All at once, or one that is quick takes them all.
        let streams = (0..24).map(|_| TcpStream::connect(("127.0.0.1", port)));
        // Before the first of them listens there is nobody to connect to.
        let streams: Vec<_> = streams.flatten().collect();
        for stream in streams {
            pids.insert(member(&ask(stream).unwrap(), "pid").parse().unwrap());
        }
        pids.len() >= wanted
    });
    pids
}

fn pids(home: &Home) -> BTreeSet<i32> {
    home.list().iter().map(|p| p.pid).collect()
}

/// Starts workers, and waits until all listen.
#[track_caller]
fn workers(home: &Home, count: usize, places: &[&str]) {
    let script = app("cluster.js");
    let number = count.to_string();
    let words = ["start", &script, "--name", "web", "-i", &number, "--"];
    home.rpm(&[&words, places].concat()).ok();
    for id in 0..count {
        let log = match count {
            1 => "web-out.log".to_owned(),
            _ => format!("web-out-{id}.log"),
        };
        for place in places {
            home.wait_for_log(&log, place);
        }
    }
}

#[test]
fn workers_share_a_port_and_know_who_they_are() {
    if !has("node") {
        return skip("node is not installed");
    }
    let home = Home::new();
    let port = free_port();
    workers(&home, 4, &[&port.to_string()]);
    assert_eq!(who_answers(port, 4), pids(&home));
    let mut seen = BTreeSet::new();
    wait_until("every worker tells of itself", || {
        let body = ask_port(port).unwrap();
        assert_eq!(member(&body, "worker"), "true");
        assert_eq!(member(&body, "connected"), "true");
        // Node takes it away, so that children of the worker do not think that it is theirs.
        assert_eq!(member(&body, "channel"), "");
        seen.insert((member(&body, "id"), member(&body, "instance")));
        seen.len() == 4
    });
    let expected = (0..4).map(|n| ((n + 1).to_string(), n.to_string()));
    assert_eq!(seen, expected.collect());
    let table = home.rpm(&["list"]).ok().stdout;
    assert!(table.contains("cluster"), "{table}");
    assert!(
        home.rpm(&["jlist"])
            .ok()
            .stdout
            .contains("\"exec_mode\":\"cluster_mode\"")
    );
    // The port is closed when nobody is to serve it any more.
    home.rpm(&["stop", "web"]).ok();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    home.rpm(&["start", "web"]).ok();
    who_answers(port, 4);
}

#[test]
fn a_worker_that_dies_is_replaced_and_the_port_stays_open() {
    if !has("node") {
        return skip("node is not installed");
    }
    let home = Home::new();
    let port = free_port();
    workers(&home, 1, &[&port.to_string()]);
    for _ in 0..3 {
        let pid = home.program("web").pid;
        proc::kill(pid, Signal::KILL);
        // At any moment: it is taken when the next worker listens.
        let body = ask_port(port).unwrap();
        assert_ne!(member(&body, "pid"), pid.to_string());
        home.wait_for_state("web", State::Online);
    }
}

#[test]
fn errors_reach_the_program_as_those_of_node() {
    if !has("node") {
        return skip("node is not installed");
    }
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let script = app("cluster.js");
    let place = format!("127.0.0.1:{port}");
    let foreign = "192.0.2.1:1";
    let words = [
        "start",
        &script,
        "--name",
        "web",
        "-i",
        "2",
        "--stop-exit-codes",
        "7",
        "--",
    ];
    home.rpm(&[&words[..], &[&place]].concat()).ok();
    home.wait_for_log("web-out-0.log", &format!("{place}: EADDRINUSE bind"));
    home.rpm(&["delete", "web"]).ok();
    home.rpm(&[&words[..], &[foreign]].concat()).ok();
    home.wait_for_log("web-out-2.log", &format!("{foreign}: EADDRNOTAVAIL bind"));
    home.rpm(&["delete", "web"]).ok();
    let nowhere = home.base.join("missing/socket").display().to_string();
    home.rpm(&[&words[..], &[&nowhere]].concat()).ok();
    home.wait_for_log("web-out-4.log", &format!("{nowhere}: E"));
}

#[test]
fn datagrams_paths_and_several_ports_are_shared_too() {
    if !has("node") {
        return skip("node is not installed");
    }
    let home = Home::new();
    let (one, two) = (free_port(), free_port());
    let udp = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let path = home.base.join("web.sock");
    let places = [
        one.to_string(),
        format!("127.0.0.1:{two}"),
        format!("udp:{udp}"),
        path.display().to_string(),
    ];
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    workers(&home, 3, &places);
    who_answers(one, 3);
    who_answers(two, 3);
    let mut seen = BTreeSet::new();
    wait_until("each worker answers at the path", || {
        seen.insert(member(
            &ask(UnixStream::connect(&path).unwrap()).unwrap(),
            "pid",
        ));
        seen.len() == 3
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    client.send_to(b"x", ("127.0.0.1", udp)).unwrap();
    let mut text = [0; 512];
    let n = client.recv(&mut text).unwrap();
    assert!(String::from_utf8_lossy(&text[..n]).contains("\"worker\":true"));
    home.rpm(&["delete", "web"]).ok();
    assert!(!path.exists(), "the path goes with the last of them");
}

/// After something has happened to the daemons: the workers serve, and one that is started anew shares their ports.
#[track_caller]
fn goes_on(home: &Home, port: u16, before: &BTreeSet<i32>) {
    assert_eq!(&who_answers(port, 3), before);
    home.rpm(&["restart", "0"]).ok();
    let after = who_answers(port, 3);
    assert_eq!(after, pids(home));
    assert_eq!(after.intersection(before).count(), 2);
}

#[test]
fn the_death_of_the_supervisor_an_update_and_a_stop_of_the_log_writer_take_no_port_away() {
    if !has("node") {
        return skip("node is not installed");
    }
    let home = Home::new();
    let port = free_port();
    workers(&home, 3, &[&port.to_string()]);
    // Only root may take from a process what nobody has kept.
    let both = if is_root() { "both" } else { "supervisor" };
    for what in ["supervisor", "update", "log writer", both, "supervisor"] {
        let before = pids(&home);
        match what {
            "supervisor" => {
                let supervisor = home.supervisor();
                proc::kill(supervisor, Signal::KILL);
                wait_for_end(supervisor);
            }
            "both" => home.kill_daemons(),
            "log writer" => {
                let writer = home.log_writer().unwrap();
                proc::kill(writer, Signal::KILL);
                wait_for_end(writer);
            }
            _ => {
                home.rpm(&["update"]).ok();
            }
        }
        home.rpm(&["ping"]).ok();
        goes_on(&home, port, &before);
    }
}

#[test]
fn any_other_program_is_started_with_the_sockets_that_it_asks_for() {
    if !has("python3") {
        return skip("python3 is not installed");
    }
    let home = Home::new();
    let port = free_port();
    let script = app("activated.py");
    let place = format!("tcp:127.0.0.1:{port}");
    let path = format!("unix:{}", home.base.join("s").display());
    let words = [
        "start", &script, "--name", "py", "-i", "2", "--listen", &place, "--listen", &path,
    ];
    home.rpm(&words).ok();
    let shown = place.replace(':', "-");
    home.wait_for_log("py-out-0.log", &format!("serving {shown},"));
    let ask = || -> std::io::Result<String> {
        let mut text = String::new();
        TcpStream::connect(("127.0.0.1", port))?.read_to_string(&mut text)?;
        Ok(text)
    };
    let mut seen = BTreeSet::new();
    wait_until("both answer", || {
        seen.insert(ask().unwrap());
        seen.len() == 2
    });
    // While none runs, connections wait.
    let pids: Vec<i32> = home.list().iter().map(|p| p.pid).collect();
    pids.iter().for_each(|pid| proc::kill(*pid, Signal::KILL));
    assert!(!seen.contains(&ask().unwrap()));
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
    home.rpm(&["restart", "py"]).ok();
    ask().unwrap();
    // A socket that cannot be had fails the start and leaves nothing behind.
    let other = ["start", &script, "--name", "other", "--listen", &place];
    home.rpm(&other)
        .fails(&["listening at", &place, "Address already in use"]);
    assert_eq!(home.list().len(), 2);
    home.rpm(&["start", &script, "--name", "x", "--listen", "tcp:nowhere"])
        .misused("is not a socket");
    home.rpm(&["delete", "py"]).ok();
    assert!(ask().is_err());
    assert!(!home.base.join("s").exists());
}

#[test]
fn a_server_that_knows_the_protocol_is_activated() {
    if !has("gunicorn") {
        return skip("gunicorn is not installed");
    }
    let home = Home::new();
    let port = free_port();
    let text =
        "def app(environ, start):\n    start('200 OK', [])\n    return [b'hello from gunicorn']\n";
    std::fs::write(home.base.join("hello.py"), text).unwrap();
    let place = format!("tcp:127.0.0.1:{port}");
    let words = [
        "start",
        "gunicorn",
        "--interpreter",
        "none",
        "--listen",
        &place,
        "--",
        "hello:app",
    ];
    home.rpm(&words).ok();
    assert_eq!(ask_port(port).unwrap(), "hello from gunicorn");
    proc::kill(home.program("gunicorn").pid, Signal::KILL);
    // Whatever its worker held when the two of them were ended is lost, and the port stays open.
    wait_until("the next one answers", || {
        ask_port(port).unwrap_or_default() == "hello from gunicorn"
    });
}

#[test]
fn under_load_all_workers_take_part_and_a_death_costs_only_what_it_held() {
    if !has("node") || !has("wrk") {
        return skip("node and wrk are not both installed");
    }
    let home = Home::new();
    let port = free_port();
    workers(&home, 4, &[&port.to_string()]);
    let url = format!("http://127.0.0.1:{port}/");
    let mut command = home.command(&["wrk", "-t1", "-c16", "-d4s", "--timeout", "10s", &url]);
    command.stdout(std::process::Stdio::piped());
    let mut load = spawn(&mut command).unwrap();
    let mut events = home.events();
    let mut killed = 0;
    for id in 0..4 {
        let pid = home.list()[id].pid;
        proc::kill(pid, Signal::KILL);
        killed += 1;
        events.wait_for("it is replaced", |p| {
            p.id == id as u32 && p.state == State::Online && p.pid != pid
        });
    }
    let mut said = String::new();
    load.stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    load.wait().unwrap();
    let errors = |what: &str| -> usize {
        let line = said.lines().find(|line| line.contains("Socket errors"));
        let behind = line.and_then(|line| line.split(what).nth(1));
        let word = behind.and_then(|b| b.split_ascii_whitespace().next());
        word.map_or(0, |w| w.trim_end_matches(',').parse().unwrap())
    };
    // A connection that a killed worker held is reset; at most all 16 were one's.
    assert_eq!(errors("connect "), 0, "{said}");
    assert_eq!(errors("timeout "), 0, "{said}");
    assert!(errors("read ") <= killed * 16, "{said}");
    let requests = said
        .lines()
        .find(|line| line.contains("requests in"))
        .unwrap();
    let count: usize = requests
        .split_ascii_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(count > 0, "{said}");
    who_answers(port, 4);
}

#[test]
fn a_path_is_made_with_the_mask_of_its_program_and_no_file_of_somebody_else_is_taken() {
    if !has("node") || !has("python3") {
        return skip("node and python3 are not both installed");
    }
    let home = Home::new();
    let mode = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    let path = home.base.join("web.sock");
    let place = path.display().to_string();
    let script = app("cluster.js");
    let words = [
        "start", &script, "-n", "web", "-i", "1", "--umask", "002", "--", &place,
    ];
    home.rpm(&words).ok();
    home.wait_for_log("web-out.log", "listening");
    assert_eq!(mode(&path), 0o775);
    home.rpm(&["delete", "web"]).ok();
    let precious = home.base.join("precious");
    std::fs::write(&precious, "data").unwrap();
    let place = format!("unix:{}", precious.display());
    let script = app("activated.py");
    home.rpm(&["start", &script, "-n", "py", "--listen", &place])
        .fails(&["listening at", "Address already in use"]);
    assert_eq!(std::fs::read(&precious).unwrap(), b"data");
    let other = home.base.join("s");
    let place = format!("unix:{}", other.display());
    home.rpm(&[
        "start", &script, "-n", "py", "--umask", "000", "--listen", &place,
    ])
    .ok();
    assert_eq!(mode(&other), 0o777);
    let words = [
        "start",
        &app("cluster.js"),
        "--exec-mode",
        "cluster",
        "--listen",
        "tcp:1",
    ];
    home.rpm(&words).fails(&["exec_mode is fork"]);
    home.rpm(&["start", "sleep", "--exec-mode", "cluster", "--", "1000"])
        .fails(&["for Node scripts"]);
}
