//! The daemon's own standard output and standard error, where programs print to them (`-o /dev/stdout`).

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::Reason;
use crate::model::spec::Spec;
use crate::model::standard::{self, Named, Standard};
use crate::protocol::log_protocol::Order;
use crate::supervisor::event_loop::Supervisor;
use crate::sys::pid::Pid;
use crate::sys::shared_output;

/// Another descriptor of an output of this process.
pub fn duplicate(which: Standard) -> io::Result<OwnedFd> {
    match which {
        Standard::Out => shared_output::duplicate(io::stdout().as_fd()),
        Standard::Error => shared_output::duplicate(io::stderr().as_fd()),
    }
}

impl Supervisor {
    /// Gives the outputs of this daemon to the log writer, who keeps them after it. One in the background has none.
    pub(crate) fn hand_over_own_output(&mut self) {
        for which in Standard::BOTH.into_iter().filter(|_| self.way.foreground) {
            match duplicate(which) {
                Ok(fd) => self.log.order_with(&Order::Standard { which }, Some(fd)),
                Err(e) if e.raw_os_error() == Some(libc::EBADF) => {}
                Err(e) => {
                    let (what, why) = (which.word(), Reason(&e));
                    self.journal
                        .note(format_args!("handing {what} to the log writer: {why}"));
                }
            }
        }
    }

    /// Why a program cannot print to its files, as far as their names show: no link is followed, since the file system of
    /// a path that a user named may hang. The client follows them, see `client::daemon::log_paths`.
    pub(crate) fn has_no_output(&self, spec: &Spec) -> Option<String> {
        let files = [&spec.out_file, &spec.error_file, &spec.log_file];
        let given = files.into_iter().filter(|file| !file.is_empty());
        given
            .filter_map(|file| {
                let path = Path::new(OsStr::from_bytes(&spec.cwd)).join(OsStr::from_bytes(file));
                let why = match standard::named(&path, Pid::own())? {
                    Named::Standard(which) if !self.way.foreground => format!(
                        "this daemon runs in the background and has no {}; name a file, or run the daemon \
                         as rpmd --foreground",
                        which.word()
                    ),
                    Named::Standard(which) => {
                        let e = duplicate(which).err()?;
                        format!("duplicating the {} of the daemon: {}", which.word(), Reason(&e))
                    }
                    Named::Other => {
                        "of the daemon's descriptors, programs can use only /dev/stdout and /dev/stderr"
                            .to_owned()
                    }
                };
                Some(format!("writing output to {}: {why}", path.display()))
            })
            .next()
    }
}
