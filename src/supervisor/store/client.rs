//! The supervisor's end of the connection with the writer of the list. Nothing here waits for the disk.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::paths::Home;
use crate::protocol::buffer::LineBuffer;
use crate::protocol::line::Line;
use crate::supervisor::driver::Driver;
use crate::supervisor::store::recovery::{self, Recovered};
use crate::sys::memory_log::MemoryLog;
use crate::sys::passing::{self, Outbox};
use crate::sys::pid::Pid;
use crate::sys::poll::Interest;
use crate::sys::signal::{self, Signal};

/// How long until the next attempt after one that failed, doubled each time up to the most. ms
const AGAIN: u64 = 1000;
const AGAIN_MAX: u64 = 60_000;

/// What a writer has reported.
#[derive(Debug)]
pub enum Report {
    /// More of the list has been written.
    Progress,
    /// More of it is on the disk.
    Synced,
    /// The list cannot be written now.
    Failed,
    /// A request has been carried out, or could not be.
    Done {
        /// The request.
        request: Line,
        /// What came with it.
        pipes: Option<(OwnedFd, OwnedFd)>,
        /// Why it could not be.
        why: Option<String>,
    },
}

/// A moment of the list and of what was asked of its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    generation: u64,
    end: u64,
    asked: u64,
}

/// The list, and its writer.
pub struct StoreClient {
    memory: MemoryLog,
    generation: u64,
    /// How long the list was when it was last whole, and nothing of it outdated.
    live: u64,
    /// The end of the list.
    end: u64,
    /// Up to where the writer was told of it.
    announced: u64,
    /// A child may have added to it.
    grown: bool,
    link: Option<UnixStream>,
    child: Option<Pid>,
    input: LineBuffer,
    output: Outbox,
    fds: VecDeque<Option<OwnedFd>>,
    /// What was asked and has no answer yet: the next writer is asked again.
    asked: VecDeque<Line>,
    /// How many requests have been answered.
    answered: u64,
    /// Programs whose pipes were asked for.
    making: BTreeSet<u32>,
    written: u64,
    /// How often clients have asked for the disk, and the last of these times that was answered.
    syncs: (u64, u64),
    /// Why the list cannot be written.
    failure: Option<String>,
    /// How many attempts in a row have failed.
    failures: u32,
}

impl StoreClient {
    /// The client of a list that was found. It has no writer yet.
    pub fn new(recovered: Recovered) -> StoreClient {
        StoreClient {
            end: recovered.memory.end().unwrap_or(0),
            memory: recovered.memory,
            generation: recovered.generation,
            live: recovered.live,
            announced: 0,
            grown: false,
            link: None,
            child: None,
            input: LineBuffer::default(),
            output: Outbox::default(),
            fds: VecDeque::new(),
            asked: VecDeque::new(),
            answered: 0,
            making: BTreeSet::new(),
            written: 0,
            syncs: (0, 0),
            failure: None,
            failures: 0,
        }
    }

    /// The list in memory, for a child to record itself.
    pub fn memory(&self) -> BorrowedFd<'_> {
        self.memory.fd()
    }

    /// Its generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Appends lines.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.memory.append(lines)?;
        self.end = self.memory.end()?;
        Ok(())
    }

    /// A child has appended to it, or may have.
    pub fn has_grown(&mut self) {
        self.grown = true;
    }

    /// What was recorded and asked for up to now.
    pub fn mark(&mut self) -> Mark {
        self.end = self.memory.end().unwrap_or(self.end);
        Mark {
            generation: self.generation,
            end: self.end,
            asked: self.answered + self.asked.len() as u64,
        }
    }

    /// Whether all up to a mark has been written and done: then only a crash of the machine can undo it.
    pub fn has_reached(&self, mark: Mark) -> bool {
        // A new list begins with all that the old one had.
        let end = match mark.generation == self.generation {
            true => mark.end,
            false => self.live,
        };
        self.failure.is_none() && self.written >= end && self.answered >= mark.asked
    }

    /// Whether all that clients have asked for is on the disk.
    pub fn is_synced(&self) -> bool {
        self.failure.is_none() && self.syncs.0 == self.syncs.1
    }

    /// Why the list cannot be written.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whether a new list should replace this one. Where the disk does not answer, another writer would wait as well.
    pub fn is_outdated(&self) -> bool {
        let answers = self.written >= self.announced;
        self.link.is_some() && answers && recovery::is_outdated(self.end, self.live)
    }

    /// Asks for everything to be brought to the disk.
    pub fn sync(&mut self) {
        self.syncs.0 += 1;
        self.send_sync();
    }

    fn send_sync(&mut self) {
        self.send(&Line::new("sync").with("token", self.syncs.0.to_string()));
    }

    /// Asks for the pipes of a program, once.
    pub fn make_pipes(&mut self, id: u32) {
        if self.making.insert(id) {
            self.ask(Line::new("fifos").with("id", id.to_string()));
        }
    }

    /// Removes the pipes of a program, if it was written that it is deleted.
    pub fn remove_pipes(&mut self, id: u32) {
        self.ask(Line::new("gone").with("id", id.to_string()));
    }

    /// Removes a file.
    pub fn unlink(&mut self, path: &Path) {
        self.ask(Line::new("unlink").with("path", path.as_os_str().as_bytes()));
    }

    /// Removes the records of a program that the release before this one had.
    pub fn remove_former(&mut self, id: u32) {
        self.ask(Line::new("former").with("id", id.to_string()));
    }

    /// Writes a file.
    pub fn write(&mut self, path: &Path, text: &[u8]) {
        let line = Line::new("write").with("path", path.as_os_str().as_bytes());
        self.ask(line.with("text", text));
    }

    /// Replaces a file in one step.
    pub fn replace(&mut self, path: &Path, text: &[u8]) {
        let line = Line::new("replace").with("path", path.as_os_str().as_bytes());
        self.ask(line.with("text", text));
    }

    fn ask(&mut self, line: Line) {
        self.send(&line);
        self.asked.push_back(line);
    }

    fn send(&mut self, line: &Line) {
        if self.link.is_some() {
            self.output.push(line.to_bytes(), None);
        }
    }

    /// Starts a writer, which is asked again for what has no answer.
    ///
    /// # Errors
    ///
    /// There can be no more processes or descriptors.
    pub fn start(&mut self, home: &Home, driver: &mut dyn Driver) -> io::Result<()> {
        self.close();
        let (child, link) = driver.start_writer(home, self.generation, &self.memory)?;
        (self.child, self.link) = (Some(child), Some(link));
        self.failure = None;
        self.written = 0;
        for line in self.asked.clone() {
            self.send(&line);
        }
        self.grown = true;
        self.announced = 0;
        if self.syncs.0 > self.syncs.1 {
            self.send_sync();
        }
        Ok(())
    }

    /// Goes on with a new list of these lines; the writer of the old one ends. The next has to be started.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn renew(
        &mut self,
        home_number: (u64, u64),
        next_id: u32,
        programs: Vec<Vec<u8>>,
    ) -> io::Result<()> {
        let generation = self.generation + 1;
        let bytes = recovery::whole_list(generation, next_id, programs.into_iter());
        let mut memory = recovery::new_memory(home_number, generation, 0)?;
        memory.append(&bytes)?;
        self.memory = memory;
        self.generation = generation;
        self.end = bytes.len() as u64;
        self.live = self.end;
        self.close();
        Ok(())
    }

    /// Has the writer finish its work and end; then there is no stream any more.
    pub fn finish(&mut self) {
        self.flush();
        if let Some(link) = &self.link {
            let _ = link.shutdown(std::net::Shutdown::Write);
        }
    }

    /// Ends the writer, if there is one. The next one does what it has not done: it waits until the disk lets this one
    /// go.
    fn close(&mut self) {
        self.link = None;
        if let Some(child) = self.child.take() {
            // Our child, and not reaped: the number is its own.
            let _ = signal::kill(child, Signal::KILL);
        }
        self.input = LineBuffer::default();
        self.output = Outbox::default();
        self.fds.clear();
    }

    /// The list could not be written, or there is no process to write it. How long until the next attempt, in ms.
    pub fn has_failed(&mut self, why: String) -> u64 {
        self.failure = Some(why);
        self.failures = self.failures.saturating_add(1);
        (AGAIN << (self.failures - 1).min(16)).min(AGAIN_MAX)
    }

    /// What to poll.
    pub fn stream(&self) -> Option<&UnixStream> {
        self.link.as_ref()
    }

    /// What to poll for.
    pub fn interest(&self) -> Interest {
        Interest {
            read: true,
            write: !self.output.is_empty(),
        }
    }

    /// Sends what the writer takes.
    pub fn flush(&mut self) {
        let Some(link) = &self.link else {
            return;
        };
        if std::mem::take(&mut self.grown) {
            self.end = self.memory.end().unwrap_or(self.end);
        }
        if self.announced < self.end {
            self.announced = self.end;
            self.output.push(Line::new("copy").to_bytes(), None);
        }
        // That it has gone is seen when its reports are read.
        let _ = self.output.flush(link);
    }

    /// Reads what the writer reports. `Err`: it has gone.
    pub fn receive(&mut self) -> Result<Vec<Report>, ()> {
        let mut buffer = [0; 4096];
        let mut reports = Vec::new();
        while let Some(link) = &self.link {
            match passing::receive(link, &mut buffer, &mut self.fds) {
                Ok(0) => return self.lost(reports),
                Ok(n) => self.input.push(buffer.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.lost(reports),
            }
            self.take_lines(&mut reports);
        }
        Ok(reports)
    }

    fn lost(&mut self, reports: Vec<Report>) -> Result<Vec<Report>, ()> {
        if reports.is_empty() {
            self.close();
            return Err(());
        }
        Ok(reports)
    }

    fn take_lines(&mut self, reports: &mut Vec<Report>) {
        while let Ok(Some(line)) = self.input.next_line() {
            let Ok(line) = Line::decode(line) else {
                continue;
            };
            let upto = line.number("upto").unwrap_or(0);
            let why = line.text("why").map(str::to_owned);
            match line.tag.as_str() {
                "written" => {
                    self.written = upto;
                    reports.push(Report::Progress);
                }
                "synced" => {
                    self.failures = 0;
                    self.syncs.1 = line.number("token").unwrap_or(self.syncs.1);
                    reports.push(Report::Synced);
                }
                "failed" => {
                    self.failure = why;
                    reports.push(Report::Failed);
                }
                "done" => {
                    if let Some(request) = self.asked.pop_front() {
                        reports.push(self.done(request, why));
                    }
                }
                _ => {}
            }
        }
    }

    fn done(&mut self, request: Line, why: Option<String>) -> Report {
        let mut why = why;
        let mut pipes = None;
        self.answered += 1;
        if let Some(id) = request.number("id").filter(|_| request.tag == "fifos") {
            self.making.remove(&id);
        }
        if request.tag == "fifos" && why.is_none() {
            let both = (
                self.fds.pop_front().flatten(),
                self.fds.pop_front().flatten(),
            );
            match both {
                (Some(out), Some(err)) => pipes = Some((out, err)),
                // They could not be received.
                _ => why = Some("holding its pipes: Too many open files".to_owned()),
            }
        }
        Report::Done {
            request,
            pipes,
            why,
        }
    }

    /// Whether this process is the writer, which has ended now.
    pub fn is_writer(&mut self, child: Pid) -> bool {
        self.child.take_if(|pid| *pid == child).is_some()
    }
}
