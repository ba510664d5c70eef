//! Pipes of programs, or processes that the list names, that could not be looked up. That proves nothing about their programs: these
//! are neither started nor dropped; the lookup is retried, and clients are told.

use std::os::unix::ffi::OsStrExt;

use crate::protocol::line::Line;
use crate::protocol::reply::{Code, Failure};
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::store::list::Entry;
use crate::supervisor::store::state::Boot;
use crate::supervisor::timers::Timer;

/// The first wait before records are read again, doubled up to the longest. ms
const READ_AGAIN: (u64, u64) = (100, 10_000);

/// Records that could not be read, each of a program that may run.
#[derive(Debug, Default)]
pub struct UnreadRecords {
    all: Vec<Unread>,
    /// Those that could not be read the last time either.
    before: Vec<u32>,
    /// How long it takes until they are read again. ms
    wait: u64,
}

#[derive(Debug)]
struct Unread {
    id: u32,
    entry: Entry,
    boot: Boot,
    /// The sentence.
    why: String,
}

impl UnreadRecords {
    /// What the list has of each.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        self.all.iter().map(|unread| unread.entry.bytes()).collect()
    }

    /// A sentence about the first of them, and how many there are; none where all were read.
    fn reason(&self) -> Option<String> {
        let first = self.all.first()?;
        Some(match self.all.len() {
            1 => format!("the records of a program could not be read ({})", first.why),
            many => format!(
                "the records of {many} programs could not be read ({})",
                first.why
            ),
        })
    }
}

impl Supervisor {
    /// Records are to be read again later.
    pub(crate) fn read_later(&mut self, id: u32, entry: Entry, boot: Boot, why: String) {
        if !self.unread.before.contains(&id) {
            self.journal.note(format_args!(
                "program {id} cannot be adopted yet: {why}; trying again"
            ));
        }
        let wait = self.unread.wait.max(READ_AGAIN.0);
        self.unread.all.push(Unread {
            id,
            entry,
            boot,
            why,
        });
        let again = self.now.saturating_add(wait);
        self.timers.set(Timer::Unread, Some(again));
    }

    /// Tries again to take over what could not be read.
    pub(crate) fn read_again(&mut self) {
        if self.unread.all.is_empty() {
            return;
        }
        self.timers.set(Timer::Unread, None);
        let all = std::mem::take(&mut self.unread.all);
        self.unread.before = all.iter().map(|unread| unread.id).collect();
        self.unread.wait = (self.unread.wait * 2).clamp(READ_AGAIN.0, READ_AGAIN.1);
        for unread in all {
            self.take_over_entry(unread.id, unread.entry, unread.boot, None);
            if self.programs.contains_key(&unread.id) {
                self.note(unread.id, "is now adopted");
                self.order_logs(unread.id);
            }
        }
        self.look_at_unheld();
        self.changed = true;
    }

    /// Says in the last line of a listing what is not in it.
    pub(crate) fn say_unlisted(&mut self, last: &mut Line) {
        for path in &self.damaged {
            last.push("damaged", path.as_os_str().as_bytes());
        }
        if let Some(why) = self.unread.reason() {
            last.push("unread", why);
        }
    }

    /// Adds to a failed selection that some records could not be read: the target may be among them.
    pub(crate) fn unread_may_match(&self, mut failure: Failure) -> Failure {
        if let Some(why) = self.unread.reason() {
            failure.message = format!("{}; {why}", failure.message);
        }
        failure
    }

    /// A program with this name may be there and run.
    pub(crate) fn refuse_while_unread(&mut self, name: &str) -> Result<(), Failure> {
        self.read_again();
        match self.unread.reason() {
            None => Ok(()),
            Some(why) => Err(Failure::new(
                Code::Busy,
                format!(
                    "start: {why}, and {name} may be among them; try again in a moment, or add -f"
                ),
            )),
        }
    }

    /// Answers who has asked for the end, when it has come.
    pub(crate) fn reply_end(&mut self, token: u64) {
        let last = match self.unread.reason() {
            None => Line::new("ok"),
            Some(why) => {
                let message =
                    format!("the daemon has ended, but {why}; look for processes that still run");
                Failure::new(Code::Internal, message).to_line()
            }
        };
        self.reply(token, |c| c.say(&last));
    }
}
