//! The last lines of log files.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::past::{Past, Stop};
use super::printer::Printer;
use super::stream::Stream;
use super::view::View;
use crate::error::Result;

/// Prints the last lines of these streams: those that do not tell when they were written one stream after the other,
/// then the others in order of time. Each stream goes on where this ends.
pub fn print(
    streams: &mut [(usize, &mut Stream)],
    lines: Option<usize>,
    to: &mut Printer,
    view: &View,
    stop: &Stop,
) -> Result<()> {
    let mut stamped = Vec::new();
    for (place, (of, stream)) in streams.iter_mut().enumerate() {
        let past = match Past::of(stream, lines, view, stop) {
            Ok(past) => past,
            Err(error) => {
                // Where nothing is to be read any more, this was the reason.
                stop()?;
                stream.fail(error);
                continue;
            }
        };
        stream.is_broken = false;
        stream.go_on_from(past.before);
        match stream.is_stamped() {
            true => stamped.push((place, past)),
            false => copy(*of, stream, past, to, view, stop)?,
        }
    }
    if let [(place, _)] = stamped.as_slice() {
        let place = *place;
        if let (Some((of, stream)), Some((_, past))) = (streams.get_mut(place), stamped.pop()) {
            return copy(*of, stream, past, to, view, stop);
        }
    }
    merge(streams, stamped, to, view, stop)
}

fn copy(
    of: usize,
    stream: &mut Stream,
    mut past: Past,
    to: &mut Printer,
    view: &View,
    stop: &Stop,
) -> Result<()> {
    while let Some(bytes) = past.next_chunk()? {
        stream.take(of, bytes, None, to, view)?;
        stop()?;
    }
    Ok(())
}

/// A line that waits for its turn.
struct Head {
    past: Past,
    line: Vec<u8>,
    /// When it was written.
    time: u64,
    /// It tells so itself.
    tells: bool,
}

impl Head {
    /// Takes the next line; `false` where there is none. What has no end yet is left to the stream.
    fn advance(
        &mut self,
        of: usize,
        stream: &mut Stream,
        to: &mut Printer,
        view: &View,
    ) -> Result<bool> {
        let Some(line) = self.past.next_line()? else {
            return Ok(false);
        };
        let Some(line) = line.strip_suffix(b"\n") else {
            let line = line.to_vec();
            stream.take(of, &line, None, to, view)?;
            return self.advance(of, stream, to, view);
        };
        self.line.clear();
        self.line.extend_from_slice(line);
        let time = stream.reader().split(&self.line).time;
        self.tells = time.is_some();
        self.time = time.unwrap_or(self.time);
        Ok(true)
    }
}

fn merge(
    streams: &mut [(usize, &mut Stream)],
    pasts: Vec<(usize, Past)>,
    to: &mut Printer,
    view: &View,
    stop: &Stop,
) -> Result<()> {
    let mut heads = Vec::new();
    let mut order = BinaryHeap::new();
    for (place, past) in pasts {
        let Some((of, stream)) = streams.get_mut(place) else {
            continue;
        };
        let mut head = Head {
            line: Vec::new(),
            time: past.before.unwrap_or(0),
            past,
            tells: false,
        };
        if head.advance(*of, stream, to, view)? {
            order.push(Reverse((head.time, heads.len())));
            heads.push((place, head));
        }
    }
    let mut count = 0;
    while let Some(Reverse((_, which))) = order.pop() {
        let Some((place, head)) = heads.get_mut(which) else {
            continue;
        };
        let Some((of, stream)) = streams.get_mut(*place) else {
            continue;
        };
        loop {
            stream.print_past(*of, &head.line, to, view)?;
            count += 1;
            if count % 1024 == 0 {
                stop()?;
            }
            if !head.advance(*of, stream, to, view)? {
                break;
            }
            // Lines that do not tell belong to the one before.
            if head.tells {
                order.push(Reverse((head.time, which)));
                break;
            }
        }
    }
    to.flush()
}
