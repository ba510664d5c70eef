//! How people name programs: by id, by name, `all`.

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
    /// The meaning of a word.
    pub fn parse(word: &str) -> Selector {
        match word.parse::<u32>() {
            _ if word == "all" => Selector::All,
            Ok(id) => Selector::Number(id, word.to_owned()),
            Err(_) => Selector::Name(word.to_owned()),
        }
    }

    /// The ids that are meant, in the order of `subjects`.
    pub fn select<'a, I>(&self, subjects: I) -> Vec<u32>
    where
        I: Iterator<Item = Subject<'a>> + Clone,
    {
        let pick = |wanted: &dyn Fn(&Subject) -> bool| -> Vec<u32> {
            subjects
                .clone()
                .filter(|s| wanted(s))
                .map(|s| s.id)
                .collect()
        };
        let first_found = |one: Vec<u32>, other: &dyn Fn(&Subject) -> bool| match one.is_empty() {
            true => pick(other),
            false => one,
        };
        match self {
            Selector::All => pick(&|_| true),
            Selector::Number(id, name) => first_found(pick(&|s| s.id == *id), &|s| s.name == *name),
            Selector::Name(name) => {
                first_found(pick(&|s| s.name == *name), &|s| s.namespace == *name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(word: &str) -> Vec<u32> {
        let all = [
            (0, "api", "web"),
            (1, "api", "web"),
            (2, "7", "jobs"),
            (3, "web", "jobs"),
        ];
        let subjects = all.iter().map(|(id, name, namespace)| Subject {
            id: *id,
            name,
            namespace,
        });
        Selector::parse(word).select(subjects)
    }

    #[test]
    fn a_word_means_an_id_then_a_name_then_a_namespace() {
        assert_eq!(select("all"), [0, 1, 2, 3]);
        assert_eq!(select("1"), [1]);
        assert_eq!(select("7"), [2]);
        assert_eq!(select("api"), [0, 1]);
        assert_eq!(select("web"), [3]);
        assert_eq!(select("jobs"), [2, 3]);
        assert!(select("nothing").is_empty());
        assert!(select("-1").is_empty());
    }
}
