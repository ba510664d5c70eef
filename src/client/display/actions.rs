//! Messages about what was done to programs.

use std::fmt::Write as _;

use super::output::harmless;
use crate::protocol::process::Process;

/// A line per program that says what was done to it.
pub fn action_lines(done: &str, processes: &[Process]) -> String {
    let mut text = String::new();
    for process in processes {
        let Process { id, pid, .. } = process;
        let name = harmless(&process.name);
        let _ = match pid {
            0 => writeln!(text, "rpm: {done} {name} (id {id})"),
            pid => writeln!(text, "rpm: {done} {name} (id {id}, pid {pid})"),
        };
    }
    text
}
