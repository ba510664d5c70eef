//! A program as a row of the reply to `describe` reports it: its state, its settings, its environment and its files.

use super::line::Line;
use super::process::Process;
use crate::model::field::FIELDS;
use crate::model::spec::{Environment, Spec};
use crate::model::value::Bytes;

/// The description of one program.
pub struct ProgramInfo {
    /// The state of the program.
    pub process: Process,
    /// The settings, as the user gave them.
    pub spec: Spec,
    /// The environment that the program is started with.
    pub environment: Environment,
    /// The file of its standard output.
    pub out_path: Bytes,
    /// The file of its standard error.
    pub error_path: Bytes,
    /// The file of both; empty if there is none.
    pub log_path: Bytes,
    /// The file of its pid.
    pub pid_path: Bytes,
    /// Why the last launch failed, or what was wrong with the run; empty if nothing was.
    pub failure: String,
    /// The processes that the last stop may have left behind.
    pub left: String,
    /// Since when dropped output is not yet noted in the log files, in ms since the epoch.
    pub losing_since: Option<u64>,
}

impl ProgramInfo {
    /// Decodes a row from a daemon whose home is `home`. Returns `None` if a field of the process is missing.
    pub fn from_line(line: &Line, home: &[u8]) -> Option<ProgramInfo> {
        let process = Process::from_line(line)?;
        let mut spec = Spec::default();
        for (key, value) in &line.fields {
            // Only a field's own name: `pid`, an alias of a field, is the number of the process here.
            if let Some(field) = FIELDS.iter().find(|field| field.name == key) {
                // A newer daemon may send a value that this client does not know: the default is shown then.
                let _ = (field.read)(&mut spec, value);
            }
        }
        spec.env = Environment::from_assignments(line.all("env")).into();
        let environment = environment(line, &process, &spec, home);
        let bytes = |key| line.get(key).unwrap_or_default();
        let text = |key| String::from_utf8_lossy(bytes(key)).into_owned();
        Some(ProgramInfo {
            process,
            spec,
            environment,
            out_path: bytes("out_path").to_vec(),
            error_path: bytes("error_path").to_vec(),
            log_path: bytes("log_path").to_vec(),
            pid_path: bytes("pid_path").to_vec(),
            failure: text("failure"),
            left: text("left"),
            losing_since: line.number("lost_first"),
        })
    }
}

/// The environment of a program: the saved one, and the variables that the daemon adds.
fn environment(line: &Line, process: &Process, spec: &Spec, home: &[u8]) -> Environment {
    let mut named = spec.clone();
    named.name.clone_from(&process.name);
    let own: Vec<_> = named
        .told(process.id, process.instance, home)
        .iter()
        .map(|(name, value)| [name.as_bytes(), value].join(&b'='))
        .collect();
    Environment::from_assignments(line.all("env").chain(own.iter().map(Vec::as_slice)))
}

/// A program that is not running, for tests.
#[cfg(test)]
pub fn sample() -> ProgramInfo {
    let line = "process id=3 name=api namespace=web status=online want=up pid=0 since=5 created=4 restarts=2 \
                unstable=1 exit_signal=9 instance=1 uid=0 script=/srv/api.js args=--port args=30%2000 \
                autorestart=false kill_timeout=3000 env=B=2 env=A=1%0A out_path=/l/api-out.log \
                error_path=/l/api-error.log pid_path=/p/api-3.pid";
    ProgramInfo::from_line(&Line::decode(line.as_bytes()).unwrap(), b"/h").unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_state_settings_and_environment() {
        let program = sample();
        assert_eq!((program.process.id, program.process.restarts), (3, 2));
        assert_eq!(
            (program.spec.name.as_str(), program.spec.namespace.as_str()),
            ("api", "web")
        );
        assert_eq!(program.spec.args, [b"--port".to_vec(), b"30 00".to_vec()]);
        assert!(program.spec.pid_file.is_empty() && !program.spec.autorestart);
        assert_eq!(program.spec.env.get(b"A"), Some(&b"1\n"[..]));
        assert_eq!(
            program.environment.get(b"NODE_APP_INSTANCE"),
            Some(&b"1"[..])
        );
        assert_eq!(program.out_path, b"/l/api-out.log");
    }
}
