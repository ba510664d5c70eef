//! Where the files of a program are.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::rc::Rc;

use crate::model::file_name::{self, Output};
use crate::model::spec::{BESIDE, is_no_file};
use crate::model::standard::{self, Named};
use crate::model::value::LogType;
use crate::paths::Home;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::Program;
use crate::sys::fifo;
use crate::sys::pid::Pid;

/// A stream of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// Both.
    Both,
}

impl Supervisor {
    /// Gives the last line in each pipe of a program an end, where it has left one without: what its next run prints is
    /// another line. Whether its files hold whole lines.
    pub(crate) fn end_lines(&self, id: u32) -> bool {
        let Some(program) = self.programs.get(&id) else {
            return false;
        };
        let files = program.log_files(&self.home);
        let mut others = self.programs.values().filter(|other| other.id != id);
        let in_lines = program.is_in_lines(&self.home)
            || others.any(|other| other.shares_a_file(program, &files, &self.home));
        if let Some((out, err)) = program.fifos.as_ref().filter(|_| in_lines) {
            for pipe in [out, err] {
                let _ = fifo::end_line(pipe.as_fd());
            }
        }
        in_lines
    }
}

impl Program {
    /// Whether its process prints to other pipes than those that are held: to those of records that were removed, and
    /// were made again. One that has redirected its output does too, which does no harm.
    pub fn prints_elsewhere(&self, pid: Pid) -> bool {
        let number = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        let held = self.fifos.as_ref();
        let held = held.and_then(|(out, _)| File::from(out.try_clone().ok()?).metadata().ok());
        let own = std::fs::metadata(format!("/proc/{pid}/fd/1")).ok();
        own.zip(held)
            .is_some_and(|(own, held)| number(own) != number(held))
    }

    /// Where a stream goes; empty when it goes nowhere. Instances that do not share their files have their number
    /// in the name.
    pub fn log_file(&self, home: &Home, stream: Stream) -> PathBuf {
        let (given, output) = match stream {
            Stream::Out => (&self.spec.out_file, Output::Out),
            Stream::Err => (&self.spec.error_file, Output::Error),
            Stream::Both => (&self.spec.log_file, Output::Both),
        };
        let apart = self.spec.instances > 1 && !self.spec.merge_logs;
        let both = stream == Stream::Both;
        if is_no_file(given) || self.spec.disable_logs || both && given.is_empty() {
            return PathBuf::new();
        }
        if given.is_empty() || both && given == BESIDE {
            let number = apart.then_some(self.id);
            let name = file_name::log(&self.spec.name, output, number);
            return home.logs().join(name);
        }
        let path = self.absolute(given);
        match (standard::named(&path, Pid::own()), apart) {
            (Some(Named::Standard(which)), _) => which.path().into(),
            (_, true) => self.numbered(path),
            (_, false) => path,
        }
    }

    /// Whether both streams end in the same files and nothing tells them apart there: then they are one pipe, and what
    /// is printed stands in the order in which it was.
    pub(crate) fn is_one_stream(&self, home: &Home) -> bool {
        self.spec.log_type == LogType::Raw
            && self.log_file(home, Stream::Out) == self.log_file(home, Stream::Err)
    }

    /// Whether its log files hold whole lines: then what it has begun to print waits in its pipes.
    fn is_in_lines(&self, home: &Home) -> bool {
        let spec = &self.spec;
        let merged = spec.merge_logs && spec.instances > 1;
        let changed = !spec.date_format().is_empty() || spec.log_type == LogType::Json;
        // Nobody has an output of the daemon's own for himself.
        let both = [Stream::Out, Stream::Err].map(|stream| self.log_file(home, stream));
        let own = |path: &PathBuf| standard::named(path, Pid::own()).is_some();
        let own = both.iter().any(own);
        own || changed || merged || !spec.log_file.is_empty() || self.is_one_stream(home)
    }

    /// Its log files; an empty path where there is none.
    fn log_files(&self, home: &Home) -> [PathBuf; 3] {
        [Stream::Out, Stream::Err, Stream::Both].map(|stream| self.log_file(home, stream))
    }

    /// Whether one of these, which are the log files of the other program, is one of this program, too.
    fn shares_a_file(&self, other: &Program, theirs: &[PathBuf], home: &Home) -> bool {
        let named = |p: &Program| {
            let spec = &p.spec;
            let files = [&spec.out_file, &spec.error_file, &spec.log_file];
            files.iter().any(|file| !file.is_empty())
        };
        // Instances that do not share their files have their number in the names of them.
        let apart = |p: &Program| p.spec.instances > 1 && !p.spec.merge_logs;
        if Rc::ptr_eq(&self.spec, &other.spec) && apart(self) {
            return false;
        }
        // By default files are of one name, see `file_name`.
        let one_name = self.spec.name == other.spec.name && !(apart(self) && apart(other));
        if !one_name && !named(self) && !named(other) {
            return false;
        }
        let mut own = self.log_files(home).into_iter();
        own.any(|file| !file.as_os_str().is_empty() && theirs.contains(&file))
    }

    /// The path with the number of the program before its ending.
    fn numbered(&self, path: PathBuf) -> PathBuf {
        let Some(stem) = path.file_stem() else {
            return path;
        };
        let mut name = stem.to_owned();
        name.push(format!("-{}", self.id));
        if let Some(ending) = path.extension() {
            name.push(".");
            name.push(ending);
        }
        path.with_file_name(name)
    }

    /// The log files that somebody has named.
    pub fn named_logs(&self) -> Vec<PathBuf> {
        let spec = &self.spec;
        let given = [&spec.out_file, &spec.error_file, &spec.log_file];
        let given = given.into_iter().filter(|file| {
            let both = std::ptr::eq(*file, &raw const spec.log_file) && *file == BESIDE;
            !file.is_empty() && !is_no_file(file) && !both && !spec.disable_logs
        });
        given.map(|file| self.absolute(file)).collect()
    }

    /// The folders of a pid file that somebody has named, the topmost first.
    pub fn pid_folders(&self) -> Vec<PathBuf> {
        if self.spec.pid_file.is_empty() {
            return Vec::new();
        }
        let path = self.absolute(&self.spec.pid_file);
        let folders = path
            .ancestors()
            .skip(1)
            .filter(|folder| folder.parent().is_some());
        let mut folders: Vec<PathBuf> = folders.map(PathBuf::from).collect();
        folders.reverse();
        folders
    }

    /// Where its pid is written.
    pub fn pid_file(&self, home: &Home) -> PathBuf {
        match self.spec.pid_file.is_empty() {
            true => home.pids().join(file_name::pid(&self.spec.name, self.id)),
            false if self.spec.instances > 1 => self.numbered(self.absolute(&self.spec.pid_file)),
            false => self.absolute(&self.spec.pid_file),
        }
    }

    fn absolute(&self, path: &[u8]) -> PathBuf {
        let folder = PathBuf::from(std::ffi::OsString::from_vec(self.spec.cwd.clone()));
        folder.join(std::ffi::OsStr::from_bytes(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::Spec;
    use crate::supervisor::program::tests::program;

    #[test]
    fn log_files_are_named_after_the_program() {
        let home = Home::new("/h".into());
        let path = |change: &dyn Fn(&mut Spec), stream| {
            program(|s| change(s))
                .log_file(&home, stream)
                .display()
                .to_string()
        };
        assert_eq!(path(&|_| (), Stream::Out), "/h/logs/api-out.log");
        assert_eq!(
            path(&|s| s.instances = 2, Stream::Err),
            "/h/logs/api-error-7.log"
        );
        let merged = |s: &mut Spec| (s.instances, s.merge_logs) = (2, true);
        assert_eq!(path(&merged, Stream::Err), "/h/logs/api-error.log");
        let given = |s: &mut Spec| (s.instances, s.out_file) = (2, b"x/a.b.log".to_vec());
        assert_eq!(path(&given, Stream::Out), "/srv/x/a.b-7.log");
        assert_eq!(
            path(&|s| s.out_file = b"/dev/null".to_vec(), Stream::Out),
            ""
        );
        for out in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
            // There is one of it, however many instances there are.
            let own = |s: &mut Spec| (s.instances, s.out_file) = (2, out.into());
            assert_eq!(path(&own, Stream::Out), "/dev/stdout");
        }
        let both = |s: &mut Spec| s.log_file = b"all.log".to_vec();
        assert_eq!(path(&both, Stream::Both), "/srv/all.log");
        let beside = |s: &mut Spec| (s.instances, s.log_file) = (2, BESIDE.to_vec());
        assert_eq!(path(&beside, Stream::Both), "/h/logs/api-7.log");
        let disabled = |s: &mut Spec| (s.disable_logs, s.log_file) = (true, b"all.log".to_vec());
        for stream in [Stream::Out, Stream::Err, Stream::Both] {
            assert_eq!(path(&disabled, stream), "");
        }
    }
}
