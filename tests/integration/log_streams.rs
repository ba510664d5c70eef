//! Where output comes from and where it is not kept: programs without log files, children that outlive them, users who
//! are somebody else.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rpm::model::life::State;

use crate::harness::{Home, has, is_root, proc, skip, wait_until};

#[test]
fn what_is_not_to_be_kept_is_not_kept_and_nobody_waits() {
    for flags in [
        &["-o", "NULL", "-e", "/dev/null"][..],
        &["--disable-logs"],
        &["--disable-logs", "--log-type", "json", "-l", "all.log"],
        &["-o", "null", "-e", "null", "--time"],
    ] {
        let home = Home::new();
        let text = "head -c 3000000 /dev/zero\nhead -c 3000000 /dev/urandom >&2\n\
                    touch printed\nexec sleep 1000\n";
        home.start("x", text, flags);
        wait_until("all is printed", || home.base.join("printed").exists());
        home.rpm(&["flush"]).ok();
        home.rpm(&["logrotate"]).ok();
        assert_eq!(home.program("x").lost, 0);
        assert!(home.entries("logs").is_empty());
        assert!(!home.base.join("all.log").exists());
    }
}

#[test]
fn a_child_that_outlives_its_program_is_heard() {
    let home = Home::new();
    let text = "(until [ -e go ]; do sleep 0.01; done; echo late) &\necho first\n";
    home.start("x", text, &["--no-autorestart", "--no-treekill"]);
    home.wait_for_state("x", State::Stopped);
    home.wait_for_log("x-out.log", "first\n");
    fs::write(home.base.join("go"), "").unwrap();
    home.wait_for_log("x-out.log", "first\nlate\n");
}

#[test]
fn a_program_that_becomes_another_user_opens_its_output_anew() {
    if !is_root() || !has("setpriv") {
        return skip("only root, with setpriv, can become somebody else");
    }
    let home = Home::new();
    let text = "exec setpriv --reuid 4321 --regid 4321 --clear-groups sh -c \
                'echo one > /dev/stdout; echo two > /dev/stderr; exec sleep 1000'\n";
    home.start("x", text, &[]);
    home.wait_for_log("x-out.log", "one\n");
    home.wait_for_log("x-error.log", "two\n");
}

#[test]
fn a_web_server_logs_to_its_standard_output() {
    if !has("nginx") && !std::path::Path::new("/usr/sbin/nginx").exists() {
        return skip("nginx is not installed");
    }
    let home = Home::new();
    let socket = home.base.join("web.sock");
    let config = format!(
        "daemon off; pid {0}/nginx.pid; error_log /dev/stderr notice; worker_processes 2;\n\
         events {{}}\n\
         http {{ access_log /dev/stdout; client_body_temp_path {0}/t1; proxy_temp_path {0}/t2;\n\
         fastcgi_temp_path {0}/t3; uwsgi_temp_path {0}/t4; scgi_temp_path {0}/t5;\n\
         server {{ listen unix:{1}; location / {{ return 200; }} }} }}\n",
        home.base.display(),
        socket.display()
    );
    let file = home.script("nginx.conf", &config);
    home.start("web", &format!("exec nginx -c {file}\n"), &["--time"]);
    home.wait_for_log("web-error.log", "start worker process ");
    wait_until("it listens", || socket.exists());
    let get = || {
        use std::io::{Read, Write};
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.write_all(b"GET /page HTTP/1.0\r\n\r\n").unwrap();
        stream.read_to_string(&mut String::new()).unwrap();
    };
    get();
    home.wait_for_log("web-out.log", "GET /page");
    // It opens its log files anew, the workers as another user.
    home.rpm(&["sendSignal", "USR1", "web"]).ok();
    home.wait_for_log("web-error.log", "reopening logs");
    get();
    wait_until("another request in the log", || {
        let log = String::from_utf8(home.log("web-out.log")).unwrap();
        log.matches("GET /page").count() == 2
    });
}

#[test]
fn a_silent_program_has_no_log_file_and_costs_the_log_writer_two_descriptors() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    let writer = home.log_writer().unwrap();
    let before = proc::descriptors(writer);
    home.rpm(&["start", "sleep", "--name", "x", "-i", "10", "--", "1000"])
        .ok();
    home.rpm(&["logrotate", "x"]).ok();
    let mut after = proc::descriptors(writer);
    after.retain(|open| !before.contains(open));
    assert_eq!(after.len(), 20, "{after:?}");
    assert!(home.entries("logs").is_empty());
}

#[test]
fn log_files_of_programs_that_have_become_quiet_are_closed_until_they_print_again() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    let writer = home.log_writer().unwrap();
    let before = proc::descriptors(writer).len();
    let text = "echo first\nuntil [ -e go ]; do sleep 0.05; done\necho second; exec sleep 1000\n";
    let file = home.script("x.sh", text);
    home.rpm(&["start", &file, "--name", "x", "-i", "20"]).ok();
    for id in 0..20 {
        home.wait_for_log(&format!("x-out-{id}.log"), "first\n");
    }
    wait_until("two FIFOs each", || {
        proc::descriptors(writer).len() <= before + 40
    });
    fs::write(home.base.join("go"), "").unwrap();
    for id in 0..20 {
        home.wait_for_log(&format!("x-out-{id}.log"), "first\nsecond\n");
    }
}

/// The log writer has no descriptors for more files: it closes and opens them as it needs them.
#[test]
fn without_descriptors_in_the_log_writer_every_program_is_written_all_the_same() {
    if !has("prlimit") {
        return skip("prlimit is not installed");
    }
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    let writer = home.log_writer().unwrap();
    let limit = |number: usize| {
        let limit = format!("--nofile={number}:4096");
        let words = ["prlimit", "--pid", &writer.to_string(), &limit].map(str::to_owned);
        home.run(home.command(&words)).ok();
    };
    let open = proc::descriptors(writer).len();
    // Two FIFOs for each of the ten, and one file.
    limit(open + 21);
    let text = "until [ -e go ]; do sleep 0.05; done\nn=0\nwhile [ $n -lt 500 ]; do echo line $n; n=$((n + 1)); done\n\
                echo end >&2; exec sleep 1000\n";
    home.script("x.sh", text);
    home.rpm(&["start", "./x.sh", "--name", "x", "-i", "10"])
        .ok();
    fs::write(home.base.join("go"), "").unwrap();
    let wanted: String = (0..500).map(|n| format!("line {n}\n")).collect();
    for id in 0..10 {
        home.wait_for_log(&format!("x-error-{id}.log"), "end\n");
        wait_until("all lines", || {
            home.log(&format!("x-out-{id}.log")) == wanted.as_bytes()
        });
    }
    assert!(home.list().iter().all(|x| x.lost == 0));
    // Not even FIFOs can be opened: their programs are heard when they can.
    let file = home.start(
        "y",
        "yes | head -c 300000; echo heard >&2; exec sleep 1000\n",
        &[],
    );
    home.wait_for_journal("Too many open files");
    assert!(!home.log_path("y-error.log").exists());
    limit(100);
    home.wait_for_log("y-error.log", "heard\n");
    assert_eq!(home.program("y").pid, file.pid);
    assert_eq!(home.log("y-out.log").len(), 300_000);
}

#[test]
fn a_file_that_cannot_be_set_aside_grows_and_that_is_said_once() {
    if !is_root() || !has("setpriv") {
        return skip("only root, with setpriv, can become somebody else");
    }
    let home = Home::of_another_user();
    let folder = home.base.join("closed");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("x.log");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let text = "n=0\nuntil [ $n -ge 25 ]; do n=$((n + 1)); echo line $n; sleep 0.1; done\n\
                echo end >&2; exec sleep 1000\n";
    home.start("x", text, &["-o", "closed/x.log", "--log-max-size", "10"]);
    home.wait_for_log("x-error.log", "end\n");
    home.rpm(&["stop", "x"]).ok();
    let wanted: String = (1..26).map(|n| format!("line {n}\n")).collect();
    assert_eq!(fs::read_to_string(&path).unwrap(), wanted);
    let sentence = "closed/x.log aside: Permission denied; it keeps growing";
    home.wait_for_journal(sentence);
    assert_eq!(home.journal().matches(sentence).count(), 1);
    home.rpm(&["logrotate", "x"])
        .fails(&["closed/x.log aside: Permission denied"]);
}
