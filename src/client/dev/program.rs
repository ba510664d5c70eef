//! The program as the daemon has it: restarted, at last deleted, and watched in between. Where the daemon has gone, it is
//! launched again, and given the request that it may not have received.

use crate::client::daemon::connect::{self, Announce};
use crate::client::daemon::exchange::Daemon;
use crate::client::daemon::feed::{Feed, Update};
use crate::error::{Error, Result};
use crate::model::life::State;
use crate::paths::Home;
use crate::protocol::process::Process;
use crate::protocol::request::Request;
use crate::sys::clock;
use crate::sys::poll::PollSet;

/// How often a daemon is launched that ends as soon as it is found.
const ATTEMPTS: usize = 3;

/// What is to be done to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Nothing,
    Restart,
    Delete,
}

/// What has happened to the program.
pub enum Event {
    /// It was started.
    Started(Vec<Process>),
    /// It could not be started: a sentence.
    Failed(String),
    /// It has ended, and was not asked to.
    Ended(Process),
    /// It was deleted.
    Deleted,
}

/// One of its instances.
struct Instance {
    id: u32,
    /// When it was added, in ms: a later daemon may give the id to another program.
    created: u64,
    /// It is known not to run.
    is_down: bool,
}

impl Instance {
    fn is(&self, process: &Process) -> bool {
        (self.id, self.created) == (process.id, process.created)
    }
}

/// The program, all its instances.
pub struct Program {
    announce: Announce,
    instances: Vec<Instance>,
    feed: Feed<Task>,
    task: Task,
}

impl Program {
    /// A program that is in the list and is to be started.
    pub fn new(home: Home, announce: Announce, processes: &[Process]) -> Program {
        let instance = |process: &Process| Instance {
            id: process.id,
            created: process.created,
            is_down: true,
        };
        Program {
            announce,
            instances: processes.iter().map(instance).collect(),
            feed: Feed::new(home, Vec::new()),
            task: Task::Restart,
        }
    }

    /// The ids of its instances.
    pub fn targets(&self) -> Vec<String> {
        let ids = self.instances.iter().map(|one| one.id.to_string());
        ids.collect()
    }

    /// Whether nothing is being done to it.
    pub fn is_settled(&self) -> bool {
        self.task == Task::Nothing
    }

    /// Restarts it.
    pub fn restart(&mut self) {
        self.task = Task::Restart;
        self.request(clock::monotonic_ms());
    }

    /// Stops and deletes it, whatever is being done to it.
    pub fn delete(&mut self) {
        self.task = Task::Delete;
        // On the present connection the answer would come only after that of a restart.
        self.feed.disconnect();
    }

    /// Whether the daemon has received the request to delete it.
    pub fn is_given_up(&self) -> bool {
        let mut requests = self.feed.requests();
        self.feed.has_sent() && requests.any(|task| *task == Task::Delete)
    }

    /// Stops and deletes it, and waits for that: for when nothing else can be done.
    pub fn remove(&mut self, daemon: &mut Daemon) -> Result<()> {
        let targets = Vec::new();
        let present = daemon.processes(&Request::List { targets })?;
        self.instances
            .retain(|own| present.iter().any(|process| own.is(process)));
        if !self.instances.is_empty() {
            let targets = self.targets();
            daemon.processes(&Request::Delete { targets })?;
        }
        Ok(())
    }

    /// Connects to the daemon, launched where none runs.
    pub fn connect(&mut self) -> Result<()> {
        let mut attempts = 0;
        while !self.feed.is_connected() {
            let home = self.feed.home().clone();
            connect::connect_or_launch(home.clone(), self.announce)?;
            attempts += 1;
            match self.feed.connect(clock::monotonic_ms()) {
                Ok(true) => {}
                _ if attempts < ATTEMPTS => {}
                Ok(false) => return Err(Error::new(connect::no_daemon(&home))),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn request(&mut self, now: u64) {
        let targets = self.targets();
        let request = match self.task {
            Task::Nothing => return,
            Task::Restart => Request::Restart {
                targets,
                told: None,
            },
            Task::Delete => Request::Delete { targets },
        };
        self.feed.ask(self.task, &request, now);
    }

    /// What to poll.
    pub fn push<T: Copy>(&self, set: &mut PollSet<T>, token: T) {
        self.feed.push(set, token);
    }

    /// Sends and reads what can be at once.
    ///
    /// # Errors
    /// The daemon's answers cannot be understood.
    pub fn turn(&mut self) -> Result<Vec<Event>> {
        let now = clock::monotonic_ms();
        let mut events = Vec::new();
        self.feed.turn(now);
        while let Some(update) = self.feed.next(now) {
            match update {
                Update::Listed => {
                    self.compare(&mut events);
                    self.request(now);
                }
                Update::Changed(..) => self.compare(&mut events),
                Update::Answered(Task::Restart, answer) if self.task == Task::Restart => {
                    self.task = Task::Nothing;
                    let is_down = answer.is_err();
                    self.instances
                        .iter_mut()
                        .for_each(|one| one.is_down = is_down);
                    match answer {
                        Ok(records) => {
                            let processes = records.into_iter().map(|record| record.process);
                            events.push(Event::Started(processes.collect()));
                            // It may have ended already.
                            self.compare(&mut events);
                        }
                        Err(failure) => events.push(Event::Failed(failure.message)),
                    }
                }
                Update::Answered(Task::Delete, _) => events.push(Event::Deleted),
                Update::Lost(Some(error)) => return Err(error),
                Update::Answered(..) | Update::NotListed(_) | Update::Lost(None) => {}
            }
        }
        Ok(events)
    }

    /// Finds instances that were deleted or have ended.
    fn compare(&mut self, events: &mut Vec<Event>) {
        if !self.feed.is_listed() {
            return;
        }
        let table = self.feed.table();
        let present = |own: &Instance| table.get(own.id).filter(|process| own.is(process));
        self.instances.retain(|own| present(own).is_some());
        if self.instances.is_empty() {
            return events.push(Event::Deleted);
        }
        if self.task != Task::Nothing {
            return;
        }
        for own in &mut self.instances {
            let Some(process) = present(own) else {
                continue;
            };
            let is_down = matches!(process.state, State::Stopped | State::Errored);
            if is_down && !std::mem::replace(&mut own.is_down, is_down) {
                events.push(Event::Ended(process.clone()));
            }
            own.is_down = is_down;
        }
    }
}
