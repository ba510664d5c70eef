//! The manual page rpmd(8).

use super::super::help::capital;
use super::super::roff::Page;
use super::common::{DATE, HOMES};
use crate::protocol::{DAEMON_OPTIONS, RELEASE};

/// rpmd(8)
pub fn page() -> String {
    let what = "the daemon that keeps programs running";
    let mut page = Page::new("rpmd", 8, DATE, RELEASE, what);
    page.section("SYNOPSIS");
    page.first("rpmd [flags]");
    page.section("DESCRIPTION");
    page.first(
        "rpmd starts programs, restarts them when they end, and has their output written to log files. rpm(1) starts it on \
         first use and controls it by the protocol of rpm-protocol(7). It puts itself into the background. Its first \
         process ends when the socket is ready, or after saying why it is not.",
    );
    page.paragraph(
        "The log writer, rpmd-log, is a fork of rpmd. It writes the log files, keeps listening sockets, and restarts rpmd when \
         that dies.",
    );
    page.section("FLAGS");
    for (spelling, meaning) in DAEMON_OPTIONS {
        page.item(spelling, "", &format!("{}.", capital(meaning)));
    }
    programs(&mut page);
    crashes(&mut page);
    signals(&mut page);
    containers(&mut page);
    boot(&mut page);
    ports(&mut page);
    page.section("EXIT STATUS");
    page.item("0", "", "the socket is ready.");
    page.item(
        "1",
        "",
        "it could not start, or it ended but could not end a program; the reason is on standard error.",
    );
    page.section("ENVIRONMENT");
    page.item("RPM_HOME", "", HOMES);
    files(&mut page);
    security(&mut page);
    page.section("SEE ALSO");
    page.first("rpm(1), rpm-protocol(7)");
    page.finish()
}

fn programs(page: &mut Page) {
    page.section("PROGRAMS");
    page.first(
        "A program runs in a session and process group of its own, without a terminal. Its environment is that of the rpm start \
         that started it, with RPM_ID, RPM_NAME, RPM_HOME, NODE_APP_INSTANCE (its number among its instances, from 0) and \
         PWD. It also has pm2's names pm_id and name. Python gets PYTHONUNBUFFERED=1 unless it is set. rpm env prints it.",
    );
    page.paragraph(
        "Descriptor 0 is /dev/null. Descriptors 1 and 2 are FIFOs that the program itself holds open for reading too: it gets \
         neither SIGPIPE nor end of file when both daemons die. No other descriptor is open, except those of listen and \
         of a Node cluster.",
    );
    page.paragraph(
        "A program is everything that it has started. As root, and under systemd in a unit with Delegate=yes, each program \
         has a cgroup (version 2) of its own. Elsewhere its processes are found by process group, session and descent, and by \
         RPM_ID and RPM_HOME in their environment. A process that has none of these is named, not killed. Where there is no \
         cgroup, an orphan that has none of these and whose daemon was killed belongs to init, and is not found.",
    );
    page.paragraph(
        "A program must stay in the foreground. When its first process exits, what it leaves behind is ended, its restart \
         policy applies, and rpm describe says so.",
    );
}

fn crashes(page: &mut Page) {
    page.section("CRASHES");
    page.first("What survives what:");
    for (what, then) in [
        (
            "rpmd dies",
            "rpmd-log keeps writing and executes another rpmd, which adopts every program with its pid, counts and ports. If \
             a program has ended in between, its restart policy applies. An rpmd that keeps dying is restarted with a growing \
             delay, at most 5 s, for ever; rpmd.log and the next rpm command say so. With --foreground, init restarts it.",
        ),
        (
            "rpmd-log dies",
            "rpmd starts another one. What was read from a pipe and not written yet is in memory that outlives both: no byte is \
             lost or doubled.",
        ),
        (
            "both die",
            "The next rpm command, or init, starts them. Until then output waits in the FIFOs, 64 KiB each. A program \
             that ends before that loses what its FIFO holds.",
        ),
        (
            "rpm update",
            "The new rpmd first proves that it can read the records (--self-check). Then the old one executes it: the pid, the \
             children and the clients stay, and clients that wait get their replies. If the check fails, the old one keeps running.",
        ),
        (
            "the machine crashes",
            "The desired state is on disk about a second after each change; rpm sync waits for it. In a new boot the programs \
             that were wanted up are started, and nothing else. A torn record is quarantined, and rpm list names it.",
        ),
        (
            "rpm kill --keep",
            "Both daemons end. The next command adopts the programs.",
        ),
    ] {
        page.item(what, "", then);
    }
    page.paragraph(
        "As root the daemons run at a nice value ten below that of their programs, so that programs which use every processor \
         do not delay a recovery.",
    );
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
        "ignored. rpm reloadLogs reopens log files.",
    );
    page.paragraph("rpmd-log ignores all of these. It ends when rpmd tells it to.");
}

fn containers(page: &mut Page) {
    page.section("CONTAINERS");
    page.first(
        "As pid 1, rpmd --foreground writes its log to standard error and reaps orphans. Where RPM_HOME outlives the \
         container, the next container starts the programs that were wanted up: another container is another boot. The stop \
         timeout of the container should be longer than the longest kill_timeout. An image that stops with \
         SIGWINCH, such as httpd's, needs STOPSIGNAL SIGTERM.",
    );
    page.paragraph(
        "With -o /dev/stdout -e /dev/stderr programs write to the output of the container, see LOG FILES in rpm(1).",
    );
}

fn boot(page: &mut Page) {
    page.section("BOOT");
    page.first(
        "rpm startup makes rpmd a service of systemd, OpenRC, runit, s6 or SysV init, or of the systemd of one user. The service \
         runs rpmd --foreground --standby as the user of the programs. Init restarts it when it dies, and it adopts the \
         programs. After rpm kill init starts it again, with an empty list.",
    );
    page.paragraph(
        "At shutdown init signals only rpmd, which stops each program with its own signal and timeout. rpmd tells systemd how \
         long that may take. runit of Debian waits seven seconds at most.",
    );
    page.paragraph(
        "Where another rpmd serves the home, the service stands by until that ends, and then adopts its programs; rpm kill \
         --keep has it do so at once. To systemd these programs belong to the login session until they are restarted. \
         systemctl reload is rpm update. A file that rpm startup did not write is neither replaced nor removed.",
    );
}

fn ports(page: &mut Page) {
    page.section("PORTS");
    page.first(
        "A port that the daemon has opened, by listen or for the workers of a Node cluster, belongs to the program for as \
         long as it is wanted up. Connections wait while the program is restarted, crashes, waits for its restart or closes \
         its server in a graceful shutdown. stop and delete close the port. So does a program that is errored. A worker \
         that closes a server and runs on for a minute has given up its port. A port that the system chose (port 0) is given \
         up at once.",
    );
    page.paragraph(
        "rpmd-log keeps every such socket for the next rpmd: the death of either daemon, or an update, closes nothing. When both \
         are killed at once, the next rpmd takes the sockets from the running programs, as far as pidfd_getfd(2) is \
         allowed: for root, or where kernel.yama.ptrace_scope is 0, since Linux 5.6. A socket that no process holds is closed, \
         with the connections that waited in it, and bound again when the program is started.",
    );
    page.paragraph(
        "Sockets of listen are passed on from descriptor 3 with LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES, as in \
         sd_listen_fds(3).",
    );
}

fn security(page: &mut Page) {
    page.section("SECURITY");
    page.first(
        "One daemon serves one user, and every program runs as that user, with all its rights. The socket serves that user \
         and root. A setting that asks for another user, another group or a limit that is not supported refuses the \
         program, unless it names the user and group of the daemon. max_memory_restart is no limit: it is ignored with a warning.",
    );
    page.paragraph(
        "RPM_HOME and each directory above it must belong to the user or to root, and nobody else may write to them. In a sticky \
         directory like /tmp the next one must belong to the user or root, and not be a link. Any other home is refused before \
         anything is created in it. So root cannot use the home of another user: where sudo keeps HOME, use sudo -H.",
    );
    page.paragraph(
        "Before a client sends anything, it asks the kernel for the user at the other end, and refuses the daemon of another \
         user. Root may command it, but start and restart --update-env are refused, as they would send the environment of root.",
    );
    page.paragraph(
        "As root, log files, pid files and sockets in a directory of another user are opened, renamed and removed with the \
         rights of that user, and new files belong to that user. In a directory that several users can write to, each file is \
         opened with the rights of its owner, links that root owns are not followed, and files with several hard links \
         are not opened. The owner of a file is never changed.",
    );
    page.paragraph(
        "Environments of programs, secrets included, are in run/list and dump.json, mode 0600.",
    );
}

/// The files of a home, in rpm(1) and rpmd(8).
pub fn files(page: &mut Page) {
    page.section("FILES");
    for (name, meaning) in [
        (
            "rpmd.sock",
            "the socket; only its owner and root may open it.",
        ),
        (
            "rpmd.pid",
            "the pid of the daemon. The directory is locked as long as it lives: there is never a second one.",
        ),
        (
            "rpmd.state",
            "the boot and the version of the list, and where the cgroups are.",
        ),
        (
            "rpmd.sockets",
            "which ports the workers of Node clusters have asked for.",
        ),
        ("rpmd.log", "the log of the daemon."),
        (
            "rpmd.deaths",
            "how many times the daemon has died recently, while it keeps dying.",
        ),
        (
            "log.sock, log.batch",
            "the socket of the log writer, and what it is writing.",
        ),
        (
            "dump.json, dump.json.bak",
            "the last two lists that save wrote. It is JSON with pm2's names. A byte that is not UTF-8 is written \\udcXX, as \
             Python's surrogateescape does.",
        ),
        (
            "logs/NAME-out.log, logs/NAME-error.log",
            "the output of programs; with -ID before .log where there are several instances. In NAME every byte except letters, \
             digits, dot, underscore and hyphen is written %XX, and so is a leading dot or hyphen; a long name is cut and ends in a digest.",
        ),
        ("pids/NAME-ID.pid", "the pids of programs."),
        ("web", "where rpm web serves."),
        (
            "run/list",
            "the list of programs: their settings, desired states and processes. Each line has a checksum. A damaged line \
             affects no other program.",
        ),
        (
            "run/ID.out, run/ID.err",
            "the FIFOs that a program prints to.",
        ),
    ] {
        page.item(&format!("~/.rpm/{name}"), "", meaning);
    }
}
