//! `rpm monit`: programs and their logs on the whole screen, kept up to date.
//!
//! ```text
//! screen    the event loop
//! keys      bytes of the terminal → keys             pure
//! list      the programs, order, selection           pure
//! state     what is shown, what a key does           pure
//! view      state and size → lines                   pure; line, columns, text, history make them
//! renderer  lines → the terminal, only changed ones
//! pane      the selected program's log files
//! actions   what is being done to programs
//! ```

mod actions;
mod columns;
mod history;
mod keys;
mod line;
mod list;
mod pane;
mod renderer;
mod screen;
mod state;
mod text;
mod view;

use std::ffi::OsString;
use std::os::fd::AsFd;

use crate::client::daemon::session::{DONE, FAILED, Session};
use crate::error::{Context, Error, Result};
use crate::protocol::request::Request;
use crate::sys::signal::{self, Signal};
use crate::sys::terminal::{self, FullScreen};
use line::Style;
use screen::{Left, Screen};

/// `rpm monit`
pub fn run(session: &mut Session) -> Result<u8> {
    let style = style(session)?;
    let targets = session.targets()?;
    // Before the terminal is taken, so that an error can be read.
    let request = Request::List {
        targets: targets.clone(),
    };
    session.daemon()?.processes(&request)?;
    let terminal = FullScreen::open().doing(|| "opening the terminal")?;
    let left = Screen::new(session.home()?, targets, &terminal, style)?.run();
    drop(terminal);
    match left? {
        Left::Quit => Ok(DONE),
        Left::HungUp => Ok(FAILED),
        Left::Signalled(signal) => {
            // A shell expects the signal itself as the cause of death.
            signal::act_by_default(signal, false);
            Ok(FAILED)
        }
    }
}

/// What the terminal can show.
///
/// # Errors
/// It cannot show a screen.
fn style(session: &Session) -> Result<Style> {
    let is_terminal = |fd: std::os::fd::BorrowedFd| terminal::is_terminal(fd);
    if !is_terminal(std::io::stdin().as_fd()) || !is_terminal(std::io::stdout().as_fd()) {
        return Err(Error::new(
            "monit needs a terminal as its standard input and output; rpm list prints program status",
        ));
    }
    let variable = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
    let terminal = variable("TERM").unwrap_or_default();
    if terminal.is_empty() || terminal == "dumb" {
        return Err(Error::new(
            "monit needs a terminal whose cursor can be moved, and TERM names none that can; \
             rpm list prints program status",
        ));
    }
    // The first of these that is set names the characters. locale(7)
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(variable);
    let locale = locale
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    let named = locale.contains("utf-8") || locale.contains("utf8");
    Ok(Style {
        look: session.look,
        // The fonts of the Linux console lack the block characters of bars.
        utf8: named && terminal != "linux",
    })
}

/// The signals that end it or concern its terminal.
const SIGNALS: [Signal; 7] = [
    Signal::INT,
    Signal::TERM,
    Signal::HUP,
    Signal::QUIT,
    Signal::TSTP,
    Signal::CONT,
    Signal::WINCH,
];

/// The signals that end it.
const DEADLY: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];
