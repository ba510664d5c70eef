//! A private `RPM_HOME`, and the daemon in it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once};
use std::time::Duration;

use rpm::model::life::State;
use rpm::protocol::process::Process;
use rpm::sys::signal::Signal;
use rpm::sys::spawn::Record;

use super::run::{Output, finish, write_executable};
use super::wait::{ended_within, wait_for_end, wait_for_files, wait_until};
use super::wire::Wire;
use super::{abandoned, app, has, proc};

/// Homes made so far, to give each a name of its own.
static HOMES: AtomicU32 = AtomicU32::new(0);

/// A home that no daemon knew before. Dropping it ends its daemon, and fails the test if anything survives.
pub struct Home {
    /// A folder for the test's own files, where its commands run.
    pub base: PathBuf,
    /// `RPM_HOME`.
    pub root: PathBuf,
    /// Whom the commands belong to, where that is somebody else.
    uid: Option<u32>,
    bin: PathBuf,
    transcript: Mutex<String>,
}

impl Home {
    /// A new home; its folder is not there yet.
    pub fn new() -> Home {
        static CLEANED: Once = Once::new();
        CLEANED.call_once(|| abandoned::remove(Path::new(env!("CARGO_BIN_EXE_rpm"))));
        let number = HOMES.fetch_add(1, Ordering::Relaxed);
        let base = PathBuf::from(format!("/tmp/rpmt.{}.{number}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        fs::create_dir(&base).unwrap();
        let rpm = Path::new(env!("CARGO_BIN_EXE_rpm"));
        assert_eq!(rpm.parent(), Path::new(env!("CARGO_BIN_EXE_rpmd")).parent());
        Home {
            root: base.join("h"),
            base,
            uid: None,
            bin: rpm.parent().unwrap().to_owned(),
            transcript: Mutex::default(),
        }
    }

    /// A home of a user that nobody else is, with copies of the programs that this user can reach. Only for root.
    pub fn of_another_user() -> Home {
        let mut home = Home::new();
        let number = HOMES.fetch_add(1, Ordering::Relaxed);
        let uid = 100_000 + std::process::id() * 100 + number;
        let bin = home.base.join("bin");
        fs::create_dir(&bin).unwrap();
        for name in ["rpm", "rpmd"] {
            write_executable(|| fs::copy(home.bin.join(name), bin.join(name)));
        }
        fs::set_permissions(&home.base, fs::Permissions::from_mode(0o755)).unwrap();
        chown(&home.base, Some(uid), Some(uid)).unwrap();
        home.bin = bin;
        home.uid = Some(uid);
        home
    }

    /// A home with copies of the programs, in the folder `bin`, that a test may replace.
    pub fn with_own_programs() -> Home {
        let mut home = Home::new();
        let bin = home.base.join("bin");
        fs::create_dir(&bin).unwrap();
        for name in ["rpm", "rpmd"] {
            write_executable(|| fs::copy(home.bin.join(name), bin.join(name)));
        }
        home.bin = bin;
        home
    }

    /// A command for this home.
    pub fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut all: Vec<OsString> = Vec::new();
        if let Some(uid) = self.uid {
            let become_other = format!("setpriv --reuid {uid} --regid {uid} --clear-groups");
            all.extend(become_other.split(' ').map(OsString::from));
        }
        all.extend(words.iter().map(|word| word.as_ref().to_owned()));
        let mut command = Command::new(&all[0]);
        command.args(&all[1..]);
        command.env("RPM_HOME", &self.root);
        for inherited in ["RPM_ID", "RPM_NAME", "NODE_APP_INSTANCE", "NO_COLOR"] {
            command.env_remove(inherited);
        }
        command.current_dir(&self.base).stdin(Stdio::null());
        command
    }

    /// The path of `rpm`.
    pub fn client(&self) -> String {
        self.bin.join("rpm").to_str().unwrap().to_owned()
    }

    /// The path of `rpmd`.
    pub fn daemon(&self) -> String {
        self.bin.join("rpmd").to_str().unwrap().to_owned()
    }

    /// Runs `rpm` with these words.
    #[track_caller]
    pub fn rpm(&self, words: &[&str]) -> Output {
        let client = self.client();
        let all: Vec<&str> = std::iter::once(client.as_str())
            .chain(words.iter().copied())
            .collect();
        self.run(self.command(&all))
    }

    /// Runs a command and keeps what it said, to be shown when the test fails.
    #[track_caller]
    pub fn run(&self, command: Command) -> Output {
        match finish(command) {
            Ok(output) => {
                self.transcript.lock().unwrap().push_str(&output.shown());
                output
            }
            Err(sentence) => panic!("{sentence}"),
        }
    }

    /// Runs a script of the shell in which `$RPM` and `$RPMD` are the two programs.
    #[track_caller]
    pub fn shell(&self, script: &str) -> Output {
        let mut command = self.command(&["bash", "-c", script]);
        command.env("RPM", self.client()).env("RPMD", self.daemon());
        self.run(command)
    }

    /// The same by whoever runs the tests, where the home is of another user.
    #[track_caller]
    pub fn shell_as_root(&self, script: &str) -> Output {
        let mut command = Command::new("bash");
        command.args(["-c", script]).env("RPM_HOME", &self.root);
        command.env("RPM", self.client()).env("RPMD", self.daemon());
        self.run(command)
    }

    /// A file with this text in the test's folder, executable.
    pub fn script(&self, name: &str, text: &str) -> String {
        let path = self.base.join(name);
        write_executable(|| fs::write(&path, text));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// One of the C programs in `tests/apps`, compiled; none without a compiler.
    #[track_caller]
    pub fn compiled(&self, source: &str) -> Option<String> {
        if !has("cc") {
            return None;
        }
        let program = self.base.join(source.trim_end_matches(".c"));
        let program = program.to_str().unwrap().to_owned();
        let words = ["cc", "-O1", "-Wall", "-o", &program, &app(source), "-lutil"];
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        self.run(command).ok();
        Some(program)
    }

    /// Starts a program of the shell with this text.
    #[track_caller]
    pub fn start(&self, name: &str, text: &str, flags: &[&str]) -> Process {
        let file = self.script(&format!("{name}.sh"), text);
        self.rpm(&[&["start", &file, "--name", name], flags].concat())
            .ok();
        self.program(name)
    }

    /// Starts a program that does nothing.
    #[track_caller]
    pub fn start_sleep(&self, name: &str) -> Process {
        self.rpm(&["start", "sleep", "--name", name, "--", "1000"])
            .ok();
        self.program(name)
    }

    /// A connection of the protocol.
    #[track_caller]
    pub fn wire(&self) -> Wire {
        Wire::connect(&self.root)
    }

    /// A connection that follows the events from now on.
    #[track_caller]
    pub fn events(&self) -> Wire {
        let mut wire = self.wire();
        wire.ask("events").ok();
        wire
    }

    /// All programs, as the daemon lists them.
    #[track_caller]
    pub fn list(&self) -> Vec<Process> {
        self.wire().ask("list").ok().processes()
    }

    /// The pids of programs by their records: where no daemon can be asked.
    pub fn list_offline(&self) -> Vec<i32> {
        let folders = self.entries("run").into_iter();
        let records = folders.filter_map(|id| {
            let path = self.root.join("run").join(id).join("pid");
            Record::parse(&fs::read(path).ok()?)
        });
        let pids = records.map(|record| record.pid.get());
        pids.filter(|pid| proc::lives(*pid)).collect()
    }

    /// The one program of this name.
    #[track_caller]
    pub fn program(&self, name: &str) -> Process {
        let mut called = self.list();
        called.retain(|p| p.name == name);
        assert_eq!(called.len(), 1, "programs called {name}: {called:?}");
        called.remove(0)
    }

    /// Waits until the program of this name is so.
    #[track_caller]
    pub fn wait_for(&self, name: &str, what: &str, is_so: impl Fn(&Process) -> bool) -> Process {
        let mut events = self.events();
        let now = self.program(name);
        if is_so(&now) {
            return now;
        }
        events.wait_for(what, |p| p.name == name && is_so(p))
    }

    /// Waits until the program of this name is in this state.
    #[track_caller]
    pub fn wait_for_state(&self, name: &str, state: State) -> Process {
        self.wait_for(name, state.word(), |p| p.state == state)
    }

    /// A file in `logs`.
    pub fn log_path(&self, file: &str) -> PathBuf {
        self.root.join("logs").join(file)
    }

    /// What a file in `logs` holds.
    #[track_caller]
    pub fn log(&self, file: &str) -> Vec<u8> {
        let path = self.log_path(file);
        fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Waits until a file in `logs` has this text; all of it then.
    #[track_caller]
    pub fn wait_for_log(&self, file: &str, text: &str) -> String {
        let path = self.log_path(file);
        let read = || String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
        let what = format!("{text:?} in {file}");
        wait_for_files(&self.root.join("logs"), &what, || read().contains(text));
        read()
    }

    /// The pid of the supervisor.
    #[track_caller]
    pub fn supervisor(&self) -> i32 {
        let text = fs::read_to_string(self.root.join("rpmd.pid")).unwrap();
        text.lines().next().unwrap().parse().unwrap()
    }

    /// The pid of the log writer, which may take a moment to be there and to have its name.
    #[track_caller]
    pub fn log_writer(&self) -> Option<i32> {
        let mut writers = Vec::new();
        wait_until("a log writer", || {
            writers = self.log_writers();
            !writers.is_empty()
        });
        writers.first().copied()
    }

    /// The pids of all log writers. A child of one, on its way to execute a supervisor, is none.
    pub fn log_writers(&self) -> Vec<i32> {
        let mut named = proc::named(&self.root, "rpmd-log");
        let all = named.clone();
        let parent = |pid: i32| {
            proc::stat(pid)
                .get(1)
                .and_then(|parent| parent.parse().ok())
        };
        named.retain(|pid| parent(*pid).is_some_and(|parent: i32| !all.contains(&parent)));
        named
    }

    /// Kills both daemons, neither of which has time to have another of the other.
    #[track_caller]
    pub fn kill_daemons(&self) {
        let both = [self.supervisor(), self.log_writer().unwrap()];
        both.into_iter().for_each(proc::stop);
        both.into_iter()
            .for_each(|pid| proc::kill(pid, Signal::KILL));
        both.into_iter().for_each(wait_for_end);
    }

    /// Names of what is in a folder of the home.
    pub fn entries(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(folder)).unwrap().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The daemons' own log.
    pub fn journal(&self) -> String {
        fs::read_to_string(self.root.join("rpmd.log")).unwrap_or_default()
    }

    /// Waits until the daemons' own log tells of something: the log writer writes it, in its own time.
    #[track_caller]
    pub fn wait_for_journal(&self, text: &str) {
        wait_until(&format!("'{text}' in rpmd.log"), || {
            self.journal().contains(text)
        });
    }

    /// Ends everything; what is wrong afterwards.
    fn end(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.root.join("rpmd.sock").exists() {
            let mut command = Command::new(self.client());
            command.arg("kill").env("RPM_HOME", &self.root);
            match finish(command) {
                Ok(output) if output.code == 0 => {}
                Ok(output) => wrong.push(output.shown()),
                Err(sentence) => wrong.push(sentence),
            }
        }
        for pid in proc::of_home(&self.root) {
            let shown = proc::describe(pid);
            if !ended_within(pid, Duration::from_secs(5)) {
                wrong.push(format!("it survives: {shown}"));
                proc::kill(pid, Signal::KILL);
            }
        }
        wrong
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let journal = self.journal();
        let wrong = self.end();
        if failed || !wrong.is_empty() {
            let transcript = self.transcript.lock().map(|t| t.clone());
            eprintln!(
                "--- commands of {}\n{}--- rpmd.log before the end\n{journal}--- and after it\n{}---",
                self.root.display(),
                transcript.unwrap_or_default(),
                self.journal(),
            );
        }
        let _ = fs::remove_dir_all(&self.base);
        if !wrong.is_empty() && !failed {
            panic!("after the test: {wrong:#?}");
        }
    }
}
