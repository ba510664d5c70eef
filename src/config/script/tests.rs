use super::*;
use std::os::unix::ffi::OsStringExt;

/// A folder with a file `app.sh` and one called `a b`, for one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("rpm-start-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("sub")).unwrap();
        std::fs::write(path.join("app.sh"), "").unwrap();
        std::fs::write(path.join("a b"), "").unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path.join("a b"), executable).unwrap();
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
    assert_eq!(spec.interpreter, "none");
    let shell = base_name(&spec.script);
    assert!(matches!(shell, b"bash" | b"sh"));
    assert_eq!(spec.args, [b"-c", &b"echo $1; ./sleep 1"[..], shell, b"x"]);
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
    let why = here(folder.base(), "sub").unwrap_err();
    assert!(
        why.contains("sub is a directory without package.json"),
        "{why}"
    );
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
    assert_eq!(
        why("a.coffee", "").unwrap_err(),
        "its interpreter coffee is not in PATH; install it, or name another interpreter"
    );
    assert!(
        why("./app.sh", "none")
            .unwrap_err()
            .ends_with("app.sh is not executable; run chmod +x, or name its interpreter")
    );
    assert_eq!(
        why("/nowhere/x", "").unwrap_err(),
        "/nowhere/x: No such file or directory"
    );
    assert!(why("/tmp", "").is_err());
}

/// The script, its interpreter and the arguments of that, in words.
fn command(spec: &Spec) -> Vec<String> {
    let all = [spec.interpreter.as_bytes(), &spec.script];
    let mut all: Vec<&[u8]> = all.to_vec();
    all.extend(spec.interpreter_args.iter().map(Vec::as_slice));
    let texts = all.iter().map(|word| String::from_utf8_lossy(word));
    texts.map(|text| text.into_owned()).collect()
}

#[test]
fn the_first_line_chooses_the_interpreter_of_a_file_without_ending() {
    let folder = Folder::new("first");
    let www = String::from_utf8(folder.file("www")).unwrap();
    for (line, mode, expected) in [
        ("#!/usr/bin/env node", 0o755, Ok(&["node", &www][..])),
        (
            "#!/opt/node --flag",
            0o755,
            Ok(&["/opt/node", &www, "--flag", "-x"]),
        ),
        (
            "#!/usr/bin/env -S node -a",
            0o644,
            Ok(&["node", &www, "-a", "-x"]),
        ),
        ("#!/bin/sh", 0o755, Ok(&["", &www])),
        ("#!/bin/sh", 0o644, Ok(&["/bin/sh", &www])),
        ("#!/usr/bin/env python3", 0o755, Ok(&["", &www])),
        ("", 0o755, Ok(&["", &www])),
        (
            "",
            0o644,
            Err("www is not executable; run chmod +x, or name its interpreter"),
        ),
    ] {
        std::fs::write(folder.0.join("www"), format!("{line}\n")).unwrap();
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.0.join("www"), permissions).unwrap();
        let mut base = folder.base();
        if line.contains("-a") || line.contains("--flag") {
            base.interpreter_args = vec![b"-x".to_vec()];
        }
        match (here(base, "./www"), expected) {
            (Ok(spec), Ok(words)) => {
                assert_eq!(command(&spec), words, "{line}");
                let unbuffered = spec.env.get(UNBUFFERED.as_bytes()).is_some();
                assert_eq!(unbuffered, line.contains("python"), "{line}");
            }
            (Err(why), Err(end)) => assert!(why.ends_with(end), "{why}"),
            (found, _) => panic!("{line:?}: {found:?}"),
        }
    }
}

#[test]
fn a_command_in_path_is_read_by_the_interpreter_that_is_given() {
    let folder = Folder::new("command");
    std::fs::write(folder.0.join("sub/tool"), "#!/usr/bin/env node\n").unwrap();
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.0.join("sub/tool"), executable).unwrap();
    let found = |change: fn(&mut Spec)| {
        let mut spec = folder.base();
        spec.set("env.PATH", b"/nowhere:sub").unwrap();
        change(&mut spec);
        here(spec, "tool").map(|spec| command(&spec))
    };
    let path = String::from_utf8(folder.file("sub/tool")).unwrap();
    assert_eq!(found(|_| {}).unwrap(), ["", "tool"]);
    let python = found(|spec| spec.interpreter = "python3".into());
    assert_eq!(python.unwrap(), ["python3", &path]);
    // The workers of a cluster are started by node.
    assert_eq!(found(|spec| spec.instances = 2).unwrap(), ["node", &path]);
    let arguments = found(|spec| spec.interpreter_args = vec![b"-x".to_vec()]);
    assert_eq!(arguments.unwrap(), ["node", &path, "-x"]);
    let missing = Spec {
        interpreter: "python3".into(),
        ..folder.base()
    };
    let why = here(missing, "no-such-tool").unwrap_err();
    assert!(
        why.ends_with("no-such-tool: No such file or directory, and no such command is in PATH"),
        "{why}"
    );
}

#[test]
fn a_version_of_node_is_one_that_nvm_installed() {
    let folder = Folder::new("nvm");
    let bin = folder.0.join("versions/node/v18.1.0/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(bin.join("node"), "").unwrap();
    let chosen = |interpreter: &str| {
        let mut spec = folder.base();
        spec.set("env.NVM_DIR", folder.0.as_os_str().as_bytes())
            .unwrap();
        spec.interpreter = interpreter.into();
        here(spec, "./app.sh").map(|spec| spec.interpreter)
    };
    assert_eq!(
        chosen("node@18.1.0").unwrap(),
        bin.join("node").display().to_string()
    );
    let why = chosen("node@20").unwrap_err();
    assert!(why.ends_with("install it with nvm install 20"), "{why}");
}
