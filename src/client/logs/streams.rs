//! The log files that are shown, each once, whichever programs write it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::line::{Output, Stamp};
use super::source::Source;
use super::stream::Stream;
use super::tail::Tail;
use super::view::View;
use super::watch::Watches;
use crate::client::daemon::log_paths::keeps_output;
use crate::client::display::output::{self, harmless};
use crate::model::value::LogType;
use crate::paths::Home;
use crate::protocol::program_info::ProgramInfo;

/// The streams, and which outputs of programs are wanted.
pub struct Streams {
    /// All streams, by the number of each.
    pub all: Vec<Stream>,
    out: bool,
    err: bool,
}

impl Streams {
    /// No streams yet. `out`, `err`: which outputs are wanted.
    pub fn new(out: bool, err: bool) -> Streams {
        Streams {
            all: Vec::new(),
            out,
            err,
        }
    }

    /// Adds the files of a program and takes over its settings. Gives the numbers of those that are new. A file of a
    /// deleted program becomes one of this program.
    pub fn add(&mut self, record: &ProgramInfo, view: &View) -> Vec<usize> {
        let mut added = Vec::new();
        let stamp = Stamp::of(&record.spec);
        let is_left_out = view.is_timed() && !stamp.has_times();
        let files = files(record, self.out, self.err);
        let name = harmless(&record.process.name);
        for (path, output) in &files {
            let source = Source::new(Some(record.process.id), name.clone().into_owned(), *output);
            match self.all.iter_mut().find(|one| one.tail.path() == path) {
                Some(known) if known.source.id == source.id || known.source.is_deleted => {
                    known.source = source;
                    known.set_stamp(stamp.clone());
                }
                // Instances may share a pair.
                Some(_) => {}
                None if is_left_out => {}
                None => {
                    added.push(self.all.len());
                    let tail = Tail::new(path.clone());
                    self.all.push(Stream::new(tail, source, stamp.clone()));
                }
            }
        }
        if is_left_out && !files.is_empty() {
            output::complain(format!(
                "the lines of {name} have no date and are left out; start it with --time"
            ));
        }
        self.align(view);
        added
    }

    /// Adds the daemon's log.
    pub fn add_daemon(&mut self, home: &Home, view: &View) {
        let source = Source::new(None, super::DAEMON.to_owned(), Output::Out);
        let tail = Tail::new(home.daemon_log());
        self.all.push(Stream::new(tail, source, Stamp::of_daemon()));
        self.align(view);
    }

    /// Whether a file, which need not exist yet, has the wanted outputs of a program.
    pub fn has_files(&self, record: &ProgramInfo) -> bool {
        !files(record, self.out, self.err).is_empty()
    }

    /// A program was deleted. Its files may become those of another one.
    pub fn mark_deleted(&mut self, id: u32) {
        let own = self.all.iter_mut().filter(|one| one.source.id == Some(id));
        own.for_each(|stream| stream.source.is_deleted = true);
    }

    /// Aligns the bars behind the labels.
    fn align(&mut self, view: &View) {
        if view.raw {
            return;
        }
        let labels = self.all.iter().map(|one| one.source.label());
        let width = labels.map(|label| label.chars().count()).max();
        for stream in &mut self.all {
            stream.source.align(width.unwrap_or(0), view.look);
        }
    }

    /// The streams with these numbers.
    pub fn at(&mut self, numbers: &[usize]) -> Vec<(usize, &mut Stream)> {
        let all = self.all.iter_mut().enumerate();
        all.filter(|(number, _)| numbers.contains(number)).collect()
    }

    /// The numbers of the streams that are not watched.
    pub fn unwatched(&self, watches: Option<&Watches>) -> Vec<usize> {
        let all = 0..self.all.len();
        all.filter(|number| !watches.is_some_and(|watches| watches.has(*number)))
            .collect()
    }
}

/// The log files of a program. One for both outputs is shown where no other has them, and for a single output only where
/// its lines name theirs.
fn files(record: &ProgramInfo, out: bool, err: bool) -> Vec<(PathBuf, Output)> {
    let [out_path, error_path, log_path] =
        [&record.out_path, &record.error_path, &record.log_path].map(|path| path.as_slice());
    let both = out_path == error_path;
    let mut files = vec![
        (out_path, Output::Out, out || (both && err)),
        (error_path, Output::Err, err && !both),
    ];
    let is_kept = |(path, _, is_wanted): &(&[u8], Output, bool)| *is_wanted && keeps_output(path);
    files.retain(is_kept);
    if files.is_empty() {
        let names_output = record.spec.log_type == LogType::Json;
        files.push((log_path, Output::Out, names_output || (out && err)));
        files.retain(is_kept);
    }
    let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
    let files = files.into_iter();
    files
        .map(|(bytes, output, _)| (path(bytes), output))
        .collect()
}

/// Whether a file is older than the program, so that not all of it was printed by that.
pub fn is_older(path: &Path, record: &ProgramInfo) -> bool {
    let created = path.metadata().and_then(|found| found.created());
    let since = created.map(|created| created.duration_since(std::time::UNIX_EPOCH));
    let Ok(Ok(since)) = since else {
        return false;
    };
    let ms = u64::try_from(since.as_millis()).unwrap_or(0);
    // A second of tolerance: file systems round the time down.
    ms + 1000 < record.process.created
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::display::output::Look;
    use crate::protocol::program_info;

    fn paths(streams: &Streams) -> Vec<String> {
        let all = streams.all.iter();
        all.map(|one| one.tail.path().display().to_string())
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
        assert_eq!(streams.all[0].source.output, Output::Out);
    }

    #[test]
    fn a_file_of_both_outputs_is_shown_where_there_is_no_other() {
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
    fn bars_are_aligned() {
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
            .map(|one| one.source.prefix.clone())
            .collect();
        let expected = [&b"3|api  | "[..], b"rpmd   | ", b"12|a?b | "];
        assert_eq!(prefixes, expected);
    }

    #[test]
    fn a_coloured_prefix_first_ends_a_colour_that_was_left_on() {
        let look = Look {
            colour: true,
            ..Look::default()
        };
        let mut streams = Streams::new(false, true);
        streams.add(&program_info::sample(), &View::stored(false, look));
        let expected = b"\x1b[0m\x1b[35m3|api \x1b[31m|\x1b[0m ";
        assert_eq!(streams.all[0].source.prefix, expected);
    }

    #[test]
    fn the_file_of_a_deleted_program_may_become_that_of_another() {
        let view = View::stored(false, Look::default());
        let mut streams = Streams::new(true, false);
        streams.add(&program_info::sample(), &view);
        let mut next = program_info::sample();
        next.process.id = 9;
        streams.add(&next, &view);
        assert_eq!(streams.all[0].source.id, Some(3));
        streams.mark_deleted(3);
        assert_eq!(streams.add(&next, &view), []);
        assert_eq!(streams.all[0].source.id, Some(9));
    }
}
