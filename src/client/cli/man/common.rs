//! Text that several manual pages share.

use super::super::help::{capital, default_of};
use crate::model::field::Field;

/// When the pages last changed.
pub const DATE: &str = "2026-11-29";

/// What `RPM_HOME` names.
pub const HOMES: &str = "the directory of the socket, the records and the logs; by default ~/.rpm. Each such directory has its own daemon.";

/// What a field does, its default, and its other names as `spell` writes them.
pub fn meaning(field: &Field, spell: impl Fn(&str) -> String) -> String {
    let mut out = format!("{}.", capital(field.meaning));
    match default_of(field) {
        Some(default) => out.push_str(&format!(" By default {default}.")),
        None if field.is_switch() => {
            out.push_str(&format!(" By default {}.", field.default_text()))
        }
        None => {}
    }
    if !field.aliases.is_empty() {
        let names: Vec<String> = field.aliases.iter().map(|name| spell(name)).collect();
        out.push_str(&format!(" Also {}.", names.join(", ")));
    }
    out
}
