//! `rpm web` and `rpm metrics`, as programs and people meet them.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use rpm::model::life::State;

use crate::harness::browser::Browser;
use crate::harness::http::{Site, answer};
use crate::harness::{Home, has, proc, skip, wait_until};

#[test]
fn the_web_server_is_a_program_like_others() {
    let home = Home::new();
    let site = home.web(&[]);
    assert_eq!(home.program("rpm-web").state, State::Online);
    site.get("/").is(200, "\"name\":\"rpm-web\"");
    let again = home.rpm(&["web"]).ok().stdout;
    assert!(
        again.contains("already") && again.contains(&site.address.to_string()),
        "{again}"
    );
    home.rpm(&["web", "1"]).fails(&["rpm delete rpm-web first"]);
    home.rpm(&["stop", "rpm-web"]).ok();
    assert!(TcpStream::connect(site.address).is_err());
    let site = Site::from_text(&home.rpm(&["web"]).ok().stdout);
    site.get("/").is(200, "\"name\":\"rpm-web\"");
    home.rpm(&["delete", "rpm-web"]).ok();
    assert!(TcpStream::connect(site.address).is_err());
    assert!(
        !home.entries("").contains(&"web".to_owned()),
        "its notice is gone"
    );
}

#[test]
fn a_port_in_use_is_an_error_and_nothing_is_managed() {
    let home = Home::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    home.rpm(&["web", &port])
        .fails(&[&port, "Address already in use", "rpm web PORT"]);
    assert_eq!(home.list(), []);
    drop(other);
    home.rpm(&["web", &port]).ok();
    home.rpm(&["stop", "rpm-web"]).ok();
    let other = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    home.rpm(&["web", &port]).fails(&["Address already in use"]);
    assert_eq!(
        home.program("rpm-web").state,
        State::Stopped,
        "as it was before"
    );
    drop(other);
}

#[test]
fn what_cannot_be_served_is_refused_with_a_sentence() {
    let home = Home::new();
    for (words, part) in [
        (
            &["web", "--bind", "0.0.0.0"][..],
            "0.0.0.0 could read the list and the logs; add --token",
        ),
        (&["web", "--bind", "::ffff:10.0.0.1"], "add --token"),
        (&["web", "70000"], "'70000' is not a port"),
        (&["web", "--bind", "here"], "'here' is not an IP address"),
        (&["web", "--token", "short"], "8 to 128 characters"),
        (&["web", "--host", "a:1"], "without port"),
    ] {
        let output = home.rpm(words);
        assert!(
            output.code == 2 && output.stderr.contains(part),
            "{}",
            output.shown()
        );
    }
    assert!(!home.root.exists(), "no daemon was started for that");
    home.start_sleep("rpm-web");
    home.rpm(&["web", "0"])
        .fails(&["no web server of rpm is called rpm-web"]);
    assert_eq!(home.list().len(), 1);
}

#[test]
fn every_route_answers_and_no_value_of_an_environment_is_in_it() {
    let home = Home::new();
    home.shell("SECRET=open-sesame $RPM start sleep --name app -- 1000")
        .ok();
    home.rpm(&["stop", "app"]).ok();
    let site = home.web(&["--token", "token-of-the-test"]);
    let get = |target: &str| site.ask("GET", target, "Authorization: Bearer token-of-the-test\r\n");
    let all = [
        ("/", "\"pm2_env\":{\"pm_id\":0,\"status\":\"stopped\""),
        (
            "/api/processes",
            "\"id\":0,\"name\":\"app\",\"namespace\":\"default\"",
        ),
        (
            "/api/logs/0",
            "{\"id\":0,\"name\":\"app\",\"out\":{\"path\":\"",
        ),
        ("/metrics", "rpm_program_up{id=\"0\",name=\"app\""),
    ];
    for (target, part) in all {
        let answer = get(target);
        answer.is(200, part);
        assert!(
            answer
                .head
                .contains("\r\nX-Content-Type-Options: nosniff\r\n")
        );
        assert!(!answer.head.contains("Access-Control"), "{}", answer.head);
        for secret in ["open-sesame", "token-of-the-test"] {
            assert!(!answer.body.contains(secret), "{target}: {}", answer.body);
        }
    }
    get("/api/logs/9").is(404, "no such program");
    get("/api/logs/app").is(404, "by its id");
    get("/nowhere").is(404, "/api/processes");
    let words = proc::arguments(home.program("rpm-web").pid).join(" ");
    assert!(!words.contains("token-of"), "everybody can read {words}");
}

#[test]
fn a_page_of_another_site_and_one_without_the_token_get_nothing() {
    let home = Home::new();
    let site = home.web(&["--token", "token-of-the-test", "--host", "box.lan"]);
    let host = |name: &str, target: &str| {
        let text = format!("GET {target} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        answer(&site.exchange(text)).status
    };
    let with_token = "/api/processes?token=token-of-the-test";
    for name in ["localhost", "127.0.0.1:9", "[::1]", "box.lan", "BOX.LAN:80"] {
        assert_eq!(host(name, with_token), 200, "{name}");
        assert_eq!(host(name, "/api/processes"), 401, "{name}");
        assert_eq!(host(name, "/"), 401, "{name}");
        assert_eq!(
            host(name, "/metrics?token=token-of-the-tesT"),
            401,
            "{name}"
        );
    }
    for name in ["evil.example", "localhost.evil.example", "10.0.0.1", ""] {
        assert_eq!(host(name, with_token), 421, "{name}");
    }
    let refused = site.get("/");
    assert!(
        refused.head.contains("\r\nWWW-Authenticate: Bearer\r\n"),
        "{}",
        refused.head
    );
    // With another environment it serves nobody, rather than everybody.
    home.rpm(&["restart", "rpm-web", "--update-env"]).ok();
    home.wait_for_log(
        "rpm-web-error.log",
        "RPM_WEB_TOKEN is not in its environment",
    );
    home.rpm(&["delete", "rpm-web"]).ok();
}

#[test]
fn the_server_outlives_the_daemon_and_finds_the_next_one() {
    let home = Home::new();
    let site = home.web(&[]);
    site.get("/metrics").is(200, "rpm_program_up");
    // Both: otherwise the next one is there in a moment, and nobody sees that there was none.
    home.kill_daemons();
    wait_until("the end of the daemon is seen", || {
        site.get("/metrics").status == 503
    });
    site.get("/api/processes").is(503, "no daemon runs in");
    home.rpm(&["ping"]).ok();
    site.get("/metrics")
        .is(200, "rpm_program_up{id=\"0\",name=\"rpm-web\"");
}

#[test]
fn followers_hear_of_changes() {
    let home = Home::new();
    home.start_sleep("app");
    let site = home.web(&[]);
    let mut stream = site.connect();
    write!(
        stream,
        "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    .unwrap();
    let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
    let mut wait_for = |part: &str| lines.find(|line| line.contains(part)).unwrap();
    wait_for("Content-Type: text/event-stream");
    let list = wait_for("data: {\"now\":");
    assert!(
        list.contains("\"cpu_history\":[") && list.contains("\"name\":\"app\""),
        "{list}"
    );
    home.rpm(&["stop", "app"]).ok();
    wait_for("\"name\":\"app\",\"namespace\":\"default\",\"instance\":0,\"status\":\"stopped\"");
    home.rpm(&["delete", "app"]).ok();
    wait_for("{\"what\":\"deleted\",\"process\":{\"id\":0,");
    // Without anything happening, the next look comes by itself.
    wait_for("data: {\"now\":");
}

#[test]
fn logs_that_are_no_files_hold_up_nobody() {
    let home = Home::new();
    home.shell("mkfifo pipe").ok();
    home.start(
        "app",
        "echo one; echo '<b>two</b>'; printf three; exec sleep 1000",
        &["-e", "pipe"],
    );
    home.wait_for_log("app-out.log", "three");
    let site = home.web(&[]);
    let logs = site.get("/api/logs/0?lines=2");
    logs.is(200, "\"lines\":[\"<b>two</b>\",\"three\"]");
    logs.is(200, "pipe\",\"lines\":[]");
}

#[test]
fn promtool_finds_nothing_to_complain_of() {
    if !has("promtool") {
        return skip("promtool is not installed (Debian: prometheus)");
    }
    let home = Home::new();
    home.start("fails", "exit 3", &["--max-restarts", "1"]);
    home.wait_for_state("fails", State::Errored);
    home.rpm(&["start", "sleep", "--name", "a \"b\\c", "--", "1000"])
        .ok();
    let site = home.web(&[]);
    let scraped = site.get("/metrics");
    assert!(
        scraped
            .head
            .contains("Content-Type: text/plain; version=0.0.4")
    );
    let printed = home.rpm(&["metrics"]).ok().stdout;
    for text in [scraped.body, printed] {
        assert!(text.contains("name=\"a \\\"b\\\\c\""), "{text}");
        assert!(text.contains("rpm_program_last_exit_code{id=\"0\",name=\"fails\",namespace=\"default\",instance_number=\"0\"} 3\n"));
        let file = home.base.join("metrics");
        std::fs::write(&file, text).unwrap();
        let mut command = home.command(&["promtool", "check", "metrics"]);
        command.stdin(Stdio::from(std::fs::File::open(file).unwrap()));
        let said = home.run(command).ok();
        assert_eq!(said.stdout + &said.stderr, "");
    }
}

#[test]
fn a_browser_shows_programs_as_they_change() {
    if !has("chromium") {
        return skip("chromium is not installed (Debian: chromium)");
    }
    let home = Home::new();
    let text = "printf '\\033[31mred\\033[0m <b>bold</b>\\n'; exec sleep 1000";
    home.start("app", text, &[]);
    let hostile = "<img src=x onerror=document.title='owned'>";
    home.rpm(&["start", "sleep", "--name", hostile, "--", "1000"])
        .ok();
    let site = home.web(&[]);
    let url = format!("http://{}/", site.address);
    let mut page = Browser::open(&home, &url, 1280, 800);
    page.wait_for("document.querySelectorAll('tbody tr').length === 3");
    page.wait_for("document.querySelector('tbody .name span').textContent === 'app'");
    page.wait_for("document.getElementById('light').className === 'live'");
    // The first program is chosen, and its log is shown as it stands.
    page.wait_for("document.querySelector('pre').textContent === 'red <b>bold</b>'");
    page.wait_for(
        "!document.querySelector('tbody img') && document.title.startsWith('3/3 online')",
    );
    // A look every two seconds makes the sparklines.
    page.wait_for("document.querySelector('.mem path.line').getAttribute('d').startsWith('M')");
    home.rpm(&["stop", "app"]).ok();
    page.wait_for("document.querySelector('tbody .status').textContent === 'stopped'");
    home.rpm(&["delete", "app"]).ok();
    page.wait_for("document.querySelectorAll('tbody tr').length === 2");
    // Both: the log writer would start another supervisor before the page has noticed.
    home.kill_daemons();
    page.wait_for("document.getElementById('banner').textContent.includes('daemon has ended')");
    home.rpm(&["ping"]).ok();
    page.wait_for("document.getElementById('banner').hidden");
    drop(page);
}

#[test]
fn no_window_is_too_narrow() {
    if !has("chromium") {
        return skip("chromium is not installed (Debian: chromium)");
    }
    let home = Home::new();
    home.start_sleep("a-program-with-a-name-that-is-longer-than-a-phone-is-wide");
    let site = home.web(&["--token", "token-of-the-test"]);
    let url = format!("http://{}/?token=token-of-the-test", site.address);
    let mut page = Browser::open(&home, &url, 360, 640);
    page.wait_for("document.querySelectorAll('tbody tr').length === 2");
    for width in [360, 860, 861, 1160, 1161, 1920] {
        page.resize(width, 640);
        let fits = format!(
            "innerWidth === {width} && document.documentElement.scrollWidth <= {width} \
             && document.querySelector('main').scrollWidth <= document.querySelector('main').clientWidth"
        );
        page.wait_for(&fits);
    }
    page.wait_for(
        "!document.querySelector('tbody tr').click() && !document.getElementById('logs').hidden",
    );
    page.wait_for("document.querySelector('pre').textContent === 'nothing yet'");
    drop(page);
}
