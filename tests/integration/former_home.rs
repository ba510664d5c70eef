//! A home that the release before this one has left, which had a folder of records for each program.

use std::collections::BTreeMap;
use std::fs;

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::wait::wait_for_end;
use crate::harness::{Home, proc, wait_until};

/// The home as that release would have left it.
fn make_former(home: &Home) {
    let text = fs::read_to_string(home.list_path()).unwrap();
    let mut last: BTreeMap<(String, String), String> = BTreeMap::new();
    for line in text.lines() {
        let (line, _) = line.rsplit_once(" sum=").unwrap();
        let mut words = line.splitn(3, ' ');
        let (tag, id) = (words.next().unwrap(), words.next().unwrap_or_default());
        if let Some(rest) = words.next().filter(|_| id.starts_with("id=")) {
            last.insert((id[3..].to_owned(), tag.to_owned()), rest.to_owned());
        }
    }
    for ((id, tag), rest) in last {
        let folder = home.root.join("run").join(&id);
        fs::create_dir_all(&folder).unwrap();
        let text = match tag.as_str() {
            "pid" => format!("{rest:<63}\n"),
            "status" => format!("{:<319}\n", format!("status {rest}")),
            _ => format!("{tag} {rest}\n"),
        };
        fs::write(folder.join(&tag), text).unwrap();
        for pipe in ["out", "err"] {
            let new = home.root.join("run").join(format!("{id}.{pipe}"));
            let _ = fs::rename(new, folder.join(pipe));
        }
    }
    fs::remove_file(home.list_path()).unwrap();
    let state = home.root.join("rpmd.state");
    let text = fs::read_to_string(&state).unwrap();
    fs::write(state, text.replace("version=2", "version=1")).unwrap();
}

#[test]
fn the_programs_of_the_release_before_are_taken_over_and_its_records_removed() {
    let home = Home::new();
    let text = "i=0\nwhile :; do i=$((i+1)); echo line $i; sleep 0.02; done\n";
    let talks = home.start("talks", text, &[]).pid;
    home.start_sleep("down");
    home.rpm(&["stop", "down"]).ok();
    home.rpm(&["restart", "talks"]).ok();
    let before = home.program("talks");
    assert_ne!(before.pid, talks);
    home.kill_with_list_writer();
    let log_writer = home.log_writer().unwrap();
    proc::kill(log_writer, Signal::KILL);
    wait_for_end(log_writer);
    make_former(&home);
    home.rpm(&["ping"]).ok();
    let after = home.program("talks");
    assert_eq!((after.pid, after.restarts), (before.pid, before.restarts));
    assert_eq!(home.program("down").state, State::Stopped);
    // What it printed meanwhile is not lost, and what it prints from now on is heard.
    home.rpm(&["stop", "talks"]).ok();
    let log = String::from_utf8(home.log("talks-out.log")).unwrap();
    let second = log.rfind("line 1\n").unwrap();
    for (at, line) in log[second..].lines().enumerate() {
        assert_eq!(line, format!("line {}", at + 1));
    }
    home.rpm(&["start", "talks"]).ok();
    home.rpm(&["sync"]).ok();
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
    home.rpm(&["ping"]).ok();
    assert_eq!(home.list().len(), 2);
    wait_until("the folders are removed", || {
        !home.root.join("run/0").exists() && !home.root.join("run/1").exists()
    });
    home.rpm(&["restart", "all"]).ok();
    assert!(home.list().iter().all(|p| p.state == State::Online));
}
