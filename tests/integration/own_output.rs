//! Programs that print to the daemon's own standard output and standard error.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rpm::model::life::State;
use rpm::sys::fd;
use rpm::sys::signal::Signal;

use crate::harness::logs::kill_log_writer;
use crate::harness::run::spawn;
use crate::harness::wait::{readable, wait_for_end};
use crate::harness::wire::Wire;
use crate::harness::{Home, LIMIT, assert_same_bytes, has, is_root, proc, skip, wait_until};

/// `rpmd --foreground` with outputs that the test has.
struct Foreground(Child);

impl Foreground {
    fn start(home: &Home, stdout: impl Into<OwnedFd>) -> Foreground {
        Foreground::run(
            home,
            home.command(&[&home.daemon(), "--foreground"]),
            stdout,
        )
    }

    fn run(home: &Home, mut command: Command, stdout: impl Into<OwnedFd>) -> Foreground {
        command
            .stdout(Stdio::from(stdout.into()))
            .stderr(Stdio::null());
        let child = spawn(&mut command).unwrap();
        wait_until("the daemon serves", || {
            Wire::try_connect(&home.root)
                .is_ok_and(|mut wire| wire.try_send("ping\n").is_ok() && wire.line().is_some())
        });
        Foreground(child)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    fn end(mut self) {
        proc::kill(self.pid(), Signal::TERM);
        wait_for_end(self.pid());
        assert!(self.0.wait().unwrap().success());
    }

    fn kill(mut self) {
        proc::kill(self.pid(), Signal::KILL);
        wait_for_end(self.pid());
        self.0.wait().unwrap();
    }
}

fn pipe() -> (File, OwnedFd) {
    let (reader, writer) = fd::pipe().unwrap();
    (reader.into(), writer)
}

/// Reads so many lines, a little at a time where that is slow.
#[track_caller]
fn read_lines(reader: &mut File, lines: usize, slowly: bool) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; if slowly { 3000 } else { 1 << 16 }];
    while all.iter().filter(|byte| **byte == b'\n').count() < lines {
        let shown = || String::from_utf8_lossy(&all[all.len().saturating_sub(200)..]).into_owned();
        assert!(
            readable(&[reader.as_fd()], LIMIT),
            "nothing comes after {:?}",
            shown()
        );
        let n = reader.read(&mut buffer).unwrap();
        assert!(n > 0, "the end comes after {:?}", shown());
        all.extend_from_slice(&buffer[..n]);
    }
    all
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<u8> {
    range
        .map(|n| format!("{n}\n"))
        .collect::<String>()
        .into_bytes()
}

const TO_STDOUT: [&str; 5] = ["--no-autorestart", "-o", "/dev/stdout", "-e", "NULL"];

#[test]
fn a_burst_waits_for_a_reader_who_is_slower_and_every_line_arrives() {
    for path in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let home = Home::new();
        let (mut reader, writer) = pipe();
        let rpmd = Foreground::start(&home, writer);
        let flags = ["--no-autorestart", "-o", path, "-e", "NULL"];
        home.start("burst", "seq 1 60000\n", &flags);
        let log = read_lines(&mut reader, 60_000, true);
        assert_same_bytes(&log, &numbers(1..=60_000), path);
        home.wait_for_state("burst", State::Stopped);
        assert_eq!(home.program("burst").lost, 0);
        rpmd.end();
        // Nobody has it open any more.
        assert_eq!(reader.read(&mut [0; 10]).unwrap(), 0);
    }
}

#[test]
fn what_is_printed_last_is_written_before_stop_says_that_it_has_stopped() {
    let home = Home::new();
    let (mut reader, writer) = pipe();
    let rpmd = Foreground::start(&home, writer);
    let text = "trap 'seq 1 20000; exit' INT\necho ready\nwhile :; do sleep 0.01; done\n";
    home.start("x", text, &TO_STDOUT);
    read_lines(&mut reader, 1, false);
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| home.rpm(&["stop", "x"]).ok());
        let log = read_lines(&mut reader, 20_000, false);
        assert_same_bytes(&log, &numbers(1..=20_000), "the output");
        stop.join().unwrap();
    });
    rpmd.end();
}

#[test]
fn a_file_is_neither_rotated_nor_emptied_nor_changed() {
    let home = Home::new();
    let path = home.base.join("container.log");
    let file = File::create(&path).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let before = path.metadata().unwrap();
    let rpmd = Foreground::start(&home, file);
    let flags = [&TO_STDOUT[..], &["--log-max-size", "1k"]].concat();
    home.start("x", "seq 1 2000\nexec sleep 1000\n", &flags);
    wait_until("all is written", || {
        fs::read(&path).unwrap() == numbers(1..=2000)
    });
    for request in ["flush", "rotate", "reopen"] {
        home.wire().ask(request).ok();
    }
    let after = path.metadata().unwrap();
    assert_eq!(fs::read(&path).unwrap(), numbers(1..=2000));
    assert_eq!(
        (before.ino(), before.mode(), before.uid()),
        (after.ino(), after.mode(), after.uid())
    );
    let mut files: Vec<String> = fs::read_dir(&home.base)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["container.log", "h", "x.sh"]);
    rpmd.end();
}

#[test]
fn a_file_that_another_process_has_open_is_not_rotated_or_emptied_by_that_name() {
    let home = Home::new();
    let path = home.base.join("theirs");
    let _held = File::create(&path).unwrap();
    let number = proc::descriptors(i32::try_from(std::process::id()).unwrap());
    let (number, _) = number.iter().find(|(_, found)| *found == path).unwrap();
    let name = format!("/proc/{}/fd/{number}", std::process::id());
    symlink(&name, home.base.join("link")).unwrap();
    for (program, file) in [("x", name.as_str()), ("y", "link")] {
        let flags = [
            "--no-autorestart",
            "-e",
            "NULL",
            "--log-max-size",
            "1k",
            "-o",
            file,
        ];
        home.start(program, "seq 1 2000\n", &flags);
        home.wait_for_state(program, State::Stopped);
    }
    for request in ["flush", "rotate", "reopen"] {
        home.wire().ask(request).ok();
    }
    assert_eq!(fs::read(&path).unwrap(), numbers(1..=2000).repeat(2));
    let folder = fs::read_dir(&home.base).unwrap();
    assert_eq!(
        folder.count(),
        5,
        "theirs, the link, two scripts and the home"
    );
}

#[test]
fn a_socket_and_a_file_of_somebody_else_are_written_to_as_well() {
    let home = Home::new();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(LIMIT)).unwrap();
    let rpmd = Foreground::start(&home, theirs);
    home.start("x", "seq 1 100000\n", &TO_STDOUT);
    let mut log = vec![0; numbers(1..=100_000).len()];
    ours.read_exact(&mut log).unwrap();
    assert_same_bytes(&log, &numbers(1..=100_000), "the socket");
    rpmd.end();
    if !is_root() || !has("setpriv") {
        return skip("only root, with setpriv, can become another user");
    }
    let home = Home::of_another_user();
    let path = home.base.join("of-root");
    let file = File::create(&path).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (mut reader, writer) = pipe();
    let mut command = home.command(&[&home.daemon(), "--foreground"]);
    command.stdin(Stdio::null());
    let rpmd = Foreground::run(&home, command, writer);
    home.rpm(&[
        "start",
        "seq 1 30000",
        "--name",
        "x",
        "-o",
        "/dev/stdout",
        "--no-autorestart",
    ])
    .ok();
    let log = read_lines(&mut reader, 30_000, true);
    assert_same_bytes(&log, &numbers(1..=30_000), "a pipe of root");
    rpmd.end();
    let rpmd = Foreground::start(&home, file);
    home.rpm(&["restart", "x"]).ok();
    wait_until("all of it", || {
        fs::read(&path).unwrap() == numbers(1..=30_000)
    });
    rpmd.end();
}

/// Prints numbers until it is told to end, then `end`.
const STEADY: &str =
    "n=0\nuntil [ -e enough ]; do n=$((n+1)); echo $n; done\necho end $n\nexec sleep 1000\n";

/// Checks that every number has come; twice is allowed, so many times.
#[track_caller]
fn assert_complete(log: &[u8], twice: usize) {
    let text = String::from_utf8(log.to_vec()).unwrap();
    let (mut next, mut again) = (1, 0);
    for line in text.lines() {
        match line.strip_prefix("end ") {
            Some(last) => assert_eq!(last.parse(), Ok(next - 1)),
            None => {
                let number: u32 = line.parse().unwrap_or_else(|_| panic!("{line:?}"));
                again += usize::from(number < next);
                assert!(number <= next, "{number} where {next} should come");
                next = next.max(number + 1);
            }
        }
    }
    assert!(again <= twice, "{again} lines came twice");
}

#[test]
fn it_is_the_same_output_after_the_log_writer_was_killed_and_after_an_update() {
    let home = Home::new();
    let (mut reader, writer) = pipe();
    let rpmd = Foreground::start(&home, writer);
    home.start("steady", STEADY, &TO_STDOUT);
    let mut log = read_lines(&mut reader, 2000, false);
    for round in 0..3 {
        match round {
            1 => drop(home.rpm(&["update"]).ok()),
            _ => kill_log_writer(&home),
        }
        log.extend(read_lines(&mut reader, 5000, false));
    }
    fs::write(home.base.join("enough"), "").unwrap();
    while !log.ends_with(b"\n") || !String::from_utf8_lossy(&log).contains("end ") {
        log.extend(read_lines(&mut reader, 1, false));
    }
    // A piece that a log writer had written when it was killed is written again by the next.
    assert_complete(&log, 2 * 4096 / 2);
    rpmd.end();
}

#[test]
fn the_log_writer_keeps_the_output_of_a_daemon_that_was_killed_until_the_next_has_one() {
    let home = Home::new();
    let (mut first, writer) = pipe();
    let rpmd = Foreground::start(&home, writer);
    let text = "echo one\nfor n in two three; do until [ -e $n ]; do sleep 0.01; done; echo $n; done\n\
                exec sleep 1000\n";
    home.start("x", text, &TO_STDOUT);
    assert_eq!(read_lines(&mut first, 1, false), b"one\n");
    rpmd.kill();
    fs::write(home.base.join("two"), "").unwrap();
    assert_eq!(read_lines(&mut first, 1, false), b"two\n");
    let (mut second, writer) = pipe();
    let rpmd = Foreground::start(&home, writer);
    home.rpm(&["list"]).ok();
    // The old one is let go of.
    assert!(readable(&[first.as_fd()], LIMIT));
    assert_eq!(first.read(&mut [0; 10]).unwrap(), 0);
    fs::write(home.base.join("three"), "").unwrap();
    assert_eq!(read_lines(&mut second, 1, false), b"three\n");
    rpmd.end();
}

#[test]
fn a_daemon_in_the_background_goes_on_with_the_output_of_the_one_before_across_updates() {
    let home = Home::new();
    let (mut reader, writer) = pipe();
    let rpmd = Foreground::start(&home, writer);
    let text = "echo one\nfor n in two three four; do until [ -e $n ]; do sleep 0.01; done; echo $n; done\n\
                exec sleep 1000\n";
    home.start("x", text, &TO_STDOUT);
    assert_eq!(read_lines(&mut reader, 1, false), b"one\n");
    rpmd.kill();
    // The next one is in the background.
    home.rpm(&["list"]).ok();
    for (round, next) in ["two", "three"].into_iter().enumerate() {
        home.rpm(&["update"]).ok();
        if round == 1 {
            kill_log_writer(&home);
        }
        fs::write(home.base.join(next), "").unwrap();
        assert_eq!(
            read_lines(&mut reader, 1, false),
            format!("{next}\n").as_bytes()
        );
    }
    home.start("y", "echo started; exec sleep 1000\n", &TO_STDOUT);
    assert_eq!(read_lines(&mut reader, 1, false), b"started\n");
    home.rpm(&["kill"]).ok();
    assert_eq!(reader.read(&mut [0; 10]).unwrap(), 0, "nobody has it open");
}

#[test]
fn programs_and_the_daemon_share_an_output_line_by_line() {
    let home = Home::new();
    let (mut reader, writer) = pipe();
    let mut command = home.command(&[&home.daemon(), "--foreground"]);
    let both = writer.try_clone().unwrap();
    command.stdout(both).stderr(writer);
    let mut rpmd = spawn(&mut command).unwrap();
    drop(command);
    wait_until("the daemon serves", || {
        Wire::try_connect(&home.root).is_ok()
    });
    let line = |c: char, length: usize| c.to_string().repeat(length);
    let text = |c: char| {
        let (short, long) = (line(c, 70), line(c, 7000));
        format!(
            "for n in 1 2 3 4 5 6 7 8 9; do for m in 1 2 3 4 5 6; do echo {short}; done; echo {long}; done\nexec sleep 1000\n"
        )
    };
    for c in ['a', 'b', 'c'] {
        home.start(&c.to_string(), &text(c), &TO_STDOUT);
    }
    let mut log = Vec::new();
    let whole = |log: &[u8]| {
        let text = String::from_utf8_lossy(log).into_owned();
        text.lines().filter(|line| !line.contains("rpmd[")).count()
    };
    while whole(&log) < 3 * 63 {
        // Whatever happens is noted meanwhile.
        home.rpm(&["restart", "a"]).ok();
        log.extend(read_lines(&mut reader, 60, true));
        if whole(&log) > 3 * 63 + 600 {
            break;
        }
    }
    proc::kill(i32::try_from(rpmd.id()).unwrap(), Signal::TERM);
    let rest = std::thread::spawn(move || {
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).map(|_| rest)
    });
    rpmd.wait().unwrap();
    log.extend(rest.join().unwrap().unwrap());
    for found in String::from_utf8(log).unwrap().lines() {
        let first = found.chars().next().unwrap();
        // One that is longer than a pipe takes at once may have one of the daemon's in it.
        let is_own = found.contains(" rpmd[");
        let is_of_one = found.chars().all(|c| c == first);
        assert!(is_own || is_of_one && found.len() <= 7000, "{found:?}");
    }
}

#[test]
fn a_daemon_in_the_background_has_no_output_to_print_to() {
    let home = Home::new();
    let pid = home.start_sleep("x").pid;
    symlink("/dev/stdout", home.base.join("access.log")).unwrap();
    let background = "this daemon runs in the background and has no standard ";
    for (flag, path, why) in [
        ("-o", "/dev/stdout", background),
        ("-e", "/dev/stderr", background),
        ("-l", "/proc/self/fd/2", background),
        // The sentence names where the link leads.
        ("-o", "access.log", background),
        ("-o", "/dev/fd/5", "programs can use only /dev/stdout"),
        ("-o", "/dev/stdin", "programs can use only /dev/stdout"),
    ] {
        let named = if path == "access.log" {
            "/dev/stdout"
        } else {
            path
        };
        home.rpm(&["start", "sleep", "--name", "y", flag, path, "--", "1000"])
            .fails(&["writing output to ", named, why]);
    }
    let file = r#"{"name": "x", "script": "sleep", "args": "1000", "out_file": "/dev/stdout"}"#;
    let file = home.script("x.json", file);
    home.rpm(&["restart", &file]).fails(&[background]);
    assert_eq!((home.list().len(), home.program("x").pid), (1, pid));
}

#[test]
fn a_link_to_standard_output_means_the_daemons_and_each_instance_has_the_same() {
    let home = Home::new();
    let link = home.base.join("access.log");
    symlink("/dev/stdout", &link).unwrap();
    let (mut reader, writer) = pipe();
    let rpmd = Foreground::start(&home, writer);
    home.start(
        "x",
        "echo by link\n",
        &["--no-autorestart", "-o", "access.log"],
    );
    assert_eq!(read_lines(&mut reader, 1, false), b"by link\n");
    assert!(link.is_symlink());
    let flags = [&TO_STDOUT[..], &["-i", "3"]].concat();
    let file = home.script("y.sh", "echo instance\n");
    home.rpm(&[&["start", &file], &flags[..]].concat()).ok();
    assert_eq!(read_lines(&mut reader, 3, false), b"instance\n".repeat(3));
    for id in 1..4 {
        let row = home.wire().ask(&format!("describe target={id}")).ok();
        assert_eq!(row.rows[0].text("out_path"), Some("/dev/stdout"));
    }
    rpmd.end();
}

#[test]
fn a_reader_who_has_gone_is_said_once_and_the_program_goes_on() {
    let home = Home::new();
    let (mut reader, writer) = pipe();
    let rpmd = Foreground::start(&home, writer);
    let text = "echo one\nuntil [ -e go ]; do sleep 0.01; done\nseq 1 100000\necho x > done\nexec sleep 1000\n";
    let pid = home.start("x", text, &TO_STDOUT).pid;
    assert_eq!(read_lines(&mut reader, 1, false), b"one\n");
    drop(reader);
    fs::write(home.base.join("go"), "").unwrap();
    wait_until("all is printed", || home.base.join("done").exists());
    home.wait_for_journal("writing /dev/stdout: Broken pipe");
    wait_until("it is counted", || {
        let lost = home.program("x").lost;
        lost == u64::try_from(numbers(1..=100_000).len()).unwrap()
    });
    assert_eq!(home.journal().matches("Broken pipe").count(), 1);
    assert_eq!(home.program("x").pid, pid);
    rpmd.end();
}

#[test]
fn a_reader_who_does_not_read_holds_up_nobody_else_and_his_own_not_for_ever() {
    let home = Home::new();
    let (mut reader, writer) = pipe();
    let rpmd = Foreground::start(&home, writer);
    let flood = "seq 1 400000\ntouch printed\nuntil [ -e go ]; do sleep 0.1; done\necho last\nexec sleep 1000\n";
    home.start("flood", flood, &TO_STDOUT);
    let begin = Instant::now();
    home.start("other", "echo fine; exec sleep 1000\n", &[]);
    home.wait_for_log("other-out.log", "fine\n");
    let printed = home.base.join("printed");
    assert!(!printed.exists(), "it waits for its reader");
    while !printed.exists() {
        assert!(
            begin.elapsed() < Duration::from_secs(90),
            "it waits for ever"
        );
        readable(&[], Duration::from_millis(50));
    }
    assert!(
        begin.elapsed() > Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    home.wait_for_journal(
        "writing /dev/stdout: its reader has read nothing for 30 s; output is being dropped",
    );
    wait_until("it is counted", || home.program("flood").lost > 0);
    // He reads again: what is missing is said where it is.
    let thread = std::thread::spawn(move || {
        let mut all = Vec::new();
        while !all.ends_with(b"last\n") {
            all.extend(read_lines(&mut reader, 1, false));
        }
        (all, reader)
    });
    readable(&[], Duration::from_millis(300));
    fs::write(home.base.join("go"), "").unwrap();
    let (all, _reader) = thread.join().unwrap();
    let all = String::from_utf8(all).unwrap();
    let mut lines = all.lines();
    let first: Vec<&str> = lines
        .by_ref()
        .take_while(|line| !line.starts_with("rpm: "))
        .collect();
    assert!(
        (1..).zip(&first).all(|(n, line)| line.parse() == Ok(n)),
        "{first:?}"
    );
    assert!(all.contains(" bytes are missing here, from "));
    assert_eq!(lines.last(), Some("last"));
    rpmd.end();
}

#[test]
fn a_fifo_with_a_slow_reader_gets_every_line_too() {
    for flags in [&[][..], &["--log-date-format", "[at]"]] {
        let home = Home::new();
        let path = home.base.join("fifo");
        home.shell("mkfifo fifo").ok();
        let reader = std::thread::spawn(move || {
            let mut reader = File::open(path).unwrap();
            let (mut all, mut buffer) = (Vec::new(), [0; 3000]);
            while !all.ends_with(b"60000\n") {
                let n = reader.read(&mut buffer).unwrap();
                assert!(n > 0, "the end comes too early");
                all.extend_from_slice(&buffer[..n]);
            }
            all
        });
        let to_fifo = ["--no-autorestart", "-o", "fifo", "-e", "NULL"];
        let text = "sleep 0.2; seq 1 60000\n";
        home.start("burst", text, &[&to_fifo, flags].concat());
        let all = reader.join().unwrap();
        let all = String::from_utf8(all).unwrap().replace("at: ", "");
        assert_same_bytes(all.as_bytes(), &numbers(1..=60_000), "the FIFO");
        wait_until("it has ended", || {
            home.program("burst").state == State::Stopped
        });
        assert_eq!(home.program("burst").lost, 0);
        home.rpm(&["flush"]).ok();
    }
}

#[test]
fn whoever_asks_for_logs_is_not_shown_his_own_output() {
    let home = Home::new();
    let (mut reader, writer) = pipe();
    let rpmd = Foreground::start(&home, writer);
    home.start("x", "echo one; exec sleep 1000\n", &TO_STDOUT);
    read_lines(&mut reader, 1, false);
    let out = home.base.join("out");
    let mut file = File::create(&out).unwrap();
    file.write_all(b"mine\n").unwrap();
    let mut command = home.command(&[&home.client(), "logs", "x"]);
    command.stdout(file).stderr(Stdio::piped());
    let said = command.output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("no file keeps what x prints"), "{said}");
    assert_eq!(fs::read(&out).unwrap(), b"mine\n");
    rpmd.end();
}
