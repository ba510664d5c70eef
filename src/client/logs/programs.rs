//! The programs that are followed: which ones the daemon has, now and later. A daemon that goes away is waited for, and
//! none is launched.

use std::collections::{BTreeMap, VecDeque};

use super::follow::EVERY;
use crate::client::daemon::exchange;
use crate::client::daemon::link::{Heard, Link};
use crate::client::daemon::targets;
use crate::error::Result;
use crate::paths::Home;
use crate::protocol::process::Process;
use crate::protocol::program_info::ProgramInfo;
use crate::protocol::request::Request;
use crate::sys::inotify::Watcher;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::regex::Regex;

/// A socket that is there may not be listened at yet: how often, and after how long, in ms, it is tried again.
const TRIES: u32 = 20;
const AGAIN: u64 = 50;

/// What a word names, programs of later too.
pub enum Target {
    /// Every program.
    All,
    /// The one with this number.
    Id(u32),
    /// Those with this name.
    Name(String),
    /// Those of this namespace.
    Namespace(String),
    /// Those with a name that matches.
    Pattern(Regex),
}

impl Target {
    /// The meaning of a word, where these are the programs that the daemon took it to name.
    pub fn of(word: &str, named: &[ProgramInfo]) -> Result<Target> {
        if let Some(regex) = targets::of_word(word)? {
            return Ok(Target::Pattern(regex));
        }
        let any = |is_so: &dyn Fn(&Process) -> bool| named.iter().any(|one| is_so(&one.process));
        let id = word.parse().ok().filter(|id| any(&|one| one.id == *id));
        Ok(match id {
            _ if word == "all" => Target::All,
            Some(id) => Target::Id(id),
            None if any(&|one| one.name == word) => Target::Name(word.to_owned()),
            None => Target::Namespace(word.to_owned()),
        })
    }

    fn means(&self, process: &Process) -> bool {
        match self {
            Target::All => true,
            Target::Id(id) => process.id == *id,
            Target::Name(name) => process.name == *name,
            Target::Namespace(namespace) => process.namespace == *namespace,
            Target::Pattern(regex) => regex.matches(process.name.as_bytes()),
        }
    }
}

/// What was heard of them.
pub enum News {
    /// A program that is followed has these settings now.
    Is(Box<ProgramInfo>),
    /// The program with this number is not in the list any more.
    Gone(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Events,
    Programs,
}

/// What the daemon tells.
pub struct Programs {
    home: Home,
    /// Which are followed; none: all.
    targets: Vec<Target>,
    link: Option<Link>,
    asked: VecDeque<Asked>,
    /// Those that were told of, and the pids that they had then.
    known: BTreeMap<u32, i32>,
    /// Hears of a daemon that comes; there is one as long as none is connected.
    watcher: Option<Watcher>,
    /// When the daemon is looked for again, on a clock that never steps, in ms, and how often still.
    again: Option<u64>,
    tries: u32,
}

impl Programs {
    /// Those in this home that are meant, all where there are no targets.
    pub fn new(home: Home, targets: Vec<Target>) -> Programs {
        Programs {
            home,
            targets,
            link: None,
            asked: VecDeque::new(),
            known: BTreeMap::new(),
            watcher: None,
            again: None,
            tries: 0,
        }
    }

    fn means(&self, process: &Process) -> bool {
        self.targets.is_empty() || self.targets.iter().any(|target| target.means(process))
    }

    /// Connects where there is a daemon, and has its coming watched for where there is none.
    pub fn connect(&mut self, now: u64) {
        self.again = None;
        if self.link.is_some() {
            return;
        }
        // Before it is looked for, so that it is not missed in between.
        self.watch_home();
        match Link::connect(&self.home) {
            Ok(link) => {
                self.link = Some(link);
                self.watcher = None;
                self.tries = TRIES;
                // From now on what happens is told; what has happened is in the list.
                self.ask(Asked::Events, &Request::Events);
                let targets = Vec::new();
                self.ask(Asked::Programs, &Request::Describe { targets });
            }
            Err(_) if self.tries > 0 => {
                self.tries -= 1;
                self.again = Some(now + AGAIN);
            }
            // Nothing tells of it.
            Err(_) if self.watcher.is_none() => self.again = Some(now + EVERY),
            Err(_) => {}
        }
    }

    fn watch_home(&mut self) {
        if self.watcher.is_none() {
            let watcher = Watcher::new();
            self.watcher = watcher
                .and_then(|watcher| watcher.add_for_work(self.home.root()).map(|_| watcher))
                .ok();
        }
    }

    /// When [`Programs::connect`] is to be called.
    pub fn due(&self) -> Option<u64> {
        self.again
    }

    fn ask(&mut self, what: Asked, request: &Request) {
        if let Some(link) = &mut self.link {
            link.ask(request);
            self.asked.push_back(what);
        }
    }

    /// What to poll.
    pub fn push<T: Copy>(&self, set: &mut PollSet<T>, of_link: T, of_home: T) {
        if let Some(link) = &self.link {
            set.push(link.fd(), link.interest(), of_link);
        }
        if let Some(watcher) = &self.watcher {
            set.push(watcher.fd(), Interest::READ, of_home);
        }
    }

    /// Something has changed in the home folder.
    pub fn hear_home(&mut self, now: u64) {
        let Some(watcher) = &self.watcher else {
            return;
        };
        let socket = self.home.socket();
        let changes = watcher.read().unwrap_or_default();
        let is_about = |name: &std::ffi::OsStr| Some(name) == socket.file_name();
        if changes.iter().any(|change| is_about(&change.name)) {
            self.tries = TRIES;
            self.connect(now);
        }
    }

    /// Sends and hears what can be at once.
    pub fn turn(&mut self, now: u64) -> Vec<News> {
        let mut news = Vec::new();
        let lives = self.link.as_mut().is_some_and(Link::turn);
        let heard = self.hear(&mut news);
        if heard.is_err() || !lives {
            self.link = None;
            self.asked.clear();
            match heard {
                Ok(()) => {
                    self.tries = TRIES;
                    self.connect(now);
                }
                // One that does not speak our protocol will not do so in a moment either.
                Err(_) => self.watch_home(),
            }
        }
        news
    }

    fn hear(&mut self, news: &mut Vec<News>) -> Result<()> {
        while let Some(heard) = self.link.as_mut().map(Link::next).transpose()?.flatten() {
            match heard {
                Heard::Row(line) => self.hear_row(&line, news)?,
                // A program may have gone while it was asked for.
                Heard::Done | Heard::Refused(_) => drop(self.asked.pop_front()),
            }
        }
        Ok(())
    }

    fn hear_row(&mut self, line: &[u8], news: &mut Vec<News>) -> Result<()> {
        let line = exchange::decoded(line)?;
        let process = exchange::process(&line)?;
        if !self.means(&process) {
            return Ok(());
        }
        if line.tag != "event" {
            self.known.insert(process.id, process.pid);
            let record = exchange::program_info(&line, &self.home)?;
            news.push(News::Is(Box::new(record)));
        } else if line.get("what") == Some(b"deleted") {
            self.known.remove(&process.id);
            news.push(News::Gone(process.id));
        } else if process.pid > 0 && self.known.get(&process.id) != Some(&process.pid) {
            // It runs anew, and may have other settings.
            self.known.insert(process.id, process.pid);
            let targets = vec![process.id.to_string()];
            self.ask(Asked::Programs, &Request::Describe { targets });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::program_info;

    #[test]
    fn a_word_means_later_what_it_meant_at_first() {
        let mut api = program_info::sample();
        (api.process.id, api.process.name) = (3, "api".to_owned());
        let mut job = program_info::sample();
        (job.process.id, job.process.namespace) = (4, "jobs".to_owned());
        let records = [api, job];
        let later = |id, name: &str, namespace: &str| Process {
            id,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            ..program_info::sample().process
        };
        for (word, same, other) in [
            ("all", later(9, "x", "y"), None),
            ("3", later(3, "x", "y"), Some(later(4, "3", "y"))),
            ("api", later(9, "api", "y"), Some(later(9, "x", "api"))),
            ("jobs", later(9, "x", "jobs"), Some(later(9, "jobs", "y"))),
            ("/p/", later(9, "ape", "y"), Some(later(9, "x", "p"))),
        ] {
            let target = Target::of(word, &records).unwrap();
            assert!(target.means(&same), "{word}");
            assert!(other.is_none_or(|other| !target.means(&other)), "{word}");
        }
    }
}
