//! `rpm startup` and `rpm unstartup`, as far as no init has to run: tests/boot boots machines.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::run::{Output, write_executable};
use crate::harness::{Home, has, is_root, skip};

/// Platform, file, mode, whether the file is a script that the shell can run alone.
const FILES: [(&str, &str, u32, bool); 6] = [
    (
        "systemd",
        "etc/systemd/system/rpm-app.service",
        0o644,
        false,
    ),
    (
        "systemd-user",
        "home/app/.config/systemd/user/rpm-app.service",
        0o644,
        false,
    ),
    ("openrc", "etc/init.d/rpm-app", 0o755, false),
    ("runit", "etc/sv/rpm-app/run", 0o755, true),
    ("s6", "etc/s6/sv/rpm-app/run", 0o755, true),
    ("sysv", "etc/init.d/rpm-app", 0o755, true),
];

/// Copies of the programs in a folder, and a machine that does not run.
struct Machine {
    home: Home,
    bin: PathBuf,
    root: PathBuf,
}

impl Machine {
    fn new(bin: &str) -> Machine {
        let home = Home::new();
        let bin = home.base.join(bin);
        fs::create_dir(&bin).unwrap();
        for (name, path) in [("rpm", home.client()), ("rpmd", home.daemon())] {
            write_executable(|| fs::copy(path, bin.join(name)));
        }
        let root = home.base.join("root");
        for folder in ["etc/service", "run"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        Machine { home, bin, root }
    }

    fn command(&self, words: &[&str]) -> Command {
        let rpm = self.bin.join("rpm").to_str().unwrap().to_owned();
        let mut command = self.home.command(&[&[rpm.as_str()], words].concat());
        for set in ["RPM_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
            command.env_remove(set);
        }
        command
    }

    fn rpm(&self, words: &[&str]) -> Output {
        self.home.run(self.command(words))
    }

    /// `rpm startup` or another command, below the root folder. Only a user with a name can have a `systemd-user`.
    fn below_root(&self, command: &str, platform: &str) -> Output {
        let root = self.root.to_str().unwrap();
        let user = match platform {
            "systemd-user" => &["--service-name", "rpm-app", "--hp", "/home/app"][..],
            _ => &["-u", "app", "--hp", "/home/app"],
        };
        self.rpm(&[&[command, platform, "--root", root], user].concat())
    }

    fn printed(&self, platform: &str, user: &str, home: &str) -> String {
        let words = ["startup", platform, "--print", "-u", user, "--hp", home];
        self.rpm(&words).ok().stdout
    }
}

/// Every file and link below a folder, with its text or target.
fn tree(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let shown = path.strip_prefix(root).unwrap().display().to_string();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_symlink() {
                found.push(format!(
                    "{shown} -> {}",
                    fs::read_link(path).unwrap().display()
                ));
            } else {
                found.push(format!("{shown}: {}", fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_startup_writes_is_what_it_prints_and_unstartup_removes_it() {
    for (platform, file, mode, _) in FILES {
        let machine = Machine::new("bin");
        let empty = tree(&machine.root);
        let first = machine.below_root("startup", platform).ok();
        let path = machine.root.join(file);
        assert!(
            first.stdout.contains(path.to_str().unwrap()),
            "{}",
            first.shown()
        );
        let written = fs::metadata(&path).unwrap();
        assert_eq!(written.permissions().mode() & 0o7777, mode, "{platform}");

        let printed = match platform {
            "systemd-user" => {
                machine
                    .rpm(&["startup", platform, "--print", "--hp", "/home/app"])
                    .ok()
                    .stdout
            }
            _ => machine.printed(platform, "app", "/home/app"),
        };
        assert_eq!(fs::read_to_string(&path).unwrap(), printed, "{platform}");
        let whole = tree(&machine.root);
        let again = machine.below_root("startup", platform).ok();
        assert!(
            again.stdout.contains("is as it should be"),
            "{}",
            again.shown()
        );
        assert_eq!(tree(&machine.root), whole);

        machine.below_root("unstartup", platform).ok();
        assert_eq!(tree(&machine.root), empty, "{platform}");
        let nothing = machine.below_root("unstartup", platform).ok();
        assert!(
            nothing.stdout.contains("nothing to remove"),
            "{}",
            nothing.shown()
        );
    }
}

#[test]
fn a_machine_that_does_not_run_gets_its_links_and_is_told_its_commands() {
    for (platform, command) in [
        ("systemd", "systemctl enable rpm-app.service"),
        ("openrc", "rc-update add rpm-app default"),
        ("sysv", "update-rc.d rpm-app defaults"),
    ] {
        let machine = Machine::new("bin");
        let output = machine.below_root("startup", platform).ok();
        assert_eq!(
            output.stderr,
            format!("rpm: left to run there: {command}\n")
        );
        assert!(
            output.stdout.contains("from the next boot on"),
            "{}",
            output.shown()
        );
    }
    for (platform, target) in [("runit", "/etc/sv/rpm-app"), ("s6", "/etc/s6/sv/rpm-app")] {
        let machine = Machine::new("bin");
        machine.below_root("startup", platform).ok();
        let link = fs::read_link(machine.root.join("etc/service/rpm-app")).unwrap();
        assert_eq!(link.to_str(), Some(target));
    }
}

#[test]
fn another_file_of_ours_is_replaced_and_anything_else_is_left_alone() {
    for (platform, file, _, _) in FILES {
        let machine = Machine::new("bin");
        machine.below_root("startup", platform).ok();
        let path = machine.root.join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(
            &path,
            text.replace("standby", "elsewise")
                .replace("TERM/600", "TERM/5"),
        )
        .unwrap();
        let anew = machine.below_root("startup", platform).ok();
        assert!(anew.stdout.contains("is rewritten"), "{}", anew.shown());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);

        let bare: String = text
            .lines()
            .filter(|line| !line.starts_with("# Written"))
            .collect();
        fs::write(&path, bare).unwrap();
        let before = tree(&machine.root);
        for command in ["startup", "unstartup"] {
            let refused = machine.below_root(command, platform);
            refused.fails(&["did not write it", path.to_str().unwrap(), "--service-name"]);
        }
        assert_eq!(tree(&machine.root), before);

        // As systemctl mask leaves it.
        fs::remove_file(&path).unwrap();
        symlink("/dev/null", &path).unwrap();
        machine
            .below_root("startup", platform)
            .fails(&["did not write it"]);
        assert!(path.is_symlink());
    }
}

#[test]
fn a_link_of_somebody_else_or_out_of_the_folder_is_not_followed() {
    for platform in ["runit", "s6"] {
        let machine = Machine::new("bin");
        let taken = machine.root.join("etc/service/rpm-app");
        fs::create_dir(&taken).unwrap();
        machine
            .below_root("startup", platform)
            .fails(&["did not write it"]);
        fs::remove_dir(&taken).unwrap();

        fs::remove_dir(machine.root.join("etc/service")).unwrap();
        let outside = machine.home.base.join("outside");
        fs::create_dir(&outside).unwrap();
        symlink(&outside, machine.root.join("etc/service")).unwrap();
        let nowhere = machine.below_root("startup", platform);
        nowhere.fails(&[platform, "scans none of", "/etc/service"]);
        assert!(fs::read_dir(&outside).unwrap().next().is_none());
        assert!(
            tree(&machine.root)
                .iter()
                .all(|file| !file.contains("rpm-app"))
        );
    }
}

/// Paths that break a file in which they are not quoted.
const ODD_BIN: &str = "my 100%h $(touch x) ${HOME} `id` ; é";
const ODD: &str = "it's \"100%h\" $(touch x) \\n ${HOME} `id` ; é";

#[test]
fn an_odd_path_is_what_the_shell_gets() {
    let machine = Machine::new(ODD_BIN);
    let odd_home = format!("/home/{ODD}");
    let daemon = machine.bin.join("rpmd").to_str().unwrap().to_owned();
    let (rpm_home, script) = (format!("{odd_home}/.rpm"), machine.home.base.join("script"));
    // What the scripts would execute tells what it is told.
    let tools = machine.home.base.join("tools");
    fs::create_dir(&tools).unwrap();
    for tool in ["chpst", "s6-setuidgid", "start-stop-daemon"] {
        let path = tools.join(tool);
        fs::write(&path, "#!/bin/sh\nprintf '%s\\n' \"$RPM_HOME\" \"$@\"\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let run = |words: &[&str]| {
        let mut command = machine.home.command(words);
        command.env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
        let said = machine.home.run(command).ok().stdout;
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let groups = if has("id") {
        "nobody:nogroup"
    } else {
        "nobody:"
    };
    for (platform, expected) in [
        (
            "runit",
            &[
                &rpm_home,
                "-u",
                groups,
                &daemon,
                "--foreground",
                "--standby",
            ][..],
        ),
        (
            "s6",
            &[&rpm_home, "nobody", &daemon, "--foreground", "--standby"],
        ),
    ] {
        fs::write(&script, machine.printed(platform, "nobody", &odd_home)).unwrap();
        assert_eq!(
            run(&["sh", script.to_str().unwrap()]),
            expected,
            "{platform}"
        );
    }
    fs::write(&script, machine.printed("sysv", "nobody", &odd_home)).unwrap();
    let said = run(&["sh", script.to_str().unwrap(), "start"]);
    assert!(
        said.contains(&rpm_home) && said.contains(&daemon),
        "{said:#?}"
    );
    assert!(said.contains(&format!("{rpm_home}/rpmd.pid")), "{said:#?}");

    // OpenRC reads the file, and evaluates its variables once more.
    fs::write(&script, machine.printed("openrc", "nobody", &odd_home)).unwrap();
    let evaluated = ". ./script; eval \"set -- $command_user $command -- $command_args\"; printf '%s\\n' \"$RPM_HOME\" \"$@\"";
    let expected = [
        &rpm_home,
        "nobody",
        &daemon,
        "--",
        "--foreground",
        "--standby",
    ];
    assert_eq!(run(&["sh", "-c", evaluated]), expected);
    assert!(!machine.home.base.join("x").exists());
}

#[test]
fn systemd_finds_nothing_wrong_with_its_units() {
    if !has("systemd-analyze") {
        return skip("systemd-analyze is not installed");
    }
    for (bin, home) in [("bin", "app"), (ODD_BIN, ODD)] {
        let machine = Machine::new(bin);
        let home = format!("/home/{home}");
        for (platform, manager) in [("systemd", "--system"), ("systemd-user", "--user")] {
            let text = match platform {
                "systemd-user" => {
                    machine
                        .rpm(&["startup", platform, "--print", "--hp", &home])
                        .ok()
                        .stdout
                }
                _ => machine.printed(platform, "root", &home),
            };
            let unit = machine.home.base.join("rpm-test.service");
            fs::write(&unit, text).unwrap();
            let words = ["systemd-analyze", manager, "verify", unit.to_str().unwrap()];
            let mut command = machine.home.command(&words);
            command.env("XDG_RUNTIME_DIR", &machine.home.base);
            let output = machine.home.run(command).ok();
            assert_eq!(output.stderr, "", "{platform} {bin}");
        }
    }
}

#[test]
fn the_scripts_are_scripts() {
    let linted = has("shellcheck");
    for bin in ["bin", "my programs"] {
        let machine = Machine::new(bin);
        for (platform, _, _, alone) in FILES.into_iter().filter(|row| row.2 == 0o755) {
            let script = machine.home.base.join(platform);
            fs::write(
                &script,
                machine.printed(platform, "nobody", &format!("/home/{bin}")),
            )
            .unwrap();
            let script = script.to_str().unwrap();
            machine
                .home
                .run(machine.home.command(&["sh", "-n", script]))
                .ok();
            // OpenRC reads variables that the script only sets.
            let shellcheck = match alone {
                true => &["shellcheck", script][..],
                false => &["shellcheck", "--shell=sh", "--exclude=SC2034", script],
            };
            if linted {
                machine.home.run(machine.home.command(shellcheck)).ok();
            }
        }
    }
    if !linted {
        skip("shellcheck is not installed");
    }
}

#[test]
fn without_root_the_line_for_sudo_is_printed_and_nothing_done() {
    if !is_root() {
        return skip("only root can become another user");
    }
    let home = Home::of_another_user();
    let nameless = home.rpm(&["startup", "systemd"]);
    nameless.fails(&["/etc/passwd has no name for user", "--user"]);
    let words = [
        "systemd",
        "--user",
        "app",
        "--hp",
        "/home/my app",
        "--service-name",
        "web",
    ];
    let output = home.rpm(&[&["startup"], &words[..]].concat());
    assert_eq!(output.code, 1, "{}", output.shown());
    let client = fs::canonicalize(home.client()).unwrap();
    let line = format!(
        "sudo {} startup systemd -u app --hp '/home/my app' --service-name web\n",
        client.display()
    );
    assert_eq!(output.stdout, line);
    assert!(
        output
            .stderr
            .contains("belongs to root; nothing is done yet"),
        "{}",
        output.shown()
    );
    let printed = home
        .rpm(&[&["startup", "--print"], &words[..]].concat())
        .ok();
    assert!(printed.stdout.contains("User=app\n"), "{}", printed.shown());
    let silent = home.rpm(&[&["startup", "--silent"], &words[..]].concat());
    assert_eq!((silent.stdout, silent.stderr), (line, String::new()));
}

#[test]
fn what_cannot_be_is_a_sentence() {
    let machine = Machine::new("bin");
    for (words, parts) in [
        (
            &["upstart"][..],
            &["unknown platform upstart", "systemd, openrc"][..],
        ),
        (
            &["runit", "-u", "no-such-user"],
            &["/etc/passwd has no user no-such-user", "--hp"],
        ),
        (
            &["runit", "-u", "a b", "--hp", "/h"],
            &["'a b' is not a name for a user"],
        ),
        (
            &["runit", "--service-name", "../x"],
            &["'../x' is not a name for a service"],
        ),
        (
            &["runit", "--hp", "/a\nb"],
            &["RPM_HOME is '/a?b/.rpm'", "control characters"],
        ),
        (
            &["systemd-user", "-u", "nobody"],
            &["serves only you", "run this as nobody"],
        ),
    ] {
        machine
            .rpm(&[&["startup", "--print"], words].concat())
            .fails(parts);
    }
    let root = machine.root.to_str().unwrap();
    machine
        .rpm(&["startup", "--root", root])
        .fails(&["no init that rpm knows runs here", "rpmd --foreground"]);
    fs::create_dir_all(machine.root.join("run/systemd/system")).unwrap();
    machine.rpm(&["startup", "--root", root]).ok();
    assert!(
        machine.root.join("etc/systemd/system").is_dir(),
        "found by its folder"
    );
}
