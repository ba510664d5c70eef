//! Finding the daemon, and launching it where none runs.

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

/// How often a daemon is launched that ends before it has greeted.
const LAUNCHES: usize = 3;

/// The daemon of a home, which has greeted; none where none runs.
pub fn connect(home: &Home) -> Result<Option<Daemon>> {
    match connect_silently(home)? {
        Some(mut daemon) => Ok(daemon.greet()?.then_some(daemon)),
        None => Ok(None),
    }
}

/// The daemon of a home, of whatever version; none where none runs.
pub fn connect_silently(home: &Home) -> Result<Option<Daemon>> {
    let Some(Reached { stream, distrust }) = reach(home, socket::connect)? else {
        return Ok(None);
    };
    Ok(Some(Daemon::new(home.clone(), stream, distrust)))
}

/// A connection to the daemon of a home. Nothing has been sent.
pub struct Reached {
    /// The connection.
    pub stream: UnixStream,
    /// Why it is not told the environment: root may command another user's daemon, and keeps its secrets.
    pub distrust: Option<Error>,
}

/// Connects to a socket: [`socket::connect`] waits for a busy listener, [`socket::connect_now`] does not.
type Connecting = fn(&Path) -> std::io::Result<UnixStream>;

/// Connects to the daemon of a home, where one runs. One of another user is not spoken to, unless by root.
pub fn reach(home: &Home, how: Connecting) -> Result<Option<Reached>> {
    let own = user::effective_uid();
    let mut distrust = match home.look() {
        Ok(true) => None,
        // Nobody is there to connect to; a path that can have no socket is said to be one.
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
                "{sentence}; set RPM_HOME to a folder of your own"
            )));
        }
        distrust = Some(Error::new(format!(
            "{sentence}: a command that carries your environment is not sent to it; run it as {whose}, or use sudo -H"
        )));
    }
    Ok(Some(Reached { stream, distrust }))
}

/// Whether the folder is this user's, whatever is wrong with the way to it.
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
        // A daemon that was killed leaves its socket behind. A file of another kind is none of ours to remove.
        ErrorKind::ConnectionRefused => match path.symlink_metadata() {
            Ok(found) if !found.file_type().is_socket() => Err(Error::new(format!(
                "{}: it is not a socket; move it away",
                connecting()
            ))),
            _ => Ok(None),
        },
        ErrorKind::PermissionDenied => Err(hint(
            &Error::io(connecting(), &error),
            "the socket belongs to another user; set RPM_HOME to a folder of your own",
        )),
        ErrorKind::NotADirectory => Err(hint(
            &Error::io(connecting(), &error),
            "RPM_HOME must be a folder, or a path where one can be created",
        )),
        _ => Err(Error::io(connecting(), &error)),
    }
}

/// That the daemon of a home has died again and again, as far as it is known: by the next command people hear of it, also
/// when another one serves by now.
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

/// The daemon of a home, launched where none runs.
pub fn connect_or_launch(home: Home, silent: bool) -> Result<Daemon> {
    if let Some(daemon) = connect(&home)? {
        return Ok(daemon);
    }
    // Said here, before anything is begun.
    home.look()?;
    if !silent {
        output::complain(format!("starting the daemon in {}", home.root().display()));
    }
    for _ in 0..LAUNCHES {
        let launched = launch(&home);
        // Where the launch failed, another client may have been faster, and its daemon serves as well.
        match (connect(&home)?, launched) {
            (Some(daemon), _) => return Ok(daemon),
            (None, Err(error)) => return Err(error),
            // It served, and has ended already.
            (None, Ok(())) => {}
        }
    }
    Err(Error::new(format!(
        "the daemon in {0} ended at once, {LAUNCHES} times; see {1}",
        home.root().display(),
        home.daemon_log().display()
    )))
}

/// Runs `rpmd` and waits for its first process: that ends when the socket is ready, or after saying why not.
fn launch(home: &Home) -> Result<()> {
    let program = daemon_program()?;
    let mut command = Command::new(&program);
    command.arg("--launched").env("RPM_HOME", home.root());
    // A client that a program of another daemon runs has the marks of that program, and the daemon is not part of it.
    command.env_remove("RPM_ID").env_remove("RPM_NAME");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command
        .status()
        .doing(|| format!("starting the daemon {}", program.display()))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::new(format!(
            "the daemon in {} did not start ({status}); see its messages above",
            home.root().display()
        ))),
    }
}

/// The `rpmd` that belongs to this client: the one beside it, else the one in `PATH`.
pub fn daemon_program() -> Result<PathBuf> {
    let own = std::env::current_exe().and_then(|own| own.canonicalize());
    let beside = own.ok().map(|own| own.with_file_name("rpmd"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = std::env::split_paths(&path).map(|folder| folder.join("rpmd"));
    let found = beside.into_iter().chain(elsewhere).find(|p| p.is_file());
    let found = found.and_then(|program| std::path::absolute(program).ok());
    found.ok_or_else(|| {
        Error::new("finding the daemon: rpmd is neither beside rpm nor in PATH; install both in one folder")
    })
}

/// The sentence for a home without daemon.
pub fn no_daemon(home: &Home) -> String {
    format!("no daemon runs in {}", home.root().display())
}
