//! Flags of pm2 that scripts have.

use rpm::model::life::State;

use crate::harness::{Home, has, proc, skip};

/// Whether the process of a program has this assignment in its environment.
fn has_variable(home: &Home, name: &str, assignment: &str) -> bool {
    let all = proc::environment_of_live(home.program(name).pid);
    all.contains(&assignment.as_bytes().to_vec())
}

#[test]
fn flags_about_pm2_itself_are_accepted_and_change_nothing() {
    let home = Home::new();
    let flags = [
        "--no-vizion",
        "--no-pmx",
        "--pmx=false",
        "--no-automation",
        "--trace",
        "--disable-trace",
        "--source-map-support",
        "--disable-source-map-support",
        "--deep-monitoring",
        "--v8",
        "--event-loop-inspector",
        "-x",
        "--execute-command",
    ];
    home.rpm(&["start", "sleep", "--name", "plain", "--", "1000"])
        .ok();
    for (id, flag) in (1..).zip(flags) {
        let name = format!("x{id}");
        let output = home
            .rpm(&["start", "sleep", "--name", &name, flag, "--", "1000"])
            .ok();
        assert_eq!(output.stderr, "", "{flag}");
        assert_eq!(
            proc::arguments(home.program(&name).pid),
            ["sleep", "1000"],
            "{flag}"
        );
        home.rpm(&["restart", &name, flag]).ok();
    }
    home.rpm(&["start", "sleep", "--no-vision"])
        .misused("no flag --no-vision");
}

#[test]
fn instances_that_are_executed_as_commands_are_no_cluster() {
    if !has("node") {
        return skip("node is not installed");
    }
    let home = Home::new();
    home.script("a.js", "setInterval(() => {}, 1000)");
    home.rpm(&["start", "a.js", "-x", "-i", "2"]).ok();
    for row in home.wire().ask("describe target=a").ok().rows {
        assert_ne!(row.text("mode"), Some("cluster"));
    }
}

#[test]
fn without_autostart_a_program_is_added_and_stopped() {
    let home = Home::new();
    let output = home
        .rpm(&["start", "sleep", "--no-autostart", "--", "1000"])
        .ok();
    assert_eq!(output.stdout, "rpm: added sleep (id 0)\n");
    assert_eq!(home.program("sleep").state, State::Stopped);
    home.script(
        "f.json",
        r#"{"name": "file", "script": "sleep", "args": "1000"}"#,
    );
    home.rpm(&["start", "f.json", "--no-autostart"]).ok();
    assert_eq!(home.program("file").state, State::Stopped);
    home.rpm(&["start", "sleep"]).ok();
    assert_eq!(home.program("sleep").state, State::Online);
}

#[test]
fn variables_are_kept_out_of_the_environment() {
    let home = Home::new();
    home.script(
        "f.json",
        r#"{"name": "file", "script": "sleep", "args": "1000"}"#,
    );
    let variables = "AWS_SECRET=1 MY_TOKEN=2 KEPT=3";
    let flags = "--filter-env SECRET --filter-env=TOKEN";
    home.shell(&format!(
        "{variables} $RPM start f.json {flags} && {variables} $RPM start sleep {flags} -- 1000"
    ))
    .ok();
    for name in ["file", "sleep"] {
        assert!(has_variable(&home, name, "KEPT=3"), "{name}");
        assert!(!has_variable(&home, name, "AWS_SECRET=1"), "{name}");
        assert!(!has_variable(&home, name, "MY_TOKEN=2"), "{name}");
    }
    home.shell(&format!(
        "{variables} $RPM restart sleep --update-env --filter-env TOKEN"
    ))
    .ok();
    assert!(
        has_variable(&home, "sleep", "AWS_SECRET=1") && !has_variable(&home, "sleep", "MY_TOKEN=2")
    );
}

#[test]
fn start_gives_the_present_environment_when_asked() {
    let home = Home::new();
    home.script(
        "f.json",
        r#"{"name": "file", "script": "sleep", "args": "1000"}"#,
    );
    home.shell("V=1 $RPM start f.json -a && V=1 $RPM start sleep --update-env -- 1000")
        .ok();
    home.shell("V=2 $RPM start f.json --update-env").ok();
    assert!(has_variable(&home, "file", "V=2"));
    home.shell("V=2 $RPM start sleep").ok();
    assert!(has_variable(&home, "sleep", "V=1"));
    home.shell("V=3 $RPM start sleep --update-env").ok();
    assert!(has_variable(&home, "sleep", "V=3"));
}

#[test]
fn env_without_a_process_file_is_a_warning() {
    let home = Home::new();
    let warning = "--env production has no effect: only a process file has an env_production";
    let output = home
        .rpm(&["start", "sleep", "--env", "production", "--", "1000"])
        .ok();
    assert!(output.stderr.contains(warning), "{}", output.shown());
    let output = home.rpm(&["restart", "all", "--env", "production"]).ok();
    assert!(output.stderr.contains(warning), "{}", output.shown());
    // One who names some of a file's programs does not mean others.
    home.rpm(&["restart", "all", "--only", "x"])
        .misused("--only selects programs of a process file");
}

#[test]
fn dev_names_the_limit_that_keeps_files_from_being_watched() {
    if !has("strace") {
        return skip("strace is not installed");
    }
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    home.script("a.sh", "exec sleep 1000\n");
    for (number, what) in [("1+", "watching files"), ("2+", "following log files")] {
        let trace = format!(
            "strace -f -o /dev/null -e trace=inotify_init1 -e inject=inotify_init1:error=EMFILE:when={number}"
        );
        let output = home.shell(&format!("{trace} $RPM dev a.sh"));
        assert_eq!(output.code, 1, "{}", output.shown());
        let limit = "Too many open files; the limit is in /proc/sys/fs/inotify/max_user_instances";
        assert!(output.stderr.contains(limit), "{what}: {}", output.shown());
        assert!(home.list().is_empty());
    }
}

#[test]
fn the_list_is_sorted_by_a_field() {
    let home = Home::new();
    for name in ["b", "c", "a"] {
        home.start_sleep(name);
    }
    let order = |flag: &str| {
        let text = home.rpm(&["list", flag]).ok().stdout;
        let names = text
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().nth(1));
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(order("--sort=id"), "b c a");
    assert_eq!(order("--sort=name"), "a b c");
    assert_eq!(order("--sort=name:desc"), "c b a");
    home.rpm(&["ls", "--sort", "size"])
        .misused("'size' is not one of id, name, ");
}
