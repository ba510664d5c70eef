//! The programs that words name, those that are added later included.

use crate::client::daemon::targets;
use crate::error::Result;
use crate::protocol::process::Process;
use crate::protocol::program_info::ProgramInfo;
use crate::sys::regex::Regex;

/// The programs that a word names.
pub enum Target {
    /// All programs.
    All,
    /// The one with this id.
    Id(u32),
    /// Those with this name.
    Name(String),
    /// Those in this namespace.
    Namespace(String),
    /// Those with a name that matches.
    Pattern(Regex),
}

impl Target {
    /// The meaning of a word that names these programs now.
    pub fn of(word: &str, named: &[ProgramInfo]) -> Result<Target> {
        if let Some(regex) = targets::of_word(word)? {
            return Ok(Target::Pattern(regex));
        }
        let any = |is_so: &dyn Fn(&Process) -> bool| named.iter().any(|one| is_so(&one.process));
        let id = word.parse().ok().filter(|id| any(&|one| one.id == *id));
        Ok(match id {
            _ if word == "all" => Target::All,
            Some(id) => Target::Id(id),
            None if any(&|one| one.name == word) => Target::Name(word.to_owned()),
            None => Target::Namespace(word.to_owned()),
        })
    }

    /// Whether a program is one of them.
    pub fn matches(&self, process: &Process) -> bool {
        match self {
            Target::All => true,
            Target::Id(id) => process.id == *id,
            Target::Name(name) => process.name == *name,
            Target::Namespace(namespace) => process.namespace == *namespace,
            Target::Pattern(regex) => regex.matches(process.name.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::program_info;

    #[test]
    fn a_word_keeps_its_first_meaning() {
        let mut api = program_info::sample();
        (api.process.id, api.process.name) = (3, "api".to_owned());
        let mut job = program_info::sample();
        (job.process.id, job.process.namespace) = (4, "jobs".to_owned());
        let records = [api, job];
        let later = |id, name: &str, namespace: &str| Process {
            id,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            ..program_info::sample().process
        };
        for (word, same, other) in [
            ("all", later(9, "x", "y"), None),
            ("3", later(3, "x", "y"), Some(later(4, "3", "y"))),
            ("api", later(9, "api", "y"), Some(later(9, "x", "api"))),
            ("jobs", later(9, "x", "jobs"), Some(later(9, "jobs", "y"))),
            ("/p/", later(9, "ape", "y"), Some(later(9, "x", "p"))),
        ] {
            let target = Target::of(word, &records).unwrap();
            assert!(target.matches(&same), "{word}");
            assert!(other.is_none_or(|other| !target.matches(&other)), "{word}");
        }
    }
}
