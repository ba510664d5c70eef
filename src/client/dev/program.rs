//! The program as the daemon has it: it is restarted, at last removed, and heard of all the while. A daemon that has
//! gone is looked for again, and told what it may not have heard.

use std::collections::VecDeque;

use crate::client::daemon::connect;
use crate::client::daemon::exchange::{self, Daemon};
use crate::client::daemon::link::{Heard, Link};
use crate::error::Result;
use crate::model::life::State;
use crate::paths::Home;
use crate::protocol::process::Process;
use crate::protocol::request::Request;
use crate::sys::poll::PollSet;

/// How often a daemon is looked for that ends as soon as it is found.
const TRIES: usize = 3;

/// What is to be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Nothing,
    Restart,
    Delete,
}

/// What was asked, in the order in which the answers come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Events,
    List,
    Task,
}

/// What happened to it.
pub enum News {
    /// It runs anew.
    Started(Vec<Process>),
    /// It could not be started: a sentence.
    Failed(String),
    /// It has ended, and nobody here has wished that.
    Ended(Process),
    /// It is not in the list any more.
    Gone,
}

/// One of its instances.
struct Instance {
    id: u32,
    /// When it was added, in ms: a later daemon may give the number to others.
    created: u64,
    /// That it does not run is known.
    rests: bool,
}

/// All of it.
pub struct Program {
    home: Home,
    silent: bool,
    instances: Vec<Instance>,
    link: Option<Link>,
    asked: VecDeque<Asked>,
    rows: Vec<Process>,
    task: Task,
}

impl Program {
    /// A program that is in the list, and shall be started.
    pub fn new(home: Home, silent: bool, processes: &[Process]) -> Program {
        let instance = |process: &Process| Instance {
            id: process.id,
            created: process.created,
            rests: true,
        };
        Program {
            home,
            silent,
            instances: processes.iter().map(instance).collect(),
            link: None,
            asked: VecDeque::new(),
            rows: Vec::new(),
            task: Task::Restart,
        }
    }

    /// What names it.
    pub fn targets(&self) -> Vec<String> {
        let ids = self.instances.iter().map(|one| one.id.to_string());
        ids.collect()
    }

    /// Whether nothing is being done to it.
    pub fn is_settled(&self) -> bool {
        self.task == Task::Nothing
    }

    /// Has it restarted.
    pub fn restart(&mut self) {
        self.task = Task::Restart;
        self.ask(Asked::Task);
    }

    /// Has it stopped and removed, whatever is being done to it.
    pub fn delete(&mut self) {
        self.task = Task::Delete;
        // Behind a restart it would be heard of when that is done.
        self.hang_up();
    }

    /// Whether the daemon has been told to remove it.
    pub fn is_given_up(&self) -> bool {
        let sent = self
            .link
            .as_ref()
            .is_some_and(|link| !link.interest().write);
        sent && self.task == Task::Delete && self.asked.contains(&Asked::Task)
    }

    /// Stops and removes it, and waits for that: where nothing else can be done.
    pub fn remove(&mut self, daemon: &mut Daemon) -> Result<()> {
        let targets = Vec::new();
        self.rows = daemon.processes(&Request::List { targets })?;
        self.look_at_list();
        if !self.instances.is_empty() {
            let targets = self.targets();
            daemon.processes(&Request::Delete { targets })?;
        }
        Ok(())
    }

    fn hang_up(&mut self) {
        self.link = None;
        self.asked.clear();
        self.rows.clear();
    }

    fn ask(&mut self, what: Asked) {
        let targets = self.targets();
        let request = match (what, self.task) {
            (Asked::Events, _) => Request::Events,
            (Asked::List, _) => Request::List {
                targets: Vec::new(),
            },
            (Asked::Task, Task::Nothing) => return,
            (Asked::Task, Task::Restart) => Request::Restart {
                targets,
                told: None,
            },
            (Asked::Task, Task::Delete) => Request::Delete { targets },
        };
        if let Some(link) = &mut self.link {
            link.ask(&request);
            self.asked.push_back(what);
        }
    }

    /// Finds the daemon where it has gone.
    pub fn connect(&mut self) -> Result<()> {
        let mut tries = 1;
        while self.link.is_none() {
            connect::connect_or_launch(self.home.clone(), self.silent)?;
            match Link::connect(&self.home) {
                Ok(link) => self.link = Some(link),
                Err(_) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
            // From now on what happens is told; what has happened is in the list.
            self.ask(Asked::Events);
            self.ask(Asked::List);
        }
        Ok(())
    }

    /// What to poll.
    pub fn push<T: Copy>(&self, set: &mut PollSet<T>, token: T) {
        if let Some(link) = &self.link {
            set.push(link.fd(), link.interest(), token);
        }
    }

    /// Sends and hears what can be at once.
    pub fn turn(&mut self) -> Result<Vec<News>> {
        let mut news = Vec::new();
        let lives = self.link.as_mut().is_some_and(Link::turn);
        while let Some(heard) = self.link.as_mut().map(Link::next).transpose()?.flatten() {
            match heard {
                Heard::Row(line) => self.hear_row(&line, &mut news)?,
                Heard::Done => self.hear_answer(None, &mut news),
                Heard::Refused(why) => self.hear_answer(Some(why), &mut news),
            }
        }
        if !lives {
            self.hang_up();
        }
        Ok(news)
    }

    fn hear_row(&mut self, line: &[u8], news: &mut Vec<News>) -> Result<()> {
        let line = exchange::decoded(line)?;
        let process = exchange::process(&line)?;
        if line.tag != "event" {
            self.rows.push(process);
        } else if line.get("what") == Some(b"deleted") {
            self.instances.retain(|one| one.id != process.id);
            self.gone(news);
        } else {
            self.look_at(process, news);
        }
        Ok(())
    }

    /// Notices that it has ended, where nobody here has wished that.
    fn look_at(&mut self, process: Process, news: &mut Vec<News>) {
        let own = self.instances.iter_mut().find(|one| one.id == process.id);
        let Some(own) = own.filter(|_| self.task == Task::Nothing) else {
            return;
        };
        let rests = matches!(process.state, State::Stopped | State::Errored);
        let before = std::mem::replace(&mut own.rests, rests);
        if rests && !before {
            news.push(News::Ended(process));
        }
    }

    fn look_at_list(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        let is_there = |one: &Instance| {
            let mut rows = rows.iter();
            rows.any(|row| (row.id, row.created) == (one.id, one.created))
        };
        self.instances.retain(is_there);
        self.rows = rows;
    }

    fn gone(&self, news: &mut Vec<News>) {
        if self.instances.is_empty() {
            news.push(News::Gone);
        }
    }

    fn hear_answer(&mut self, refused: Option<String>, news: &mut Vec<News>) {
        match (self.asked.pop_front(), self.task, refused) {
            (Some(Asked::List), _, None) => {
                self.look_at_list();
                self.gone(news);
                self.ask(Asked::Task);
                self.look_at_rows(news);
            }
            (Some(Asked::Task), Task::Restart, None) => {
                self.task = Task::Nothing;
                self.instances.iter_mut().for_each(|one| one.rests = false);
                news.push(News::Started(self.rows.clone()));
                // It may have ended already.
                self.look_at_rows(news);
            }
            (Some(Asked::Task), Task::Restart, Some(why)) => {
                self.task = Task::Nothing;
                self.instances.iter_mut().for_each(|one| one.rests = true);
                news.push(News::Failed(why));
            }
            (Some(Asked::Task), Task::Delete, _) => news.push(News::Gone),
            _ => {}
        }
        self.rows.clear();
    }

    fn look_at_rows(&mut self, news: &mut Vec<News>) {
        for process in std::mem::take(&mut self.rows) {
            self.look_at(process, news);
        }
    }
}
