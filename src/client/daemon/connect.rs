//! Finds the daemon, and launches it if none runs.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::exchange::Daemon;
use crate::client::display::output;
use crate::error::{Context, Error, Result};
use crate::paths::Home;
use crate::protocol::deaths::Deaths;
use crate::sys::{clock, fd, socket, user};

/// How many times a daemon is launched that ends before it replies to `hello`.
const LAUNCHES: usize = 3;

/// Connects to the daemon of a home and agrees on the protocol. Returns `None` if no daemon runs.
pub fn connect(home: &Home) -> Result<Option<Daemon>> {
    match connect_without_hello(home)? {
        Some(mut daemon) => Ok(daemon.greet()?.then_some(daemon)),
        None => Ok(None),
    }
}

/// Connects to the daemon of a home without `hello`: it may have another protocol.
pub fn connect_without_hello(home: &Home) -> Result<Option<Daemon>> {
    let Some(Reached { stream, distrust }) = reach(home, socket::connect)? else {
        return Ok(None);
    };
    Ok(Some(Daemon::new(home.clone(), stream, distrust)))
}

/// A connection to the daemon of a home on which nothing has been sent.
pub struct Reached {
    /// The connection.
    pub stream: UnixStream,
    /// Why no environment is sent: root may command the daemon of another user, but does not send its secrets.
    pub distrust: Option<Error>,
}

/// Connects to a socket: [`socket::connect`] waits for a busy listener, [`socket::connect_now`] does not.
type Connecting = fn(&Path) -> std::io::Result<UnixStream>;

/// Connects to the daemon of a home, if one runs. Only root connects to the daemon of another user.
pub fn reach(home: &Home, how: Connecting) -> Result<Option<Reached>> {
    let own = user::effective_uid();
    let mut distrust = match home.look() {
        Ok(true) => None,
        // There is no daemon, but a path that cannot be a socket is an error.
        Ok(false) => return open(home, how).map(|_| None),
        Err(flaw) if own != 0 && !is_own(home) => return Err(flaw),
        Err(flaw) => Some(flaw),
    };
    let Some(stream) = open(home, how)? else {
        return Ok(None);
    };
    let connecting = || format!("connecting to {}", home.socket().display());
    let peer = socket::peer_uid(&stream).doing(connecting)?;
    if peer != own {
        let (root, whose, me) = (home.root().display(), user::shown(peer), user::shown(own));
        let sentence = format!("the daemon in {root} belongs to {whose}, and you are {me}");
        if own != 0 {
            return Err(Error::new(format!(
                "{sentence}; set RPM_HOME to a directory of your own"
            )));
        }
        distrust = Some(Error::new(format!(
            "{sentence}: a command that carries your environment is not sent to it; run it as {whose}, or use sudo -H"
        )));
    }
    Ok(Some(Reached { stream, distrust }))
}

/// Whether the directory belongs to this user, whatever is wrong with the path to it.
fn is_own(home: &Home) -> bool {
    let meta = home.root().metadata();
    meta.is_ok_and(|meta| meta.uid() == user::effective_uid())
}

fn open(home: &Home, how: Connecting) -> Result<Option<UnixStream>> {
    let path = home.socket();
    let error = match how(&path) {
        Ok(stream) => return Ok(Some(stream)),
        Err(error) => error,
    };
    let connecting = || format!("connecting to {}", path.display());
    match error.kind() {
        ErrorKind::NotFound => Ok(None),
        // A killed daemon leaves its socket. Another kind of file is not ours to remove.
        ErrorKind::ConnectionRefused => match path.symlink_metadata() {
            Ok(found) if !found.file_type().is_socket() => Err(Error::new(format!(
                "{}: it is not a socket; remove it",
                connecting()
            ))),
            _ => Ok(None),
        },
        ErrorKind::PermissionDenied => Err(hint(
            &Error::io(connecting(), &error),
            "the socket belongs to another user; set RPM_HOME to a directory of your own",
        )),
        ErrorKind::NotADirectory => Err(hint(
            &Error::io(connecting(), &error),
            "RPM_HOME must be a directory, or a path where one can be created",
        )),
        _ => Err(Error::io(connecting(), &error)),
    }
}

/// The sentence that the daemon of a home died repeatedly, if it did. The next command prints it, even if another daemon
/// runs by then.
pub fn deaths(home: &Home) -> Option<String> {
    let deaths = Deaths::read(&fd::read_file(&home.deaths()).ok()?)?;
    Some(format!(
        "{}; programs keep running; see {}",
        deaths.sentence(clock::wall_ms()),
        home.daemon_log().display()
    ))
}

fn hint(error: &Error, what_to_do: &str) -> Error {
    Error::new(format!("{error}; {what_to_do}"))
}

/// Whether a launch is announced on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// Connects to the daemon of a home, and launches it if none runs.
pub fn connect_or_launch(home: Home, announce: Announce) -> Result<Daemon> {
    if let Some(daemon) = connect(&home)? {
        return Ok(daemon);
    }
    // An unsuitable home is reported before anything is started.
    home.look()?;
    if announce == Announce::Yes {
        output::complain(format!("starting the daemon in {}", home.root().display()));
    }
    for _ in 0..LAUNCHES {
        let launched = launch(&home);
        // If the launch failed, another client may have been faster; its daemon serves as well.
        match (connect(&home)?, launched) {
            (Some(daemon), _) => return Ok(daemon),
            (None, Err(error)) => return Err(error),
            // It was ready, and has ended already.
            (None, Ok(())) => {}
        }
    }
    Err(Error::new(format!(
        "the daemon in {0} ended at once, {LAUNCHES} times; see {1}",
        home.root().display(),
        home.daemon_log().display()
    )))
}

/// Runs `rpmd` and waits for its first process, which exits when the socket is ready or the start has failed.
fn launch(home: &Home) -> Result<()> {
    let program = daemon_program()?;
    let mut command = Command::new(&program);
    command.arg("--launched").env("RPM_HOME", home.root());
    // A client that is run by a program of another daemon has the marks of that program. The daemon is not part of it.
    command.env_remove("RPM_ID").env_remove("RPM_NAME");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command
        .status()
        .doing(|| format!("starting the daemon {}", program.display()))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new(format!(
            "the daemon in {} did not start ({status}); see its messages above",
            home.root().display()
        )))
    }
}

/// The path of `rpmd`: beside this client, else in `PATH`.
pub fn daemon_program() -> Result<PathBuf> {
    let own = std::env::current_exe().and_then(|own| own.canonicalize());
    let beside = own.ok().map(|own| own.with_file_name("rpmd"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = std::env::split_paths(&path).map(|folder| folder.join("rpmd"));
    let found = beside.into_iter().chain(elsewhere).find(|p| p.is_file());
    let found = found.and_then(|program| std::path::absolute(program).ok());
    found.ok_or_else(|| {
        Error::new("finding the daemon: rpmd is neither beside rpm nor in PATH; install both in one directory")
    })
}

/// The sentence for a home without a daemon.
pub fn no_daemon(home: &Home) -> String {
    format!("no daemon runs in {}", home.root().display())
}
