//! Requests that mean no good, or know no better. The server answers what it can, and everybody else is served.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::harness::http::{Site, answer, read_to_end};
use crate::harness::{Home, proc, random_bytes};

/// What everybody else still finds, and what it costs.
#[track_caller]
fn assert_well(home: &Home, site: &Site) {
    site.get("/api/processes").is(200, "\"name\":\"rpm-web\"");
    let server = home.program("rpm-web");
    assert_eq!(server.restarts, 0);
    let resident = proc::status(server.pid, "VmRSS");
    let kib: u64 = resident.trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 8 << 10, "the web server has grown to {kib} KiB");
}

#[test]
fn malformed_requests_are_refused_and_the_connection_ends() {
    let home = Home::new();
    let site = home.web(&[]);
    for (bytes, status) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00"[..], 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\n\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 413),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n", 413),
        (b"DELETE /api/processes HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"GET /api/logs/0?lines=x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ] {
        // Only one answer comes, whatever stands behind the request.
        let text = site.exchange(bytes);
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
        let answer = answer(&text);
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(bytes));
        assert!(answer.head.contains("\r\nConnection: close\r\n"), "{}", answer.head);
    }
    assert_well(&home, &site);
}

#[test]
fn huge_requests_are_refused_before_they_are_whole() {
    let home = Home::new();
    let site = home.web(&[]);
    let long = "x".repeat(200_000);
    for (head, status) in [
        (format!("GET /{long}"), 414),
        (
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}"),
            431,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
                "A: b\r\n".repeat(500)
            ),
            431,
        ),
        (
            format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n{long}"),
            413,
        ),
        (long, 414),
    ] {
        assert_eq!(answer(&site.exchange(head)).status, status);
    }
    // One that goes on sending is cut, with or without having read its answer.
    let mut stream = site.connect();
    while stream.write_all(&[b'x'; 64 << 10]).is_ok() {}
    assert_well(&home, &site);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let home = Home::new();
    let site = home.web(&[]);
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut all = String::new();
    for _ in 0..100 {
        all += &get("/metrics");
        all += &get("/nowhere");
        all += &get("/api/logs/0");
    }
    all += "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    all += &get("/metrics");
    let mut stream = site.connect();
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let _ = writer.write_all(all.as_bytes());
    });
    let text = read_to_end(&mut stream);
    sender.join().unwrap();
    let kinds: Vec<&str> = text
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|one| match one {
            _ if one.contains("rpm_build_info{") => "metrics",
            _ if one.starts_with("404") => "nowhere",
            _ if one.contains("\"out\":{") => "logs",
            _ if one.contains("version=0.0.4") && one.ends_with("\r\n\r\n") => "head",
            _ => one,
        })
        .collect();
    let mut expected = ["metrics", "nowhere", "logs"].repeat(100);
    expected.push("head");
    assert_eq!(kinds, expected);
    assert_well(&home, &site);
}

#[test]
fn noise_is_refused() {
    let home = Home::new();
    let site = home.web(&[]);
    for seed in 0..200 {
        let mut bytes = random_bytes(10_000, seed);
        if seed % 2 == 0 {
            bytes.splice(0..0, *b"GET / HTTP/1.1\r\nHost: localhost\r\n");
        }
        let status = answer(&site.exchange(bytes)).status;
        assert!([400, 414, 431].contains(&status), "{seed}: {status}");
    }
    assert_well(&home, &site);
}

#[test]
fn clients_that_hang_up_anywhere_leave_nothing_behind() {
    let home = Home::new();
    let site = home.web(&[]);
    let request = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for length in 0..=request.len() {
        let mut stream = site.connect();
        stream.write_all(&request[..length]).unwrap();
        if length % 3 == 0 {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        if length == request.len() {
            stream.read_exact(&mut [0; 100]).unwrap();
        }
    }
    // More of them than there is room for, if any had stayed.
    let many: Vec<_> = (0..200).map(|_| site.connect()).collect();
    drop(many);
    assert_well(&home, &site);
    let server = home.program("rpm-web").pid;
    crate::harness::wait_until("all connections are closed", || {
        let open = proc::descriptors(server);
        let sockets = open
            .iter()
            .filter(|(_, path)| path.to_string_lossy().starts_with("socket:"));
        // The listener and the connection to the daemon.
        sockets.count() <= 2
    });
}

#[test]
fn clients_that_read_nothing_hold_up_nobody() {
    let home = Home::new();
    home.rpm(&["start", "sleep", "-i", "30", "--name", "app", "--", "1000"])
        .ok();
    let site = home.web(&[]);
    let ask = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
    let deaf: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = site.connect();
            stream.set_nonblocking(true).unwrap();
            let _ = stream.write(ask.as_bytes());
            stream
        })
        .collect();
    for _ in 0..20 {
        site.get("/metrics").is(200, "rpm_program_up");
    }
    drop(deaf);
    assert_well(&home, &site);
}
