//! Requests to the daemon, and its replies.

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

/// The size of a read: a reply about hundreds of programs takes a few calls.
const CHUNK: usize = 64 << 10;

/// A connection to the daemon. Each request waits for its reply.
pub struct Daemon {
    home: Home,
    stream: UnixStream,
    input: LineBuffer,
    chunk: Vec<u8>,
    /// The version of the daemon's release.
    release: String,
    /// Why requests with an environment are not sent, if they are not.
    distrust: Option<Error>,
}

/// Why a request failed.
pub enum RequestError {
    /// The daemon refused it.
    Refused(Failure),
    /// The daemon ended without a reply.
    Closed(Error),
    /// It could not be sent, or the reply could not be read.
    Failed(Error),
}

impl From<RequestError> for Error {
    fn from(trouble: RequestError) -> Error {
        match trouble {
            RequestError::Refused(failure) => Error::new(failure.message),
            RequestError::Closed(error) | RequestError::Failed(error) => error,
        }
    }
}

impl RequestError {
    /// The refusal of the daemon.
    ///
    /// # Errors
    /// There is none: the connection failed.
    pub fn refusal(self) -> Result<Failure> {
        match self {
            RequestError::Refused(failure) => Ok(failure),
            RequestError::Closed(error) | RequestError::Failed(error) => Err(error),
        }
    }
}

impl From<Error> for RequestError {
    fn from(error: Error) -> RequestError {
        RequestError::Failed(error)
    }
}

impl Daemon {
    /// The daemon at the other end of a connection.
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

    /// Agrees on the protocol. Returns `false` if the daemon ended before it replied: no request has reached it, and
    /// another daemon can be tried.
    pub fn greet(&mut self) -> Result<bool> {
        let hello = Request::Hello {
            protocol: protocol::VERSION,
        };
        if let Err(error) = self.stream.write_all(&hello.to_line().to_bytes()) {
            // A daemon that refuses a client says why before it closes the connection.
            if !is_closed(&error) {
                return Err(self.write_error(&error));
            }
        }
        match self.answer(&mut |_| Ok(())) {
            Ok(line) => {
                self.release = line.text("version").unwrap_or_default().to_owned();
                Ok(true)
            }
            Err(RequestError::Closed(_)) => Ok(false),
            Err(RequestError::Failed(error)) => Err(error),
            Err(RequestError::Refused(failure)) => Err(Error::new(format!(
                "the daemon in {} does not serve rpm {RELEASE}: {}",
                self.home.root().display(),
                failure.message
            ))),
        }
    }

    /// The release of the daemon, from the reply to `hello`.
    pub fn release(&self) -> &str {
        &self.release
    }

    fn write_error(&self, error: &std::io::Error) -> Error {
        let home = self.home.root().display();
        Error::io(format!("sending a request to the daemon in {home}"), error)
    }

    /// The home of the daemon.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Sends a request, passes each row of the reply to `row` and returns the last line.
    pub fn request(
        &mut self,
        request: &Request,
        row: &mut dyn FnMut(Line) -> Result<()>,
    ) -> std::result::Result<Line, RequestError> {
        self.send(request)?;
        self.answer(&mut |bytes| row(decoded(bytes)?))
    }

    /// Sends a request and returns the programs in the reply.
    pub fn processes(
        &mut self,
        request: &Request,
    ) -> std::result::Result<Vec<Process>, RequestError> {
        let mut processes = Vec::new();
        self.each_process(request, &mut |process| processes.push(process))?;
        Ok(processes)
    }

    /// Sends a request, passes each program in the reply to `each` as it arrives and returns the last line.
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
        if last.flag("unsaved").unwrap_or(true) {
            output::complain(
                "the list of programs is not on the disk yet: the disk does not answer; rpmd goes on trying",
            );
        }
        Ok(last)
    }

    /// All programs.
    pub fn list(&mut self) -> std::result::Result<Vec<Process>, RequestError> {
        let targets = Vec::new();
        self.processes(&Request::List { targets })
    }

    /// The selected programs with all their details; all programs if `targets` is empty.
    pub fn describe(&mut self, targets: Vec<String>) -> Result<Vec<ProgramInfo>> {
        let mut programs = Vec::new();
        let home = self.home.clone();
        self.request(&Request::Describe { targets }, &mut |line| {
            programs.push(program_info(&line, &home)?);
            Ok(())
        })?;
        Ok(programs)
    }

    /// Reads one reply.
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
                        return Err(RequestError::Closed(self.ended()));
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
        self.stream.write_all(&bytes).map_err(|error| {
            if is_closed(&error) {
                self.ended()
            } else {
                self.write_error(&error)
            }
        })
    }

    /// Passes every line to `row` until the daemon closes the connection.
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

    /// Reads what has arrived. Returns `false` if the daemon closed the connection.
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
                        format!("reading the reply of the daemon in {home}"),
                        &error,
                    ));
                }
            }
        }
    }

    fn ended(&self) -> Error {
        Error::new(format!(
            "the daemon in {} ended before it replied, and may or may not have carried out the request; see {}",
            self.home.root().display(),
            self.home.daemon_log().display()
        ))
    }
}

/// Whether the other end closed the connection.
fn is_closed(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    )
}

/// Whether a line is the last of a reply.
pub fn is_last(line: &[u8]) -> bool {
    let tag = line
        .split(u8::is_ascii_whitespace)
        .next()
        .unwrap_or_default();
    tag == b"ok" || tag == b"error"
}

/// The error for a line that exceeds the buffer.
pub fn too_long() -> Error {
    Error::new("the daemon's reply has a line that is too long")
}

/// Decodes a line.
pub fn decoded(bytes: &[u8]) -> Result<Line> {
    Line::decode(bytes)
        .map_err(|Malformed(why)| Error::new(format!("cannot read the reply of the daemon: {why}")))
}

/// Decodes a `process` row.
pub fn program(bytes: &[u8]) -> Result<Process> {
    match Process::from_bytes(bytes) {
        Some(process) => Ok(process),
        None => process(&decoded(bytes)?),
    }
}

/// The process of a row.
pub fn process(line: &Line) -> Result<Process> {
    Process::from_line(line).ok_or_else(incomplete)
}

/// The program of a row of the reply to `describe`.
pub fn program_info(line: &Line, home: &Home) -> Result<ProgramInfo> {
    let home = home.root().as_os_str().as_bytes();
    ProgramInfo::from_line(line, home).ok_or_else(incomplete)
}

fn incomplete() -> Error {
    Error::new("the daemon's reply lacks a field; are rpm and rpmd of one version?")
}
