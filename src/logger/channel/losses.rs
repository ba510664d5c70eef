//! Output of a stream that could not be written.

use super::Channel;
use crate::logger::sinks::Sinks;
use crate::protocol::output::Loss;
use crate::sys::clock;

impl Channel {
    /// Counts what was dropped; none is left of it once all files say so.
    pub(super) fn count(&mut self, dropped: u64, sinks: &mut Sinks) {
        if dropped == 0 && self.lost.bytes == 0 {
            return;
        }
        let lost = |number: &usize| {
            sinks
                .get(*number)
                .map_or(0, |sink| sink.missing.loss().bytes)
        };
        let unsaid: u64 = self.sinks.iter().map(lost).sum();
        if unsaid == dropped && self.lost.bytes > 0 {
            self.said.push(std::mem::take(&mut self.lost));
        }
        if dropped > 0 {
            let now = clock::wall_ms();
            if self.lost.bytes == 0 {
                self.lost.first = now;
            }
            self.lost.bytes += dropped;
            self.lost.last = now;
        }
    }

    /// What a log writer before this one has dropped.
    pub fn has_lost(&mut self, lost: Loss, sinks: &mut Sinks) {
        self.lost = lost;
        if let Some(sink) = self.sinks.first().and_then(|number| sinks.get(*number)) {
            sink.missing.add(lost);
        }
    }
}
