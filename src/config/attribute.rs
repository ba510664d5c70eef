//! The attributes that pm2 gives a program and that are no field here.

use super::json::{Node, Value};

/// What becomes of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Programs would behave otherwise with it: that it is left out is said.
    Missing,
    /// It is about pm2 itself and means nothing here.
    Moot,
}

use Fate::{Missing, Moot};

/// Those that a process file may have and that are no setting of the program that is started.
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

/// Every other one, by the names in pm2's `schema.json`, aliases included.
const ATTRIBUTES: &[(&str, Fate)] = &[
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
    ("automation", Moot),
    ("deep_monitoring", Moot),
    ("disable_source_map_support", Moot),
    ("disable_trace", Moot),
    ("event_loop_inspector", Moot),
    ("execute_command", Moot),
    ("install_url", Moot),
    ("io", Moot),
    ("kill_retry_time", Moot),
    ("name_prefix", Moot),
    ("pmx", Moot),
    ("post_update", Moot),
    ("source_map_support", Moot),
    ("trace", Moot),
    ("username", Moot),
    ("v8", Moot),
    ("vizion", Moot),
    ("windows_hide", Moot),
    ("write", Moot),
];

/// What becomes of the attribute of this name; none where pm2 knows none.
pub fn fate(name: &str) -> Option<Fate> {
    let row = ATTRIBUTES.iter().find(|(known, _)| *known == name);
    row.map(|(_, fate)| *fate)
}

/// The names that pm2 knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    ATTRIBUTES.iter().map(|(name, _)| *name)
}

/// Whether a value asks for anything: pm2 writes many that do not into its saved list.
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
    fn what_is_a_field_is_no_longer_here() {
        for name in names() {
            assert!(field::find(name).is_none(), "{name} is a field");
        }
    }
}
