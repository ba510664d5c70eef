//! The lines that say what was done to which programs.

use std::fmt::Write as _;

use super::output::harmless;
use crate::protocol::process::Process;

/// A line for each program that something was done to.
pub fn news(done: &str, processes: &[Process]) -> String {
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
