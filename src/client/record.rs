//! What the daemon tells of one program when it is asked to describe it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::config::settings::Resolved;
use crate::error::Result;
use crate::model::field::FIELDS;
use crate::model::spec::{Environment, Spec};
use crate::model::value::Bytes;
use crate::paths::Home;
use crate::protocol::line::Line;
use crate::protocol::process::Process;
use crate::protocol::request::Request;
use crate::sys::shared_output::named;

use super::exchange::{self, Daemon};

/// One program.
pub struct Record {
    /// How it fares.
    pub process: Process,
    /// What it is, as it was asked for.
    pub spec: Spec,
    /// The environment that it is started with.
    pub environment: Environment,
    /// The file of its standard output.
    pub out_path: Bytes,
    /// The file of its standard error.
    pub error_path: Bytes,
    /// The file of both; empty where there is none.
    pub log_path: Bytes,
    /// The file of its pid.
    pub pid_path: Bytes,
    /// Why the last launch did not come to the program, or what was wrong with the run; empty where nothing was.
    pub failure: String,
    /// What the last stop may have left behind.
    pub left: String,
    /// Since when output is lost that its log files say nothing of yet, ms since the epoch; none where none is.
    pub losing_since: Option<u64>,
}

impl Record {
    /// The program of a row.
    pub fn from_line(line: &Line, home: &Home) -> Result<Record> {
        let process = exchange::process(line)?;
        let mut spec = Spec::default();
        for (key, value) in &line.fields {
            // Only a field's own name: `pid`, an alias of a field, is the number of the process here.
            if let Some(field) = FIELDS.iter().find(|field| field.name == key) {
                // A newer daemon may know values that this client does not: what it shows is the default then.
                let _ = (field.read)(&mut spec, value);
            }
        }
        spec.env = Environment::from_assignments(line.all("env")).into();
        let environment = environment(line, &process, &spec, home);
        let text_of = |key| String::from_utf8_lossy(line.get(key).unwrap_or_default()).into_owned();
        let path = |key| line.get(key).unwrap_or_default().to_vec();
        Ok(Record {
            process,
            spec,
            environment,
            out_path: path("out_path"),
            error_path: path("error_path"),
            log_path: path("log_path"),
            pid_path: path("pid_path"),
            failure: text_of("failure"),
            left: text_of("left"),
            losing_since: line.number("lost_first"),
        })
    }

    /// The program where JSON tells of it.
    pub fn told(&self) -> Resolved<'_> {
        Resolved {
            spec: &self.spec,
            out_path: &self.out_path,
            error_path: &self.error_path,
            log_path: &self.log_path,
            pid_path: &self.pid_path,
        }
    }

    /// The programs that are meant, all where `targets` is empty.
    pub fn of(daemon: &mut Daemon, targets: Vec<String>) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let home = daemon.home().clone();
        daemon.request(&Request::Describe { targets }, &mut |line| {
            records.push(Record::from_line(&line, &home)?);
            Ok(())
        })?;
        Ok(records)
    }
}

/// The environment of a program: the one it was started with, and what the daemon tells it about itself.
fn environment(line: &Line, process: &Process, spec: &Spec, home: &Home) -> Environment {
    let mut named = spec.clone();
    named.name.clone_from(&process.name);
    let own = named.told(
        process.id,
        process.instance,
        home.root().as_os_str().as_bytes(),
    );
    let own = own.iter();
    let own: Vec<_> = own
        .map(|(name, value)| [name.as_bytes(), value].join(&b'='))
        .collect();
    Environment::from_assignments(line.all("env").chain(own.iter().map(Vec::as_slice)))
}

/// A program that runs nowhere, for tests.
/// Whether what a program has printed to this path can be read there, now or later: it is a file, or will be one. A FIFO or
/// a terminal has it no longer, and `/dev/stdout` is the daemon's to a program and another one to whoever reads it.
pub fn keeps_output(path: &[u8]) -> bool {
    let path = Path::new(OsStr::from_bytes(path));
    if path.as_os_str().is_empty() || named(path).is_some() {
        return false;
    }
    path.metadata().map_or(true, |found| found.is_file())
}

#[cfg(test)]
pub fn sample() -> Record {
    let line = "process id=3 name=api namespace=web status=online want=up pid=0 since=5 created=4 restarts=2 \
                unstable=1 exit_signal=9 instance=1 uid=0 script=/srv/api.js args=--port args=30%2000 \
                autorestart=false kill_timeout=3000 env=B=2 env=A=1%0A out_path=/l/api-out.log \
                error_path=/l/api-error.log pid_path=/p/api-3.pid";
    Record::from_line(
        &Line::decode(line.as_bytes()).unwrap(),
        &Home::new("/h".into()),
    )
    .unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_both_what_it_is_and_how_it_fares() {
        let record = sample();
        assert_eq!((record.process.id, record.process.restarts), (3, 2));
        assert_eq!(
            (record.spec.name.as_str(), record.spec.namespace.as_str()),
            ("api", "web")
        );
        assert_eq!(record.spec.args, [b"--port".to_vec(), b"30 00".to_vec()]);
        assert!(record.spec.pid_file.is_empty() && !record.spec.autorestart);
        assert_eq!(record.spec.env.get(b"A"), Some(&b"1\n"[..]));
        assert_eq!(
            record.environment.get(b"NODE_APP_INSTANCE"),
            Some(&b"1"[..])
        );
        assert_eq!(record.out_path, b"/l/api-out.log");
    }
}
