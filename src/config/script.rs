//! What a word means where a script is expected: a file, a directory, a shell command, or a command in `PATH`.

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::package::{Entry, Package};
use super::place::{absolute, at_home};
use super::shebang::Shebang;
use crate::error::Reason;
use crate::model::command::{
    Command, UNBUFFERED, base_name, interpreters_for, is_node_name, is_python_name,
};
use crate::model::spec::{ExecMode, Spec};

/// The program that a word means. Files are looked for in `folders`, of which the first counts for one that is missing;
/// `spec` has the settings that were given.
///
/// # Errors
/// What the word names cannot be started: a sentence.
pub fn meaning(mut spec: Spec, word: &OsStr, folders: &[&Path]) -> Result<Spec, String> {
    resolve_interpreter(&mut spec)?;
    if word.as_bytes().trim_ascii().is_empty() {
        return Err("the script is empty".to_owned());
    }
    let given = word;
    let word = at_home(word.as_bytes());
    let word = OsStr::from_bytes(&word);
    let bytes = word.as_bytes();
    let as_it_is = matches!(spec.interpreter.as_str(), "" | "none");
    let find = |wanted: fn(&Path) -> bool| {
        let mut paths = folders.iter().map(|folder| folder.join(word));
        paths.find(|path| wanted(path))
    };
    if let Some(file) = find(Path::is_file) {
        spec.script = absolute(&file)?;
        choose_interpreter(&mut spec, &file)?;
    } else if bytes.contains(&b' ') && as_it_is {
        shell_command(&mut spec, given);
        return Ok(spec);
    } else if let Some(folder) = find(Path::is_dir).filter(|_| is_path(bytes)) {
        return package(spec, &folder);
    } else if !is_path(bytes) {
        match (which(&spec, bytes), find(Path::is_dir)) {
            (None, Some(folder)) => return package(spec, &folder),
            (Some(file), _) => found_in_path(&mut spec, bytes, &file)?,
            (None, None) if is_interpreted(&spec, bytes) => {
                let why = missing(word, folders);
                return Err(if spec.interpreter.is_empty() {
                    why
                } else {
                    format!("{why}, and no such command is in PATH")
                });
            }
            (None, None) => spec.script = bytes.to_vec(),
        }
    } else {
        // What is executed as it is fails in the daemon's hands; an interpreter would start, and fail for ever.
        if is_interpreted(&spec, bytes) {
            return Err(missing(word, folders));
        }
        let first = folders.first().unwrap_or(&Path::new("")).join(word);
        spec.script = absolute(&first)?;
    }
    if spec.name.is_empty() {
        spec.name = name_for(word);
    }
    Ok(spec)
}

/// The name of a program by its script: without directory and ending.
pub fn name_for(word: &OsStr) -> String {
    let stem = Path::new(word).file_stem().unwrap_or(word);
    stem.to_string_lossy().into_owned()
}

/// Whether a word is a path, not a name that is looked up in `PATH`.
fn is_path(word: &[u8]) -> bool {
    word.contains(&b'/') || matches!(word, b"." | b"..")
}

fn missing(word: &OsStr, folders: &[&Path]) -> String {
    let path = folders.first().unwrap_or(&Path::new("")).join(word);
    let path = absolute(&path).unwrap_or_else(|_| word.as_bytes().to_vec());
    let why = why_no_file(Path::new(OsStr::from_bytes(&path)));
    if word.as_bytes().contains(&b' ') {
        format!("{why}; a shell command needs no interpreter")
    } else {
        why
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

/// The interpreter as it was given: `~/` is the home directory, `node@VERSION` one of the versions that nvm installed.
fn resolve_interpreter(spec: &mut Spec) -> Result<(), String> {
    if let Some(version) = spec.interpreter.strip_prefix("node@") {
        let set = spec.env.get(b"NVM_DIR").map(<[u8]>::to_vec);
        let nvm = PathBuf::from(OsStr::from_bytes(
            &set.unwrap_or_else(|| at_home(b"~/.nvm")),
        ));
        let version = version.trim_start_matches('v');
        let node = nvm.join(format!("versions/node/v{version}/bin/node"));
        if !node.is_file() {
            let node = node.display();
            return Err(format!(
                "{}: there is no {node}; install it with nvm install {version}",
                spec.interpreter
            ));
        }
        spec.interpreter = node.to_string_lossy().into_owned();
    } else if spec.interpreter.starts_with('~') {
        let path = at_home(spec.interpreter.as_bytes());
        spec.interpreter =
            String::from_utf8(path).map_err(|_| "the home directory is not UTF-8")?;
    }
    Ok(())
}

/// Chooses how a file without known ending is run, by its first line: `node` and whatever runs a file that is not
/// executable are named as interpreters, so that their arguments, and a cluster, are possible.
fn choose_interpreter(spec: &mut Spec, file: &Path) -> Result<(), String> {
    if spec.interpreter == "none" && !is_executable(file) {
        return Err(not_executable(file));
    }
    if !spec.interpreter.is_empty() || !interpreters_for(&spec.script).is_empty() {
        return Ok(());
    }
    let executable = is_executable(file);
    let Some(first_line) = Shebang::of(file) else {
        return if executable {
            Ok(())
        } else {
            Err(not_executable(file))
        };
    };
    let (interpreter, mut arguments) = first_line.command();
    let name = base_name(&interpreter);
    if is_node_name(name) || !executable {
        let interpreter = String::from_utf8(interpreter).map_err(|_| not_executable(file))?;
        spec.interpreter = interpreter;
        arguments.append(&mut spec.interpreter_args);
        spec.interpreter_args = arguments;
    } else if is_python_name(name) && spec.env.get(UNBUFFERED.as_bytes()).is_none() {
        let _ = spec.set(&["env.", UNBUFFERED].concat(), b"1");
    }
    Ok(())
}

/// Takes a command that was found in `PATH`: by its name, which is looked up at each start; by its path where an
/// interpreter reads it.
fn found_in_path(spec: &mut Spec, word: &[u8], file: &Path) -> Result<(), String> {
    let is_cluster = spec.instances > 1 || spec.exec_mode == ExecMode::Cluster;
    let before = spec.interpreter.clone();
    spec.script = absolute(file)?;
    if !is_interpreted(spec, word) {
        let arguments = spec.interpreter_args.clone();
        choose_interpreter(spec, file)?;
        let wanted = is_cluster || !arguments.is_empty();
        if !is_interpreted(spec, word) || !wanted {
            (spec.interpreter, spec.interpreter_args) = (before, arguments);
            spec.script = word.to_vec();
        }
    }
    Ok(())
}

/// The command of this name in the `PATH` of the program.
fn which(spec: &Spec, name: &[u8]) -> Option<PathBuf> {
    let folder = Path::new(OsStr::from_bytes(&spec.cwd));
    let programs = Command::lookup_of(name, spec).into_iter();
    let mut paths = programs.map(|program| folder.join(OsStr::from_bytes(&program)));
    paths.find(|path| is_executable(path))
}

fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn not_executable(file: &Path) -> String {
    let shown = absolute(file).unwrap_or_default();
    let shown = String::from_utf8_lossy(&shown);
    format!("{shown} is not executable; run chmod +x, or name its interpreter")
}

/// The program of a directory.
fn package(mut spec: Spec, folder: &Path) -> Result<Spec, String> {
    let folder = absolute(folder)?;
    let package = Package::of(Path::new(OsStr::from_bytes(&folder)))?;
    if spec.name.is_empty() {
        spec.name = package.name;
    }
    match package.entry {
        Entry::Script(script) => {
            spec.script = absolute(&script)?;
            choose_interpreter(&mut spec, &script)?;
        }
        Entry::NpmStart => {
            spec.script = b"npm".to_vec();
            spec.interpreter = "none".to_owned();
            spec.cwd = folder;
            let mut args = vec![b"start".to_vec()];
            if !spec.args.is_empty() {
                args.push(b"--".to_vec());
                args.append(&mut spec.args);
            }
            spec.args = args;
        }
    }
    Ok(spec)
}

/// `bash -c WORD`, or with `sh` where there is no bash, with the arguments as `$1` and so on.
pub fn shell_command(spec: &mut Spec, word: &OsStr) {
    let given = std::mem::take(&mut spec.args);
    let bash = which(spec, b"bash").map(|bash| bash.as_os_str().as_bytes().to_vec());
    spec.script = bash.unwrap_or_else(|| b"/bin/sh".to_vec());
    spec.interpreter = "none".to_owned();
    spec.args = vec![b"-c".to_vec(), word.as_bytes().to_vec()];
    if !given.is_empty() {
        spec.args.push(base_name(&spec.script).to_vec());
        spec.args.extend(given);
    }
    if spec.name.is_empty() {
        spec.name = word.to_string_lossy().into_owned();
    }
}

/// Whether what is executed is there, before the daemon is asked to do so. The error completes "script: …".
///
/// # Errors
/// It is not there, or cannot be executed.
pub fn check(spec: &Spec) -> Result<(), String> {
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
            Ok(_) if is_executable(&file) => return first_line(&file),
            Ok(_) => why = Some(not_executable(&file)),
            Err(_) if command.programs.len() > 1 => {}
            Err(_) => why = Some(why_no_file(&file)),
        }
    }
    let name = String::from_utf8_lossy(command.argv.first().map_or(&[], Vec::as_slice));
    Err(why.unwrap_or_else(
        || match (command.interpreted, spec.interpreter.is_empty()) {
            (true, true) => no_interpreter(interpreters_for(&spec.script)),
            (true, false) => format!("its interpreter {name} is not in PATH"),
            (false, _) => format!(
                "no command {name} in PATH, and no such file in {}",
                folder.display()
            ),
        },
    ))
}

/// Whether one of the interpreters that suit the ending of a script is there.
///
/// # Errors
/// None is: a sentence that names them.
pub fn check_ending(spec: &Spec) -> Result<(), String> {
    let names = interpreters_for(&spec.script);
    let by_ending = spec.interpreter.is_empty() && !names.is_empty();
    let is_found = |name: &&str| which(spec, name.as_bytes()).is_some();
    if !by_ending || names.iter().any(is_found) {
        Ok(())
    } else {
        Err(no_interpreter(names))
    }
}

fn no_interpreter(names: &[&str]) -> String {
    match names {
        [one] => {
            format!("its interpreter {one} is not in PATH; install it, or name another interpreter")
        }
        several => format!(
            "none of its interpreters is in PATH ({}); install one, or name another interpreter",
            several.join(", ")
        ),
    }
}

/// Whether what a file says in its first line can be executed.
fn first_line(file: &Path) -> Result<(), String> {
    let Some(first_line) = Shebang::of(file) else {
        return Ok(());
    };
    let interpreter = Path::new(OsStr::from_bytes(&first_line.file));
    if interpreter.is_absolute() && !interpreter.exists() {
        Err(format!(
            "{}: its interpreter {}, named in its first line, is missing",
            file.display(),
            interpreter.display()
        ))
    } else {
        Ok(())
    }
}
