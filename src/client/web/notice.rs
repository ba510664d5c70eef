//! The file `web` of the home: what the web server has to say to the client that started it, or comes later.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::error::{Context, Result};
use crate::paths::Home;
use crate::protocol::line::Line;
use crate::sys::pid::Pid;

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
    let new = home.root().join("web.new");
    let _ = fs::remove_file(&new);
    let mut options = fs::File::options();
    let file = options.write(true).create_new(true).mode(0o600).open(&new);
    let written = file.and_then(|mut file| file.write_all(&bytes));
    let renamed = written.and_then(|()| fs::rename(&new, path(home)));
    renamed.doing(|| format!("writing {}", path(home).display()))
}

/// The notice that was left, and by which process.
pub fn read(home: &Home) -> Option<(i32, Notice)> {
    let line = Line::decode(&fs::read(path(home)).ok()?).ok()?;
    let notice = match (line.text("address"), line.text("error")) {
        (Some(address), _) => Notice::Serves(address.to_owned()),
        (None, Some(why)) => Notice::Fails(why.to_owned()),
        (None, None) => return None,
    };
    Some((line.number("pid")?, notice))
}

/// Takes the notice away.
pub fn remove(home: &Home) {
    let _ = fs::remove_file(path(home));
}
