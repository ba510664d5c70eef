//! Carries out the orders of the supervisor.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::channel::{Channel, ChannelId};
use super::line_format::LineFormat;
use super::log_file::LogFile;
use super::log_files::{FileId, standard_of};
use super::programs::Program;
use super::{Writer, log_path};
use crate::error::Result;
use crate::model::value::Bytes;
use crate::protocol::line::Line;
use crate::protocol::log_protocol::{Order, Report, Upkeep};
use crate::protocol::output::{Dropped, Output, Stream};
use crate::sys::{clock, passing};

/// How long a rotation by command waits for the end of a partial line. ms
const LINE_END_MS: u64 = 100;

/// Files that are rotated at the end of their partial lines.
pub struct PendingRotation {
    /// The token of the report; 0: no supervisor waits for it.
    pub token: u64,
    paths: Vec<PathBuf>,
    failure: Option<String>,
    /// When they are rotated in any case. monotonic ms
    pub deadline: u64,
}

/// A descriptor that is kept for the next supervisor.
pub struct Kept {
    slot: u64,
    name: Bytes,
    fd: Rc<OwnedFd>,
}

impl Writer<'_> {
    /// Returns all kept descriptors to the supervisor.
    pub(super) fn return_kept(&mut self) {
        let kept = self.kept.iter().map(|kept| {
            let (slot, name) = (kept.slot, kept.name.clone());
            (Report::Kept { slot, name }, Rc::clone(&kept.fd))
        });
        for (report, fd) in kept.collect::<Vec<_>>() {
            self.report_with(&report, Some(fd));
        }
        self.report(&Report::Recovered);
    }

    /// Receives orders and carries them out.
    pub(super) fn receive(&mut self) {
        let mut orders = Vec::new();
        let mut buffer = [0; 16 << 10];
        while let Some(connection) = &mut self.connection {
            match passing::receive(&connection.stream, &mut buffer, &mut connection.fds) {
                Ok(n @ 1..) => connection.input.push(buffer.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.connection = None,
            }
            if let Some(connection) = &mut self.connection {
                while let Ok(Some(line)) = connection.input.next_line() {
                    let order = Line::decode(line).ok().as_ref().and_then(Order::from_line);
                    // Its descriptor came with it.
                    let fd = match &order {
                        Some(Order::Keep { .. } | Order::Standard { .. }) => {
                            connection.fds.pop_front().flatten()
                        }
                        _ => None,
                    };
                    orders.extend(order.map(|order| (order, fd)));
                }
            }
        }
        for (order, fd) in orders {
            self.execute(order, fd);
        }
    }

    fn execute(&mut self, order: Order, fd: Option<OwnedFd>) {
        match order {
            Order::Attach { program, limits } => self.watchdog.set_program(program, limits),
            Order::Complete => {
                for id in std::mem::take(&mut self.unconfirmed) {
                    self.close(id);
                }
            }
            Order::Open {
                id,
                output,
                dropped,
            } => self.open(id, &output, dropped),
            Order::Close { id } => self.close(id),
            Order::Drain { ids, last, token } => self.start_drain(ids, last, token),
            Order::Ended { id } => self.end_partial_lines(id),
            Order::Upkeep {
                what,
                id,
                output,
                token,
            } => self.maintain(what, id, &output, token),
            Order::Note { lines } => self.files.write_lines(self.daemon_log, &lines),
            Order::Keep { slot, name } => self.keep(slot, name, fd),
            Order::Drop { slot } => self.kept.retain(|kept| kept.slot != slot),
            Order::Recall => self.return_kept(),
            Order::Standard { which } => {
                if let Some(fd) = fd {
                    self.files.set_standard(which, fd);
                }
            }
            Order::Bye => self.exiting = true,
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
        self.note_unwritten(id);
        if let Some(program) = self.programs.remove(id) {
            self.release(&program);
        }
    }

    fn release(&mut self, program: &Program) {
        for id in program.channels.iter().flat_map(Channel::files) {
            self.files.release(*id);
        }
    }

    fn open(&mut self, id: u32, output: &Output, dropped: [Dropped; 2]) {
        self.unconfirmed.retain(|known| *known != id);
        let encoded = encoded(id, output);
        let known = self.programs.get(id);
        if known.is_some_and(|program| program.output == encoded) {
            return;
        }
        let channels = Stream::BOTH.map(|stream| {
            let own = match stream {
                Stream::Out => &output.out,
                Stream::Err => &output.err,
            };
            let files = self.acquire_files(own, output);
            let channel = ChannelId {
                program: id,
                stream,
            };
            let mut channel = Channel::new(channel, LineFormat::of(channel, output), files);
            let dropped = dropped.get(stream.index());
            if let Some(dropped) = dropped.filter(|dropped| dropped.bytes > 0) {
                channel.restore_dropped(*dropped, &mut self.files);
            }
            channel
        });
        let output = encoded;
        let before = self.programs.insert(id, Program { channels, output });
        // Only now: files that both have stay open.
        if let Some(before) = before {
            self.release(&before);
        }
        self.open_fifos(id, true);
        self.finish_batch(id);
    }

    /// The files of a stream, checked: its own file, and that of both streams unless it is the same.
    fn acquire_files(&mut self, own: &Bytes, output: &Output) -> Vec<FileId> {
        let both = Some(&output.both).filter(|both| *both != own);
        let paths = std::iter::once(own).chain(both);
        let mut files = Vec::new();
        for path in paths.filter(|path| !path.is_empty()) {
            let id = self.files.acquire(path_of(path), output);
            self.files.check(id);
            files.push(id);
        }
        files
    }

    /// Finishes the batch of a program that a previous log writer began, before more of its output is written.
    fn finish_batch(&mut self, id: u32) {
        let Some((header, progress)) = self.unfinished.take() else {
            return;
        };
        if header.channel.program != id {
            // Its program was deleted meanwhile.
            self.batch.finish();
            return;
        }
        self.with(header.channel, |channel, mover| {
            channel.write(&header, progress, mover.files, mover.batch);
        });
    }

    fn maintain(&mut self, what: Upkeep, id: u32, output: &Output, token: u64) {
        match what {
            // A partial line goes with what was written before.
            Upkeep::Flush => self.drain(id),
            Upkeep::Rotate | Upkeep::Reopen => self.drain_lines(id),
        }
        let mut paths: Vec<PathBuf> = Vec::new();
        for file in [&output.out, &output.err, &output.both] {
            let path = path_of(file);
            // An output of the daemon's own is never emptied or rotated.
            if !file.is_empty() && !paths.contains(&path) && standard_of(&path).is_none() {
                paths.push(path);
            }
        }
        let done = match what {
            Upkeep::Flush => paths.iter().try_for_each(|path| self.empty(path)),
            Upkeep::Reopen => paths.iter().try_for_each(|path| self.reopen(path)),
            Upkeep::Rotate => return self.rotate(paths, output, token),
        };
        self.done(token, done.err().map(|why| why.to_string()));
    }

    fn empty(&mut self, path: &Path) -> Result<()> {
        log_path::empty(path)?;
        if let Some(file) = self.files.at(path) {
            file.emptied();
        }
        Ok(())
    }

    fn reopen(&mut self, path: &Path) -> Result<()> {
        let reopened = self.files.at(path).map_or(Ok(()), LogFile::reopen);
        reopened.map_err(|e| log_path::failed(&format!("opening {}", path.display()), &e))
    }

    /// Rotates files, each once for a command on several programs that share it.
    fn rotate(&mut self, mut paths: Vec<PathBuf>, output: &Output, token: u64) {
        if self.rotated.0 != token {
            self.rotated = (token, Vec::new());
        }
        paths.retain(|path| !self.rotated.1.contains(path));
        self.rotated.1.extend(paths.iter().cloned());
        let mut failure = None;
        paths.retain(|path| {
            let done = match self.files.at(path) {
                Some(file) if file.is_at_line_end() => file.rotate_now(),
                Some(file) => {
                    file.due = true;
                    return true;
                }
                // Its program does not run.
                None if path.is_file() => {
                    let mut file = LogFile::new(path.clone());
                    file.max_files = output.max_files;
                    file.rotate_now()
                }
                None => Ok(()),
            };
            failure = failure.take().or(done.err().map(|why| why.to_string()));
            false
        });
        self.rotations.push(PendingRotation {
            token,
            paths,
            failure,
            deadline: clock::monotonic_ms() + LINE_END_MS,
        });
        self.finish_rotations();
    }

    /// Reports rotations that are done, in the order of their commands.
    pub(super) fn finish_rotations(&mut self) {
        while let Some(rotation) = self.rotations.first_mut() {
            let over = rotation.deadline <= clock::monotonic_ms();
            let mut failure = rotation.failure.take();
            let files = &mut self.files;
            rotation.paths.retain(|path| match files.at(path) {
                Some(file) if file.due && over => {
                    let done = file.rotate_now();
                    failure = failure.take().or(done.err().map(|why| why.to_string()));
                    false
                }
                Some(file) => file.due,
                None => false,
            });
            rotation.failure = failure;
            if !rotation.paths.is_empty() {
                return;
            }
            let rotation = self.rotations.remove(0);
            self.done(rotation.token, rotation.failure);
        }
    }
}

/// An output in little memory.
fn encoded(id: u32, output: &Output) -> Bytes {
    let order = Order::Open {
        id,
        output: output.clone(),
        dropped: [Dropped::default(); 2],
    };
    let mut bytes = order.to_line().to_bytes();
    bytes.shrink_to_fit();
    bytes
}

fn path_of(file: &Bytes) -> PathBuf {
    OsStr::from_bytes(file).into()
}
