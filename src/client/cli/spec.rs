//! The settings that programs get from the command line, the working directory and the environment.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStringExt;

use super::arguments::{Invocation, bytes};
use super::flag::Options;
use crate::config::place;
use crate::error::{Error, Result};
use crate::model::spec::{Environment, Spec};
use crate::model::value::Octal;
use crate::sys::user;

/// The settings of the programs that a command starts, before the script is known.
///
/// # Errors
/// There is no working directory.
pub fn base(invocation: &Invocation) -> Result<Spec> {
    let inherited = inherited(&invocation.options);
    let mut spec = invocation.spec.clone();
    if !invocation.given.contains(&"cwd") {
        let folder = place::working_directory();
        let folder = folder.map_err(|why| Error::new(format!("{why}, or name one with --cwd")))?;
        spec.cwd = folder.into_os_string().into_vec();
    }
    if !invocation.given.contains(&"umask") {
        spec.umask = inherited.umask;
    }
    spec.args = bytes(&invocation.rest);
    spec.env = inherited.env;
    Ok(spec)
}

/// The default settings with the umask and the environment of this process.
pub fn inherited(options: &Options) -> Spec {
    Spec {
        umask: Octal(user::umask()),
        env: environment(&options.filter_env).into(),
        ..Spec::default()
    }
}

/// The settings that `--update-env` changes; none without it.
pub fn updated_environment(options: &Options) -> Option<Box<Spec>> {
    options.update_env.then(|| {
        Box::new(Spec {
            env: environment(&options.filter_env).into(),
            ..Spec::default()
        })
    })
}

/// The environment of this process, without variables whose names contain one of `parts`.
fn environment(parts: &[String]) -> Environment {
    let is_kept = |name: &OsStr| {
        let name = name.to_string_lossy();
        !parts.iter().any(|part| name.contains(part.as_str()))
    };
    let assignments: Vec<Vec<u8>> = std::env::vars_os()
        .filter(|(name, _)| is_kept(name))
        .map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='))
        .collect();
    Environment::from_assignments(assignments.iter().map(Vec::as_slice))
}
