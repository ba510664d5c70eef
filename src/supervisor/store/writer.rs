//! The process `rpmd-store`: it brings the list from memory to the disk, and makes and removes files of the home, in
//! the order in which it is asked. It may wait for the disk; the supervisor does not.
//!
//! It is forked for one generation of the list and holds a lock: a second one waits for its end. When its
//! supervisor has gone it finishes its work and ends.
//!
//! ```text
//! request   copy | sync token=… | fifos id=… | write path=… text=… | replace path=… text=… | unlink path=… |
//!           gone id=… | former id=…
//! report    written upto=… | synced [token=…] | failed why=…
//!           done [why=…]         of each request but copy and sync; two lines "fifo" with a descriptor before it
//! ```

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::error::{Error, Reason};
use crate::paths::Home;
use crate::protocol::buffer::LineBuffer;
use crate::protocol::line::Line;
use crate::supervisor::store::list;
use crate::supervisor::store::{former, records};
use crate::sys::daemonize::{self, Fork};
use crate::sys::memory_log::MemoryLog;
use crate::sys::open::{self, Access};
use crate::sys::passing::Outbox;
use crate::sys::pid::Pid;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::{self, Signal};
use crate::sys::{apart, clock, fd, lock};

/// The name of the process.
pub const NAME: &str = "rpmd-store";

/// How long changes are collected before they are brought to the disk. ms
const COLLECT: u64 = 1000;
/// How long after a failure the next attempt is made, where no supervisor is there to ask for one.
const AGAIN: Duration = Duration::from_secs(1);

/// Forks a writer for the list in `memory`, of this generation.
///
/// # Errors
///
/// There can be no more processes or descriptors.
pub fn start(home: &Home, generation: u64, memory: &MemoryLog) -> io::Result<(Pid, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let copy = memory.try_clone()?;
    ours.set_nonblocking(true)?;
    match daemonize::fork()? {
        Fork::Parent(pid) => Ok((pid, ours)),
        Fork::Child => {
            let given = (home.root().to_owned(), generation);
            apart::go_on_apart(
                (copy, theirs),
                given,
                |(memory, socket), (root, generation)| {
                    serve(Home::new(root), generation, memory, socket)
                },
            )
        }
    }
}

fn serve(home: Home, generation: u64, memory: MemoryLog, socket: UnixStream) -> ! {
    signal::set_default(Signal::CHLD);
    let all = signal::ENDING.into_iter().chain(signal::IGNORED);
    all.for_each(signal::ignore);
    let _ = fd::open_null().and_then(|null| fd::replace_stdio(null.as_fd()));
    daemonize::set_process_name(c"rpmd-store");
    let _ = socket.set_nonblocking(false);
    let mut writer = Writer::new(home, generation, memory, socket);
    writer.begin();
    while writer.turn() {}
    // The supervisor has gone. What it has changed is in this memory alone until it is on the disk.
    while writer.finish().is_err() {
        if matches!(writer.home.run().try_exists(), Ok(false)) {
            // The home was removed.
            break;
        }
        std::thread::sleep(AGAIN);
        writer.begin();
    }
    daemonize::exit_now(0)
}

/// What a writer knows.
pub(crate) struct Writer {
    home: Home,
    generation: u64,
    memory: MemoryLog,
    socket: UnixStream,
    input: LineBuffer,
    output: Outbox,
    /// The folder that only one writer locks.
    lock: Option<File>,
    /// The list, or the next one.
    file: Option<File>,
    /// The file is the next list, and replaces the other when it is on the disk.
    is_new: bool,
    /// Up to which offset the list has been written, and is on the disk.
    written: u64,
    synced: u64,
    /// Since when changes wait to be brought to the disk. ms
    collecting: Option<u64>,
    /// Why the list cannot be written. Another writer begins anew: what the kernel has dropped after a failure stays
    /// lost, though a later `fsync(2)` succeeds.
    failure: Option<String>,
}

impl Writer {
    pub(crate) fn new(
        home: Home,
        generation: u64,
        memory: MemoryLog,
        socket: UnixStream,
    ) -> Writer {
        Writer {
            home,
            generation,
            memory,
            socket,
            input: LineBuffer::default(),
            output: Outbox::default(),
            lock: None,
            file: None,
            is_new: false,
            written: 0,
            synced: 0,
            collecting: None,
            failure: None,
        }
    }

    /// Waits for its turn, and opens the file.
    pub(crate) fn begin(&mut self) {
        self.failure = None;
        let begun = self.open();
        if let Err(e) = begun {
            self.fail(format!(
                "writing {}: {}",
                self.home.list().display(),
                Reason(&e)
            ));
        }
        self.copy();
        self.send();
    }

    fn open(&mut self) -> io::Result<()> {
        if self.lock.is_none() {
            let folder = open::folder(&self.home.list_lock())?;
            lock::wait_for(&folder)?;
            self.lock = Some(folder);
        }
        let start = self.memory.start()?;
        let path = self.home.list();
        if let Ok(mut file) = open::regular(&path, Access::Read) {
            let mut head = vec![0; 256];
            let length = file.read(&mut head)?;
            head.truncate(length);
            if list::generation_of(&head) == Some(self.generation)
                && file.metadata()?.len() >= start
            {
                self.file = Some(open::regular(&path, Access::Write)?);
                (self.is_new, self.written, self.synced) = (false, start, start);
                return Ok(());
            }
        }
        if start > 0 {
            return Err(io::Error::other("it was changed by somebody else"));
        }
        let new = self.home.list_new();
        let _ = fs::remove_file(&new);
        self.file = Some(open::create_new(&new, 0o600)?);
        (self.is_new, self.written, self.synced) = (true, 0, 0);
        Ok(())
    }

    /// Waits for requests and carries them out. Whether there is a supervisor.
    pub(crate) fn turn(&mut self) -> bool {
        let timeout = self.collecting.map(|since| {
            let due = since + COLLECT;
            Duration::from_millis(due.saturating_sub(clock::monotonic_ms()))
        });
        let mut set = PollSet::default();
        set.push(self.socket.as_fd(), Interest::READ, ());
        let waited = set.wait(timeout);
        if self
            .collecting
            .is_some_and(|since| clock::monotonic_ms() >= since + COLLECT)
        {
            self.sync(None);
            self.send();
        }
        if waited.is_ok() && set.ready().next().is_none() {
            return true;
        }
        let mut buffer = [0; 4 << 10];
        match fd::read(self.socket.as_fd(), &mut buffer) {
            Ok(n @ 1..) => self.input.push(buffer.get(..n).unwrap_or_default()),
            _ => return false,
        }
        self.copy();
        loop {
            let line = match self.input.next_line() {
                Ok(Some(line)) => Line::decode(line).unwrap_or_default(),
                Ok(None) => break,
                Err(_) => return false,
            };
            self.carry_out(&line);
        }
        self.send();
        true
    }

    /// Carries out the requests that wait, and waits for no other.
    #[cfg(test)]
    pub(crate) fn take_what_waits(&mut self) {
        loop {
            let mut set = PollSet::default();
            set.push(self.socket.as_fd(), Interest::READ, ());
            let _ = set.wait(Some(Duration::ZERO));
            if set.ready().next().is_none() || !self.turn() {
                return;
            }
        }
    }

    fn carry_out(&mut self, request: &Line) {
        let path = || PathBuf::from(OsStr::from_bytes(request.get("path").unwrap_or_default()));
        let text = || request.get("text").unwrap_or_default();
        let id = request.number("id").unwrap_or(u32::MAX);
        let done = match request.tag.as_str() {
            "copy" => return,
            "sync" => return self.sync(request.text("token")),
            "fifos" => self.make_pipes(id),
            "write" => write(&path(), text()),
            "replace" => open::replace(&path(), text()),
            "unlink" => unlink(&path()),
            "gone" => self.remove_pipes(id),
            "former" => {
                former::remove(&self.home, id);
                Ok(())
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        };
        let mut line = Line::new("done");
        if let Err(e) = done {
            line.push("why", Reason(&e).to_string());
        }
        self.report(&line, None);
    }

    /// Makes the pipes of a program that is on record, and passes them on.
    fn make_pipes(&mut self, id: u32) -> io::Result<()> {
        if let Some(why) = &self.failure {
            return Err(io::Error::other(why.clone()));
        }
        let made = records::make_pipes(&self.home.records(id));
        let (out, err) = made.map_err(|e: Error| io::Error::other(e.to_string()))?;
        for pipe in [out, err] {
            self.report(&Line::new("fifo"), Some(Rc::new(pipe)));
        }
        Ok(())
    }

    /// Removes the pipes of a program that is not on record any more.
    fn remove_pipes(&mut self, id: u32) -> io::Result<()> {
        if let Some(why) = &self.failure {
            return Err(io::Error::other(why.clone()));
        }
        let pipes = self.home.records(id);
        unlink(&pipes.out()).and(unlink(&pipes.err()))
    }

    fn report(&mut self, line: &Line, fd: Option<Rc<std::os::fd::OwnedFd>>) {
        self.output.push(line.to_bytes(), fd);
        // Each descriptor that waits is one of this process.
        if self.output.descriptors() > 0 {
            self.send();
        }
    }

    fn send(&mut self) {
        if self.output.flush(&self.socket).is_err() {
            self.output = Outbox::default();
        }
    }

    fn fail(&mut self, why: String) {
        self.report(&Line::new("failed").with("why", &why), None);
        self.collecting = None;
        self.failure = Some(why);
    }

    /// Copies what has come to the list to its file.
    fn copy(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| self.failure.is_none()) else {
            return;
        };
        match self.memory.copy_to(file, self.written) {
            Ok(0) => {}
            Ok(length) => {
                self.written += length;
                self.collecting.get_or_insert_with(clock::monotonic_ms);
                let line = Line::new("written").with("upto", self.written.to_string());
                self.report(&line, None);
            }
            Err(e) => self.fail(format!(
                "writing {}: {}",
                self.home.list().display(),
                Reason(&e)
            )),
        }
    }

    /// Brings the list to the disk. `token`: somebody has asked for it.
    fn sync(&mut self, token: Option<&str>) {
        if self.failure.is_none() {
            if let Err(e) = self.bring_to_disk(token) {
                self.fail(format!(
                    "syncing {} to disk failed: {}; free space or repair the disk; rpmd tries again",
                    self.home.list().display(),
                    Reason(&e)
                ));
            }
        }
    }

    fn bring_to_disk(&mut self, token: Option<&str>) -> io::Result<()> {
        self.collecting = None;
        let Some(file) = &self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("the file was removed"));
        }
        if self.synced < self.written || self.is_new {
            file.sync_data()?;
        }
        if self.is_new {
            fs::rename(self.home.list_new(), self.home.list())?;
            open::folder(&self.home.run())?.sync_all()?;
            open::folder(self.home.root())?.sync_all()?;
            self.is_new = false;
        }
        self.synced = self.written;
        self.memory.give_back(self.synced);
        let mut line = Line::new("synced");
        if let Some(token) = token {
            line.push("token", token);
        }
        self.report(&line, None);
        Ok(())
    }

    /// Brings everything to the disk.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        self.copy();
        self.sync(None);
        self.failure.clone().map_or(Ok(()), Err)
    }
}

/// Removes a file, if there is one.
fn unlink(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Writes a file anew, in its place.
fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = open::or_create(path, Access::Write, 0o600)?;
    file.write_all(text)?;
    file.set_len(text.len() as u64)
}
