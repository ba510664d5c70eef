//! Paths as users write them: relative to the working directory, or with `~/` for the home directory.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::error::Reason;
use crate::sys::user;

/// The working directory under the name that the shell has for it (`pwd -L` of POSIX): a link such as `current` stays in
/// it, so that a restart follows the link to the next release.
///
/// # Errors
/// The working directory has been removed, or cannot be read.
pub fn working_directory() -> Result<PathBuf, String> {
    if let Some(logical) = std::env::var_os("PWD").map(PathBuf::from) {
        if names_the_working_directory(&logical) {
            return Ok(logical);
        }
    }
    std::env::current_dir().map_err(|why| match why.kind() {
        std::io::ErrorKind::NotFound => {
            "the working directory has been removed; change to another one".to_owned()
        }
        _ => format!("cannot find the working directory: {}", Reason(&why)),
    })
}

/// Whether a path is absolute, plain, and the directory that this process is in.
fn names_the_working_directory(path: &Path) -> bool {
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    // `components` leaves out each `.` but a leading one.
    let bytes = path.as_os_str().as_bytes();
    let dots = bytes.split(|b| *b == b'/').any(|part| part == b".");
    let same = |a: std::fs::Metadata, b: std::fs::Metadata| {
        (a.dev(), a.ino()) == (b.dev(), b.ino()) && a.nlink() > 0
    };
    path.is_absolute()
        && !dots
        && path.components().all(plain)
        && match (path.metadata(), Path::new(".").metadata()) {
            (Ok(a), Ok(b)) => same(a, b),
            _ => false,
        }
}

/// The absolute path, without `.`; links in it stay. `~/` is the home directory of the user.
///
/// # Errors
/// The path is empty, or relative while there is no working directory.
pub fn absolute(path: &Path) -> Result<Vec<u8>, String> {
    if path.as_os_str().is_empty() {
        return Err("the path is empty".to_owned());
    }
    let path = PathBuf::from(OsStr::from_bytes(&at_home(path.as_os_str().as_bytes())));
    let path = if path.is_absolute() {
        path
    } else {
        working_directory()?.join(path)
    };
    let path = std::path::absolute(path).map_err(|why| Reason(&why).to_string())?;
    Ok(path.into_os_string().into_vec())
}

/// The path with the home directory of the user in the place of `~`, where that is its first part.
pub fn at_home(path: &[u8]) -> Vec<u8> {
    let rest = match path.strip_prefix(b"~") {
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => rest,
        _ => return path.to_vec(),
    };
    let set = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = set
        .map(PathBuf::from)
        .or_else(|| user::home_dir(user::effective_uid()));
    let Some(home) = home else {
        return path.to_vec();
    };
    let home = home.into_os_string().into_vec();
    let home = home.strip_suffix(b"/").unwrap_or(&home);
    match [home, rest].concat() {
        root if root.is_empty() => b"/".to_vec(),
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leading_tilde_of_its_own_is_the_home_directory() {
        let home = std::env::var("HOME").unwrap();
        let home = home.trim_end_matches('/');
        for (path, expected) in [
            ("~", home.to_owned()),
            ("~/.bun/bin/bun", format!("{home}/.bun/bin/bun")),
            ("~other/x", "~other/x".to_owned()),
            ("./~/x", "./~/x".to_owned()),
            ("a~/x", "a~/x".to_owned()),
            ("", String::new()),
        ] {
            assert_eq!(at_home(path.as_bytes()), expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn only_a_plain_name_of_the_directory_itself_is_taken_from_the_shell() {
        let here = std::env::current_dir().unwrap();
        assert!(names_the_working_directory(&here));
        for wrong in [
            here.join("."),
            here.join("../x"),
            here.join(".."),
            PathBuf::from("."),
            PathBuf::from("/"),
            PathBuf::from("/nowhere"),
        ] {
            assert!(!names_the_working_directory(&wrong), "{}", wrong.display());
        }
    }

    #[test]
    fn an_absolute_path_keeps_its_links() {
        assert_eq!(absolute(Path::new("/a/./b/../c")).unwrap(), b"/a/b/../c");
        let here = working_directory().unwrap();
        let expected = here.join("x/y").into_os_string().into_vec();
        assert_eq!(absolute(Path::new("./x/./y")).unwrap(), expected);
        assert!(absolute(Path::new("")).is_err());
    }
}
