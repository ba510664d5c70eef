//! The rooms of the house, as the table in `src/lib.rs` has them.

use std::collections::{BTreeMap, BTreeSet};
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

/// Modules within which files still depend on each other in circles. Each is to leave this list.
const CYCLIC: [&str; 9] = [
    "client::dev",
    "client::logs",
    "client::monit",
    "client::web",
    "config",
    "logger",
    "model",
    "supervisor",
    "sys::spawn",
];

/// The modules of the crate, each with the code of its file, without tests.
fn modules() -> BTreeMap<String, String> {
    let is_test = |path: &Path| path.ends_with("tests.rs") || room(path) == "bin";
    let sources = sources().into_iter().filter(|(path, _)| !is_test(path));
    let name = |path: PathBuf| {
        let path = path.with_extension("");
        let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
        let parts = parts.strip_suffix(&["mod"]).unwrap_or(&parts);
        if parts == ["lib"] {
            String::new()
        } else {
            parts.join("::")
        }
    };
    let bare = |text: String| {
        let code = code(&text);
        let tests = code.find("#[cfg(test)]\nmod ");
        code[..tests.unwrap_or(code.len())].to_owned()
    };
    sources
        .map(|(path, text)| (name(path), bare(text)))
        .collect()
}

/// The paths that begin at the start of `text`: one, or several where it ends in a list in braces.
fn paths(text: &str) -> Vec<String> {
    let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c| !is_plain(c)).unwrap_or(text.len());
    let (start, rest) = text.split_at(end);
    let (Some(list), true) = (rest.strip_prefix('{'), start.ends_with("::")) else {
        return vec![start.to_owned()];
    };
    let mut depth = 0;
    let items = list.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        (c == ',' && depth == 0) || depth < 0
    });
    let mut found = Vec::new();
    for item in items.take_while(|item| !item.trim().is_empty()) {
        let inner = paths(item.trim()).into_iter();
        found.extend(inner.map(|path| format!("{start}{path}")));
    }
    found
}

/// The modules that a module uses.
fn uses(own: &str, code: &str, all: &BTreeMap<String, String>) -> BTreeSet<String> {
    let parent = |module: &str| module.rsplit_once("::").map_or("", |(up, _)| up).to_owned();
    let mut found = BTreeSet::new();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let starts = code.match_indices("::").map(|(at, _)| {
        let before = &code[..at];
        before.rfind(|c| !is_part(c)).map_or(0, |last| last + 1)
    });
    for start in starts.filter(|start| !code[..*start].ends_with("::")) {
        for path in paths(&code[start..]) {
            let mut parts: Vec<&str> = path.split("::").collect();
            let mut base = match parts[0] {
                "crate" => String::new(),
                "self" | "super" => own.to_owned(),
                child if all.contains_key(&format!("{own}::{child}")) => {
                    parts.insert(0, "self");
                    own.to_owned()
                }
                _ => continue,
            };
            if parts[0] == "super" {
                base = parent(&base);
            }
            for part in &parts[1..] {
                let deeper = format!("{base}::{part}");
                let deeper = deeper.trim_start_matches("::").to_owned();
                match *part {
                    "super" => base = parent(&base),
                    _ if all.contains_key(&deeper) => base = deeper,
                    _ => break,
                }
            }
            found.insert(base);
        }
    }
    found.retain(|module| module != own && all.contains_key(module));
    found
}

/// What the lower folders of the client may use of it, besides themselves.
const CLIENT: [(&str, &[&str]); 3] = [
    ("client::cli", &[]),
    ("client::display", &[]),
    ("client::daemon", &["client::cli", "client::display"]),
];

#[test]
fn the_folders_of_the_client_use_only_those_below_them() {
    let all = modules();
    let mut wrong = Vec::new();
    for (own, allowed) in CLIENT {
        for (module, code) in all.iter().filter(|(module, _)| module.starts_with(own)) {
            let is_allowed = |to: &String| {
                let mut below = allowed.iter().chain([&own]);
                !to.starts_with("client") || below.any(|folder| to.starts_with(folder))
            };
            let used = uses(module, code, &all);
            let above = used.iter().filter(|to| !is_allowed(to));
            wrong.extend(above.map(|to| format!("{module} uses {to}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_files_depend_on_each_other_in_a_circle() {
    let all = modules();
    let used = |(own, code): (&String, &String)| (own.clone(), uses(own, code, &all));
    let graph: BTreeMap<String, BTreeSet<String>> = all.iter().map(used).collect();
    assert!(graph["client::commands"].contains("client::daemon::session"));
    let reached = |from| {
        let mut reached = BTreeSet::new();
        let mut left = vec![from];
        while let Some(module) = left.pop() {
            left.extend(graph[module].iter().filter(|to| reached.insert(*to)));
        }
        reached
    };
    let reached: BTreeMap<&String, _> = graph.keys().map(|from| (from, reached(from))).collect();
    let mut circles = BTreeSet::new();
    for (module, to) in &reached {
        if to.contains(module) {
            let same = to.iter().filter(|other| reached[**other].contains(module));
            circles.insert(same.map(|m| m.as_str()).collect::<Vec<_>>());
        }
    }
    let is_known = |circle: &Vec<&str>| {
        let inside = |folder: &&str| circle.iter().all(|module| module.starts_with(*folder));
        CYCLIC.iter().any(inside)
    };
    circles.retain(|circle| !is_known(circle));
    assert!(circles.is_empty(), "{circles:#?}");
}
