//! The commands that explain rpm: `help`, `completion` and `version`.

use crate::client::cli::command::{self, COMMANDS, Command};
use crate::client::cli::{completion, help, man};
use crate::client::daemon::session::{DONE, Session};
use crate::client::display::output;
use crate::error::{Error, Result};
use crate::units;

/// `rpm help`
pub fn run(session: &mut Session) -> Result<u8> {
    let words = session.words()?;
    let word = words.first().map(String::as_str);
    let text = match (session.invocation.options.man, word) {
        (true, name) => man::page(name.unwrap_or("rpm"))?,
        (false, None) => help::overview(),
        (false, Some(word)) => match command::find(word) {
            Some(known) => help::command(known),
            None => return Err(no_command(word)),
        },
    };
    output::print(text.as_bytes())?;
    Ok(DONE)
}

fn no_command(word: &str) -> Error {
    let names = COMMANDS.iter().flat_map(Command::names);
    let hint = units::nearest(word, names).map(|near| format!(" (did you mean {near}?)"));
    Error::new(format!(
        "no command {word}{}; see rpm help",
        hint.unwrap_or_default()
    ))
}

/// `rpm completion`
pub fn completion(session: &mut Session) -> Result<u8> {
    let words = session.words()?;
    let shell = words.first().map_or("", String::as_str);
    let script = completion::script(shell).ok_or_else(|| {
        let shells = completion::SHELLS;
        Error::new(format!(
            "no completion for {shell}; there is one for {shells}"
        ))
    })?;
    output::print(script.as_bytes())?;
    Ok(DONE)
}

/// `rpm version`
pub fn version(_: &mut Session) -> Result<u8> {
    output::print(help::version().as_bytes())?;
    Ok(DONE)
}
