//! The first line of a script, `#!INTERPRETER [ARGUMENT]`, as `execve(2)` reads it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::model::command::base_name;

/// How much of the file the kernel reads, in bytes. BINPRM_BUF_SIZE
const LONGEST: usize = 256;

/// A parsed first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shebang {
    /// The interpreter after `#!`.
    pub file: Vec<u8>,
    /// The rest of the line, a single argument.
    pub argument: Option<Vec<u8>>,
}

impl Shebang {
    /// The first line of a file; `None` if it does not begin with `#!`, or cannot be read.
    pub fn of(file: &Path) -> Option<Shebang> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(LONGEST).ok()?;
        // Opening a FIFO would block.
        let is_file = file.metadata().is_ok_and(|found| found.is_file());
        let opened = is_file.then(|| File::open(file))?.ok()?;
        opened.take(limit).read_to_end(&mut bytes).ok()?;
        Shebang::parse(&bytes)
    }

    fn parse(text: &[u8]) -> Option<Shebang> {
        let line = text.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
        // A script from Windows. The kernel would take the CR as part of the name.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = trim(line);
        let blank = line.iter().position(|b| is_blank(*b));
        let (file, rest) = line.split_at(blank.unwrap_or(line.len()));
        let argument = Some(trim(rest)).filter(|rest| !rest.is_empty());
        (!file.is_empty()).then(|| Shebang {
            file: file.to_vec(),
            argument: argument.map(<[u8]>::to_vec),
        })
    }

    /// The interpreter and its arguments. `env NAME` is replaced by NAME if that is equivalent. `env(1)`
    pub fn command(&self) -> (Vec<u8>, Vec<Vec<u8>>) {
        let argument = self.argument.as_deref();
        if base_name(&self.file) == b"env" {
            let words = argument.and_then(env_words).unwrap_or_default();
            if let Some((first, rest)) = words.split_first() {
                return (first.to_vec(), rest.to_vec());
            }
        }
        (
            self.file.clone(),
            argument.map(<[u8]>::to_vec).into_iter().collect(),
        )
    }
}

/// The command that `env ARGUMENT` executes; `None` if env does more than that.
fn env_words(argument: &[u8]) -> Option<Vec<Vec<u8>>> {
    let special = |b: &u8| b"'\"\\$#".contains(b);
    let split = argument.strip_prefix(b"-S");
    let split = split.or_else(|| argument.strip_prefix(b"--split-string="));
    let words: Vec<Vec<u8>> = match split {
        Some(text) if text.iter().any(special) => return None,
        Some(text) => {
            let words = text.split(|b| is_blank(*b)).filter(|word| !word.is_empty());
            words.map(<[u8]>::to_vec).collect()
        }
        None => vec![argument.to_vec()],
    };
    let first = words.first()?;
    let plain = !first.starts_with(b"-") && !first.iter().any(|b| *b == b'=' || is_blank(*b));
    plain.then_some(words)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_an_interpreter_and_its_arguments() {
        for (text, expected) in [
            ("#!/usr/bin/env node\nx", &["node"][..]),
            ("#! /usr/bin/node --flag\n", &["/usr/bin/node", "--flag"]),
            ("#!/usr/bin/node -a -b", &["/usr/bin/node", "-a -b"]),
            ("#!/usr/bin/env -S node --a -b\n", &["node", "--a", "-b"]),
            ("#!/usr/bin/env -Snode\n", &["node"]),
            ("#!/usr/bin/env\tpython3\r\nx", &["python3"]),
            ("#!/bin/sh", &["/bin/sh"]),
            // What env does besides is left to env.
            ("#!/usr/bin/env A=1\n", &["/usr/bin/env", "A=1"]),
            (
                "#!/usr/bin/env -S A=1 node\n",
                &["/usr/bin/env", "-S A=1 node"],
            ),
            (
                "#!/usr/bin/env -S node '-a b'\n",
                &["/usr/bin/env", "-S node '-a b'"],
            ),
            ("#!/usr/bin/env -i node\n", &["/usr/bin/env", "-i node"]),
            ("#!/usr/bin/env node -a\n", &["/usr/bin/env", "node -a"]),
        ] {
            let (file, arguments) = Shebang::parse(text.as_bytes()).unwrap().command();
            let mut words = vec![file];
            words.extend(arguments);
            let words: Vec<_> = words.iter().map(|w| String::from_utf8_lossy(w)).collect();
            assert_eq!(words, expected, "{text:?}");
        }
        for text in ["", "#", "#!", "#! \nx", "\u{7f}ELF", "# !/bin/sh"] {
            assert_eq!(Shebang::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
