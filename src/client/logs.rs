//! `rpm logs`: the last lines of log files, then what is written to them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::follow::{self, Printer, Source};
use super::output::{Look, Tint, harmless};
use super::record::Record;
use super::session::{DONE, Session};
use crate::error::{Error, Result};

/// How many lines of each file are printed unless another number is given, as pm2 does.
const LINES: usize = 15;

/// `rpm logs`
pub fn run(session: &mut Session) -> Result<u8> {
    let targets = session.targets()?;
    let options = &session.invocation.options;
    let records = Record::of(&mut session.daemon()?, targets)?;
    if records.is_empty() {
        return Err(Error::new("no program is managed; there are no logs"));
    }
    let neither = !options.out && !options.err;
    let (out, err) = (options.out || neither, options.err || neither);
    let mut sources = sources(&records, out, err, options.raw, session.look);
    let mut stdout = std::io::stdout();
    let mut printer = Printer::new(&mut stdout);
    if options.nostream {
        for (at, source) in sources.iter_mut().enumerate() {
            source.print_last_lines(at, options.lines.unwrap_or(LINES), &mut printer)?;
        }
        printer.finish()?;
        return Ok(DONE);
    }
    follow::follow(&mut sources, options.lines.unwrap_or(LINES), &mut printer)?;
    Ok(DONE)
}

/// The log files, each once: instances may share a pair.
pub fn sources(records: &[Record], out: bool, err: bool, raw: bool, look: Look) -> Vec<Source> {
    let names = records.iter().map(|record| label(record).chars().count());
    let width = names.max().unwrap_or(0);
    let mut sources: Vec<Source> = Vec::new();
    for record in records {
        for (wanted, path, tint) in [
            (out, &record.out_path, Tint::Good),
            (err, &record.error_path, Tint::Bad),
        ] {
            let path = PathBuf::from(OsString::from_vec(path.clone()));
            let known = sources.iter().any(|source| source.path() == path);
            if !wanted || known || path.as_os_str().is_empty() {
                continue;
            }
            let prefix = match raw {
                true => String::new(),
                false => format!(
                    "{}{:<width$} |{} ",
                    look.tint(tint),
                    label(record),
                    look.plain()
                ),
            };
            sources.push(Source::new(path, prefix.into_bytes()));
        }
    }
    sources
}

fn label(record: &Record) -> String {
    format!("{}|{}", record.process.id, harmless(&record.process.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::record;

    #[test]
    fn each_file_is_printed_once() {
        let records = [record::sample(), record::sample()];
        let paths = |out, err| -> Vec<PathBuf> {
            let sources = sources(&records, out, err, false, Look::default());
            sources
                .iter()
                .map(|source| source.path().to_owned())
                .collect()
        };
        assert_eq!(
            paths(true, true),
            [PathBuf::from("/l/api-out.log"), "/l/api-error.log".into()]
        );
        assert_eq!(paths(false, true), [PathBuf::from("/l/api-error.log")]);
    }
}
