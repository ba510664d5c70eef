//! What the log writer tells: the supervisor, and the daemons' log.

use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::sinks::Sinks;
use super::{Name, Writer};
use crate::protocol::log_protocol::Report;
use crate::protocol::output::Loss;
use crate::sys::clock;
use crate::sys::pid::Pid;
use crate::units::harmless;

/// So much waits for a supervisor that does not read, in bytes, before its connection is given up.
const MOST_UNREAD: usize = 4 << 20;

impl Writer<'_> {
    /// Tells the supervisor what was dropped, where it is time.
    pub(super) fn tell_losses(&mut self) {
        if self.losing.is_empty() || self.link.is_none() {
            return;
        }
        let now = clock::monotonic_ms();
        let due: Vec<Name> = self
            .losing
            .iter()
            .filter(|(_, at)| *at <= now)
            .map(|(name, _)| *name)
            .collect();
        self.losing.retain(|(_, at)| *at > now);
        for name in due {
            let loss = self.channel(name).map(|channel| channel.lost);
            self.tell_loss(name, loss.unwrap_or_default());
        }
    }

    /// Tells a supervisor that does not know it what was dropped.
    pub(super) fn tell_all_losses(&mut self) {
        let channels = self.programs.iter().flat_map(|(id, program)| {
            let pair = program.channels.iter().enumerate();
            pair.map(|(which, channel)| ((*id, which), channel.lost))
        });
        let lost: Vec<(Name, Loss)> = channels.filter(|(_, lost)| lost.bytes > 0).collect();
        for (name, loss) in lost {
            self.tell_loss(name, loss);
        }
    }

    pub(super) fn tell_loss(&mut self, (id, which): Name, loss: Loss) {
        self.report(&Report::Lost { id, which, loss });
    }

    /// What belongs into the daemons' log: by way of the supervisor, so that its lines stand in their order.
    pub(super) fn note(&mut self, text: impl Display) {
        match self.link {
            Some(_) => self.report(&Report::Note {
                text: text.to_string(),
            }),
            None => self.journal(text),
        }
    }

    /// Notes what the log files have to say.
    pub(super) fn pass_notes_on(&mut self) {
        for note in self.sinks.take_notes() {
            self.note(note);
        }
    }

    /// Writes into the daemons' log.
    pub(super) fn journal(&mut self, text: impl Display) {
        journal(&mut self.sinks, self.journal, text);
    }

    pub(super) fn report(&mut self, report: &Report) {
        self.report_with(report, None);
    }

    pub(super) fn report_with(&mut self, report: &Report, fd: Option<Rc<OwnedFd>>) {
        if let Some(link) = &mut self.link {
            let kept = fd.is_some();
            link.output.push(report.to_line().to_bytes(), fd);
            // One that does not read will connect again, and is told all that it has to know then.
            if !kept && link.output.len() > MOST_UNREAD {
                self.link = None;
            }
        }
    }

    pub(super) fn flush(&mut self) {
        if let Some(link) = &mut self.link {
            // A broken connection is heard of by its end.
            let _ = link.output.flush(&link.stream);
        }
    }
}

/// Writes into the daemons' log, which has this number.
pub(super) fn journal(sinks: &mut Sinks, number: usize, text: impl Display) {
    let now = clock::moment(clock::wall_ms());
    let text = text.to_string();
    let text = harmless(&text);
    let line = format!("{now} rpmd-log[{}]: {text}\n", Pid::own());
    sinks.write_lines(number, line.as_bytes());
}
