//! A directory as the program that it contains: a Node package, by its `package.json`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::json::{Node, Source, parse};
use super::text;

/// How the program of a directory is started.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// By this script.
    Script(PathBuf),
    /// By `npm start` in the directory.
    NpmStart,
}

/// The program that a directory contains.
#[derive(Debug, PartialEq, Eq)]
pub struct Package {
    /// What it is called.
    pub name: String,
    /// How it is started.
    pub entry: Entry,
}

impl Package {
    /// The program of a directory: `main` of its `package.json`, else `index.js`, as `node DIRECTORY` has it; else its
    /// `start` script.
    ///
    /// # Errors
    /// There is none, or `package.json` cannot be read: a sentence.
    pub fn of(folder: &Path) -> Result<Package, String> {
        let path = folder.join("package.json");
        let shown = path.display().to_string();
        let text = if path.exists() {
            Some(text::read_file(&path).map_err(|why| why.to_string())?)
        } else {
            None
        };
        let source = text.as_ref().map(|text| Source {
            name: &shown,
            text,
            literal: true,
        });
        let root = source.as_ref().map(parse).transpose();
        let root = root.map_err(|why| why.to_string())?;
        let string = |key: &str| root.as_ref()?.get(key).and_then(Node::string);
        let main = string("main").filter(|main| !main.is_empty());
        let npm = root
            .as_ref()
            .and_then(|root| root.get("scripts")?.get("start"));
        let script = main.and_then(|main| resolved(folder, main));
        let index = || Some(folder.join("index.js")).filter(|path| path.is_file());
        let entry = match (script.or_else(index), npm) {
            (Some(script), _) => Entry::Script(script),
            (None, Some(_)) => Entry::NpmStart,
            (None, None) => {
                let folder = folder.display();
                return Err(match main {
                    Some(main) => format!(
                        "{shown}: main is {}, which does not exist",
                        String::from_utf8_lossy(main)
                    ),
                    None => format!(
                        "{folder} is a directory without package.json (with main or a start script) and without \
                         index.js; name a file in it"
                    ),
                });
            }
        };
        // Of @scope/name the name.
        let name = string("name").and_then(|name| name.rsplit(|b| *b == b'/').next());
        let name = name.filter(|name| !name.is_empty());
        let own = || folder.file_name().map(OsStr::as_bytes).unwrap_or(b"app");
        let name = String::from_utf8_lossy(name.unwrap_or_else(own)).into_owned();
        Ok(Package { name, entry })
    }
}

/// The file that Node finds for the `main` of a package.
fn resolved(folder: &Path, main: &[u8]) -> Option<PathBuf> {
    let main = OsStr::from_bytes(main);
    let with_ending = |ending: &str| {
        let mut name = main.to_owned();
        name.push(ending);
        folder.join(name)
    };
    let candidates = [
        folder.join(main),
        with_ending(".js"),
        folder.join(main).join("index.js"),
    ];
    candidates.into_iter().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_a_package_is_found_as_node_finds_it() {
        let base = std::env::temp_dir().join(format!("rpm-package-{}", std::process::id()));
        let entry = |name: &str, json: Option<&str>, files: &[&str]| {
            let folder = base.join(name);
            std::fs::create_dir_all(folder.join("lib")).unwrap();
            if let Some(json) = json {
                std::fs::write(folder.join("package.json"), json).unwrap();
            }
            for file in files {
                std::fs::write(folder.join(file), "").unwrap();
            }
            let found = Package::of(&folder)
                .map_err(|why| why.replace(&format!("{}/", base.display()), ""))?;
            let script = match found.entry {
                Entry::Script(path) => path.strip_prefix(&folder).unwrap().display().to_string(),
                Entry::NpmStart => "npm start".to_owned(),
            };
            Ok::<_, String>([found.name, script].join(" "))
        };
        let ok = |text: &str| Ok::<_, String>(text.to_owned());
        let json = r#"{"name": "@org/bot", "main": "lib/bot.js"}"#;
        assert_eq!(
            entry("a", Some(json), &["lib/bot.js"]),
            ok("bot lib/bot.js")
        );
        let json = r#"{"main": "./lib/bot"}"#;
        assert_eq!(entry("b", Some(json), &["lib/bot.js"]), ok("b lib/bot.js"));
        let json = r#"{"main": "lib"}"#;
        assert_eq!(
            entry("c", Some(json), &["lib/index.js"]),
            ok("c lib/index.js")
        );
        assert_eq!(
            entry("d", Some(r#"{"main": "gone.js"}"#), &["index.js"]),
            ok("d index.js")
        );
        assert_eq!(entry("e", None, &["index.js"]), ok("e index.js"));
        let json = r#"{"name": "n", "scripts": {"start": "next start"}}"#;
        assert_eq!(entry("f", Some(json), &[]), ok("n npm start"));
        let none = entry("g", None, &[]).unwrap_err();
        assert!(
            none.starts_with("g is a directory without package.json"),
            "{none}"
        );
        let gone = entry("h", Some(r#"{"main": "dist/x.js"}"#), &[]).unwrap_err();
        assert_eq!(
            gone,
            "h/package.json: main is dist/x.js, which does not exist"
        );
        let broken = entry("i", Some("{"), &["index.js"]).unwrap_err();
        assert!(broken.starts_with("i/package.json:1:2: "), "{broken}");
        std::fs::remove_dir_all(&base).unwrap();
    }
}
