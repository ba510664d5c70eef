//! Processes that survive SIGKILL or that nothing links to a program: logged, and reported to the clients that wait for
//! an end, with pid, command and reason.

use crate::error::Reason;
use crate::protocol::reply::{Code, Failure};
use crate::supervisor::control::pending::add_failure;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::members::Leader;
use crate::supervisor::program::processes::Member;
use crate::supervisor::program::{LaunchFailure, Program};
use crate::sys::pid::Pid;

/// The most processes named in one sentence.
const NAMED: usize = 4;
/// The most characters shown of a command line.
const COMMAND: usize = 80;

impl Supervisor {
    /// Logs that a program survives SIGKILL.
    pub(crate) fn note_resistance(&mut self, id: u32) {
        let survivors = self.survivors(id);
        let text = format_args!("cannot be ended: {survivors}; retrying at growing intervals");
        self.note(id, text);
    }

    /// Reports a program that has put itself in the background. As at any other end, the rest is ended and the restart
    /// policy applies.
    pub(crate) fn has_gone_to_background(&mut self, id: u32) {
        let Some(program) = self.programs.get_mut(&id) else {
            return;
        };
        let hint = foreground_hint(program);
        let why = format!("has put itself in the background{hint}");
        program.failure = Some(LaunchFailure::InBackground(format!("it {why}")));
        self.note(id, &why);
    }

    /// The processes of a program that survived SIGKILL, as text: pid, command and reason of each.
    pub(crate) fn survivors(&mut self, id: u32) -> String {
        // What was seen before was perhaps seen before the last signal.
        self.processes = None;
        let alone = self.programs.get(&id).is_some_and(|p| !p.spec.treekill);
        let leader = self.programs.get(&id).and_then(|p| Pid::new(p.life.pid));
        let members = match self.members(id, Leader::Lives) {
            Ok(members) => members,
            Err(e) => {
                let why = Reason(&e);
                return format!("looking for its processes: {why}");
            }
        };
        let members: Vec<Member> = members
            .into_iter()
            .filter(|m| !alone || Some(m.pid) == leader)
            .collect();
        if !self.driver.can_scan() {
            return "its process group still has members, and there is no /proc to name them"
                .to_owned();
        }
        let text = self.named(&members);
        match text.is_empty() {
            true if leader.is_some_and(Pid::leads_session) => {
                let pid = leader.map_or(0, Pid::get);
                format!("pid {pid} is not shown in /proc: it runs as another user")
            }
            true => "its processes have just ended, or /proc hides them (hidepid)".to_owned(),
            false => text,
        }
    }

    /// Processes as text: pid, command, and why each is alive.
    pub(crate) fn named(&mut self, members: &[Member]) -> String {
        let named = members.iter().take(NAMED).map(|member| {
            let (pid, command) = (member.pid, shown(&self.driver.command(member.pid)));
            let why = self.driver.why_it_lives(member);
            format!("pid {pid} ({command}) {why}")
        });
        let mut text = named.collect::<Vec<_>>().join(", ");
        if members.len() > NAMED {
            text.push_str(&format!(" and {} more", members.len() - NAMED));
        }
        text
    }

    /// Processes that the program may have started, but that nothing links to it; without those already reported.
    pub(crate) fn unrecognizable(&mut self, id: u32) -> Vec<Member> {
        let program = self.programs.get(&id);
        let run = program
            .filter(|p| p.spec.treekill)
            .and_then(|p| p.run.as_ref());
        let run = run.filter(|run| !run.is_whole_in_cgroup() && run.start_ticks > 0);
        let Some(born) = run.map(|run| run.start_ticks) else {
            return Vec::new();
        };
        let Ok(processes) = self.processes() else {
            return Vec::new();
        };
        self.forget_reported();
        let mut all = processes.unrecognizable(born);
        all.retain(|m| !self.reported.contains(&(m.pid, m.stat.start)));
        all
    }

    /// Logs the processes that an ended program may have left behind. Nothing links them to it, so they are not killed.
    pub(crate) fn name_unrecognizable(&mut self, id: u32) {
        let all = self.unrecognizable(id);
        if all.is_empty() {
            return;
        }
        let named: Vec<String> = all
            .iter()
            .map(|m| format!("pid {} ({})", m.pid, shown(&self.driver.command(m.pid))))
            .collect();
        self.reported
            .extend(all.iter().map(|m| (m.pid, m.stat.start)));
        let text = format!(
            "may have left behind {}: nothing links them to a program, so they were not killed; check them, and end them by hand",
            named.join(", ")
        );
        self.note(id, &text);
        if let Some(program) = self.programs.get_mut(&id) {
            program.left = Some(text);
        }
    }

    /// Forgets reported processes that have ended.
    fn forget_reported(&mut self) {
        let driver = &mut self.driver;
        self.reported.retain(|(pid, start)| driver.is(*pid, *start));
    }

    /// Adds the processes that were reported before, that still live, and that the failure does not name yet.
    pub(crate) fn name_reported(&mut self, failure: &mut Option<Failure>) {
        self.forget_reported();
        let message = failure.as_ref().map_or("", |f| f.message.as_str());
        let named: Vec<String> = self
            .reported
            .iter()
            .map(|(pid, _)| format!("pid {pid} ({})", shown(&self.driver.command(*pid))))
            .filter(|name| !message.contains(name.as_str()))
            .collect();
        if !named.is_empty() {
            let text = format!(
                "programs that were stopped before may have left behind {}: check them, and end them by hand",
                named.join(", ")
            );
            add_failure(failure, Failure::new(Code::Internal, text));
        }
    }

    /// Removes programs that cannot be ended from a list, and adds the reason to the failure.
    pub(crate) fn give_up_on(&mut self, open: &mut Vec<u32>, failure: &mut Option<Failure>) {
        let resists =
            |s: &Supervisor, id: u32| s.programs.get(&id).is_some_and(|p| p.life.resists());
        let stuck: Vec<u32> = open
            .iter()
            .copied()
            .filter(|id| resists(self, *id))
            .collect();
        for id in &stuck {
            let sentence = self.cannot_be_ended(*id);
            add_failure(failure, Failure::new(Code::Timeout, sentence));
        }
        open.retain(|id| !stuck.contains(id));
    }

    /// The sentence about a program that resists.
    pub(crate) fn cannot_be_ended(&mut self, id: u32) -> String {
        let survivors = self.survivors(id);
        let name = self.programs.get(&id).map_or("", |p| p.spec.name.as_str());
        format!("{name} (id {id}) cannot be ended: {survivors}")
    }

    /// Adds what programs may have left behind to the failure, once.
    pub(crate) fn take_left(&mut self, ids: &[u32], failure: &mut Option<Failure>) {
        for id in ids {
            let program = self.programs.get_mut(id);
            let Some(program) = program.filter(|p| p.life.pid != 0 || p.life.at_rest()) else {
                continue;
            };
            if let Some(left) = program.left.take() {
                let message = format!("{} (id {id}) {left}", program.spec.name);
                add_failure(failure, Failure::new(Code::Internal, message));
            }
        }
    }

    /// Why a start has failed though the program was executed: it put itself in the background.
    pub(crate) fn in_background(&self, ids: &[u32]) -> Option<Failure> {
        let mut programs = ids.iter().filter_map(|id| self.programs.get(id));
        let (program, why) = programs.find_map(|program| match &program.failure {
            Some(LaunchFailure::InBackground(why)) => Some((program, why)),
            _ => None,
        })?;
        let message = format!(
            "{} (id {}) is in the list, but {why}",
            program.spec.name, program.id
        );
        Some(Failure::new(Code::ExecFailed, message))
    }

    /// Whether a program rests, and nothing of it is left.
    pub(crate) fn rests(&self, id: u32) -> bool {
        self.programs.get(&id).is_none_or(|p| p.life.at_rest())
    }

    /// Whether it rests, or cannot be brought to rest now.
    pub(crate) fn is_settled(&self, id: u32) -> bool {
        let program = self.programs.get(&id);
        program.is_none_or(|p| p.life.at_rest() || p.life.resists())
    }
}

/// A command line for a sentence: short, without control characters.
fn shown(command: &str) -> String {
    let mut text: String = command.chars().take(COMMAND).collect();
    if command.chars().nth(COMMAND).is_some() {
        text.push_str("...");
    }
    text.replace(char::is_control, "?")
}

/// How to keep a program in the foreground, guessed from its name.
fn foreground_hint(program: &Program) -> String {
    let file = program.spec.script.rsplit(|b| *b == b'/').next();
    let known = BACKGROUND.iter().find(|(name, _)| {
        let name = name.as_bytes();
        file.is_some_and(|file| file.starts_with(name))
    });
    let how = match known {
        Some((name, option)) => format!("for {name}, {option}"),
        None => "for example `daemon off;` for nginx, `daemonize no` for redis".to_owned(),
    };
    format!(", where it cannot be supervised; configure it to stay in the foreground: {how}")
}

/// What keeps well-known servers in the foreground.
const BACKGROUND: [(&str, &str); 8] = [
    ("nginx", "-g 'daemon off;'"),
    ("redis", "--daemonize no"),
    ("httpd", "-D FOREGROUND"),
    ("apache2", "-D FOREGROUND"),
    ("php-fpm", "--nodaemonize"),
    ("mongod", "without --fork"),
    ("memcached", "without -d"),
    ("gunicorn", "without --daemon"),
];
