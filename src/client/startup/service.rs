//! The service that init shall run.

use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// What the file of a service is made from. Each is UTF-8 without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What init calls it.
    pub name: String,
    /// Whose programs they are.
    pub user: String,
    /// `RPM_HOME`.
    pub home: String,
    /// The path of `rpmd`.
    pub daemon: String,
    /// The path of this client.
    pub client: String,
}

impl Service {
    /// The service of a user, unless a part of it cannot stand in a file of a service.
    pub fn new(
        name: Option<&str>,
        user: &str,
        home: &Path,
        daemon: &Path,
        client: &Path,
    ) -> Result<Service> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || ":/\"'\\$`".contains(c);
        if user.is_empty() || user.contains(odd) {
            return Err(Error::new(format!(
                "no user can be called '{}'",
                harmless(user)
            )));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let name = match name {
            // What begins with a dot or a dash is hidden, or a flag.
            Some(name) if name.starts_with(['.', '-']) || !name.chars().all(plain) => {
                return Err(Error::new(format!(
                    "no service can be called '{}': letters, digits, '_', '.' and '-' make a name",
                    harmless(name)
                )));
            }
            Some(name) => name.to_owned(),
            None => format!(
                "rpm-{}",
                user.chars()
                    .map(|c| if plain(c) { c } else { '_' })
                    .collect::<String>()
            ),
        };
        Ok(Service {
            name,
            user: user.to_owned(),
            home: writable("RPM_HOME", home)?,
            daemon: executable(daemon)?,
            client: executable(client)?,
        })
    }

    /// Whether it needs no change of user.
    pub fn is_roots(&self) -> bool {
        self.user == "root"
    }
}

fn harmless(text: &str) -> std::borrow::Cow<'_, str> {
    crate::client::display::output::harmless(text)
}

/// The same for a program.
fn executable(path: &Path) -> Result<String> {
    let path = writable("the path of a program", path)?;
    // As systemd has it: string_is_safe() in its config_parse_exec().
    match path.contains(['"', '\'', '\\']) {
        false => Ok(path),
        true => Err(Error::new(format!(
            "{path}: no init executes a path with quotes or backslashes; install it elsewhere"
        ))),
    }
}

/// The path from the root on, as text that fits on a line.
fn writable(what: &str, path: &Path) -> Result<String> {
    let path: PathBuf = std::path::absolute(path).doing(|| format!("finding {what}"))?;
    match path.to_str() {
        Some(text) if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err(Error::new(format!(
            "{what} is '{}': a file of a service can only name paths that are UTF-8 without control characters",
            harmless(&path.to_string_lossy())
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: Option<&str>, user: &str, home: &str) -> Result<Service> {
        with_programs(name, user, home, "/usr/bin/rpmd")
    }

    fn with_programs(name: Option<&str>, user: &str, home: &str, daemon: &str) -> Result<Service> {
        let (home, client) = (Path::new(home), Path::new("/usr/bin/rpm"));
        Service::new(name, user, home, Path::new(daemon), client)
    }

    #[test]
    fn the_name_is_made_of_letters_that_every_init_takes() {
        let name = |user| made(None, user, "/h").unwrap().name;
        assert_eq!(name("app"), "rpm-app");
        assert_eq!(name("first.last"), "rpm-first.last");
        assert_eq!(name("me@work"), "rpm-me_work");
        assert_eq!(made(Some("web"), "app", "/h").unwrap().name, "web");
    }

    #[test]
    fn what_would_break_the_file_is_refused() {
        for user in ["", "a b", "a:b", "a\nb", "../x", "$(x)", "a'b"] {
            assert!(made(None, user, "/h").is_err(), "{user:?}");
        }
        for name in ["a b", "../x", ".x", "-x", "a\nb", "x;y"] {
            assert!(made(Some(name), "app", "/h").is_err(), "{name:?}");
        }
        for daemon in ["/it's/rpmd", "/\"/rpmd", "/\\/rpmd"] {
            assert!(with_programs(None, "app", "/h", daemon).is_err());
        }
        let sentence = made(None, "app", "/h\n[Service]").unwrap_err().to_string();
        assert!(
            sentence.contains("RPM_HOME is '/h?[Service]'"),
            "{sentence}"
        );
    }
}
