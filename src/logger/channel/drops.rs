//! Counts the output of a stream that could not be written.

use super::Channel;
use crate::logger::log_files::LogFiles;
use crate::protocol::output::Dropped;
use crate::sys::clock;

impl Channel {
    /// Counts what was dropped. The count starts again once all files have their notice.
    pub(super) fn count_dropped(&mut self, bytes: u64, files: &mut LogFiles) {
        if bytes == 0 && self.dropped.bytes == 0 {
            return;
        }
        let without_notice: u64 = self
            .files
            .iter()
            .map(|id| files.get(*id).map_or(0, |file| file.dropped.total().bytes))
            .sum();
        if without_notice == bytes && self.dropped.bytes > 0 {
            self.noticed.push(std::mem::take(&mut self.dropped));
        }
        if bytes > 0 {
            let now = clock::wall_ms();
            // The time of the first byte identifies the count: it does not change when the clock is set back.
            let first = if self.dropped.bytes == 0 {
                now
            } else {
                self.dropped.first
            };
            self.dropped = Dropped {
                bytes: self.dropped.bytes.saturating_add(bytes),
                first,
                last: now,
            };
        }
    }

    /// Sets what a previous log writer dropped without a notice.
    pub fn restore_dropped(&mut self, dropped: Dropped, files: &mut LogFiles) {
        self.dropped = dropped;
        if let Some(file) = self.files.first().and_then(|id| files.get(*id)) {
            file.dropped.add(dropped);
        }
    }
}
