//! Splitting a string of arguments as pm2 does for `args`.

/// The words between white space. A word, or its part after `=`, may be quoted; the quotes are removed. A quote anywhere
/// else, and every backslash, is an ordinary character.
pub fn split(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let opens = word.as_ref().is_none_or(|w| w.last() == Some(&b'='));
        let quoted = match first {
            b'"' | b'\'' if opens => after.iter().position(|b| b == first),
            _ => None,
        };
        match quoted {
            Some(end) => {
                let inner = after.get(..end).unwrap_or_default();
                word.get_or_insert_default().extend_from_slice(inner);
                rest = after.get(end + 1..).unwrap_or_default();
            }
            None if first.is_ascii_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(*first),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_by_pm2() {
        for (text, words) in [
            ("", &[][..]),
            ("  -p  80 ", &["-p", "80"]),
            ("-u \"a b\" c", &["-u", "a b", "c"]),
            ("--x='a b' ''", &["--x=a b", ""]),
            ("it's \\d+ \"open", &["it's", "\\d+", "\"open"]),
        ] {
            assert_eq!(
                split(text.as_bytes()),
                words.iter().map(|w| w.as_bytes()).collect::<Vec<_>>()
            );
        }
    }
}
