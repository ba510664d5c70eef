//! `rpm logs`: the last lines of log files, then what is written to them.

use std::fs;
use std::io::Write;
use std::time::Duration;

use rpm::model::life::State;
use rpm::model::stamp::{Form, iso};
use rpm::sys::clock;
use rpm::sys::signal::Signal;

use crate::harness::logs::{append, follow, printed, quiet};
use crate::harness::run::Running;
use crate::harness::tmux::Tmux;
use crate::harness::{Home, has, proc, skip, wait_until};

/// So many minutes ago, as `--time` stamps it.
fn stamp(minutes: u64) -> String {
    let mut text = Vec::new();
    let at = clock::moment(clock::wall_ms() - minutes * 60_000);
    Form::new("YYYY-MM-DDTHH:mm:ss").write(&at, &mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_last_lines_go_back_through_rotated_files() {
    let home = Home::new();
    quiet(&home, "x", &[]);
    let path = home.base.join("x.log");
    fs::write(home.base.join("x.log.2"), "1\n2\n").unwrap();
    fs::write(home.base.join("x.log.1"), "3\n4\nbeg").unwrap();
    fs::write(&path, "un\n6\n").unwrap();
    let raw = |lines| printed(&home, &["--raw", "--lines", lines, "x"]);
    assert_eq!(raw("1"), "6\n");
    assert_eq!(raw("0"), "");
    // A line that two files share counts twice, and is printed once.
    assert_eq!(raw("4"), "4\nbegun\n6\n");
    assert_eq!(raw("100"), "1\n2\n3\n4\nbegun\n6\n");
    fs::remove_file(&path).unwrap();
    assert_eq!(raw("2"), "4\nbeg\n");
    assert_eq!(printed(&home, &["--grep", "[25]", "--raw", "x"]), "2\n");
}

#[test]
fn no_line_is_lost_or_doubled_while_a_busy_file_is_rotated() {
    let home = Home::new();
    quiet(&home, "x", &[]);
    let path = home.base.join("x.log");
    append(&path, "begin\n");
    let mut logs = follow(&home, "x --raw");
    logs.wait_for_line("begin");
    let numbered = |number: u32| home.base.join(format!("x.log.{number}"));
    let mut number = 0;
    for round in 0..60 {
        let mut file = fs::File::options();
        let mut file = file.append(true).create(true).open(&path).unwrap();
        for _ in 0..100 {
            number += 1;
            file.write_all(format!("line {number}\n").as_bytes())
                .unwrap();
        }
        // None is dropped that has not been read: what is gone cannot be followed.
        for older in (0..round).rev() {
            fs::rename(numbered(older + 1), numbered(older + 2)).unwrap();
        }
        fs::rename(&path, numbered(1)).unwrap();
    }
    append(&path, "end\n");
    logs.wait_for_line("end");
    let heard = logs.heard();
    let expected = (1..=number).map(|number| format!("line {number}"));
    let expected: Vec<_> = [String::from("begin")]
        .into_iter()
        .chain(expected)
        .chain([String::from("end")])
        .collect();
    assert_eq!(heard, expected);
}

#[test]
fn several_files_are_merged_in_order_of_time() {
    let home = Home::new();
    quiet(&home, "a", &["--time"]);
    quiet(&home, "b", &["--log-type", "json"]);
    quiet(&home, "plain", &[]);
    let object = |minutes: u64, text: &str| {
        let time = iso(clock::wall_ms() - minutes * 60_000);
        format!(
            "{{\"message\":\"{text}\",\"timestamp\":\"{time}\",\"type\":\"out\",\"process_id\":1,\"app_name\":\"b\"}}\n"
        )
    };
    let (first, fifth) = (object(50, "first"), object(10, "fi\\\"fth"));
    append(&home.base.join("b.log"), &format!("{first}{fifth}"));
    let (second, sixth) = (stamp(40), stamp(5));
    let text = format!("{second}: second\n  third\n  fourth\n{sixth}: sixth\n");
    append(&home.base.join("a.log"), &text);
    append(&home.base.join("plain.log"), "zero\n");
    let all = format!(
        "2|plain | zero\n1|b     | {first}0|a     | {second}: second\n0|a     |   third\n0|a     |   fourth\n\
         1|b     | {fifth}0|a     | {sixth}: sixth\n"
    );
    assert_eq!(printed(&home, &[]), all);

    let since = home
        .rpm(&["logs", "--nostream", "--since", "20m", "--raw"])
        .ok();
    assert_eq!(since.stdout, format!("{fifth}{sixth}: sixth\n"));
    assert!(
        since.stderr.contains("plain have no date") && since.stderr.contains("--time"),
        "{}",
        since.shown()
    );
    let since = ["--since", "45m", "--lines", "2", "--until", "15m", "a"];
    let between = printed(&home, &since);
    assert_eq!(between, "0|a |   third\n0|a |   fourth\n");
    let words = printed(&home, &["--format", "--grep", "^  t|h\"*fth", "all"]);
    let words: Vec<_> = words.lines().collect();
    assert!(
        words.len() == 1 && words[0].ends_with(" app=a id=0 type=out message=  third"),
        "{words:?}"
    );
    let dated = printed(&home, &["--timestamp=YYYY", "--lines", "1"]);
    let year = &sixth[..4];
    assert_eq!(
        dated,
        format!("- 2|plain | zero\n{year} 1|b     | fi\"fth\n{year} 0|a     | sixth\n")
    );
    let json = printed(&home, &["--json", "--lines", "1"]);
    assert_eq!(
        json,
        format!(
            "{{\"message\":\"zero\",\"timestamp\":null,\"type\":\"out\",\"process_id\":2,\"app_name\":\"plain\"}}\n\
             {fifth}\
             {{\"message\":\"sixth\",\"timestamp\":\"{sixth}\",\"type\":\"out\",\"process_id\":0,\"app_name\":\"a\"}}\n"
        )
    );
}

#[test]
fn of_a_large_file_the_last_lines_that_match_are_found() {
    let home = Home::new();
    quiet(&home, "x", &["--time"]);
    let time = stamp(30);
    let mut text = format!("{time}: needle 1\n  with more\n");
    for number in 0..60_000 {
        text += &format!("{time}: {number} and some more text on this line\n");
    }
    text += &format!("{time}: needle 2\n");
    text += &"x".repeat(3 << 20);
    text += &format!("\n{time}: needle 3\n{time}: end\n");
    append(&home.base.join("x.log"), &text);
    let found = |lines| printed(&home, &["--raw", "--grep", "needle", "--lines", lines]);
    let needle = |number| format!("{time}: needle {number}\n");
    assert_eq!(found("2"), needle(2) + &needle(3));
    assert_eq!(found("3"), needle(1) + &needle(2) + &needle(3));
    assert_eq!(found("9"), needle(1) + &needle(2) + &needle(3));
    let raw = printed(&home, &["--raw", "--lines", "3"]);
    assert!(raw.len() > 3 << 20 && raw.starts_with("xxx") && raw.ends_with(": end\n"));
    let all = printed(&home, &["--raw", "--since", "40m"]);
    // The very long line comes in pieces.
    assert!(all.replace('\n', "") == text.replace('\n', ""));
}

#[test]
fn programs_that_are_started_later_are_followed_too() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    let mut logs = follow(&home, "");
    logs.wait_for_line("no program is managed; waiting for one");
    home.start("x", "echo early\necho oops >&2\nexec sleep 1000\n", &[]);
    logs.wait_for_line("0|x | early");
    home.start("longer", "echo hello\nexec sleep 1000\n", &[]);
    logs.wait_for_line("1|longer | hello");
    append(&home.log_path("x-out.log"), "more\n");
    logs.wait_for_line("0|x      | more");
    // The same name again: its file goes on, under another id.
    home.rpm(&["delete", "x"]).ok();
    home.start("x", "echo again\nexec sleep 1000\n", &[]);
    logs.wait_for_line("2|x      | again");
    let early = logs.heard().iter().filter(|line| line.contains("early"));
    assert_eq!(early.count(), 1);
    proc::kill(logs.pid(), Signal::INT);
    assert_eq!(logs.wait(), -1, "it ends by the signal");
    home.rpm(&["logs", "nobody"]).fails(&["nobody"]);
    home.rpm(&["delete", "all"]).ok();
    home.rpm(&["logs", "--nostream"])
        .fails(&["no program is managed"]);
}

#[test]
fn only_later_programs_that_are_meant_are_followed() {
    let home = Home::new();
    home.start_sleep("api-1");
    let mut logs = follow(&home, "'/^api-/'");
    let lines = |name: &str| format!("echo {name} here\nexec sleep 1000\n");
    // The first line that is heard tells that it follows.
    wait_until("it to listen", || {
        append(&home.log_path("api-1-out.log"), "ready\n");
        !logs.is_silent_for(Duration::from_millis(50))
    });
    home.start("web", &lines("web"), &[]);
    home.wait_for_log("web-out.log", "web here");
    home.start("api-2", &lines("api-2"), &[]);
    logs.wait_for_line("api-2 here");
    assert!(logs.heard().iter().all(|line| !line.contains("web here")));
}

#[test]
fn a_regular_expression_names_programs_of_every_command() {
    let home = Home::new();
    for name in ["api-1", "api-2", "web"] {
        home.start_sleep(name);
    }
    let pids = home.rpm(&["pid", "/^api/"]).ok().stdout;
    assert_eq!(pids.lines().count(), 2);
    home.rpm(&["stop", "/api-[2-9]/"]).ok();
    assert_eq!(home.program("api-1").state, State::Online);
    assert_eq!(home.program("api-2").state, State::Stopped);
    home.rpm(&["restart", "/-2$/"]).ok();
    assert_eq!(home.program("api-2").state, State::Online);
    home.rpm(&["sendSignal", "TERM", "/nobody/"])
        .fails(&["no program has a name that matches /nobody/"]);
    home.rpm(&["list", "/a(/"])
        .fails(&["/a(/ is not a regular expression"]);
    home.rpm(&["delete", "/^(api|web)/"]).ok();
    assert!(home.list().is_empty());
}

#[test]
fn whoever_stops_reading_ends_it() {
    let home = Home::new();
    home.start("x", "seq 1 200000\nexec sleep 1000\n", &[]);
    home.wait_for_log("x-out.log", "\n200000\n");
    for flags in ["", "--lines 200000", "--nostream --lines 200000"] {
        let script = format!("$RPM logs x {flags} | head -1; echo ${{PIPESTATUS[0]}}");
        let output = home.shell(&script).ok();
        let lines: Vec<_> = output.stdout.lines().collect();
        assert!(
            lines.len() == 2 && lines[0].starts_with("0|x | ") && lines[1] == "0",
            "{}",
            output.shown()
        );
        assert_eq!(output.stderr, "");
    }
}

#[test]
fn on_a_terminal_it_has_colours_and_ends_by_an_interrupt() {
    if !has("tmux") {
        return skip("tmux is not installed");
    }
    let home = Home::new();
    home.start(
        "x",
        "echo a needle b\necho wrong >&2\nprintf begun\nexec sleep 1000\n",
        &[],
    );
    home.wait_for_log("x-out.log", "begun");
    home.wait_for_log("x-error.log", "wrong");
    let tmux = Tmux::start(&home, 100, 30, &[]);
    tmux.type_line("$RPM logs --highlight needle");
    tmux.wait_for_text("0|x | begun");
    let screen = tmux.coloured_screen();
    let lines = screen.lines().filter(|line| line.contains("0|x"));
    let line = |part: &str| lines.clone().find(|line| line.contains(part)).unwrap();
    assert!(line("needle").contains("\x1b[7mneedle"), "{screen}");
    assert!(line("wrong").contains("\x1b[31m|"), "{screen}");
    assert!(!line("needle").contains("\x1b[31m"), "{screen}");
    // A line goes on where it was left.
    append(&home.log_path("x-out.log"), " and ended\n");
    tmux.wait_for_text("0|x | begun and ended");
    append(&home.log_path("x-out.log"), "open");
    tmux.wait_for_text("0|x | open");
    tmux.press(&["C-c"]);
    tmux.wait_for("its end", |screen| {
        let mut behind = screen.split("0|x | open^C\n").skip(1);
        behind.next().is_some_and(|rest| rest.trim() == "$")
    });
    tmux.type_line("echo code $?; $RPM logs --nostream --no-color --lines 1 x");
    tmux.wait_for_text("code 130");
    tmux.wait_for("the lines without colour", |screen| {
        screen.matches("0|x | wrong").count() == 2
    });
    let screen = tmux.coloured_screen();
    let plain = screen.rsplit("code 130").next().unwrap();
    assert!(!plain.contains("\x1b["), "{screen}");
}

#[test]
fn at_rest_it_makes_no_system_call() {
    if !has("strace") {
        return skip("strace is not installed");
    }
    let home = Home::new();
    home.start("x", "echo one\nprintf begun\nexec sleep 1000\n", &[]);
    home.wait_for_log("x-out.log", "begun");
    append(&home.log_path("beside.log"), "x\n");
    let mut logs = follow(&home, "");
    logs.wait_for_line("one");
    // What comes last is said by the daemon: it follows then.
    home.start("y", "echo two\nexec sleep 1000\n", &[]);
    logs.wait_for_line("two");
    home.rpm(&["sync"]).ok();
    let trace = home.base.join("trace");
    let pid = logs.pid().to_string();
    let words = ["strace", "-o", trace.to_str().unwrap(), "-p", &pid];
    let mut strace = Running::start(home.command(&words));
    strace.wait_for_line("attached");
    // What others write beside the files that are followed is nothing to it.
    let beside = home.log_path("beside.log");
    let mut other = fs::File::options().append(true).open(&beside).unwrap();
    other.write_all(b"x\n").unwrap();
    assert!(strace.is_silent_for(Duration::from_secs(5)));
    proc::kill(strace.pid(), Signal::INT);
    strace.wait();
    let text = fs::read_to_string(&trace).unwrap();
    let calls: Vec<_> = text
        .lines()
        .filter(|line| !line.contains("resuming"))
        .collect();
    assert!(calls.len() == 1 && calls[0].contains("poll"), "{text}");
}

#[test]
fn it_goes_on_while_there_is_no_daemon_and_finds_the_next_one() {
    let home = Home::new();
    home.start("x", "echo one\nexec sleep 1000\n", &[]);
    let mut logs = follow(&home, "");
    logs.wait_for_line("0|x | one");
    home.kill_daemons();
    append(&home.log_path("x-out.log"), "nobody is there\n");
    logs.wait_for_line("0|x | nobody is there");
    assert!(
        proc::named(&home.root, "rpmd").is_empty(),
        "it launches none"
    );
    home.start("later", "echo hello\nexec sleep 1000\n", &[]);
    logs.wait_for_line("1|later | hello");
    home.rpm(&["kill"]).ok();
    append(&home.log_path("x-out.log"), "still\n");
    logs.wait_for_line("0|x     | still");
}

#[test]
fn the_daemons_log_needs_no_daemon() {
    let home = Home::new();
    assert_eq!(printed(&home, &["rpmd"]), "");
    assert!(!home.root.exists(), "no daemon is launched");
    home.start("x", "echo one\nexec sleep 1000\n", &[]);
    home.wait_for_log("x-out.log", "one");
    let text = printed(&home, &["rpmd"]);
    assert!(
        text.starts_with("rpmd | 20") && text.contains(" serves "),
        "{text}"
    );
    let both = printed(&home, &["rpmd", "x", "--raw", "--grep", "^one$| serves "]);
    assert_eq!(both.lines().count(), 2, "{both}");
    home.rpm(&["kill"]).ok();
    assert!(printed(&home, &["rpmd"]).contains("ended"));
    assert!(!home.root.join("rpmd.sock").exists());
    home.start("rpmd", "echo no daemon\nexec sleep 1000\n", &[]);
    home.wait_for_log("rpmd-out.log", "no daemon");
    assert_eq!(printed(&home, &["rpmd", "--raw"]), "no daemon\n");
}

#[test]
fn a_restart_with_other_files_is_followed() {
    let home = Home::new();
    let file = |log: &str| {
        let text = format!(
            "[{{\"name\": \"x\", \"script\": \"echo to {log}; exec sleep 1000\", \"out_file\": \"deep/{log}\"}}]"
        );
        fs::write(home.base.join("all.json"), text).unwrap();
    };
    file("one.log");
    home.rpm(&["start", "all.json"]).ok();
    let mut logs = follow(&home, "x --raw");
    logs.wait_for_line("to one.log");
    file("two.log");
    home.rpm(&["restart", "all.json"]).ok();
    logs.wait_for_line("to two.log");
    fs::remove_dir_all(home.base.join("deep")).unwrap();
    fs::create_dir(home.base.join("deep")).unwrap();
    append(&home.base.join("deep/two.log"), "a new file\n");
    logs.wait_for_line("a new file");
}

#[test]
fn what_ends_at_a_moment_ends_then() {
    let home = Home::new();
    quiet(&home, "x", &["--time"]);
    append(&home.base.join("x.log"), &format!("{}: old\n", stamp(3)));
    let past = home.rpm(&["logs", "--until", "1m"]).ok();
    assert!(past.stdout.ends_with(": old\n"), "{}", past.shown());
    let soon = clock::wall_ms() + 1_500;
    let output = home.rpm(&["logs", "--until", &iso(soon)]).ok();
    assert!(clock::wall_ms() >= soon, "{}", output.shown());
    for (flag, value) in [
        ("--since", "yesterday"),
        ("--until", "25:00"),
        ("--grep", "a("),
    ] {
        home.rpm(&["logs", flag, value]).misused(flag);
    }
}
