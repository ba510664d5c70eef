//! The settings of a program as JSON: each field in the type that suits it.

use super::json::{Json, Node, Value};
use super::words;
use crate::model::command::interpreter_shown;
use crate::model::field::{FIELDS, Field};
use crate::model::spec::{Environment, Spec, name_of};
use crate::model::value::Bytes;
use crate::protocol::program_info::ProgramInfo;

/// Writes the value of a field.
pub fn write(json: &mut Json, field: &Field, values: &[Bytes]) {
    match field.placeholder {
        "WORD" | "SOCKET" => strings(json, values),
        "CODE,…" => json.array(|json| {
            let codes = values.iter().flat_map(|codes| codes.split(|b| *b == b','));
            codes.for_each(|code| json.bare(String::from_utf8_lossy(code)));
        }),
        "" | "N" | "TIME" | "SIZE" => {
            let text = values.first().map(|text| String::from_utf8_lossy(text));
            json.bare(text.unwrap_or("null".into()));
        }
        _ => json.string(values.first().map(Vec::as_slice).unwrap_or_default()),
    }
}

/// Writes strings.
pub fn strings(json: &mut Json, words: &[Bytes]) {
    json.array(|json| words.iter().for_each(|word| json.string(word)));
}

/// Takes the value of a field. The error completes "NAME: …".
pub fn read(spec: &mut Spec, field: &Field, node: &Node) -> Result<(), String> {
    let several = matches!(field.placeholder, "WORD" | "SOCKET" | "CODE,…");
    (field.clear)(spec);
    match &node.value {
        Value::Array(items) if several => {
            let mut texts = Vec::new();
            for item in items {
                texts.push(text(item).ok_or_else(|| unfit(field, item))?);
            }
            match field.placeholder {
                "WORD" | "SOCKET" => texts.iter().try_for_each(|text| (field.read)(spec, text)),
                _ => (field.read)(spec, &texts.join(&b',')),
            }
        }
        Value::String(given) if matches!(field.placeholder, "WORD" | "SOCKET") => {
            words::split(given)
                .iter()
                .try_for_each(|word| (field.read)(spec, word))
        }
        // No path, name or argument is called true.
        Value::Bool(_) if !field.is_switch() => Err(unfit(field, node)),
        Value::Number(_) if field.placeholder == "PATH" => Err(unfit(field, node)),
        _ => (field.read)(spec, &text(node).ok_or_else(|| unfit(field, node))?),
    }
}

fn unfit(field: &Field, node: &Node) -> String {
    let wanted = match field.placeholder {
        "" => "true or false",
        "WORD" | "SOCKET" => "an array of strings, or a string",
        "CODE,…" => "an array of numbers",
        "N" => "a number",
        "TIME" => "a time such as 1500 or \"30s\"",
        "SIZE" => "a size such as 65536 or \"32M\"",
        _ => "a string",
    };
    format!("expected {wanted}, found {}", node.kind())
}

/// A value as the text that a field reads.
fn text(node: &Node) -> Option<Vec<u8>> {
    match &node.value {
        Value::Number(text) => Some(whole(text).unwrap_or_else(|| text.clone()).into_bytes()),
        _ => node.scalar(),
    }
}

/// A whole number that is written as JavaScript may do it, 1500.0 or 1.5e3, in digits alone.
fn whole(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = [before, behind].concat();
    let exponent: i32 = exponent.parse().ok().filter(|e: &i32| e.abs() < 100)?;
    let mut shift = exponent - i32::try_from(behind.len()).ok()?;
    while shift > 0 {
        digits.push('0');
        shift -= 1;
    }
    while shift < 0 {
        digits.pop().filter(|last| *last == '0')?;
        shift += 1;
    }
    let sign = if digits.starts_with('-') { "-" } else { "" };
    let bare = digits.trim_start_matches(['-', '0']);
    let bare = if bare.is_empty() { "0" } else { bare };
    Some([sign, bare].concat())
}

/// Writes every field, then the same once more under the names that pm2 has for it.
pub fn write_settings(json: &mut Json, program: &ProgramInfo) {
    let spec = &program.spec;
    for field in FIELDS {
        write(json.key(field.name.as_bytes()), field, &(field.write)(spec));
    }
    json.key(b"exec_interpreter")
        .string(interpreter_shown(spec).as_bytes());
    for (key, path) in [
        ("pm_exec_path", spec.script.as_slice()),
        ("pm_cwd", &spec.cwd),
        ("pm_out_log_path", &program.out_path),
        ("pm_err_log_path", &program.error_path),
        ("pm_pid_path", &program.pid_path),
    ] {
        json.key(key.as_bytes()).string(path);
    }
    if !program.log_path.is_empty() {
        json.key(b"pm_log_path").string(&program.log_path);
    }
    strings(json.key(b"node_args"), &spec.interpreter_args);
    json.key(b"watch").bare(false);
    json.key(b"max_memory_restart").bare("null");
    json.key(b"version").string(b"N/A");
}

/// Writes the settings, then the environment.
pub fn write_all(json: &mut Json, program: &ProgramInfo, env: &Environment) {
    write_settings(json, program);
    json.key(b"env").object(|json| {
        for assignment in env.assignments() {
            let name = name_of(assignment);
            let value = assignment.get(name.len() + 1..).unwrap_or_default();
            json.key(name).string(value);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::json::{Source, parse};
    use crate::model::field;

    fn given(name: &str, json: &str) -> Result<Spec, String> {
        let source = Source {
            name: "f",
            text: json.as_bytes(),
            literal: true,
        };
        let mut spec = Spec::default();
        read(
            &mut spec,
            field::find(name).unwrap(),
            &parse(&source).unwrap(),
        )?;
        Ok(spec)
    }

    #[test]
    fn values_are_taken_in_every_type_that_makes_sense() {
        assert_eq!(given("kill_timeout", "3000").unwrap().kill_timeout.0, 3000);
        assert_eq!(given("kill_timeout", "3e3").unwrap().kill_timeout.0, 3000);
        assert_eq!(
            given("kill_timeout", "\"3s\"").unwrap().kill_timeout.0,
            3000
        );
        assert_eq!(
            given("args", "[\"-p\", 80]").unwrap().args,
            [&b"-p"[..], b"80"]
        );
        assert_eq!(
            given("args", "\"-p 'a b'\"").unwrap().args,
            [&b"-p"[..], b"a b"]
        );
        assert_eq!(
            given("stop_exit_codes", "[0, 3]")
                .unwrap()
                .stop_exit_codes
                .0,
            [0, 3]
        );
        assert_eq!(
            given("stop_exit_codes", "7").unwrap().stop_exit_codes.0,
            [7]
        );
        assert!(!given("autorestart", "false").unwrap().autorestart);
        assert_eq!(given("kill_signal", "15").unwrap().kill_signal.0, 15);
    }

    #[test]
    fn whole_numbers_have_many_spellings() {
        for (text, digits) in [
            ("1500", Some("1500")),
            ("1500.0", Some("1500")),
            ("1.5e3", Some("1500")),
            ("1.5E+3", Some("1500")),
            ("150000e-2", Some("1500")),
            ("0", Some("0")),
            ("0.0", Some("0")),
            ("-2.0", Some("-2")),
            ("0e5", Some("0")),
            ("1.5", None),
            ("15e-1", None),
            ("1e-1", None),
            ("1e999999999999", None),
        ] {
            assert_eq!(whole(text).as_deref(), digits, "{text}");
        }
    }

    #[test]
    fn others_are_refused() {
        for (name, json, part) in [
            (
                "autorestart",
                "{}",
                "expected true or false, found an object",
            ),
            (
                "args",
                "[[]]",
                "expected an array of strings, or a string, found an array",
            ),
            ("kill_timeout", "\"soon\"", "'soon' is not a time"),
            ("kill_timeout", "-1", "'-1' is not a time"),
            ("max_restarts", "1.5", "'1.5' is not a whole number"),
            ("name", "null", "expected a string, found null"),
            ("stop_exit_codes", "[300]", "300"),
        ] {
            let why = given(name, json).unwrap_err();
            assert!(why.contains(part), "{json}: {why}");
        }
    }
}
