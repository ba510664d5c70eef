//! Prints the past lines of several log files in the order of their times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::past::{Check, Past};
use super::printer::Printer;
use super::stream::Stream;
use super::view::View;
use crate::error::Result;

/// How many lines are printed between two checks for the end.
const CHECKED: u32 = 1024;

/// The next line of a file.
struct Head<'a> {
    number: usize,
    stream: &'a mut Stream,
    past: Past,
    line: Vec<u8>,
    /// When it was written; for a line without a time, that of the line before.
    time: u64,
    has_time: bool,
}

/// Prints the last `lines` lines of these streams, which have their numbers with them: files whose lines have no times
/// first, one after the other, then the lines of the others by time. Each stream goes on behind them.
pub fn print(
    streams: Vec<(usize, &mut Stream)>,
    lines: Option<usize>,
    to: &mut Printer,
    view: &View,
    check: &Check,
) -> Result<()> {
    let mut heads = Vec::new();
    let mut order = BinaryHeap::new();
    for (number, stream) in streams {
        let past = match Past::of(stream, lines, view, check) {
            Ok(past) => past,
            Err(error) => {
                // Where the end was asked for, the error is only that.
                check()?;
                stream.fail(error);
                continue;
            }
        };
        stream.is_broken = false;
        stream.set_last_time(past.before);
        let mut head = Head {
            number,
            time: past.before.unwrap_or(0),
            has_time: false,
            line: Vec::new(),
            stream,
            past,
        };
        if head.advance(to, view)? {
            let has_times = head.stream.has_times();
            order.push(Reverse((has_times, head.time, heads.len())));
            heads.push(head);
        }
    }
    let mut count = 0;
    while let Some(Reverse((has_times, _, index))) = order.pop() {
        let Some(head) = heads.get_mut(index) else {
            continue;
        };
        loop {
            head.stream
                .print_line(head.number, &head.line, None, to, view);
            to.flush_when_full()?;
            count += 1;
            if count % CHECKED == 0 {
                check()?;
            }
            if !head.advance(to, view)? {
                break;
            }
            // A line without a time stays with the one before it.
            if head.has_time {
                order.push(Reverse((has_times, head.time, index)));
                break;
            }
        }
    }
    to.flush()
}

impl Head<'_> {
    /// Goes to the next line. `false`: there is none. What has no LF is left to the stream.
    fn advance(&mut self, to: &mut Printer, view: &View) -> Result<bool> {
        while self.past.next_line(&mut self.line)? {
            if self.line.last() != Some(&b'\n') {
                self.stream.take(self.number, &self.line, None, to, view)?;
                continue;
            }
            self.line.pop();
            if self.stream.has_times() {
                let time = self.stream.reader().split(&self.line).time;
                self.has_time = time.is_some();
                self.time = time.unwrap_or(self.time);
            }
            return Ok(true);
        }
        Ok(false)
    }
}
