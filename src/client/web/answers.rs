//! The bodies of answers.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::history::History;
use super::response::{Kind, Response};
use super::system::{self, System};
use crate::client::daemon::feed::Table;
use crate::client::daemon::log_paths::keeps_output;
use crate::client::display::json;
use crate::client::display::usage::Meter;
use crate::client::display::users::Users;
use crate::config::json::Json;
use crate::model::life::Exit;
use crate::protocol::process::{Process, want_word};
use crate::protocol::program_info::ProgramInfo;
use crate::sys::{clock, place, user};
use crate::units;

/// How much of the end of a log file is looked at.
const TAIL: u64 = 128 << 10;

/// The page. Nothing in it is fetched from elsewhere, and `{nonce}` stands where only this server can have written.
const PAGE: &str = include_str!("page.html");

/// The page for people. What runs in it is what carries the nonce of this answer: a name or a log line that came to
/// be a script would not. <https://www.w3.org/TR/CSP3/>
pub fn page() -> io::Result<Response> {
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let nonce = format!("{:032x}", u128::from_ne_bytes(random));
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = Response::new(Kind::Html, PAGE.replace("{nonce}", &nonce));
    Ok(page
        .with("Content-Security-Policy", &policy)
        .with("Vary", "Accept"))
}

/// Everything, with the names that pm2's `web` gives it. No environment: it holds what is nobody else's business.
pub fn overview(records: &[ProgramInfo]) -> Response {
    let mut json = Json::new(false);
    let mut meter = Meter::new();
    let mut users = Users::default();
    json.object(|json| {
        system::write_info(json.key(b"system_info"));
        system::write_monit(json.key(b"monit"));
        json.key(b"processes").array(|json| {
            for record in records {
                json.object(|json| {
                    json::program(
                        json,
                        record,
                        &mut meter,
                        &mut users,
                        json::WithEnvironment::No,
                    )
                });
            }
        });
    });
    Response::new(Kind::Json, json.finish()).with("Vary", "Accept")
}

/// How all programs fare, and how they did in the last minutes where that is wanted. One line of JSON.
pub fn processes(table: &Table, now: u64, history: Option<&History>) -> String {
    let mut json = Json::new(false);
    let wall = clock::wall_ms();
    json.object(|json| {
        json.key(b"now").bare(wall);
        json.key(b"system").object(|json| {
            let system = System::now();
            json.key(b"hostname").string(user::host_name().as_bytes());
            json.key(b"uptime").bare(clock::boottime_ms() / 1000);
            system.write_load(json.key(b"load"));
            json.key(b"processors").bare(system.processors);
            json.key(b"total_memory").bare(system.total_memory);
            json.key(b"free_memory").bare(system.free_memory);
        });
        if let Some(history) = history {
            json.key(b"times").array(|json| {
                for time in &history.times {
                    json.bare(wall.saturating_sub(now.saturating_sub(*time)));
                }
            });
        }
        json.key(b"processes").array(|json| {
            for one in table.programs() {
                json.object(|json| program(json, &one.process, one.cpu, history));
            }
        });
    });
    json.finish()
}

fn program(json: &mut Json, process: &Process, cpu: Option<u32>, history: Option<&History>) {
    fares(json, process);
    tenths(json.key(b"cpu"), cpu);
    json.key(b"memory").bare(process.memory);
    if let Some(history) = history {
        let samples = || history.of(process.id);
        json.key(b"cpu_history")
            .array(|json| samples().for_each(|(cpu, _)| tenths(json, cpu)));
        json.key(b"memory_history")
            .array(|json| samples().for_each(|(_, kib)| json.bare(u64::from(kib) << 10)));
    }
}

fn tenths(json: &mut Json, tenths: Option<u32>) {
    match tenths {
        Some(tenths) => json.bare(format_args!("{}.{}", tenths / 10, tenths % 10)),
        None => json.bare("null"),
    }
}

/// What is known of a program without looking at its process.
fn fares(json: &mut Json, process: &Process) {
    let or_null = |json: &mut Json, number: Option<u64>| match number {
        Some(number) => json.bare(number),
        None => json.bare("null"),
    };
    let running = process.pid > 0;
    json.key(b"id").bare(process.id);
    json.key(b"name").string(process.name.as_bytes());
    json.key(b"namespace").string(process.namespace.as_bytes());
    json.key(b"instance").bare(process.instance);
    json.key(b"status").string(process.state.word().as_bytes());
    json.key(b"want").string(want_word(process.want).as_bytes());
    let pid = u64::try_from(process.pid).ok().filter(|_| running);
    or_null(json.key(b"pid"), pid);
    let since = Some(process.since).filter(|since| running && *since > 0);
    or_null(json.key(b"since"), since);
    json.key(b"created").bare(process.created);
    json.key(b"restarts").bare(process.restarts);
    json.key(b"unstable").bare(process.unstable);
    if process.lost > 0 {
        json.key(b"lost_output").bare(process.lost);
    }
    match process.exit {
        Some(Exit::Code(code)) => json.key(b"exit").string(format!("code {code}").as_bytes()),
        Some(Exit::Signal(signal)) => json
            .key(b"exit")
            .string(units::signal_name(signal).as_bytes()),
        Some(Exit::Unknown) | None => json.key(b"exit").bare("null"),
    }
}

/// A change of state. One line of JSON.
pub fn change(what: &[u8], process: &Process) -> String {
    let mut json = Json::new(false);
    json.object(|json| {
        json.key(b"what").string(what);
        json.key(b"process").object(|json| fares(json, process));
    });
    json.finish()
}

/// The last lines of a program's logs.
pub fn logs(record: &ProgramInfo, lines: usize) -> Response {
    let mut json = Json::new(false);
    json.object(|json| {
        json.key(b"id").bare(record.process.id);
        json.key(b"name").string(record.process.name.as_bytes());
        for (name, path) in [("out", &record.out_path), ("error", &record.error_path)] {
            let path = Path::new(OsStr::from_bytes(path));
            let kept = keeps_output(path.as_os_str().as_bytes());
            let tail = tail(path).ok().filter(|_| kept).unwrap_or_default();
            json.key(name.as_bytes()).object(|json| {
                json.key(b"path").string(path.as_os_str().as_bytes());
                json.key(b"lines").array(|json| {
                    let all: Vec<&[u8]> = tail.split(|b| *b == b'\n').collect();
                    let last = all.iter().skip(all.len().saturating_sub(lines));
                    last.filter(|_| !tail.is_empty())
                        .for_each(|line| json.string(line));
                });
            });
        }
    });
    Response::new(Kind::Json, json.finish())
}

/// The end of a file, from the beginning of a line, without the last LF. Only of a file: a FIFO is another's to read.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Ok(Vec::new());
    }
    // A user's link shows nothing that the user may not read.
    let file = place::read(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok(Vec::new());
    }
    let size = meta.len();
    let start = size.saturating_sub(TAIL);
    let mut bytes = vec![0; usize::try_from(size - start).unwrap_or(0)];
    // It may be truncated at this moment: then there is nothing yet.
    file.read_exact_at(&mut bytes, start)?;
    if start > 0 {
        let first = bytes.iter().position(|b| *b == b'\n');
        bytes.drain(..first.map_or(0, |at| at + 1));
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::program_info;

    fn text(response: &Response) -> String {
        String::from_utf8(response.body.clone()).unwrap()
    }

    #[test]
    fn a_page_has_a_nonce_of_its_own_and_fetches_nothing() {
        let (one, other) = (page().unwrap(), page().unwrap());
        assert_ne!(one.body, other.body);
        let text = text(&one);
        let nonce = text
            .split("nonce=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert_eq!(nonce.len(), 32);
        assert!(one.fields.contains(&format!("script-src 'nonce-{nonce}';")));
        for outside in [
            "http://",
            "https://",
            "src=",
            "@import",
            "url(",
            "innerHTML",
            "{nonce}",
        ] {
            let found = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!found.contains(outside), "{outside}");
        }
    }

    #[test]
    fn an_overview_has_pm2s_names_and_no_environment() {
        let text = text(&overview(&[program_info::sample()]));
        for part in [
            r#"{"system_info":{"hostname":""#,
            r#""monit":{"loadavg":["#,
            r#""cpu":[{"model":""#,
            r#""interfaces":{"#,
            r#""processes":[{"pid":0,"name":"api","pm_id":3,"#,
            r#""lo":[{"address":"127.0.0.1","netmask":"255.0.0.0","family":"IPv4","#,
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(
            !text.contains("\"env\"") && !text.contains("RPM_NAME"),
            "{text}"
        );
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn a_list_is_one_line_and_its_history_is_extra() {
        let (mut table, mut history) = (Table::default(), History::default());
        let mut process = program_info::sample().process;
        (process.pid, process.memory) = (7, 4096);
        table.replace(vec![process.clone()], 0);
        history.sample(&table, 0);
        process.cpu = 150;
        table.replace(vec![process.clone()], 2000);
        history.sample(&table, 2000);
        let full = processes(&table, 2000, Some(&history));
        assert!(
            full.contains(
                r#""cpu":7.5,"memory":4096,"cpu_history":[null,7.5],"memory_history":[4096,4096]}"#
            ),
            "{full}"
        );
        assert!(full.contains(r#""exit":"SIGKILL""#) && full.trim_end().lines().count() == 1);
        let brief = processes(&table, 2000, None);
        assert!(
            !brief.contains("history") && !brief.contains("times") && !brief.contains("lost"),
            "{brief}"
        );
        process.lost = 5;
        table.replace(vec![process], 2000);
        let losing = processes(&table, 2000, None);
        assert!(losing.contains(r#","lost_output":5,"#), "{losing}");
    }

    #[test]
    fn logs_are_read_from_their_end() {
        let folder = std::env::temp_dir().join(format!("rpm-web-logs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut record = program_info::sample();
        let path = folder.join("out");
        record.out_path = path.as_os_str().as_bytes().to_vec();
        record.error_path = folder.as_os_str().as_bytes().to_vec();
        std::fs::write(&path, "one\n<b>\"two\"\n\nthree").unwrap();
        let all = text(&logs(&record, 3));
        assert!(
            all.contains(r#""lines":["<b>\"two\"","","three"]"#),
            "{all}"
        );
        assert!(all.contains(r#""lines":[]}}"#), "a folder is no log: {all}");
        std::fs::write(&path, "x\n".repeat(1 << 20)).unwrap();
        assert_eq!(text(&logs(&record, 1000)).matches("\"x\"").count(), 1000);
        std::fs::write(&path, "y".repeat(3 << 20)).unwrap();
        let long = text(&logs(&record, 9));
        assert!(long.len() < (TAIL as usize) * 2 && long.contains("yyy"));
        std::fs::write(&path, "").unwrap();
        assert!(text(&logs(&record, 9)).contains(r#"/out","lines":[]"#));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
