//! Values of attributes. Each error completes "KEY: …".

use crate::config::attribute::{self, OF_FILES};
use crate::config::json::{Json, Member, Node, Value};
use crate::model::command;
use crate::model::field::{self, FIELDS, Field};
use crate::model::value::read_bool;
use crate::units;

fn expected(what: &str, node: &Node) -> String {
    ["expected ", what, ", found ", node.kind()].concat()
}

/// The members of an environment.
///
/// # Errors
/// The value is not an object.
pub fn variables(node: &Node) -> Result<&[Member], String> {
    match &node.value {
        Value::Object(members) => Ok(members),
        _ => Err(expected("an object of variables", node)),
    }
}

/// A string that is not empty.
///
/// # Errors
/// The value is another one.
pub fn text_in(node: &Node) -> Result<&[u8], String> {
    match node.string() {
        Some(b"") => Err("it is empty".to_owned()),
        Some(text) => Ok(text),
        None => Err(expected("a string", node)),
    }
}

/// The value of a variable; an object or array as JSON text, as in pm2. `None` for null.
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

/// Which variables `filter_env` removes from the environment of a program.
pub enum Filter<'a> {
    /// All of them, or none.
    All(bool),
    /// The variable of this name.
    Name(&'a [u8]),
    /// Those whose names contain one of these.
    Parts(Vec<&'a [u8]>),
}

impl Filter<'_> {
    /// Whether a variable is removed.
    pub fn holds(&self, name: &[u8]) -> bool {
        match self {
            Filter::All(all) => *all,
            Filter::Name(given) => name == *given,
            Filter::Parts(parts) => parts
                .iter()
                .any(|part| name.windows(part.len().max(1)).any(|piece| piece == *part)),
        }
    }
}

/// The value of `filter_env`.
///
/// # Errors
/// The value is of another type.
pub fn filter(node: &Node) -> Result<Filter<'_>, String> {
    let wrong = || expected("true, a name, or an array of parts of names", node);
    match &node.value {
        Value::Bool(all) => Ok(Filter::All(*all)),
        Value::String(name) => Ok(Filter::Name(name)),
        Value::Array(items) => {
            let parts = items.iter().map(|item| item.string().ok_or_else(wrong));
            parts.collect::<Result<_, _>>().map(Filter::Parts)
        }
        _ => Err(wrong()),
    }
}

/// A boolean.
///
/// # Errors
/// The value is none.
pub fn switch(node: &Node) -> Result<bool, String> {
    let text = node.scalar();
    let text = text.ok_or_else(|| expected("true or false", node))?;
    read_bool(&text)
}

/// The number of instances: a number, or "max".
///
/// # Errors
/// The value is neither, or too large.
pub fn instances(node: &Node) -> Result<u32, String> {
    let wanted = "a number or \"max\"";
    let text = node.scalar().ok_or_else(|| expected(wanted, node))?;
    let text = String::from_utf8_lossy(&text);
    if text != "max" && text.parse::<i64>().is_err() {
        return Err(format!("expected {wanted}, found '{text}'"));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let count = command::instances(&text, u32::try_from(processors).unwrap_or(u32::MAX));
    match count {
        0..=10_000 => Ok(count),
        _ => Err("at most 10000 instances".to_owned()),
    }
}

/// The value of `port`: a number, or a string, which may be the path of a socket.
///
/// # Errors
/// The value is of another type.
pub fn port(node: &Node) -> Result<Vec<u8>, String> {
    match &node.value {
        Value::Number(_) | Value::String(_) => node.scalar(),
        _ => None,
    }
    .ok_or_else(|| expected("a number", node))
}

/// Whether the value means that the attribute is not set: `false` for one that is not a boolean, or an empty string for
/// one that is a text.
pub fn is_left_out(name: &str, node: &Node) -> bool {
    let unset = match &node.value {
        Value::Bool(given) => !given,
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    let text = |placeholder: &str| matches!(placeholder, "PATH" | "TEXT" | "MODE" | "raw|json");
    let word = |placeholder: &str| matches!(placeholder, "WORD" | "SOCKET" | "SIGNAL");
    unset
        && match (name, field::find(name)) {
            ("cwd" | "port", _) => true,
            ("script" | "exec", _) => false,
            // `false` is a value of these: no combined file.
            ("log" | "log_file", _) => node.value != Value::Bool(false),
            (_, Some(field)) => text(field.placeholder) || word(field.placeholder),
            (_, None) => false,
        }
}

/// The hint " (did you mean NAME?)", or nothing.
pub fn did_you_mean(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| [" (did you mean ", near, "?)"].concat())
}

/// The attribute with the most similar name.
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
