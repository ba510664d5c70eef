//! `rpm start`: what runs, and under which name.

use rpm::model::life::State;

use crate::harness::{Home, app, has, proc, skip, wait_until};

/// Starts a program that prints its arguments, and gives what it printed.
fn words_of(home: &Home, file: &str, words: &[&str]) -> Vec<u8> {
    let flags = ["start", file, "--name", "words", "--no-autorestart", "--"];
    home.rpm(&[&flags, words].concat()).ok();
    home.wait_for_state("words", State::Stopped);
    home.rpm(&["delete", "words"]).ok();
    home.log("words-out.log")
}

#[test]
fn arguments_after_the_dashes_reach_the_program_as_they_are() {
    let home = Home::new();
    let words = ["a b", "", "-x", "--", "line\nline", "ü'\"$HOME%\\", " "];
    let printed = words.map(|word| format!("{word}\0")).concat();
    assert_eq!(
        words_of(&home, &app("words.sh"), &words),
        printed.as_bytes()
    );
}

#[test]
fn a_script_of_python_is_run_by_python() {
    if !has("python3") {
        return skip("python3 is not installed");
    }
    let home = Home::new();
    assert_eq!(words_of(&home, &app("words.py"), &["a b", ""]), b"a b\0\0");
}

#[test]
fn a_script_of_javascript_is_run_by_node() {
    if !has("node") {
        return skip("node is not installed");
    }
    let home = Home::new();
    assert_eq!(words_of(&home, &app("words.js"), &["a b", ""]), b"a b\0\0");
}

#[test]
fn a_script_needs_no_x_bit_when_its_ending_names_an_interpreter() {
    let home = Home::new();
    home.shell("echo 'sleep 1000' > plain.sh; chmod 600 plain.sh; $RPM start plain.sh")
        .ok();
    assert_eq!(home.program("plain").state, State::Online);
}

#[test]
fn a_file_of_no_known_ending_is_executed_as_it_is() {
    let home = Home::new();
    let file = home.script("tool", "#!/bin/sh\nexec sleep 1000\n");
    home.rpm(&["start", "./tool"]).ok();
    let program = home.program("tool");
    assert_eq!(program.state, State::Online);
    let described = home.wire().ask("describe").ok();
    assert_eq!(described.rows[0].text("script"), Some(file.as_str()));
}

#[test]
fn a_word_with_a_space_is_a_shell_command() {
    let home = Home::new();
    home.rpm(&["start", "sleep 1000"]).ok();
    let program = home.program("sleep 1000");
    assert_eq!(program.state, State::Online);
    let words = proc::arguments(program.pid);
    assert!(
        words.ends_with(&["-c".to_owned(), "sleep 1000".to_owned()]) || words == ["sleep", "1000"]
    );
}

#[test]
fn a_word_is_looked_up_in_path() {
    let home = Home::new();
    let output = home.rpm(&["start", "sleep", "--", "1000"]).ok();
    let program = home.program("sleep");
    assert_eq!(proc::arguments(program.pid), ["sleep", "1000"]);
    let news = format!("started sleep (id 0, pid {})", program.pid);
    assert!(output.stdout.contains(&news), "{}", output.shown());
}

#[test]
fn the_path_is_that_of_the_person_not_of_the_daemon() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    home.script("my-own-tool", "#!/bin/sh\nexec sleep 1000\n");
    home.rpm(&["start", "my-own-tool", "--name", "x"]).ok();
    home.rpm(&["delete", "all"]).ok();
    home.rpm(&["start", "my-own-tool-2"])
        .fails(&["not found in PATH"]);
    home.shell(
        "mkdir -p b; mv my-own-tool b/my-own-tool-2; PATH=$PWD/b:$PATH $RPM start my-own-tool-2",
    )
    .ok();
    assert_eq!(home.program("my-own-tool-2").state, State::Online);
}

#[test]
fn several_instances_have_numbers_and_log_files_of_their_own() {
    let home = Home::new();
    let file = home.script(
        "pair.sh",
        "echo $RPM_ID.$NODE_APP_INSTANCE\nexec sleep 1000\n",
    );
    home.rpm(&["start", &file, "-i", "2"]).ok();
    let list = home.list();
    assert_eq!(list.len(), 2);
    for (id, program) in list.iter().enumerate() {
        assert_eq!(
            (program.name.as_str(), program.state),
            ("pair", State::Online)
        );
        assert_eq!((program.id as usize, program.instance as usize), (id, id));
        let printed = home.wait_for_log(&format!("pair-out-{id}.log"), "\n");
        assert_eq!(printed, format!("{id}.{id}\n"));
    }
    home.rpm(&["stop", "pair"]).ok();
    assert!(home.list().iter().all(|p| p.state == State::Stopped));
}

#[test]
fn one_command_starts_several_scripts() {
    let home = Home::new();
    let one = home.script("one.sh", "exec sleep 1000\n");
    let two = home.script("two.sh", "exec sleep 1000\n");
    home.rpm(&["start", &one, &two]).ok();
    assert_eq!(home.program("one").state, State::Online);
    assert_eq!(home.program("two").state, State::Online);
}

#[test]
fn of_several_scripts_one_that_fails_does_not_hold_up_the_others() {
    let home = Home::new();
    let good = home.script("good.sh", "exec sleep 1000\n");
    home.rpm(&["start", "./missing", &good])
        .fails(&["missing: No such file or directory"]);
    let names: Vec<_> = home.list().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["good"]);
}

#[test]
fn a_name_that_is_managed_already_is_refused_unless_forced() {
    let home = Home::new();
    let first = home.start("app", "exec sleep 1000\n", &[]);
    home.rpm(&["start", "./app.sh"])
        .fails(&["app is managed already", "id 0", "-f"]);
    assert_eq!(home.program("app"), first);
    home.rpm(&["start", "./app.sh", "-f"]).ok();
    let list = home.list();
    assert_eq!(list.len(), 2);
    assert_eq!(
        (list[0].id, list[1].id, list[1].name.as_str()),
        (0, 1, "app")
    );
    assert_eq!(list[0], first);
}

#[test]
fn a_managed_name_or_id_is_started_again() {
    let home = Home::new();
    let first = home.start("app", "exec sleep 1000\n", &[]);
    home.rpm(&["stop", "app"]).ok();
    let output = home.rpm(&["start", "app"]).ok();
    assert!(output.stdout.contains("started app"), "{}", output.shown());
    let second = home.program("app");
    assert_eq!((second.id, second.state), (first.id, State::Online));
    assert_ne!(second.pid, first.pid);
    let output = home.rpm(&["start", "0"]).ok();
    assert!(
        output.stdout.contains("restarted app"),
        "{}",
        output.shown()
    );
    assert_ne!(home.program("app").pid, second.pid);
    assert_eq!(home.list().len(), 1);
}

#[test]
fn a_name_may_be_anything_and_still_names_files() {
    let home = Home::new();
    let name = "../../a b\t%ü";
    let file = home.script("x.sh", "echo x; echo x >&2; exec sleep 1000\n");
    home.rpm(&["start", &file, "--name", name]).ok();
    assert_eq!(home.program(name).state, State::Online);
    home.rpm(&["restart", name]).ok();
    let files = ["error", "out"].map(|word| format!("%2E.%2F..%2Fa%20b%09%25ü-{word}.log"));
    wait_until("both log files", || home.entries("logs") == files);
    let shown = home.rpm(&["list"]).ok().stdout;
    assert!(shown.contains("a b?%ü"), "{shown}");
    home.rpm(&["delete", name]).ok();
    assert!(home.list().is_empty());
}

#[test]
fn restart_gives_the_present_environment_only_when_asked() {
    let home = Home::new();
    let shows = "echo \"it is $COLOUR\"\nexec sleep 1000\n";
    home.script("env.sh", shows);
    home.shell("COLOUR=red $RPM start ./env.sh").ok();
    home.wait_for_log("env-out.log", "it is red\n");
    home.shell("COLOUR=blue $RPM restart env").ok();
    home.wait_for_log("env-out.log", "it is red\nit is red\n");
    home.shell("COLOUR=blue $RPM restart env --update-env").ok();
    home.wait_for_log("env-out.log", "it is red\nit is red\nit is blue\n");
}
