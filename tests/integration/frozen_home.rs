//! The disk of the home does not answer: programs are served all the same, and nothing is lost or doubled.

use std::fs;
use std::time::{Duration, Instant};

use rpm::model::life::State;
use rpm::sys::signal::Signal;

use crate::harness::wait::wait_for_end;
use crate::harness::{Home, has, is_root, proc, skip, wait_until};

/// A home on a file system of its own, which can be frozen. Dropping it thaws and unmounts it.
struct Frozen {
    home: Option<Home>,
    mount: String,
}

impl Frozen {
    /// None: with a reason, where that cannot be made here.
    fn new() -> Option<Frozen> {
        if !is_root() || !["fsfreeze", "mkfs.ext4", "mount"].into_iter().all(has) {
            skip("only root, with util-linux and mkfs.ext4, can freeze a file system");
            return None;
        }
        let home = Home::new();
        let image = home.base.join("image");
        let file = fs::File::create(&image).unwrap();
        file.set_len(16 << 20).unwrap();
        fs::create_dir_all(&home.root).unwrap();
        let [image, mount] = [&image, &home.root].map(|path| path.to_str().unwrap().to_owned());
        home.run(home.command(&["mkfs.ext4", "-q", "-F", &image]))
            .ok();
        let mounted = home.run(home.command(&["mount", "-o", "loop", &image, &mount]));
        if mounted.code != 0 {
            skip("no loop device can be mounted here");
            return None;
        }
        let lost = home.root.join("lost+found");
        fs::remove_dir(lost).unwrap();
        Some(Frozen {
            home: Some(home),
            mount,
        })
    }

    fn home(&self) -> &Home {
        self.home.as_ref().unwrap()
    }

    fn freeze(&self) {
        let home = self.home();
        home.run(home.command(&["fsfreeze", "-f", &self.mount]))
            .ok();
    }

    fn thaw(&self) {
        let home = self.home();
        home.run(home.command(&["fsfreeze", "-u", &self.mount]))
            .ok();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let run = |words: &[&str]| {
            let _ = std::process::Command::new(words[0])
                .args(&words[1..])
                .stderr(std::process::Stdio::null())
                .status();
        };
        run(&["fsfreeze", "-u", &self.mount]);
        // It ends the daemon, which needs the disk for that.
        drop(self.home.take());
        run(&["umount", "-l", &self.mount]);
    }
}

/// The live processes called `sleep` of this home.
fn sleeps(home: &Home) -> Vec<i32> {
    let mut pids = proc::named(&home.root, "sleep");
    pids.sort_unstable();
    pids
}

const NOT_YET: &str = "the list of programs is not on the disk yet";

#[test]
fn while_the_disk_does_not_answer_programs_are_served_and_nothing_is_lost() {
    let Some(frozen) = Frozen::new() else {
        return;
    };
    let home = frozen.home();
    for name in ["a", "b", "c"] {
        home.start_sleep(name);
    }
    home.rpm(&["sync"]).ok();
    frozen.freeze();
    let begin = Instant::now();
    home.rpm(&["ping"]).ok();
    assert_eq!(home.list().len(), 3);
    assert!(begin.elapsed() < Duration::from_secs(1));
    let before = home.program("a").pid;
    let said = home.rpm(&["restart", "a"]).ok().stderr;
    assert!(said.contains(NOT_YET), "{said}");
    assert_ne!(home.program("a").pid, before);
    let said = home.rpm(&["stop", "b"]).ok().stderr;
    assert!(said.contains(NOT_YET), "{said}");
    // A crash is no client's to wait for.
    let crashed = home.program("c").pid;
    proc::kill(crashed, Signal::KILL);
    home.wait_for("c", "running again", |p| {
        p.state == State::Online && p.pid != crashed
    });
    home.rpm(&["sync"]).fails(&["the disk does not answer"]);
    // A new program needs pipes in the home.
    let mut wire = home.wire();
    wire.send("start script=/bin/sleep name=d args=1000 cwd=/\n");
    home.wait_for("d", "in the list", |p| p.pid == 0);
    let running = [home.program("a").pid, home.program("c").pid];
    assert_eq!(sleeps(home).len(), 2);
    let supervisor = home.supervisor();
    proc::kill(supervisor, Signal::KILL);
    wait_for_end(supervisor);
    frozen.thaw();
    home.rpm(&["ping"]).ok();
    assert_eq!(home.program("a").pid, running[0]);
    assert_eq!(home.program("b").state, State::Stopped);
    assert_eq!(home.program("c").pid, running[1]);
    home.wait_for_state("d", State::Online);
    assert_eq!(sleeps(home).len(), 3);
    home.rpm(&["sync"]).ok();
    let written = fs::read_to_string(home.root.join("run/list")).unwrap();
    let pid = format!("pid id=0 pid={} ", running[0]);
    assert!(written.contains(&pid), "{written}");
}

#[test]
fn after_the_thaw_all_is_on_the_disk_and_answers_are_prompt_again() {
    let Some(frozen) = Frozen::new() else {
        return;
    };
    let home = frozen.home();
    home.start_sleep("a");
    frozen.freeze();
    home.rpm(&["delete", "a"]).ok();
    frozen.thaw();
    home.rpm(&["sync"]).ok();
    wait_until("the pipes are removed", || home.with_pipes().is_empty());
    let begin = Instant::now();
    home.start_sleep("b");
    home.rpm(&["stop", "b"]).ok();
    assert!(begin.elapsed() < Duration::from_secs(1));
    home.kill_with_list_writer();
    home.log_writer_goes_on();
    home.rpm(&["ping"]).ok();
    let names: Vec<String> = home.list().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["b"]);
}
