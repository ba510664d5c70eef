//! Carrying out requests.

use std::rc::Rc;

use crate::error::Reason;
use crate::model::command::is_node;
use crate::model::life::{Event, Want};
use crate::model::spec::{Environment, ExecMode, Spec};
use crate::model::value::SignalNumber;
use crate::paths::Home;
use crate::protocol::line::Line;
use crate::protocol::log_protocol::Upkeep;
use crate::protocol::reply::{Code, Failure};
use crate::protocol::request::Request;
use crate::protocol::{RELEASE, VERSION};
use crate::supervisor::control::listener::{MAX_CONNECTIONS, too_many};
use crate::supervisor::control::pending::{Pending, Rows, Start, Then, Turn};
use crate::supervisor::daemon::shutdown::Ending;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::Program;
use crate::supervisor::store::records;
use crate::sys::pid::Pid;
use crate::sys::signal::Signal;
use crate::units;

impl Supervisor {
    pub(crate) fn carry_out(&mut self, token: u64, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Hello { protocol } => self.hello(token, protocol),
            Request::Ping => Ok(Answer::Now(self.about())),
            Request::Start { spec, force, want } => self.start(*spec, force, want),
            Request::Stop { targets } => self.stop(&targets, Then::Keep),
            Request::Delete { targets } => self.stop(&targets, Then::Forget),
            Request::Restart { targets, told } => self.restart(&targets, told),
            Request::Pause { targets } => {
                let ids = self.each(&targets, Event::Pause)?;
                Ok(Answer::Later(Pending::Pause(Turn::of(ids))))
            }
            Request::Resume { targets } => Ok(listing(self.each(&targets, Event::Resume)?)),
            Request::Signal { signal, targets } => self.signal(&targets, signal),
            Request::Upkeep { what, targets } => self.upkeep(what, &targets),
            Request::List { targets } => self.rows(&targets, false),
            Request::Describe { targets } => self.rows(&targets, true),
            Request::Events => {
                if self.clients() > MAX_CONNECTIONS {
                    // The place beyond the others is for commands, not to be kept.
                    return Err(too_many());
                }
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

    pub(crate) fn about(&self) -> Line {
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
        check_instances(&spec)?;
        if let Some(message) = unsound(&spec).or_else(|| self.has_no_output(&spec)) {
            return refuse(Code::BadRequest, format!("start: {message}"));
        }
        if !force {
            self.refuse_while_unread(&spec.name)?;
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
            if let Some(program) = self.programs.get_mut(id) {
                program.left = None;
            }
            self.feed(*id, Event::Stop);
        }
        Ok(Answer::Later(Pending::Stop(Turn::of(ids), then)))
    }

    fn restart(&mut self, targets: &[String], told: Option<Box<Spec>>) -> Result<Answer, Failure> {
        self.refuse_when_ending()?;
        let ids = self.select(targets)?;
        if let Some(mut told) = told {
            check_instances(&told)?;
            let unsound = unsound(&told).filter(|_| !told.script.is_empty());
            if let Some(message) = unsound.or_else(|| self.has_no_output(&told)) {
                return Err(Failure::new(
                    Code::BadRequest,
                    format!("restart: {message}"),
                ));
            }
            told.env = self.share_environment(told.env);
            let told = Rc::new(*told);
            for id in &ids {
                self.replace_spec(*id, &told)?;
            }
        }
        for id in &ids {
            if let Some(program) = self.programs.get_mut(id) {
                program.failure = None;
                program.left = None;
            }
            self.feed(*id, Event::Restart);
        }
        Ok(Answer::Later(Pending::Restart(Turn::of(ids))))
    }

    /// Has programs hold still or go on; one that does not run is none of those.
    fn each(&mut self, targets: &[String], event: Event) -> Result<Vec<u32>, Failure> {
        let ids = self.running(targets)?;
        for id in &ids {
            self.feed(*id, event);
        }
        Ok(ids)
    }

    fn signal(&mut self, targets: &[String], signal: SignalNumber) -> Result<Answer, Failure> {
        let ids = self.running(targets)?;
        let signal = Signal::new(signal.0);
        let signal = signal.ok_or_else(|| Failure::new(Code::BadRequest, "no such signal"))?;
        for id in &ids {
            self.signal_one(*id, signal).map_err(|e| {
                let name = self.programs.get(id).map_or("", |p| p.spec.name.as_str());
                let message = format!("signalling {name}: {}", Reason(&e));
                Failure::new(Code::NotRunning, message)
            })?;
        }
        Ok(listing(ids))
    }

    /// Those of the programs that run; it is a failure when none does.
    fn running(&self, targets: &[String]) -> Result<Vec<u32>, Failure> {
        let mut ids = self.select(targets)?;
        let runs = |id: &u32| self.programs.get(id).is_some_and(|p| p.life.pid != 0);
        ids.retain(runs);
        match ids.is_empty() {
            true => {
                let named = targets.join(", ");
                let message = format!("{} is not running", units::excerpt(named.as_bytes()));
                Err(Failure::new(Code::NotRunning, message))
            }
            false => Ok(ids),
        }
    }

    /// Those of the programs that are meant, all where nothing is named.
    fn meant(&self, targets: &[String]) -> Result<Vec<u32>, Failure> {
        match targets.is_empty() {
            true => Ok(self.programs.keys().copied().collect()),
            false => self.select(targets),
        }
    }

    fn upkeep(&mut self, what: Upkeep, targets: &[String]) -> Result<Answer, Failure> {
        let turn = Turn::of(self.meant(targets)?);
        Ok(Answer::Later(Pending::Upkeep(turn, what)))
    }

    fn rows(&mut self, targets: &[String], full: bool) -> Result<Answer, Failure> {
        self.read_again();
        let ids = self.meant(targets)?;
        Ok(Answer::Later(Pending::Rows(Rows::new(ids, full))))
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
    pub(crate) fn add(
        &mut self,
        spec: &Rc<Spec>,
        spec_text: &[u8],
        instance: u32,
        want: Want,
    ) -> crate::error::Result<u32> {
        let id = self.next_id;
        let created = self.driver.wall();
        let mut program = Program::new(id, instance, Rc::clone(spec), created);
        program.life.want = want;
        records::create(&self.home, &mut program, spec_text)?;
        self.next_id = id.saturating_add(1);
        self.programs.insert(id, program);
        self.unsynced(id, true);
        if want == Want::Up {
            self.feed(id, Event::Start);
        }
        Ok(id)
    }

    /// Takes a program that is at rest off the list. Where its records cannot be removed it stays there.
    pub(crate) fn forget(&mut self, id: u32) -> std::result::Result<(), String> {
        records::remove(&self.home, id).map_err(|e| {
            let records = self.home.records(id);
            format!("removing {}: {}", records.folder().display(), Reason(&e))
        })?;
        let Some(program) = self.programs.remove(&id) else {
            return Ok(());
        };
        if id.saturating_add(1) == self.next_id {
            // No number means two programs, even if this supervisor is killed.
            self.note_state();
        }
        self.cgroups.remove(id);
        self.log
            .order(&crate::protocol::log_protocol::Order::Close { id });
        self.unsynced(id, true);
        self.was_deleted(&program);
        Ok(())
    }

    /// Replaces what a program was told: all but its name and namespace, or without a script the environment alone.
    fn replace_spec(&mut self, id: u32, told: &Rc<Spec>) -> Result<(), Failure> {
        let Some(program) = self.programs.get_mut(&id) else {
            return Ok(());
        };
        let whole = !told.script.is_empty();
        let mut spec = Spec::clone(if whole { told } else { &program.spec });
        spec.env = Rc::clone(&told.env);
        spec.name.clone_from(&program.spec.name);
        spec.namespace.clone_from(&program.spec.namespace);
        let spec = match spec == **told {
            true => Rc::clone(told),
            false => Rc::new(spec),
        };
        let pid_file = program.pid_file(&self.home);
        let before = std::mem::replace(&mut program.spec, spec);
        if let Err(e) = record_spec(&self.home, program) {
            program.spec = before;
            let message = format!("recording what {} was told: {e}", program.spec.name);
            return Err(Failure::new(Code::Internal, message));
        }
        if whole {
            // Its files may be others now: the log writer is told when it runs again.
            program.logged = false;
            if program.pid_file(&self.home) != pid_file {
                self.remove_pid_file_at(id, pid_file);
            }
        }
        self.unsynced(id, false);
        Ok(())
    }

    /// Programs that were started from one shell have one environment: it is kept once.
    pub(crate) fn share_environment(&self, env: Rc<Environment>) -> Rc<Environment> {
        let same = self
            .programs
            .values()
            .map(|p| &p.spec.env)
            .find(|e| **e == env);
        same.map_or(env, Rc::clone)
    }
}

/// What is wrong with a program though each of its fields is right.
fn unsound(spec: &Spec) -> Option<String> {
    let cluster = spec.exec_mode == ExecMode::Cluster;
    if cluster && !is_node(spec) {
        return Some("cluster mode is for Node scripts; leave exec_mode out".to_owned());
    }
    if cluster && !spec.listen.0.is_empty() {
        let why = "the workers of a cluster ask for their sockets themselves; with listen, exec_mode is fork";
        return Some(why.to_owned());
    }
    if spec.name == "all" {
        return Some("all means every program; give this one another name".to_owned());
    }
    None
}

/// The answer that lists these programs.
fn listing(ids: Vec<u32>) -> Answer {
    Answer::Later(Pending::Rows(Rows::new(ids, false)))
}

/// What is answered at once, and what later.
pub(crate) enum Answer {
    /// The last line, now.
    Now(Line),
    /// When it is true.
    Later(Pending),
}

/// Records what a program is told from now on.
fn record_spec(home: &Home, program: &Program) -> crate::error::Result<()> {
    use crate::error::Context;
    records::rewrite_spec(home, program).doing(|| "writing its record")
}

fn check_instances(spec: &Spec) -> Result<(), Failure> {
    match spec.instances {
        1..=10_000 => Ok(()),
        _ => Err(Failure::new(Code::BadRequest, "instances is 1 to 10000")),
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
