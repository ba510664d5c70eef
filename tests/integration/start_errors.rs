//! What cannot be started: a sentence that names the step, the path and the reason, and nothing is left.

use std::fs;

use crate::harness::Home;

/// Runs `rpm start` with these words, which must fail with these parts in its sentence, and leave nothing.
#[track_caller]
fn refused(home: &Home, words: &[&str], parts: &[&str]) {
    let output = home.rpm(&[&["start"], words].concat()).fails(parts);
    assert_eq!(output.stdout, "");
    let sentences: Vec<_> = output.stderr.lines().collect();
    assert_eq!(sentences.len(), 1, "{}", output.shown());
    assert!(home.list().is_empty());
    assert!(home.with_pipes().is_empty());
    for folder in ["logs", "pids"] {
        assert!(
            home.entries(folder).is_empty(),
            "{:?}",
            home.entries(folder)
        );
    }
}

/// A home with a daemon, and the path of its folder.
fn scene() -> (Home, String) {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    let base = home.base.to_str().unwrap().to_owned();
    (home, base)
}

#[test]
fn a_missing_file() {
    let (home, base) = scene();
    let path = format!("{base}/nothere");
    refused(
        &home,
        &["./nothere"],
        &["executing", &path, "No such file or directory"],
    );
    refused(
        &home,
        &[&path],
        &["executing", &path, "No such file or directory"],
    );
}

#[test]
fn an_empty_word() {
    let (home, _) = scene();
    for word in ["", "  "] {
        refused(&home, &[word], &["the script is empty"]);
    }
}

#[test]
fn a_missing_script() {
    let (home, base) = scene();
    for ending in ["py", "sh", "js"] {
        let path = format!("{base}/nothere.{ending}");
        let word = format!("./nothere.{ending}");
        refused(&home, &[&word], &[&path, "No such file or directory"]);
    }
}

#[test]
fn a_folder() {
    let (home, base) = scene();
    fs::create_dir(home.base.join("folder")).unwrap();
    refused(
        &home,
        &["./folder"],
        &[&format!(
            "{base}/folder is a directory without package.json"
        )],
    );
    fs::create_dir(home.base.join("folder.py")).unwrap();
    refused(
        &home,
        &["./folder.py"],
        &[&format!("{base}/folder.py is a directory")],
    );
}

#[test]
fn a_file_without_the_x_bit() {
    let (home, base) = scene();
    fs::write(home.base.join("plain"), "exec sleep 1000\n").unwrap();
    for words in [&["./plain"][..], &["./plain", "--interpreter", "none"]] {
        let why = format!("{base}/plain is not executable; run chmod +x, or name its interpreter");
        refused(&home, words, &[&why]);
    }
}

#[test]
fn a_missing_interpreter_in_the_first_line() {
    let (home, base) = scene();
    home.script("tool", "#!/no/such/interpreter\n");
    refused(
        &home,
        &["./tool"],
        &[
            "executing",
            &format!("{base}/tool"),
            "interpreter",
            "No such file or directory",
        ],
    );
}

#[test]
fn a_file_that_is_no_program() {
    let (home, base) = scene();
    home.script("data", "\u{1}\u{2}\u{3}");
    refused(
        &home,
        &["./data"],
        &["executing", &format!("{base}/data"), "Exec format error"],
    );
}

#[test]
fn a_missing_working_folder() {
    let (home, base) = scene();
    let there = format!("{base}/nowhere");
    refused(
        &home,
        &["sleep", "--cwd", &there, "--", "1000"],
        &["entering", &there, "No such file or directory"],
    );
    fs::write(&there, "").unwrap();
    refused(
        &home,
        &["sleep", "--cwd", &there, "--", "1000"],
        &["entering", &there, "Not a directory"],
    );
}

#[test]
fn a_command_that_is_not_in_path() {
    let (home, _) = scene();
    refused(
        &home,
        &["no-such-command-here"],
        &["no-such-command-here", "not found in PATH"],
    );
}

#[test]
fn an_interpreter_that_is_not_in_path() {
    let (home, _) = scene();
    home.script("x.sh", "exec sleep 1000\n");
    refused(
        &home,
        &["./x.sh", "--interpreter", "no-such-shell"],
        &["no-such-shell", "not found in PATH"],
    );
}

#[test]
fn an_ending_none_of_whose_interpreters_is_installed() {
    let (home, _) = scene();
    fs::write(home.base.join("x.tsx"), "").unwrap();
    for words in ["start ./x.tsx", "dev ./x.tsx"] {
        home.shell(&format!("PATH=/nowhere; $RPM {words}")).fails(&[
            "cannot start",
            "none of its interpreters is in PATH (tsx, ts-node, bun); install one, or name another",
        ]);
    }
    assert!(home.list().is_empty());
}

#[test]
fn several_instances_are_undone_like_a_single_one() {
    let (home, base) = scene();
    let path = format!("{base}/nothere");
    for _ in 0..10 {
        refused(
            &home,
            &["./nothere", "-i", "20"],
            &["executing", &path, "No such file or directory"],
        );
    }
}

#[test]
fn a_pid_file_that_cannot_be_written() {
    let (home, base) = scene();
    let path = format!("{base}/file/x.pid");
    fs::write(home.base.join("file"), "").unwrap();
    refused(
        &home,
        &["sleep", "-p", &path, "--", "1000"],
        &[&format!("{base}/file")],
    );
}

#[test]
fn after_refusals_the_first_program_has_the_first_id() {
    let (home, _) = scene();
    home.rpm(&["start", "./nothere"]).fails(&[]);
    assert_eq!(home.start_sleep("first").id, 0);
}

#[test]
fn a_program_that_vanishes_is_said_to_be_missing_at_its_restart() {
    let (home, base) = scene();
    let file = home.script("tool", "#!/bin/sh\nexec sleep 1000\n");
    home.rpm(&["start", "./tool", "--restart-delay", "1000000"])
        .ok();
    fs::remove_file(&file).unwrap();
    home.rpm(&["restart", "tool"]).fails(&[
        "executing",
        &format!("{base}/tool"),
        "No such file or directory",
    ]);
    assert_eq!(home.list().len(), 1);
}

#[test]
fn a_folder_where_output_should_go() {
    let home = Home::new();
    std::fs::create_dir(home.base.join("logs")).unwrap();
    home.rpm(&["start", "sleep", "-o", "logs", "--", "1000"])
        .fails(&["writing output to", "logs: it is a folder"]);
    assert!(home.list().is_empty());
}

#[test]
fn a_name_that_means_every_program() {
    let home = Home::new();
    home.rpm(&["start", "sleep", "-n", "all", "--", "1000"])
        .fails(&["all means every program"]);
    home.rpm(&["start", "all"])
        .fails(&["there are no programs"]);
}

#[test]
fn each_instance_has_a_pid_file_of_its_own() {
    let home = Home::new();
    home.rpm(&["start", "sleep", "-i", "2", "-p", "a.pid", "--", "1000"])
        .ok();
    for program in home.list() {
        let path = home.base.join(format!("a-{}.pid", program.id));
        let pid = std::fs::read_to_string(path).unwrap();
        assert_eq!(pid.trim(), program.pid.to_string());
    }
}
