//! Paths that name a descriptor of the process that opens them, such as `/dev/stdout`. As an output file they mean the
//! daemon's own descriptor.

use std::path::{Component, Path};

/// An output of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// Standard output, descriptor 1.
    Out,
    /// Standard error, descriptor 2.
    Error,
}

/// What such a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// An output.
    Standard(Standard),
    /// A descriptor that is none.
    Other,
}

impl Standard {
    /// Both.
    pub const BOTH: [Standard; 2] = [Standard::Out, Standard::Error];

    /// The shortest path for it, and the word for it in messages between the daemons.
    pub fn path(self) -> &'static str {
        match self {
            Standard::Out => "/dev/stdout",
            Standard::Error => "/dev/stderr",
        }
    }

    /// What it is called.
    pub fn word(self) -> &'static str {
        match self {
            Standard::Out => "standard output",
            Standard::Error => "standard error",
        }
    }
}

/// The descriptor that a path names by its spelling, for the process of this number; none where it is another kind of
/// path.
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
    fn each_spelling_of_an_output_is_known_and_no_other_path() {
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
