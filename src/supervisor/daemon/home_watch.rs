//! Watches the home: the socket, or the whole folder, can be removed while the daemon runs. The supervisor, which holds
//! the lock, recreates what is missing from memory, and reports a path that has become another folder.
//!
//! `inotify(7)` says when to look. Without an inotify instance the home is checked periodically.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Context, Error, Reason, Result};
use crate::paths::Home;
use crate::supervisor::daemon::startup;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::Program;
use crate::supervisor::program::run::Run;
use crate::supervisor::store::records;
use crate::supervisor::store::state;
use crate::supervisor::timers::Timer;
use crate::sys::inotify::Watcher;
use crate::sys::lock::Lock;
use crate::sys::lookup::Lookup;
use crate::sys::pid::Pid;
use crate::sys::spawn::Record;
use crate::sys::{fifo, proc_search, procfs};

/// The delay between a change and the check: a recursive removal is over by then. ms
const SETTLE: u64 = 200;
/// The interval of checks without inotify, or while the home is not as it should be. ms
const LOOK_AGAIN: u64 = 10_000;

/// Device and inode: they tell a file from others that had or will have its path.
type Number = (u64, u64);

/// What is known of the home at its path.
#[derive(Debug, Default)]
pub struct HomeWatch {
    /// None where there is no inotify instance.
    watcher: Option<Watcher>,
    /// The socket that this supervisor listens at.
    socket: Option<Number>,
    /// Locks of the folders that were the home before: nobody else shall serve from there.
    former: Vec<Lock>,
    /// The last sentence logged about a home that is not as it should be.
    said: Option<String>,
}

fn number_of(meta: &fs::Metadata) -> Number {
    (meta.dev(), meta.ino())
}

fn look_at(path: &Path) -> Lookup<Number> {
    let found = fs::symlink_metadata(path).map(|meta| number_of(&meta));
    Lookup::of(found, &[libc::ENOENT, libc::ENOTDIR])
}

impl Supervisor {
    /// Begins to watch the home, whose socket was made just now.
    pub(crate) fn watch_home(&mut self) {
        self.home_watch.socket = match look_at(&self.home.socket()) {
            Lookup::There(number) => Some(number),
            Lookup::Gone | Lookup::Failed(_) => None,
        };
        let watcher = Watcher::new().and_then(|watcher| {
            watcher.add_for_removal(self.home.root())?;
            Ok(watcher)
        });
        self.home_watch.watcher = watcher.ok();
        if self.home_watch.watcher.is_none() {
            self.look_at_home_later(LOOK_AGAIN);
        }
    }

    /// What to poll for reading.
    pub(crate) fn home_fd(&self) -> Option<BorrowedFd<'_>> {
        self.home_watch.watcher.as_ref().map(Watcher::fd)
    }

    /// Something was removed from the home, or all of it.
    pub(crate) fn hear_of_home(&mut self) {
        let changes = self.home_watch.watcher.as_ref().map(Watcher::read);
        let (socket, run) = (self.home.socket(), self.home.run());
        let names = [socket.file_name(), run.file_name()];
        match changes {
            Some(Ok(changes)) => {
                let matters =
                    |name: &std::ffi::OsStr| name.is_empty() || names.contains(&Some(name));
                if changes.iter().any(|change| matters(&change.name)) {
                    self.timers.set(Timer::Home, Some(self.now + SETTLE));
                }
            }
            Some(Err(_)) => {
                self.home_watch.watcher = None;
                self.look_at_home_later(SETTLE);
            }
            None => {}
        }
    }

    fn look_at_home_later(&mut self, wait: u64) {
        self.timers.set(Timer::Home, Some(self.now + wait));
    }

    /// Looks whether the home is the one that is locked, and has what it needs.
    pub(crate) fn look_at_home(&mut self) {
        if self.ending.is_some() {
            return;
        }
        let done = match (look_at(self.home.root()), self.lock.number()) {
            (Lookup::Gone, _) => self.make_home_again(),
            (Lookup::There(there), Ok(locked)) if there != locked => self.move_in(),
            (Lookup::There(_), Ok(_)) => self.furnish_home(),
            (Lookup::Failed(e), _) | (_, Err(e)) => {
                let doing = format!("looking at {}", self.home.root().display());
                Err(Error::io(doing, &e))
            }
        };
        match done {
            Ok(()) => self.home_watch.said = None,
            Err(e) => {
                let sentence = format!(
                    "{e}; programs keep running, but no client can reach this supervisor: end it with SIGTERM, which \
                     stops them, or with SIGKILL, which does not"
                );
                if self.home_watch.said.as_ref() != Some(&sentence) {
                    self.journal.note(&sentence);
                    // Init shows it where it runs the supervisor.
                    self.init.say(&sentence);
                    self.home_watch.said = Some(sentence);
                }
                self.look_at_home_later(LOOK_AGAIN);
            }
        }
        if self.home_watch.watcher.is_none() {
            self.watch_home();
        }
    }

    /// The home was removed.
    fn make_home_again(&mut self) -> Result<()> {
        let root = self.home.root();
        // The folder that it stood in is not ours to make: it may be a file system that is not mounted now.
        let made = records::make_folder(root);
        made.doing(|| format!("making {0} again after it was removed", root.display()))?;
        self.move_in()
    }

    /// Another folder stands where the home was: it becomes the home, unless it is somebody else's.
    fn move_in(&mut self) -> Result<()> {
        let root = self.home.root().display().to_string();
        self.home.make()?;
        let ids = records::ids(&self.home)?;
        if ids.iter().any(|id| !self.programs.contains_key(id)) {
            let sentence = format!("{root} is now another folder, with records of other programs");
            return Err(Error::new(sentence));
        }
        let lock = Lock::acquire(self.home.root()).doing(|| format!("locking {root}"))?;
        let Some(lock) = lock else {
            let sentence = format!("{root} is now another folder, which another supervisor serves");
            return Err(Error::new(sentence));
        };
        let former = std::mem::replace(&mut self.lock, lock);
        self.home_watch.former.push(former);
        self.home_watch.watcher = None;
        self.journal.note(format_args!(
            "{root} was removed or replaced; recreated it with the records of {} programs",
            self.programs.len()
        ));
        self.furnish_home()
    }

    /// Makes again what is missing in the home.
    fn furnish_home(&mut self) -> Result<()> {
        self.home.make()?;
        let path = self.home.socket();
        let listens = match look_at(&path) {
            Lookup::There(number) => Some(number) == self.home_watch.socket,
            Lookup::Gone => false,
            Lookup::Failed(e) => {
                return Err(Error::io(format!("looking at {}", path.display()), &e));
            }
        };
        if !listens {
            self.listener = startup::listen(&self.home)?;
            self.journal
                .note(format_args!("recreated {}", path.display()));
            self.watch_home();
        }
        let pid_file = self.home.pid_file();
        if matches!(look_at(&pid_file), Lookup::Gone) {
            state::note_pid(&pid_file).doing(|| format!("writing {}", pid_file.display()))?;
        }
        self.note_state();
        let mut failed = None;
        let mut again = Vec::new();
        for program in self.programs.values_mut() {
            match make_again(&self.home, program) {
                Ok(true) => again.push(program.id),
                Ok(false) => {}
                Err(e) => failed = Some(e),
            }
        }
        for id in again {
            self.unsynced(id, true);
        }
        self.log.record_batch(&self.home);
        match failed {
            Some(e) => Err(Error::new(format!(
                "recreating missing records: {}",
                Reason(&e)
            ))),
            None => Ok(()),
        }
    }
}

/// Recreates the records of a program if they are missing, and returns whether they were. Its process and the log
/// writer keep the pipes that they have open: the new ones are for the next run.
fn make_again(home: &Home, program: &mut Program) -> io::Result<bool> {
    let records = home.records(program.id);
    if records.status().try_exists()? {
        return Ok(false);
    }
    let or_there = |made: io::Result<()>| match made {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    or_there(records::make_folder(records.folder()))?;
    or_there(fifo::make(&records.out()))?;
    or_there(fifo::make(&records.err()))?;
    program.new_fifos = true;
    records::rewrite_spec(home, program)?;
    let pid = Pid::new(program.life.pid);
    let running = pid.map(|pid| (pid, procfs::look(pid)));
    if let Some((pid, Lookup::There(stat))) = running {
        let record = Record {
            pid,
            start: stat.start,
            run: program.life.run.0,
            joined: program.run.as_ref().is_some_and(Run::joined),
        };
        state::replace(&records.pid(), record.text().as_bytes())?;
        if program.spec.pid_file.is_empty() {
            state::replace(&program.pid_file(home), format!("{pid}\n").as_bytes())?;
        }
    }
    let _ = fs::remove_file(records.status_new());
    records::write_status(&records, program)?;
    Ok(true)
}

/// A supervisor that serves a home which was removed from this path.
pub fn former_supervisor(root: &Path) -> io::Result<Option<Pid>> {
    proc_search::find_holder_of_removed(c"rpmd", root)
}

/// How many processes are named.
const NAMED: usize = 5;

/// The warning for a new home whose former supervisor has left programs running. Their records are gone, so this
/// supervisor does not manage them.
pub fn left_running(home: &Home) -> Option<String> {
    if !matches!(home.state().try_exists(), Ok(false)) {
        return None;
    }
    // One that is there will make its home again.
    if matches!(former_supervisor(home.root()), Ok(Some(_))) {
        return None;
    }
    let own = [b"RPM_HOME=", home.root().as_os_str().as_bytes()].concat();
    let mut found = proc_search::find_with(&own, b"RPM_ID=");
    // The client of a program, and what it launches.
    found.retain(|(_, name)| !matches!(name.as_str(), "rpm" | "rpmd" | "rpmd-log"));
    let shown = found.iter().take(NAMED);
    let shown: Vec<String> = shown.map(|(pid, name)| format!("{pid} ({name})")).collect();
    let more = if found.len() > NAMED { " …" } else { "" };
    (!found.is_empty()).then(|| {
        format!(
            "{} is new, but processes that an earlier daemon started there still run: {}{more}; this daemon does not \
             manage them: end them by hand",
            home.root().display(),
            shown.join(", ")
        )
    })
}
