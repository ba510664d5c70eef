//! Paths of descriptors, such as `/dev/stdout`. As a log file they mean the descriptor of the daemon.

use std::path::{Component, Path};

/// A standard output of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// Standard output, descriptor 1.
    Out,
    /// Standard error, descriptor 2.
    Error,
}

/// The descriptor that a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Standard output or error.
    Standard(Standard),
    /// Another descriptor.
    Other,
}

impl Standard {
    /// Both.
    pub const BOTH: [Standard; 2] = [Standard::Out, Standard::Error];

    /// Its path, which also identifies it in messages between the daemons.
    pub fn path(self) -> &'static str {
        match self {
            Standard::Out => "/dev/stdout",
            Standard::Error => "/dev/stderr",
        }
    }

    /// Its name, for messages.
    pub fn word(self) -> &'static str {
        match self {
            Standard::Out => "standard output",
            Standard::Error => "standard error",
        }
    }
}

/// The descriptor that a path names for the process with this pid; `None` for other paths. No file is accessed.
pub fn named(path: &Path, own: i32) -> Option<Named> {
    let words: Vec<&str> = path
        .components()
        .map(|part| match part {
            Component::Normal(word) => word.to_str(),
            Component::RootDir => Some("/"),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let number = match words.as_slice() {
        ["/", "dev", "stdin"] => "0",
        ["/", "dev", "stdout"] => "1",
        ["/", "dev", "stderr"] => "2",
        ["/", "dev", "fd", number] => number,
        ["/", "proc", "self" | "thread-self", "fd", number] => number,
        ["/", "proc", pid, "fd", number] if pid.parse() == Ok(own) => number,
        _ => return None,
    };
    Some(match number {
        "1" => Named::Standard(Standard::Out),
        "2" => Named::Standard(Standard::Error),
        _ => Named::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_descriptors_are_recognized() {
        let out = Some(Named::Standard(Standard::Out));
        let error = Some(Named::Standard(Standard::Error));
        for (path, wanted) in [
            ("/dev/stdout", out),
            ("/dev//./stdout", out),
            ("/dev/fd/1", out),
            ("/proc/self/fd/1", out),
            ("/proc/thread-self/fd/1", out),
            ("/proc/17/fd/1", out),
            ("/dev/stderr", error),
            ("/dev/fd/2", error),
            ("/proc/self/fd/2", error),
            ("/dev/stdin", Some(Named::Other)),
            ("/dev/fd/0", Some(Named::Other)),
            ("/dev/fd/10", Some(Named::Other)),
            ("/proc/self/fd/7", Some(Named::Other)),
            ("/proc/18/fd/1", None),
            ("/dev/null", None),
            ("/dev/fd", None),
            ("dev/stdout", None),
            ("/srv/dev/stdout", None),
            ("/dev/stdout/x", None),
            ("", None),
        ] {
            assert_eq!(named(Path::new(path), 17), wanted, "{path}");
        }
        for standard in Standard::BOTH {
            let path = Path::new(standard.path());
            assert_eq!(named(path, 1), Some(Named::Standard(standard)));
        }
    }
}
