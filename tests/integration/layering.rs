//! The rooms of the house, as the table in `src/lib.rs` has them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::project;

/// What each room may use of the crate, besides itself.
const TABLE: &[(&str, &[&str])] = &[
    ("model", &["units", "error"]),
    ("protocol", &["model", "units", "error", "test_rng"]),
    (
        "sys",
        &["error", "model::life", "model::stamp", "model::standard"],
    ),
    (
        "logger",
        &["protocol", "model", "sys", "error", "paths", "units"],
    ),
    (
        "supervisor",
        &[
            "logger", "protocol", "model", "sys", "error", "paths", "units", "test_rng",
        ],
    ),
    (
        "config",
        &[
            "protocol", "model", "sys", "error", "paths", "units", "test_rng",
        ],
    ),
    (
        "client",
        &[
            "config", "protocol", "model", "sys", "error", "paths", "units", "test_rng",
        ],
    ),
    ("paths", &["error", "sys"]),
    ("units", &[]),
    ("test_rng", &[]),
    ("error", &[]),
    ("lib", &[]),
    ("bin", &[]),
];

/// What no pure room may touch.
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::os::fd",
    "std::thread",
    "Instant",
    "SystemTime",
    "libc::",
    "std::env::",
];

const MOST_LINES: usize = 450;

/// Every source file, relative to `src`, and its text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = project().join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

fn room(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The text without comments.
fn code(text: &str) -> String {
    let lines = text.lines();
    let bare = lines.map(|line| line.split("//").next().unwrap_or_default());
    bare.collect::<Vec<_>>().join("\n")
}

/// What the code uses of the crate: one or two words of each path behind `crate::`.
fn edges(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap();
                found.extend(list.split(',').map(|word| word.trim().to_owned()));
            }
            None => {
                let plain = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                let path: String = rest.chars().take_while(|c| plain(*c)).collect();
                let words: Vec<_> = path.split("::").filter(|w| !w.is_empty()).take(2).collect();
                found.insert(words.join("::"));
            }
        }
    }
    found.retain(|path| !path.is_empty());
    found
}

#[test]
fn every_room_uses_only_the_rooms_below_it() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let own = room(&path);
        let row = TABLE.iter().find(|(name, _)| *name == own);
        let (_, allowed) = row.unwrap_or_else(|| panic!("the room {own} is not in the table"));
        for edge in edges(&code(&text)) {
            let reaches =
                |allowed: &str| edge == allowed || edge.starts_with(&format!("{allowed}::"));
            if !reaches(&own) && !allowed.iter().any(|a| reaches(a)) {
                wrong.push(format!("{} uses crate::{edge}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_pure_rooms_touch_nothing_of_the_world() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if ["model", "protocol"].contains(&room(&path).as_str()) {
            let code = code(&text);
            let touched = IMPURE.iter().filter(|word| code.contains(**word));
            wrong.extend(touched.map(|word| format!("{} touches {word}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_code_has_one_address() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let code = code(&text);
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        if room(&path) != "sys" && words.into_iter().any(|word| word == "unsafe") {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Ways to open a file that may wait for what stands at the path.
const OPENERS: [&str; 8] = [
    "File::open",
    "File::create",
    "File::options",
    "OpenOptions",
    "fs::read(",
    "fs::read_to_string(",
    "fs::write(",
    "fs::copy(",
];

#[test]
fn the_daemons_open_files_in_one_way() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if ["supervisor", "logger", "paths"].contains(&room(&path).as_str())
            || path.ends_with("sys/lock.rs")
            || path.ends_with("config/dump.rs")
        {
            let code = code(&text);
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            let found = OPENERS.iter().filter(|word| code.contains(**word));
            wrong.extend(found.map(|word| format!("{} uses {word}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "use sys::open: {wrong:#?}");
}

#[test]
fn no_source_file_is_too_long() {
    let long = |(path, text): (PathBuf, String)| {
        let lines = text.lines().count();
        (lines >= MOST_LINES).then(|| format!("{}: {lines} lines", path.display()))
    };
    let wrong: Vec<String> = sources().into_iter().filter_map(long).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_map_of_the_house_names_every_room() {
    let map = fs::read_to_string(project().join("src/lib.rs")).unwrap();
    for (path, _) in sources() {
        let own = room(&path);
        if own != "lib" && own != "bin" {
            assert!(map.contains(&format!("pub mod {own};")), "{own} is missing");
        }
    }
}
