//! One managed program: what it is, how it fares, and what the supervisor holds for it.

pub mod adoption;
pub mod cgroups;
pub mod exec_failure;
pub mod files;
pub mod launch_deadline;
pub mod leftovers;
pub mod lifecycle;
pub mod limits;
pub mod members;
pub mod own_output;
pub mod pause;
pub mod pid_file;
pub mod processes;
pub mod signalling;

use std::ffi::{CString, NulError};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::model::command::{Command, DEFAULT_PATH};
use crate::model::life::{Life, Policy, Want};
use crate::model::spec::{Spec, name_of};
use crate::paths::{Home, Records};
use crate::protocol::line::LineWriter;
use crate::protocol::output::Dropped;
use crate::protocol::process::Process;
use crate::supervisor::node::channel::Channel;
use crate::supervisor::node::cluster::Given;
use crate::supervisor::program::files::Stream;
use crate::supervisor::program::limits::Limits;
use crate::sys::cgroup::Cgroup;
use crate::sys::clock;
use crate::sys::pid::Pid;
use crate::sys::process::ProcessHandle;
use crate::sys::procfs::{Gauge, ProcDir};
use crate::sys::spawn::Plan;
use crate::sys::user;

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
    /// When the present run began, ms since the epoch.
    pub since: u64,
    /// How many runs it has had, the present one included.
    pub run: u32,
    /// The last run whose end has been dealt with.
    pub ended: u32,
    /// What was wanted of it when the daemon began to end: so it is recorded.
    pub wanted: Option<Want>,
    /// Why what is wanted of it is not on record.
    pub unrecorded: Option<String>,
    /// What the child between fork and exec reports by.
    pub report: Option<OwnedFd>,
    /// The run whose child did not execute the program in time.
    pub late: Option<u32>,
    /// Why the last launch did not come to the program.
    pub failure: Option<String>,
    /// Why its process could not be looked at: it counts as running, and is looked at again.
    pub unseen: Option<String>,
    /// The last run has put itself in the background.
    pub background: bool,
    /// Something of the present run has survived SIGKILL, and that was noted.
    pub resisted: bool,
    /// How often it could not be told whether something was left of the last run.
    pub doubts: u32,
    /// What the last stop could not see to: processes that it may have left.
    pub left: Option<String>,
    /// The process group of the last run.
    pub group: Option<Pid>,
    /// When the leader of the last run started, in clock ticks since boot; 0 where nobody has looked yet.
    pub born: u64,
    /// The last run is in the cgroup of the program, with all that came from it.
    pub joined: bool,
    /// But its leader was seen in another: what came from it is looked for in both ways.
    pub moved: bool,
    /// Members of the last run, but its leader, as they were last found outside of a cgroup; with their start times.
    pub strays: Vec<(Pid, u64)>,
    /// The last run was found, not started: its dead are reaped by somebody else, or by nobody.
    pub foreign: bool,
    /// The process, where it is not our child.
    pub adopted: Option<ProcessHandle>,
    /// The leader of the last run after its end: its group is found by it, never another that took the number.
    pub led: Option<ProcessHandle>,
    /// The channel of a Node worker.
    pub channel: Option<Channel>,
    /// Copies of both FIFOs, so that what waits in them outlives the log writer and the program.
    pub fifos: Option<(OwnedFd, OwnedFd)>,
    /// Other pipes stand at the paths of those that its process prints to: its records were made again.
    pub new_fifos: bool,
    /// The log writer drains it.
    pub logged: bool,
    /// What of standard output and standard error could not be written and is not said in the files yet.
    pub lost: [Dropped; 2],
    /// How much could not be written since it was added to the list, in bytes.
    pub lost_in_all: u64,
    /// The record of the memory of the process that was last looked at.
    pub gauge: Option<(Pid, Gauge)>,
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
            since: 0,
            run: 0,
            ended: 0,
            wanted: None,
            unrecorded: None,
            report: None,
            late: None,
            failure: None,
            unseen: None,
            background: false,
            resisted: false,
            doubts: 0,
            left: None,
            group: None,
            born: 0,
            joined: false,
            moved: false,
            strays: Vec::new(),
            foreign: false,
            adopted: None,
            led: None,
            channel: None,
            fifos: None,
            new_fifos: false,
            logged: false,
            lost: [Dropped::default(); 2],
            lost_in_all: 0,
            gauge: None,
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

    /// Whether its cgroup has all that came from the last run.
    pub fn is_whole_in_group(&self) -> bool {
        self.joined && !self.moved
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
                _ => self.since,
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

    /// How it fares, with what its leader uses. The first look at a process opens its record, later ones are one
    /// read of memory each: `list` asks it of hundreds.
    pub fn measured(&mut self, proc: Option<&ProcDir>) -> Process {
        let mut process = self.process();
        if let Some(pid) = Pid::new(self.life.pid) {
            if self.gauge.as_ref().is_none_or(|(of, _)| *of != pid) {
                self.gauge = proc.and_then(|proc| Some((pid, proc.gauge(pid).ok()?)));
            }
            let gauge = self.gauge.as_ref().map(|(_, gauge)| gauge);
            process.memory = gauge.and_then(|gauge| gauge.rss_bytes().ok()).unwrap_or(0);
            // At the limit of descriptors it is opened anew each time.
            self.gauge.take_if(|(_, gauge)| !gauge.may_stay());
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
        if let Some(failure) = self.unseen.as_ref().or(self.failure.as_ref()) {
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
            record: c_path(&records.pid())?,
            run: self.run,
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
            pid_file: Some(c_path(&self.pid_file(home))?),
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

/// Whether the folder of a program's records belongs to it: anything else in `run` is left alone.
pub fn id_of(folder: &std::ffi::OsStr) -> Option<u32> {
    let id: u32 = folder.to_str()?.parse().ok()?;
    let plain = Records::folder(&Home::new(PathBuf::new()).records(id)).file_name() == Some(folder);
    plain.then_some(id)
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

    #[test]
    fn only_plain_numbers_are_ids() {
        for (name, id) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("017", None),
            ("+1", None),
            ("x", None),
        ] {
            assert_eq!(id_of(name.as_ref()), id, "{name}");
        }
    }
}
