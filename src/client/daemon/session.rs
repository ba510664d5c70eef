//! One run of the client.

use std::os::fd::AsFd;

use super::connect::{self, Announce};
use super::exchange::Daemon;
use super::targets::{self, target};
use crate::client::cli::arguments::Invocation;
use crate::client::display::output::{self, Look};
use crate::error::{Error, Result};
use crate::paths::Home;
use crate::protocol::RELEASE;
use crate::sys::terminal;
use crate::units;

/// Exit status: success.
pub const DONE: u8 = 0;
/// Exit status: something failed, or nothing matched.
pub const FAILED: u8 = 1;
/// Exit status: the command line is invalid.
pub const USAGE_ERROR: u8 = 2;
/// Exit status of `list`: not all selected programs are online.
pub const NOT_ONLINE: u8 = 3;

/// The context of a command.
pub struct Session {
    /// The command line.
    pub invocation: Invocation,
    /// The format of tables.
    pub look: Look,
}

impl Session {
    /// The session of a command line.
    pub fn new(invocation: Invocation) -> Session {
        let mut look = Look::of_stdout();
        look.colour &= !invocation.options.no_color;
        look.mini = invocation.options.mini_list;
        Session { invocation, look }
    }

    /// The home of the daemon.
    pub fn home(&self) -> Result<Home> {
        Home::from_environment()
    }

    /// Connects to the daemon, and launches it if none runs and the command does so.
    pub fn daemon(&self) -> Result<Daemon> {
        let home = self.home()?;
        if !self.invocation.options.silent {
            connect::deaths(&home)
                .into_iter()
                .for_each(output::complain);
        }
        let command = self.invocation.command;
        let daemon = if command.is_none_or(|command| command.launches) {
            connect::connect_or_launch(home, self.announce())?
        } else {
            let found = connect::connect(&home)?;
            found.ok_or_else(|| Error::new(connect::no_daemon(&home)))?
        };
        let release = daemon.release();
        if self.gives_advice() && units::is_newer(RELEASE, release) {
            output::complain(format!(
                "the daemon is rpmd {release} and this is rpm {RELEASE}; rpm update replaces the daemon"
            ));
        }
        Ok(daemon)
    }

    /// Whether the launch of a daemon is announced.
    pub fn announce(&self) -> Announce {
        if self.invocation.options.silent {
            Announce::No
        } else {
            Announce::Yes
        }
    }

    /// Whether advice is printed: only on terminals.
    fn gives_advice(&self) -> bool {
        !self.invocation.options.silent && terminal::is_terminal(std::io::stderr().as_fd())
    }

    /// The operands.
    pub fn words(&self) -> Result<Vec<String>> {
        let words = self.invocation.words.iter();
        words.map(|word| target(word)).collect()
    }

    /// The operands, each of which selects programs.
    pub fn targets(&self) -> Result<Vec<String>> {
        self.expanded(self.words()?)
    }

    /// Selectors of programs, with ids for regular expressions and scripts.
    pub fn expanded(&self, words: Vec<String>) -> Result<Vec<String>> {
        if words.iter().any(|word| targets::may_stand_for_ids(word)) {
            targets::expanded(words, &mut self.daemon()?)
        } else {
            Ok(words)
        }
    }

    /// Prints a message for users, unless --silent is given.
    pub fn say(&self, message: &str) -> Result<()> {
        if self.invocation.options.silent {
            Ok(())
        } else {
            output::print(message.as_bytes())
        }
    }

    /// Whether the table of programs follows a message: on terminals, not in scripts.
    pub fn wants_table(&self) -> bool {
        self.look.terminal && !self.invocation.options.silent
    }
}
