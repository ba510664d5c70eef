//! As root, with files in folders of another user: whatever that user puts in their place, nothing else changes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use rpm::model::life::State;

use crate::harness::logs::older;
use crate::harness::{Home, is_root, skip, wait_until};

/// The other user.
const ALICE: u32 = 4321;

/// A home of root's, a folder of Alice's and a file of root's that must stay as it is.
struct Scene {
    home: Home,
    alice: PathBuf,
    victim: PathBuf,
    before: (u32, u32, u32, Vec<u8>, usize),
}

impl Scene {
    fn new() -> Option<Scene> {
        if !is_root() {
            skip("only root acts on what belongs to others");
            return None;
        }
        let home = Home::new();
        let alice = home.base.join("alice");
        let victim = home.base.join("roots/file");
        fs::create_dir(&alice).unwrap();
        fs::create_dir(home.base.join("roots")).unwrap();
        fs::write(&victim, "kept\n").unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o644)).unwrap();
        chown(&alice, Some(ALICE), Some(ALICE)).unwrap();
        let mut scene = Scene {
            home,
            alice,
            victim,
            before: (0, 0, 0, Vec::new(), 0),
        };
        scene.before = scene.now();
        Some(scene)
    }

    fn now(&self) -> (u32, u32, u32, Vec<u8>, usize) {
        let meta = self.victim.metadata().unwrap();
        let folder = fs::read_dir(self.victim.parent().unwrap()).unwrap();
        let text = fs::read(&self.victim).unwrap();
        (meta.uid(), meta.gid(), meta.mode(), text, folder.count())
    }

    #[track_caller]
    fn is_unchanged(&self, what: &str) {
        assert_eq!(self.now(), self.before, "{what}");
    }

    fn path(&self, name: &str) -> String {
        self.alice.join(name).to_str().unwrap().to_owned()
    }

    /// Alice makes a link.
    fn link(&self, name: &str, target: &Path) {
        let link = self.alice.join(name);
        let _ = fs::remove_file(&link);
        symlink(target, &link).unwrap();
        lchown(&link, Some(ALICE), Some(ALICE)).unwrap();
    }
}

/// Prints a line now and one at each SIGUSR1.
const ECHO: &str = "trap 'n=$((n + 1)); echo \"line $n\"' USR1\necho line 0\n\
                    while :; do sleep 1000 & wait; kill $!; done\n";

#[test]
fn logs_in_the_folder_of_a_user_are_that_users_also_after_a_rotation() {
    let Some(scene) = Scene::new() else { return };
    let path = scene.alice.join("sub/log");
    scene.home.start("x", ECHO, &["-o", path.to_str().unwrap()]);
    let has = |path: &Path, text: &str| fs::read_to_string(path).is_ok_and(|t| t == text);
    wait_until("the line", || has(&path, "line 0\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    scene.home.wire().ask("rotate target=x").ok();
    scene.home.rpm(&["sendSignal", "USR1", "x"]).ok();
    wait_until("the next", || has(&path, "line 1\n"));
    assert!(has(&older(&path, 1), "line 0\n"));
    for path in [&path, &older(&path, 1)] {
        let meta = path.metadata().unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o7777), (ALICE, 0o640));
    }
    // The folder was made for Alice, too.
    assert_eq!(path.parent().unwrap().metadata().unwrap().uid(), ALICE);
    scene.home.rpm(&["flush", "x"]).ok();
    assert!(has(&path, "") && !older(&path, 1).exists());
}

#[test]
fn a_log_file_that_is_a_link_reaches_no_file_that_its_owner_may_not_write() {
    let Some(scene) = Scene::new() else { return };
    scene.link("log", &scene.victim);
    let flags = ["-o", &scene.path("log"), "--log-max-size", "1"];
    scene.home.start("x", ECHO, &flags);
    scene
        .home
        .wait_for_journal("Permission denied (in a folder");
    scene.is_unchanged("start");
    for command in ["flush", "reloadLogs"] {
        scene
            .home
            .rpm(&[command, "x"])
            .fails(&["Permission denied", "that user's rights"]);
        scene.is_unchanged(command);
    }
    let refused = scene.home.wire().ask("rotate target=x");
    assert!(refused.last.get("code").is_some(), "rotate was not refused");
    scene.is_unchanged("rotate");
    scene.home.rpm(&["restart", "x"]).ok();
    scene.is_unchanged("restart");
}

#[test]
fn a_log_file_that_is_exchanged_between_two_rotations_gives_nothing_away() {
    let Some(scene) = Scene::new() else { return };
    scene.home.start("x", ECHO, &["-o", &scene.path("log")]);
    let path = scene.alice.join("log");
    wait_until("the line", || fs::read(&path).is_ok_and(|t| !t.is_empty()));
    // In the place of the log file, and of the one that it becomes: what was open is Alice's, and what is there not.
    for name in ["log", "log.1", "log.2"] {
        scene.link(name, &scene.victim);
        let _ = scene.home.wire().ask("rotate target=x");
        scene.is_unchanged(name);
        let _ = scene.home.rpm(&["reloadLogs", "x"]);
        let _ = scene.home.rpm(&["flush", "x"]);
        scene.is_unchanged(name);
    }
    // The whole folder leads elsewhere.
    scene.home.rpm(&["stop", "x"]).ok();
    fs::rename(&scene.alice, scene.home.base.join("away")).unwrap();
    symlink(scene.victim.parent().unwrap(), &scene.alice).unwrap();
    lchown(&scene.alice, Some(ALICE), Some(ALICE)).unwrap();
    scene.home.rpm(&["restart", "x"]).ok();
    let _ = scene.home.rpm(&["flush", "x"]);
    scene.is_unchanged("folder");
}

#[test]
fn two_names_are_not_one_file_because_somebody_made_a_link() {
    let Some(scene) = Scene::new() else { return };
    let secret = scene.home.base.join("roots/log");
    scene
        .home
        .start("own", ECHO, &["-o", secret.to_str().unwrap()]);
    wait_until("its line", || {
        fs::read(&secret).is_ok_and(|t| t == b"line 0\n")
    });
    scene.link("log", &secret);
    scene.home.start("x", ECHO, &["-o", &scene.path("log")]);
    scene
        .home
        .wait_for_journal("Permission denied (in a folder");
    assert_eq!(fs::read(&secret).unwrap(), b"line 0\n");
    let refused = scene.home.wire().ask("rotate target=x");
    assert!(refused.last.get("code").is_some(), "rotate was not refused");
    assert!(!older(&secret, 1).exists());
}

#[test]
fn a_pid_file_that_is_a_link_or_has_many_names_overwrites_nothing() {
    let Some(scene) = Scene::new() else { return };
    let file = scene.home.script("x.sh", "exec sleep 1000\n");
    scene.link("x.pid", &scene.victim);
    let pid_file = scene.path("x.pid");
    let words = ["start", &file, "--name", "x", "-p", &pid_file];
    scene
        .home
        .rpm(&words)
        .fails(&["x.pid", "Permission denied", "that user's rights"]);
    scene.is_unchanged("start");
    let _ = fs::remove_file(&pid_file);
    fs::hard_link(&scene.victim, &pid_file).unwrap();
    scene
        .home
        .rpm(&words)
        .fails(&["x.pid", "Permission denied"]);
    scene.is_unchanged("hard link");
    // It is Alice's file otherwise, and goes with the program.
    let _ = fs::remove_file(&pid_file);
    scene.home.rpm(&words).ok();
    assert_eq!(Path::new(&pid_file).metadata().unwrap().uid(), ALICE);
    scene.home.rpm(&["stop", "x"]).ok();
    assert!(!Path::new(&pid_file).exists());
}

#[test]
fn a_pid_file_is_removed_from_no_other_folder() {
    let Some(scene) = Scene::new() else { return };
    fs::create_dir(scene.alice.join("sub")).unwrap();
    chown(scene.alice.join("sub"), Some(ALICE), Some(ALICE)).unwrap();
    let pid_file = scene.path("sub/file");
    scene
        .home
        .start("x", "exec sleep 1000\n", &["-p", &pid_file]);
    fs::remove_dir_all(scene.alice.join("sub")).unwrap();
    scene.link("sub", scene.victim.parent().unwrap());
    scene.home.rpm(&["stop", "x"]).ok();
    scene.home.wait_for_state("x", State::Stopped);
    scene.is_unchanged("stop");
    scene.home.rpm(&["delete", "x"]).ok();
    scene.is_unchanged("delete");
}

#[test]
fn folders_and_sockets_are_made_with_the_rights_of_the_user() {
    let Some(scene) = Scene::new() else { return };
    scene.link("sub", scene.victim.parent().unwrap());
    let file = scene.home.script("x.sh", "exec sleep 1000\n");
    let start = |flags: &[&str]| {
        let words = [&["start", &file, "--name", "x"], flags].concat();
        let output = scene.home.rpm(&words);
        scene.is_unchanged(&flags.join(" "));
        let _ = scene.home.rpm(&["delete", "x"]);
        output
    };
    start(&["-p", &scene.path("sub/new/x.pid")]).fails(&["Permission denied"]);
    start(&["-o", &scene.path("sub/new/log")]).ok();
    start(&["--listen", &format!("unix:{}", scene.path("sub/x.sock"))])
        .fails(&["Permission denied"]);
    let socket = scene.alice.join("x.sock");
    let listen = format!("unix:{}", socket.display());
    let words = ["--listen", &listen];
    scene.home.start("y", "exec sleep 1000\n", &words);
    assert_eq!(socket.metadata().unwrap().uid(), ALICE);
}

#[test]
fn in_tmp_a_file_of_somebody_else_is_acted_on_as_that_user() {
    let Some(scene) = Scene::new() else { return };
    let shared = scene.home.base.join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    let own = shared.join("own.log");
    let trap = shared.join("trap.log");
    symlink(&scene.victim, &trap).unwrap();
    lchown(&trap, Some(ALICE), Some(ALICE)).unwrap();
    let flags = ["-o", own.to_str().unwrap(), "-e", trap.to_str().unwrap()];
    let text = ECHO.replace("echo line 0", "echo line 0; echo oh >&2");
    scene.home.start("x", &text, &flags);
    wait_until("the line", || {
        fs::read(&own).is_ok_and(|t| t == b"line 0\n")
    });
    scene
        .home
        .wait_for_journal("Permission denied (in a folder");
    scene.is_unchanged("start");
    assert_eq!(own.metadata().unwrap().uid(), 0);
}
