//! The log files that are shown, each once, whosever they are.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::line::Stamp;
use super::stream::{Kind, Origin, Stream};
use super::track::Track;
use super::view::View;
use crate::client::daemon::log_paths::keeps_output;
use crate::client::display::output::{self, harmless};
use crate::error::{Context, Result};
use crate::model::value::LogType;
use crate::paths::Home;
use crate::protocol::program_info::ProgramInfo;
use crate::sys::inotify::Watcher;

/// The streams, and what of each program's is wanted.
pub struct Streams {
    /// All of them, in the order in which they were added: the place of a stream stays.
    pub all: Vec<Stream>,
    out: bool,
    err: bool,
    /// How long the longest label is, in characters.
    width: usize,
}

impl Streams {
    /// None yet. `out`, `err`: which outputs of programs are wanted.
    pub fn new(out: bool, err: bool) -> Streams {
        Streams {
            all: Vec::new(),
            out,
            err,
            width: 0,
        }
    }

    /// Adds the files of a program that are not there yet, and takes note of its settings. The places of what is new.
    /// A file of a program that has gone is that of this one from now on.
    pub fn add(&mut self, record: &ProgramInfo, view: &View) -> Vec<usize> {
        let mut added = Vec::new();
        let stamp = Stamp::of(&record.spec);
        let files = files(record, self.out, self.err);
        for (path, kind) in &files {
            let origin = Origin {
                id: Some(record.process.id),
                name: harmless(&record.process.name).into_owned(),
                kind: *kind,
                prefix: Vec::new(),
                width: 0,
                has_gone: false,
            };
            let known = self.all.iter_mut().find(|one| one.track.path() == path);
            match known {
                Some(known) if known.origin.id == origin.id || known.origin.has_gone => {
                    known.origin = origin;
                    known.set_stamp(stamp.clone());
                }
                // Instances may share a pair.
                Some(_) => {}
                None if view.is_timed() && !stamp.tells() => {}
                None => {
                    added.push(self.all.len());
                    let track = Track::new(path.clone());
                    self.all.push(Stream::new(track, origin, stamp.clone()));
                }
            }
        }
        if view.is_timed() && !stamp.tells() && !files.is_empty() {
            let name = harmless(&record.process.name);
            output::complain(format!(
                "the lines of {name} do not tell when they were written, and are left out; start it with --time"
            ));
        }
        self.align(view);
        added
    }

    /// Whether there is a file, now or later, that keeps what is wanted of a program.
    pub fn has_files(&self, record: &ProgramInfo) -> bool {
        !files(record, self.out, self.err).is_empty()
    }

    /// Adds the daemons' own log.
    pub fn add_daemon(&mut self, home: &Home, view: &View) -> usize {
        let origin = Origin {
            id: None,
            name: "rpmd".to_owned(),
            kind: Kind::Out,
            prefix: Vec::new(),
            width: 0,
            has_gone: false,
        };
        let track = Track::new(home.daemon_log());
        self.all
            .push(Stream::new(track, origin, Stamp::of_daemon()));
        self.align(view);
        self.all.len() - 1
    }

    /// A program is not in the list any more. Its files may be those of another one later.
    pub fn has_gone(&mut self, id: u32) {
        let own = self.all.iter_mut().filter(|one| one.origin.id == Some(id));
        own.for_each(|stream| stream.origin.has_gone = true);
    }

    /// Makes what stands before the lines, so that the bars are one below the other.
    fn align(&mut self, view: &View) {
        if view.raw {
            return;
        }
        let labels = self
            .all
            .iter()
            .map(|one| one.origin.label().chars().count());
        self.width = labels.max().unwrap_or(0);
        let width = self.width;
        for stream in &mut self.all {
            stream.origin.align(width, view.look);
        }
    }

    /// The streams that something happened to, in the order in which it did. Some of them may not be watched any more.
    pub fn changed(&mut self, watcher: &Watcher) -> Result<Vec<usize>> {
        let changes = watcher.read().doing(|| "waiting for log files to change")?;
        let mut changed = Vec::new();
        let mut dropped = Vec::new();
        for change in &changes {
            for (at, stream) in self.all.iter_mut().enumerate() {
                if stream.track.is_concerned(change) {
                    dropped.extend(stream.track.hear(change, watcher).unwrap_or_default());
                    if !changed.contains(&at) {
                        changed.push(at);
                    }
                }
            }
        }
        // What nobody is concerned by any more must not wake us up.
        for watch in dropped {
            let mut used = self.all.iter().flat_map(|stream| stream.track.watches());
            if used.all(|used| used != watch) {
                watcher.remove(watch);
            }
        }
        Ok(changed)
    }

    /// Streams by their places, for what prints several of them.
    pub fn at(&mut self, places: &[usize]) -> Vec<(usize, &mut Stream)> {
        let all = self.all.iter_mut().enumerate();
        all.filter(|(at, _)| places.contains(at)).collect()
    }
}

/// The log files of a program. One that has both outputs is shown where nothing else has them, for one of them only where
/// its lines tell them apart.
fn files(record: &ProgramInfo, out: bool, err: bool) -> Vec<(PathBuf, Kind)> {
    let is_kept = keeps_output;
    let [out_path, error_path, log_path] =
        [&record.out_path, &record.error_path, &record.log_path].map(|path| path.as_slice());
    let mut files = Vec::new();
    let both = out_path == error_path;
    for (path, kind, wanted) in [
        (out_path, Kind::Out, out || (both && err)),
        (error_path, Kind::Err, err && !both),
    ] {
        if wanted && is_kept(path) {
            files.push((path, kind));
        }
    }
    let tells_apart = record.spec.log_type == LogType::Json;
    if files.is_empty() && is_kept(log_path) && (tells_apart || (out && err)) {
        files.push((log_path, Kind::Out));
    }
    let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
    files
        .into_iter()
        .map(|(bytes, kind)| (path(bytes), kind))
        .collect()
}

/// Whether a file was there before the program: what it holds is not all of that program's.
pub fn is_older(path: &Path, record: &ProgramInfo) -> bool {
    let born = path.metadata().and_then(|found| found.created());
    let since = born.map(|born| born.duration_since(std::time::UNIX_EPOCH));
    let Ok(Ok(since)) = since else {
        return false;
    };
    let ms = u64::try_from(since.as_millis()).unwrap_or(0);
    // What is counted in seconds or ticks is never later than it was.
    ms + 1000 < record.process.created
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::display::output::Look;
    use crate::protocol::program_info;

    fn paths(streams: &Streams) -> Vec<String> {
        let all = streams.all.iter();
        all.map(|one| one.track.path().display().to_string())
            .collect()
    }

    #[test]
    fn each_file_is_shown_once() {
        let view = View::stored(false, Look::default());
        let mut streams = Streams::new(true, true);
        let record = program_info::sample();
        assert_eq!(streams.add(&record, &view), [0, 1]);
        assert_eq!(streams.add(&record, &view), []);
        assert_eq!(paths(&streams), ["/l/api-out.log", "/l/api-error.log"]);
        let mut only = Streams::new(false, true);
        only.add(&record, &view);
        assert_eq!(paths(&only), ["/l/api-error.log"]);
        let mut both = program_info::sample();
        both.error_path = both.out_path.clone();
        both.process.id = 4;
        assert_eq!(streams.add(&both, &view), []);
        let mut streams = Streams::new(false, true);
        streams.add(&both, &view);
        assert_eq!(paths(&streams), ["/l/api-out.log"]);
        assert_eq!(streams.all[0].origin.kind, Kind::Out);
    }

    #[test]
    fn a_file_of_both_is_shown_where_there_is_no_other() {
        let view = View::stored(false, Look::default());
        let mut record = program_info::sample();
        record.log_path = b"/l/both.log".to_vec();
        let mut streams = Streams::new(true, true);
        streams.add(&record, &view);
        assert_eq!(streams.all.len(), 2);
        record.out_path = b"/dev/null".to_vec();
        record.error_path.clear();
        let mut streams = Streams::new(true, true);
        streams.add(&record, &view);
        assert_eq!(paths(&streams), ["/l/both.log"]);
        for (log_type, count) in [(LogType::Raw, 0), (LogType::Json, 1)] {
            record.spec.log_type = log_type;
            let mut streams = Streams::new(false, true);
            assert_eq!(streams.add(&record, &view).len(), count);
        }
    }

    #[test]
    fn bars_are_one_below_the_other() {
        let view = View::stored(false, Look::default());
        let mut streams = Streams::new(true, false);
        streams.add(&program_info::sample(), &view);
        streams.add_daemon(&Home::new("/h".into()), &view);
        let mut long = program_info::sample();
        long.process.id = 12;
        long.process.name = "a\nb".to_owned();
        long.out_path = b"/l/x".to_vec();
        streams.add(&long, &view);
        let prefixes: Vec<_> = streams
            .all
            .iter()
            .map(|one| one.origin.prefix.clone())
            .collect();
        let expected = [&b"3|api  | "[..], b"rpmd   | ", b"12|a?b | "];
        assert_eq!(prefixes, expected);
    }

    #[test]
    fn a_coloured_prefix_ends_what_a_program_has_left_open() {
        let look = Look {
            colour: true,
            ..Look::default()
        };
        let mut streams = Streams::new(false, true);
        streams.add(&program_info::sample(), &View::stored(false, look));
        let expected = b"\x1b[0m\x1b[35m3|api \x1b[31m|\x1b[0m ";
        assert_eq!(streams.all[0].origin.prefix, expected);
    }

    #[test]
    fn the_files_of_a_program_that_has_gone_may_be_those_of_another() {
        let view = View::stored(false, Look::default());
        let mut streams = Streams::new(true, false);
        streams.add(&program_info::sample(), &view);
        let mut next = program_info::sample();
        next.process.id = 9;
        streams.add(&next, &view);
        assert_eq!(streams.all[0].origin.id, Some(3));
        streams.has_gone(3);
        assert_eq!(streams.add(&next, &view), []);
        assert_eq!(streams.all[0].origin.id, Some(9));
    }
}
