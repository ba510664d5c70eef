//! A private home, its daemons, and what is wrong with them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rpm::protocol::buffer::LineBuffer;
use rpm::protocol::line::Line;
use rpm::protocol::process::Process;
use rpm::sys::pid::Pid;
use rpm::sys::pidfd::PidFd;
use rpm::sys::poll::{Interest, PollSet};
use rpm::sys::signal::Signal;

/// How long anything may take. A machine may be busy; what takes longer hangs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What the parts of a run share.
pub struct Scene {
    /// Where programs run.
    pub folder: PathBuf,
    /// `RPM_HOME`.
    pub root: PathBuf,
    client: PathBuf,
    /// This program, which is every managed program too.
    pub own: String,
    /// Goes up when a supervisor is about to end before its time, and when it has: odd in between.
    disturbed: AtomicU64,
    over: AtomicBool,
    failure: Mutex<Option<String>>,
}

/// What a command said.
pub struct Said {
    /// It did what it was asked to.
    pub done: bool,
    /// A supervisor was about to end at the time, or has.
    pub disturbed: bool,
    /// The command, its exit status and what stood on its standard error.
    pub shown: String,
}

impl Scene {
    pub fn new() -> io::Result<Scene> {
        let folder = std::env::temp_dir().join(format!("rpms.{}", std::process::id()));
        fs::create_dir(&folder)?;
        let bin = std::env::var_os("RPM_BIN_DIR");
        let built = Path::new(env!("CARGO_BIN_EXE_rpm"));
        Ok(Scene {
            root: folder.join("h"),
            folder,
            client: bin.map_or(built.to_owned(), |bin| Path::new(&bin).join("rpm")),
            own: std::env::current_exe()?.to_string_lossy().into_owned(),
            disturbed: AtomicU64::new(0),
            over: AtomicBool::new(false),
            failure: Mutex::new(None),
        })
    }

    /// Runs `rpm` with these words.
    pub fn rpm(&self, words: &[&str]) -> Said {
        let before = self.disturbances();
        let mut command = Command::new(&self.client);
        command.args(words).env("RPM_HOME", &self.root);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let (done, how) = match run(command) {
            Ok((code, stderr)) => (
                code == Some(0),
                format!("{code:?}, {:?}", stderr.trim_end()),
            ),
            Err(e) => (false, e.to_string()),
        };
        Said {
            done,
            disturbed: before % 2 == 1 || self.disturbances() != before,
            shown: format!("rpm {}: {how}", words.join(" ")),
        }
    }

    /// Runs `rpm` with these words, which must work.
    pub fn must(&self, words: &[&str]) {
        let said = self.rpm(words);
        if !said.done {
            self.fail(said.shown);
        }
    }

    /// Asks the supervisor that is there now, without the client: the rows of the answer, and its last line.
    pub fn ask(&self, request: &str) -> io::Result<(Vec<Line>, Line)> {
        let mut stream = UnixStream::connect(self.root.join("rpmd.sock"))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(format!("{request}\n").as_bytes())?;
        let mut input = LineBuffer::default();
        let mut rows = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            while let Ok(Some(bytes)) = input.next_line() {
                let line = Line::decode(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
                match line.tag.as_str() {
                    "ok" => return Ok((rows, line)),
                    "error" => return Err(io::Error::other(format!("{line:?}"))),
                    _ => rows.push(line),
                }
            }
            match stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => input.push(&buffer[..n]),
            }
        }
    }

    /// The list.
    pub fn list(&self) -> io::Result<BTreeMap<String, Process>> {
        let (rows, _) = self.ask("list")?;
        let processes = rows.iter().filter_map(Process::from_line);
        Ok(processes.map(|p| (p.name.clone(), p)).collect())
    }

    /// The supervisor that answers now.
    pub fn supervisor(&self) -> Option<Pid> {
        let (_, line) = self.ask("ping").ok()?;
        line.number("pid").and_then(Pid::new)
    }

    /// The log writer.
    pub fn log_writer(&self) -> Option<Pid> {
        let named = processes(&self.root).into_iter().find(|pid| {
            let name = fs::read(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name == b"rpmd-log\n") && lives(*pid)
        });
        named.and_then(Pid::new)
    }

    fn disturbances(&self) -> u64 {
        self.disturbed.load(Ordering::SeqCst)
    }

    /// Does something that ends a supervisor before its time.
    pub fn disturb<T>(&self, what: impl FnOnce() -> T) -> T {
        self.disturbed.fetch_add(1, Ordering::SeqCst);
        let done = what();
        self.disturbed.fetch_add(1, Ordering::SeqCst);
        done
    }

    /// Ends the run with this sentence, if it is the first.
    pub fn fail(&self, sentence: impl Into<String>) {
        let mut failure = self.failure.lock().unwrap();
        failure.get_or_insert(sentence.into());
        self.end();
    }

    /// The sentence that ended the run.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap().clone()
    }

    /// Asks all parts to end.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Whether they are.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Waits until something is so; otherwise the run has failed.
    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + LIMIT;
        while !is_so() {
            if Instant::now() > end {
                self.fail(format!("waited in vain: {what}"));
                return false;
            }
            rest(Duration::from_millis(1));
        }
        true
    }
}

/// Lets time pass.
pub fn rest(time: Duration) {
    let _ = PollSet::<()>::default().wait(Some(time));
}

/// Waits for the end of a process. Whether it came.
pub fn ended(held: &PidFd) -> bool {
    let mut set = PollSet::default();
    set.push(held.fd(), Interest::READ, ());
    set.wait(Some(LIMIT)).is_ok() && set.ready().next().is_some()
}

/// Runs a command to its end: its exit status, and its standard error.
fn run(mut command: Command) -> io::Result<(Option<i32>, String)> {
    let mut child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::new);
    let held = PidFd::open(pid.ok_or(io::ErrorKind::InvalidData)?)?;
    if !ended(&held) {
        held.signal(Signal::KILL)?;
        child.wait()?;
        return Err(io::Error::other(format!(
            "it does not end within {LIMIT:?}"
        )));
    }
    let status = child.wait()?;
    let mut text = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_end(&mut text)?;
    }
    Ok((status.code(), String::from_utf8_lossy(&text).into_owned()))
}

/// The processes that have this `RPM_HOME` in their environment.
pub fn processes(home: &Path) -> Vec<i32> {
    let wanted = [b"RPM_HOME=", home.as_os_str().as_bytes()].concat();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| environment(*pid).split(|b| *b == 0).any(|a| a == wanted))
        .collect()
}

/// The environment of a process.
pub fn environment(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

/// Whether a process has not ended.
pub fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}
