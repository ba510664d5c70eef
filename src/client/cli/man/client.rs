//! rpm(1), made from the tables of commands, flags and fields.

use super::super::command::{COMMANDS, Command};
use super::super::flag::{self, Flag, GLOBAL, kebab};
use super::super::help::capital;
use super::super::roff::Page;
use super::common::{DATE, HOMES, meaning};
use super::daemon;
use crate::protocol::RELEASE;

/// rpm(1)
pub fn page() -> String {
    let mut page = Page::new("rpm", 1, DATE, RELEASE, "keep programs running");
    page.section("SYNOPSIS");
    page.first("rpm [flags] command [arguments]");
    page.section("DESCRIPTION");
    page.first(
        "rpm controls the daemon rpmd, which keeps programs running. It starts the daemon on first use. It is not related to \
         the package manager of the same name.",
    );
    page.section("COMMANDS");
    COMMANDS
        .iter()
        .for_each(|command| one_command(&mut page, command));
    page.section("FLAGS OF EVERY COMMAND");
    GLOBAL.iter().for_each(|flag| one_flag(&mut page, flag, ""));
    page.section("SETTINGS OF PROGRAMS");
    page.first(
        "Each is a flag of start and restart. A time is a number of milliseconds, or ends in s, m, h or d. --no-NAME turns a \
         switch off.",
    );
    for field in flag::settings() {
        let (name, with) = flag_name(field.short, &kebab(field.name), field.placeholder);
        page.item(
            &name,
            &with,
            &meaning(field, |name| format!("--{}", kebab(name))),
        );
    }
    exit_status(&mut page);
    process_files(&mut page);
    log_files(&mut page);
    status_page(&mut page);
    page.section("ENVIRONMENT");
    page.item("RPM_HOME", "", HOMES);
    page.item("NO_COLOR", "", "no color.");
    page.item(
        "RPM_WEB_TOKEN",
        "",
        "the token of rpm web, where --token gives none.",
    );
    daemon::files(&mut page);
    page.section("EXAMPLES");
    page.first("Start a server under a name and follow its logs:");
    page.verbatim(&[
        "rpm start ./server.js --name api -- --port 3000",
        "rpm logs api",
    ]);
    page.paragraph("Start four instances, and a shell command:");
    page.verbatim(&[
        "rpm start worker.py -i 4",
        "rpm start \"while :; do date; sleep 60; done\" --name clock",
    ]);
    page.paragraph("In a script:");
    page.verbatim(&["rpm status api || rpm restart api"]);
    page.section("SEE ALSO");
    page.first("rpmd(8), rpm-protocol(7)");
    page.finish()
}

fn one_command(page: &mut Page, command: &Command) {
    let names: Vec<&str> = command.names().collect();
    let explanation = format!("{}. {}", capital(command.meaning), command.help);
    page.item(&names.join(", "), command.arguments, &explanation);
    for flag in flag::flags_of(Some(command)).filter(|flag| !flag.hidden) {
        one_flag(page, flag, &format!("{} ", command.name));
    }
}

/// A flag, with the command that it is of before it.
fn one_flag(page: &mut Page, flag: &Flag, of: &str) {
    let (name, with) = flag_name(flag.short, flag.name, flag.placeholder);
    // A value that may be left out stands right behind the name.
    let (name, with) = if flag.is_optional() {
        (format!("{name}{with}"), String::new())
    } else {
        (name, with)
    };
    page.item(
        &format!("{of}{name}"),
        &with,
        &format!("{}.", capital(flag.meaning)),
    );
}

fn flag_name(short: Option<char>, name: &str, placeholder: &str) -> (String, String) {
    let name = match short {
        Some(letter) => format!("-{letter}, --{name}"),
        None => format!("--{name}"),
    };
    (name, placeholder.to_owned())
}

fn process_files(page: &mut Page) {
    page.section("PROCESS FILES");
    page.first(
        "A process file describes programs: one object, an array, or an array under apps. Its attributes are the settings above, \
         as kill_timeout or killTimeout for --kill-timeout, pm2's other names for them, env and env_NAME. NAME.json may \
         be JSON5. NAME.config.js, .cjs and .mjs are evaluated by node, for at most ten seconds. A Procfile has lines \
         NAME: COMMAND. - is JSON on standard input.",
    );
    page.paragraph(
        "start and restart of a file start what is missing, restart what is there with the new settings under the same id, and \
         bring instances to the number in the file. Paths are relative to the directory of the file, or to the cwd of the \
         program. Flags and arguments override the file.",
    );
    page.paragraph(
        "Everything is checked first: a file with a mistake starts nothing, and each mistake is named with its line and \
         column. So are scripts, directories, interpreters and commands that do not exist. false, null and an empty string \
         leave a text or a path at its default. An attribute that is unknown or not supported yet is a warning.",
    );
}

fn log_files(page: &mut Page) {
    page.section("LOG FILES");
    page.first(
        "The log writer rpmd-log writes what programs print. It outlives the daemon. Bytes are written as they come, unless \
         lines are changed (time, log_date_format, log_type) or several streams share a file: then whole lines are written. \
         The beginning of a line waits in the FIFO until it is finished, the program has ended, or it has 768 KiB. An \
         unfinished line, such as a prompt, appears after a second of silence. Its rest follows it, or begins a line of its own \
         where another stream has printed in the meantime. A log file is created when its first byte comes. Where more than 16 are open, those \
         are closed that got nothing for 5 seconds, and opened again by name when more comes.",
    );
    page.paragraph(
        "With time or log_date_format a line is DATE: TEXT. The tokens of the format are YYYY YY Q M MM MMM MMMM D DD Do \
         DDD DDDD d dd ddd dddd E W WW H HH h hh k kk m mm s ss S SS SSS A a Z ZZ X x. Text in [ ] is literal. \
         With log_type json a line is an object. A byte that is not UTF-8 is read as Latin-1. A line that is too long, or that \
         appears before its end, is several objects: all except the last have \"partial\":true.",
    );
    page.paragraph(
        "A file that would become larger than log_max_size is renamed to FILE.1, and FILE.1 to FILE.2, up to log_max_files. No \
         line is split by that unless it is longer than 64 KiB. rpm logs reads rotated files too. Others may rotate as well: \
         rename the files, then run rpm reloadLogs; or truncate them. A file that was removed is created again with the next output.",
    );
    page.paragraph(
        "Log failures never stop a program. Output that a full or read-only disk does not take is dropped and counted. list warns, \
         describe and metrics have the number, and the file itself has a line that begins with rpm: once it can be \
         written again. A disk that hangs holds only rpmd-log: output waits in the FIFOs.",
    );
    page.paragraph(
        "/dev/stdout, /dev/stderr, /dev/fd/1, /dev/fd/2 and their names in /proc/self/fd, also through a link, are outputs \
         of rpmd --foreground; a daemon in the background refuses them. They get whole lines of all \
         programs, though a line of more than 4096 bytes may have a line of the daemon's log in it. They are neither rotated nor \
         emptied nor opened by name. A slow reader is waited for: output stays in the FIFO. When it has read \
         nothing for 30 s and that FIFO is full, output is dropped and counted until it reads again. When \
         the log writer is killed, up to 4096 bytes may be written twice there.",
    );
}

fn status_page(page: &mut Page) {
    page.section("STATUS PAGE");
    page.first("rpm web serves, for reading only:");
    for (path, meaning) in [
        (
            "/",
            "a live table for browsers; for others JSON: system_info, monit, processes.",
        ),
        (
            "/api/processes",
            "the status of programs, now and in the last minutes.",
        ),
        (
            "/api/logs/ID?lines=N",
            "the last lines of the logs of a program, by default 100.",
        ),
        (
            "/api/events",
            "server-sent events: processes every 2 seconds, change at once, daemon when it has ended.",
        ),
        ("/metrics", "the text format of Prometheus."),
    ] {
        page.item(path, "", meaning);
    }
    page.paragraph(
        "No reply has a value of an environment. Requests are answered only for localhost, loopback addresses, the address it \
         serves on, and the names of --host. With a token each request must bring it, as ?token=WORD or Authorization: \
         Bearer WORD; --bind to an address that others reach needs one. There is no TLS: use a proxy, or ssh -L. Limits: 64 \
         connections, 32 of them followers of events or logs; 8 KiB of request head, and 10 s to send it.",
    );
}

fn exit_status(page: &mut Page) {
    page.section("EXIT STATUS");
    page.item("0", "", "done.");
    page.item("1", "", "something failed, or nothing matched.");
    page.item("2", "", "the command line was wrong.");
    page.item(
        "3",
        "",
        "list and its aliases: the programs are known, and not all of them are online.",
    );
}

#[cfg(test)]
mod tests {
    use super::super::super::flag::FLAGS;
    use super::*;
    use crate::model::field::FIELDS;

    #[test]
    fn the_page_has_every_row_of_the_tables() {
        let roff = |name: &str| name.replace('-', "\\-");
        let client = page();
        for command in COMMANDS {
            assert!(
                client.contains(&format!("\\fB{}", command.name)),
                "{}",
                command.name
            );
        }
        for flag in FLAGS.iter().filter(|flag| !flag.hidden) {
            assert!(
                client.contains(&roff(&format!("--{}", flag.name))),
                "{}",
                flag.name
            );
        }
        for field in FIELDS.iter().filter(|field| field.flag) {
            let name = roff(&format!("--{}", kebab(field.name)));
            assert!(client.contains(&name), "{}", field.name);
        }
    }
}
