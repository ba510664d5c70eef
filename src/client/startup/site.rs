//! Carrying it out: files, links and commands.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::platform::{Act, Platform, Scene};
use super::service::Service;
use super::text::MARK;
use crate::client::display::output;
use crate::error::{Error, Result};
use crate::sys::place::Place;
use crate::sys::poll::PollSet;

/// Where the commands of inits are, which the PATH of a user may lack.
const SBIN: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin";

/// What supervisors make in the folder of a service.
const STATE: [&str; 2] = ["supervise", "event"];

/// How often they are removed again while their supervisor ends, and how long it is waited for in between.
const REMOVALS: u32 = 100;
const REMOVE_AGAIN: Duration = Duration::from_millis(20);

/// A service of a platform, and where it is to be.
pub struct Site {
    /// The platform.
    pub platform: &'static Platform,
    /// The service.
    pub service: Service,
    /// This machine, or with another root folder a machine that does not run.
    pub scene: Scene,
    /// The user's folder of settings.
    pub config: PathBuf,
    /// Whether commands are to print nothing.
    pub silent: bool,
}

/// What is in the place of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// The file as it would be written.
    Same,
    /// Another file of ours.
    Other,
}

impl Site {
    /// The path of the file on its machine.
    pub fn file(&self) -> String {
        let config = self.config.to_string_lossy();
        let file = self.platform.file.replace("CONFIG", &config);
        file.replace("NAME", &self.service.name)
    }

    /// The folder of the file on its machine.
    fn folder(&self) -> String {
        let file = PathBuf::from(self.file());
        file.parent().unwrap_or(&file).display().to_string()
    }

    /// Whether this is a machine that does not run.
    pub fn is_asleep(&self) -> bool {
        self.scene.root != Path::new("/")
    }

    /// Whether the init runs here.
    pub fn runs(&self) -> bool {
        !self.is_asleep() && self.scene.runs(self.platform)
    }

    /// What is in the place of the file. Somebody else's file is an error.
    pub fn look(&self) -> Result<Found> {
        let path = self.scene.path(&self.file());
        match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Ok(meta) if !meta.is_file() => return Err(self.not_ours(&path)),
            _ => {}
        }
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::InvalidData => return Err(self.not_ours(&path)),
            Err(e) => return Err(failed("reading", &path, &e)),
        };
        match text.lines().take(2).any(|line| line == MARK) {
            true if text == (self.platform.text)(&self.service) => Ok(Found::Same),
            true => Ok(Found::Other),
            false => Err(self.not_ours(&path)),
        }
    }

    fn not_ours(&self, path: &Path) -> Error {
        Error::new(format!(
            "{} is there, and rpm startup did not write it; move it away, or choose a --service-name",
            path.display()
        ))
    }

    /// The folders that are scanned for services and exist. One that a link leads out of the root folder belongs to
    /// another machine.
    fn scanned(&self) -> Vec<PathBuf> {
        let root = self.scene.root.canonicalize().unwrap_or_default();
        let folders = self.platform.scanned.iter();
        let folders = folders.map(|folder| self.scene.path(folder));
        folders
            .filter(|folder| folder.is_dir())
            .filter(|folder| folder.canonicalize().is_ok_and(|f| f.starts_with(&root)))
            .collect()
    }

    /// Fails where another user could lead what is written, or removed, elsewhere: a root folder may be anybody's.
    fn check_owners(&self) -> Result<()> {
        let file = self.scene.path(&self.file());
        let scanned = self.scanned().into_iter();
        for path in scanned.map(|folder| folder.join("x")).chain([file]) {
            let there = path.ancestors().skip(1).find(|folder| folder.exists());
            let place = there.map(|folder| Place::find(&folder.join("x")));
            let trusted = place.transpose();
            if !trusted.is_ok_and(|place| place.is_none_or(|place| place.is_trusted())) {
                return Err(Error::new(format!(
                    "{} is not safe: another user can replace one of its folders",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Fails where the way is not clear for [`Site::install`].
    pub fn check(&self) -> Result<()> {
        self.check_owners()?;
        let mut commands = self.commands(self.platform.enable).into_iter();
        if !self.is_asleep() {
            commands.try_for_each(|(program, _)| self.has(&program))?;
        }
        let scanned = self.scanned();
        if scanned.is_empty() && !self.platform.scanned.is_empty() {
            return Err(Error::new(format!(
                "{} scans none of {}; make one of these folders",
                self.platform.name,
                self.platform.scanned.join(", ")
            )));
        }
        for folder in scanned {
            let link = folder.join(&self.service.name);
            if fs::symlink_metadata(&link).is_ok() && !self.is_our_link(&link) {
                return Err(self.not_ours(&link));
            }
        }
        Ok(())
    }

    fn is_our_link(&self, link: &Path) -> bool {
        fs::read_link(link).is_ok_and(|to| to == Path::new(&self.folder()))
    }

    /// Writes the file, makes the links, runs the commands.
    pub fn install(&self) -> Result<()> {
        self.write()?;
        for folder in self.scanned() {
            let link = folder.join(&self.service.name);
            match symlink(self.folder(), &link) {
                // Two of the folders may be one, under two names.
                Err(e) if e.kind() == ErrorKind::AlreadyExists && self.is_our_link(&link) => {}
                made => attempt("making", &link, made)?,
            }
        }
        self.commands(self.platform.enable)
            .iter()
            .try_for_each(|(program, words)| self.run(program, words))
    }

    /// Writes the file beside its place and moves it there: at no moment is there half of it.
    fn write(&self) -> Result<()> {
        let path = self.scene.path(&self.file());
        let folder = path.parent().unwrap_or(&path);
        attempt("making", folder, fs::create_dir_all(folder))?;
        let new = folder.join(format!(".{}.new", self.service.name));
        let mode = fs::Permissions::from_mode(self.platform.mode);
        let text = (self.platform.text)(&self.service);
        let written = fs::write(&new, text)
            .and_then(|()| fs::set_permissions(&new, mode))
            .and_then(|()| fs::rename(&new, &path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        attempt("writing", &path, written)
    }

    /// Stops the service and removes all that [`Site::install`] made, to the end even where a step fails. Returns
    /// whether none did.
    pub fn remove(&self) -> bool {
        if !told(self.check_owners()) {
            return false;
        }
        let mut done = self.run_all(self.platform.stop);
        for folder in self.scanned() {
            let link = folder.join(&self.service.name);
            if self.is_our_link(&link) {
                done &= removed(&link, fs::remove_file(&link));
            }
        }
        done &= self.run_all(self.platform.release);
        let path = self.scene.path(&self.file());
        done &= removed(&path, fs::remove_file(&path));
        if !self.platform.scanned.is_empty() {
            let folder = self.scene.path(&self.folder());
            done &= removed(&folder, remove_folder(&folder));
        }
        done & self.run_all(self.platform.forget)
    }

    fn run_all(&self, acts: &[Act]) -> bool {
        let mut done = true;
        for (program, words) in self.commands(acts) {
            done &= told(self.run(&program, &words));
        }
        done
    }

    /// The command lines of what is to be done here: the program and its words.
    pub fn commands(&self, acts: &[Act]) -> Vec<(String, Vec<String>)> {
        let mut lines = Vec::new();
        for act in acts {
            let line = match act {
                Act::Always(line) => line,
                Act::Running(line) if self.runs() => line,
                Act::Running(_) => continue,
            };
            match line.contains("SCANNED") {
                true => {
                    let used = |folder: &PathBuf| folder.join(".s6-svscan").exists();
                    let used = self.scanned().into_iter().filter(used);
                    lines.extend(used.map(|folder| self.line(line, &folder)));
                }
                false => lines.push(self.line(line, Path::new(""))),
            }
        }
        lines
    }

    fn line(&self, line: &str, scanned: &Path) -> (String, Vec<String>) {
        let mut words = line.split(' ').map(|word| {
            let word = word.replace("SCANNED", &scanned.to_string_lossy());
            let word = word.replace("FOLDER", &self.folder());
            word.replace("NAME", &self.service.name)
        });
        (words.next().unwrap_or_default(), words.collect())
    }

    /// Fails where a program of the init is missing.
    fn has(&self, name: &str) -> Result<()> {
        let path = search_path();
        // One with a slash is the script that is yet to be written.
        match name.starts_with('/')
            || path
                .split(':')
                .any(|folder| Path::new(folder).join(name).is_file())
        {
            true => Ok(()),
            false => Err(Error::new(format!(
                "{} needs {name}, which is not installed",
                self.platform.name
            ))),
        }
    }

    fn run(&self, program: &str, words: &[String]) -> Result<()> {
        let shown = format!("{program} {}", words.join(" "));
        if self.is_asleep() {
            if !self.silent {
                output::complain(format!("left to run there: {shown}"));
            }
            return Ok(());
        }
        let mut command = Command::new("/usr/bin/env");
        let path = format!("PATH={}", search_path());
        command.arg(path).arg(program).args(words);
        command.stdin(Stdio::null());
        if self.silent {
            command.stdout(Stdio::null());
        }
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(Error::new(format!(
                "{shown} failed; see its messages above"
            ))),
            Err(e) => Err(Error::io(format_args!("running {shown}"), &e)),
        }
    }
}

fn failed(doing: &str, path: &Path, why: &io::Error) -> Error {
    Error::io(format_args!("{doing} {}", path.display()), why)
}

fn attempt(doing: &str, path: &Path, done: io::Result<()>) -> Result<()> {
    done.map_err(|e| failed(doing, path, &e))
}

/// Whether it was done; a failure is told of.
fn told(done: Result<()>) -> bool {
    done.map_err(output::complain).is_ok()
}

fn removed(path: &Path, done: io::Result<()>) -> bool {
    told(attempt("removing", path, done))
}

/// Removes the folder of a service, with what the supervisor of it has made there, and only that.
fn remove_folder(folder: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        STATE.iter().for_each(|state| clear(&folder.join(state)));
        let done = fs::remove_dir(folder);
        let written = || STATE.iter().any(|state| folder.join(state).exists());
        // A supervisor that is ending writes down that it is.
        let again = done.is_err() && written() && tries < REMOVALS;
        if !again {
            return done;
        }
        tries += 1;
        // Nobody else is served by this process: it may wait.
        let _ = PollSet::<()>::default().wait(Some(REMOVE_AGAIN));
    }
}

/// Removes a folder that has only files in it, where there is one.
fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
    let _ = fs::remove_dir(folder);
}

fn search_path() -> String {
    match std::env::var("PATH") {
        Ok(path) if !path.is_empty() => format!("{path}:{SBIN}"),
        _ => SBIN.to_owned(),
    }
}
