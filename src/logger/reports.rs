//! Reports to the supervisor, and lines for the daemon's log.

use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::Writer;
use super::channel::{Channel, ChannelId, Mover};
use super::log_files::{FileId, LogFiles};
use crate::protocol::log_protocol::{DroppedRow, Report};
use crate::protocol::output::Dropped;
use crate::sys::clock;
use crate::sys::pid::Pid;
use crate::units::harmless;

/// How many bytes wait for a supervisor that does not read before it is disconnected.
const MAX_UNREAD: usize = 4 << 20;
/// How often a count of dropped bytes that grows is reported. ms
const REPORT_INTERVAL_MS: u64 = 1000;

impl Writer<'_> {
    /// Calls `act` for a channel, then reports output that it dropped.
    pub(super) fn with<T>(
        &mut self,
        id: ChannelId,
        act: impl FnOnce(&mut Channel, &mut Mover) -> T,
    ) -> Option<T> {
        let channel = self.programs.channel_mut(id)?;
        let before = channel.dropped;
        let mut mover = Mover {
            files: &mut self.files,
            batch: self.batch,
            notify: &self.notify,
        };
        let done = act(channel, &mut mover);
        let (after, noticed) = (channel.dropped, std::mem::take(&mut channel.noticed));
        // The supervisor may not know yet how much it was in the end.
        for dropped in noticed {
            self.report_drop(id, dropped);
        }
        if after != before {
            let now = clock::monotonic_ms();
            // The first drop and the last are reported at once.
            let at_once = before.bytes == 0 || after.bytes == 0;
            let at = now + if at_once { 0 } else { REPORT_INTERVAL_MS };
            match self.drop_reports.iter_mut().find(|(known, _)| *known == id) {
                Some((_, due)) => *due = at.min(*due),
                None => self.drop_reports.push((id, at)),
            }
        }
        Some(done)
    }

    /// Reports dropped output where that is due.
    pub(super) fn report_drops(&mut self) {
        if self.drop_reports.is_empty() || self.connection.is_none() {
            return;
        }
        let now = clock::monotonic_ms();
        for (id, at) in std::mem::take(&mut self.drop_reports) {
            if at > now {
                self.drop_reports.push((id, at));
                continue;
            }
            let channel = self.programs.channel_mut(id);
            let dropped = channel.map_or_else(Dropped::default, |channel| channel.dropped);
            self.report_drop(id, dropped);
        }
    }

    /// Reports all dropped output without a notice, to a supervisor that may not know of it.
    pub(super) fn report_all_drops(&mut self) {
        let channels = self.programs.channels();
        let dropped = channels.filter(|channel| channel.dropped.bytes > 0);
        let dropped: Vec<_> = dropped.map(|c| (c.id(), c.dropped)).collect();
        for (id, dropped) in dropped {
            self.report_drop(id, dropped);
        }
    }

    fn report_drop(&mut self, id: ChannelId, dropped: Dropped) {
        self.report(&Report::Dropped(DroppedRow {
            id: id.program,
            stream: id.stream,
            dropped,
        }));
    }

    /// Writes to the daemon's log, by way of a connected supervisor, so that its lines keep their order.
    pub(super) fn note(&mut self, text: impl Display) {
        if self.connection.is_some() {
            let text = text.to_string();
            self.report(&Report::Note { text });
        } else {
            self.write_daemon_log(text);
        }
    }

    /// Sends the notes of the log files.
    pub(super) fn send_notes(&mut self) {
        for note in self.files.take_notes() {
            self.note(note);
        }
    }

    /// Writes to the daemon's log.
    pub(super) fn write_daemon_log(&mut self, text: impl Display) {
        write_daemon_log(&mut self.files, self.daemon_log, text);
    }

    pub(super) fn report(&mut self, report: &Report) {
        self.report_with(report, None);
    }

    pub(super) fn report_with(&mut self, report: &Report, fd: Option<Rc<OwnedFd>>) {
        if let Some(connection) = &mut self.connection {
            let kept = fd.is_some();
            connection.output.push(report.to_line().to_bytes(), fd);
            // It will connect again, and is sent the present state then.
            if !kept && connection.output.len() > MAX_UNREAD {
                self.connection = None;
            }
        }
    }

    pub(super) fn flush(&mut self) {
        if let Some(connection) = &mut self.connection {
            // A broken connection is noticed when it is read.
            let _ = connection.output.flush(&connection.stream);
        }
    }
}

/// Writes to the daemon's log, which is this file.
pub(super) fn write_daemon_log(files: &mut LogFiles, id: FileId, text: impl Display) {
    let now = clock::moment(clock::wall_ms());
    let text = text.to_string();
    let text = harmless(&text);
    let line = format!("{now} rpmd-log[{}]: {text}\n", Pid::own());
    files.write_lines(id, line.as_bytes());
}
