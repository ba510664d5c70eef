//! From the start of the process to the loop.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};

use super::init::Init;
use super::journal::Journal;
use super::server::Supervisor;
use crate::error::{Context, Error, Result};
use crate::paths::Home;
use crate::sys::daemonize::{self, Readiness};
use crate::sys::lock::LockFile;
use crate::sys::pid::Pid;
use crate::sys::poll::PollSet;
use crate::sys::signal::{self, SelfPipe, Signal};
use crate::sys::{clock, fd, socket, user, wait};
use std::time::Duration;

/// How long another supervisor may take to begin. ms
const LAUNCH_TIME: u64 = 5000;

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
}

/// Becomes the supervisor of a home and serves to the end.
pub fn run(home: Home, mode: Mode) -> Result<()> {
    let foreground = matches!(mode, Mode::Foreground | Mode::Standby);
    // Whoever started us may have left some open: a terminal or ssh session hangs on them.
    fd::close_all_except(&[]);
    let readiness = match foreground {
        true => Readiness::nobody(),
        false => daemonize::daemonize().doing(|| "becoming a daemon")?,
    };
    user::set_umask(0o077);
    let served = home.clone();
    let init = Init::of(foreground);
    match stand_by(&home, mode, &init).and_then(|()| prepare(home, foreground)) {
        Ok((mut supervisor, _lock)) => {
            readiness.ready();
            init.ready(format_args!("serving {}", served.root().display()));
            supervisor.init = init;
            supervisor.run();
            supervisor.journal.note("ended");
            supervisor.journal.flush();
            Ok(())
        }
        Err(_) if mode == Mode::Launched && another_serves(&served) => {
            readiness.ready();
            Ok(())
        }
        Err(e) => {
            readiness.failed(&e.to_string());
            Err(e)
        }
    }
}

/// Whether another supervisor holds the lock; waits until it serves, as long as it may need to begin.
fn another_serves(home: &Home) -> bool {
    let begin = clock::monotonic_ms();
    let held = || matches!(LockFile::acquire(&home.pid_file()), Ok(None));
    while held() && clock::monotonic_ms().saturating_sub(begin) < LAUNCH_TIME {
        if socket::connect(&home.socket()).is_ok() {
            return true;
        }
        // Nobody is served by this process yet: it may wait.
        let _ = PollSet::<()>::default().wait(Some(Duration::from_millis(5)));
    }
    false
}

/// With [`Mode::Standby`] waits until no other supervisor serves. Nobody is served by this process yet, and no signal
/// is caught: it may wait, and SIGTERM ends it.
fn stand_by(home: &Home, mode: Mode, init: &Init) -> Result<()> {
    if mode != Mode::Standby {
        return Ok(());
    }
    signal::reset_all();
    make_home(home)?;
    let path = home.pid_file();
    let waiting = || format!("waiting for {}", path.display());
    while LockFile::acquire(&path).doing(waiting)?.is_none() {
        let pid = LockFile::read(&path).unwrap_or_default();
        let root = home.root().display();
        let status = format!("standing by: a supervisor serves {root} already (pid {pid})");
        eprintln!("rpmd: {status}");
        init.ready(status);
        LockFile::wait_until_free(&path).doing(waiting)?;
    }
    Ok(())
}

fn prepare(home: Home, foreground: bool) -> Result<(Supervisor, LockFile)> {
    make_home(&home)?;
    let lock = lock(&home)?;
    let mut journal = Journal::open(&home, foreground);
    let listener = listen(&home)?;
    signal::reset_all();
    signal::ignore(Signal::HUP);
    signal::ignore(Signal::PIPE);
    let signals = SelfPipe::install(&[Signal::CHLD, Signal::TERM, Signal::INT]);
    let signals = signals.doing(|| "catching signals")?;
    wait::become_subreaper();
    let nofile = fd::raise_nofile()
        .or_else(|_| fd::nofile_limit())
        .doing(|| "reading the limit of open files")?;
    journal.note(format_args!(
        "rpmd {} serves {}",
        crate::protocol::RELEASE,
        home.root().display()
    ));
    let supervisor = Supervisor::new(home, journal, listener, signals, nofile);
    let mut supervisor = supervisor.doing(|| "opening /dev/null")?;
    supervisor.take_over();
    supervisor.start_logger();
    Ok((supervisor, lock))
}

/// Makes the home and its folders, private. A home that is somebody else's is refused.
fn make_home(home: &Home) -> Result<()> {
    let root = home.root();
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700).recursive(true);
    for folder in [root.to_owned(), home.logs(), home.pids(), home.run()] {
        builder
            .create(&folder)
            .doing(|| format!("making {}", folder.display()))?;
    }
    let meta = fs::metadata(root).doing(|| format!("looking at {}", root.display()))?;
    if meta.uid() != user::effective_uid() {
        let whose = user::user_name(meta.uid()).unwrap_or_else(|| meta.uid().to_string());
        let sentence = format!(
            "{} belongs to {whose}; set RPM_HOME to a folder of your own",
            root.display()
        );
        return Err(Error::new(sentence));
    }
    if meta.mode() & 0o077 != 0 {
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(root, private)
            .doing(|| format!("making {} private", root.display()))?;
    }
    Ok(())
}

/// The lock decides who is the supervisor: only its holder may touch the socket.
fn lock(home: &Home) -> Result<LockFile> {
    let path = home.pid_file();
    let held = LockFile::acquire(&path).doing(|| format!("locking {}", path.display()))?;
    let Some(mut lock) = held else {
        let pid = LockFile::read(&path).unwrap_or_default();
        let sentence = format!(
            "a supervisor serves {} already (pid {pid})",
            home.root().display()
        );
        return Err(Error::new(sentence));
    };
    lock.write(&format!("{}\n", Pid::own()))
        .doing(|| format!("writing {}", path.display()))?;
    Ok(lock)
}

fn listen(home: &Home) -> Result<std::os::unix::net::UnixListener> {
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
