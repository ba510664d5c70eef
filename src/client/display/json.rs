//! Programs as JSON, with the names that pm2 gives things.

use super::usage::Meter;
use super::users::Users;
use crate::config::json::Json;
use crate::config::settings;
use crate::model::life::Exit;
use crate::protocol::program_info::ProgramInfo;
use crate::units;

/// The programs as an array.
pub fn text(records: &[ProgramInfo], indented: bool) -> String {
    let mut json = Json::new(indented);
    let mut meter = Meter::new();
    let mut users = Users::default();
    json.array(|json| {
        for record in records {
            json.object(|json| program(json, record, &mut meter, &mut users, true));
        }
    });
    json.finish()
}

/// The members of one program's object; its environment only `with_env`.
pub fn program(
    json: &mut Json,
    record: &ProgramInfo,
    meter: &mut Meter,
    users: &mut Users,
    with_env: bool,
) {
    let process = &record.process;
    json.key(b"pid").bare(process.pid);
    json.key(b"name").string(process.name.as_bytes());
    json.key(b"pm_id").bare(process.id);
    json.key(b"monit").object(|json| {
        json.key(b"memory").bare(meter.memory(process).unwrap_or(0));
        let cpu = meter.cpu(process).unwrap_or(0);
        json.key(b"cpu")
            .bare(format_args!("{}.{}", cpu / 10, cpu % 10));
    });
    if process.lost > 0 {
        json.key(b"lost_output").bare(process.lost);
    }
    json.key(b"pm2_env").object(|json| {
        json.key(b"pm_id").bare(process.id);
        write_status(json, record, users);
        match with_env {
            true => settings::write_all(json, record, &record.environment),
            false => settings::write_settings(json, record),
        }
    });
}

/// The state of a program and what is counted.
pub fn write_status(json: &mut Json, record: &ProgramInfo, users: &mut Users) {
    let process = &record.process;
    json.key(b"status").string(process.state.word().as_bytes());
    json.key(b"restart_time").bare(process.restarts);
    json.key(b"unstable_restarts").bare(process.unstable);
    json.key(b"pm_uptime").bare(process.since);
    json.key(b"created_at").bare(process.created);
    json.key(b"username")
        .string(users.name(process.uid).as_bytes());
    json.key(b"instance").bare(process.instance);
    match process.exit {
        Some(Exit::Code(code)) => json.key(b"exit_code").bare(code),
        _ => json.key(b"exit_code").bare("null"),
    }
    if let Some(Exit::Signal(signal)) = process.exit {
        json.key(b"exit_signal")
            .string(units::signal_name(signal).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::program_info;

    #[test]
    fn what_is_ours_alone_is_there_where_it_says_something() {
        let mut record = program_info::sample();
        let plain = text(&[program_info::sample()], false);
        assert!(!plain.contains("lost_output") && !plain.contains("pm_log_path"));
        record.process.lost = 7;
        record.log_path = b"/l/api.log".to_vec();
        let full = text(&[record], false);
        assert!(full.contains(r#""cpu":0.0},"lost_output":7,"pm2_env":{"#));
        assert!(full.contains(r#""pm_log_path":"/l/api.log""#), "{full}");
    }

    #[test]
    fn a_program_has_pm2s_keys() {
        let text = text(&[program_info::sample()], false);
        for part in [
            r#"[{"pid":0,"name":"api","pm_id":3,"monit":{"memory":0,"cpu":0.0},"pm2_env":{"#,
            r#""status":"online","restart_time":2,"unstable_restarts":1,"pm_uptime":5,"created_at":4"#,
            r#""exit_code":null,"exit_signal":"SIGKILL""#,
            r#""exec_interpreter":"node","pm_exec_path":"/srv/api.js""#,
            r#""args":["--port","30 00"]"#,
            r#""autorestart":false"#,
            r#""kill_timeout":3000"#,
            r#""kill_signal":"SIGINT""#,
            r#""stop_exit_codes":[]"#,
            r#""namespace":"web""#,
            r#""pm_out_log_path":"/l/api-out.log""#,
            r#""env":{"B":"2","A":"1\n","RPM_ID":"3","RPM_NAME":"api","RPM_HOME":"/h","pm_id":"3","name":"api","NODE_APP_INSTANCE":"1","PWD":"/"}"#,
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
