//! Values of attributes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::app::command;
use crate::app::field::{FIELDS, Field};
use crate::config::attribute::{self, OF_FILES};
use crate::config::dump::Fault;
use crate::config::json::{Json, Member, Node, Value};
use crate::units;

/// The members of an environment.
pub fn variables<'n>(node: &'n Node, key: &str) -> Result<&'n [Member], Fault> {
    match &node.value {
        Value::Object(members) => Ok(members),
        _ => Err((
            node.at,
            format!(
                "{key}: expected an object of variables, found {}",
                node.kind()
            ),
        )),
    }
}

/// A string that says something.
pub fn text_in(node: &Node) -> Result<&[u8], Fault> {
    match node.string() {
        Some(b"") => Err((node.at, "it is empty".to_owned())),
        Some(text) => Ok(text),
        None => Err((node.at, format!("expected a string, found {}", node.kind()))),
    }
}

/// The value of a variable: JSON text where it is an object or an array, as pm2 has it; none for null.
pub fn text_of(node: &Node) -> Option<Vec<u8>> {
    match &node.value {
        Value::Null => None,
        Value::Array(_) | Value::Object(_) => {
            let mut json = Json::new(false);
            json.node(node);
            Some(json.finish().trim_end().as_bytes().to_vec())
        }
        _ => node.scalar(),
    }
}

/// Whether `filter_env` keeps a variable away from a program: true all of them, a word the one of that name, an array
/// those whose names hold one of its words.
pub fn filtered(filter: Option<&Node>, name: &[u8]) -> Result<bool, Fault> {
    let Some(node) = filter else {
        return Ok(false);
    };
    let holds = |word: &[u8]| !word.is_empty() && name.windows(word.len()).any(|part| part == word);
    match &node.value {
        Value::Bool(all) => Ok(*all),
        Value::String(word) => Ok(name == word.as_slice()),
        Value::Array(items) => Ok(items.iter().filter_map(Node::string).any(holds)),
        _ => Err((
            node.at,
            format!(
                "filter_env: expected true, a name or an array of parts of names, found {}",
                node.kind()
            ),
        )),
    }
}

/// True or false.
pub fn switch(node: &Node) -> Result<bool, String> {
    match &node.value {
        Value::Bool(given) => Ok(*given),
        _ => Err(format!("expected true or false, found {}", node.kind())),
    }
}

/// The mode of a program, and what is to be said about it. There is one mode so far.
pub fn exec_mode(node: &Node) -> Result<Option<&'static str>, String> {
    match node.string() {
        Some(b"fork" | b"fork_mode") => Ok(None),
        Some(b"cluster" | b"cluster_mode") => Ok(Some(
            "cluster is not supported yet; instances are ordinary processes",
        )),
        _ => Err("expected \"fork\" or \"cluster\"".to_owned()),
    }
}

/// How many instances: a number, or "max".
pub fn instances(node: &Node) -> Result<u32, String> {
    let wrong = || format!("expected a number or \"max\", found {}", node.kind());
    let text = node.scalar().ok_or_else(wrong)?;
    let text = String::from_utf8(text).map_err(|_| wrong())?;
    if text != "max" && text.parse::<i64>().is_err() {
        return Err(format!("expected a number or \"max\", found '{text}'"));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let count = command::instances(&text, u32::try_from(processors).unwrap_or(u32::MAX));
    match count {
        0..=10_000 => Ok(count),
        _ => Err("at most 10000 instances".to_owned()),
    }
}

/// A path whose `~/` stands for the home folder of the user.
pub fn at_home(path: &[u8]) -> Vec<u8> {
    match (path.strip_prefix(b"~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home)
            .join(OsStr::from_bytes(rest))
            .into_os_string()
            .as_bytes()
            .to_vec(),
        _ => path.to_vec(),
    }
}

/// The attribute that was meant.
pub fn nearest_attribute(name: &str) -> Option<&'static str> {
    let fields = FIELDS.iter().flat_map(Field::names);
    units::nearest(
        name,
        fields
            .chain(OF_FILES)
            .chain(attribute::names())
            .chain(["apps"]),
    )
}
