//! Help, made from the tables of commands, flags and settings. It fits 80 columns.

use std::fmt::Write as _;

use super::command::{COMMANDS, Command};
use super::flag::{self, Flag, GLOBAL, kebab};
use crate::model::field::Field;
use crate::protocol::RELEASE;

/// The width of help in columns.
const WIDTH: usize = 80;
/// The column of the descriptions of flags.
const FLAG_COLUMN: usize = 30;
/// The column of the descriptions of commands.
const COMMAND_COLUMN: usize = 14;

/// The version, as `rpm --version` prints it.
pub fn version() -> String {
    format!("rpm {RELEASE}\n")
}

/// All commands, one per line.
pub fn overview() -> String {
    let mut out = String::from("Usage: rpm [flags] <command> [arguments]\n\n");
    paragraph(
        &mut out,
        "Keep programs running. The daemon, rpmd, is started on first use.",
        0,
    );
    out.push_str("\nCommands:\n");
    for command in COMMANDS {
        item(&mut out, command.name, command.meaning, COMMAND_COLUMN);
    }
    out.push_str("\nFlags of every command:\n");
    for flag in GLOBAL {
        item(&mut out, &spelling(flag), flag.meaning, FLAG_COLUMN);
    }
    out.push_str("\nrpm help COMMAND explains a command and its flags.\n");
    out
}

/// One command with its operands and flags.
pub fn command(command: &Command) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}\n", usage(command));
    paragraph(
        &mut out,
        &format!("{}. {}", capital(command.meaning), command.help),
        0,
    );
    if !command.aliases.is_empty() {
        let _ = writeln!(out, "\nAlso called: {}", command.aliases.join(", "));
    }
    out.push_str("\nFlags:\n");
    for flag in flag::flags_of(Some(command)).filter(|flag| !flag.hidden) {
        item(&mut out, &spelling(flag), flag.meaning, FLAG_COLUMN);
    }
    for field in flag::settings().filter(|_| command.fields) {
        item(
            &mut out,
            &field_spelling(field),
            &field_meaning(field),
            FLAG_COLUMN,
        );
    }
    for flag in GLOBAL {
        item(&mut out, &spelling(flag), flag.meaning, FLAG_COLUMN);
    }
    out
}

/// The usage line of a command.
pub fn usage(command: &Command) -> String {
    let mut out = format!("Usage: rpm {}", command.name);
    if !command.arguments.is_empty() {
        let _ = write!(out, " {}", command.arguments);
    }
    out.push_str(" [flags]");
    if command.fields {
        out.push_str(" [-- arguments]");
    }
    out
}

/// The text with a capital letter at the beginning.
pub fn capital(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + rest.as_str()
}

fn spelled(short: Option<char>, name: &str, placeholder: &str) -> String {
    let mut out = match short {
        Some(letter) => format!("-{letter}, --{name}"),
        None => format!("    --{name}"),
    };
    match placeholder {
        "" => {}
        // An optional value follows the name without a space.
        optional if optional.starts_with('[') => out.push_str(optional),
        placeholder => {
            let _ = write!(out, " {placeholder}");
        }
    }
    out
}

/// A flag as help shows it: `-s, --silent`.
pub fn spelling(flag: &Flag) -> String {
    spelled(flag.short, flag.name, flag.placeholder)
}

/// A setting as a flag; a switch that is on by default can only be turned off.
pub fn field_spelling(field: &Field) -> String {
    if flag::is_on_by_default(field) {
        format!("    --no-{}", kebab(field.name))
    } else {
        spelled(field.short, &kebab(field.name), field.placeholder)
    }
}

/// The description of a setting, with its default and its other names.
pub fn field_meaning(field: &Field) -> String {
    let mut out = if flag::is_on_by_default(field) {
        format!("turn off: {}", field.meaning)
    } else {
        field.meaning.to_owned()
    };
    if let Some(default) = default_of(field) {
        let _ = write!(out, "; by default {default}");
    }
    if !field.aliases.is_empty() {
        let aliases: Vec<_> = field
            .aliases
            .iter()
            .map(|name| format!("--{}", kebab(name)))
            .collect();
        let _ = write!(out, " (also {})", aliases.join(", "));
    }
    out
}

/// The default of a setting as users write it. `None`: it has no default, or its description contains it.
pub fn default_of(field: &Field) -> Option<String> {
    let text = field.default_text();
    if field.is_switch() || text.is_empty() || field.meaning.contains("by default") {
        return None;
    }
    match (field.placeholder, text.parse::<u64>()) {
        ("TIME", Ok(millis)) if millis > 0 && millis % 1000 == 0 => {
            Some(format!("{}s", millis / 1000))
        }
        ("TIME", _) => Some(format!("{text}ms")),
        ("SIZE", Ok(bytes)) if bytes > 0 && bytes % (1 << 20) == 0 => {
            Some(format!("{}M", bytes >> 20))
        }
        _ => Some(text),
    }
}

/// A term and its description, which begins on a line of its own if the term is too long.
fn item(out: &mut String, term: &str, explanation: &str, column: usize) {
    let start = out.len();
    let _ = write!(out, "  {term}");
    let used = out.get(start..).unwrap_or_default().chars().count();
    match column.checked_sub(used).filter(|room| *room > 1) {
        Some(room) => out.extend(std::iter::repeat_n(' ', room)),
        None => {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', column));
        }
    }
    wrap(out, explanation, column, column);
}

fn paragraph(out: &mut String, text: &str, indent: usize) {
    wrap(out, text, 0, indent);
}

/// Appends text that begins in column `at`, with line breaks between words.
fn wrap(out: &mut String, text: &str, mut at: usize, indent: usize) {
    let mut first = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if !first && at + 1 + length > WIDTH {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            at = indent;
        } else if !first {
            out.push(' ');
            at += 1;
        }
        out.push_str(word);
        at += length;
        first = false;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::flag::FLAGS;
    use super::*;

    fn all() -> impl Iterator<Item = String> {
        COMMANDS.iter().map(command).chain([overview()])
    }

    #[test]
    fn help_fits_eighty_columns() {
        for text in all() {
            for line in text.lines() {
                assert!(line.chars().count() <= WIDTH, "{line}");
                assert_eq!(line, line.trim_end());
            }
        }
    }

    #[test]
    fn the_overview_has_every_command_and_its_help_every_flag() {
        let overview = overview();
        for known in COMMANDS {
            assert!(
                overview.contains(&format!("\n  {} ", known.name)),
                "{}",
                known.name
            );
            let text = command(known);
            for name in flag::names(Some(known)) {
                let switch = name.strip_prefix("no-").unwrap_or(&name).to_owned();
                let hidden = FLAGS.iter().any(|flag| flag.hidden && flag.name == name);
                let found = [name, format!("no-{switch}"), switch];
                let found = found.iter().any(|name| text.contains(&format!("--{name}")));
                assert!(
                    found || hidden,
                    "{found:?} is not in the help of {}",
                    known.name
                );
            }
        }
    }

    #[test]
    fn help_has_the_defaults() {
        let text = command(crate::client::cli::command::find("start").unwrap());
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(
            "-k, --kill-timeout TIME the time to wait for its end before SIGKILL is sent; by default 1600ms"
        ));
        assert!(text.contains("--no-autorestart turn off: restart it"));
        assert!(
            text.contains("--min-uptime TIME a run shorter than this is unstable; by default 1s")
        );
    }
}
