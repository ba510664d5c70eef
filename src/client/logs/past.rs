//! What a log file holds already, the files that it was before included: where the last lines begin, and what they are.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::generations::{self, Generation, Identity};
use super::line::Reader;
use super::stream::{LONGEST, Stream};
use super::tail;
use super::track::CHUNK;
use super::view::View;
use crate::error::{Context, Result};

/// How much is looked through at once when lines are chosen, from the end on.
const STEP: u64 = 1 << 20;

/// How far before the first line its time is looked for, in bytes.
const LOOK_BACK: u64 = 64 << 10;
/// How often files are looked for that are always being moved.
const TRIES: u32 = 100;

/// Says whether to go on.
pub type Stop<'a> = dyn Fn() -> Result<()> + 'a;

/// Part of a file.
struct Part {
    file: File,
    from: u64,
    to: u64,
}

/// The end of what was written to one log file.
pub struct Past {
    /// Oldest first.
    parts: VecDeque<Part>,
    /// What was read of them and not taken.
    buffer: Vec<u8>,
    /// Up to where that was taken.
    taken: usize,
    /// How it is called, for sentences.
    reading: String,
    /// When the line before the first one was written, where that is known: lines that do not tell belong to it.
    pub before: Option<u64>,
}

impl Past {
    /// The last so many lines of a file that are wanted, or all that are; the stream goes on where they end.
    pub fn of(stream: &mut Stream, lines: Option<usize>, view: &View, stop: &Stop) -> Result<Past> {
        let mut past = Past {
            parts: VecDeque::new(),
            buffer: Vec::new(),
            taken: 0,
            reading: stream.track.reading(),
            before: None,
        };
        let look = |stream: &Stream| {
            let all = generations::all(stream.track.path());
            all.doing(|| stream.track.reading())
        };
        let mut all = look(stream)?;
        let mut wanted = lines;
        let (mut newest, mut last) = (None, None);
        let mut tries = TRIES;
        while let Some(generation) = next_older(&all, last) {
            let Some(part) = past.open(generation)? else {
                // It was moved meanwhile.
                tries -= 1;
                if tries == 0 {
                    break;
                }
                all = look(stream)?;
                continue;
            };
            last = Some(generation.mark.identity);
            if newest.is_none() {
                let file = part.file.try_clone().doing(|| &past.reading)?;
                newest = Some((file, part.to));
            }
            let is_enough = match (stream.chooses(view), wanted) {
                (false, Some(lines)) => past.count_lines(part, lines, &mut wanted, stop)?,
                _ => past.choose(part, stream.reader(), &mut wanted, view, stop)?,
            };
            if is_enough {
                break;
            }
        }
        stream.track.stand_at(&all, newest)?;
        if stream.is_stamped() {
            past.before = past.time_before(stream.reader())?;
        }
        Ok(past)
    }

    /// What the lines just before the first one tell.
    fn time_before(&self, reader: &mut Reader) -> Result<Option<u64>> {
        let Some(first) = self.parts.front() else {
            return Ok(None);
        };
        let from = first.from.saturating_sub(LOOK_BACK);
        let mut bytes = vec![0; usize::try_from(first.from - from).unwrap_or(0)];
        let n = first
            .file
            .read_at(&mut bytes, from)
            .doing(|| &self.reading)?;
        let lines = bytes.get(..n).unwrap_or_default().rsplit(|b| *b == b'\n');
        Ok(lines.into_iter().find_map(|line| reader.split(line).time))
    }

    fn open(&self, generation: &Generation) -> Result<Option<Part>> {
        let reading = || &self.reading;
        let Some(file) = generations::open(generation).doing(reading)? else {
            return Ok(None);
        };
        let to = file.metadata().doing(reading)?.len();
        Ok(Some(Part { file, from: 0, to }))
    }

    /// Adds the last lines of a file. Whether they are enough.
    fn count_lines(
        &mut self,
        mut part: Part,
        lines: usize,
        wanted: &mut Option<usize>,
        stop: &Stop,
    ) -> Result<bool> {
        let reading = || self.reading.clone();
        let (from, missing) =
            tail::start_of_last_lines(&part.file, part.to, lines, stop, &reading)?;
        part.from = from;
        *wanted = Some(missing);
        self.parts.push_front(part);
        Ok(missing == 0)
    }

    /// Adds the last lines of a file from the first on that is wanted. Whether they are enough.
    fn choose(
        &mut self,
        mut part: Part,
        reader: &mut Reader,
        wanted: &mut Option<usize>,
        view: &View,
        stop: &Stop,
    ) -> Result<bool> {
        let (mut end, mut step) = (part.to, STEP);
        if *wanted == Some(0) {
            part.from = part.to;
            self.parts.push_front(part);
            return Ok(true);
        }
        while end > 0 {
            let from = end.saturating_sub(step);
            let found = Found::within(&part.file, from, end, reader, view, stop, &self.reading)?;
            let Some(begin) = found.begin else {
                // No line begins here.
                step = step.saturating_mul(2);
                continue;
            };
            let count = found.wanted.len();
            if let Some(missing) = wanted {
                if let Some(at) = count.checked_sub(*missing) {
                    part.from = found.wanted.get(at).copied().unwrap_or(begin);
                    *wanted = Some(0);
                    self.parts.push_front(part);
                    return Ok(true);
                }
                *wanted = Some(*missing - count);
            }
            let is_old = |first: u64| view.since.is_some_and(|since| first < since);
            if found.first.is_some_and(is_old) {
                part.from = begin;
                self.parts.push_front(part);
                return Ok(true);
            }
            (end, step) = (begin, STEP);
        }
        self.parts.push_front(part);
        Ok(false)
    }

    /// Reads more. `false`: there is no more.
    fn fill(&mut self) -> Result<bool> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        while let Some(part) = self.parts.front_mut() {
            let length = usize::try_from(part.to - part.from).unwrap_or(CHUNK);
            let before = self.buffer.len();
            self.buffer.resize(before + length.min(CHUNK), 0);
            let room = self.buffer.get_mut(before..).unwrap_or_default();
            let n = part.file.read_at(room, part.from);
            let n = n.doing(|| &self.reading)?;
            self.buffer.truncate(before + n);
            part.from += u64::try_from(n).unwrap_or(0);
            if n > 0 {
                return Ok(true);
            }
            // Its end, or it was truncated meanwhile.
            self.parts.pop_front();
        }
        Ok(false)
    }

    /// The next bytes.
    pub fn next_chunk(&mut self) -> Result<Option<&[u8]>> {
        self.taken = self.buffer.len();
        match self.fill()? {
            true => Ok(Some(&self.buffer)),
            false => Ok(None),
        }
    }

    /// The next line, its LF included; without one it is the last, or part of one that is very long.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>> {
        let mut searched = self.taken;
        let end = loop {
            let unseen = self.buffer.get(searched..).unwrap_or_default();
            if let Some(at) = unseen.iter().position(|b| *b == b'\n') {
                break searched + at + 1;
            }
            let length = self.buffer.len() - self.taken;
            if length >= LONGEST || !self.fill()? {
                break self.buffer.len();
            }
            searched = length;
        };
        let start = std::mem::replace(&mut self.taken, end);
        Ok(self.buffer.get(start..end).filter(|line| !line.is_empty()))
    }
}

/// The file before the last one that was opened, at first the newest.
fn next_older(all: &[Generation], last: Option<Identity>) -> Option<&Generation> {
    match last {
        None => all.first(),
        Some(last) => {
            let place = all.iter().position(|one| one.mark.identity == last)?;
            all.get(place + 1)
        }
    }
}

/// What of part of a file is wanted.
#[derive(Default)]
struct Found {
    /// Where the first line begins that is not part of one before.
    begin: Option<u64>,
    /// Where the lines begin that are wanted.
    wanted: Vec<u64>,
    /// When the first line was written.
    first: Option<u64>,
}

impl Found {
    fn within(
        file: &File,
        from: u64,
        to: u64,
        reader: &mut Reader,
        view: &View,
        stop: &Stop,
        reading: &str,
    ) -> Result<Found> {
        let mut lines = Past {
            parts: VecDeque::new(),
            buffer: Vec::new(),
            taken: 0,
            reading: reading.to_owned(),
            before: None,
        };
        // From the byte before on: it tells whether a line begins here.
        let mut at = from.saturating_sub(1);
        let file = file.try_clone().doing(|| reading)?;
        lines.parts.push_back(Part { file, from: at, to });
        let is_stamped = reader.stamp().tells();
        let mut found = Found::default();
        let mut is_begun = from > 0;
        let (mut last, mut count) = (None, 0);
        while let Some(line) = lines.next_line()? {
            let begin = at;
            at += u64::try_from(line.len()).unwrap_or(0);
            let was_begun = std::mem::replace(&mut is_begun, !line.ends_with(b"\n"));
            if was_begun {
                continue;
            }
            let parts = reader.split(line.strip_suffix(b"\n").unwrap_or(line));
            // One that does not tell belongs to the one before it.
            last = parts.time.or(last);
            if found.begin.is_none() {
                if is_stamped && last.is_none() && from > 0 {
                    continue;
                }
                found.begin = Some(begin);
                found.first = last;
            }
            if view.wants(last, &parts) {
                found.wanted.push(begin);
            }
            count += 1;
            if count % 1024 == 0 {
                stop()?;
            }
        }
        stop()?;
        Ok(found)
    }
}
