//! The daemon's own standard output and standard error, where programs print to them (`-o /dev/stdout`).

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use crate::error::Reason;
use crate::model::spec::Spec;
use crate::model::standard::{self, Named, Standard};
use crate::model::value::Bytes;
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

/// One of the outputs of a daemon in the foreground. The log writer keeps it, so that the next supervisor has it too, even
/// one in the background.
#[derive(Debug)]
pub struct OwnOutput {
    which: Standard,
    fd: Rc<OwnedFd>,
    /// Where the log writer keeps it.
    slot: Option<u64>,
}

impl OwnOutput {
    /// The name under which the log writer keeps it.
    pub fn name(which: Standard) -> Bytes {
        format!("output\0{}", which.path()).into_bytes()
    }
}

impl Supervisor {
    /// Opens the outputs of this daemon for programs. One in the background has none of its own.
    pub(crate) fn open_own_outputs(&mut self) {
        for which in Standard::BOTH.into_iter().filter(|_| self.way.foreground) {
            match duplicate(which) {
                Ok(fd) => self.own_outputs.push(OwnOutput {
                    which,
                    fd: Rc::new(fd),
                    slot: None,
                }),
                Err(e) if e.raw_os_error() == Some(libc::EBADF) => {}
                Err(e) => {
                    let (what, why) = (which.word(), Reason(&e));
                    self.journal
                        .note(format_args!("handing {what} to the log writer: {why}"));
                }
            }
        }
    }

    /// Gives the outputs to a new log writer.
    pub(crate) fn hand_over_own_outputs(&mut self) {
        if self.own_outputs.is_empty() {
            self.open_own_outputs();
        }
        for output in &mut self.own_outputs {
            output.slot = None;
            let order = Order::Standard {
                which: output.which,
            };
            self.log.order_with(&order, Some(Rc::clone(&output.fd)));
        }
        self.keep_own_outputs();
    }

    /// Has the log writer keep them.
    pub(crate) fn keep_own_outputs(&mut self) {
        for output in self.own_outputs.iter_mut().filter(|o| o.slot.is_none()) {
            let name = OwnOutput::name(output.which);
            output.slot = self.log.keep(name, Rc::clone(&output.fd));
        }
    }

    /// Takes back an output of the supervisor before. False: this one has its own.
    pub(crate) fn recover_own_output(&mut self, path: &str, slot: u64, fd: OwnedFd) -> bool {
        let mut all = Standard::BOTH.into_iter();
        let which = all.find(|which| which.path() == path);
        let is_new = |which: &Standard| !self.way.foreground && !self.has_own_output(*which);
        let Some(which) = which.filter(is_new) else {
            return false;
        };
        let fd = Rc::new(fd);
        self.log
            .order_with(&Order::Standard { which }, Some(Rc::clone(&fd)));
        self.own_outputs.push(OwnOutput {
            which,
            fd,
            slot: Some(slot),
        });
        true
    }

    fn has_own_output(&self, which: Standard) -> bool {
        self.own_outputs.iter().any(|output| output.which == which)
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
                    Named::Standard(which) if self.has_own_output(which) => return None,
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
