//! Words that stand for ids: regular expressions that names match, as `/api-.*/`, and scripts, as `app.js`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::exchange::Daemon;
use crate::config::place;
use crate::error::{Error, Result};
use crate::protocol::process::Process;
use crate::protocol::request::Request;
use crate::sys::regex::Regex;

/// A word that names programs.
pub fn target(word: &OsStr) -> Result<String> {
    match std::str::from_utf8(word.as_bytes()) {
        Ok(word) => Ok(word.to_owned()),
        Err(_) => {
            let shown = crate::protocol::line::printable(word.as_bytes());
            Err(Error::new(format!(
                "no program is called '{shown}': names are UTF-8"
            )))
        }
    }
}

/// The expression that a word is; none where it is a word of another kind.
pub fn of_word(word: &str) -> Result<Option<Regex>> {
    let inner = word
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'));
    let Some(inner) = inner.filter(|inner| !inner.is_empty()) else {
        return Ok(None);
    };
    let wrong = |why| {
        Error::new(format!(
            "{word} is no regular expression: {why}; see regex(7)"
        ))
    };
    Regex::new(inner).map(Some).map_err(wrong)
}

/// Whether a word may be an expression.
pub fn is_one(word: &str) -> bool {
    word.len() > 2 && word.starts_with('/') && word.ends_with('/')
}

/// Whether a word may name a program by its script.
fn may_be_script(word: &str) -> bool {
    word.contains(['.', '/']) && !is_one(word)
}

/// Whether a word may stand for ids.
pub fn may_stand_for_ids(word: &str) -> bool {
    is_one(word) || may_be_script(word)
}

/// The words with the ids of the programs that are meant in the place of expressions and scripts.
pub fn expanded(words: Vec<String>, daemon: &mut Daemon) -> Result<Vec<String>> {
    if !words.iter().any(|word| may_stand_for_ids(word)) {
        return Ok(words);
    }
    let targets = Vec::new();
    let present = daemon.processes(&Request::List { targets })?;
    let mut targets = Vec::new();
    for word in words {
        match of_word(&word)? {
            None if may_be_script(&word) && !is_known(&word, &present) => {
                let ids = ids_by_script(&word, daemon)?;
                match ids.is_empty() {
                    true => targets.push(word),
                    false => targets.extend(ids),
                }
            }
            None => targets.push(word),
            Some(regex) => targets.extend(ids(&word, &regex, &present)?),
        }
    }
    Ok(targets)
}

/// Whether it is the name or the namespace of a program.
fn is_known(word: &str, present: &[Process]) -> bool {
    let mut present = present.iter();
    present.any(|process| process.name == word || process.namespace == word)
}

/// The ids of the programs with this script, which is looked for from the working directory on, as pm2 has it.
fn ids_by_script(word: &str, daemon: &mut Daemon) -> Result<Vec<String>> {
    let Ok(script) = place::absolute(Path::new(word)) else {
        return Ok(Vec::new());
    };
    let records = daemon.describe(Vec::new())?.into_iter();
    let same = records.filter(|record| record.spec.script == script);
    Ok(same.map(|record| record.process.id.to_string()).collect())
}

fn ids(word: &str, regex: &Regex, present: &[Process]) -> Result<Vec<String>> {
    let matching = present
        .iter()
        .filter(|process| regex.matches(process.name.as_bytes()));
    let ids: Vec<String> = matching.map(|process| process.id.to_string()).collect();
    match ids.is_empty() {
        true => Err(Error::new(format!(
            "no program has a name that matches {word}"
        ))),
        false => Ok(ids),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::program_info;

    #[test]
    fn what_stands_between_slashes_is_an_expression() {
        for plain in ["api", "/", "//", "/api", "api/"] {
            assert!(of_word(plain).unwrap().is_none(), "{plain}");
            assert!(!is_one(plain), "{plain}");
        }
        assert!(is_one("/a/") && of_word("/a/").unwrap().is_some());
        let why = of_word("/a(/").err().unwrap().to_string();
        assert!(why.starts_with("/a(/ is no regular expression: "), "{why}");
    }

    #[test]
    fn an_expression_stands_for_the_ids_of_those_it_matches() {
        let mut programs = ["api-1", "web", "api-2"].map(|name| Process {
            name: name.to_owned(),
            ..program_info::sample().process
        });
        (0..).zip(&mut programs).for_each(|(id, one)| one.id = id);
        let ids_of = |word: &str| ids(word, &of_word(word).unwrap().unwrap(), &programs);
        assert_eq!(ids_of("/^api-/").unwrap(), ["0", "2"]);
        let why = ids_of("/x/").unwrap_err().to_string();
        assert_eq!(why, "no program has a name that matches /x/");
    }
}
