//! Log files are set aside when they are too large, or by command, and what others may do to them meanwhile.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rpm::model::life::State;

use crate::harness::logs::{Form, count_older, files, older};
use crate::harness::{Home, assert_same_bytes, is_root, proc, wait_until};

/// A program that has printed a line and prints another one at SIGUSR1.
#[track_caller]
fn echo(home: &Home, flags: &[&str]) -> PathBuf {
    let text = "trap 'n=$((n + 1)); echo \"again $n\"' USR1\necho first\n\
                while :; do sleep 1000 & wait; kill $!; done\n";
    home.start("x", text, flags);
    home.wait_for_log("x-out.log", "first\n");
    home.log_path("x-out.log")
}

/// Has it print another line, and waits until that is written.
#[track_caller]
fn again(home: &Home, number: usize) {
    home.rpm(&["sendSignal", "USR1", "x"]).ok();
    wait_until("another line", || {
        let log = fs::read_to_string(home.log_path("x-out.log"));
        log.is_ok_and(|log| log.ends_with(&format!("again {number}\n")))
    });
}

#[track_caller]
fn texts(path: &Path) -> Vec<String> {
    let files = files(path).into_iter();
    files.map(|file| String::from_utf8(file).unwrap()).collect()
}

#[test]
fn an_empty_file_is_not_set_aside_and_the_files_of_a_stopped_program_are() {
    let home = Home::new();
    let path = echo(&home, &[]);
    let mut wire = home.wire();
    wire.ask("rotate target=x").ok();
    assert_eq!(texts(&path), ["first\n", ""]);
    wire.ask("rotate target=x").ok();
    assert_eq!(texts(&path), ["first\n", ""], "it is empty");
    again(&home, 1);
    home.rpm(&["stop", "x"]).ok();
    // The log writer that is asked has never written to them.
    home.kill_daemons();
    home.rpm(&["ping"]).ok();
    home.wire().ask("rotate target=x").ok();
    assert_eq!(texts(&path), ["first\n", "again 1\n", ""]);
}

#[test]
fn the_first_command_of_the_next_supervisor_sets_files_aside_too() {
    let home = Home::new();
    let path = echo(&home, &[]);
    for number in 1..4 {
        home.wire().ask("rotate target=x").ok();
        again(&home, number);
        let supervisor = home.supervisor();
        proc::kill(supervisor, rpm::sys::signal::Signal::KILL);
        crate::harness::wait::wait_for_end(supervisor);
        home.rpm(&["ping"]).ok();
    }
    let lines = ["first\n", "again 1\n", "again 2\n", "again 3\n"];
    assert_eq!(texts(&path), lines);
}

#[test]
fn instances_that_share_a_file_set_it_aside_once() {
    let home = Home::new();
    let text = "echo line; exec sleep 1000\n";
    home.script("x.sh", text);
    let words = ["start", "./x.sh", "--name", "x", "-i", "3", "--merge-logs"];
    home.rpm(&words).ok();
    let path = home.log_path("x-out.log");
    wait_until("three lines", || {
        fs::read(&path).is_ok_and(|log| log == b"line\nline\nline\n")
    });
    home.rpm(&["logrotate", "x"]).ok();
    assert_eq!(texts(&path), ["line\nline\nline\n", ""]);
}

#[test]
fn a_line_that_is_not_whole_is_finished_before_its_file_is_set_aside() {
    let home = Home::new();
    let text = "printf 'begin '\nuntil [ -e go ]; do sleep 0.01; done\necho end\necho next\nexec sleep 1000\n";
    home.start("x", text, &[]);
    let path = home.log_path("x-out.log");
    home.wait_for_log("x-out.log", "begin ");
    let mut wire = home.wire();
    wire.send("rotate target=x\n");
    home.rpm(&["ping"]).ok();
    fs::write(home.base.join("go"), "").unwrap();
    wire.answer().ok();
    wait_until("all lines", || texts(&path).concat() == "begin end\nnext\n");
    // It is split only where the machine was so slow that its end was not waited for.
    assert_eq!(count_older(&path), 1);
}

#[test]
fn fewer_files_are_kept_as_soon_as_that_is_wanted() {
    let home = Home::new();
    let path = echo(&home, &["--log-max-files", "6"]);
    for number in 1..9 {
        home.wire().ask("rotate target=x").ok();
        again(&home, number);
    }
    assert_eq!(count_older(&path), 6);
    assert_eq!(texts(&path)[0], "again 2\n");
    let file = r#"{"name": "x", "script": "./x.sh", "log_max_files": 2}"#;
    home.script("x.json", file);
    home.rpm(&["restart", "x.json"]).ok();
    home.wait_for_log("x-out.log", "first\n");
    home.wire().ask("rotate target=x").ok();
    assert_eq!(texts(&path), ["again 7\n", "again 8\nfirst\n", ""]);
    home.script("x.json", &file.replace("2}", "0}"));
    home.rpm(&["restart", "x.json"]).ok();
    home.wait_for_log("x-out.log", "first\n");
    home.wire().ask("rotate target=x").ok();
    assert_eq!(texts(&path), [""]);
}

#[test]
fn flush_removes_the_files_that_were_set_aside() {
    let home = Home::new();
    let path = echo(&home, &[]);
    for number in 1..4 {
        home.wire().ask("rotate target=x").ok();
        again(&home, number);
    }
    home.rpm(&["flush", "x"]).ok();
    assert_eq!(texts(&path), [""]);
    again(&home, 4);
    assert_eq!(texts(&path), ["again 4\n"]);
}

#[test]
fn a_file_keeps_its_mode_and_owner() {
    let home = Home::new();
    let path = echo(&home, &[]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let id = if is_root() {
        4321
    } else {
        path.metadata().unwrap().uid()
    };
    chown(&path, Some(id), None).unwrap();
    home.wire().ask("rotate target=x").ok();
    for path in [&path, &older(&path, 1)] {
        let meta = path.metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o640, id), "{path:?}");
    }
}

#[test]
fn a_log_that_is_a_link_stays_one() {
    let home = Home::new();
    let real = home.base.join("data/real.log");
    fs::create_dir(home.base.join("data")).unwrap();
    fs::create_dir_all(home.root.join("logs")).unwrap();
    symlink(&real, home.log_path("x-out.log")).unwrap();
    let path = echo(&home, &[]);
    for number in 1..3 {
        home.wire().ask("rotate target=x").ok();
        again(&home, number);
    }
    assert!(path.symlink_metadata().unwrap().is_symlink());
    assert_eq!(texts(&real), ["first\n", "again 1\n", "again 2\n"]);
    assert_eq!(texts(&path), ["again 2\n"]);
    home.rpm(&["flush", "x"]).ok();
    assert_eq!(texts(&real), [""]);
}

#[test]
fn a_file_or_folder_that_was_removed_is_made_again() {
    let home = Home::new();
    let path = echo(&home, &[]);
    fs::remove_file(&path).unwrap();
    again(&home, 1);
    assert_eq!(texts(&path), ["again 1\n"]);
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    again(&home, 2);
    assert_eq!(texts(&path), ["again 2\n"]);
}

#[test]
fn a_file_that_was_emptied_goes_on_at_its_beginning() {
    let home = Home::new();
    let path = echo(&home, &["--log-max-size", "20"]);
    again(&home, 1);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    again(&home, 2);
    assert_eq!(
        texts(&path),
        ["again 2\n"],
        "it is not set aside for what it was"
    );
}

#[test]
fn a_line_is_longer_than_a_file_may_be() {
    let home = Home::new();
    let text =
        "echo short\nhead -c 3000 /dev/zero | tr '\\0' x; echo; echo short\nexec sleep 1000\n";
    home.start("x", text, &["--log-max-size", "1000"]);
    let long = "x".repeat(3000) + "\n";
    let path = home.log_path("x-out.log");
    wait_until("all is written", || {
        fs::read(&path).is_ok_and(|log| log == b"short\n") && count_older(&path) == 2
    });
    assert_eq!(texts(&path), ["short\n", &long, "short\n"]);
}

#[test]
fn a_mebibyte_without_an_end_of_line_is_kept_and_its_program_goes_on() {
    for form in [Form::Plain, Form::Stamped] {
        let home = Home::new();
        let text = "head -c 1048576 /dev/zero | tr '\\0' x; printf '\\nend\\n'; exec sleep 1000\n";
        let flags = [
            &["--log-max-size", "100K", "--log-max-files", "50"],
            form.flags(),
        ]
        .concat();
        home.start("x", text, &flags);
        let path = home.log_path("x-out.log");
        wait_until("all is written", || {
            fs::read(&path).is_ok_and(|log| log.ends_with(b"end\n"))
        });
        home.wait_for_state("x", State::Online);
        let files = files(&path);
        let most = files.iter().map(Vec::len).max().unwrap();
        assert!(
            files.len() > 6 && most <= 164 << 10,
            "{} of {most}",
            files.len()
        );
        let text = form.bare(&files.concat());
        let wanted = "x".repeat(1 << 20) + "\nend\n";
        assert_same_bytes(&text, wanted.as_bytes(), "the files together");
    }
}

#[test]
fn the_log_of_the_daemons_is_set_aside_too() {
    let home = Home::new();
    home.start_sleep("x");
    home.wait_for_journal("rpmd");
    let path = home.root.join("rpmd.log");
    let file = fs::File::options().append(true).open(&path).unwrap();
    let size = file.metadata().unwrap().len() + (33 << 20);
    file.set_len(size).unwrap();
    let pid = home.program("x").pid;
    proc::kill(pid, rpm::sys::signal::Signal::KILL);
    wait_until("another file", || {
        home.journal().contains("was ended by SIGKILL")
    });
    assert_eq!(older(&path, 1).metadata().unwrap().len(), size);
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    for line in home.journal().lines() {
        let time = line.get(..23).unwrap_or_default();
        let is_time = time
            .bytes()
            .all(|b| b.is_ascii_digit() || b"-T:.+Z".contains(&b));
        assert!(is_time && line.contains(" rpmd"), "{line}");
    }
}
