//! One managed program: its spec, its state, its counters and its run.

pub mod adoption;
pub mod cgroups;
pub mod escape;
pub mod exec_failure;
pub mod files;
pub mod launch_deadline;
pub mod leftovers;
pub mod lifecycle;
pub mod limits;
pub mod members;
pub mod output;
pub mod own_output;
pub mod pause;
pub mod pid_file;
pub mod processes;
pub mod run;
pub mod signalling;

use std::ffi::{CString, NulError};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use crate::model::command::{Command, DEFAULT_PATH};
use crate::model::life::{Life, Policy};
use crate::model::spec::{Spec, name_of};
use crate::paths::Home;
use crate::protocol::line::LineWriter;
use crate::protocol::output::Dropped;
use crate::protocol::process::Process;
use crate::supervisor::node::channel::Channel;
use crate::supervisor::node::cluster::Given;
use crate::supervisor::program::files::Stream;
use crate::supervisor::program::limits::Limits;
use crate::supervisor::program::run::Run;
use crate::sys::cgroup::Cgroup;
use crate::sys::clock;
use crate::sys::pid::Pid;
use crate::sys::process::ProcessHandle;
use crate::sys::procfs::ProcDir;
use crate::sys::spawn::Plan;
use crate::sys::user;

/// Why a launch failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaunchFailure {
    /// The program was not executed.
    NotExecuted(String),
    /// It was, and has put itself in the background.
    InBackground(String),
}

impl LaunchFailure {
    /// The reason.
    pub fn why(&self) -> &str {
        match self {
            LaunchFailure::NotExecuted(why) | LaunchFailure::InBackground(why) => why,
        }
    }
}

/// One entry of the list.
#[derive(Debug)]
pub struct Program {
    /// Its number.
    pub id: u32,
    /// Which of its instances it is, from 0.
    pub instance: u32,
    /// What it is; shared by its instances.
    pub spec: Rc<Spec>,
    /// How it fares.
    pub life: Life,
    /// When it was added to the list, ms since the epoch.
    pub created: u64,
    /// The present run, from the spawn of its leader until nothing of it is left.
    pub run: Option<Run>,
    /// The last run whose end has been dealt with.
    pub ended: u32,
    /// Why the last launch failed.
    pub failure: Option<LaunchFailure>,
    /// What the last stop could not see to: processes that it may have left.
    pub left: Option<String>,
    /// The leader of the last run, whose pid is in the pid file.
    pub last_pid: Option<Pid>,
    /// Copies of both FIFOs, so that what waits in them outlives the log writer and the program.
    pub fifos: Option<(OwnedFd, OwnedFd)>,
    /// Other pipes stand at the paths of those that its process prints to: its records were made again.
    pub new_fifos: bool,
    /// It is on record as deleted, and leaves the list when that is written.
    pub gone: bool,
    /// The log writer drains it.
    pub logged: bool,
    /// What of standard output and standard error could not be written and is not said in the files yet.
    pub lost: [Dropped; 2],
    /// How much could not be written since it was added to the list, in bytes.
    pub lost_in_all: u64,
}

impl Program {
    /// A program that nothing has been done for yet.
    pub fn new(id: u32, instance: u32, spec: Rc<Spec>, created: u64) -> Program {
        Program {
            id,
            instance,
            spec,
            life: Life::default(),
            created,
            run: None,
            ended: 0,
            failure: None,
            left: None,
            last_pid: None,
            fifos: None,
            new_fifos: false,
            gone: false,
            logged: false,
            lost: [Dropped::default(); 2],
            lost_in_all: 0,
        }
    }

    /// So much of a stream could not be written since it was last said in the file.
    pub fn has_lost(&mut self, which: usize, loss: Dropped) {
        if let Some(known) = self.lost.get_mut(which) {
            let more = match loss.first == known.first {
                true => loss.bytes.saturating_sub(known.bytes),
                false => loss.bytes,
            };
            self.lost_in_all = self.lost_in_all.saturating_add(more);
            *known = loss;
        }
    }

    /// The channel of its run, where that is a Node worker.
    pub fn channel(&self) -> Option<&Channel> {
        self.run.as_ref()?.channel.as_ref()
    }

    /// The same, to be changed.
    pub fn channel_mut(&mut self) -> Option<&mut Channel> {
        self.run.as_mut()?.channel.as_mut()
    }

    /// Gives its run a channel.
    pub fn set_channel(&mut self, channel: Channel) {
        if let Some(run) = &mut self.run {
            run.channel = Some(channel);
        }
    }

    /// The handle of its leader, where that is not our child.
    pub fn handle(&self) -> Option<&ProcessHandle> {
        self.run.as_ref()?.handle.as_ref()
    }

    /// The report pipe of its child, where that has not executed the program yet.
    pub fn report(&self) -> Option<&OwnedFd> {
        self.run.as_ref()?.report.as_ref()
    }

    /// The restart policy.
    pub fn policy(&self) -> Policy {
        Policy::of(&self.spec)
    }

    /// How it fares, for the protocol.
    pub fn process(&self) -> Process {
        Process {
            id: self.id,
            name: self.spec.name.clone(),
            namespace: self.spec.namespace.clone(),
            state: self.life.state,
            want: self.life.want,
            pid: self.life.pid,
            since: match self.life.pid {
                0 => 0,
                _ => self.run.as_ref().map_or(0, |run| run.since),
            },
            created: self.created,
            restarts: self.life.restarts,
            unstable: self.life.unstable,
            exit: self.life.exit,
            mode: self.spec.exec_mode,
            instance: self.instance,
            uid: user::effective_uid(),
            cpu: 0,
            memory: 0,
            lost: self.lost_in_all,
        }
    }

    /// How it fares, with what its leader uses.
    pub fn measured(&mut self, proc: Option<&ProcDir>) -> Process {
        let mut process = self.process();
        if let Some((pid, run)) = Pid::new(self.life.pid).zip(self.run.as_mut()) {
            process.memory = run.rss_bytes(pid, proc);
            process.cpu = clock::process_cpu_ns(pid).unwrap_or(0) / 1_000_000;
        }
        process
    }

    /// Every field, for `describe`.
    pub fn describe(&self, process: &Process, home: &Home, line: &mut LineWriter) {
        process.write(line);
        for (key, value) in self.spec.pairs() {
            if key != "name" && key != "namespace" {
                line.field(&key, &value);
            }
        }
        for (key, path) in [
            ("out_path", self.log_file(home, Stream::Out)),
            ("error_path", self.log_file(home, Stream::Err)),
            ("log_path", self.log_file(home, Stream::Both)),
            ("pid_path", self.pid_file(home)),
        ] {
            if key != "log_path" || !path.as_os_str().is_empty() {
                line.field(key, path.as_os_str().as_bytes());
            }
        }
        // What is said in the files already is no news.
        let losses = self.lost.iter().filter(|loss| loss.bytes > 0);
        if let Some(first) = losses.clone().map(|loss| loss.first).min() {
            let last = losses.map(|loss| loss.last).max().unwrap_or(first);
            line.number("lost_first", i64::try_from(first).unwrap_or(0));
            line.number("lost_last", i64::try_from(last).unwrap_or(0));
        }
        let unseen = self.run.as_ref().and_then(|run| run.unseen.as_deref());
        if let Some(failure) = unseen.or(self.failure.as_ref().map(LaunchFailure::why)) {
            line.field("failure", failure.as_bytes());
        }
        if let Some(left) = &self.left {
            line.field("left", left.as_bytes());
        }
    }

    /// What the child must do.
    pub fn plan(
        &self,
        home: &Home,
        limits: &Limits,
        given: &Given,
        cgroup: Option<&Cgroup>,
    ) -> Result<Plan, NulError> {
        let records = home.records(self.id);
        let command = Command::of(&self.spec);
        let c_strings = |all: Vec<Vec<u8>>| -> Result<Vec<CString>, NulError> {
            all.into_iter().map(CString::new).collect()
        };
        Ok(Plan {
            programs: c_strings(command.programs)?,
            argv: c_strings(command.argv)?,
            env: self.environment(home, given)?,
            script: match command.interpreted {
                true => Some(CString::new(self.spec.script.as_slice())?),
                false => None,
            },
            cwd: CString::new(self.spec.cwd.as_slice())?,
            umask: self.spec.umask.0,
            cgroup: match cgroup {
                Some(group) => Some(c_path(&group.members_file())?),
                None => None,
            },
            stdout: c_path(&records.out())?,
            stderr: c_path(&match self.is_one_stream(home) {
                true => records.out(),
                false => records.err(),
            })?,
            id: self.id,
            run: self.life.run.0,
            logs: self
                .named_logs()
                .iter()
                .map(|p| c_path(p))
                .collect::<Result<_, _>>()?,
            pid_folders: self
                .pid_folders()
                .iter()
                .map(|p| c_path(p))
                .collect::<Result<_, _>>()?,
            pid_file: match self.spec.pid_file.is_empty() {
                // One in the home is the writer of the list's to write: nothing of the home is waited for here.
                true => None,
                false => Some(c_path(&self.pid_file(home))?),
            },
            nofile: limits.nofile,
            nice: limits.nice,
            listen_pid: !given.names.is_empty(),
        })
    }

    /// What tells it of the descriptors that it is given.
    fn told_of(&self, given: &Given) -> Vec<(&'static str, Vec<u8>)> {
        let mut told = Vec::new();
        let sockets = given.names.len();
        if sockets > 0 {
            told.push(("LISTEN_FDS", sockets.to_string().into_bytes()));
            told.push(("LISTEN_FDNAMES", given.names.join(":").into_bytes()));
        }
        if given.channel.is_some() {
            told.push(("NODE_CHANNEL_FD", (3 + sockets).to_string().into_bytes()));
            told.push(("NODE_CHANNEL_SERIALIZATION_MODE", b"json".to_vec()));
            let number = self.instance.saturating_add(1);
            told.push(("NODE_UNIQUE_ID", number.to_string().into_bytes()));
        }
        told
    }

    /// The environment it was started with, and what tells it about itself.
    fn environment(&self, home: &Home, given: &Given) -> Result<Vec<CString>, NulError> {
        let home = home.root().as_os_str().as_bytes();
        let mut own = self.spec.told(self.id, self.instance, home).to_vec();
        own.extend(self.told_of(given));
        // Those of whoever started it mean other descriptors.
        let foreign =
            |name: &[u8]| name.starts_with(b"LISTEN_") || name.starts_with(b"NODE_CHANNEL");
        let mut env = Vec::new();
        for assignment in self.spec.env.assignments() {
            let name = name_of(assignment);
            if !foreign(name) && !own.iter().any(|(own, _)| own.as_bytes() == name) {
                env.push(CString::new(assignment)?);
            }
        }
        for (name, value) in own {
            env.push(CString::new([name.as_bytes(), b"=", &value].concat())?);
        }
        // A request that was typed by hand has no environment: then what every program counts on.
        if self.spec.env.get(b"PATH").is_none() {
            env.push(CString::new([b"PATH=", DEFAULT_PATH].concat())?);
        }
        if self.spec.env.get(b"HOME").is_none() {
            let home = user::home_dir(user::effective_uid()).unwrap_or_else(|| "/".into());
            env.push(CString::new(
                [b"HOME=", home.as_os_str().as_bytes()].concat(),
            )?);
        }
        Ok(env)
    }
}

fn c_path(path: &Path) -> Result<CString, NulError> {
    CString::new(path.as_os_str().as_bytes())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn program(change: impl FnOnce(&mut Spec)) -> Program {
        let mut spec = Spec {
            name: "api".into(),
            cwd: b"/srv".to_vec(),
            ..Spec::default()
        };
        change(&mut spec);
        Program::new(7, 0, Rc::new(spec), 0)
    }

    #[test]
    fn a_program_is_told_about_itself() {
        let made = program(|s| {
            s.set("env", b"RPM_ID=99").unwrap();
            s.set("env", b"A=b").unwrap();
        });
        let env = made
            .environment(&Home::new("/h".into()), &Given::default())
            .unwrap();
        let has = |text: &str| {
            env.iter()
                .filter(|a| a.to_bytes() == text.as_bytes())
                .count()
        };
        for text in [
            "A=b",
            "RPM_ID=7",
            "RPM_NAME=api",
            "RPM_HOME=/h",
            "NODE_APP_INSTANCE=0",
            "PWD=/srv",
        ] {
            assert_eq!(has(text), 1, "{text}");
        }
        assert_eq!(has("RPM_ID=99"), 0);
    }
}
