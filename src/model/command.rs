//! The command line of a program: the interpreter of a script, and the search in `PATH`.

use super::spec::{ExecMode, Spec};
use super::value::Bytes;

/// Interpreters by the extension of a script. The first that is installed is used.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("js", &["node"]),
    ("cjs", &["node"]),
    ("mjs", &["node"]),
    ("ts", TYPESCRIPT),
    ("mts", TYPESCRIPT),
    ("cts", TYPESCRIPT),
    ("tsx", &["tsx", "ts-node", "bun"]),
    ("jsx", &["tsx", "bun"]),
    ("coffee", &["coffee"]),
    ("ls", &["lsc"]),
    ("py", &["python3", "python"]),
    ("sh", &["bash", "sh"]),
    ("rb", &["ruby"]),
    ("pl", &["perl"]),
    ("php", &["php"]),
    ("lua", &["lua"]),
];

/// Node runs TypeScript without JSX since version 22.18.
const TYPESCRIPT: &[&str] = &["tsx", "ts-node", "bun", "node"];

/// The variable that makes Python's output unbuffered. `python(1)`
pub const UNBUFFERED: &str = "PYTHONUNBUFFERED";

/// The search path if the environment of a program has no PATH, similar to the default of `execvp(3)`.
pub const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command line: the files to try in order, and the arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Absolute, or relative to the working directory. The first that can be executed is used.
    pub programs: Vec<Bytes>,
    /// The arguments, including argv[0].
    pub argv: Vec<Bytes>,
    /// Whether an interpreter is executed, which reads the script.
    pub interpreted: bool,
}

/// The interpreters for the extension of a script; empty if it is executed directly.
pub fn interpreters_for(script: &[u8]) -> &'static [&'static str] {
    let file = script.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let Some(dot) = file.iter().rposition(|b| *b == b'.').filter(|at| *at > 0) else {
        return &[];
    };
    let ending = file.get(dot + 1..).unwrap_or_default();
    let row = INTERPRETERS.iter().find(|(e, _)| e.as_bytes() == ending);
    row.map_or(&[], |(_, interpreters)| interpreters)
}

impl Command {
    /// The command line of a program.
    pub fn of(spec: &Spec) -> Command {
        let by_ending = interpreters_for(&spec.script);
        let interpreters: Vec<&[u8]> = match spec.interpreter.as_str() {
            "none" => Vec::new(),
            "" => by_ending.iter().map(|i| i.as_bytes()).collect(),
            named => vec![named.as_bytes()],
        };
        let mut argv = Vec::new();
        let mut programs = Vec::new();
        if let Some(first) = interpreters.first() {
            argv.push(first.to_vec());
            argv.extend(spec.interpreter_args.iter().cloned());
        }
        argv.push(spec.script.clone());
        argv.extend(spec.args.iter().cloned());
        let interpreted = !interpreters.is_empty();
        if !interpreted {
            programs = Command::lookup_of(&spec.script, spec);
        }
        for interpreter in interpreters {
            programs.append(&mut Command::lookup_of(interpreter, spec));
        }
        Command {
            programs,
            argv,
            interpreted,
        }
    }

    /// The candidates for a command name: the name itself if it has a slash, else a file in each directory of the `PATH` of
    /// the program.
    pub fn lookup_of(name: &[u8], spec: &Spec) -> Vec<Bytes> {
        let mut programs = Vec::new();
        let path = spec.env.get(b"PATH").unwrap_or(DEFAULT_PATH);
        lookup(name, path, &mut programs);
        programs
    }
}

/// The name of the interpreter for `describe` and `jlist`, or "none".
pub fn interpreter_shown(spec: &Spec) -> &str {
    match spec.interpreter.as_str() {
        "" => interpreters_for(&spec.script)
            .first()
            .copied()
            .unwrap_or("none"),
        named => named,
    }
}

/// Appends the candidates for `command`: itself if it has a slash, else a file in each directory of `path`.
fn lookup(command: &[u8], path: &[u8], programs: &mut Vec<Bytes>) {
    if command.contains(&b'/') {
        programs.push(command.to_vec());
        return;
    }
    for folder in path.split(|b| *b == b':') {
        let mut file = folder.to_vec();
        if !file.is_empty() {
            file.push(b'/');
        }
        file.extend_from_slice(command);
        programs.push(file);
    }
}

/// Chooses cluster mode for a Node script with a given number of instances and no given mode, as in pm2.
pub fn choose_mode(spec: &mut Spec, is_given: impl Fn(&str) -> bool) {
    let own_sockets = spec.listen.0.is_empty();
    if is_node(spec) && own_sockets && is_given("instances") && !is_given("exec_mode") {
        spec.exec_mode = ExecMode::Cluster;
    }
}

/// Whether a program is run by Node.
pub fn is_node(spec: &Spec) -> bool {
    is_node_name(base_name(interpreter_shown(spec).as_bytes()))
}

/// Whether this is the name of Node, which is also `nodejs` on Debian.
pub fn is_node_name(name: &[u8]) -> bool {
    matches!(name, b"node" | b"nodejs")
}

/// Whether this is a name of Python, such as `python3.12` or `pypy3`.
pub fn is_python_name(name: &[u8]) -> bool {
    let version = ["python", "pypy"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix.as_bytes()));
    version.is_some_and(|version| version.iter().all(|b| b.is_ascii_digit() || *b == b'.'))
}

/// Whether a program is run by Python: as the interpreter, as the command, or in a shell command.
pub fn is_python(spec: &Spec) -> bool {
    let is_python = |word: &[u8]| is_python_name(base_name(word));
    if is_python(interpreter_shown(spec).as_bytes()) || is_python(&spec.script) {
        return true;
    }
    let shell = matches!(base_name(&spec.script), b"sh" | b"bash");
    match spec.args.as_slice() {
        [flag, text, ..] if shell && flag == b"-c" => {
            let between = |b: &u8| b.is_ascii_whitespace() || b";&|()'\"".contains(b);
            text.split(between).any(is_python)
        }
        _ => false,
    }
}

/// The part after the last slash.
pub fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

/// The number of instances for `-i TEXT`: a number, `max` or 0 for one per processor, or a negative number for that many
/// fewer than processors. 1 for other text.
pub fn instances(text: &str, processors: u32) -> u32 {
    let processors = processors.max(1);
    if text == "max" {
        return processors;
    }
    match text.parse::<i64>() {
        Ok(0) => processors,
        Ok(n) if n < 0 => {
            let less = u32::try_from(n.unsigned_abs()).unwrap_or(u32::MAX);
            processors.saturating_sub(less).max(1)
        }
        Ok(n) => u32::try_from(n).unwrap_or(1),
        Err(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(script: &str) -> Spec {
        let mut spec = Spec {
            script: script.into(),
            ..Spec::default()
        };
        spec.set("env.PATH", b"/a:/b").unwrap();
        spec
    }

    fn texts(words: &[Bytes]) -> Vec<&str> {
        words
            .iter()
            .map(|w| std::str::from_utf8(w).unwrap())
            .collect()
    }

    #[test]
    fn the_extension_selects_the_interpreter() {
        let command = Command::of(&spec("/srv/app.py"));
        assert_eq!(
            texts(&command.programs),
            ["/a/python3", "/b/python3", "/a/python", "/b/python"]
        );
        assert_eq!(texts(&command.argv), ["python3", "/srv/app.py"]);
    }

    #[test]
    fn a_file_without_known_extension_is_executed_directly() {
        let command = Command::of(&spec("/srv/.sh"));
        assert_eq!(texts(&command.programs), ["/srv/.sh"]);
        let mut named = spec("sleep");
        named.args = vec![b"1000".to_vec()];
        let command = Command::of(&named);
        assert_eq!(texts(&command.programs), ["/a/sleep", "/b/sleep"]);
        assert_eq!(texts(&command.argv), ["sleep", "1000"]);
        let mut none = spec("/srv/app.js");
        none.interpreter = "none".into();
        assert_eq!(texts(&Command::of(&none).programs), ["/srv/app.js"]);
    }

    #[test]
    fn instances_of_a_node_script_are_a_cluster_unless_another_mode_is_given() {
        for (script, given, mode) in [
            ("/a.js", &["instances"][..], ExecMode::Cluster),
            ("/a.js", &["instances", "exec_mode"], ExecMode::Fork),
            ("/a.js", &[], ExecMode::Fork),
            ("/a.py", &["instances"], ExecMode::Fork),
        ] {
            let mut spec = spec(script);
            choose_mode(&mut spec, |field| given.contains(&field));
            assert_eq!(spec.exec_mode, mode, "{script} {given:?}");
        }
        let mut named = spec("/a");
        named.interpreter = "/opt/bin/node".into();
        choose_mode(&mut named, |_| true);
        assert_eq!(named.exec_mode, ExecMode::Fork);
    }

    #[test]
    fn python_is_recognized_as_interpreter_and_in_commands() {
        let python = |script: &str, interpreter: &str, args: &[&str]| {
            is_python(&Spec {
                interpreter: interpreter.into(),
                args: args.iter().map(|arg| (*arg).into()).collect(),
                ..spec(script)
            })
        };
        assert!(python("/a.py", "", &[]));
        for name in ["python", "python2", "/srv/venv/bin/python3.12", "pypy3"] {
            assert!(python("/a", name, &[]), "{name}");
            assert!(python(name, "none", &[]), "{name}");
        }
        let shell = |text: &str| python("/usr/bin/bash", "none", &["-c", text]);
        for text in [
            "cd x && venv/bin/python a.py",
            "(python3 -m x)",
            "A=1 pypy a;b",
        ] {
            assert!(shell(text), "{text}");
        }
        assert!(!shell("node python.js; pythonic"));
        for (script, interpreter) in [
            ("/a.js", ""),
            ("/python.js", ""),
            ("/a.py", "bash"),
            ("/a", "pythonw"),
        ] {
            assert!(!python(script, interpreter, &[]), "{script} {interpreter}");
        }
    }

    #[test]
    fn instances_are_counted_as_by_pm2() {
        for (text, count) in [
            ("max", 4),
            ("0", 4),
            ("-1", 3),
            ("-9", 1),
            ("2", 2),
            ("x", 1),
        ] {
            assert_eq!(instances(text, 4), count, "{text}");
        }
    }
}
