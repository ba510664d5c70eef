//! From the start of the process to the loop.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;

use crate::error::{Context, Error, Result};
use crate::paths::Home;
use crate::supervisor::daemon::handover::Handover;
use crate::supervisor::daemon::home_watch;
use crate::supervisor::daemon::service::Init;
use crate::supervisor::daemon::upgrade;
use crate::supervisor::driver::system::System;
use crate::supervisor::event_loop::{Holdings, Supervisor, Way};
use crate::supervisor::log::daemon_log::Journal;
use crate::supervisor::program::cgroups::Cgroups;
use crate::supervisor::program::limits::Limits;
use crate::supervisor::store::state::{self, State};
use crate::sys::daemonize::{self, Readiness};
use crate::sys::lock::Lock;
use crate::sys::lookup::Lookup;
use crate::sys::poll::PollSet;
use crate::sys::signal::{self, SelfPipe, Signal};
use crate::sys::{clock, fd, reexec, socket, user, wait};
use std::time::Duration;

/// How long another supervisor may take to begin. ms
const LAUNCH_TIME: u64 = 5000;
/// How often a former supervisor is looked for.
const FORMER_AGAIN: Duration = Duration::from_millis(50);
/// How often the lock is tried while nobody serves.
const LOCK_AGAIN: Duration = Duration::from_millis(2);

/// How the supervisor was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By init or a container: it stays in the foreground.
    Foreground,
    /// The same, and where another supervisor serves this one waits for its end.
    Standby,
    /// By a person: it becomes a daemon.
    Daemon,
    /// By a client that found none. That another client was quicker is no failure then.
    Launched,
    /// By another release of itself, which hands over in the file of this descriptor.
    Updated(i32),
    /// By the log writer, whose supervisor died. That somebody else was quicker is no failure either.
    Resumed,
}

/// Becomes the supervisor of a home and serves to the end.
pub fn run(home: Home, mode: Mode, limits: Option<Limits>) -> Result<()> {
    let way = Way {
        program: upgrade::own_path()?,
        foreground: matches!(mode, Mode::Foreground | Mode::Standby),
    };
    if let Mode::Updated(handed) = mode {
        let supervisor = go_on(home, way, handed)?;
        return serve(supervisor);
    }
    // Whoever started us may have left some open: a terminal or ssh session hangs on them.
    fd::close_inherited();
    if let Some(sentence) = home_watch::left_running(&home) {
        eprintln!("rpmd: {sentence}");
    }
    let readiness = match mode {
        Mode::Daemon | Mode::Launched => daemonize::daemonize().doing(|| "becoming a daemon")?,
        Mode::Foreground | Mode::Standby | Mode::Updated(_) => Readiness::nobody(),
        Mode::Resumed => {
            daemonize::new_session();
            Readiness::nobody()
        }
    };
    user::set_umask(0o077);
    if way.foreground {
        signal::reset_all();
        // Also while it waits for the lock.
        signal::end_quietly();
    }
    let served = home.clone();
    match prepare(home, mode, way, limits) {
        Ok(Some(supervisor)) => {
            readiness.ready();
            let root = served.root().display();
            supervisor.init.ready(format_args!("serving {root}"));
            serve(supervisor)
        }
        Ok(None) => {
            readiness.ready();
            Ok(())
        }
        Err(e) => {
            readiness.failed(&e.to_string());
            if mode == Mode::Resumed {
                // Nobody reads what it prints.
                let mut journal = Journal::new(&served, false);
                journal.note(format_args!("cannot serve: {e}"));
                journal.write();
            }
            Err(e)
        }
    }
}

/// Serves to the end. Fails where programs could not be ended.
fn serve(mut supervisor: Supervisor) -> Result<()> {
    supervisor.run();
    let left = std::mem::take(&mut supervisor.left_behind);
    supervisor.journal.note("ended");
    supervisor.journal.write();
    // Its lock and its connections end with the process, and not before: so a client sees when there is none any more.
    std::mem::forget(supervisor);
    match left.is_empty() {
        true => Ok(()),
        false => Err(Error::new(left.join("; "))),
    }
}

/// Waits until no other supervisor serves, and takes the lock. Nobody is served by this process yet: it may wait, and
/// SIGTERM ends it.
fn stand_by(home: &Home) -> Result<Lock> {
    let init = Init::of(true);
    loop {
        let pid = holder(home);
        let root = home.root().display();
        let status = format!("standing by: a supervisor serves {root} already (pid {pid})");
        eprintln!("rpmd: {status}");
        init.ready(status);
        Lock::wait_until_free(home.root()).doing(|| format!("waiting for {root}"))?;
        // Where another one was quicker, it goes on.
        if let Some(lock) = lock(home)? {
            return Ok(lock);
        }
    }
}

/// The supervisor in the place of another release of it.
fn go_on(home: Home, way: Way, handed: i32) -> Result<Supervisor> {
    let missing = || Error::new("--updated is for rpmd itself; there is nothing handed over");
    let mut file = File::from(reexec::inherited(handed).ok_or_else(missing)?);
    let mut text = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut text))
        .doing(|| "reading what was handed over")?;
    let handover = Handover::read(&text).ok_or_else(missing)?;
    let state = State::read(&home)?;
    let way = Way {
        foreground: handover.foreground,
        ..way
    };
    let lock = Lock::inherited(handover.lock);
    let listener = UnixListener::from(handover.listener);
    let limits = Some(handover.limits);
    let mut supervisor = assemble(home, way, lock, listener, limits)?;
    supervisor
        .journal
        .note(format_args!("rpmd {} goes on", crate::protocol::RELEASE));
    // Releases before this took any home. Its programs run on, and so does this supervisor.
    if let Err(flaw) = supervisor.home.look() {
        supervisor.journal.note(format_args!(
            "the next supervisor will refuse this home: {flaw}"
        ));
    }
    supervisor.cgroups = Cgroups::find(&supervisor.home, state.recorded_cgroups(), false);
    supervisor.take_over(state, &handover.programs)?;
    drop(handover.held);
    supervisor.take_handed_over(&handover.kept);
    // What was handed over and nobody has taken is not for programs.
    fd::close_inherited();
    supervisor.next_id = supervisor.next_id.max(handover.next_id);
    for connection in handover.connections {
        supervisor.connect(connection);
    }
    // Whoever has ended in between is not told of again.
    supervisor.reap();
    supervisor.start_logger();
    // The log writer still runs the code of the other release.
    supervisor.log.replace();
    Ok(supervisor)
}

/// The supervisor, about to serve; none where another one serves and that is as well.
fn prepare(home: Home, mode: Mode, way: Way, limits: Option<Limits>) -> Result<Option<Supervisor>> {
    if wait_for_former(&home)? {
        return Ok(None);
    }
    home.make()?;
    let lock = match lock(&home)? {
        Some(lock) => lock,
        None if matches!(mode, Mode::Launched | Mode::Resumed) => return Ok(None),
        None if mode == Mode::Standby => stand_by(&home)?,
        None => {
            let pid = holder(&home);
            let root = home.root().display();
            return Err(Error::new(format!(
                "a supervisor serves {root} already (pid {pid})"
            )));
        }
    };
    if mode == Mode::Resumed && matches!(socket::find(&home.log_socket()), Lookup::Gone) {
        // Meanwhile another one has served and ended, and the log writer with it: that was the end.
        return Ok(None);
    }
    let state = State::read(&home)?;
    let listener = listen(&home)?;
    let mut supervisor = assemble(home, way, lock, listener, limits)?;
    supervisor.journal.note(format_args!(
        "rpmd {} serves {}",
        crate::protocol::RELEASE,
        supervisor.home.root().display()
    ));
    // One in the foreground may be meant to be part of another daemon's program.
    let leaves = !supervisor.way.foreground;
    supervisor.cgroups = Cgroups::find(&supervisor.home, state.recorded_cgroups(), leaves);
    supervisor.take_over(state, &[])?;
    supervisor.start_logger();
    Ok(Some(supervisor))
}

/// A supervisor of no programs yet.
fn assemble(
    home: Home,
    way: Way,
    lock: Lock,
    listener: UnixListener,
    limits: Option<Limits>,
) -> Result<Supervisor> {
    let journal = Journal::new(&home, way.foreground);
    signal::reset_all();
    signal::IGNORED.into_iter().for_each(signal::ignore);
    let [term, int, quit, power, halt] = signal::ENDING;
    let signals = SelfPipe::install(&[Signal::CHLD, term, int, quit, power, halt]);
    let signals = signals.doing(|| "catching signals")?;
    wait::become_subreaper();
    let limits = match limits {
        Some(limits) => limits,
        None => Limits::raise()?,
    };
    let holdings = Holdings {
        lock,
        journal,
        listener,
        signals,
        limits,
    };
    let init = Init::of(way.foreground);
    let supervisor = Supervisor::new(home, way, holdings, Box::new(System::new()));
    let mut supervisor = supervisor.doing(|| "opening /dev/null")?;
    supervisor.init = init;
    supervisor.watch_home();
    Ok(supervisor)
}

/// Where this home was removed while a supervisor served it, that one makes it again: it is waited for. Whether it
/// serves; fails where it does not, as its programs still run.
fn wait_for_former(home: &Home) -> Result<bool> {
    let begin = clock::monotonic_ms();
    loop {
        // One that has served has left its state: only a new home can be the place of a former one.
        if !matches!(home.state().try_exists(), Ok(false)) {
            return Ok(false);
        }
        // A process that cannot be looked at is not known to be one.
        let Ok(Some(former)) = home_watch::former_supervisor(home.root()) else {
            return Ok(false);
        };
        if matches!(socket::find(&home.socket()), Lookup::There(_)) {
            return Ok(true);
        }
        if clock::monotonic_ms().saturating_sub(begin) > LAUNCH_TIME {
            return Err(Error::new(format!(
                "{} was removed while a supervisor (pid {former}) served it, and that supervisor cannot recreate it; its \
                 programs still run: end it with kill {former}, which stops them, or with kill -9 {former}",
                home.root().display()
            )));
        }
        std::thread::sleep(FORMER_AGAIN);
    }
}

/// The lock decides who is the supervisor: only its holder may touch the socket. None: somebody else holds it and
/// serves. One that was killed may hold it a moment longer, by a child that has not recorded itself yet.
fn lock(home: &Home) -> Result<Option<Lock>> {
    let root = home.root();
    let begin = clock::monotonic_ms();
    loop {
        let held = Lock::acquire(root).doing(|| format!("locking {}", root.display()))?;
        if let Some(lock) = held {
            let path = home.pid_file();
            state::note_pid(&path)
                .doing(|| format!("writing {}; move away what is there", path.display()))?;
            return Ok(Some(lock));
        }
        match socket::find(&home.socket()) {
            Lookup::There(_) => return Ok(None),
            Lookup::Failed(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
            Lookup::Gone | Lookup::Failed(_) => {}
        }
        if clock::monotonic_ms().saturating_sub(begin) > LAUNCH_TIME {
            return Err(Error::new(format!(
                "{} is locked by a supervisor (pid {}) that nobody can reach at {}; end that process by kill -9, its \
                 programs run on",
                root.display(),
                holder(home),
                home.socket().display()
            )));
        }
        // Nobody is served by this process yet: it may wait.
        let _ = PollSet::<()>::default().wait(Some(LOCK_AGAIN));
    }
}

/// Who holds the lock, as far as its pid file tells.
fn holder(home: &Home) -> String {
    let text = fd::read_file(&home.pid_file()).unwrap_or_default();
    match String::from_utf8_lossy(&text).trim() {
        "" => "unknown".to_owned(),
        pid => pid.to_owned(),
    }
}

pub(crate) fn listen(home: &Home) -> Result<UnixListener> {
    let path = home.socket();
    match fs::symlink_metadata(&path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(Error::new(format!(
                "{} is in the way: it is no socket; move it",
                path.display()
            )));
        }
        // Left by a supervisor that was killed; the lock is ours, so nobody listens there.
        Ok(_) => fs::remove_file(&path).doing(|| format!("removing {}", path.display()))?,
        Err(_) => {}
    }
    socket::listen(&path).doing(|| format!("listening at {}", path.display()))
}
