//! The files of `RPM_HOME`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Reason, Result};
use crate::sys::private::{self, Flaw, Missing};
use crate::sys::user;

/// The home folder of one supervisor: every path that the two programs share comes from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

/// Its folders.
const FOLDERS: [&str; 3] = ["logs", "pids", "run"];

impl Home {
    /// The home at an absolute path.
    pub fn new(root: PathBuf) -> Home {
        Home(root)
    }

    /// The home that the environment names: `RPM_HOME`, else `.rpm` in the user's home folder.
    pub fn from_environment() -> Result<Home> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(named) = set("RPM_HOME") {
            let root = std::path::absolute(named);
            return root
                .map(Home)
                .doing(|| "resolving RPM_HOME from the working directory");
        }
        let users = set("HOME").map(PathBuf::from);
        let users = users.or_else(|| user::home_dir(user::effective_uid()));
        match users {
            Some(folder) if folder.is_absolute() => Ok(Home(folder.join(".rpm"))),
            _ => Err(Error::new(
                "neither RPM_HOME nor HOME names a folder; set RPM_HOME",
            )),
        }
    }

    /// Whether it is there and nobody else has a hand in it; `Err` says who has.
    pub fn look(&self) -> Result<bool> {
        let found = private::find(&self.0, Missing::Leave);
        found.map(|home| home.is_some()).map_err(|f| self.flaw(f))
    }

    /// Makes it and its folders, private. One that somebody else has a hand in is left as it is, and refused.
    pub fn make(&self) -> Result<()> {
        let found = private::find(&self.0, Missing::Make);
        let Some(home) = found.map_err(|flaw| self.flaw(flaw))? else {
            return Ok(());
        };
        let root = self.0.display();
        private::close_to_others(&home).doing(|| format!("making {root} private"))?;
        for name in FOLDERS {
            private::make_in(&home, name).doing(|| format!("making {root}/{name}"))?;
        }
        Ok(())
    }

    /// What is wrong with it, and what to do.
    fn flaw(&self, flaw: Flaw) -> Error {
        let own = user::effective_uid();
        let (home, me) = (self.0.display(), user::shown(own));
        let elsewhere = if own == 0 {
            "use sudo -H, or set RPM_HOME=/root/.rpm"
        } else {
            "set RPM_HOME to a folder of your own"
        };
        // Whose it is counts more than whose the way to it is.
        let owner = self.0.symlink_metadata().map(|meta| meta.uid());
        let flaw = match (flaw, owner) {
            (flaw @ Flaw::Failed { .. }, _) => flaw,
            (_, Ok(uid)) if uid != own => Flaw::Belongs {
                path: self.0.clone(),
                uid,
            },
            (flaw, _) => flaw,
        };
        Error::new(match flaw {
            Flaw::Belongs { path, uid } if path == self.0 && own != 0 => {
                let whose = user::shown(uid);
                let back = format!(
                    "if sudo created it, give it back with sudo chown -R {me} {home}, else "
                );
                let back = Some(back).filter(|_| uid == 0).unwrap_or_default();
                format!("{home} belongs to {whose}, and you are {me}; {back}{elsewhere}")
            }
            Flaw::Belongs { path, uid } if path == self.0 => {
                let whose = user::shown(uid);
                format!(
                    "{home} belongs to {whose}, and {me} does not use another user's home; {elsewhere}"
                )
            }
            Flaw::Belongs { path, uid } => format!(
                "{home} is not safe: {} belongs to {}, who can replace it; {elsewhere}",
                path.display(),
                user::shown(uid)
            ),
            Flaw::Open { path, group } => {
                let is_home = path == self.0;
                let path = path.display();
                let who = group.map_or("everybody".to_owned(), |gid| format!("group {gid}"));
                if is_home {
                    return Error::new(format!(
                        "{home} is not safe: {who} may write to it; {elsewhere}; or, if nobody else uses it, chmod 700 {home}"
                    ));
                }
                format!(
                    "{home} is not safe: {who} may write to {path}; chmod go-w {path}, or {elsewhere}"
                )
            }
            Flaw::Link(path) => format!(
                "{home} is not safe: {} is a link in a folder that others may write to; {elsewhere}",
                path.display()
            ),
            Flaw::Failed { doing, path, why } => {
                let (path, why) = (path.display(), Reason(&why));
                format!(
                    "{doing} {path}: {why}; RPM_HOME must be a folder of your own, or a path where one can be created"
                )
            }
        })
    }

    /// The folder itself, mode 0700.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// The control socket, mode 0600.
    pub fn socket(&self) -> PathBuf {
        self.0.join("rpmd.sock")
    }

    /// The supervisor's pid. Its lock is that of the home folder itself.
    pub fn pid_file(&self) -> PathBuf {
        self.0.join("rpmd.pid")
    }

    /// The daemons' own log.
    pub fn daemon_log(&self) -> PathBuf {
        self.0.join("rpmd.log")
    }

    /// Where the log writer listens for supervisors, mode 0600.
    pub fn log_socket(&self) -> PathBuf {
        self.0.join("log.sock")
    }

    /// Where the output is found that is on its way from a program to its file.
    pub fn batch(&self) -> PathBuf {
        self.0.join("log.batch")
    }

    /// What concerns all records together.
    pub fn state(&self) -> PathBuf {
        self.0.join("rpmd.state")
    }

    /// Which sockets Node workers have asked for.
    pub fn sockets(&self) -> PathBuf {
        self.0.join("rpmd.sockets")
    }

    /// How often supervisors have died one after the other: one line of the protocol, for the next command to say.
    pub fn deaths(&self) -> PathBuf {
        self.0.join("rpmd.deaths")
    }

    /// Where the log files of programs go that name none.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Where the pid files of programs go that name none.
    pub fn pids(&self) -> PathBuf {
        self.0.join("pids")
    }

    /// The list that `rpm save` wrote.
    pub fn dump(&self) -> PathBuf {
        self.0.join("dump.json")
    }

    /// The list that [`Home::dump`] was before.
    pub fn dump_backup(&self) -> PathBuf {
        self.0.join("dump.json.bak")
    }

    /// What [`Home::dump`] was when it could not be read as a list.
    pub fn dump_broken(&self) -> PathBuf {
        self.0.join("dump.json.broken")
    }

    /// The next [`Home::dump`] while it is being written.
    pub fn dump_new(&self) -> PathBuf {
        self.0.join("dump.json.new")
    }

    /// Whether the daemons keep something of this name in the folder.
    pub fn keeps(&self, name: &OsStr) -> bool {
        let files = ["rpmd.", "log.", "dump.json"];
        let folders = [self.logs(), self.pids(), self.run()];
        let bytes = name.as_bytes();
        files
            .iter()
            .any(|begin| bytes.starts_with(begin.as_bytes()))
            || folders.iter().any(|path| path.file_name() == Some(name))
    }

    /// The list of all programs and their pipes.
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    /// The list of all programs: lines of the protocol, each with a checksum.
    pub fn list(&self) -> PathBuf {
        self.run().join("list")
    }

    /// The folder that the writer of the list locks. The log writer locks [`Home::run`].
    pub fn list_lock(&self) -> PathBuf {
        self.pids()
    }

    /// The next [`Home::list`] until it is on the disk.
    pub fn list_new(&self) -> PathBuf {
        self.run().join("list.new")
    }

    /// The pipes of one program.
    pub fn records(&self, id: u32) -> Pipes {
        let path = |name| self.run().join(format!("{id}.{name}"));
        Pipes {
            out: path("out"),
            err: path("err"),
        }
    }

    /// Where the release before this one has the records of one program.
    pub fn former_records(&self, id: u32) -> PathBuf {
        self.run().join(id.to_string())
    }
}

/// What a log file was before it was set aside so many times: `FILE.1` is the youngest of those.
pub fn older(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// The FIFOs that a program prints to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipes {
    out: PathBuf,
    err: PathBuf,
}

impl Pipes {
    /// The FIFO that is the program's standard output.
    pub fn out(&self) -> PathBuf {
        self.out.clone()
    }

    /// The FIFO that is the program's standard error.
    pub fn err(&self) -> PathBuf {
        self.err.clone()
    }
}
