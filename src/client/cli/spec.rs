//! The settings that the command line, the working directory and the environment give programs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStringExt;

use super::arguments::{Invocation, bytes};
use super::flag::Options;
use crate::config::place;
use crate::error::{Error, Result};
use crate::model::spec::{Environment, Spec};
use crate::model::value::Octal;
use crate::sys::user;

/// What all programs of this command have in common.
pub fn base(invocation: &Invocation) -> Result<Spec> {
    let mut spec = invocation.spec.clone();
    if !invocation.given.contains(&"cwd") {
        let folder = place::working_directory();
        let folder = folder.map_err(|why| Error::new(format!("{why}, or name one with --cwd")))?;
        spec.cwd = folder.into_os_string().into_vec();
    }
    if !invocation.given.contains(&"umask") {
        spec.umask = Octal(user::umask());
    }
    spec.args = bytes(&invocation.rest);
    spec.env = filtered_environment(&invocation.options.filter_env).into();
    Ok(spec)
}

/// The environment of this process.
pub fn present_environment() -> Environment {
    filtered_environment(&[])
}

/// The environment of this process, without variables whose names contain one of these parts.
pub fn filtered_environment(parts: &[String]) -> Environment {
    let kept = |name: &OsStr| {
        let name = name.to_string_lossy();
        !parts.iter().any(|part| name.contains(part.as_str()))
    };
    let assignments: Vec<Vec<u8>> = std::env::vars_os()
        .filter(|(name, _)| kept(name))
        .map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='))
        .collect();
    Environment::from_assignments(assignments.iter().map(Vec::as_slice))
}

/// What `--update-env` tells programs; none without it.
pub fn updated_environment(options: &Options) -> Option<Box<Spec>> {
    options.update_env.then(|| {
        Box::new(Spec {
            env: filtered_environment(&options.filter_env).into(),
            ..Spec::default()
        })
    })
}
