//! What programs are told about their log files: it is kept, shown, saved, and comes back. And what is told of output
//! that could not be written to them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::JoinHandle;

use rpm::protocol::line::Line;
use rpm::protocol::{RELEASE, VERSION};

use crate::harness::{Home, wait_until};

/// The settings of log files.
const SETTINGS: [&str; 10] = [
    "out_file",
    "error_file",
    "log_file",
    "time",
    "log_date_format",
    "log_type",
    "log_max_size",
    "log_max_files",
    "disable_logs",
    "merge_logs",
];

/// Flags that give each of them another value than it has by default.
const FLAGS: [&str; 17] = [
    "-o",
    "o.log",
    "-e",
    "e.log",
    "--log",
    "l/b.log",
    "--time",
    "--log-date-format",
    "[it is] HH:mm %",
    "--log-type",
    "json",
    "--log-max-size",
    "1.5M",
    "--log-max-files",
    "0",
    "--disable-logs",
    "--merge-logs",
];

/// What the daemon tells of a program.
#[track_caller]
fn row(home: &Home, name: &str) -> Line {
    let request = format!("describe target={name}");
    home.wire().ask(&request).ok().rows.remove(0)
}

/// The settings of the log files of a program, as far as they differ from the default.
#[track_caller]
fn settings(home: &Home, name: &str) -> Vec<(String, String)> {
    let row = row(home, name);
    let own = SETTINGS.iter().filter_map(|key| row.text(key));
    let keys = SETTINGS.iter().filter(|key| row.text(key).is_some());
    keys.map(|key| (*key).to_owned())
        .zip(own.map(str::to_owned))
        .collect()
}

/// The log files of a program: of standard output, of standard error, of both. Empty where there is none.
#[track_caller]
fn files(home: &Home, name: &str) -> [String; 3] {
    let row = row(home, name);
    ["out_path", "error_path", "log_path"].map(|key| row.text(key).unwrap_or_default().to_owned())
}

fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn log_files_are_those_of_the_folder_in_which_the_command_is_given() {
    let home = Home::new();
    fs::create_dir(home.base.join("here")).unwrap();
    home.shell("cd here; $RPM start sleep --cwd / -o o.log -e ../e.log -l l/b.log -- 1000")
        .ok();
    let here = shown(&home.base.join("here"));
    assert_eq!(
        files(&home, "sleep"),
        [
            format!("{here}/o.log"),
            format!("{here}/../e.log"),
            format!("{here}/l/b.log")
        ]
    );
    let text = home.rpm(&["describe", "sleep"]).ok().stdout;
    let line = |key: &str| text.lines().find(|line| line.starts_with(key));
    assert!(line("log file ").unwrap().ends_with("/here/l/b.log"));
    assert!(line("error log ").unwrap().ends_with("/e.log"));
    home.rpm(&["start", "sleep", "--name", "plain", "--", "1000"])
        .ok();
    let text = home.rpm(&["describe", "plain"]).ok().stdout;
    assert!(!text.contains("log file") && !text.contains("lost output"));
}

#[test]
fn three_words_mean_no_file() {
    let home = Home::new();
    for (name, word) in [("x", "NULL"), ("y", "null"), ("z", "/dev/null")] {
        let told = "echo out; echo err >&2; exec sleep 1000";
        home.start(name, told, &["-o", word, "-l", word]);
        home.wait_for_log(&format!("{name}-error.log"), "err\n");
    }
    home.script(
        "f.json",
        r#"[{"name": "a", "script": "sleep", "args": "1000", "out": "NULL", "err": "null", "log": "/dev/null"},
            {"name": "b", "script": "sleep", "args": "1000", "disable_logs": true, "log_file": "b.log"}]"#,
    );
    home.rpm(&["start", "f.json"]).ok();
    for name in ["a", "b"] {
        assert_eq!(files(&home, name), [""; 3], "{name}");
    }
    let logs = home.entries("logs");
    assert_eq!(logs, ["x-error.log", "y-error.log", "z-error.log"]);
    assert!(!home.base.join("b.log").exists() && !home.base.join("null").exists());
}

#[test]
fn log_files_of_a_process_file_are_beside_it() {
    let home = Home::new();
    fs::create_dir(home.base.join("sub")).unwrap();
    home.script(
        "f.json",
        r#"[{"name": "a", "script": "sleep", "args": "1000", "output": "l/o.log", "log": "~/b.log"},
            {"name": "b", "script": "sleep", "args": "1000", "cwd": "sub", "error_file": "e.log", "logFile": "b.log"},
            {"name": "c", "script": "sleep", "args": "1000", "log_file": true}]"#,
    );
    home.shell("export HOME=$PWD/me; cd /; $RPM start $OLDPWD/f.json")
        .ok();
    let base = shown(&home.base);
    let own = |file: &str| shown(&home.log_path(file));
    let expected = [
        [
            format!("{base}/l/o.log"),
            own("a-error.log"),
            format!("{base}/me/b.log"),
        ],
        [
            own("b-out.log"),
            format!("{base}/sub/e.log"),
            format!("{base}/sub/b.log"),
        ],
        [own("c-out.log"), own("c-error.log"), own("c.log")],
    ];
    for (name, expected) in ["a", "b", "c"].into_iter().zip(expected) {
        assert_eq!(files(&home, name), expected, "{name}");
    }
    fs::create_dir(home.base.join("folder")).unwrap();
    home.rpm(&["start", "sleep", "--name", "d", "-l", "folder"])
        .fails(&["writing output to ", "/folder: it is a folder"]);
}

#[test]
fn all_that_is_said_of_log_files_is_saved_and_comes_back() {
    let home = Home::new();
    home.start("full", "exec sleep 1000", &FLAGS);
    home.start("off", "exec sleep 1000", &["--log-max-size", "0"]);
    let before = ["full", "off"].map(|name| settings(&home, name));
    assert_eq!(before[0].len(), SETTINGS.len(), "{:?}", before[0]);
    assert_eq!(before[1], [("log_max_size".to_owned(), "0".to_owned())]);
    home.rpm(&["save"]).ok();
    let saved = fs::read_to_string(home.root.join("dump.json")).unwrap();
    for part in [
        r#""time": true"#,
        r#""log_date_format": "[it is] HH:mm %""#,
        r#""log_type": "json""#,
        r#""log_max_size": 1572864"#,
        r#""log_max_files": 0"#,
        r#""disable_logs": true"#,
    ] {
        assert!(saved.contains(part), "{part} is not in {saved}");
    }
    home.rpm(&["kill"]).ok();
    home.rpm(&["resurrect"]).ok();
    assert_eq!(["full", "off"].map(|name| settings(&home, name)), before);
    // The daemon's own records hold it as well.
    home.kill_daemons();
    home.rpm(&["list"]).ok();
    assert_eq!(["full", "off"].map(|name| settings(&home, name)), before);
}

#[test]
fn all_that_is_said_of_log_files_is_written_by_start() {
    let home = Home::new();
    home.start("a", "exec sleep 1000", &[&FLAGS[..], &["--write"]].concat());
    let before = settings(&home, "a");
    assert_eq!(before.len(), SETTINGS.len(), "{before:?}");
    home.rpm(&["delete", "a"]).ok();
    home.rpm(&["start", "a.config.json"]).ok();
    assert_eq!(settings(&home, "a"), before);
    // And one flag beside the file counts more than it.
    home.rpm(&["start", "a.config.json", "--log-type", "raw", "--no-time"])
        .ok();
    let changed = settings(&home, "a");
    let gone: Vec<_> = before.iter().filter(|s| !changed.contains(s)).collect();
    let keys: Vec<_> = gone.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["time", "log_type"]);
}

#[test]
fn what_pm2_was_told_about_log_files_is_resurrected() {
    let home = Home::new();
    let script = home.script("a.sh", "exec sleep 1000");
    let all = shown(&home.base.join("all.log"));
    let common = format!(
        r#""name": "a", "pm_exec_path": "{script}", "exec_interpreter": "bash", "status": "online",
           "env": {{ "PATH": "/usr/bin:/bin" }}, "pm_out_log_path": "/dev/null"#
    );
    let list = format!(
        r#"[{{ {common}", "pm_err_log_path": "/u/.pm2/logs/a-error-0.log", "pm_log_path": "{all}", "time": true,
               "log_date_format": "YYYY-MM-DDTHH:mm:ss", "log_type": "json", "merge_logs": true }},
            {{ {common}", "name": "b", "pm_err_log_path": "/dev/null", "pm_log_path": "/u/.pm2/logs/b-7.log" }},
            {{ {common}", "name": "c", "disable_logs": true }}]"#
    );
    home.script("dump.pm2", &list);
    let output = home.rpm(&["resurrect", "dump.pm2"]).ok();
    assert!(!output.stderr.contains("left out"), "{}", output.shown());
    let own = |file: &str| shown(&home.log_path(file));
    assert_eq!(files(&home, "a"), ["".to_owned(), own("a-error.log"), all]);
    assert_eq!(
        files(&home, "b"),
        ["".to_owned(), "".to_owned(), own("b.log")]
    );
    assert_eq!(files(&home, "c"), [""; 3]);
    let row = row(&home, "a");
    for (key, value) in [
        ("time", "true"),
        ("log_type", "json"),
        ("log_date_format", "YYYY-MM-DDTHH:mm:ss"),
        ("merge_logs", "true"),
    ] {
        assert_eq!(row.text(key), Some(value), "{key}");
    }
}

#[test]
fn the_json_list_has_a_path_of_both_streams_only_where_there_is_one() {
    let home = Home::new();
    home.start_sleep("plain");
    assert!(!home.rpm(&["jlist"]).ok().stdout.contains("pm_log_path"));
    home.rpm(&["start", "sleep", "--name", "both", "-l", "b.log", "--time"])
        .ok();
    let text = home.rpm(&["jlist", "both"]).ok().stdout;
    let path = shown(&home.base.join("b.log"));
    for part in [
        &format!(r#""pm_log_path":"{path}""#),
        r#""time":true"#,
        r#""log_max_size":33554432"#,
        r#""log_type":"raw""#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("lost_output"), "{text}");
}

#[test]
fn logrotate_answers_when_it_is_done_and_nothing_is_lost() {
    let home = Home::new();
    assert_eq!(home.rpm(&["logrotate"]).ok().stdout, "");
    for name in ["a", "b"] {
        home.start(name, "echo first; exec sleep 1000", &[]);
        home.wait_for_log(&format!("{name}-out.log"), "first\n");
    }
    let one = home.rpm(&["logrotate", "a"]).ok().stdout;
    assert!(
        one.starts_with("rpm: rotated the logs of a (id 0, pid "),
        "{one}"
    );
    assert_eq!(one.matches("rpm: ").count(), 1, "{one}");
    let all = home.rpm(&["logrotate"]).ok().stdout;
    assert_eq!(all.matches("rpm: rotated the logs of ").count(), 2, "{all}");
    home.rpm(&["logrotate", "nobody"])
        .fails(&["no program, id or namespace is called nobody"]);
    let rows = home.wire().ask("rotate target=b").ok().rows;
    assert_eq!(rows[0].text("name"), Some("b"));
    home.rpm(&["restart", "a"]).ok();
    wait_until("both lines in all files together", || {
        let mut names = home.entries("logs");
        names.retain(|name| name.starts_with("a-out.log"));
        let lines = names.iter().map(|name| home.log(name));
        lines.collect::<Vec<_>>().concat() == b"first\nfirst\n"
    });
}

/// Answers clients in the place of a daemon, with one row to each question.
struct Double {
    socket: std::path::PathBuf,
    served: Option<JoinHandle<()>>,
}

impl Double {
    fn serve(home: &Home, row: &str) -> Double {
        let socket = home.root.join("rpmd.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let row = format!("{row}\nok count=1\n");
        let served = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let questions = BufReader::new(stream.try_clone().unwrap());
                for question in questions.lines().map_while(Result::ok) {
                    if question == "enough" {
                        return;
                    }
                    let hello = format!("ok pid=1 version={RELEASE} protocol={VERSION}\n");
                    let answer = if question.starts_with("hello") {
                        &hello
                    } else {
                        &row
                    };
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        Double {
            socket,
            served: Some(served),
        }
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        let mut stream = std::os::unix::net::UnixStream::connect(&self.socket).unwrap();
        let _ = stream.write_all(b"enough\n");
        let _ = self.served.take().map(JoinHandle::join);
        let _ = fs::remove_file(&self.socket);
    }
}

#[test]
fn output_that_could_not_be_written_is_told_of() {
    let home = Home::new();
    home.start_sleep("api");
    let row = row(&home, "api").to_bytes();
    let row = String::from_utf8(row).unwrap().trim_end().to_owned();
    home.rpm(&["kill"]).ok();
    let sentence = "rpm: output of api (id 0) could not be written to its log files: 12.3mb; see rpm describe 0\n";
    {
        let _double = Double::serve(&home, &format!("{row} lost=12900000"));
        let list = home.rpm(&["list"]).ok();
        assert_eq!(list.stderr, sentence);
        assert!(list.stdout.contains(" api ") && !list.stdout.contains("lost"));
        let described = home.rpm(&["describe", "api"]).ok().stdout;
        let line = described
            .lines()
            .find(|line| line.starts_with("lost output "));
        assert!(line.unwrap().ends_with("  12.3mb in all"), "{described}");
        for words in [&["jlist"][..], &["list", "--json"]] {
            let text = home.rpm(words).ok().stdout;
            assert!(
                text.contains(r#"},"lost_output":12900000,"pm2_env":{"#),
                "{text}"
            );
        }
        let metrics = home.rpm(&["metrics"]).ok().stdout;
        let metric = "rpm_program_lost_output_bytes_total{id=\"0\",name=\"api\",";
        let line = metrics.lines().find(|line| line.starts_with(metric));
        assert!(line.unwrap().ends_with(" 12900000"), "{metrics}");
    }
    let now = format!("{row} lost=12900000 lost_first=1795608000000 lost_last=1795608000000");
    let _double = Double::serve(&home, &now);
    let described = home.shell("export TZ=UTC; $RPM describe api").ok().stdout;
    let line = described
        .lines()
        .find(|line| line.starts_with("lost output "));
    let line = line.unwrap();
    assert!(
        line.ends_with("  12.3mb in all, at present since 2026-11-25 12:00:00"),
        "{line}"
    );
}
