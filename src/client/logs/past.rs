//! The past lines of a log file and its older generations: where the last ones begin, and reading them in order.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use super::backward::Backward;
use super::generations::{self, Identity};
use super::line::Reader;
use super::stream::{LONGEST, Stream};
use super::view::View;
use crate::error::{Context, Result};

/// How far before the first line its time is looked for, in bytes.
const LOOK_BACK: u64 = 64 << 10;
/// So many bytes of lines from before `--since` in a row are the end: lines of several processes may be out of order.
const DISORDER: u64 = 1 << 20;
/// The most attempts to open a generation that keeps being moved.
const ATTEMPTS: u32 = 100;
/// How many lines are looked at between two checks for the end.
const CHECKED: u32 = 1024;

/// Checks whether to go on.
pub type Check<'a> = dyn Fn() -> Result<()> + 'a;

/// Past lines, oldest first.
pub struct Past {
    parts: BufReader<Parts>,
    reading: String,
    /// The time of the line before the first one, where it is known: lines without a time belong to it.
    pub before: Option<u64>,
}

struct Part {
    file: File,
    from: u64,
    to: u64,
}

/// Parts of files, read as one file.
struct Parts(VecDeque<Part>);

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(part) = self.0.front_mut() {
            let left = usize::try_from(part.to - part.from).unwrap_or(usize::MAX);
            let room = buffer.len().min(left);
            let n = part
                .file
                .read_at(buffer.get_mut(..room).unwrap_or_default(), part.from)?;
            part.from += u64::try_from(n).unwrap_or(0);
            if n > 0 {
                return Ok(n);
            }
            // Its end, or it was truncated meanwhile.
            self.0.pop_front();
        }
        Ok(0)
    }
}

impl Past {
    /// The last `lines` wanted lines of a stream, all of them without a number. The stream's tail goes on behind them.
    pub fn of(
        stream: &mut Stream,
        lines: Option<usize>,
        view: &View,
        check: &Check,
    ) -> Result<Past> {
        let reading = stream.tail.reading();
        let path = stream.tail.path().to_owned();
        let look = || generations::all(&path).doing(|| &reading);
        let mut all = look()?;
        let mut parts = VecDeque::new();
        let mut search = Search::new(stream.selects(view), lines, view);
        let (mut newest, mut last, mut attempts) = (None, None::<Identity>, ATTEMPTS);
        while let Some(generation) = generations::older(&all, last) {
            let Some(file) = generations::open(generation).doing(|| &reading)? else {
                attempts -= 1;
                if attempts == 0 {
                    break;
                }
                all = look()?;
                continue;
            };
            last = Some(generation.mark.identity);
            let to = file.metadata().doing(|| &reading)?.len();
            if newest.is_none() {
                newest = Some((file.try_clone().doing(|| &reading)?, to));
            }
            let found = search.within(&file, to, stream.reader(), &reading, check)?;
            parts.push_front(Part { file, from: 0, to });
            if let Some((generation, from)) = found {
                parts.drain(..search.generation - 1 - generation);
                if let Some(first) = parts.front_mut() {
                    first.from = from;
                }
                break;
            }
        }
        stream.tail.start_at(&all, newest)?;
        let mut before = None;
        if let Some(first) = parts.front().filter(|_| stream.has_times()) {
            before = time_before(&first.file, first.from, stream.reader()).doing(|| &reading)?;
        }
        Ok(Past {
            parts: BufReader::with_capacity(64 << 10, Parts(parts)),
            reading,
            before,
        })
    }

    /// Reads the next line, its LF included. Without one it is the last, or part of a very long one. `false`: there is no
    /// further line.
    pub fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        line.clear();
        let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let read = self.parts.by_ref().take(most).read_until(b'\n', line);
        Ok(read.doing(|| &self.reading)? > 0)
    }
}

/// The time of the last line before byte `end` that has one.
fn time_before(file: &File, end: u64, reader: &mut Reader) -> io::Result<Option<u64>> {
    let mut lines = Backward::new(file, end);
    while let Some(begin) = lines.step()? {
        let time = reader.split(lines.line()).time;
        if time.is_some() || begin + LOOK_BACK < end {
            return Ok(time);
        }
    }
    Ok(None)
}

/// A generation, the newest first, from 0, and a byte of it.
type Place = (usize, u64);

/// The search for the first line to print, from the last line of the newest generation on.
struct Search<'a> {
    view: &'a View,
    /// Some lines are not wanted.
    selects: bool,
    /// How many more are.
    missing: Option<usize>,
    /// How many generations were begun.
    generation: usize,
    /// Lines without a time, which belong to the next one with a time further up.
    group: Vec<Place>,
    /// How many bytes of lines from before `--since` were passed in a row.
    too_old: u64,
}

impl Search<'_> {
    fn new(selects: bool, lines: Option<usize>, view: &View) -> Search<'_> {
        Search {
            view,
            selects,
            missing: lines,
            generation: 0,
            group: Vec::new(),
            too_old: 0,
        }
    }

    /// Searches the next older generation. Gives the place of the first line to print, where it is known.
    fn within(
        &mut self,
        file: &File,
        size: u64,
        reader: &mut Reader,
        reading: &str,
        check: &Check,
    ) -> Result<Option<Place>> {
        let generation = self.generation;
        self.generation += 1;
        if self.missing == Some(0) {
            return Ok(Some((generation, size)));
        }
        let mut lines = Backward::new(file, size);
        let (mut end, mut count) = (size, 0);
        while let Some(begin) = lines.step().doing(|| reading)? {
            count += 1;
            if count % CHECKED == 0 {
                check()?;
            }
            let place = (generation, begin);
            let found = if self.selects {
                self.look(reader, lines.line(), place, end - begin)
            } else {
                self.count([place].into_iter())
            };
            if found.is_some() {
                return Ok(found);
            }
            end = begin;
        }
        Ok(None)
    }

    /// Looks at a line of this length.
    fn look(
        &mut self,
        reader: &mut Reader,
        line: &[u8],
        place: Place,
        length: u64,
    ) -> Option<Place> {
        let is_timed = self.view.is_timed();
        let parts = reader.split(line);
        if self.view.matches(&parts) {
            self.group.push(place);
        }
        if is_timed && parts.time.is_none() {
            return None;
        }
        let group = std::mem::take(&mut self.group);
        if !is_timed || self.view.is_in_time(parts.time) {
            self.too_old = 0;
            return self.count(group.into_iter());
        }
        if self.view.is_too_old(parts.time) {
            self.too_old += length;
        }
        (self.too_old > DISORDER).then_some(place)
    }

    /// Counts wanted lines. Gives the last that is needed.
    fn count(&mut self, mut lines: impl Iterator<Item = Place>) -> Option<Place> {
        let missing = self.missing.as_mut()?;
        lines.find(|_| {
            *missing -= 1;
            *missing == 0
        })
    }
}
