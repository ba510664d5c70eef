//! Attributes that restrict a program and are not supported.
//!
//! Without its user or its limits, a program could do more than its file permits, so it is refused. Other unknown
//! attributes are ignored with a warning.

use super::json::{Node, Value};
use crate::model::field;
use crate::sys::user;

/// What an attribute restricts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// The user of the program.
    User,
    /// The group of the program.
    Group,
    /// Anything else.
    Other,
}

use Limit::{Group, Other, User};

/// Names from process managers and container runtimes: pm2, systemd, supervisord, launchd, Docker.
const LIMITS: &[(&str, Limit)] = &[
    ("uid", User),
    ("user", User),
    ("user_id", User),
    ("run_as", User),
    ("run_as_user", User),
    ("runas", User),
    ("setuid", User),
    ("gid", Group),
    ("group", Group),
    ("group_id", Group),
    ("run_as_group", Group),
    ("setgid", Group),
    ("ambient_capabilities", Other),
    ("apparmor", Other),
    ("cap_drop", Other),
    ("capabilities", Other),
    ("capability_bounding_set", Other),
    ("cgroup", Other),
    ("chroot", Other),
    ("cpu_limit", Other),
    ("cpu_max", Other),
    ("cpu_quota", Other),
    ("cpus", Other),
    ("dynamic_user", Other),
    ("groups", Other),
    ("init_groups", Other),
    ("limits", Other),
    ("max_memory", Other),
    ("mem_limit", Other),
    ("memory_high", Other),
    ("memory_limit", Other),
    ("memory_max", Other),
    ("namespaces", Other),
    ("no_new_privileges", Other),
    ("no_new_privs", Other),
    ("pids_limit", Other),
    ("read_only", Other),
    ("rlimits", Other),
    ("root_directory", Other),
    ("sandbox", Other),
    ("seccomp", Other),
    ("security_opt", Other),
    ("selinux", Other),
    ("supplementary_groups", Other),
    ("system_call_filter", Other),
    ("tasks_max", Other),
    ("ulimits", Other),
];

/// Prefixes of further names.
const FAMILIES: [&str; 9] = [
    "apparmor_",
    "cgroup_",
    "limit_",
    "private_",
    "protect_",
    "restrict_",
    "rlimit_",
    "seccomp_",
    "selinux_",
];

fn limit(name: &str) -> Option<Limit> {
    if field::find(name).is_some() {
        return None;
    }
    // NoNewPrivileges, no-new-privs.
    let name = &*name.trim_start_matches('_').replace('-', "_");
    let known = LIMITS.iter().find(|(known, _)| *known == name);
    let family = || FAMILIES.iter().find(|begin| name.starts_with(*begin));
    known
        .map(|(_, limit)| *limit)
        .or_else(|| family().map(|_| Other))
}

/// Whether an attribute restricts a program.
pub fn is_one(name: &str) -> bool {
    limit(name).is_some()
}

/// Why a program with this attribute is refused, completing "NAME: …". `None` if it restricts nothing, or requests the
/// present user or group.
pub fn refusal(name: &str, node: &Node) -> Option<String> {
    let limit = limit(name)?;
    let asks = match &node.value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    };
    if !asks {
        return None;
    }
    let text = node.scalar().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let (own, group) = (user::effective_uid(), user::effective_gid());
    let me = user::shown(own);
    match limit {
        User => {
            let is_own = text.parse() == Ok(own) || user::user_name(own).is_some_and(|n| n == text);
            let why = format!(
                "programs cannot run as another user yet, and this one would run as {me}; start it from the \
                 daemon of that user, or remove {name}"
            );
            Some(why).filter(|_| !is_own)
        }
        Group => {
            let is_own = text.parse() == Ok(group) || user::group_of(&text) == Some(group);
            let why = format!(
                "programs cannot run in another group yet, and this one would run in group {group} as {me}; remove \
                 {name}"
            );
            Some(why).filter(|_| !is_own)
        }
        Other => Some(format!(
            "this limit is not supported yet, so the program would run without it; remove {name}"
        )),
    }
}

/// Why a program of a saved list is refused, as "NAME: …".
pub fn refusal_of_saved(program: &Node) -> Option<String> {
    program.members().iter().find_map(|member| {
        let key = std::str::from_utf8(&member.key).ok()?;
        let why = refusal(&field::snake(key), &member.node)?;
        Some(format!("{key}: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::attribute;
    use crate::config::json::{Source, parse};

    fn refused(name: &str, json: &str) -> Option<String> {
        let source = Source {
            name: "f",
            text: json.as_bytes(),
            literal: true,
        };
        refusal(name, &parse(&source).unwrap())
    }

    #[test]
    fn only_the_present_user_and_group_are_accepted() {
        let (uid, gid) = (user::effective_uid(), user::effective_gid());
        for (name, own) in [("uid", uid), ("user", uid), ("gid", gid), ("group", gid)] {
            assert_eq!(refused(name, &own.to_string()), None);
            assert_eq!(refused(name, &format!("\"{own}\"")), None);
            for nothing in ["null", "false", "\"\""] {
                assert_eq!(refused(name, nothing), None);
            }
            for other in [
                &(own + 1).to_string(),
                "\"nobody-such\"",
                "true",
                "-1",
                "{\"a\": 1}",
                "[0]",
                "\"0x0\"",
            ] {
                let why = refused(name, other).unwrap();
                assert!(why.contains("cannot run") && why.contains(name), "{why}");
            }
        }
        if let Some(name) = user::user_name(uid) {
            assert_eq!(refused("user", &format!("\"{name}\"")), None);
        }
        if uid == 0 && gid == 0 {
            assert_eq!(refused("gid", "\"root\""), None);
        }
    }

    #[test]
    fn restrictions_are_refused_and_other_names_are_not() {
        for name in [
            "no_new_privs",
            "no-new-privs",
            "_no_new_privileges",
            "limit_nofile",
            "chroot",
            "memory_max",
            "cgroup_parent",
            "user_id",
            "group-id",
        ] {
            assert!(refused(name, "1").is_some(), "{name}");
            assert_eq!(refused(name, "false"), None);
        }
        for name in [
            "watch",
            "max_memory_restart",
            "umask",
            "nice",
            "comment",
            "users",
        ] {
            assert_eq!(refused(name, "1"), None, "{name}");
        }
    }

    #[test]
    fn no_name_is_in_two_tables() {
        for (at, (name, _)) in LIMITS.iter().enumerate() {
            assert!(field::find(name).is_none(), "{name} is a field");
            assert!(attribute::support(name).is_none(), "{name} is an attribute");
            assert!(LIMITS.iter().skip(at + 1).all(|(other, _)| other != name));
        }
    }
}
