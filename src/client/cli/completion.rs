//! What makes a shell complete the commands, their flags, and the names of programs.

use std::fmt::Write as _;

use super::command::{COMMANDS, Command, DAEMON_LOG};
use super::flag;

/// The shells that there is a script for.
pub const SHELLS: &str = "bash, zsh and fish";

/// The completion script for a shell; none where there is none for it.
pub fn script(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash()),
        "zsh" => Some(format!(
            "autoload -U +X bashcompinit && bashcompinit\n{}",
            bash()
        )),
        "fish" => Some(fish()),
        _ => None,
    }
}

fn flags(command: &Command) -> String {
    let names = flag::known(command.flags, command.fields);
    let names: Vec<String> = names.iter().map(|name| format!("--{name}")).collect();
    names.join(" ")
}

/// Whether the words of a command name programs.
fn takes_names(command: &Command) -> bool {
    command.arguments.contains("name")
}

/// The word that a command takes beside names of programs.
fn other_word(command: &Command) -> Option<&'static str> {
    let words = command.arguments.split(['|', '[', ']']);
    words.into_iter().find(|word| *word == DAEMON_LOG)
}

/// The flags whose value is one of a few words, and these.
fn choices() -> impl Iterator<Item = (String, String)> {
    let choices = flag::fields().filter(|field| field.placeholder.contains('|'));
    choices.map(|field| (flag::kebab(field.name), field.placeholder.replace('|', " ")))
}

/// Names of programs, without launching a daemon just to complete a word.
const NAMES: &str = "[ -S \"${RPM_HOME:-$HOME/.rpm}/rpmd.sock\" ] && rpm list 2>/dev/null | awk 'NR > 1 { print $2 }'";

fn bash() -> String {
    let all: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    let mut out =
        String::from("_rpm() {\n  local word=${COMP_WORDS[COMP_CWORD]} flags= names= other=\n");
    let _ = writeln!(
        out,
        "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W '{}' -- \"$word\"))\n    return\n  fi\n  \
         case ${{COMP_WORDS[1]}} in",
        all.join(" ")
    );
    for command in COMMANDS {
        let names: Vec<&str> = command.names().collect();
        let known = if takes_names(command) {
            " names=yes"
        } else {
            ""
        };
        let other = other_word(command).map(|word| format!(" other={word}"));
        let _ = writeln!(
            out,
            "    {}) flags='{}'{known}{} ;;",
            names.join("|"),
            flags(command),
            other.unwrap_or_default()
        );
    }
    out.push_str("  esac\n  case ${COMP_WORDS[COMP_CWORD-1]} in\n");
    for (flag, words) in choices() {
        let _ = writeln!(
            out,
            "    --{flag}) COMPREPLY=($(compgen -W '{words}' -- \"$word\")); return ;;"
        );
    }
    let _ = write!(
        out,
        "  esac\n  case $word in\n    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n    \
         *) [ -z \"$names\" ] || COMPREPLY=($(compgen -W \"$other $({NAMES})\" -- \"$word\")) ;;\n  esac\n}}\n\
         complete -o default -F _rpm rpm\n"
    );
    out
}

fn fish() -> String {
    let mut out = String::from("complete -c rpm -n __fish_use_subcommand -f\n");
    for command in COMMANDS {
        let Command { name, meaning, .. } = command;
        let _ = writeln!(
            out,
            "complete -c rpm -n __fish_use_subcommand -a {name} -d '{meaning}'"
        );
        let names: Vec<&str> = command.names().collect();
        for flag in flag::known(command.flags, command.fields) {
            let names = names.join(" ");
            let words = choices().find(|(one, _)| *one == flag);
            let words = words.map(|(_, words)| format!(" -x -a '{words}'"));
            let _ = writeln!(
                out,
                "complete -c rpm -n '__fish_seen_subcommand_from {names}' -l {flag}{}",
                words.unwrap_or_default()
            );
        }
        if let Some(word) = other_word(command) {
            let _ = writeln!(
                out,
                "complete -c rpm -n '__fish_seen_subcommand_from {name}' -a {word}"
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_completed() {
        let (bash, fish) = (bash(), fish());
        for command in COMMANDS {
            assert!(bash.contains(&format!("{})", command.names().last().unwrap())));
            assert!(fish.contains(&format!("-a {} ", command.name)));
            assert!(!command.meaning.contains('\''));
        }
        assert!(bash.contains("--kill-timeout") && fish.contains("-l kill-timeout"));
        assert!(fish.contains("-l log-type -x -a 'raw json'\n"));
        assert!(fish.contains("_from logs' -a rpmd\n"));
    }
}
