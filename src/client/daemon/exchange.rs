//! Requests to the daemon, and its answers.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;

use super::log_paths;
use crate::client::display::output;
use crate::error::{Error, Result};
use crate::paths::Home;
use crate::protocol::buffer::{LineBuffer, TooLong};
use crate::protocol::line::{Line, MAX_LINE, Malformed};
use crate::protocol::process::Process;
use crate::protocol::program_info::ProgramInfo;
use crate::protocol::reply::{Failure, Reply};
use crate::protocol::request::Request;
use crate::protocol::{self, RELEASE};

/// How much is read at once: an answer about hundreds of programs comes in a few calls.
const CHUNK: usize = 64 << 10;

/// A daemon that was connected to.
pub struct Daemon {
    home: Home,
    stream: UnixStream,
    input: LineBuffer,
    chunk: Vec<u8>,
    /// The version of the daemon's release.
    release: String,
    /// Why it is not told the environment, where it is not.
    distrust: Option<Error>,
}

/// Why a request was not carried out.
pub enum RequestError {
    /// The daemon said no.
    Refused(Failure),
    /// The daemon has ended without answering.
    Gone(Error),
    /// There was no answer that could be read.
    Broken(Error),
}

impl From<RequestError> for Error {
    fn from(trouble: RequestError) -> Error {
        match trouble {
            RequestError::Refused(failure) => Error::new(failure.message),
            RequestError::Gone(error) | RequestError::Broken(error) => error,
        }
    }
}

impl From<Error> for RequestError {
    fn from(error: Error) -> RequestError {
        RequestError::Broken(error)
    }
}

impl Daemon {
    /// The daemon at the other end of a stream.
    pub fn new(home: Home, stream: UnixStream, distrust: Option<Error>) -> Daemon {
        Daemon {
            home,
            stream,
            input: LineBuffer::default(),
            chunk: vec![0; CHUNK],
            release: String::new(),
            distrust,
        }
    }

    /// Agrees on the protocol. `false`: the daemon ended before it answered, and has heard of no request; so
    /// another one can be asked.
    pub fn greet(&mut self) -> Result<bool> {
        let hello = Request::Hello {
            protocol: protocol::VERSION,
        };
        if let Err(error) = self.stream.write_all(&hello.to_line().to_bytes()) {
            // One that was refused was told why before the connection was closed.
            if !has_gone(&error) {
                return Err(self.asking(&error));
            }
        }
        match self.answer(&mut |_| Ok(())) {
            Ok(line) => {
                self.release = line.text("version").unwrap_or_default().to_owned();
                Ok(true)
            }
            Err(RequestError::Gone(_)) => Ok(false),
            Err(RequestError::Broken(error)) => Err(error),
            Err(RequestError::Refused(failure)) => Err(Error::new(format!(
                "the daemon in {} does not serve rpm {RELEASE}: {}",
                self.home.root().display(),
                failure.message
            ))),
        }
    }

    /// The version of the daemon's release, as it greeted.
    pub fn release(&self) -> &str {
        &self.release
    }

    fn asking(&self, error: &std::io::Error) -> Error {
        let home = self.home.root().display();
        Error::io(format!("asking the daemon in {home}"), error)
    }

    /// Its home.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Sends a request, hands each row of the answer to `row` and gives the line that ends it.
    pub fn request(
        &mut self,
        request: &Request,
        row: &mut dyn FnMut(Line) -> Result<()>,
    ) -> std::result::Result<Line, RequestError> {
        self.send(request)?;
        self.answer(&mut |bytes| row(decoded(bytes)?))
    }

    /// The programs that an answer tells of.
    pub fn processes(
        &mut self,
        request: &Request,
    ) -> std::result::Result<Vec<Process>, RequestError> {
        let mut processes = Vec::new();
        self.each_process(request, &mut |process| processes.push(process))?;
        Ok(processes)
    }

    /// Hands over the programs that an answer tells of as they come: the daemon may still be writing the others. Gives
    /// the line that ends it.
    pub fn each_process(
        &mut self,
        request: &Request,
        each: &mut dyn FnMut(Process),
    ) -> std::result::Result<Line, RequestError> {
        self.send(request)?;
        let last = self.answer(&mut |bytes| {
            each(program(bytes)?);
            Ok(())
        })?;
        if last.flag("unwritten").unwrap_or(true) {
            output::complain(
                "some output may not be in the log files yet: a disk hangs or a reader does not read",
            );
        }
        Ok(last)
    }

    /// The programs that are meant, all if `targets` is empty, with all that the daemon knows of them.
    pub fn describe(&mut self, targets: Vec<String>) -> Result<Vec<ProgramInfo>> {
        let mut programs = Vec::new();
        let home = self.home.clone();
        self.request(&Request::Describe { targets }, &mut |line| {
            programs.push(program_info(&line, &home)?);
            Ok(())
        })?;
        Ok(programs)
    }

    /// Reads one answer.
    fn answer(
        &mut self,
        row: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> std::result::Result<Line, RequestError> {
        loop {
            match self.input.next_line() {
                Ok(Some(bytes)) if is_last(bytes) => match Reply::from_line(decoded(bytes)?) {
                    Reply::Failed(failure) => return Err(RequestError::Refused(failure)),
                    Reply::Done(line) | Reply::Row(line) => return Ok(line),
                },
                Ok(Some(bytes)) => row(bytes)?,
                Ok(None) => {
                    if !self.fill()? {
                        return Err(RequestError::Gone(self.ended()));
                    }
                }
                Err(TooLong) => return Err(too_long().into()),
            }
        }
    }

    /// Sends a request.
    fn send(&mut self, request: &Request) -> Result<()> {
        if let Some(why) = self.distrust.as_ref().filter(|_| request.has_environment()) {
            return Err(Error::new(why.to_string()));
        }
        let bytes = log_paths::resolved(request).to_line().to_bytes();
        let length = bytes.len();
        if length > MAX_LINE {
            return Err(Error::new(format!(
                "the request has {length} bytes and the daemon takes {MAX_LINE}; the environment or the arguments are too large"
            )));
        }
        self.stream
            .write_all(&bytes)
            .map_err(|error| match has_gone(&error) {
                true => self.ended(),
                false => self.asking(&error),
            })
    }

    /// Hands every line that comes to `row` until the daemon has closed the connection.
    pub fn follow(&mut self, row: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        loop {
            while let Some(line) = self.input.next_line().map_err(|TooLong| too_long())? {
                row(line)?;
            }
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    /// Reads what has come. `false`: the daemon has gone.
    fn fill(&mut self) -> Result<bool> {
        let n = self.read()?;
        self.input.push(self.chunk.get(..n).unwrap_or_default());
        Ok(n > 0)
    }

    fn read(&mut self) -> Result<usize> {
        loop {
            let error = match self.stream.read(&mut self.chunk) {
                Ok(n) => return Ok(n),
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::ConnectionReset => return Ok(0),
                _ => {
                    let home = self.home.root().display();
                    return Err(Error::io(
                        format!("reading the answer of the daemon in {home}"),
                        &error,
                    ));
                }
            }
        }
    }

    fn ended(&self) -> Error {
        Error::new(format!(
            "the daemon in {} ended before it had answered, and may or may not have done it; see {}",
            self.home.root().display(),
            self.home.daemon_log().display()
        ))
    }
}

/// Whether the other end of the connection has been closed.
fn has_gone(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    )
}

/// Whether a line ends an answer.
pub fn is_last(line: &[u8]) -> bool {
    let tag = line
        .split(u8::is_ascii_whitespace)
        .next()
        .unwrap_or_default();
    tag == b"ok" || tag == b"error"
}

/// The error of an answer that cannot be held.
pub fn too_long() -> Error {
    Error::new("the daemon's answer has a line without end")
}

/// The line of these bytes.
pub fn decoded(bytes: &[u8]) -> Result<Line> {
    Line::decode(bytes)
        .map_err(|Malformed(why)| Error::new(format!("the daemon's answer is not readable: {why}")))
}

/// The program of a `process` line.
pub fn program(bytes: &[u8]) -> Result<Process> {
    match Process::from_bytes(bytes) {
        Some(process) => Ok(process),
        None => process(&decoded(bytes)?),
    }
}

/// The process that a row tells of.
pub fn process(line: &Line) -> Result<Process> {
    Process::from_line(line).ok_or_else(incomplete)
}

/// The program that a row of the answer to `describe` tells of.
pub fn program_info(line: &Line, home: &Home) -> Result<ProgramInfo> {
    let home = home.root().as_os_str().as_bytes();
    ProgramInfo::from_line(line, home).ok_or_else(incomplete)
}

fn incomplete() -> Error {
    Error::new("the daemon's answer lacks a field; are rpm and rpmd of one version?")
}
