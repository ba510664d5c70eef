//! Homes that a killed test run left behind: their daemons live on by design, and nobody else ends them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::proc;
use super::run::finish;

/// Ends the daemons in the homes of test processes that are gone, and removes the homes.
pub fn remove(client: &Path) {
    for base in bases() {
        let root = base.join("h");
        if root.join("rpmd.pid").exists() {
            let mut kill = Command::new(client);
            kill.arg("kill").env("RPM_HOME", &root);
            if let Err(why) = finish(kill) {
                eprintln!("ending the daemon in {}: {why}", root.display());
                continue;
            }
        }
        let _ = fs::remove_dir_all(base);
    }
}

/// The folders `/tmp/rpmt.PID.NUMBER` of processes that are gone.
fn bases() -> Vec<PathBuf> {
    let entries = fs::read_dir("/tmp").into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let is_abandoned = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let rest = name.and_then(|name| name.strip_prefix("rpmt."));
        let pid = rest.and_then(|rest| rest.split('.').next()?.parse().ok());
        pid.is_some_and(|pid| !proc::lives(pid))
    };
    paths.filter(is_abandoned).collect()
}
