//! What a full disk does not take is dropped, counted and told of: the program goes on, and once there is room again
//! the file says how much is missing, to the byte.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rpm::protocol::line::Line;
use rpm::sys::signal::Signal;

use crate::harness::logs::{count_older, finish, kill_log_writer};
use crate::harness::{Home, assert_same_bytes, has, is_root, proc, skip, steady_text, wait_until};

/// A file system of so many kilobytes in the folder `small` of a test.
struct Small(PathBuf);

impl Small {
    /// None where it cannot be made.
    #[track_caller]
    fn new(home: &Home) -> Option<Small> {
        let folder = home.base.join("small");
        if !is_root() || !has("mount") {
            return None;
        }
        fs::create_dir(&folder).unwrap();
        let path = folder.to_str().unwrap();
        let words = [
            "mount",
            "-t",
            "tmpfs",
            "-o",
            "size=200k,mode=777",
            "small",
            path,
        ];
        let mounted = home.run(home.command(&words));
        (mounted.code == 0).then_some(Small(folder))
    }

    /// Makes room.
    #[track_caller]
    fn grow(&self, home: &Home) {
        let path = self.0.to_str().unwrap();
        home.run(home.command(&["mount", "-o", "remount,size=500m", path]))
            .ok();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("umount");
        let _ = command.arg("-l").arg(&self.0).status();
    }
}

#[track_caller]
fn described(home: &Home, name: &str) -> Line {
    home.wire()
        .ask(&format!("describe target={name}"))
        .ok()
        .rows
        .remove(0)
}

/// How the lines of the program are written.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Plain,
    Stamped,
    Json,
}

impl Form {
    const FLAGS: [&str; 4] = ["--log-date-format", "[at]", "--log-type", "json"];

    fn flags(self) -> &'static [&'static str] {
        match self {
            Form::Plain => &[],
            Form::Stamped => &Form::FLAGS[..2],
            Form::Json => &Form::FLAGS,
        }
    }

    /// What stands in the file for a line.
    fn written(self, line: &str) -> String {
        match self {
            Form::Plain => line.to_owned(),
            Form::Stamped => format!("at: {line}"),
            Form::Json => format!(
                "{{\"message\":\"{}\",\"timestamp\":\"at\",\"type\":\"out\",\"process_id\":0,\"app_name\":\"steady\"}}\n",
                line.trim_end()
            ),
        }
    }

    /// All that `steady` has printed, as it would stand in the file.
    #[track_caller]
    fn all(self, log: &[u8]) -> String {
        let last = log.rsplit(|byte| *byte == b'\n').nth(1).unwrap_or_default();
        let last = String::from_utf8_lossy(last);
        let number = last
            .split("end ")
            .nth(1)
            .unwrap_or_else(|| panic!("{last}"));
        let end = number
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(number.len());
        let text = steady_text(format!("end {}\n", &number[..end]).as_bytes());
        let text = String::from_utf8(text).unwrap();
        text.split_inclusive('\n')
            .map(|line| self.written(line))
            .collect()
    }
}

/// How many bytes are said to be missing by a line, if it says so and nothing else.
fn missing(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line).ok()?;
    let line = line
        .trim_start_matches("{\"message\":\"")
        .trim_start_matches("at: ");
    let behind = line.strip_prefix("rpm: ")?;
    let (bytes, rest) = behind.split_once(' ')?;
    rest.starts_with("bytes are missing here, from ")
        .then(|| bytes.parse().unwrap())
}

/// Compares what stands in a log with what was printed. Where a line says that something is missing, so much of it is:
/// how much in all.
#[track_caller]
fn assert_accounted(log: &[u8], form: Form) -> usize {
    let all = form.all(log);
    let mut rest = all.as_bytes();
    let mut in_all = 0;
    let mut there: Vec<u8> = Vec::new();
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        let Some(bytes) = missing(line) else {
            there.extend(line);
            continue;
        };
        // A line that was begun got an end, so that this one stands alone.
        if !rest.starts_with(&there) {
            assert_eq!(there.pop(), Some(b'\n'));
        }
        assert_same_bytes(
            &there,
            &rest[..there.len().min(rest.len())],
            "before the notice",
        );
        rest = &rest[there.len() + bytes..];
        there.clear();
        in_all += bytes;
    }
    assert_same_bytes(&there, rest, "behind the last notice");
    in_all
}

/// Has `steady` print into a file system that is full, then makes room and has it end.
#[track_caller]
fn full_disk(form: Form, meanwhile: impl FnOnce(&Home)) {
    let home = Home::new();
    let Some(steady) = home.compiled("steady.c") else {
        return skip("there is no C compiler");
    };
    let Some(small) = Small::new(&home) else {
        return skip("only root can mount a small file system");
    };
    let path = small.0.join("steady.log");
    let flags = ["-o", path.to_str().unwrap(), "--log-max-size", "0"];
    let words = [&["start", steady.as_str()], &flags[..], form.flags()].concat();
    home.rpm(&[&words[..], &["--", "20", "500"]].concat()).ok();
    let pid = home.program("steady").pid;
    let lost = |home: &Home| described(home, "steady").number("lost").unwrap_or(0);
    wait_until("output is dropped", || lost(&home) > 100_000);
    let row = described(&home, "steady");
    let [first, last] = ["lost_first", "lost_last"].map(|key| row.number::<u64>(key));
    assert!(first.is_some() && first <= last, "{row:?}");
    meanwhile(&home);
    small.grow(&home);
    wait_until("the file grows", || {
        fs::metadata(&path).unwrap().len() > 300 << 10
    });
    assert_eq!(home.program("steady").pid, pid);
    finish(&home, "steady");
    let in_all = assert_accounted(&fs::read(&path).unwrap(), form);
    let row = described(&home, "steady");
    assert_eq!(row.number("lost"), Some(in_all as u64));
    assert_eq!(row.get("lost_first"), None, "it is said in the file");
    home.wait_for_journal("; output is being dropped");
    home.wait_for_journal(&format!(" again; {in_all} bytes were dropped"));
}

#[test]
fn what_a_full_disk_does_not_take_is_counted_to_the_byte() {
    full_disk(Form::Plain, |_| ());
}

#[test]
fn what_a_full_disk_does_not_take_of_stamped_lines_is_counted_to_the_byte() {
    full_disk(Form::Stamped, |_| ());
}

#[test]
fn what_a_full_disk_does_not_take_of_json_is_counted_to_the_byte() {
    full_disk(Form::Json, |_| ());
}

#[test]
fn what_is_lost_is_counted_across_the_death_of_the_supervisor() {
    full_disk(Form::Plain, |home| {
        let supervisor = home.supervisor();
        proc::kill(supervisor, Signal::KILL);
        crate::harness::wait::wait_for_end(supervisor);
        home.rpm(&["ping"]).ok();
    });
}

#[test]
fn what_is_lost_is_counted_across_an_update() {
    full_disk(Form::Json, |home| {
        home.rpm(&["update"]).ok();
    });
}

#[test]
fn a_log_writer_that_dies_while_output_is_lost_leaves_the_notice_to_the_next() {
    let home = Home::new();
    let Some(small) = Small::new(&home) else {
        return skip("only root can mount a small file system");
    };
    let path = small.0.join("x.log");
    let text = "head -c 300000 /dev/zero | tr '\\0' 'x'; echo; touch printed\n\
                until [ -e go ]; do sleep 0.01; done; echo last; exec sleep 1000\n";
    home.start(
        "x",
        text,
        &["-o", path.to_str().unwrap(), "--log-max-size", "0"],
    );
    wait_until("all is printed", || home.base.join("printed").exists());
    // The supervisor is told of more after a second.
    wait_until("all that is lost is told of", || {
        let there = fs::metadata(&path).map_or(0, |meta| meta.len());
        described(&home, "x").number::<u64>("lost") == Some(300_001 - there)
    });
    let there = fs::metadata(&path).unwrap().len();
    kill_log_writer(&home);
    small.grow(&home);
    fs::write(home.base.join("go"), "").unwrap();
    wait_until("the last line", || {
        fs::read(&path).unwrap().ends_with(b"last\n")
    });
    let log = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{:?}", &lines[1..]);
    assert_eq!(lines[0].len() as u64, there);
    assert_eq!(missing(lines[1].as_bytes()), Some(300_001 - there as usize));
}

/// A home whose daemons may write no file larger than 64 KiB.
#[track_caller]
fn limited() -> Option<(Home, String)> {
    let home = Home::new();
    let steady = home.compiled("steady.c")?;
    if !has("prlimit") {
        return None;
    }
    let daemon = home.daemon();
    home.run(home.command(&["prlimit", "--fsize=65536:65536", &daemon]))
        .ok();
    Some((home, steady))
}

#[test]
fn a_file_that_is_as_large_as_it_may_be_goes_on_when_it_was_emptied() {
    let Some((home, steady)) = limited() else {
        return skip("without a C compiler and prlimit");
    };
    home.rpm(&["start", &steady, "--log-max-size", "0", "--", "20", "500"])
        .ok();
    let path = home.log_path("steady-out.log");
    wait_until("output is dropped", || home.program("steady").lost > 50_000);
    let mut log = fs::read(&path).unwrap();
    assert!(log.len() > 65_000 && log.ends_with(b"\n"), "{}", log.len());
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    wait_until("it is written again", || {
        fs::metadata(&path).unwrap().len() > 100
    });
    finish(&home, "steady");
    let more = fs::read(&path).unwrap();
    assert!(
        more.starts_with(b"rpm: "),
        "it says at once what is missing"
    );
    // Where it was emptied within a line.
    log.push(b'\n');
    log.extend(more);
    assert_accounted(&log, Form::Plain);
}

#[test]
fn a_file_that_is_as_large_as_the_daemons_may_write_is_set_aside() {
    let Some((home, steady)) = limited() else {
        return skip("without a C compiler and prlimit");
    };
    home.rpm(&[
        "start",
        &steady,
        "--log-max-files",
        "1000",
        "--",
        "20",
        "500",
    ])
    .ok();
    let path = home.log_path("steady-out.log");
    wait_until("files are set aside", || count_older(&path) > 4);
    finish(&home, "steady");
    let text = crate::harness::logs::files(&path).concat();
    assert_same_bytes(&text, &steady_text(&text), "the files together");
    assert_eq!(home.program("steady").lost, 0);
}

#[test]
fn a_folder_that_may_not_be_written_is_told_of_and_tried_again() {
    if !is_root() || !has("setpriv") {
        return skip("only root, with setpriv, can become somebody else");
    }
    let home = Home::of_another_user();
    home.rpm(&["ping"]).ok();
    let folder = home.base.join("closed");
    fs::create_dir(&folder).unwrap();
    let text = "echo 12345\nuntil [ -e go ]; do sleep 0.01; done\n\
                until grep -q again closed/x.log; do echo again; sleep 0.05; done 2> /dev/null\nexec sleep 1000\n";
    home.start("x", text, &["-o", "closed/x.log"]);
    wait_until("it is dropped", || home.program("x").lost == 6);
    let sentence = "closed/x.log: Permission denied; output is being dropped";
    home.wait_for_journal(sentence);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(home.base.join("go"), "").unwrap();
    let read = || fs::read_to_string(folder.join("x.log")).unwrap_or_default();
    wait_until("it is written", || read().contains("again\n"));
    let log = read();
    let (notice, rest) = log.split_once('\n').unwrap();
    let bytes = missing(notice.as_bytes()).unwrap();
    assert!(bytes >= 6 && bytes % 6 == 0, "{notice}");
    assert!(
        notice.ends_with("closed/x.log: Permission denied"),
        "{notice}"
    );
    assert!(rest.starts_with("again\n"), "{rest}");
    assert_eq!(home.journal().matches(sentence).count(), 1);
}

#[test]
fn a_log_file_that_cannot_be_made_is_told_of_before_anything_is_printed() {
    if !is_root() || !has("setpriv") {
        return skip("only root, with setpriv, can become somebody else");
    }
    let home = Home::of_another_user();
    home.rpm(&["ping"]).ok();
    fs::create_dir(home.base.join("closed")).unwrap();
    home.start("x", "exec sleep 1000\n", &["-o", "closed/x.log"]);
    home.wait_for_journal("closed/x.log: Permission denied; output is being dropped");
    assert_eq!(home.program("x").lost, 0);
}

/// Output that is lost while a program is told to write otherwise is said to be missing once.
#[test]
fn a_restart_with_other_settings_counts_nothing_twice() {
    let home = Home::new();
    let Some(small) = Small::new(&home) else {
        return skip("only root can mount a small file system");
    };
    let path = small.0.join("x.log");
    let text = "[ -e go ] && { echo last; exec sleep 1000; }\n\
                head -c 300000 /dev/zero | tr '\\0' 'x'; exec sleep 1000\n";
    home.start(
        "x",
        text,
        &["-o", path.to_str().unwrap(), "--log-max-size", "0"],
    );
    let there = || fs::metadata(&path).map_or(0, |meta| meta.len());
    let lost = || home.program("x").lost;
    wait_until("the rest is lost", || there() + lost() == 300_000);
    let written = there();
    small.grow(&home);
    fs::write(home.base.join("go"), "").unwrap();
    let file = format!(
        r#"{{"name": "x", "script": "./x.sh", "out_file": "{}", "log_max_files": 7}}"#,
        path.display()
    );
    home.script("x.json", &file);
    home.rpm(&["restart", "x.json"]).ok();
    wait_until("the last line", || {
        fs::read(&path).unwrap().ends_with(b"last\n")
    });
    let log = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{:?}", &lines[1..]);
    assert_eq!(
        missing(lines[1].as_bytes()),
        Some(300_000 - written as usize)
    );
    assert_eq!(lost(), 300_000 - written);
}

#[test]
fn two_files_of_one_stream_each_say_what_they_miss() {
    let home = Home::new();
    let Some(steady) = home.compiled("steady.c") else {
        return skip("there is no C compiler");
    };
    let Some(small) = Small::new(&home) else {
        return skip("only root can mount a small file system");
    };
    let path = small.0.join("both.log");
    let flags = ["-l", path.to_str().unwrap(), "--log-max-size", "0"];
    home.rpm(&[&["start", &steady], &flags[..], &["--", "20", "500"]].concat())
        .ok();
    wait_until("output is dropped", || home.program("steady").lost > 50_000);
    small.grow(&home);
    wait_until("the file grows", || {
        fs::metadata(&path).unwrap().len() > 300 << 10
    });
    finish(&home, "steady");
    let own = home.log("steady-out.log");
    assert_same_bytes(&own, &steady_text(&own), "the file of its own");
    let missing = assert_accounted(&fs::read(&path).unwrap(), Form::Plain);
    assert_eq!(home.program("steady").lost, missing as u64);
}
