//! A Procfile, as of Heroku and foreman: a line `NAME: COMMAND` per program. The shell runs the command.

use super::apps::Apps;
use super::json::Source;

/// Reads all lines. Empty lines and lines that begin with `#` are ignored.
pub fn read(source: &Source, apps: &mut Apps) {
    let mut at = 0;
    for line in source.text.split(|b| *b == b'\n') {
        let begin = at;
        at += line.len() + 1;
        let bare = line.trim_ascii();
        if bare.is_empty() || bare.starts_with(b"#") {
            continue;
        }
        match pair(bare) {
            Some((name, command)) => apps.take_command(begin, name, command),
            None => apps.fault(begin, "expected NAME: COMMAND"),
        }
    }
}

/// The name and command of a line. A name has letters, digits, `-` and `_`, as in foreman.
fn pair(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|b| *b == b':')?;
    let (name, rest) = line.split_at_checked(colon)?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let command = rest.get(1..)?.trim_ascii();
    let valid = !name.is_empty() && name.iter().all(plain) && !command.is_empty();
    valid.then_some((std::str::from_utf8(name).ok()?, command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_and_commands() {
        assert_eq!(
            pair(b"web: node a.js -p 80"),
            Some(("web", &b"node a.js -p 80"[..]))
        );
        assert_eq!(pair(b"a_b-1:x: y"), Some(("a_b-1", &b"x: y"[..])));
        for wrong in [&b"web"[..], b": x", b"web:", b"a b: x", b"\xff: x"] {
            assert_eq!(pair(wrong), None);
        }
    }
}
