//! The manual page rpm-protocol(7), made from the tables of verbs, fields, states and error codes.

use super::super::help::capital;
use super::super::roff::Page;
use super::common::{DATE, meaning};
use crate::model::field::FIELDS;
use crate::model::life::STATES;
use crate::protocol::RELEASE;
use crate::protocol::line::MAX_LINE;
use crate::protocol::reply::{CODES, Code};
use crate::protocol::verb::VERBS;

/// The fields of a process line.
const PROCESS: &[(&str, &str)] = &[
    (
        "id",
        "the number of the program, never given twice in one list",
    ),
    ("name", "its name"),
    ("namespace", "its namespace"),
    ("status", "its state, see STATES"),
    ("want", "the desired state: up or down"),
    ("pid", "the pid of its first process; 0 when there is none"),
    (
        "since",
        "when the present run began; 0 when it does not run",
    ),
    ("created", "when it was first started"),
    ("restarts", "how many times it was restarted"),
    (
        "unstable",
        "how many of its last runs in a row were unstable",
    ),
    ("exit_code", "the exit code of its last run"),
    ("exit_signal", "the signal that ended its last run"),
    (
        "exit_unknown",
        "1 where the kernel could not say how its last run ended",
    ),
    ("instance", "its number among its instances, from 0"),
    (
        "mode",
        "'cluster' for a worker of a Node cluster; absent otherwise",
    ),
    ("uid", "the user that it runs as"),
    (
        "cpu",
        "the processor time that its first process has used, in milliseconds",
    ),
    (
        "memory",
        "the resident memory of its first process, in bytes",
    ),
    (
        "lost",
        "the bytes of its output that could not be written to its log files",
    ),
];

/// rpm-protocol(7)
pub fn page() -> String {
    let what = "the protocol between rpm and rpmd";
    let mut page = Page::new("rpm-protocol", 7, DATE, RELEASE, what);
    page.section("DESCRIPTION");
    page.first(
        "rpmd(8) listens on the Unix stream socket rpmd.sock in RPM_HOME, by default ~/.rpm. The socket serves its owner and \
         root. A request is one line of text. A reply is one or more lines of text. rpm(1) uses nothing else. Only rpm \
         starts the daemon: begin with rpm ping.",
    );
    lines(&mut page);
    requests(&mut page);
    page.section("SETTINGS");
    page.first(
        "start and restart take these fields. A list repeats its key: args=-c args=sleep%20100. A time is a number of \
         milliseconds, or ends in s, m, h or d. A boolean is true or false, yes or no, on or off, 1 or 0.",
    );
    for field in FIELDS {
        let meaning = meaning(field, str::to_owned);
        page.item(field.name, field.placeholder, &meaning);
    }
    replies(&mut page);
    page.section("LIMITS");
    page.first(&format!(
        "A line has at most {MAX_LINE} bytes. There are at most 256 connections. When all are in use, the daemon closes the \
         one that has been idle longest, or one that does not read its reply. If there is none, one more connection is \
         served to the owner of the daemon, and others are refused with busy."
    ));
    page.paragraph(
        "A reply of any length is sent as fast as the client reads it. A program that is not executed within 20 s \
         after the fork has failed to start; the error names the path that hangs. A reply that promises written output \
         waits at most 2 s for a disk that hangs, and then says so.",
    );
    examples(&mut page);
    page.section("SEE ALSO");
    page.first("rpm(1), rpmd(8)");
    page.finish()
}

fn lines(page: &mut Page) {
    page.section("LINES");
    page.first("The grammar:");
    page.verbatim(&[
        "line  = tag *( SP key \"=\" value ) LF",
        "tag   = 1*( a-z \"-\" )",
        "key   = 1*( A-Z a-z 0-9 \"_\" \".\" \"-\" )",
        "value = bytes; SP, LF, \"%\", control bytes and DEL are written %XX",
        "reply = *line ( \"ok\" *( SP key \"=\" value ) LF",
        "              | \"error code=\" CODE \" message=\" TEXT LF )",
    ]);
    page.paragraph(
        "XX is hexadecimal. A value may be empty. A value need not be UTF-8. The daemon also accepts several spaces for one, and a \
         CR before the LF.",
    );
}

fn requests(page: &mut Page) {
    page.section("REQUESTS");
    page.first(
        "The tag of a request is a verb. A field that the verb does not have is refused with bad-request. A connection may \
         send many requests, before earlier ones are answered too. Replies come in the order of the requests. A \
         client may shut down its sending side, or close the connection: each request that ends in LF is carried out.",
    );
    page.paragraph(
        "A target is the id, name or namespace of programs, or all. ping, update and kill are served to clients of any release.",
    );
    for verb in VERBS {
        page.item(verb.name, verb.fields, &sentence(verb.meaning));
    }
}

fn replies(page: &mut Page) {
    page.section("REPLIES");
    page.first(
        "A reply is sent when it is true: stop is answered when no process of the programs is left and their output is \
         in the files. Its last line begins with ok or error. A reply that is not ready delays no other client.",
    );
    page.part("Process lines");
    page.first(
        "start, restart, list, describe and others send a line with the tag process for each program. \
         Times are milliseconds since the epoch. describe adds the settings.",
    );
    for (field, meaning) in PROCESS {
        page.item(field, "", &sentence(meaning));
    }
    page.part("States");
    let words: Vec<&str> = STATES.iter().map(|state| state.word()).collect();
    page.first(&format!("The status is one of: {}.", words.join(", ")));
    page.part("Event lines");
    page.first(
        "After events, each change of state sends a line with the tag event and the fields of a process line. A client that \
         does not keep up gets only the last event of each program.",
    );
    page.part("Error codes");
    for (code, word) in CODES {
        page.item(word, "", &sentence(explain(code)));
    }
}

/// What an error code says. A code that is added must be explained here.
fn explain(code: Code) -> &'static str {
    match code {
        Code::BadRequest => "the request is malformed, or a verb, field or value is unknown",
        Code::NotFound => "no program matches a target",
        Code::Exists => "the program is managed already, and force was not given",
        Code::NotRunning => "the program has no process to signal, suspend or resume",
        Code::Denied => "the client may not do that, or the kernel refused it",
        Code::TooLong => "a line is longer than the limit",
        Code::Busy => "no connection is free, or an update is under way",
        Code::ExecFailed => "the program, or the new rpmd, could not be executed",
        Code::Timeout => "a process, a disk or the log writer did not answer in time",
        Code::Internal => "the daemon failed; rpmd.log says more",
    }
}

fn sentence(text: &str) -> String {
    format!("{}.", capital(text))
}

fn examples(page: &mut Page) {
    page.section("EXAMPLES");
    page.first("List the programs, with OpenBSD's nc, whose -N shuts down the sending side:");
    page.verbatim(&["printf 'list\\n' | nc -NU ~/.rpm/rpmd.sock"]);
    page.paragraph("Start a program:");
    page.verbatim(&[
        "printf 'start script=/bin/sleep args=1000 name=nap cwd=/tmp env.TZ=UTC\\n' |",
        "    nc -NU ~/.rpm/rpmd.sock",
    ]);
    page.paragraph("Stop it with socat, waiting up to nine seconds for the reply:");
    page.verbatim(&[
        "printf 'stop target=nap\\n' |",
        "    socat -t 9 - UNIX-CONNECT:\"$HOME/.rpm/rpmd.sock\"",
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use crate::model::life::{Exit, State, Want};
    use crate::model::spec::ExecMode;
    use crate::protocol::line::{Line, LineWriter};
    use crate::protocol::process::Process;

    /// Whether the page has an item of this name.
    fn has(page: &str, name: &str) -> bool {
        page.contains(&format!("\n\\fB{}\\fR", name.replace('-', "\\-")))
    }

    #[test]
    fn the_page_has_every_row_of_the_tables() {
        let page = page();
        let verbs = VERBS.iter().map(|verb| verb.name);
        let fields = FIELDS.iter().map(|field| field.name);
        let codes = CODES.iter().map(|(_, word)| *word);
        for name in verbs.chain(fields).chain(codes) {
            assert!(has(&page, name), "{name}");
        }
        for state in STATES {
            assert!(page.contains(state.word()), "{}", state.word());
        }
    }

    #[test]
    fn every_field_of_a_process_line_is_in_the_page() {
        let mut written = BTreeSet::new();
        for exit in [Exit::Code(1), Exit::Signal(9), Exit::Unknown] {
            let process = Process {
                id: 1,
                name: "a".into(),
                namespace: "b".into(),
                state: State::Online,
                want: Want::Up,
                pid: 1,
                since: 1,
                created: 1,
                restarts: 1,
                unstable: 1,
                exit: Some(exit),
                mode: ExecMode::Cluster,
                instance: 1,
                uid: 1,
                cpu: 1,
                memory: 1,
                lost: 1,
            };
            let mut line = Vec::new();
            process.write(&mut LineWriter::begin(&mut line, "process"));
            let fields = Line::decode(&line).unwrap().fields;
            written.extend(fields.into_iter().map(|(key, _)| key));
        }
        let explained: BTreeSet<String> = PROCESS.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(written, explained);
    }
}
