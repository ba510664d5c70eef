//! The attributes of pm2 that are not fields of a program here.

use super::json::{Node, Value};

/// How an attribute is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It would change what programs do: ignored with a warning.
    Missing,
    /// It concerns only pm2: ignored.
    Irrelevant,
}

use Support::{Irrelevant, Missing};

/// The attributes of a process file that are not fields of the program.
pub const OF_FILES: [&str; 10] = [
    "append_env_to_name",
    "autostart",
    "cmd",
    "command",
    "env",
    "filter_env",
    "force",
    "instances",
    "port",
    "script",
];

/// All other attributes, by the names and aliases in pm2's `schema.json`.
const ATTRIBUTES: &[(&str, Support)] = &[
    ("cron", Missing),
    ("cron_restart", Missing),
    ("ignore_watch", Missing),
    ("increment_var", Missing),
    ("instance_var", Missing),
    ("listen_timeout", Missing),
    ("max_memory_restart", Missing),
    ("shutdown_with_message", Missing),
    ("wait_ready", Missing),
    ("watch", Missing),
    ("watch_delay", Missing),
    ("watch_options", Missing),
    ("automation", Irrelevant),
    ("deep_monitoring", Irrelevant),
    ("disable_source_map_support", Irrelevant),
    ("disable_trace", Irrelevant),
    ("event_loop_inspector", Irrelevant),
    ("execute_command", Irrelevant),
    ("install_url", Irrelevant),
    ("io", Irrelevant),
    ("kill_retry_time", Irrelevant),
    ("name_prefix", Irrelevant),
    ("pmx", Irrelevant),
    ("post_update", Irrelevant),
    ("source_map_support", Irrelevant),
    ("trace", Irrelevant),
    ("username", Irrelevant),
    ("v8", Irrelevant),
    ("vizion", Irrelevant),
    ("windows_hide", Irrelevant),
    ("write", Irrelevant),
];

/// How the attribute of this name is treated; `None` if pm2 has no such attribute.
pub fn support(name: &str) -> Option<Support> {
    let row = ATTRIBUTES.iter().find(|(known, _)| *known == name);
    row.map(|(_, support)| *support)
}

/// The names of all attributes of this table.
pub fn names() -> impl Iterator<Item = &'static str> {
    ATTRIBUTES.iter().map(|(name, _)| *name)
}

/// Whether a value has an effect. pm2 writes many default values into its saved list.
pub fn asks(name: &str, node: &Node) -> bool {
    match &node.value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(text) => text != "0",
        Value::String(text) if name == "instance_var" => text != b"NODE_APP_INSTANCE",
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Bool(true) | Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::field;

    #[test]
    fn no_attribute_is_a_field() {
        for name in names() {
            assert!(field::find(name).is_none(), "{name} is a field");
        }
    }
}
