//! Which files and folders are ignored.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::paths::Home;

/// The ignored files, besides those ignored by default.
pub struct Rules {
    home: Home,
    /// Patterns with a slash match paths relative to this folder.
    folder: PathBuf,
    patterns: Vec<String>,
    /// Files that the daemon writes.
    own: Vec<PathBuf>,
}

impl Rules {
    /// The rules for these patterns, relative to `folder`. The error is a pattern that is none.
    pub fn new(home: Home, folder: PathBuf, patterns: &[String]) -> Result<Rules, &str> {
        let mut bare = Vec::new();
        for text in patterns {
            let short = text.strip_prefix("./").unwrap_or(text);
            let short = short.strip_suffix('/').unwrap_or(short);
            if short.is_empty() {
                return Err(text);
            }
            bare.push(short.to_owned());
        }
        Ok(Rules {
            home,
            folder,
            patterns: bare,
            own: Vec::new(),
        })
    }

    /// Ignores this file too.
    pub fn leave_out(&mut self, file: PathBuf) {
        self.own.push(file);
    }

    /// Whether a file or a folder, with all that is in it, is ignored.
    pub fn leaves_out(&self, path: &Path, is_folder: bool) -> bool {
        let name = path.file_name().unwrap_or_default();
        let usual = match is_folder {
            true => name == "node_modules" || name.as_bytes().starts_with(b"."),
            false => is_of_an_editor(name),
        };
        let here = path.strip_prefix(&self.folder).unwrap_or(path);
        usual
            || path.parent() == Some(self.home.root()) && self.home.keeps(name)
            || self.own.iter().any(|own| is_or_was(path, own))
            || self.patterns.iter().any(|pattern| {
                let is = |text: &OsStr| matches(pattern.as_bytes(), text.as_bytes());
                match pattern.contains('/') {
                    true => is(here.as_os_str()) || is(path.as_os_str()),
                    false => is(name),
                }
            })
    }
}

/// Whether a file is `own` or a rotated generation of it, with a number behind its name.
fn is_or_was(path: &Path, own: &Path) -> bool {
    let (path, own) = (path.as_os_str().as_bytes(), own.as_os_str().as_bytes());
    path.strip_prefix(own).is_some_and(|rest| {
        let number = rest.strip_prefix(b".").unwrap_or_default();
        rest.is_empty() || !number.is_empty() && number.iter().all(u8::is_ascii_digit)
    })
}

/// Whether the whole text matches the pattern: `*` stands for any bytes, slashes included, `?` for one. Not fnmatch(3),
/// which links all character sets of the C library into a static program.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Behind the last star, and up to where it stands for the text.
    let mut star = None;
    while let Some(byte) = text.get(read) {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                at += 1;
                star = Some((at, read));
            }
            (Some(wanted), _) if *wanted == b'?' || wanted == byte => {
                at += 1;
                read += 1;
            }
            (_, Some((behind, until))) => {
                (at, read) = (behind, until + 1);
                star = Some((behind, read));
            }
            (_, None) => return false,
        }
    }
    let mut rest = pattern.iter().skip(at);
    rest.all(|byte| *byte == b'*')
}

/// Whether it is a file that an editor keeps beside the edited one.
fn is_of_an_editor(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let ends = |end: &[u8]| name.ends_with(end);
    let dotted = name.starts_with(b".");
    // Backups of most, and JetBrains' way of writing a file.
    ends(b"~") || ends(b"___jb_tmp___") || ends(b"___jb_old___")
        // Vim: its swap files, .NAME.swp, then .swo and so on, and the file by which it finds out whether it may write.
        || dotted && matches!(name, [.., b'.', b's', b'w', b'a'..=b'z'])
        || name == b"4913"
        // Emacs: a lock, and what was not saved. Kate: the same in one.
        || name.starts_with(b".#") || name.starts_with(b"#") && ends(b"#")
        || dotted && ends(b".kate-swp")
        // What the libraries of GNOME write before they rename it.
        || name.starts_with(b".goutputstream-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(patterns: &[&str]) -> Rules {
        let patterns: Vec<String> = patterns.iter().map(|text| text.to_string()).collect();
        let home = Home::new("/srv/home".into());
        Rules::new(home, "/srv".into(), &patterns).unwrap()
    }

    #[test]
    fn usual_files_are_ignored_by_default() {
        let rules = rules(&[]);
        for folder in [
            "/srv/node_modules",
            "/srv/a/.git",
            "/srv/home/logs",
            "/srv/home/run",
        ] {
            assert!(rules.leaves_out(Path::new(folder), true), "{folder}");
        }
        for folder in ["/srv/modules", "/srv/logs", "/srv/home"] {
            assert!(!rules.leaves_out(Path::new(folder), true), "{folder}");
        }
        for file in [
            "a.js~",
            ".a.js.swp",
            ".a.js.swx",
            "4913",
            ".#a.js",
            "#a.js#",
            ".a.js.kate-swp",
            "home/rpmd.log",
            "home/dump.json.bak",
            "home/rpmd.sock",
        ] {
            assert!(
                rules.leaves_out(&Path::new("/srv").join(file), false),
                "{file}"
            );
        }
        for file in [
            ".env",
            ".eslintrc",
            "a.js",
            "a.swp",
            "node_modules",
            "home/app.js",
            "#a",
        ] {
            assert!(
                !rules.leaves_out(&Path::new("/srv").join(file), false),
                "{file}"
            );
        }
    }

    #[test]
    fn the_whole_text_is_matched() {
        let is = |pattern: &str, text: &str| matches(pattern.as_bytes(), text.as_bytes());
        for (pattern, text) in [
            ("*.log", "a.log"),
            ("a/*/b", "a/x/y/b"),
            ("*a*b*", "xaab"),
            ("a?c**", "abc"),
            ("*", ""),
            ("", ""),
        ] {
            assert!(is(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("*.log", "a.logs"),
            ("a", "A"),
            ("a", "ab"),
            ("?", ""),
            ("*ab", "aab "),
        ] {
            assert!(!is(pattern, text), "{pattern} {text}");
        }
        // However many stars there are, it comes to an end.
        assert!(!is(&"*a".repeat(50), &("a".repeat(10_000) + "b")));
    }

    #[test]
    fn patterns_match_names_or_with_a_slash_paths() {
        let mut rules = rules(&["*.log", "public/", "./data/cache", "/var/x/*"]);
        rules.leave_out("/srv/out.txt".into());
        let left_out = |path: &str| rules.leaves_out(Path::new(path), false);
        assert!(left_out("/srv/a/b.log") && left_out("/srv/public") && left_out("/srv/a/public"));
        assert!(left_out("/srv/data/cache") && left_out("/var/x/y") && left_out("/srv/out.txt"));
        assert!(left_out("/srv/out.txt.1") && left_out("/srv/out.txt.12"));
        assert!(!left_out("/srv/out.txt.") && !left_out("/srv/out.txt.1a"));
        assert!(!left_out("/srv/a/data/cache") && !left_out("/srv/cache") && !left_out("/srv/x"));
        let home = Home::new("/h".into());
        let wrong = Rules::new(home, "/".into(), &["a".to_owned(), "/".to_owned()])
            .err()
            .map(str::to_owned);
        assert_eq!(wrong.as_deref(), Some("/"));
    }
}
