//! Carrying out requests.

use std::rc::Rc;

use super::answer::{Pending, Rows, Start, Then, Turn};
use super::connection::Connection;
use super::program::Program;
use super::records;
use super::server::{Ending, Supervisor};
use crate::app::life::{Event, Want};
use crate::app::spec::{Environment, Spec};
use crate::protocol::line::Line;
use crate::protocol::reply::{Code, Failure};
use crate::protocol::request::Request;
use crate::protocol::{RELEASE, VERSION};
use crate::sys::pid::Pid;

/// How many requests of one client are looked at in one turn of the loop.
const REQUESTS_A_TURN: usize = 32;

/// The sentence for a target that means nothing.
pub fn nothing_matches(target: &str) -> Failure {
    let message = match target {
        "all" => "there are no programs".to_owned(),
        _ => format!("no program, id or namespace is called {target}"),
    };
    Failure::new(Code::NotFound, message)
}

impl Supervisor {
    /// Looks at what a client has asked. Returns whether there may be more to look at.
    pub(super) fn serve(&mut self, token: u64) -> bool {
        for _ in 0..REQUESTS_A_TURN {
            let connection = self.connections.get_mut(&token);
            let Some(request) = connection.and_then(Connection::next_request) else {
                return false;
            };
            let request = request.and_then(|line| Request::from_line(&line));
            let answer = request.and_then(|request| self.carry_out(token, request));
            let Some(connection) = self.connections.get_mut(&token) else {
                return false;
            };
            match answer {
                Ok(Answer::Now(line)) => connection.say(&line),
                Ok(Answer::Later(pending)) => {
                    connection.pending = Some(pending);
                    self.changed = true;
                }
                Err(failure) => connection.refuse(&failure),
            }
        }
        true
    }

    fn carry_out(&mut self, token: u64, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Hello { protocol } => self.hello(token, protocol),
            Request::Ping => Ok(Answer::Now(self.about())),
            Request::Start { spec, force, want } => self.start(*spec, force, want),
            Request::Stop { targets } => self.stop(&targets, Then::Keep),
            Request::Delete { targets } => self.stop(&targets, Then::Forget),
            Request::Restart { targets, env } => self.restart(&targets, env),
            Request::List { targets } => self.rows(&targets, false),
            Request::Describe { targets } => self.rows(&targets, true),
            Request::Events => {
                if let Some(connection) = self.connections.get_mut(&token) {
                    connection.follows = true;
                }
                Ok(Answer::Now(Line::new("ok")))
            }
            Request::Sync => {
                self.sync_now();
                Ok(Answer::Later(Pending::Sync))
            }
            Request::Update { program } => {
                self.refuse_when_ending()?;
                self.update(program)?;
                Ok(Answer::Later(Pending::Update))
            }
            Request::Kill { keep } => {
                self.end(if keep { Ending::Leave } else { Ending::Forget });
                Ok(Answer::Later(Pending::Kill))
            }
        }
    }

    fn hello(&mut self, token: u64, protocol: u32) -> Result<Answer, Failure> {
        if protocol == VERSION {
            return Ok(Answer::Now(
                self.about().with("protocol", VERSION.to_string()),
            ));
        }
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.close();
        }
        let message = format!(
            "the daemon is rpmd {RELEASE} and speaks protocol {VERSION}, not {protocol}; \
             rpm update has this release of rpmd go on in its place"
        );
        Err(Failure::new(Code::BadRequest, message))
    }

    pub(super) fn about(&self) -> Line {
        let mut line = Line::new("ok");
        line.push_number("pid", Pid::own());
        line.with("version", RELEASE)
    }

    fn start(&mut self, mut spec: Spec, force: bool, want: Want) -> Result<Answer, Failure> {
        self.refuse_when_ending()?;
        let refuse = |code, message| Err(Failure::new(code, message));
        if spec.name.is_empty() {
            spec.name = default_name(&spec.script);
        }
        if spec.instances == 0 || spec.instances > 10_000 {
            return refuse(
                Code::BadRequest,
                "start: instances is 1 to 10000".to_owned(),
            );
        }
        let namesake = self.programs.values().find(|p| p.spec.name == spec.name);
        if let (Some(other), false) = (namesake, force) {
            let script = String::from_utf8_lossy(&other.spec.script);
            let message = format!(
                "{} is managed already (id {}, {script}): restart it, give this one another --name, or add -f",
                spec.name, other.id
            );
            return refuse(Code::Exists, message);
        }
        spec.env = self.share_environment(spec.env);
        Ok(Answer::Later(Pending::Start(Start {
            spec_text: records::spec_text(&spec),
            spec: Rc::new(spec),
            want,
            ids: Vec::new(),
            failure: None,
        })))
    }

    fn stop(&mut self, targets: &[String], then: Then) -> Result<Answer, Failure> {
        let ids = self.select(targets)?;
        for id in &ids {
            self.feed(*id, Event::Stop);
        }
        Ok(Answer::Later(Pending::Stop(Turn::of(ids), then)))
    }

    fn restart(&mut self, targets: &[String], env: Option<Box<Spec>>) -> Result<Answer, Failure> {
        self.refuse_when_ending()?;
        let ids = self.select(targets)?;
        if let Some(given) = env {
            let env = self.share_environment(given.env);
            for id in &ids {
                self.replace_environment(*id, &env)?;
            }
        }
        for id in &ids {
            if let Some(program) = self.programs.get_mut(id) {
                program.failure = None;
            }
            self.feed(*id, Event::Restart);
        }
        Ok(Answer::Later(Pending::Restart(Turn::of(ids))))
    }

    fn rows(&mut self, targets: &[String], full: bool) -> Result<Answer, Failure> {
        let ids = match targets.is_empty() {
            true => self.programs.keys().copied().collect(),
            false => self.select(targets)?,
        };
        Ok(Answer::Later(Pending::Rows(Rows { ids, done: 0, full })))
    }

    fn refuse_when_ending(&self) -> Result<(), Failure> {
        match self.ending {
            Some(_) => Err(Failure::new(
                Code::Busy,
                "the daemon is ending; try again in a moment",
            )),
            None => Ok(()),
        }
    }

    /// Adds a program to the list, and asks for its first process where it is wanted up.
    pub(super) fn add(
        &mut self,
        spec: &Rc<Spec>,
        spec_text: &[u8],
        instance: u32,
        want: Want,
    ) -> crate::error::Result<u32> {
        let id = self.next_id;
        let created = crate::sys::clock::wall_ms();
        let mut program = Program::new(id, instance, Rc::clone(spec), created);
        program.life.want = want;
        if !spec.pid_file.is_empty() {
            make_parent(&program.pid_file(&self.home))?;
        }
        records::create(&self.home, &mut program, spec_text)?;
        self.next_id = id.saturating_add(1);
        self.programs.insert(id, program);
        self.unsynced(id, true);
        if want == Want::Up {
            self.feed(id, Event::Start);
        }
        Ok(id)
    }

    /// Takes a program that is at rest off the list.
    pub(super) fn forget(&mut self, id: u32) {
        let Some(program) = self.programs.remove(&id) else {
            return;
        };
        if id.saturating_add(1) == self.next_id {
            // No number means two programs, even if this supervisor is killed.
            self.note_state();
        }
        self.timers.set(super::timers::Timer::Program(id), None);
        self.log.order(&crate::protocol::link::Order::Close { id });
        let _ = std::fs::remove_file(program.pid_file(&self.home));
        if let Err(e) = records::remove(&self.home, id) {
            self.journal.note(format_args!(
                "{}: removing its records: {e}",
                program.spec.name
            ));
        }
        self.unsynced(id, true);
        self.tell_followers("deleted", &program);
    }

    fn replace_environment(&mut self, id: u32, env: &Rc<Environment>) -> Result<(), Failure> {
        let Some(program) = self.programs.get_mut(&id) else {
            return Ok(());
        };
        let mut spec = Spec::clone(&program.spec);
        spec.env = Rc::clone(env);
        program.spec = Rc::new(spec);
        records::rewrite_spec(&self.home, program).map_err(|e| {
            let message = format!("recording the environment of {}: {e}", program.spec.name);
            Failure::new(Code::Internal, message)
        })?;
        self.unsynced(id, false);
        Ok(())
    }

    /// Programs that were started from one shell have one environment: it is kept once.
    pub(super) fn share_environment(&self, env: Rc<Environment>) -> Rc<Environment> {
        let same = self
            .programs
            .values()
            .map(|p| &p.spec.env)
            .find(|e| **e == env);
        same.map_or(env, Rc::clone)
    }
}

/// What is answered at once, and what later.
pub(super) enum Answer {
    /// The last line, now.
    Now(Line),
    /// When it is true.
    Later(Pending),
}

fn make_parent(path: &std::path::Path) -> crate::error::Result<()> {
    use crate::error::Context;
    match path.parent() {
        Some(folder) => {
            std::fs::create_dir_all(folder).doing(|| format!("making {}", folder.display()))
        }
        None => Ok(()),
    }
}

/// The script's file name without its ending.
fn default_name(script: &[u8]) -> String {
    let file = script.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let text = String::from_utf8_lossy(file).into_owned();
    match text.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => text,
    }
}
