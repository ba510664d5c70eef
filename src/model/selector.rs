//! How people name programs: by id, by name, `all`.

use std::collections::{BTreeMap, BTreeSet};

/// One word that means some programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Every program.
    All,
    /// The program with this number, else those with this name.
    Number(u32, String),
    /// Those with this name, else those of this namespace.
    Name(String),
}

/// What of a program a selector looks at.
pub struct Subject<'a> {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
}

impl Selector {
    /// The meaning of a word. An id has one spelling: `007` and `+7` are names.
    pub fn parse(word: &str) -> Selector {
        match word.parse::<u32>() {
            _ if word == "all" => Selector::All,
            Ok(id) if id.to_string() == word => Selector::Number(id, word.to_owned()),
            _ => Selector::Name(word.to_owned()),
        }
    }
}

/// The ids that words mean together, in order and each once. The programs are looked at once, however many words there
/// are.
///
/// # Errors
///
/// The first word that means nothing.
pub fn select<'w, 'a>(
    words: &'w [String],
    subjects: impl Iterator<Item = Subject<'a>>,
) -> Result<Vec<u32>, &'w str> {
    let mut all = BTreeSet::new();
    let mut names: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    let mut namespaces: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for subject in subjects {
        all.insert(subject.id);
        names.entry(subject.name).or_default().push(subject.id);
        let members = namespaces.entry(subject.namespace).or_default();
        members.push(subject.id);
    }
    let named = |name: &str| names.get(name).map(Vec::as_slice).unwrap_or_default();
    let mut found = BTreeSet::new();
    // A word that comes again means the same.
    let distinct: BTreeSet<&str> = words.iter().map(String::as_str).collect();
    let mut nothing = BTreeSet::new();
    for word in distinct {
        let ids = match Selector::parse(word) {
            Selector::All => {
                found.extend(all.iter().copied());
                &[][..]
            }
            Selector::Number(id, _) if all.contains(&id) => {
                found.insert(id);
                continue;
            }
            Selector::Number(_, name) => named(&name),
            Selector::Name(name) if named(&name).is_empty() => namespaces
                .get(name.as_str())
                .map(Vec::as_slice)
                .unwrap_or_default(),
            Selector::Name(name) => named(&name),
        };
        found.extend(ids);
        let means_all = word == "all" && !all.is_empty();
        if ids.is_empty() && !means_all {
            nothing.insert(word);
        }
    }
    match words.iter().find(|word| nothing.contains(word.as_str())) {
        Some(word) => Err(word),
        None => Ok(found.into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects() -> impl Iterator<Item = Subject<'static>> {
        let all = [
            (0, "api", "web"),
            (1, "api", "web"),
            (2, "7", "jobs"),
            (3, "web", "jobs"),
        ];
        all.into_iter().map(|(id, name, namespace)| Subject {
            id,
            name,
            namespace,
        })
    }

    fn meant(words: &[&str]) -> Result<Vec<u32>, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        select(&words, subjects()).map_err(str::to_owned)
    }

    #[test]
    fn a_word_means_an_id_then_a_name_then_a_namespace() {
        for (word, ids) in [
            ("all", &[0, 1, 2, 3][..]),
            ("1", &[1]),
            ("7", &[2]),
            ("api", &[0, 1]),
            ("web", &[3]),
            ("jobs", &[2, 3]),
        ] {
            assert_eq!(meant(&[word]).unwrap(), ids, "{word}");
        }
        for word in ["nothing", "-1", "8", "", "+1", "01"] {
            assert_eq!(meant(&[word]), Err(word.to_owned()));
        }
        assert_eq!(select(&["all".to_owned()], std::iter::empty()), Err("all"));
    }

    #[test]
    fn words_mean_each_program_once_and_the_first_that_means_nothing_is_named() {
        assert_eq!(meant(&["jobs", "3", "api", "3"]).unwrap(), [0, 1, 2, 3]);
        assert_eq!(meant(&["all", "1", "all"]).unwrap(), [0, 1, 2, 3]);
        assert_eq!(meant(&["api", "z", "a"]), Err("z".to_owned()));
    }

    #[test]
    fn many_words_look_at_each_program_once() {
        let words: Vec<String> = (0..100_000).map(|_| "all".to_owned()).collect();
        let mut looked = 0;
        let counted = subjects().inspect(|_| looked += 1);
        assert_eq!(select(&words, counted).map(|ids| ids.len()), Ok(4));
        assert_eq!(looked, 4);
    }
}
