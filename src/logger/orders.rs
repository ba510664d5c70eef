//! What the supervisor tells the log writer to do.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::channel::Channel;
use super::lines::Style;
use super::programs::Program;
use super::sink::Sink;
use super::{Writer, file, standard_of};
use crate::error::Result;
use crate::model::value::Bytes;
use crate::protocol::line::Line;
use crate::protocol::log_protocol::{Order, Report, Upkeep};
use crate::protocol::output::{Loss, Output};
use crate::sys::{clock, passing};

/// How long a file that is to be set aside may wait for the end of the line that it ends with. ms
const LINE_ENDS: u64 = 100;

/// Files that are set aside when the line that they end with is whole.
pub struct Late {
    /// What the report carries; 0: nobody waits for it.
    pub token: u64,
    paths: Vec<PathBuf>,
    failure: Option<String>,
    /// When they are in any case. ms
    pub deadline: u64,
}

/// A descriptor that is kept for the next supervisor.
pub struct Kept {
    /// Its slot.
    slot: u64,
    /// What it is.
    name: Bytes,
    fd: Rc<OwnedFd>,
}

impl Writer<'_> {
    /// Gives the supervisor all that was kept.
    pub(super) fn give_back(&mut self) {
        let kept = self.kept.iter().map(|kept| {
            let (slot, name) = (kept.slot, kept.name.clone());
            (Report::Kept { slot, name }, Rc::clone(&kept.fd))
        });
        for (report, fd) in kept.collect::<Vec<_>>() {
            self.report_with(&report, Some(fd));
        }
        self.report(&Report::Recovered);
    }

    /// Takes all that the supervisor has said.
    pub(super) fn receive(&mut self) {
        let mut orders = Vec::new();
        let mut buffer = [0; 16 << 10];
        while let Some(link) = &mut self.link {
            match passing::receive(&link.stream, &mut buffer, &mut link.fds) {
                Ok(n @ 1..) => link.input.push(buffer.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.link = None,
            }
            if let Some(link) = &mut self.link {
                while let Ok(Some(line)) = link.input.next_line() {
                    let order = Line::decode(line).ok().as_ref().and_then(Order::from_line);
                    // Its descriptor has come with it.
                    let fd = match &order {
                        Some(Order::Keep { .. } | Order::Standard { .. }) => {
                            link.fds.pop_front().flatten()
                        }
                        _ => None,
                    };
                    orders.extend(order.map(|order| (order, fd)));
                }
            }
        }
        // All of them in the order in which they were given.
        for (order, fd) in orders {
            self.carry_out(order, fd);
        }
    }

    fn carry_out(&mut self, order: Order, fd: Option<OwnedFd>) {
        match order {
            Order::Attach { program, limits } => self.keeper.set_program(program, limits),
            Order::Complete => {
                for id in std::mem::take(&mut self.unnamed) {
                    self.close(id);
                }
            }
            Order::Open { id, output, lost } => self.open(id, &output, lost),
            Order::Close { id } => self.close(id),
            Order::Drain { ids, last, token } => self.begin_draining(ids, last, token),
            Order::Ended { id } => self.end_begun_lines(id),
            Order::Upkeep {
                what,
                id,
                output,
                token,
            } => self.upkeep(what, id, &output, token),
            Order::Note { lines } => self.sinks.write_lines(self.journal, &lines),
            Order::Keep { slot, name } => self.keep(slot, name, fd),
            Order::Drop { slot } => self.kept.retain(|kept| kept.slot != slot),
            Order::Recall => self.give_back(),
            Order::Standard { which } => {
                if let Some(fd) = fd {
                    self.sinks.set_standard(which, fd);
                }
            }
            Order::Bye => self.ending = true,
        }
    }

    fn keep(&mut self, slot: u64, name: Bytes, fd: Option<OwnedFd>) {
        match fd {
            Some(fd) => {
                let fd = Rc::new(fd);
                self.kept.push(Kept { slot, name, fd });
            }
            None => {
                let name = String::from_utf8_lossy(&name).replace('\0', " ");
                self.note(format_args!(
                    "cannot keep the {name}: too many open files; it closes if the supervisor dies; raise the limit \
                     of open files"
                ));
            }
        }
    }

    fn done(&mut self, token: u64, failure: Option<String>) {
        self.report(&Report::Done { token, failure });
    }

    fn close(&mut self, id: u32) {
        self.say_what_is_left(id);
        if let Some(program) = self.programs.remove(id) {
            self.release(&program);
        }
    }

    fn release(&mut self, program: &Program) {
        for number in program.channels.iter().flat_map(Channel::sinks) {
            self.sinks.release(*number);
        }
    }

    fn open(&mut self, id: u32, output: &Output, lost: [Loss; 2]) {
        self.unnamed.retain(|known| *known != id);
        let known = self.programs.get(id);
        if known.is_some_and(|program| program.output == *output) {
            return;
        }
        let records = self.home.records(id);
        let fifos = [records.out(), records.err()];
        let channels = [0, 1].map(|which| {
            let own = if which == 0 { &output.out } else { &output.err };
            // A file that is named twice is one.
            let both = Some(&output.both).filter(|both| *both != own);
            let files = std::iter::once(own).chain(both);
            let files = files.filter(|file| !file.is_empty());
            let sinks = files.map(|file| {
                let number = self.sinks.acquire(path_of(file), output);
                self.sinks.check(number);
                number
            });
            let sinks = sinks.collect();
            let fifo = fifos.get(which).cloned().unwrap_or_default();
            let mut channel = Channel::new((id, which), fifo, Style::of(id, which, output), sinks);
            if let Some(lost) = lost.get(which).filter(|lost| lost.bytes > 0) {
                channel.has_lost(*lost, &mut self.sinks);
            }
            channel
        });
        // The files that both have are not closed and opened again.
        let output = output.clone();
        let before = self.programs.insert(id, Program { channels, output });
        if let Some(before) = before {
            self.release(&before);
        }
        self.open_fifos(id, true);
        self.finish(id);
    }

    /// Finishes what a log writer before this one had begun for a program, before anything else of it is written.
    fn finish(&mut self, id: u32) {
        let Some((taken, progress)) = self.inherited.take() else {
            return;
        };
        if taken.channel.0 != id {
            // Its program has been forgotten meanwhile.
            self.batch.done();
            return;
        }
        self.with(taken.channel, |channel, sinks, batch, _| {
            channel.write(&taken, progress, sinks, batch);
        });
    }

    fn upkeep(&mut self, what: Upkeep, id: u32, output: &Output, token: u64) {
        match what {
            // The beginning of a line goes with what was printed before.
            Upkeep::Flush => self.drain(id),
            Upkeep::Rotate | Upkeep::Reopen => self.drain_lines(id),
        }
        let mut paths: Vec<PathBuf> = Vec::new();
        for file in [&output.out, &output.err, &output.both] {
            let path = path_of(file);
            // An output of the daemon's own is neither emptied nor set aside, whatever file it may be.
            if !file.is_empty() && !paths.contains(&path) && standard_of(&path).is_none() {
                paths.push(path);
            }
        }
        match what {
            Upkeep::Flush => {
                let done = paths.iter().try_for_each(|path| self.empty(path));
                self.done(token, done.err().map(|why| why.to_string()));
            }
            Upkeep::Reopen => {
                let done = paths.iter().try_for_each(|path| self.reopen(path));
                self.done(token, done.err().map(|why| why.to_string()));
            }
            Upkeep::Rotate => self.rotate(paths, output, token),
        }
    }

    fn empty(&mut self, path: &Path) -> Result<()> {
        file::empty(path)?;
        if let Some(sink) = self.sinks.at(path) {
            sink.emptied();
        }
        Ok(())
    }

    fn reopen(&mut self, path: &Path) -> Result<()> {
        match self.sinks.at(path) {
            Some(sink) => sink.reopen().map_err(|e| {
                let opening = format!("opening {}", path.display());
                file::failed(&opening, &e)
            }),
            None => Ok(()),
        }
    }

    /// Sets files aside, each once for a command that names several programs which share it.
    fn rotate(&mut self, mut paths: Vec<PathBuf>, output: &Output, token: u64) {
        if self.rotated.0 != token {
            self.rotated = (token, Vec::new());
        }
        paths.retain(|path| !self.rotated.1.contains(path));
        self.rotated.1.extend(paths.iter().cloned());
        let mut failure = None;
        paths.retain(|path| {
            let done = match self.sinks.at(path) {
                Some(sink) if sink.is_at_line_end() => sink.rotate_now(),
                Some(sink) => {
                    sink.due = true;
                    return true;
                }
                // Its program does not run.
                None if path.is_file() => {
                    let mut sink = Sink::new(path.clone());
                    sink.max_files = output.max_files;
                    sink.rotate_now()
                }
                None => Ok(()),
            };
            failure = failure.take().or(done.err().map(|why| why.to_string()));
            false
        });
        self.late.push(Late {
            token,
            paths,
            failure,
            deadline: clock::monotonic_ms() + LINE_ENDS,
        });
        self.see_to_late();
    }

    /// Reports those that have been set aside, in the order in which they were asked for.
    pub(super) fn see_to_late(&mut self) {
        while let Some(late) = self.late.first_mut() {
            let over = late.deadline <= clock::monotonic_ms();
            let mut failure = late.failure.take();
            let sinks = &mut self.sinks;
            late.paths.retain(|path| match sinks.at(path) {
                Some(sink) if sink.due && over => {
                    let done = sink.rotate_now();
                    failure = failure.take().or(done.err().map(|why| why.to_string()));
                    false
                }
                Some(sink) => sink.due,
                None => false,
            });
            late.failure = failure;
            if !late.paths.is_empty() {
                return;
            }
            let late = self.late.remove(0);
            self.done(late.token, late.failure);
        }
    }
}

fn path_of(file: &Bytes) -> PathBuf {
    OsStr::from_bytes(file).into()
}
