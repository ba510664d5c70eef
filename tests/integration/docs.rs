//! Help and README tell of what is there.

use std::collections::BTreeSet;
use std::fs;

use rpm::model::field::FIELDS;

use crate::harness::{Home, project, skip};

/// The commands as the source of the client lists them, aliases included.
fn commands() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(project().join("src/client/command.rs")).unwrap();
    let quoted = |text: &str| -> Vec<String> {
        text.split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let rows = text.split("Command { name: ").skip(1);
    rows.map(|row| {
        let name = quoted(row)[0].clone();
        let aliases = row.split("aliases: &[").nth(1).unwrap();
        (name, quoted(aliases.split(']').next().unwrap()))
    })
    .collect()
}

/// The words behind `--` in a text.
fn flags_in(text: &str) -> BTreeSet<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c == '-';
    let words = text.split("--").skip(1);
    words
        .map(|rest| rest.chars().take_while(|c| plain(*c)).collect::<String>())
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn every_command_is_in_the_help_and_has_a_help_of_its_own() {
    let home = Home::new();
    let overview = home.rpm(&["help"]).ok().stdout;
    let commands = commands();
    assert!(commands.len() > 10);
    for (name, aliases) in commands {
        assert!(
            overview.contains(&format!("  {name} ")),
            "{name} is not in:\n{overview}"
        );
        let text = home.rpm(&["help", &name]).ok().stdout;
        assert!(text.starts_with(&format!("Usage: rpm {name}")), "{text}");
        assert_eq!(home.rpm(&[&name, "--help"]).ok().stdout, text);
        for alias in aliases {
            assert!(text.contains(&alias), "{alias} is not in:\n{text}");
            assert_eq!(home.rpm(&["help", &alias]).ok().stdout, text);
        }
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
    assert!(!home.root.exists(), "help launches no daemon");
}

#[test]
fn every_field_and_its_other_names_are_in_the_help_of_start() {
    let home = Home::new();
    let text = home.rpm(&["help", "start"]).ok().stdout;
    let flags = flags_in(&text);
    for field in FIELDS.iter().filter(|field| field.flag) {
        for name in field.names() {
            let name = name.replace('_', "-");
            let known = flags.contains(&name) || flags.contains(&format!("no-{name}"));
            assert!(known, "--{name} is not in:\n{text}");
        }
        if let Some(letter) = field.short {
            assert!(text.contains(&format!("-{letter}, --")), "-{letter}");
        }
    }
}

/// Whether a line of help explains a flag: explanations go on much further to the right.
fn starts_a_flag(line: &str) -> bool {
    let bare = line.trim_start();
    bare.starts_with('-') && line.len() - bare.len() < 10
}

#[test]
fn every_flag_that_help_shows_is_taken() {
    let home = Home::new();
    for (name, _) in commands() {
        let text = home.rpm(&["help", &name]).ok().stdout;
        let column = text.split("\nFlags:\n").nth(1).unwrap();
        for line in column.lines().filter(|line| starts_a_flag(line)) {
            let term = line.trim_start().split("  ").next().unwrap();
            let flag = flags_in(term).into_iter().next().unwrap();
            // With a value where it needs one; --help keeps the command from doing anything.
            let mut words = vec![name.clone(), format!("--{flag}")];
            match term.split_ascii_whitespace().last() {
                Some(word) if word.starts_with('-') => {}
                Some("FIELD") => words.push("name".to_owned()),
                Some("MODE") => words.push("fork".to_owned()),
                Some("raw|json") => words.push("json".to_owned()),
                Some("SOCKET") => words.push("tcp:80".to_owned()),
                _ => words.push("1".to_owned()),
            }
            words.push("--help".to_owned());
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            home.rpm(&words).ok();
        }
    }
}

#[test]
fn every_command_is_in_the_manual_and_the_completions() {
    let home = Home::new();
    let manual = home.rpm(&["help", "--man"]).ok().stdout.replace("\\-", "-");
    let shells = ["bash", "zsh", "fish"].map(|shell| home.rpm(&["completion", shell]).ok().stdout);
    for (name, _) in commands() {
        assert!(manual.contains(&name), "{name} is not in the manual");
        for text in &shells {
            assert!(text.contains(&name), "{name} is not in:\n{text}");
        }
    }
}

#[test]
fn the_bash_completion_is_a_script() {
    let home = Home::new();
    let completed = |words: &str| {
        let script = format!(
            "eval \"$($RPM completion bash)\"; complete -p rpm >/dev/null || exit 1\n\
             COMP_WORDS=(rpm {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _rpm; echo ${{COMPREPLY[@]}}"
        );
        home.shell(&script).ok().stdout
    };
    assert_eq!(completed("logs rp"), "rpmd\n");
    assert_eq!(completed("start x --log-type ''"), "raw json\n");
    assert_eq!(completed("start x --log-ty"), "--log-type\n");
}

#[test]
fn every_command_in_the_readme_exists() {
    let Ok(readme) = fs::read_to_string(project().join("README.md")) else {
        return skip("README.md is not there yet");
    };
    let known: BTreeSet<String> = commands()
        .into_iter()
        .flat_map(|(name, aliases)| std::iter::once(name).chain(aliases))
        .collect();
    let mut wrong = Vec::new();
    for block in readme.split("```").skip(1).step_by(2) {
        for line in block.lines() {
            let line = line.trim_start().trim_start_matches("$ ");
            let Some(rest) = line.strip_prefix("rpm ") else {
                continue;
            };
            let mut words = rest
                .split_ascii_whitespace()
                .filter(|w| !w.starts_with('-'));
            if let Some(word) = words.next() {
                if !known.contains(word) {
                    wrong.push(line.to_owned());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The words in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_readme_says_what_of_pm2_is_there_and_what_is_missing() {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## Coming from pm2\n").unwrap();
    let (_, table) = section.split_once("|---|---|---|\n").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let all: Vec<(String, Vec<String>)> = commands();
    let names =
        |(name, aliases): &(String, Vec<String>)| [std::slice::from_ref(name), aliases].concat();
    let commands: BTreeSet<String> = all.iter().flat_map(names).collect();
    let home = Home::new();
    // --help keeps the command from doing anything; a value may be wrong.
    let is_taken = |flag: &str| {
        let output = home.rpm(&["start", flag, "1", "--help"]);
        !output.stderr.contains("no flag")
    };
    let is_there = |word: &str| {
        if word.starts_with('-') {
            is_taken(word)
        } else {
            commands.contains(word)
        }
    };
    let mut named = BTreeSet::new();
    for row in table.lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let &["", _, there, missing, ""] = &cells[..] else {
            panic!("{cells:?}");
        };
        for word in quoted(there) {
            assert!(is_there(word), "{word} is not there");
            named.insert(word.to_owned());
        }
        let missing = missing.split('(').next().unwrap();
        for word in quoted(missing) {
            assert!(!is_there(word), "{word} is there");
        }
    }
    for (name, _) in all {
        let own = ["help", "version"].contains(&name.as_str());
        assert!(own || named.contains(&name), "{name} is not in the table");
    }
}
