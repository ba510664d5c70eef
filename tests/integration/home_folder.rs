//! The folder `RPM_HOME`: private, and refused with a sentence when it cannot be.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::run::write_executable;
use crate::harness::wire::Wire;
use crate::harness::{Home, has, is_root, skip};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn assert_private(folder: &Path) {
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap().file_type();
        match (kind.is_dir(), kind.is_fifo()) {
            (true, _) => assert_private(&path),
            // A program that has become another user writes to it still, as /dev/stdout.
            (_, true) => assert_eq!(mode(&path), 0o622, "{}", path.display()),
            _ => assert_eq!(mode(&path), 0o600, "{}", path.display()),
        }
    }
}

#[test]
fn folders_are_0700_and_files_0600_whatever_the_umask() {
    let home = Home::new();
    home.shell("umask 0; $RPM start sleep -- 1000; $RPM restart sleep")
        .ok();
    home.wait_for_log("sleep-out.log", "");
    assert_private(&home.root);
}

#[test]
fn a_home_that_was_open_to_others_is_made_private() {
    let home = Home::new();
    fs::create_dir(&home.root).unwrap();
    fs::set_permissions(&home.root, fs::Permissions::from_mode(0o755)).unwrap();
    home.rpm(&["ping"]).ok();
    assert_eq!(mode(&home.root), 0o700);
}

#[test]
fn missing_folders_above_the_home_are_made() {
    let mut home = Home::new();
    home.root = home.base.join("a/b/h");
    home.rpm(&["ping"]).ok();
}

#[test]
fn a_relative_home_is_relative_to_the_folder_of_the_client() {
    let home = Home::new();
    home.shell("mkdir sub; cd sub; RPM_HOME=../h $RPM start sleep -- 1000")
        .ok();
    assert_eq!(home.list().len(), 1);
}

#[test]
fn a_home_path_that_is_too_long_for_a_socket_is_refused_with_a_sentence() {
    let mut home = Home::new();
    home.root = home.base.join("long".repeat(30));
    home.rpm(&["list"]).fails(&["socket", "107", "RPM_HOME"]);
    let daemon = home.daemon();
    for words in [&[daemon.as_str()][..], &[&daemon, "--foreground"]] {
        home.run(home.command(words))
            .fails(&["socket", "107", "RPM_HOME"]);
    }
}

#[test]
fn a_home_that_is_no_folder_is_refused_with_a_sentence() {
    let home = Home::new();
    fs::write(&home.root, "mine").unwrap();
    home.rpm(&["list"]).fails(&["Not a directory", "RPM_HOME"]);
    let daemon = home.daemon();
    let shown = home.root.to_str().unwrap();
    home.run(home.command(&[daemon.as_str()]))
        .fails(&["rpmd: ", shown]);
    assert_eq!(fs::read(&home.root).unwrap(), b"mine");
}

#[test]
fn a_file_in_the_place_of_the_socket_is_refused_and_left_alone() {
    let home = Home::new();
    fs::create_dir(&home.root).unwrap();
    let socket = home.root.join("rpmd.sock");
    fs::write(&socket, "mine").unwrap();
    let shown = socket.to_str().unwrap();
    home.rpm(&["list"]).fails(&[shown, "not a socket"]);
    let daemon = home.daemon();
    home.run(home.command(&[daemon.as_str()]))
        .fails(&[shown, "no socket"]);
    assert_eq!(fs::read(&socket).unwrap(), b"mine");
    fs::remove_file(&socket).unwrap();
}

#[test]
fn a_daemon_program_that_is_missing_is_said_to_be() {
    let home = Home::new();
    let alone = home.base.join("rpm");
    write_executable(|| fs::copy(home.client(), &alone));
    let mut command = home.command(&[&alone]);
    command.arg("list").env("PATH", "/nonexistent");
    home.run(command).fails(&["rpmd", "PATH"]);
}

#[test]
fn a_home_that_may_not_be_made_is_refused_with_a_sentence() {
    if !is_root() || !has("setpriv") {
        return skip("only root, with setpriv, can become another user");
    }
    let mut home = Home::of_another_user();
    let theirs = home.base.join("roots");
    fs::create_dir(&theirs).unwrap();
    home.root = theirs.join("h");
    let shown = home.root.to_str().unwrap();
    home.rpm(&["list"])
        .fails(&["making", shown, "Permission denied"]);
}

#[test]
fn a_home_of_somebody_else_is_refused_with_a_sentence() {
    if !is_root() {
        return skip("only root can give folders away");
    }
    let home = Home::new();
    fs::create_dir(&home.root).unwrap();
    chown(&home.root, Some(12345), Some(12345)).unwrap();
    let begin = Instant::now();
    home.rpm(&["list"]).fails(&["belongs to 12345", "RPM_HOME"]);
    // Nobody else is on the way to serve it: there is nothing to wait for.
    let waited = begin.elapsed();
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

#[test]
fn another_user_is_denied() {
    if !is_root() || !has("setpriv") {
        return skip("only root, with setpriv, can become another user");
    }
    let owner = Home::of_another_user();
    let other = Home::of_another_user();
    owner.rpm(&["start", "sleep", "--", "1000"]).ok();
    let mut command = other.command(&[other.client()]);
    command.arg("list").env("RPM_HOME", &owner.root);
    let closed = other.run(command);
    closed.fails(&["belongs to", "and you are", "RPM_HOME"]);
    // Even where the folder was opened by mistake.
    fs::set_permissions(&owner.root, fs::Permissions::from_mode(0o755)).unwrap();
    let socket = owner.root.join("rpmd.sock");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    for words in ["list", "kill"] {
        let mut command = other.command(&[other.client()]);
        command.arg(words).env("RPM_HOME", &owner.root);
        other.run(command).fails(&["belongs to", "and you are"]);
    }
    // Nor does the daemon rely on the client.
    if has("perl") {
        let script = "$SIG{PIPE} = 'IGNORE'; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; print $s \"list\\n\"; \
                      $s->flush; print <$s>";
        let words = [
            "perl",
            "-MIO::Socket::UNIX",
            "-e",
            script,
            socket.to_str().unwrap(),
        ];
        let refused = other.run(other.command(&words)).ok();
        let shown = refused.shown();
        assert!(shown.contains("its%20own%20user%20and%20root"), "{shown}");
    }
    // Root may.
    assert_eq!(Wire::connect(&owner.root).ask("list").ok().rows.len(), 1);
}
