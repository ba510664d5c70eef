//! Files that say which programs are to run: JSON, a module of Node, a Procfile.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::apps::{App, Apps, Wishes};
use super::json::{Source, parse};
use super::{node, procfile, text};
use crate::error::{Error, Result};

/// What kind of file it is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JSON.
    Json,
    /// A module that Node evaluates.
    Module,
    /// A line `NAME: COMMAND` for each program.
    Procfile,
    /// JSON on standard input.
    Standard,
    /// Not read here.
    Yaml,
}

/// The kind of process file that a word names; none where it names none.
pub fn kind(word: &OsStr) -> Option<Kind> {
    if word == "-" {
        return Some(Kind::Standard);
    }
    let name = Path::new(word).file_name()?.to_str()?;
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    match name {
        _ if ends(&[".json", ".json5"]) => Some(Kind::Json),
        _ if ends(&[".config.js", ".config.cjs", ".config.mjs"]) => Some(Kind::Module),
        _ if ends(&[".yml", ".yaml"]) => Some(Kind::Yaml),
        _ if name == "Procfile" || name.starts_with("Procfile.") => Some(Kind::Procfile),
        _ => None,
    }
}

/// The process files that `rpm start` looks for where it is given none, in this order.
const DEFAULTS: [&str; 13] = [
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.mjs",
    "ecosystem.config.json",
    "ecosystem.json",
    "ecosystem.json5",
    "pm2.config.js",
    "pm2.config.cjs",
    "pm2.config.mjs",
    "pm2.json",
    "processes.json",
    "process.json",
    "package.json with apps",
];

/// The first of the default process files that is in the working directory.
pub fn default() -> Option<&'static str> {
    let (package, others) = DEFAULTS.split_last()?;
    let found = others.iter().find(|name| Path::new(name).is_file());
    found.copied().or_else(|| {
        let name = package.split(' ').next()?;
        let text = text::read_file(Path::new(name)).ok()?;
        let source = Source {
            name,
            text: &text,
            literal: true,
        };
        let root = parse(&source).ok()?;
        let has = |key| root.get(key).is_some();
        (has("apps") || has("pm2")).then_some(name)
    })
}

/// A file that was read, and in which nothing is wrong.
#[derive(Debug)]
pub struct ProcessFile {
    /// What it is called.
    pub name: String,
    /// Its programs.
    pub apps: Vec<App>,
    /// What is not taken from it, a sentence each.
    pub warnings: Vec<String>,
}

/// Reads a file. `Err`: all that is wrong with it.
pub fn read(
    word: &OsStr,
    kind: Kind,
    wishes: &Wishes,
) -> std::result::Result<ProcessFile, Vec<Error>> {
    let one = |error| vec![error];
    let path = Path::new(word);
    let (name, folder) = match kind {
        Kind::Standard => ("standard input".to_owned(), present()),
        _ => (path.display().to_string(), folder_of(path)),
    };
    let folder = folder.map_err(one)?;
    let bytes = match kind {
        Kind::Json | Kind::Procfile => text::read_file(path),
        Kind::Standard => text::read_all(std::io::stdin().lock(), &name),
        Kind::Module => node::evaluate(path),
        Kind::Yaml => Err(Error::new(format!(
            "{name}: YAML is not read; write the same as JSON"
        ))),
    };
    let bytes = bytes.map_err(one)?;
    let source = Source {
        name: &name,
        text: &bytes,
        literal: kind != Kind::Module,
    };
    let mut apps = Apps::new(wishes, &folder);
    match kind {
        Kind::Procfile => procfile::read(&source, &mut apps),
        _ => apps.take_all(&parse(&source).map_err(one)?),
    }
    let done = apps.finish();
    let sentence = |(at, why): &(usize, String)| format!("{}: {why}", source.place(*at));
    if done.faults.is_empty() {
        Ok(ProcessFile {
            warnings: done.warnings.iter().map(sentence).collect(),
            apps: done.apps,
            name,
        })
    } else {
        Err(done
            .faults
            .iter()
            .map(|fault| Error::new(sentence(fault)))
            .collect())
    }
}

fn present() -> Result<PathBuf> {
    super::place::working_directory().map_err(Error::new)
}

/// The folder of a file: what is relative in the file is relative to it.
fn folder_of(path: &Path) -> Result<PathBuf> {
    let file = super::place::absolute(path).map_err(Error::new)?;
    let file = PathBuf::from(OsStr::from_bytes(&file));
    Ok(file.parent().unwrap_or(&file).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_kind() {
        for (word, expected) in [
            ("processes.json", Some(Kind::Json)),
            ("/a/b.c.json", Some(Kind::Json)),
            ("ecosystem.config.js", Some(Kind::Module)),
            ("x/my.config.cjs", Some(Kind::Module)),
            ("Procfile", Some(Kind::Procfile)),
            ("dev/Procfile.dev", Some(Kind::Procfile)),
            ("-", Some(Kind::Standard)),
            ("a.yml", Some(Kind::Yaml)),
            ("app.js", None),
            ("config.js", None),
            ("json", None),
            ("/", None),
        ] {
            assert_eq!(kind(OsStr::new(word)), expected, "{word}");
        }
    }
}
