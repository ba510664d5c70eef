//! What a word means where a script is expected: a file, a command of the shell, or a command in `PATH`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::app::command::{Command, interpreters_for};
use crate::app::spec::Spec;
use crate::error::Reason;

/// The program that a word means. Files are looked for in `folders`, of which the first counts for one that is missing;
/// `spec` is what else it was told.
pub fn meaning(
    mut spec: Spec,
    word: &OsStr,
    folders: &[&Path],
) -> std::result::Result<Spec, String> {
    let bytes = word.as_bytes();
    let paths = folders.iter().map(|folder| folder.join(word));
    if let Some(file) = paths.into_iter().find(|path| path.is_file()) {
        spec.script = absolute(&file)?;
    } else if bytes.contains(&b' ') && spec.interpreter.is_empty() {
        shell_command(&mut spec, word);
        return Ok(spec);
    } else if bytes.contains(&b'/') || is_interpreted(&spec, bytes) {
        // What is executed as it is fails in the daemon's hands; an interpreter would start, and fail for ever.
        let missing = folders.first().unwrap_or(&Path::new("")).join(word);
        spec.script = absolute(&missing)?;
        if is_interpreted(&spec, bytes) {
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

/// The path from the root on, without `.` folders.
pub fn absolute(path: &Path) -> Result<Vec<u8>, String> {
    if path.as_os_str().is_empty() {
        return Err("the path is empty".to_owned());
    }
    match std::path::absolute(path) {
        Ok(path) => Ok(path.into_os_string().into_vec()),
        Err(why) => Err(format!("finding the present folder: {}", Reason(&why))),
    }
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

/// `sh -c WORD`, with the arguments as `$1` and so on.
pub fn shell_command(spec: &mut Spec, word: &OsStr) {
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

/// Whether what is executed is there, before the daemon is asked to do so. The error completes "script: …".
pub fn check(spec: &Spec) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let command = Command::of(spec);
    let folder = Path::new(OsStr::from_bytes(&spec.cwd));
    let files = command
        .programs
        .iter()
        .map(|program| folder.join(OsStr::from_bytes(program)));
    let mut why = None;
    for file in files {
        match file.metadata() {
            Ok(found) if !found.is_file() => {}
            Ok(found) if found.permissions().mode() & 0o111 != 0 => return first_line(&file),
            Ok(_) => why = Some(format!("{} is not executable", file.display())),
            Err(_) if command.programs.len() > 1 => {}
            Err(_) => why = Some(why_no_file(&file)),
        }
    }
    let name = String::from_utf8_lossy(command.argv.first().map_or(&[], Vec::as_slice));
    Err(why.unwrap_or_else(|| match command.interpreted {
        true => format!("its interpreter {name} is not in PATH"),
        false => format!(
            "no command {name} in PATH, and no such file in {}",
            folder.display()
        ),
    }))
}

/// Whether what a file says in its first line can be executed.
fn first_line(file: &Path) -> Result<(), String> {
    let mut bytes = [0; 256];
    let read = File::open(file).and_then(|mut file| file.read(&mut bytes));
    let text = bytes.get(..read.unwrap_or(0)).unwrap_or_default();
    let line = text
        .strip_prefix(b"#!")
        .map(|rest| rest.split(|b| *b == b'\n').next().unwrap_or_default());
    let word = line.and_then(|line| line.trim_ascii().split(u8::is_ascii_whitespace).next());
    match word.map(|word| Path::new(OsStr::from_bytes(word))) {
        Some(interpreter) if interpreter.is_absolute() && !interpreter.exists() => Err(format!(
            "{}: its interpreter {}, named in its first line, is missing",
            file.display(),
            interpreter.display()
        )),
        _ => Ok(()),
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

    /// What a word means to somebody in the folder of the tests, about a program that runs in its own.
    fn here(spec: Spec, word: &str) -> Result<Spec, String> {
        let cwd = spec.cwd.clone();
        let folders = [Path::new("."), Path::new(OsStr::from_bytes(&cwd))];
        meaning(spec, OsStr::new(word), &folders)
    }

    #[test]
    fn a_file_is_meant_where_there_is_one() {
        let folder = Folder::new("file");
        let spec = here(folder.base(), "./app.sh").unwrap();
        assert_eq!(
            (spec.script, spec.name.as_str()),
            (folder.file("app.sh"), "app")
        );
        let spec = here(folder.base(), "a b").unwrap();
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
        let spec = here(base, "echo $1; ./sleep 1").unwrap();
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
        let spec = here(folder.base(), "sleep").unwrap();
        assert_eq!(
            (spec.script.as_slice(), spec.name.as_str()),
            (&b"sleep"[..], "sleep")
        );
        let spec = here(folder.base(), "sub").unwrap();
        assert_eq!(spec.script, b"sub");
        let spec = here(folder.base(), "/nowhere/./x").unwrap();
        assert_eq!(spec.script, b"/nowhere/x");
    }

    #[test]
    fn a_missing_script_is_not_left_to_its_interpreter() {
        let folder = Folder::new("missing");
        for missing in ["gone.js", "./gone.py", "/nowhere/gone.sh"] {
            let why = here(folder.base(), missing).unwrap_err();
            assert!(why.contains(": No such file"), "{why}");
        }
        let none = Spec {
            interpreter: "none".into(),
            ..folder.base()
        };
        assert!(here(none, "./gone.py").is_ok());
    }
    #[test]
    fn what_cannot_be_executed_is_named() {
        let folder = Folder::new("check");
        let why = |script: &str, interpreter: &str| {
            let mut spec = Spec {
                script: script.into(),
                interpreter: interpreter.into(),
                ..folder.base()
            };
            spec.set("env.PATH", b"/bin:/usr/bin").unwrap();
            check(&spec)
        };
        assert_eq!(why("sh", ""), Ok(()));
        assert_eq!(
            why("/x/app.sh", ""),
            Ok(()),
            "the script has been looked for already"
        );
        assert!(
            why("no-such-command", "")
                .unwrap_err()
                .starts_with("no command no-such-command in PATH")
        );
        assert_eq!(
            why("app.x", "no-such-one").unwrap_err(),
            "its interpreter no-such-one is not in PATH"
        );
        assert!(
            why("./app.sh", "none")
                .unwrap_err()
                .ends_with("app.sh is not executable")
        );
        assert_eq!(
            why("/nowhere/x", "").unwrap_err(),
            "/nowhere/x: No such file or directory"
        );
        assert!(why("/tmp", "").is_err());
    }
}
