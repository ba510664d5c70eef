//! Running commands, never longer than they may.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use rpm::sys::signal::Signal;

use super::proc;
use super::wait::{LIMIT, ended_within};

/// Held alone by who writes a file that will be executed, and shared by who starts a command: a new process has for a
/// moment what other threads hold open for writing, and such a file cannot be executed. `execve(2)`, `ETXTBSY`
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

/// What a command said.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit status; -1 when a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub command: String,
}

impl Output {
    /// The command must have worked.
    #[track_caller]
    pub fn ok(self) -> Output {
        assert_eq!(self.code, 0, "{}", self.shown());
        self
    }

    /// The command must have failed with exit status 1 and a sentence on stderr that has all of these parts.
    #[track_caller]
    pub fn fails(self, parts: &[&str]) -> Output {
        self.ends_with(1, parts)
    }

    /// The command line must have been refused, exit status 2, with this part in the sentence.
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

    /// All of it, for people.
    pub fn shown(&self) -> String {
        format!(
            "{}\n  exit status {}\n  stdout: {:?}\n  stderr: {:?}\n",
            self.command, self.code, self.stdout, self.stderr
        )
    }
}

/// Runs a command to its end and to the end of its output: one that leaves its pipes open to a daemon fails.
pub fn finish(mut command: Command) -> Result<Output, String> {
    let shown = format!("{command:?}");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn(&mut command).map_err(|e| format!("{shown}: {e}"))?;
    let pid = i32::try_from(child.id()).unwrap();
    let (tell, heard) = mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match heard.recv_timeout(LIMIT) {
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
                "has ended, and somebody holds its output open".to_owned()
            };
            if proc::lives(pid) {
                proc::kill(pid, Signal::KILL);
            }
            let heard = heard.recv_timeout(Duration::from_secs(2));
            let said = heard.map(|output| output.map(|o| (text(&o.stdout), text(&o.stderr))));
            Err(format!("{shown} {what}; it said {said:?}"))
        }
    }
}

/// A command that runs beside the test, and whose stderr is heard line by line.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Running {
    /// Starts it.
    pub fn start(mut command: Command) -> Running {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = spawn(&mut command).unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Running {
            child,
            lines,
            heard: Vec::new(),
        }
    }

    /// Its number.
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

    /// The lines that were waited for, and those before them.
    pub fn heard(&self) -> &[String] {
        &self.heard
    }

    /// Listens for so long to what should be silent.
    pub fn hears_nothing_for(&self, time: Duration) -> bool {
        matches!(
            self.lines.recv_timeout(time),
            Err(mpsc::RecvTimeoutError::Timeout)
        )
    }

    /// Waits for its end: its exit status, -1 when a signal ended it.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        assert!(
            ended_within(self.pid(), LIMIT),
            "{} does not end; it said {:#?}",
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
