//! Actions on programs that are under way. Each has a connection of its own: its answer may take as long as the program
//! takes to end.

use super::state::{Action, Message, Verb};
use crate::client::daemon::connect;
use crate::client::daemon::link::{Heard, Link};
use crate::paths::Home;
use crate::protocol::request::Request;
use crate::sys::poll::PollSet;

/// How many may be under way.
const MOST: usize = 16;

/// The actions without an answer.
pub struct Actions {
    home: Home,
    open: Vec<(Link, Action)>,
}

impl Actions {
    /// No actions yet.
    pub fn new(home: Home) -> Actions {
        Actions {
            home,
            open: Vec::new(),
        }
    }

    /// Begins one.
    ///
    /// # Errors
    /// A sentence.
    pub fn begin(&mut self, action: Action) -> Result<(), String> {
        if self.open.len() >= MOST {
            return Err(format!(
                "{MOST} programs are being changed already; wait for them"
            ));
        }
        let targets = vec![action.id.to_string()];
        let request = match action.verb {
            Verb::Start | Verb::Restart => Request::Restart {
                targets,
                told: None,
            },
            Verb::Stop => Request::Stop { targets },
            Verb::Pause => Request::Pause { targets },
            Verb::Resume => Request::Resume { targets },
        };
        let link = Link::connect(&self.home).map_err(|error| error.to_string())?;
        let mut link = link.ok_or_else(|| connect::no_daemon(&self.home))?;
        link.ask(&request);
        self.open.push((link, action));
        Ok(())
    }

    /// What to poll.
    pub fn push<K: Copy>(&self, set: &mut PollSet<K>, token: K) {
        for (link, _) in &self.open {
            set.push(link.fd(), link.interest(), token);
        }
    }

    /// Sends and receives what can be at once. Gives the result of each action that has one.
    pub fn turn(&mut self) -> Vec<Message> {
        let mut results = Vec::new();
        self.open.retain_mut(|(link, action)| {
            let result = result(link, action);
            let is_open = result.is_none();
            results.extend(result);
            is_open
        });
        results
    }
}

fn result(link: &mut Link, action: &Action) -> Option<Message> {
    let lives = link.turn();
    let Action { verb, id, name } = action;
    let (present, past) = verb.words();
    let why = loop {
        match link.next() {
            Ok(Some(Heard::Row(_))) => {}
            Ok(Some(Heard::Done)) => {
                let text = format!("{past} {name} (id {id})");
                return Some(Message { text, bad: false });
            }
            Ok(None) if lives => return None,
            Ok(None) => break "the daemon ended before it had answered".to_owned(),
            Ok(Some(Heard::Refused(failure))) => break failure.message,
            Err(error) => break error.to_string(),
        }
    };
    let text = format!("cannot {present} {name}: {why}");
    Some(Message { text, bad: true })
}
