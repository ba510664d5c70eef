//! `rpm start`: what a word on the command line means, and starting it.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::arguments::{Invocation, absolute};
use super::control::{news, present_environment};
use super::exchange::{Daemon, Trouble};
use super::list;
use super::output;
use super::session::{DONE, FAILED, Session};
use crate::app::command::interpreters_for;
use crate::app::life::Want;
use crate::app::spec::Spec;
use crate::app::value::{Bytes, Octal};
use crate::error::{Context, Error, Reason, Result};
use crate::protocol::process::Process;
use crate::protocol::reply::Code;
use crate::protocol::request::Request;
use crate::sys::user;

/// `rpm start`
pub fn run(session: &mut Session) -> Result<u8> {
    let base = base(&session.invocation)?;
    let mut daemon = session.daemon()?;
    let mut code = DONE;
    for word in &session.invocation.words {
        match one(session, &mut daemon, &base, word) {
            Ok(text) => session.say(&text)?,
            Err(Failed::Here(sentence)) => {
                output::complain(sentence);
                code = FAILED;
            }
            Err(Failed::Altogether(error)) => return Err(error),
        }
    }
    list::after_news(session, &mut daemon)?;
    Ok(code)
}

/// Why a program was not started.
enum Failed {
    /// A sentence about this one; the others may do better.
    Here(String),
    /// The daemon does not answer.
    Altogether(Error),
}

/// What all programs of this command have in common.
fn base(invocation: &Invocation) -> Result<Spec> {
    let mut spec = invocation.spec.clone();
    if !invocation.given.contains(&"cwd") {
        let folder = std::env::current_dir().doing(|| "finding the present folder")?;
        spec.cwd = folder.into_os_string().into_vec();
    }
    if !invocation.given.contains(&"umask") {
        spec.umask = Octal(user::umask());
    }
    spec.args = invocation
        .rest
        .iter()
        .map(|word| word.as_bytes().to_vec())
        .collect();
    spec.env = present_environment().into();
    Ok(spec)
}

/// Starts what one word means and gives the news.
fn one(
    session: &Session,
    daemon: &mut Daemon,
    base: &Spec,
    word: &OsStr,
) -> std::result::Result<String, Failed> {
    let invocation = &session.invocation;
    if may_be_managed(invocation, word) {
        if let Some(text) = start_again(invocation, daemon, word)? {
            return Ok(text);
        }
    }
    let spec = meaning(base, word).map_err(|why| cannot(&word.to_string_lossy(), &why))?;
    let name = spec.name.clone();
    let request = Request::Start {
        spec: Box::new(spec),
        force: invocation.options.force,
        want: Want::Up,
    };
    match daemon.processes(&request) {
        Ok(processes) => Ok(news("started", &processes)),
        Err(trouble) => Err(failed(&name, trouble)),
    }
}

fn cannot(name: &str, why: &str) -> Failed {
    Failed::Here(format!("cannot start {}: {why}", output::harmless(name)))
}

fn failed(name: &str, trouble: Trouble) -> Failed {
    match trouble {
        Trouble::Refused(failure) => cannot(name, &failure.message),
        Trouble::Gone(error) | Trouble::Broken(error) => Failed::Altogether(error),
    }
}

/// Whether the word may be the name or id of a managed program. One who gives a name or arguments wants a new one.
fn may_be_managed(invocation: &Invocation, word: &OsStr) -> bool {
    !invocation.options.force
        && !invocation.given.contains(&"name")
        && invocation.rest.is_empty()
        && !word.as_bytes().contains(&b'/')
        && word.to_str().is_some()
}

/// Starts or restarts the managed programs of this name or id; none where there are none.
fn start_again(
    invocation: &Invocation,
    daemon: &mut Daemon,
    word: &OsStr,
) -> std::result::Result<Option<String>, Failed> {
    let word = word.to_string_lossy().into_owned();
    let targets = vec![word.clone()];
    let known = match daemon.processes(&Request::List {
        targets: targets.clone(),
    }) {
        Ok(known) => known,
        Err(Trouble::Refused(failure)) if failure.code == Code::NotFound => Vec::new(),
        Err(trouble) => return Err(failed(&word, trouble)),
    };
    // A namespace is a target too, but no program.
    let meant =
        |process: &Process| word == "all" || process.name == word || process.id.to_string() == word;
    if !known.iter().any(meant) {
        return Ok(None);
    }
    if let Some(field) = invocation.given.first() {
        let flag = super::flag::kebab(field);
        let why = format!(
            "it is managed already, and --{flag} is for a new one; delete it first, or give --name"
        );
        return Err(cannot(&word, &why));
    }
    let running = known.iter().any(|process| process.pid > 0);
    match daemon.processes(&Request::Restart { targets, env: None }) {
        Ok(processes) => {
            let done = if running { "restarted" } else { "started" };
            Ok(Some(news(done, &processes)))
        }
        Err(trouble) => Err(failed(&word, trouble)),
    }
}

/// What a word means: a file, a command of the shell, or a command in `PATH`.
fn meaning(base: &Spec, word: &OsStr) -> std::result::Result<Spec, String> {
    let mut spec = base.clone();
    let bytes = word.as_bytes();
    if let Some(file) = file_named(base, word)? {
        spec.script = file;
    } else if bytes.contains(&b' ') && spec.interpreter.is_empty() {
        shell_command(&mut spec, word);
        return Ok(spec);
    } else if bytes.contains(&b'/') || is_interpreted(base, bytes) {
        // What is executed as it is fails in the daemon's hands; an interpreter would start, and fail for ever.
        spec.script = absolute(Path::new(word))?;
        if is_interpreted(base, bytes) {
            return Err(why_no_file(Path::new(OsStr::from_bytes(&spec.script))));
        }
    } else {
        spec.script = bytes.to_vec();
    }
    if spec.name.is_empty() {
        let stem = Path::new(word).file_stem().unwrap_or(word);
        spec.name = stem.to_string_lossy().into_owned();
    }
    Ok(spec)
}

fn why_no_file(path: &Path) -> String {
    match path.metadata() {
        Ok(_) => format!("{} is not a file", path.display()),
        Err(why) => format!("{}: {}", path.display(), Reason(&why)),
    }
}

/// Whether an interpreter runs the script.
fn is_interpreted(spec: &Spec, script: &[u8]) -> bool {
    match spec.interpreter.as_str() {
        "none" => false,
        "" => !interpreters_for(script).is_empty(),
        _ => true,
    }
}

/// The file that a word names: in the present folder, or, as pm2 has it, in the one that the program runs in.
fn file_named(base: &Spec, word: &OsStr) -> std::result::Result<Option<Bytes>, String> {
    let present = Path::new(word);
    if present.is_file() {
        return absolute(present).map(Some);
    }
    let there = Path::new(OsStr::from_bytes(&base.cwd)).join(word);
    match there.is_file() {
        true => absolute(&there).map(Some),
        false => Ok(None),
    }
}

/// `sh -c WORD`, with the arguments as `$1` and so on.
fn shell_command(spec: &mut Spec, word: &OsStr) {
    let given = std::mem::take(&mut spec.args);
    spec.script = b"/bin/sh".to_vec();
    spec.interpreter = "none".to_owned();
    spec.args = vec![b"-c".to_vec(), word.as_bytes().to_vec()];
    if !given.is_empty() {
        spec.args.push(b"sh".to_vec());
        spec.args.extend(given);
    }
    if spec.name.is_empty() {
        spec.name = word.to_string_lossy().into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A folder with a file `app.sh` and one called `a b`, for one test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path =
                std::env::temp_dir().join(format!("rpm-start-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("sub")).unwrap();
            std::fs::write(path.join("app.sh"), "").unwrap();
            std::fs::write(path.join("a b"), "").unwrap();
            Folder(path)
        }

        fn base(&self) -> Spec {
            Spec {
                cwd: self.0.clone().into_os_string().into_vec(),
                ..Spec::default()
            }
        }

        fn file(&self, name: &str) -> Vec<u8> {
            self.0.join(name).into_os_string().into_vec()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_file_is_meant_where_there_is_one() {
        let folder = Folder::new("file");
        let spec = meaning(&folder.base(), OsStr::new("./app.sh")).unwrap();
        assert_eq!(
            (spec.script, spec.name.as_str()),
            (folder.file("app.sh"), "app")
        );
        let spec = meaning(&folder.base(), OsStr::new("a b")).unwrap();
        assert_eq!(
            (spec.script, spec.name.as_str()),
            (folder.file("a b"), "a b")
        );
        assert!(spec.args.is_empty());
    }

    #[test]
    fn a_word_with_a_space_is_a_shell_command() {
        let folder = Folder::new("shell");
        let base = Spec {
            args: vec![b"x".to_vec()],
            ..folder.base()
        };
        let spec = meaning(&base, OsStr::new("echo $1; ./sleep 1")).unwrap();
        assert_eq!(
            (spec.script.as_slice(), spec.interpreter.as_str()),
            (&b"/bin/sh"[..], "none")
        );
        assert_eq!(spec.args, [&b"-c"[..], b"echo $1; ./sleep 1", b"sh", b"x"]);
        assert_eq!(spec.name, "echo $1; ./sleep 1");
    }

    #[test]
    fn other_words_are_looked_up_by_the_daemon() {
        let folder = Folder::new("word");
        let spec = meaning(&folder.base(), OsStr::new("sleep")).unwrap();
        assert_eq!(
            (spec.script.as_slice(), spec.name.as_str()),
            (&b"sleep"[..], "sleep")
        );
        let spec = meaning(&folder.base(), OsStr::new("sub")).unwrap();
        assert_eq!(spec.script, b"sub");
        let spec = meaning(&folder.base(), OsStr::new("/nowhere/./x")).unwrap();
        assert_eq!(spec.script, b"/nowhere/x");
    }

    #[test]
    fn a_missing_script_is_not_left_to_its_interpreter() {
        let folder = Folder::new("missing");
        for missing in ["gone.js", "./gone.py", "/nowhere/gone.sh"] {
            let why = meaning(&folder.base(), OsStr::new(missing)).unwrap_err();
            assert!(why.contains(": No such file"), "{why}");
        }
        let none = Spec {
            interpreter: "none".into(),
            ..folder.base()
        };
        assert!(meaning(&none, OsStr::new("./gone.py")).is_ok());
    }
}
