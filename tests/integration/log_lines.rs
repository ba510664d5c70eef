//! Lines in log files: with date and time, as JSON, of several streams and programs in one file. No line is torn apart,
//! and no byte is lost, whatever is printed and in whatever pieces.

use std::fs;
use std::path::{Path, PathBuf};

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::logs::{kill_log_writer, without_stamps};
use crate::harness::{Home, assert_same_bytes, has, proc, random_bytes, skip, wait_until};

/// A form whose stamp is short, and never changes.
const X: [&str; 2] = ["--log-date-format", "[at]"];

#[track_caller]
fn wait_for_file(path: &Path, text: &str) {
    let read = || String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let end = std::time::Instant::now() + crate::harness::LIMIT;
    while read() != text {
        assert!(
            std::time::Instant::now() < end,
            "{:?}, not {text:?}",
            read()
        );
        crate::harness::wait::readable(&[], std::time::Duration::from_millis(5));
    }
}

/// Runs a program to its end; its standard output's file.
#[track_caller]
fn run(home: &Home, text: &str, flags: &[&str]) -> PathBuf {
    home.start("x", text, &[&["--no-autorestart"], flags].concat());
    home.wait_for_state("x", State::Stopped);
    home.rpm(&["stop", "x"]).ok();
    home.log_path("x-out.log")
}

/// The objects in a file, each as its keys and values, by a reader of JSON that is not ours.
#[track_caller]
fn objects(home: &Home, path: &Path) -> Vec<Vec<(String, String)>> {
    let script = "import json, sys\n\
        for line in open(sys.argv[1], 'rb'):\n    \
            assert line.endswith(b'\\n')\n    \
            for key, value in json.loads(line.decode('utf-8'), object_pairs_hook=list):\n        \
                print(key, ascii(value))\n    \
            print()\n";
    let output = home.run(home.command(&["python3", "-c", script, path.to_str().unwrap()]));
    let text = output.ok().stdout;
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ').unwrap();
        (key.to_owned(), value.to_owned())
    };
    let objects = text.split_terminator("\n\n");
    objects
        .map(|object| object.lines().map(pair).collect())
        .collect()
}

#[test]
fn json_has_the_keys_of_pm2_in_their_order_and_every_byte_that_is_printed() {
    if !has("python3") {
        return skip("python3 is not installed");
    }
    let home = Home::new();
    let bytes: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let more = b"a\"b\\c\xc3\xa9\xf0\x9f\x98\x80\n\n\xe2\x80\n\xed\xa0\x80\x00\r\n";
    fs::write(home.base.join("data"), [&bytes, &b"\n"[..], more].concat()).unwrap();
    let path = run(&home, "cat data\n", &["--log-type", "json"]);
    let objects = objects(&home, &path);
    let keys = ["message", "timestamp", "type", "process_id", "app_name"];
    for object in &objects {
        let found: Vec<&str> = object.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(found, keys);
        let values: Vec<&str> = object[2..]
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(values, ["'out'", "0", "'x'"]);
    }
    let messages: Vec<&str> = objects.iter().map(|o| o[0].1.as_str()).collect();
    let expected =
        home.shell("python3 -c 'print(ascii(\"\".join(chr(n) for n in range(256) if n != 10)))'");
    assert_eq!(messages[0], expected.ok().stdout.trim_end());
    let others = [
        r#"'a"b\\c\xe9\U0001f600'"#,
        "''",
        r"'\xe2\x80'",
        r"'\xed\xa0\x80\x00\r'",
    ];
    assert_eq!(messages[1..], others);
}

#[test]
fn json_begins_a_line_of_its_own_behind_what_was_no_json() {
    if !has("python3") {
        return skip("python3 is not installed");
    }
    let home = Home::new();
    let path = run(&home, "printf 'no end'\n", &[]);
    let file = r#"{"name": "x", "script": "./x.sh", "log_type": "json", "autorestart": false}"#;
    home.script("x.json", file);
    home.rpm(&["restart", "x.json"]).ok();
    wait_until("the second run", || {
        fs::read(&path).is_ok_and(|log| log.ends_with(b"\n"))
    });
    let log = fs::read_to_string(&path).unwrap();
    let (first, second) = log.split_once('\n').unwrap();
    assert_eq!(first, "no end");
    assert!(second.starts_with("{\"message\":\"no end\","), "{second}");
}

#[test]
fn stamps_are_of_the_form_that_is_given() {
    let home = Home::new();
    let path = run(&home, "echo a; echo; echo b\n", &["--time"]);
    let text = fs::read_to_string(&path).unwrap();
    for (line, end) in text.lines().zip(["a", "", "b"]) {
        let (stamp, rest) = line.split_at(19);
        let form: String = stamp
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(form, "0000-00-00T00:00:00");
        assert_eq!(rest, format!(": {end}"));
    }
    assert_eq!(text.lines().count(), 3);
    let home = Home::new();
    let form = ["--time", "--log-date-format", "[D] D [<]YYYY[>] [%s\"]"];
    let path = run(&home, "echo line\n", &form);
    let text = fs::read_to_string(path).unwrap();
    let (before, year) = text.split_once(" <").unwrap();
    assert!(
        before.starts_with("D ") && year.ends_with("> %s\": line\n"),
        "{text}"
    );
}

/// Prints a line in pieces; at each the test may do something.
#[track_caller]
fn in_pieces(flags: &[&str], wanted: &str, act: impl Fn(&Home)) {
    let home = Home::new();
    let text = "printf 'one '; echo first >&2; until [ -e first ]; do sleep 0.01; done\n\
                printf 'two '; echo second >&2; until [ -e second ]; do sleep 0.01; done\n\
                printf 'three\\nfour\\n'; exec sleep 1000\n";
    home.start("x", text, flags);
    for piece in ["first", "second"] {
        home.wait_for_log("x-error.log", &format!("{piece}\n"));
        act(&home);
        fs::write(home.base.join(piece), "").unwrap();
    }
    wait_for_file(&home.log_path("x-out.log"), wanted);
}

#[test]
fn a_line_in_pieces_gets_one_stamp() {
    in_pieces(&X, "at: one two three\nat: four\n", |_| ());
    in_pieces(&[], "one two three\nfour\n", |_| ());
}

#[test]
fn a_line_in_pieces_gets_one_stamp_though_the_log_writer_dies_in_between() {
    let wanted = "at: one two three\nat: four\n";
    in_pieces(&X, wanted, kill_log_writer);
    in_pieces(&X, wanted, |home| {
        home.kill_daemons();
        home.rpm(&["ping"]).ok();
    });
}

#[test]
fn long_lines_get_one_stamp_and_keep_every_byte() {
    for length in [4095, 65_535, 65_536, 200_000, 1 << 20, 3 << 20] {
        let home = Home::new();
        let line = random_bytes(length, 3)
            .iter()
            .map(|b| b'a' + b % 26)
            .collect::<Vec<u8>>();
        let data = [b"before\n", line.as_slice(), b"\nbehind\n"].concat();
        fs::write(home.base.join("data"), &data).unwrap();
        let path = run(&home, "cat data\n", &X);
        let wanted = [b"at: before\nat: ", line.as_slice(), b"\nat: behind\n"].concat();
        assert_same_bytes(&fs::read(path).unwrap(), &wanted, "the log");
    }
}

#[test]
fn a_long_line_of_json_says_that_it_goes_on() {
    if !has("python3") {
        return skip("python3 is not installed");
    }
    let home = Home::new();
    let line = "0123456789".repeat(150_000);
    fs::write(home.base.join("data"), format!("{line}\nend\n")).unwrap();
    let path = run(&home, "cat data\n", &["--log-type", "json"]);
    let objects = objects(&home, &path);
    let mut all = String::new();
    let mut partial = 0;
    for object in &objects {
        all.push_str(object[0].1.trim_matches('\''));
        match object.get(5) {
            Some((key, value)) => {
                assert_eq!((key.as_str(), value.as_str()), ("partial", "True"));
                partial += 1;
            }
            None => all.push('\n'),
        }
    }
    assert_same_bytes(
        all.as_bytes(),
        format!("{line}\nend\n").as_bytes(),
        "the messages",
    );
    assert!(partial > 0 && partial < 20, "{partial} objects");
}

#[test]
fn bytes_without_any_pattern_are_kept() {
    let bytes = [random_bytes(700_000, 8), b"\n".to_vec()].concat();
    for flags in [&[][..], &X] {
        let home = Home::new();
        fs::write(home.base.join("data"), &bytes).unwrap();
        let path = run(&home, "cat data\n", flags);
        let log = fs::read(path).unwrap();
        let log = if flags.is_empty() {
            log
        } else {
            without_stamps(&log)
        };
        assert_same_bytes(&log, &bytes, "the log");
    }
}

#[test]
fn a_last_line_without_end_gets_one_where_lines_are_changed_or_shared() {
    let text = "printf 'a\\nb'\n";
    let home = Home::new();
    let path = run(&home, text, &X);
    assert_eq!(fs::read(&path).unwrap(), b"at: a\nat: b\n");
    home.rpm(&["restart", "x"]).ok();
    wait_for_file(&path, &"at: a\nat: b\n".repeat(2));
    // With a file of both streams it is whole lines everywhere.
    let home = Home::new();
    let path = run(&home, "printf 'a\\nb'; printf c >&2\n", &["-l", "all.log"]);
    assert_eq!(fs::read(&path).unwrap(), b"a\nb\n");
    let mut lines: Vec<String> = fs::read_to_string(home.base.join("all.log"))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    assert_eq!(lines, ["a", "b", "c"]);
}

#[test]
fn a_crash_in_the_middle_of_a_line_ends_it() {
    let home = Home::new();
    let text = "echo x >> runs\n[ $(wc -l < runs) -gt 3 ] && exec sleep 1000\nprintf half\n";
    home.start("x", text, &X);
    wait_until("four runs", || {
        fs::read(home.base.join("runs")).is_ok_and(|runs| runs.len() == 8)
    });
    wait_for_file(
        &home.log_path("x-out.log"),
        "at: half\nat: half\nat: half\n",
    );
}

#[test]
fn a_crash_that_no_supervisor_sees_ends_its_line_too() {
    let home = Home::new();
    let text = "printf half; echo half >&2; exec sleep 1000\n";
    home.start("x", text, &X);
    home.wait_for_log("x-error.log", "half\n");
    let (supervisor, pid) = (home.supervisor(), home.program("x").pid);
    proc::stop(supervisor);
    proc::kill(pid, Signal::KILL);
    proc::kill(supervisor, Signal::KILL);
    home.wait_for_log("x-error.log", "half\nat: half\n");
    home.rpm(&["stop", "x"]).ok();
    wait_for_file(&home.log_path("x-out.log"), "at: half\nat: half\n");
}

#[test]
fn the_log_of_both_streams_has_what_is_in_the_others() {
    let home = Home::new();
    let text = "for n in 1 2 3 4 5 6 7 8 9; do echo out $n; echo err $n >&2; done\n";
    run(&home, text, &["-l", "all.log"]);
    let all = fs::read_to_string(home.base.join("all.log")).unwrap();
    for (file, word) in [("x-out.log", "out"), ("x-error.log", "err")] {
        let wanted: String = (1..10).map(|n| format!("{word} {n}\n")).collect();
        assert_eq!(home.log(file), wanted.as_bytes());
        let found: Vec<&str> = all.lines().filter(|line| line.starts_with(word)).collect();
        assert_eq!(found.join("\n") + "\n", wanted);
    }
    assert_eq!(all.lines().count(), 18);
}

#[test]
fn two_streams_in_one_file_keep_their_order() {
    let text =
        "for n in 1 2 3; do for m in 1 2 3 4 5 6 7 8 9; do echo $n$m; echo $n$m >&2; done; done\n";
    let numbers = (1..4).flat_map(|n| (1..10).map(move |m| n * 10 + m));
    let numbers: Vec<i32> = numbers.collect();
    for (flags, stamp) in [(&[][..], ""), (&X[..], "at: ")] {
        let home = Home::new();
        run(
            &home,
            text,
            &[&["-o", "b.log", "-e", "b.log"], flags].concat(),
        );
        let wanted: String = numbers
            .iter()
            .map(|n| format!("{stamp}{n}\n{stamp}{n}\n"))
            .collect();
        assert_eq!(fs::read_to_string(home.base.join("b.log")).unwrap(), wanted);
    }
}

#[test]
fn a_file_that_is_named_twice_gets_each_line_once() {
    let home = Home::new();
    run(
        &home,
        "echo a\necho b >&2\n",
        &["-o", "x.log", "-l", "x.log"],
    );
    let mut lines: Vec<u8> = fs::read(home.base.join("x.log")).unwrap();
    lines.sort_unstable();
    assert_eq!(lines, b"\n\nab");
}

#[test]
fn instances_that_print_in_blocks_tear_no_line_of_each_other() {
    let home = Home::new();
    let Some(steady) = home.compiled("steady.c") else {
        return skip("there is no C compiler");
    };
    let words = [
        "start",
        &steady,
        "-i",
        "4",
        "--merge-logs",
        "--",
        "900",
        "300",
    ];
    home.rpm(&words).ok();
    let path = home.log_path("steady-out.log");
    wait_until("it writes", || {
        path.metadata().is_ok_and(|m| m.len() > 8 << 20)
    });
    fs::write(home.base.join("enough"), "").unwrap();
    let ends = || {
        let log = fs::read_to_string(&path).unwrap();
        let ends = log.lines().filter_map(|line| line.strip_prefix("end "));
        ends.map(|end| end.parse().unwrap()).collect::<Vec<usize>>()
    };
    wait_until("all is printed", || ends().len() == 4);
    home.rpm(&["stop", "steady"]).ok();
    let ends = ends();
    let mut counts = vec![0; *ends.iter().max().unwrap()];
    for line in fs::read_to_string(&path).unwrap().lines() {
        if let Some(number) = line.strip_suffix(" and some text behind it") {
            assert_eq!(number.len(), 9, "{line}");
            counts[number.parse::<usize>().unwrap()] += 1;
        } else {
            assert!(line.starts_with("end "), "{line}");
        }
    }
    for (at, count) in counts.iter().enumerate() {
        assert_eq!(*count, ends.iter().filter(|end| **end > at).count(), "{at}");
    }
}

#[test]
fn a_line_that_does_not_fit_its_pipe_blocks_nobody() {
    let line = [vec![b'z'; 3_000_000], b"\n".to_vec()].concat();
    // Written in one go, behind a line that is held for its end.
    let text = "printf 'begun '\nuntil [ -e held ]; do sleep 0.01; done\n\
                dd if=line bs=4000000 count=1 2> /dev/null; touch printed\nexec sleep 1000\n";
    for flags in [
        &["--log-date-format", "[at]"][..],
        &["--log-type", "json"],
        &["-l", "all.log"],
        &["-o", "all.log", "-e", "all.log"],
    ] {
        let home = Home::new();
        fs::write(home.base.join("line"), &line).unwrap();
        home.start("x", text, flags);
        // The log writer has seen the beginning, and waits.
        home.rpm(&["reloadLogs"]).ok();
        fs::write(home.base.join("held"), "").unwrap();
        wait_until("all is printed", || home.base.join("printed").exists());
        home.rpm(&["stop", "x"]).ok();
        let all = home.base.join("all.log");
        let path = if all.exists() {
            all
        } else {
            home.log_path("x-out.log")
        };
        let log = fs::read(path).unwrap();
        let z = log.iter().filter(|byte| **byte == b'z').count();
        assert_eq!(z, 3_000_000, "{flags:?}");
    }
}
