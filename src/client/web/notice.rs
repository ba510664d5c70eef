//! The file `web` of the home: what the web server has to say to the client that started it, or comes later.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::NAME;
use crate::error::{Context, Error, Result};
use crate::paths::Home;
use crate::protocol::line::Line;
use crate::sys::fd;
use crate::sys::inotify;
use crate::sys::open;
use crate::sys::pid::Pid;
use crate::sys::pidfd::PidFd;
use crate::sys::poll::{Interest, PollSet};

/// How long a server may say nothing before the client gives up, each time.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the server says once, when it knows whether it can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Where it serves.
    Serves(String),
    /// Why it does not.
    Fails(String),
}

fn path(home: &Home) -> PathBuf {
    home.root().join("web")
}

/// Leaves a notice, in the place of any other.
pub fn leave(home: &Home, notice: &Notice) -> Result<()> {
    let (key, text) = match notice {
        Notice::Serves(address) => ("address", address),
        Notice::Fails(why) => ("error", why),
    };
    let line = Line::new("web").with("pid", Pid::own().to_string());
    let bytes = line.with(key, text).to_bytes();
    open::replace(&path(home), &bytes).doing(|| format!("writing {}", path(home).display()))
}

/// The notice that was left, and by which process.
fn read(home: &Home) -> Option<(i32, Notice)> {
    let line = Line::decode(&fd::read_file(&path(home)).ok()?).ok()?;
    let notice = match (line.text("address"), line.text("error")) {
        (Some(address), _) => Notice::Serves(address.to_owned()),
        (None, Some(why)) => Notice::Fails(why.to_owned()),
        (None, None) => return None,
    };
    Some((line.number("pid")?, notice))
}

/// Waits until the server with this pid says whether it serves; where it does.
pub fn wait(home: &Home, pid: i32) -> Result<String> {
    let waiting = || format!("waiting for {NAME}");
    let watcher = inotify::watcher(&waiting())?;
    let watched = watcher.add(home.root());
    watched.map_err(|why| inotify::explained(&waiting(), &why))?;
    let held = Pid::new(pid).and_then(|pid| PidFd::open(pid).ok());
    let mut set = PollSet::default();
    let mut ended = held.is_none();
    loop {
        // Looked at after its end too: that may have come just behind the notice.
        match read(home) {
            Some((of, Notice::Serves(address))) if of == pid && !ended => return Ok(address),
            // When it has ended, the next one may have failed in the same way already.
            Some((of, Notice::Fails(why))) if of == pid || ended => return Err(Error::new(why)),
            _ if ended => {
                let log = home.logs().join(format!("{NAME}-error.log"));
                let log = log.display();
                return Err(Error::new(format!("{NAME} ended at once; see {log}")));
            }
            _ => {}
        }
        set.clear();
        set.push(watcher.fd(), Interest::READ, false);
        if let Some(held) = &held {
            set.push(held.fd(), Interest::READ, true);
        }
        set.wait(Some(PATIENCE)).doing(waiting)?;
        if set.ready().next().is_none() {
            return Err(Error::new(format!(
                "{NAME} does not say where it serves; rpm delete {NAME}, then try again"
            )));
        }
        ended = set.ready().any(|(is_end, _)| is_end);
        watcher.read().doing(waiting)?;
    }
}

/// Takes the notice away.
pub fn remove(home: &Home) {
    let _ = fs::remove_file(path(home));
}
