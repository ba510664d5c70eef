//! Sends events of programs to the clients that follow them.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::protocol::process::Process;
use crate::supervisor::control::connection::Connection;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::Program;

/// A follower that is behind by so many programs that have been deleted is cut.
const MOST_DELETED: usize = 20_000;

/// What a follower that does not keep up has yet to be told: the last event of each program, as it does not need the
/// others. The state is that of the moment in which it is told.
#[derive(Debug, Default)]
pub struct Behind(BTreeMap<u32, Event>);

#[derive(Debug)]
enum Event {
    State,
    Deleted(Rc<Process>),
}

impl Behind {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, id: u32, deleted: Option<Rc<Process>>) {
        let event = deleted.map_or(Event::State, Event::Deleted);
        self.0.insert(id, event);
    }
}

fn write(connection: &mut Connection, what: &str, process: &Process) {
    connection.say_with("event", |line| {
        line.field("what", what.as_bytes());
        process.write(line);
    });
}

/// Tells a follower of the next program that it is behind with. Returns whether there was one.
fn tell_next(connection: &mut Connection, programs: &BTreeMap<u32, Program>) -> bool {
    let Some((id, event)) = connection.behind.0.pop_first() else {
        return false;
    };
    match (event, programs.get(&id)) {
        (Event::Deleted(process), _) => write(connection, "deleted", &process),
        (Event::State, Some(program)) => write(connection, "state", &program.process()),
        (Event::State, None) => {}
    }
    true
}

impl Supervisor {
    /// Tells those who follow the events that the state of a program has changed.
    pub(crate) fn state_changed(&mut self, id: u32) {
        let Some(program) = self.programs.get(&id) else {
            return;
        };
        for connection in self.connections.values_mut().filter(|c| c.follows) {
            match connection.keeps_up() {
                true => write(connection, "state", &program.process()),
                false => connection.behind.add(id, None),
            }
        }
    }

    /// Tells those who follow the events that a program has left the list.
    pub(crate) fn was_deleted(&mut self, program: &Program) {
        if !self.connections.values().any(|c| c.follows) {
            return;
        }
        let process = Rc::new(program.process());
        for connection in self.connections.values_mut().filter(|c| c.follows) {
            match connection.keeps_up() {
                true => write(connection, "deleted", &process),
                false => connection.behind.add(program.id, Some(Rc::clone(&process))),
            }
            if connection.behind.0.len() > MOST_DELETED {
                connection.cut();
            }
        }
    }

    /// Tells followers that can take it what they are behind with. Returns whether there is more that they could take.
    pub(crate) fn catch_up(&mut self) -> bool {
        for connection in self.connections.values_mut() {
            while connection.comfortable() && tell_next(connection, &self.programs) {}
            connection.flush();
        }
        let mut all = self.connections.values();
        all.any(|c| !c.behind.is_empty() && c.comfortable())
    }

    /// Tells all of it, before another release is executed that would not know it.
    pub(crate) fn tell_the_rest(&mut self) {
        for connection in self.connections.values_mut() {
            while tell_next(connection, &self.programs) {}
        }
    }
}
