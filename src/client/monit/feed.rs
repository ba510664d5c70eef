//! What the daemon tells: the list, about once a second, and all that is known of one program.

use crate::client::daemon::exchange;
use crate::client::daemon::link::{Heard, Link};
use crate::error::{Error, Result};
use crate::paths::Home;
use crate::protocol::process::Process;
use crate::protocol::program_info::ProgramInfo;
use crate::protocol::request::Request;

/// How often the list is asked for, and how often a daemon that has gone is looked for, in ms.
const EVERY: u64 = 1_000;

/// When a daemon that has not answered is worth a word, in ms.
const LATE: u64 = 3_000;

/// What was asked, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    List,
    Describe,
}

/// News from the daemon.
pub enum News {
    /// All programs.
    List(Vec<Process>),
    /// One program.
    ProgramInfo(Box<ProgramInfo>),
    /// Why there is nothing else: a sentence.
    RequestError(String),
}

/// The conversation that the list comes from, begun again whenever it ends.
pub struct Feed {
    home: Home,
    targets: Vec<String>,
    link: Option<Link>,
    asked: Option<(Asked, u64)>,
    processes: Vec<Process>,
    record: Option<ProgramInfo>,
    due: u64,
}

impl Feed {
    /// The feed of the programs that are meant, all where there are no `targets`.
    pub fn new(home: Home, targets: Vec<String>) -> Feed {
        Feed {
            home,
            targets,
            link: None,
            asked: None,
            processes: Vec::new(),
            record: None,
            due: 0,
        }
    }

    /// What to poll.
    pub fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    /// When [`Feed::prompt`] has something to do.
    pub fn due(&self) -> u64 {
        match self.asked {
            Some((_, since)) => self.due.max(since + LATE),
            None => self.due,
        }
    }

    /// Something was done: the list is asked for at once.
    pub fn hurry(&mut self) {
        self.due = 0;
    }

    /// Connects and asks when it is time to. `wanted` is a program of which all shall be known.
    pub fn prompt(&mut self, now: u64, wanted: Option<u32>) -> Option<News> {
        if let Some((_, since)) = self.asked {
            let waited = now.saturating_sub(since);
            if waited < LATE || now < self.due {
                return None;
            }
            self.due = now + EVERY;
            return Some(News::RequestError(format!(
                "the daemon has not answered for {} s",
                waited / 1000
            )));
        }
        if now >= self.due {
            self.due = now + EVERY;
            if self.link.is_none() {
                match Link::connect(&self.home) {
                    Ok(link) => self.link = Some(link),
                    Err(_) => {
                        let home = self.home.root().display();
                        return Some(News::RequestError(format!(
                            "no daemon runs in {home}; waiting for one"
                        )));
                    }
                }
            }
            let targets = self.targets.clone();
            self.ask(Asked::List, &Request::List { targets }, now);
        } else if let Some(id) = wanted {
            let targets = vec![id.to_string()];
            self.ask(Asked::Describe, &Request::Describe { targets }, now);
        }
        None
    }

    fn ask(&mut self, what: Asked, request: &Request, now: u64) {
        if let Some(link) = &mut self.link {
            link.ask(request);
            self.asked = Some((what, now));
            self.processes.clear();
            self.record = None;
        }
    }

    /// Sends and hears what can be at once.
    pub fn turn(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        let Some(link) = &mut self.link else {
            return news;
        };
        let lives = link.turn();
        if let Err(error) = self.hear(&mut news) {
            news.push(News::RequestError(error.to_string()));
            self.hang_up();
        } else if !lives {
            let home = self.home.root().display();
            news.push(News::RequestError(format!(
                "the daemon in {home} has ended; waiting for the next one"
            )));
            self.hang_up();
        }
        news
    }

    fn hang_up(&mut self) {
        self.link = None;
        self.asked = None;
    }

    fn hear(&mut self, news: &mut Vec<News>) -> Result<()> {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        while let Some(heard) = link.next()? {
            let Some((what, _)) = self.asked else {
                return Err(Error::new("the daemon answers what was not asked"));
            };
            match heard {
                Heard::Row(line) if what == Asked::List => {
                    self.processes.push(exchange::program(&line)?)
                }
                Heard::Row(line) => {
                    let line = exchange::decoded(&line)?;
                    self.record = Some(exchange::program_info(&line, &self.home)?);
                }
                Heard::Done => {
                    self.asked = None;
                    match (what, self.record.take()) {
                        (Asked::List, _) => {
                            news.push(News::List(std::mem::take(&mut self.processes)))
                        }
                        (Asked::Describe, Some(record)) => {
                            news.push(News::ProgramInfo(Box::new(record)))
                        }
                        (Asked::Describe, None) => self.due = 0,
                    }
                }
                Heard::Refused(why) => {
                    self.asked = None;
                    match what {
                        Asked::List => {
                            news.push(News::List(Vec::new()));
                            news.push(News::RequestError(why));
                        }
                        // It has gone since the list was made, which is old then.
                        Asked::Describe => self.due = 0,
                    }
                }
            }
        }
        Ok(())
    }
}
