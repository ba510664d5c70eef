//! Programs that are managed already: by which words pm2's users name them, and what a restart changes.

use std::fs;

use rpm::model::life::State;

use crate::harness::{Home, proc};

/// Writes a file into the test's folder, in folders that are made for it.
fn write(home: &Home, name: &str, text: &str) {
    let path = home.base.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
}

/// A value of the one row that describes a program.
fn described(home: &Home, name: &str, key: &str) -> Option<String> {
    let row = home.wire().ask(&format!("describe target={name}")).ok();
    row.rows[0].text(key).map(str::to_owned)
}

#[test]
fn a_script_of_the_working_directory_names_its_programs() {
    let home = Home::new();
    write(&home, "app.sh", "echo up; exec sleep 1000\n");
    write(&home, "sub/app.sh", "exec sleep 1000\n");
    home.rpm(&["start", "app.sh", "--name", "one"]).ok();
    home.rpm(&["start", "app.sh", "--name", "two"]).ok();
    home.rpm(&["start", "sub/app.sh", "--name", "other"]).ok();
    home.start_sleep("app.sh.x");
    home.wait_for_log("one-out.log", "up\n");
    home.wait_for_log("two-out.log", "up\n");
    let states = || home.list().iter().map(|p| p.state).collect::<Vec<_>>();
    home.rpm(&["stop", "app.sh"]).ok();
    use State::{Online, Stopped};
    assert_eq!(states(), [Stopped, Stopped, Online, Online]);
    home.rpm(&["restart", "./app.sh"]).ok();
    home.wait_for_log("one-out.log", "up\nup\n");
    home.wait_for_log("two-out.log", "up\nup\n");
    home.shell(
        "cd sub; $RPM stop app.sh && $RPM describe $OLDPWD/app.sh && $RPM pid ../app.sh || exit 0",
    )
    .ok();
    assert_eq!(states(), [Online, Online, Stopped, Online]);
    home.rpm(&["stop", "app.sh.x"]).ok();
    home.rpm(&["stop", "nothing.sh"])
        .fails(&["no program, id or namespace is called nothing.sh"]);
    let followed = home.shell("$RPM logs app.sh --nostream").ok();
    assert_eq!(
        followed.stdout,
        "0|one | up\n0|one | up\n1|two | up\n1|two | up\n",
        "{}",
        followed.shown()
    );
    home.rpm(&["delete", "app.sh"]).ok();
    assert_eq!(home.list().len(), 2);
}

#[test]
fn a_stopped_script_that_is_started_again_is_the_same_program() {
    let home = Home::new();
    write(&home, "app.sh", "echo \"<$*>\"; exec sleep 1000\n");
    home.rpm(&["start", "app.sh", "--", "a"]).ok();
    home.wait_for_log("app-out.log", "<a>\n");
    home.rpm(&["start", "app.sh"])
        .fails(&["app is managed already"]);
    home.rpm(&["stop", "app"]).ok();
    let output = home.rpm(&["start", "./app.sh"]).ok();
    assert!(
        output.stdout.starts_with("rpm: started app (id 0, pid "),
        "{}",
        output.shown()
    );
    home.wait_for_log("app-out.log", "<a>\n<a>\n");
    home.rpm(&["stop", "app"]).ok();
    home.rpm(&["start", "app.sh", "--kill-timeout", "5s", "--", "b"])
        .ok();
    home.wait_for_log("app-out.log", "<b>\n");
    assert_eq!(
        described(&home, "app", "kill_timeout").as_deref(),
        Some("5000")
    );
    // Another script of this name is another program.
    home.rpm(&["stop", "app"]).ok();
    write(&home, "sub/app.sh", "exec sleep 1000\n");
    home.rpm(&["start", "sub/app.sh"])
        .fails(&["app is managed already"]);
    home.rpm(&["start", "app.sh", "-i", "2"])
        .fails(&["app is managed already"]);
}

#[test]
fn a_restart_takes_settings_and_arguments() {
    let home = Home::new();
    write(&home, "app.sh", "echo \"<$*>\"; exec sleep 1000\n");
    home.shell("V=1 $RPM start app.sh --kill-timeout 3s -- a b")
        .ok();
    home.rpm(&[
        "start",
        "echo \"($1)\"; sleep 1000",
        "--name",
        "shell",
        "--",
        "x",
    ])
    .ok();
    home.wait_for_log("app-out.log", "<a b>\n");
    home.wait_for_log("shell-out.log", "(x)\n");
    home.shell("V=2 $RPM restart app --max-restarts 3 -- c all")
        .ok();
    home.wait_for_log("app-out.log", "<a b>\n<c all>\n");
    assert_eq!(
        described(&home, "app", "max_restarts").as_deref(),
        Some("3")
    );
    assert_eq!(
        described(&home, "app", "kill_timeout").as_deref(),
        Some("3000")
    );
    assert_eq!(home.program("shell").restarts, 0, "'all' is an argument");
    let has_variable = |text: &str| home.rpm(&["env", "app"]).ok().stdout.contains(text);
    assert!(has_variable("\nV=1\n"));
    home.shell("V=2 $RPM restart app --update-env --no-autorestart")
        .ok();
    home.wait_for_log("app-out.log", "<c all>\n<c all>\n");
    assert!(has_variable("\nV=2\n"));
    home.rpm(&["restart", "shell", "--", "y"]).ok();
    home.wait_for_log("shell-out.log", "(x)\n(y)\n");
    home.rpm(&["start", "shell", "--kill-timeout", "2s"]).ok();
    assert_eq!(
        described(&home, "shell", "kill_timeout").as_deref(),
        Some("2000")
    );
    for flag in ["--name=x", "--namespace=x", "--instances=2"] {
        home.rpm(&["restart", "app", flag])
            .misused("a restart does not change --");
    }
    home.rpm(&["restart", "app", "--exec-mode", "cluster"])
        .fails(&["cluster mode is for Node scripts"]);
    assert_eq!(home.program("app").state, State::Online);
}

#[test]
fn a_program_finds_its_name_and_id_where_pm2_has_them() {
    let home = Home::new();
    home.start_sleep("api");
    let all = proc::environment_of_live(home.program("api").pid);
    for assignment in ["name=api", "pm_id=0", "NODE_APP_INSTANCE=0"] {
        assert!(
            all.contains(&assignment.as_bytes().to_vec()),
            "{assignment}"
        );
    }
}
