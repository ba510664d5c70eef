//! Another release of `rpmd` in the place of this one: same pid, same children, same clients.
//!
//! In the order in which things happen: the new program is asked to prove itself (`--self-check`); then this one hands
//! over and executes it. Whatever fails before, the old one stays and says so. If the new one fails afterwards, the log
//! writer has it started again, from the records.

use std::ffi::{CString, OsStr};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::error::{Error, Reason, Result};
use crate::model::value::Bytes;
use crate::paths::Home;
use crate::protocol::RELEASE;
use crate::protocol::line::Line;
use crate::protocol::reply::{Code, Failure};
use crate::supervisor::control::pending::Pending;
use crate::supervisor::daemon::handover;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::node::channel::Channel;
use crate::supervisor::program::Program;
use crate::supervisor::store::{records, state};
use crate::supervisor::timers::Timer;
use crate::sys::pid::Pid;
use crate::sys::signal::{self, Signal};
use crate::sys::{fd, reexec};
use crate::units;

/// How long a new release may take to prove itself. ms
const CHECK_TIME: u64 = 10_000;
/// How long channels of Node workers may take to come to rest. ms
const REST_TIME: u64 = 500;
/// How much of what it says is listened to, in bytes.
const CHECK_TEXT: usize = 4096;

/// An update under way.
#[derive(Debug)]
pub struct Update {
    program: PathBuf,
    /// The process that proves the program, until it is reaped.
    pub prover: Option<Pid>,
    /// What it says comes from here.
    pub answer: OwnedFd,
    said: Vec<u8>,
    /// It has proved it.
    proved: bool,
    /// Channels of workers have had their time to come to rest.
    waited: bool,
}

/// What `rpmd --self-check` prints: whether this release can take over the home.
pub fn self_check(home: &Home) -> Result<String> {
    state::State::read(home)?;
    let ids = records::ids(home)?;
    let readable = ids.iter().filter(|id| records::read(home, **id).is_ok());
    let line = Line::new("ok")
        .with("release", RELEASE)
        .with("state", state::VERSION.to_string())
        .with("handover", handover::VERSION.to_string())
        .with("programs", readable.count().to_string());
    let text = String::from_utf8_lossy(&line.to_bytes()).into_owned();
    Ok(text.trim_end().to_owned())
}

impl Supervisor {
    /// Asks a program to prove itself, by default that of the path from which this one was executed.
    pub(crate) fn update(&mut self, program: Option<Bytes>) -> std::result::Result<(), Failure> {
        if self.update.is_some() {
            return Err(Failure::new(Code::Busy, "another update is under way"));
        }
        let program = match program {
            Some(path) => PathBuf::from(OsStr::from_bytes(&path)),
            None => self.way.program.clone(),
        };
        let words = [program.as_os_str(), "--self-check".as_ref()];
        let asked = c_strings(&words).and_then(|argv| reexec::ask(&argv, &self.environment()));
        let (prover, answer) = asked.map_err(|e| stays(&program, &Reason(&e).to_string()))?;
        self.update = Some(Update {
            program,
            prover: Some(prover),
            answer,
            said: Vec::new(),
            proved: false,
            waited: false,
        });
        self.timers.set(Timer::Check, Some(self.now + CHECK_TIME));
        Ok(())
    }

    /// Reads what the new program has to say.
    pub(crate) fn hear_check(&mut self) {
        let Some(update) = &mut self.update else {
            return;
        };
        let mut buffer = [0; CHECK_TEXT];
        match fd::read(update.answer.as_fd(), &mut buffer) {
            Ok(n @ 1..) if update.said.len() < CHECK_TEXT => {
                update
                    .said
                    .extend_from_slice(buffer.get(..n).unwrap_or_default());
            }
            Ok(1..) => self.give_up_update("it talks without end"),
            Ok(0) => match proof(&update.said) {
                Ok(()) => {
                    update.proved = true;
                    self.timers.set(Timer::Check, Some(self.now + REST_TIME));
                }
                Err(why) => self.give_up_update(&why),
            },
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => self.give_up_update(&Reason(&e).to_string()),
        }
    }

    /// Whether there is still something to hear.
    pub(crate) fn check_fd(&self) -> Option<&OwnedFd> {
        let update = self.update.as_ref().filter(|update| !update.proved);
        update.map(|update| &update.answer)
    }

    /// It has had its time.
    pub(crate) fn check_is_late(&mut self) {
        if let Some(update) = self.update.as_mut().filter(|update| update.proved) {
            update.waited = true;
            return;
        }
        if let Some(prover) = self.update.as_ref().and_then(|update| update.prover) {
            let _ = signal::kill_group(prover, Signal::KILL);
        }
        self.give_up_update("it does not answer");
    }

    /// Executes the new program, if it is time to. Returns only if that failed, and then all goes on.
    pub(crate) fn execute_update(&mut self) {
        let Some(update) = self.update.as_ref().filter(|update| update.proved) else {
            return;
        };
        // What is half said on a channel would be lost; the channels themselves are kept by the log writer.
        let mut channels = self.programs.values().filter_map(Program::channel);
        if !update.waited && !channels.all(Channel::rests) {
            return;
        }
        if self.ending.is_some() {
            self.give_up_update("the daemon is ending");
            return;
        }
        let program = update.program.clone();
        self.journal
            .note(format_args!("executing {}", program.display()));
        self.record_changes();
        self.tell_the_rest();
        self.journal.flush(&mut self.log);
        self.log.flush();
        if self.log.stream().is_none() {
            self.journal.write();
        }
        let why = self.execute(&program);
        self.give_up_update(&Reason(&why).to_string());
    }

    fn execute(&self, program: &std::path::Path) -> std::io::Error {
        let (text, mut kept) = self.hand_over();
        let mut memory = match reexec::memory_file(c"handover") {
            Ok(memory) => memory,
            Err(e) => return e,
        };
        if let Err(e) = memory.write_all(&text) {
            return e;
        }
        let option = format!("--updated={}", memory.as_raw_fd());
        kept.push(memory.as_fd());
        match c_strings(&[program.as_os_str(), option.as_ref()]) {
            Ok(argv) => reexec::execute(&argv, &self.environment(), &kept),
            Err(e) => e,
        }
    }

    /// The environment of this process, which works in another folder than the one that it was started in.
    fn environment(&self) -> Vec<CString> {
        reexec::environment_with("RPM_HOME", self.home.root().as_os_str().as_bytes())
    }

    fn give_up_update(&mut self, why: &str) {
        let Some(update) = self.update.take() else {
            return;
        };
        self.timers.set(Timer::Check, None);
        let failure = stays(&update.program, why);
        self.journal.note(&failure.message);
        for connection in self.connections.values_mut() {
            if matches!(connection.pending, Some(Pending::Update)) {
                connection.pending = None;
                connection.refuse(&failure);
            }
        }
        self.changed = true;
    }
}

fn stays(program: &std::path::Path, why: &str) -> Failure {
    let message = format!(
        "updating to {}: {why}; rpmd {RELEASE} goes on",
        program.display()
    );
    Failure::new(Code::ExecFailed, message)
}

fn c_strings(words: &[&OsStr]) -> std::io::Result<Vec<CString>> {
    let words = words.iter().map(|word| CString::new(word.as_bytes()));
    Ok(words.collect::<std::result::Result<_, _>>()?)
}

/// Whether what a program said proves that it can go on where this one is.
fn proof(said: &[u8]) -> std::result::Result<(), String> {
    let last = said.strip_suffix(b"\n").unwrap_or(said);
    let last = last.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let line = Line::decode(last).ok().filter(|line| line.tag == "ok");
    let Some(line) = line else {
        let said = String::from_utf8_lossy(last);
        return Err(match said.trim().is_empty() {
            true => "it does not prove itself by --self-check".to_owned(),
            false => format!("it says: {}", harmless(&said)),
        });
    };
    let knows = |key, own: u32| {
        line.number::<u32>(key)
            .is_some_and(|version| version >= own)
    };
    match knows("state", state::VERSION) && knows("handover", handover::VERSION) {
        true => Ok(()),
        false => Err("it does not know the records of the present one".to_owned()),
    }
}

/// The beginning of a text, without what would move a cursor.
fn harmless(text: &str) -> String {
    let shown: String = text.chars().take(200).collect();
    units::harmless(&shown).into_owned()
}

/// The path of this program: that under which another release may stand by now.
pub fn own_path() -> Result<PathBuf> {
    let path =
        std::env::current_exe().map_err(|e| Error::io("finding the path of this program", &e))?;
    // The kernel marks the path of a file that was removed or replaced. `proc(5)` /proc/PID/exe
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Ok(PathBuf::from(OsStr::from_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_release_that_knows_as_much_is_proved() {
        assert_eq!(
            proof(b"warning: x\nok release=9 state=1 handover=2\n"),
            Ok(())
        );
        assert_eq!(proof(b"ok release=9 state=2 handover=7"), Ok(()));
        for (said, why) in [
            (&b""[..], "--self-check"),
            (b"No such file or directory", "No such file"),
            (b"ok release=9 state=0 handover=2", "records"),
            (b"ok release=9", "records"),
            (b"error message=x\n", "message=x"),
            (b"\x1b[2J\xff", "?"),
        ] {
            let refused = proof(said).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
