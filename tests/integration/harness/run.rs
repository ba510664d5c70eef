//! Running commands with a time limit.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use rpm::sys::signal::Signal;

use super::proc;
use super::wait::{LIMIT, ended_within};

/// Locked exclusively to write an executable, and shared to start a command. A new process inherits the files that other
/// threads have open for writing until its exec, and such a file cannot be executed: `ETXTBSY` of `execve(2)`.
static EXECUTABLES: RwLock<()> = RwLock::new(());

/// Starts a command.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let _shared = EXECUTABLES.read().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// Writes a file that will be executed.
pub fn write_executable<T>(write: impl FnOnce() -> io::Result<T>) -> T {
    let _alone = EXECUTABLES.write().unwrap_or_else(PoisonError::into_inner);
    write().unwrap()
}

/// The result of a command.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit status; -1 if a signal terminated it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub command: String,
}

impl Output {
    /// Asserts that the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Output {
        assert_eq!(self.code, 0, "{}", self.shown());
        self
    }

    /// Asserts that the command failed with exit status 1 and that stderr has all of these parts.
    #[track_caller]
    pub fn fails(self, parts: &[&str]) -> Output {
        self.ends_with(1, parts)
    }

    /// Asserts that the command line was refused with exit status 2 and this part on stderr.
    #[track_caller]
    pub fn misused(self, part: &str) -> Output {
        self.ends_with(2, &[part])
    }

    #[track_caller]
    fn ends_with(self, code: i32, parts: &[&str]) -> Output {
        assert_eq!(self.code, code, "{}", self.shown());
        for part in parts {
            let shown = self.shown();
            assert!(
                self.stderr.contains(part),
                "no '{part}' on stderr of {shown}"
            );
        }
        self
    }

    /// All of it, for messages.
    pub fn shown(&self) -> String {
        format!(
            "{}\n  exit status {}\n  stdout: {:?}\n  stderr: {:?}\n",
            self.command, self.code, self.stdout, self.stderr
        )
    }
}

/// Runs a command until it exits and its output ends. It fails if a daemon keeps the output open.
pub fn finish(mut command: Command) -> Result<Output, String> {
    let shown = format!("{command:?}");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn(&mut command).map_err(|e| format!("{shown}: {e}"))?;
    let pid = i32::try_from(child.id()).unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match receiver.recv_timeout(LIMIT) {
        Ok(Ok(output)) => Ok(Output {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            command: shown,
        }),
        Ok(Err(e)) => Err(format!("{shown}: {e}")),
        Err(_) => {
            let what = if proc::lives(pid) {
                format!("does not end: {}", proc::describe(pid))
            } else {
                "has exited, but another process holds its output open".to_owned()
            };
            if proc::lives(pid) {
                proc::kill(pid, Signal::KILL);
            }
            let output = receiver.recv_timeout(Duration::from_secs(2));
            let said = output.map(|output| output.map(|o| (text(&o.stdout), text(&o.stderr))));
            Err(format!("{shown} {what}; it printed {said:?}"))
        }
    }
}

/// A command in the background, whose stderr is read line by line.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Running {
    /// Starts a command.
    pub fn start(mut command: Command) -> Running {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = spawn(&mut command).unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Running {
            child,
            lines,
            heard: Vec::new(),
        }
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Waits for a line on its stderr that has this part.
    #[track_caller]
    pub fn wait_for_line(&mut self, part: &str) {
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) if line.contains(part) => {
                    self.heard.push(line);
                    return;
                }
                Ok(line) => self.heard.push(line),
                Err(e) => panic!("no line with '{part}' ({e}), only {:#?}", self.heard),
            }
        }
    }

    /// The lines read so far.
    pub fn heard(&self) -> &[String] {
        &self.heard
    }

    /// Whether it prints nothing for this time.
    pub fn is_silent_for(&self, time: Duration) -> bool {
        matches!(
            self.lines.recv_timeout(time),
            Err(mpsc::RecvTimeoutError::Timeout)
        )
    }

    /// Waits until it exits, and returns its exit status; -1 if a signal terminated it.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        assert!(
            ended_within(self.pid(), LIMIT),
            "{} does not end; it printed {:#?}",
            proc::describe(self.pid()),
            self.heard
        );
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
