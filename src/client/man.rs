//! The manual pages rpm(1) and rpmd(8), made from the tables of commands, flags, fields and verbs.

use super::command::{COMMANDS, Command};
use super::flag::{self, FLAGS, Flag, GLOBAL, kebab};
use super::help::{capital, default_of};
use super::roff::Page;
use crate::model::field::{FIELDS, Field};
use crate::protocol::line::MAX_LINE;
use crate::protocol::reply::CODES;
use crate::protocol::verb::VERBS;
use crate::protocol::{DAEMON_OPTIONS, RELEASE};

/// When the pages last changed.
const DATE: &str = "2026-11-25";

const HOMES: &str = "the folder with the socket, the records and the logs; by default ~/.rpm. Each has a daemon of its own.";

/// rpm(1)
pub fn client() -> String {
    let mut page = Page::new("rpm", 1, DATE, RELEASE, "keep programs running");
    page.section("SYNOPSIS");
    page.first("rpm [flags] command [arguments]");
    page.section("DESCRIPTION");
    page.first(
        "rpm tells the daemon rpmd what to do and shows what it says. The first command launches the daemon. \
         It is no relative of the package manager of the same name.",
    );
    page.section("COMMANDS");
    COMMANDS
        .iter()
        .for_each(|command| one_command(&mut page, command));
    page.section("FLAGS OF EVERY COMMAND");
    GLOBAL.iter().for_each(|flag| one_flag(&mut page, flag, ""));
    page.section("SETTINGS OF PROGRAMS");
    page.first(
        "Each is a flag of start and restart. A time is a number of milliseconds, or ends in s, m, h or d. --no-NAME takes a \
         switch away.",
    );
    for field in flag::fields() {
        let (name, with) = flag_name(field.short, &kebab(field.name), field.placeholder);
        page.item(
            &name,
            &with,
            &meaning(field, |name| format!("--{}", kebab(name))),
        );
    }
    exit_status(&mut page);
    log_files(&mut page);
    page.section("ENVIRONMENT");
    page.item("RPM_HOME", "", HOMES);
    page.item("NO_COLOR", "", "no colours.");
    page.item(
        "RPM_WEB_TOKEN",
        "",
        "the token of rpm web, where --token gives none.",
    );
    page.paragraph(
        "A program finds RPM_ID, RPM_NAME, RPM_HOME and NODE_APP_INSTANCE, the number of its instance, in its \
         environment; its id and name also under pm2's names, pm_id and name.",
    );
    files(&mut page);
    page.section("EXAMPLES");
    page.first("Start a server under a name and follow its logs:");
    page.verbatim(&[
        "rpm start ./server.js --name api -- --port 3000",
        "rpm logs api",
    ]);
    page.paragraph("Four instances, and a command of the shell:");
    page.verbatim(&[
        "rpm start worker.py -i 4",
        "rpm start \"while :; do date; sleep 60; done\" --name clock",
    ]);
    page.paragraph("In a script:");
    page.verbatim(&["rpm status api || rpm restart api"]);
    page.section("SEE ALSO");
    page.first("rpmd(8)");
    page.finish()
}

/// rpmd(8)
pub fn daemon() -> String {
    let mut page = Page::new(
        "rpmd",
        8,
        DATE,
        RELEASE,
        "the daemon that keeps programs running",
    );
    page.section("SYNOPSIS");
    page.first("rpmd [flags]");
    page.section("DESCRIPTION");
    page.first(
        "rpmd starts programs, starts them again when they end, and writes their output into log files. It goes \
         into the background by itself; its first process ends when the socket is ready, or after saying why it \
         is not. rpm(1) launches it.",
    );
    page.section("FLAGS");
    for (spelling, meaning) in DAEMON_OPTIONS {
        page.item(spelling, "", &format!("{}.", capital(meaning)));
    }
    page.section("PROTOCOL");
    page.first(
        "A request is one line of text, its answer is lines of text. Anyone who may open the socket can speak it:",
    );
    page.verbatim(&["printf 'list\\n' | nc -U ~/.rpm/rpmd.sock"]);
    page.paragraph(&format!(
        "A line is a word, then KEY=VALUE pairs with one blank between. In a value each blank, %, control byte \
         and DEL is written %XX, in hexadecimal. The last line of an answer begins with ok or error; an error has a \
         code and a message. Requests may be sent before earlier ones are answered; answers come in order. A line \
         has at most {MAX_LINE} bytes."
    ));
    page.part("Requests");
    for verb in VERBS {
        page.item(verb.name, verb.fields, verb.meaning);
    }
    page.part("Fields of start");
    for field in FIELDS {
        page.item(
            field.name,
            field.placeholder,
            &meaning(field, str::to_owned),
        );
    }
    page.part("Codes of errors");
    let words: Vec<&str> = CODES.iter().map(|(_, word)| *word).collect();
    page.first(&words.join(", "));
    signals(&mut page);
    page.section("EXIT STATUS");
    page.item("0", "", "the socket is ready.");
    page.item(
        "1",
        "",
        "it could not start, or it ended but could not end a program; the reason is on standard error.",
    );
    ports(&mut page);
    page.section("ENVIRONMENT");
    page.item("RPM_HOME", "", HOMES);
    files(&mut page);
    security(&mut page);
    page.section("SEE ALSO");
    page.first("rpm(1)");
    page.finish()
}

fn security(page: &mut Page) {
    page.section("SECURITY");
    page.first(
        "One daemon serves one user, and every program runs as that user, with all its rights. The socket serves that user \
         and root. A setting that asks for another user, another group or a limit that is not supported refuses the program.",
    );
    page.paragraph(
        "RPM_HOME and each folder above it must belong to the user or to root, and nobody else may write to them, except \
         sticky folders like /tmp. Otherwise rpmd refuses the home before anything is created in it. A client refuses the \
         daemon of another user; root may command it, but does not send its environment to it.",
    );
    page.paragraph(
        "As root, log files, pid files and sockets in a folder of another user are opened, renamed and removed with the rights \
         of that user, and new files belong to that user. In a folder that several users can write to, each file is \
         opened with its owner's rights, and links that root owns are not followed.",
    );
    page.paragraph(
        "Environments of programs, secrets included, are in run/ID/spec and dump.json, mode 0600.",
    );
}

fn one_command(page: &mut Page, command: &Command) {
    let names: Vec<&str> = command.names().collect();
    let explanation = format!("{}. {}", capital(command.meaning), command.help);
    page.item(&names.join(", "), command.arguments, &explanation);
    let own = FLAGS
        .iter()
        .filter(|flag| command.flags.contains(&flag.name));
    for flag in own.filter(|flag| !flag.hidden) {
        one_flag(page, flag, &format!("{} ", command.name));
    }
}

/// A flag, with the command that it is of before it.
fn one_flag(page: &mut Page, flag: &Flag, of: &str) {
    let (name, with) = flag_name(flag.short, flag.name, flag.placeholder);
    // A value that may be left out stands right behind the name.
    let (name, with) = match flag.is_optional() {
        true => (format!("{name}{with}"), String::new()),
        false => (name, with),
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

/// What a field does, its default, and its other names as `spell` writes them.
fn meaning(field: &Field, spell: impl Fn(&str) -> String) -> String {
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

fn signals(page: &mut Page) {
    page.section("SIGNALS");
    page.item(
        "SIGTERM, SIGINT, SIGQUIT, SIGPWR, SIGRTMIN+3",
        "",
        "stop all programs, each with its kill signal and timeout, write their last output, exit 0. The next daemon of this \
         home starts those that were wanted up. Images of nginx and php-fpm are stopped with SIGQUIT, LXC \
         containers with SIGPWR, containers that run an init with SIGRTMIN+3.",
    );
    page.item(
        "SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ, SIGTTOU, SIGWINCH",
        "",
        "ignored. rpm reloadLogs reopens log files. An image that stops with SIGWINCH, such as httpd's, needs \
         STOPSIGNAL SIGTERM.",
    );
    page.paragraph(
        "The log writer rpmd-log ignores all of these: it ends when the daemon tells it to. So does rpmd-store, which brings \
         the list of programs to the disk: it ends when that is done. When a daemon dies by anything \
         else, programs run on, and the log writer starts another daemon. One that keeps dying is restarted with a \
         growing delay, at most 5 s, for ever; rpmd.log and the next command say so. With --foreground, init restarts it.",
    );
}

fn log_files(page: &mut Page) {
    page.section("LOG FILES");
    page.first(
        "A process of its own, rpmd-log, writes what programs print; it outlives the daemon. Bytes are written as they \
         come, unless lines are changed (time, log_date_format, log_type) or several streams share a file: then whole \
         lines are. The beginning of one waits until it is finished, the program has ended, or it has 768 KiB. An unfinished \
         line appears after a second of silence; its rest follows it, or stands in a line of its own where another stream \
         has printed in the meantime.",
    );
    page.paragraph(
        "With time or log_date_format a line is DATE: TEXT. The tokens of the form are YYYY YY Q M MM MMM MMMM D DD Do \
         DDD DDDD d dd ddd dddd E W WW H HH h hh k kk m mm s ss S SS SSS A a Z ZZ X x; what stands in [ ] is as it is. \
         With log_type json a line is an object. A byte that is not UTF-8 is taken for Latin-1 in it, and the parts of \
         a line that is too long or appears before its end have \"partial\":true, all but the last.",
    );
    page.paragraph(
        "/dev/stdout, /dev/stderr, /dev/fd/1, /dev/fd/2 and their names in /proc/self/fd, also through a link, are outputs \
         of the daemon when it runs as rpmd --foreground; a daemon in the background refuses them. They get whole lines of all \
         programs, though a line of more than 4096 bytes may have a line of the daemon's log in it. They are neither rotated nor \
         emptied nor opened by name. A slow reader is waited for: output stays in the program's pipe. When it has read \
         nothing for 30 s and that pipe is full, output is dropped and counted until it reads again. When \
         the log writer is killed, up to 4096 bytes may be written twice there.",
    );
    page.paragraph(
        "A file that would become larger than log_max_size is set aside as FILE.1, and what was FILE.1 as FILE.2; no line \
         is split by that unless it is longer than 64 KiB. Somebody else may do it too: rename the files, then rpm \
         reloadLogs, or truncate them. A file that was removed is created again with the next output.",
    );
    page.paragraph(
        "Log failures never stop a program. What a full disk does not take is dropped and counted: list and \
         describe say so, and the file itself, in a line of its own that begins with rpm:, once it can be written again.",
    );
}

fn ports(page: &mut Page) {
    page.section("PORTS");
    page.first(
        "A port that the daemon has opened, by listen or for the workers of a Node cluster, belongs to the program for as \
         long as it is wanted up. Connections wait while it is restarted, crashes, waits out its restart delay or closes \
         its server during a graceful shutdown. stop and delete close the port, and so does a program that has failed \
         too often (errored). A worker that closes a server and runs on for a minute has given up its port.",
    );
    page.paragraph(
        "rpmd-log keeps every such socket for the next supervisor, so the death of either daemon, or an update, closes \
         nothing. Where both are killed at once, the next supervisor takes the sockets from the programs that live, as \
         far as pidfd_getfd(2) is allowed: for root, or where kernel.yama.ptrace_scope is 0. A socket that no process \
         holds is closed, with the connections that waited in it, and bound again when the program is launched.",
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

fn files(page: &mut Page) {
    page.section("FILES");
    for (name, meaning) in [
        (
            "rpmd.sock",
            "the socket; only its owner and root may open it.",
        ),
        (
            "rpmd.pid",
            "the pid of the daemon; the folder is locked as long as it lives.",
        ),
        ("rpmd.state", "which boot and version the list is of."),
        (
            "rpmd.sockets",
            "which ports the workers of Node clusters have asked for.",
        ),
        ("rpmd.log", "what the daemon has to say."),
        (
            "rpmd.deaths",
            "how often the daemon has died recently, while it keeps dying.",
        ),
        (
            "log.sock, log.batch",
            "where a supervisor finds the log writer, and what is on its way to a file.",
        ),
        (
            "dump.json, dump.json.bak",
            "what save wrote, and what it wrote before. It is JSON; a byte that is not UTF-8 is written \\udcXX, as \
             surrogateescape of Python has it.",
        ),
        (
            "logs/NAME-out.log, logs/NAME-error.log",
            "the output of programs; with -ID before .log where there are several instances. In NAME every byte but letters, \
             digits, . _ - is %XX, and so is a . or - at its beginning; a long name is cut and ends in a digest.",
        ),
        ("pids/NAME-ID.pid", "the pids of programs."),
        ("web", "where rpm web serves."),
        (
            "run/list",
            "all programs: what they are, what is wanted of them, and their processes. A line has a checksum; a damaged \
             one costs no other program.",
        ),
        (
            "run/ID.out, run/ID.err",
            "the pipes that a program prints to.",
        ),
    ] {
        page.item(&format!("~/.rpm/{name}"), "", meaning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_have_every_row_of_the_tables() {
        let roff = |name: &str| name.replace('-', "\\-");
        let (client, daemon) = (client(), daemon());
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
        for field in FIELDS {
            assert!(
                daemon.contains(&format!("\\fB{}\\fR", field.name)),
                "{}",
                field.name
            );
        }
        for verb in VERBS {
            assert!(
                daemon.contains(&format!("\\fB{}\\fR", verb.name)),
                "{}",
                verb.name
            );
        }
    }
}
