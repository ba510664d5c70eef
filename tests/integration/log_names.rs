//! The names of the files that a program has by default.

use std::fs;

use crate::harness::{Home, wait_until};

#[test]
fn names_that_look_alike_have_files_of_their_own() {
    let home = Home::new();
    let names = [
        "a b",
        "a-b",
        "a/b",
        "a%20b",
        "@services",
        "-x",
        "..",
        "a b ",
    ];
    for (id, name) in names.iter().enumerate() {
        let text = format!("echo {id}; echo {id} >&2; exec sleep 1000\n");
        let file = home.script(&format!("{id}.sh"), &text);
        home.rpm(&["start", &file, &format!("--name={name}")]).ok();
    }
    for (id, name) in names.iter().enumerate() {
        let record = home.wire().ask(&format!("describe target={id}")).ok();
        let path = record.rows[0].text("out_path").unwrap().to_owned();
        wait_until(&format!("what {name} prints, in {path}"), || {
            fs::read_to_string(&path).is_ok_and(|log| log == format!("{id}\n"))
        });
    }
    for folder in ["logs", "pids"] {
        let files = home.entries(folder);
        assert!(
            files.iter().all(|file| !file.starts_with(['-', '.'])),
            "{files:?}"
        );
    }
    assert_eq!(home.entries("pids").len(), names.len());
    let files = 2 * names.len();
    wait_until("two files each", || home.entries("logs").len() == files);
}

#[test]
fn the_log_of_both_streams_is_not_the_log_of_one_of_another_program() {
    let home = Home::new();
    for name in ["a", "a-out"] {
        let script = home.script(&format!("{name}.sh"), &format!("echo out of {name}\n"));
        let file = format!(
            r#"{{"name": "{name}", "script": "{script}", "log_file": true, "autorestart": false}}"#
        );
        let file = home.script(&format!("{name}.json"), &file);
        home.rpm(&["start", &file]).ok();
    }
    home.wait_for_log("a-out.log", "out of a\n");
    home.wait_for_log("a%2Dout.log", "out of a-out\n");
    home.wait_for_log("a-out-out.log", "out of a-out\n");
    assert_eq!(home.log("a-out.log"), b"out of a\n");
}

#[test]
fn a_very_long_name_has_its_files_too() {
    let home = Home::new();
    let (one, other) = ("x".repeat(400) + "1", "x".repeat(400) + "2");
    let file = home.script("x.sh", "echo x; echo x >&2; exec sleep 1000\n");
    for name in [&one, &other] {
        home.rpm(&["start", &file, "--name", name]).ok();
    }
    wait_until("four files", || home.entries("logs").len() == 4);
    assert_eq!(home.entries("pids").len(), 2);
}
