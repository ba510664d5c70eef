//! One run of the client: what was asked for, and how the answer shall look.

use std::os::fd::AsFd;

use super::connect;
use super::exchange::Daemon;
use super::targets::{self, target};
use crate::client::cli::arguments::Invocation;
use crate::client::display::output::{self, Look};
use crate::error::{Error, Result};
use crate::paths::Home;
use crate::protocol::RELEASE;
use crate::sys::terminal;
use crate::units;

/// The exit status of a command that did what it was asked to.
pub const DONE: u8 = 0;
/// Something failed, or nothing matched.
pub const FAILED: u8 = 1;
/// The command line was wrong.
pub const USAGE_ERROR: u8 = 2;
/// The programs are known, and not all of them are online.
pub const NOT_ONLINE: u8 = 3;

/// What the functions of the commands work with.
pub struct Session {
    /// What was asked for.
    pub invocation: Invocation,
    /// How tables look.
    pub look: Look,
}

impl Session {
    /// A session for what was asked for.
    pub fn new(invocation: Invocation) -> Session {
        let mut look = Look::of_stdout();
        look.colour &= !invocation.options.no_color;
        look.mini = invocation.options.mini_list;
        Session { invocation, look }
    }

    /// The daemon's home.
    pub fn home(&self) -> Result<Home> {
        crate::paths::Home::from_environment()
    }

    /// The daemon, launched where none runs.
    pub fn daemon(&self) -> Result<Daemon> {
        let home = self.home()?;
        if !self.invocation.options.silent {
            connect::deaths(&home)
                .into_iter()
                .for_each(output::complain);
        }
        let launches = self
            .invocation
            .command
            .is_none_or(|command| command.launches);
        let daemon = match launches {
            true => connect::connect_or_launch(home, self.invocation.options.silent)?,
            false => match connect::connect(&home)? {
                Some(daemon) => daemon,
                None => return Err(Error::new(connect::no_daemon(&home))),
            },
        };
        let release = daemon.release();
        if self.advises() && units::is_newer(RELEASE, release) {
            output::complain(format!(
                "the daemon is rpmd {release} and this is rpm {RELEASE}; rpm update has the new one go on in its place"
            ));
        }
        Ok(daemon)
    }

    /// Whether advice is welcome: to people it is.
    fn advises(&self) -> bool {
        !self.invocation.options.silent && terminal::is_terminal(std::io::stderr().as_fd())
    }

    /// The words.
    pub fn words(&self) -> Result<Vec<String>> {
        let words = self.invocation.words.iter();
        words.map(|word| target(word)).collect()
    }

    /// The words, each of which names programs.
    pub fn targets(&self) -> Result<Vec<String>> {
        self.expanded(self.words()?)
    }

    /// Words that name programs, with ids in the place of regular expressions and scripts.
    pub fn expanded(&self, words: Vec<String>) -> Result<Vec<String>> {
        match words.iter().any(|word| targets::may_stand_for_ids(word)) {
            true => targets::expanded(words, &mut self.daemon()?),
            false => Ok(words),
        }
    }

    /// News for people: nothing where silence was asked for.
    pub fn say(&self, news: &str) -> Result<()> {
        match self.invocation.options.silent {
            true => Ok(()),
            false => output::print(news.as_bytes()),
        }
    }

    /// Whether news is followed by the table: people want it, scripts do not.
    pub fn wants_table(&self) -> bool {
        self.look.terminal && !self.invocation.options.silent
    }
}
