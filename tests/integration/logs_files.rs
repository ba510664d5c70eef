//! `rpm logs` where files are not as simple as they might be: older than their program, links, unreadable, of several
//! forms.

use rpm::sys::signal::Signal;

use crate::harness::logs::{append, follow};
use crate::harness::{Home, proc};

#[test]
fn of_a_later_program_all_that_it_prints_is_shown_and_nothing_older() {
    let home = Home::new();
    home.rpm(&["ping"]).ok();
    // A program of the same name, long ago.
    append(&home.log_path("x-out.log"), "old 1\nold 2\n");
    let mut logs = follow(&home, "--raw");
    logs.wait_for_line("waiting for one");
    proc::kill(logs.pid(), Signal::STOP);
    let script = "seq -f 'line %g' 1 100\nexec sleep 1000\n";
    for name in ["x", "y"] {
        home.start(name, script, &["--log-max-size", "300"]);
        home.wait_for_log(&format!("{name}-out.log"), "line 100");
    }
    proc::kill(logs.pid(), Signal::CONT);
    home.start("end", "echo the end\nexec sleep 1000\n", &[]);
    logs.wait_for_line("the end");
    let lines = logs.heard().iter();
    let lines = lines.filter(|line| line.starts_with("line "));
    let expected = (1..=100).map(|number| format!("line {number}"));
    let expected: Vec<_> = expected.clone().chain(expected).collect();
    assert_eq!(lines.cloned().collect::<Vec<_>>(), expected);
    assert!(logs.heard().iter().all(|line| !line.contains("old")));
}
